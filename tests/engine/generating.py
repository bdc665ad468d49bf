"""A generative model that is fitted in a moment: digits as a linear function of noise, with their means and spreads."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torchmetrics import Metric

from hallmark.data.module import DataModule
from hallmark.learning.callbacks.pictures import tiled
from hallmark.learning.encoders.base import Encoder
from hallmark.learning.module import Batch, TrainableModule
from hallmark.learning.optim import Optimizer
from hallmark.learning.sets import SetDistance, row_noise
from hallmark.learning.tables import two_sets_table

NOISE = 8
PRESET = [
    "experiment=digits_classifier", "model._target_=tests.engine.generating.Generator", "trusted_packages=[tests]",
    "callbacks.progress=null", "callbacks.early_stopping=null", "trainer.max_epochs=3", "data.batch_size=240",
    "monitor.metric=val/kernel_distance", "monitor.mode=min", "monitor.second=val/frechet_distance",
]  # fmt: skip


class Generator(TrainableModule):
    """Takes the arguments of the classifier of digits, so that it fits its presets; `dropout` is of the noise."""

    def __init__(self, *, classes: Sequence[str], width: int, dropout: float, optimizer: Optimizer) -> None:
        head = nn.Sequential(nn.Dropout(dropout), nn.Linear(NOISE, 64))
        super().__init__(encoders={}, head=head, optimizer=optimizer, freeze_epochs=0)
        self.kernel, self.frechet = SetDistance("kernel_distance"), SetDistance("frechet_distance")

    @property
    def inputs(self) -> dict[str, Encoder | None]:
        return {"image": None}

    @property
    def validation_metrics(self) -> dict[str, Metric]:
        return {"val/kernel_distance": self.kernel, "val/frechet_distance": self.frechet}

    def forward(self, noise: Tensor) -> Tensor:
        return self.head(noise).sigmoid()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        real = batch["image"].flatten(1)
        generated = self(torch.randn(len(real), NOISE))
        loss = ((real.mean(0) - generated.mean(0)) ** 2).mean() + ((real.std(0) - generated.std(0)) ** 2).mean()
        self.log_train_loss(loss, len(real))
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        sets = self.predict_step(batch, batch_idx)
        for metric in self.validation_metrics.values():
            metric.update(batch["index"], sets["real"], sets["generated"])
        self.log_dict(self.validation_metrics)

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        generated = self(row_noise(batch["index"], NOISE, seed=0))
        return {"real": batch["image"].flatten(1)[:, ::5], "generated": generated[:, ::5]}

    def table(self, outputs: Sequence[Any], data: DataModule, split: str) -> pd.DataFrame:
        return two_sets_table(outputs, data, split)

    def epoch_figures(self, epoch: int) -> Mapping[str, Any]:
        # From the generators of torch and NumPy, which the callback seeds and puts back.
        images = self(torch.randn(6, NOISE)).reshape(6, 1, 8, 8)
        return {"digits": tiled(images, 3), "static": np.random.rand(8, 8)}
