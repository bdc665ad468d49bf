"""The classifier of characters by a picture and a description of it."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from hallmark.checks import require
from hallmark.data.module import DataModule
from hallmark.learning.heads import Head
from hallmark.learning.module import Batch
from hallmark.learning.multimodal import MultimodalClassifier
from hallmark.learning.tables import classification_table
from hallmark.runs.metrics import MAIN


class CharacterFusion(MultimodalClassifier):
    """Logits [B, C] of characters from the inputs `image` and `text`, or one of them alone.

    A row may lack its text. The predictions table has the task `main`, and with both inputs the tasks `image` and
    `text` as well: what the same weights answer where only that input is given.

    Args:
        unimodal_weight: of the loss of each of those answers, beside that of `main`; without them the input that is
            learned sooner keeps the other from being learned (Wang et al. 2020, arXiv:1905.12681). 0 for none.
        arguments: of `MultimodalClassifier`; the head is one that takes missing modalities, as `GatedFusionHead`.
    """

    def __init__(self, *, unimodal_weight: float, **arguments: Any) -> None:
        super().__init__(**arguments)
        takes_missing = isinstance(self.head, Head) and self.head.takes_missing
        require(
            takes_missing, "head", type(self.head).__name__, "one that takes missing modalities, as GatedFusionHead"
        )
        require(unimodal_weight >= 0, "unimodal_weight", unimodal_weight, "at least 0")
        self.unimodal_weight = unimodal_weight

    def present(self, batch: Batch) -> dict[str, Tensor]:
        """Whether each row has an input, bool [B]."""
        shape, device = batch["index"].shape, batch["index"].device
        everywhere = torch.ones(shape, dtype=torch.bool, device=device)
        return {name: batch.get(f"{name}_present", everywhere) for name in self.encoders}

    def forward(self, batch: Batch) -> Tensor:
        return self._logits(batch, alone=False)[MAIN]

    def loss(self, batch: Batch) -> Tensor:
        logits = self._logits(batch, alone=self.unimodal_weight > 0)
        losses = {task: self.criterion(of_task, batch["target"]) for task, of_task in logits.items()}
        return losses.pop(MAIN) + self.unimodal_weight * sum(losses.values())

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        logits = self._logits(batch, alone=True)
        probabilities = {task: of_task.float().softmax(dim=1) for task, of_task in logits.items()}
        return {"index": batch["index"], "probabilities": probabilities, "present": self.present(batch)}

    def _logits(self, batch: Batch, *, alone: bool) -> dict[str, Tensor]:
        """Logits [B, C] by task; with `alone` those of each input too, if there are several."""
        embeddings, present = self.embeddings(batch), self.present(batch)
        views = {MAIN: present}
        if alone and len(present) > 1:
            nowhere = torch.zeros_like(batch["index"], dtype=torch.bool)
            views |= {name: {**dict.fromkeys(present, nowhere), name: rows} for name, rows in present.items()}
        return {task: self.head(embeddings, view) for task, view in views.items()}

    def table(self, outputs: Sequence[Mapping[str, Any]], data: DataModule, split: str) -> pd.DataFrame:
        """That of each task; rows that lack an input are in all tasks but that of this input."""
        parts = []
        for task in outputs[0]["probabilities"]:
            answers = [{"probabilities": {MAIN: output["probabilities"][task]}} for output in outputs]
            rows = classification_table(answers, data, split).assign(task=task)
            if task != MAIN:
                rows = rows[torch.cat([output["present"][task] for output in outputs]).cpu().numpy()]
            parts.append(rows)
        frame = pd.concat(parts, ignore_index=True)
        frame.attrs = {"classes": dict.fromkeys(frame["task"].unique(), data.classes[MAIN]),
                       "slices": data.slice_categories()}  # fmt: skip
        return frame
