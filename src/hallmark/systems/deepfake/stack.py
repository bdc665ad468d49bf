"""A stack of detectors: the mean of what its members answer, or a classifier that beats it."""

import logging
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from hallmark.checks import require
from hallmark.data.module import DataModule
from hallmark.learning.module import Batch
from hallmark.runs.metrics import MAIN
from hallmark.runs.parents import Use
from hallmark.statistics import Resampling
from hallmark.systems.deepfake.combined import CombinedDetectors
from hallmark.systems.deepfake.pooling import check_pooling
from hallmark.systems.deepfake.stackers import (
    STACKERS,
    Comparison,
    Features,
    choose_stacker,
    class_probabilities,
    comparison_table,
    fake_probability,
    logits_of,
)
from hallmark.systems.deepfake.tables import FAKE, detection_table
from hallmark.systems.deepfake.verdict import pooled_answers
from hallmark.wording import listed

log = logging.getLogger(__name__)


class DeepfakeStack(CombinedDetectors):
    """P(fake) from the logits of its members, which are its parents.

    The members' temperatures and every stacker are fitted on the rows that `rows` names, and compared there on grouped
    folds; the mean of the calibrated logits is used unless a stacker beats it (`choose_stacker`). `stack.csv` beside
    the run says how that went. Rows of the split `calibration` are left to thresholds, which hold on unseen rows alone.

    Args:
        classes: real and fake.
        members: roles of the parents.
        rows: `meta`, a split that the members have not seen, or `out_of_fold`, the training rows as refits of the
            members answer them that have not seen them.
        stackers: names from `STACKERS` in the order in which each has to beat what is used before it.
        embedding: member whose embedding the stacker of that name sees; None where it is not among them.
        strength: of the regularization, of `fit_stacker`.
        pooling: of the scores of frames, of `pool`.
        comparison: of the paired intervals.
    """

    def __init__(
        self, *, classes: Sequence[str], members: Sequence[str], rows: Literal["meta", "out_of_fold"],
        stackers: Sequence[str], embedding: str | None, strength: float, pooling: str, comparison: Resampling,
    ) -> None:  # fmt: skip
        super().__init__(classes)
        require(len(set(members)) == len(members) >= 2, "members", list(members), "two or more different roles")
        known = set(stackers) <= set(STACKERS) and len(set(stackers)) == len(stackers)
        require(known, "stackers", list(stackers), f"different ones of {', '.join(STACKERS)}; [] for the mean alone")
        usable = "lightgbm" not in stackers or find_spec("lightgbm") is not None
        require(
            usable,
            "stackers",
            list(stackers),
            "others: LightGBM is not installed (pip install 'hallmark-experiments[boosting]')",
        )
        needed = "embedding" in stackers
        expected = "one of the members" if needed else "null, because no stacker of that name is asked for"
        require(embedding in members if needed else embedding is None, "embedding", embedding, expected)
        on_meta = not needed or rows == "meta"
        require(on_meta, "rows", rows, "meta, because refits have embeddings of different bases")
        require(strength > 0, "strength", strength, "more than 0")
        check_pooling("pooling", pooling)
        self.members, self.fitted_on = list(members), rows
        self.stackers, self.embedding, self.strength = list(stackers), embedding, strength
        self.pooling, self.comparison = pooling, comparison
        self.state: Mapping[str, Any] | None = None

    @classmethod
    def parent_roles(cls, arguments: Mapping[str, Any]) -> Mapping[str, Use]:
        use = Use.OUT_OF_FOLD if arguments["rows"] == "out_of_fold" else Use.WEIGHTS
        return dict.fromkeys(arguments["members"], use)

    @property
    def _fitted_split(self) -> str:
        return "train" if self.fitted_on == "out_of_fold" else "meta"

    def check_data(self, data: DataModule) -> None:
        rows = data.samples[data.samples["split"] == self._fitted_split]
        counts = {name: rows.loc[rows["target"] == name, "group"].nunique() for name in self.classes}
        counted = listed([f"{n} with {name} frames" for name, n in counts.items()])
        expected = f"two groups or more with either class, for folds that keep groups whole; there are {counted}"
        other = "" if self.fitted_on == "out_of_fold" else ". Or model.rows=out_of_fold"
        require(min(counts.values()) >= 2, f"data.split.{self._fitted_split}", len(rows), f"{expected}{other}")

    def fit(self, predict: Callable[[str], list[Any]], data: DataModule) -> Mapping[str, Any]:
        split = self._fitted_split
        rows = data.rows(split)
        if self.fitted_on == "out_of_fold":
            tables = [self.out_of_fold[role].query("task == @MAIN").set_index("id") for role in self.members]
            members = [logits_of(np.array(table.loc[rows["id"], "probabilities"].tolist())) for table in tables]
            features = Features(np.stack(members, axis=1))
        else:
            outputs = predict(split)
            embedding = np.concatenate([output["embedding"] for output in outputs]) if self.embedding else None
            features = Features(np.concatenate([output["logits"] for output in outputs]), embedding)
        fake, group = (rows["target"] == self.classes[FAKE]).to_numpy(), rows["group"].to_numpy()
        state, comparisons = choose_stacker(
            self.stackers, features, fake, group, strength=self.strength, resampling=self.comparison
        )
        for comparison in comparisons:
            log.info(comparison.sentence)
        return {**state, "comparisons": comparison_table(comparisons).to_dict("records")}

    def load(self, state: Mapping[str, Any]) -> None:
        assert len(state["slopes"]) == len(self.members), "a state of other members"
        self.state = state

    def training_logs(self) -> Mapping[str, pd.DataFrame]:
        """`stack`: each stacker that was compared, against what, and whether it is used."""
        assert self.state is not None
        comparisons = [Comparison(**row) for row in self.state["comparisons"]]
        return {"stack": comparison_table(comparisons)} if comparisons else {}

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        """`probabilities` {main: [B, 2]}, the members' `logits` [B, M], and the `embedding` [B, D] that is seen."""
        logits = np.stack([self._logits(role, batch, batch_idx) for role in self.members], axis=1)
        output: dict[str, Any] = {"index": batch["index"], "logits": logits}
        if self.embedding is not None:
            of_member = self.parent_batch(self.embedding, batch)
            output["embedding"] = self.parents[self.embedding].embedding(of_member).double().cpu().numpy()  # type: ignore[operator]
        fake = np.full(len(logits), 0.5)  # until it is fitted
        if self.state is not None:
            fake = fake_probability(self.state, Features(logits, output.get("embedding")))
        return {**output, "probabilities": {MAIN: torch.from_numpy(class_probabilities(fake))}}

    def table(self, outputs: Sequence[Any], data: DataModule, split: str) -> pd.DataFrame:
        return detection_table(outputs, data, split, self.pooling)

    def answers(self, table: pd.DataFrame, resampling: Resampling) -> pd.DataFrame:
        return pooled_answers(table, self.pooling, resampling)

    def _logits(self, role: str, batch: Batch, batch_idx: int) -> NDArray:
        output = self.parents[role].predict_step(self.parent_batch(role, batch), batch_idx)
        return logits_of(output["probabilities"][MAIN].double().cpu().numpy())
