"""The classification module of one task: encoders, a head, cross-entropy, epoch metrics."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchmetrics import MeanMetric, Metric
from torchmetrics.classification import MulticlassAccuracy

from hallmark.checks import require
from hallmark.learning.encoders.base import Encoder
from hallmark.learning.module import Batch, TrainableModule
from hallmark.learning.optim import Optimizer
from hallmark.learning.tasks import MacroF1
from hallmark.runs.metrics import MAIN


class ClassificationModule(TrainableModule):
    """Base of the systems' classifiers.

    A batch is a mapping with `index` and `target` (int64 [B], −1 where unlabelled) and the inputs.

    Args:
        classes: class names in the order of the logits.
        label_smoothing: ε of Szegedy et al. 2016.
        class_balance: exponent of `class_weights`.
        encoders, head, optimizer, freeze_epochs: of `TrainableModule`.
    """

    def __init__(
        self, *, classes: Sequence[str], encoders: Mapping[str, Encoder], head: nn.Module, optimizer: Optimizer | None,
        freeze_epochs: int, label_smoothing: float, class_balance: float,
    ) -> None:  # fmt: skip
        super().__init__(encoders=encoders, head=head, optimizer=optimizer, freeze_epochs=freeze_epochs)
        check_criterion(label_smoothing, class_balance)
        self.classes = list(classes)
        self.label_smoothing, self.class_balance = label_smoothing, class_balance
        self.register_buffer("class_weights", torch.ones(len(classes)))
        self.val_loss = MeanMetric()
        self.val_accuracy = MulticlassAccuracy(len(classes), average="micro")
        self.val_macro_f1 = MacroF1(len(classes))

    @property
    def validation_metrics(self) -> dict[str, Metric]:
        return {"val/loss": self.val_loss, "val/accuracy": self.val_accuracy, "val/macro_f1": self.val_macro_f1}

    @abstractmethod
    def forward(self, batch: Batch) -> Tensor:
        """Logits [B, C]."""

    def loss(self, batch: Batch) -> Tensor:
        return self.criterion(self(batch), batch["target"])

    def criterion(self, logits: Tensor, target: Tensor) -> Tensor:
        return cross_entropy(logits, target, self.class_weights, label_smoothing=self.label_smoothing)

    def setup(self, stage: str) -> None:
        if stage == "fit":
            data = self.trainer.datamodule  # type: ignore[attr-defined]
            self.class_weights = class_weights(data.class_counts(MAIN), self.class_balance)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss = self.loss(batch)
        self.log_train_loss(loss, len(batch["target"]))
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        logits, target = self(batch), batch["target"]
        self.val_loss.update(cross_entropy(logits, target), len(target))
        self.val_accuracy.update(logits, target)
        self.val_macro_f1.update(logits, target)
        self.log_dict(self.validation_metrics)

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Any]:
        return {"index": batch["index"], "probabilities": {MAIN: self(batch).float().softmax(dim=1)}}


def check_criterion(label_smoothing: float, class_balance: float) -> None:
    """Raise `SettingError` unless both are what a cross-entropy takes."""
    require(0 <= label_smoothing < 1, "label_smoothing", label_smoothing, "in [0, 1)")
    require(0 <= class_balance <= 1, "class_balance", class_balance, "an exponent in [0, 1]")


def class_weights(counts: Sequence[int], balance: float) -> Tensor:
    """(N / C·n_c)^balance of the training rows n_c of each class, [C]; 0 weighs rows alike, 1 classes alike."""
    n = torch.tensor(counts, dtype=torch.float32).clamp(min=1)
    return (n.sum() / (len(n) * n)) ** balance
