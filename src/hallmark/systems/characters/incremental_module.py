"""The study of roles that come in stages, as a run: what each method answers, and the answers of one of them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from hallmark.checks import UserError, require, setting
from hallmark.data.module import DataModule
from hallmark.features.store import weights_digest
from hallmark.learning.encoders.base import Encoder, ImageEncoder
from hallmark.learning.fitted.module import FittedModule
from hallmark.learning.module import Batch
from hallmark.runs.metrics import MAIN
from hallmark.systems.characters.incremental import study, summary
from hallmark.systems.characters.learner import Learner
from hallmark.systems.characters.methods import METHODS, default_learner


class IncrementalStudy(FittedModule):
    """Answers by what `method` has learned of all training rows.

    Beside the run are `stages.csv`, a row for each method, order and stage of the study on the validation rows, and
    `incremental.csv`, its measures by method and order. Nothing is fitted to validation rows, and none of their
    measures chooses anything. Probabilities are the softmax of logits that nobody has calibrated.

    Args:
        classes: names of the characters.
        encoder: builds that of pictures, which is frozen.
        method: of `OnlineLearningSystem`, with its default settings.
        first: classes of the first stage, and `then` those of each later one; the last has what is left.
        orders: in which the classes come, drawn from `seed`.
    """

    selects_on_val = True  # which lets the study read them

    def __init__(
        self, *, classes: Sequence[str], encoder: Callable[[], ImageEncoder], method: str, first: int, then: int,
        orders: int, seed: int,
    ) -> None:  # fmt: skip
        super().__init__()
        require(method in METHODS, "method", method, f"one of {', '.join(METHODS)}")
        require(first >= 2, "first", first, "at least 2")
        require(then >= 1, "then", then, "at least 1")
        require(orders >= 1, "orders", orders, "at least 1")
        with setting("encoder"):
            self.encoder = encoder()
        self.encoder.freeze()
        self.classes, self.method, self.orders, self.seed = list(classes), method, orders, seed
        later = max(len(self.classes) - first, 0)
        steps = [then] * (later // then) + ([later % then] if later % then else [])
        self.stages = [min(first, len(self.classes)), *steps]
        self.learner: Learner | None = None
        self._tables: Mapping[str, pd.DataFrame] = {}

    @property
    def inputs(self) -> dict[str, Encoder | None]:
        return {"image": self.encoder}

    def fit(self, predict: Callable[[str], list[Any]], data: DataModule) -> Mapping[str, Any]:
        rows = {split: data.rows(split)["target"].to_numpy(str) for split in ("train", "val")}
        vectors = {
            split: torch.cat([batch["embedding"] for batch in predict(split)]).cpu().numpy()
            for split in ("train", "val")
        }
        learned, measured = ((vectors[split], rows[split]) for split in ("train", "val"))
        stages = study(learned, measured, stages=self.stages, orders=self.orders, seed=self.seed)
        return {
            "encoder": weights_digest(self.encoder), "vectors": vectors["train"], "labels": rows["train"].tolist(),
            "stages": {name: values.tolist() for name, values in stages.items()},
        }  # fmt: skip

    def load(self, state: Mapping[str, Any]) -> None:
        if state["encoder"] != weights_digest(self.encoder):
            raise UserError("encoder: another one than the study was made with")
        self.learner = default_learner(self.method, state["vectors"].shape[1])
        self.learner.add_all(state["vectors"], state["labels"])
        stages = pd.DataFrame(state["stages"])
        self._tables = {"stages": stages, "incremental": summary(stages).reset_index()}

    def training_logs(self) -> Mapping[str, pd.DataFrame]:
        return self._tables

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """The `embedding` [B, D], and once it is fitted `probabilities` {main: [B, C]}."""
        features: Tensor | None = batch.get("image_features")
        embedding = self.encoder(batch["image"]) if features is None else features
        if self.learner is None:
            return {"embedding": embedding}
        logits = np.full((len(embedding), len(self.classes)), -np.inf)
        logits[:, [self.classes.index(name) for name in self.learner.classes]] = self.learner.logits(
            embedding.float().cpu().numpy()
        )
        return {"embedding": embedding, "probabilities": {MAIN: torch.from_numpy(logits).softmax(dim=1)}}
