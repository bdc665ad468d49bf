"""A model that is solved and not trained: the mean picture of each class, by which it answers."""

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from hallmark.data.module import DataModule
from hallmark.learning.fitted.module import FittedModule
from hallmark.learning.module import Batch
from hallmark.runs.metrics import MAIN

MODEL = [
    "experiment=digits_classifier", "trusted_packages=[tests]", "callbacks=progress", "callbacks.progress=null",
    "data.classes=['0','1','2']", "data.split.calibration=0.2", "model._target_=tests.engine.centroids.Centroids",
    "~model.width", "~model.dropout", "~model.optimizer",
]  # fmt: skip


class Centroids(FittedModule):
    """The nearest class mean, with a softness that fits the rows of `calibration`.

    The environment variable KILLED_IN_FIT ends the process by SIGKILL when means are known and nothing is written.
    """

    def __init__(self, *, classes: Sequence[str]) -> None:
        super().__init__()
        self.classes = list(classes)
        self.means, self.softness = torch.zeros(len(classes), 1, 8, 8), 1.0

    @property
    def inputs(self) -> dict[str, None]:
        return {"image": None}

    def fit(self, predict: Callable[[str], list[Any]], data: DataModule) -> Mapping[str, Any]:
        batches = list(data.eval_dataloader("train"))
        images, target = (torch.cat([batch[name] for batch in batches]) for name in ("image", "target"))
        means = [images[target == label].mean(dim=0) for label in range(len(self.classes))]
        if os.environ.get("KILLED_IN_FIT"):
            os.kill(os.getpid(), signal.SIGKILL)
        self.means = torch.stack(means)
        distances = torch.cat([batch["distances"] for batch in predict("calibration")])
        return {"means": np.stack([mean.numpy() for mean in means]), "softness": float(distances.min(dim=1)[0].mean())}

    def load(self, state: Mapping[str, Any]) -> None:
        self.means, self.softness = torch.from_numpy(state["means"]), state["softness"]

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        distances = (batch["image"][:, None] - self.means).pow(2).sum(dim=(2, 3, 4))
        return {"distances": distances, "probabilities": {MAIN: (-distances / self.softness).softmax(dim=1)}}


class Unread(Centroids):
    """It says that it does not read what it is fitted on."""

    @classmethod
    def unread_splits(cls, arguments: Mapping[str, Any]) -> frozenset[str]:
        return frozenset({"calibration"})


class Choosing(Centroids):
    """It reads the rows that it is measured on."""

    def fit(self, predict: Callable[[str], list[Any]], data: DataModule) -> Mapping[str, Any]:
        return {**super().fit(predict, data), "val_rows": sum(len(batch["distances"]) for batch in predict("val"))}


class Selecting(Choosing):
    """It chooses by the validation rows, and says so."""

    selects_on_val = True
