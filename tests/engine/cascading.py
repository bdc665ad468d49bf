"""Three generations on digits: a cascade of a filter and a stack, which itself is made of two members."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from hallmark.data.module import DataModule
from hallmark.learning.fitted.module import FittedModule
from hallmark.runs.metrics import MAIN
from hallmark.runs.parents import Use

PRESET = """# @package _global_
defaults: [base/digits, override /model: null, override /callbacks: progress]
name: cascade
data: {classes: ['0', '1', '2'], split: {calibration: 0.2, meta: 0.2}}
model: {_target_: tests.engine.cascading.Cascade, classes: "${data.classes}", split: calibration}
parents:
  filter: {experiment: digits_classifier, overrides: [model.width=1, trainer.max_epochs=2]}
  stack:
    experiment: digits_stack
    overrides:
      - model.rows=meta
      - model.members=[narrow,plain]
      - ~parents.wide
      - parents.narrow.overrides=['model.width=2','trainer.max_epochs=2']
      - parents.plain.overrides=['model.width=3','trainer.max_epochs=2']
"""
TYPED = ["experiment=cascade", "trusted_packages=[tests]", "callbacks.progress=null"]
RUNS = {"digits_classifier": 3, "digits_stack": 1, "cascade": 1}
"""How many runs of each name the command makes."""


def write_preset(folder: Path) -> Path:
    """`folder`, with the preset of the cascade."""
    (folder / "experiment").mkdir(parents=True)
    (folder / "experiment" / "cascade.yaml").write_text(PRESET)
    return folder


class Cascade(FittedModule):
    """The filter answers where it is surer than for half of the rows of `split`, the stack elsewhere."""

    def __init__(self, *, classes: Sequence[str], split: str) -> None:
        super().__init__()
        self.classes, self.split, self.threshold = list(classes), split, 1.0

    @classmethod
    def parent_roles(cls, arguments: Mapping[str, Any]) -> Mapping[str, Use]:
        return {"filter": Use.WEIGHTS, "stack": Use.WEIGHTS}

    @classmethod
    def unread_splits(cls, arguments: Mapping[str, Any]) -> frozenset[str]:
        return frozenset({"calibration", "meta"}) - {arguments["split"]}

    @property
    def inputs(self) -> dict[str, None]:
        return {"image": None}

    def fit(self, predict: Callable[[str], list[Any]], data: DataModule) -> Mapping[str, Any]:
        return {"threshold": torch.cat([batch["confidence"] for batch in predict(self.split)]).median().item()}

    def load(self, state: Mapping[str, Any]) -> None:
        self.threshold = state["threshold"]

    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Any]:
        early, late = (
            self.parents[role].predict_step(batch, batch_idx)["probabilities"][MAIN].double()
            for role in ("filter", "stack")
        )
        confidence = early.max(dim=1).values
        return {
            "confidence": confidence,
            "probabilities": {MAIN: torch.where((confidence > self.threshold)[:, None], early, late)},
        }
