from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from lightning import LightningDataModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from hallmark.data.sampling import EpochSampler, SampleIndex
from hallmark.learning.classification import ClassificationModule
from hallmark.learning.encoders.base import Encoder
from hallmark.learning.optim import Optimizer
from hallmark.runs.metrics import MAIN

CLASSES = ["a", "b", "c"]


class ToyEncoder(Encoder):
    """Everything that could move: weights, batch statistics and dropout."""

    def __init__(self, *, frozen: bool = False, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.frozen, self.embedding_dim, self.preprocessing = False, 6, {}
        self.layers = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5))
        if frozen:
            self.freeze()

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class Classifier(ClassificationModule):
    @property
    def inputs(self) -> dict[str, Encoder | None]:
        return {"x": None}

    def forward(self, batch: dict[str, Any]) -> Tensor:
        return self.head(torch.cat([encoder(batch["x"]) for encoder in self.encoders.values()], dim=1))


class Rows(Dataset):
    """Whole batches by draws."""

    target = torch.tensor([0] * 12 + [1] * 8 + [2] * 4)
    x = torch.randn(24, 4, generator=torch.Generator().manual_seed(5)) + target[:, None]

    def __getitems__(self, draws: Sequence[SampleIndex]) -> dict[str, Tensor]:
        index = torch.tensor([draw.position for draw in draws])
        return {"index": index, "target": self.target[index], "x": self.x[index]}


def as_is(batch: Any) -> Any:
    return batch


class ToyData(LightningDataModule):
    """24 training rows of unequal classes in batches of 6, and 8 validation rows."""

    skip = 0

    def class_counts(self, task: str) -> list[int]:
        assert task == MAIN
        return Rows.target.bincount().tolist()

    def train_dataloader(self) -> DataLoader:
        return DataLoader(Rows(), 6, sampler=EpochSampler(24, seed=0, skip=self.skip), collate_fn=as_is)

    def state_dict(self) -> dict[str, Any]:
        progress = self.trainer.fit_loop.epoch_loop.batch_progress
        return {"used": 0 if progress.is_last_batch else 6 * progress.current.processed}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.skip = state_dict["used"]

    def val_dataloader(self) -> DataLoader:
        draws = [SampleIndex(position, 0) for position in range(0, 24, 3)]
        return DataLoader(Rows(), 8, sampler=draws, collate_fn=as_is)


@pytest.fixture
def classifier() -> Callable[..., Classifier]:
    def make(encoders: dict[str, Encoder] | None = None, *, seed: int = 0, **changes: Any) -> Classifier:
        encoders = {"image": ToyEncoder(seed=seed)} if encoders is None else encoders
        torch.manual_seed(seed)
        optimizer = Optimizer(lr=0.1, lr_scale=1.0, head_lr=0.1, weight_decay=0.1, schedule="constant", warmup=0.0)
        common = {"head": nn.Linear(6 * len(encoders), 3), "optimizer": optimizer, "freeze_epochs": 0,
                  "label_smoothing": 0.0, "class_balance": 0.0}  # fmt: skip
        return Classifier(classes=CLASSES, encoders=encoders, **{**common, **changes})

    return make


@pytest.fixture
def fit() -> Callable[..., Trainer]:
    """Fits a classifier on the toy data; gives the trainer."""

    def fit(module: Classifier, *callbacks: Any, epochs: int = 3, resume: Any = None) -> Trainer:
        trainer = Trainer(
            accelerator="cpu", max_epochs=epochs, callbacks=list(callbacks), num_sanity_val_steps=0, logger=False,
            enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        )  # fmt: skip
        trainer.fit(module, datamodule=ToyData(), ckpt_path=resume, weights_only=True)
        return trainer

    return fit


@pytest.fixture
def encoder() -> type[ToyEncoder]:
    return ToyEncoder
