"""The classification module: encoders, a head, cross-entropy, epoch metrics."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from lightning import LightningModule
from lightning.pytorch.strategies import FSDPStrategy
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torchmetrics import MeanMetric, Metric
from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

from hallmark.checks import require
from hallmark.features.store import weights_digest
from hallmark.learning.encoders.base import Encoder
from hallmark.learning.optim import Optimizer
from hallmark.learning.ranks import of_all_ranks

Batch = dict[str, Any]

_MEAN_STATE = ("mean_value", "weight")  # of a torchmetrics `MeanMetric`


class ClassificationModule(LightningModule):
    """Base of the systems' classifiers.

    A batch is a mapping with `index` and `target` (int64 [B], −1 where unlabelled) and the inputs.
    Frozen encoders are not written to checkpoints: their hash is, and loading verifies it. (FSDP writes them whole.)

    Args:
        classes: class names in the order of the logits.
        encoders: towers by modality; empty for a model without any.
        head: everything that starts from random values.
        optimizer: recipe; None for a model that is solved and not trained by steps.
        freeze_epochs: epochs at the start in which the encoders stand still.
        label_smoothing: ε of Szegedy et al. 2016.
        class_balance: exponent b of the class weights (N / C·n_c)^b; 0 weighs rows alike, 1 classes alike.
    """

    def __init__(
        self, *, classes: Sequence[str], encoders: Mapping[str, Encoder], head: nn.Module, optimizer: Optimizer | None,
        freeze_epochs: int, label_smoothing: float, class_balance: float,
    ) -> None:  # fmt: skip
        super().__init__()
        require(freeze_epochs >= 0, "freeze_epochs", freeze_epochs, "at least 0")
        require(0 <= label_smoothing < 1, "label_smoothing", label_smoothing, "in [0, 1)")
        require(0 <= class_balance <= 1, "class_balance", class_balance, "an exponent in [0, 1]")
        self.classes, self.optimizer_recipe = list(classes), optimizer
        self.encoders, self.head = nn.ModuleDict(encoders), head
        self.freeze_epochs, self.label_smoothing, self.class_balance = freeze_epochs, label_smoothing, class_balance
        self.register_buffer("class_weights", torch.ones(len(classes)))
        self.train_loss = MeanMetric()
        self.val_loss = MeanMetric()
        self.val_accuracy = MulticlassAccuracy(len(classes), average="micro")
        self.val_macro_f1 = MulticlassF1Score(len(classes), average="macro")

    @property
    def validation_metrics(self) -> dict[str, Metric]:
        """Every metric of the validation rows by the name it is logged under; what a fit may be steered by."""
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
            counts = self.trainer.datamodule.rows("train")["target"].value_counts()  # type: ignore[attr-defined]
            n = torch.tensor([max(1, counts.get(name, 0)) for name in self.classes], dtype=torch.float32)
            self.class_weights = (n.sum() / (len(n) * n)) ** self.class_balance

    def on_train_start(self) -> None:
        self._hold_encoders()

    def on_train_epoch_start(self) -> None:
        self.train_loss.reset()
        self._hold_encoders()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss = self.loss(batch)
        self.train_loss.update(loss.detach(), len(batch["target"]))
        self.log("train/loss", self.train_loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        logits, target = self(batch), batch["target"]
        self.val_loss.update(cross_entropy(logits, target), len(target))
        self.val_accuracy.update(logits, target)
        self.val_macro_f1.update(logits, target)
        self.log_dict(self.validation_metrics)

    def predict_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """`index` [B] and `probabilities` [B, C]."""
        return {"index": batch["index"], "probabilities": self(batch).float().softmax(dim=1)}

    def configure_optimizers(self) -> Any:
        if self.optimizer_recipe is None:
            return None
        return self.optimizer_recipe.build(self.encoders, self.head, int(self.trainer.estimated_stepping_batches))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        # Of every rank, so that a run interrupted within an epoch ends with the same training loss.
        checkpoint["train_loss"] = of_all_ranks([float(getattr(self.train_loss, name)) for name in _MEAN_STATE])
        if isinstance(self.trainer.strategy, FSDPStrategy):
            checkpoint["frozen_encoders"] = None  # all are in the checkpoint: here are only parts of them to hash
            return
        frozen = self._frozen()
        prefixes = tuple(f"encoders.{name}." for name in frozen)
        state = checkpoint["state_dict"]
        checkpoint["state_dict"] = {k: v for k, v in state.items() if not prefixes or not k.startswith(prefixes)}
        checkpoint["frozen_encoders"] = {name: weights_digest(encoder) for name, encoder in frozen.items()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        for name, value in zip(_MEAN_STATE, checkpoint["train_loss"][self.global_rank], strict=True):
            setattr(self.train_loss, name, torch.tensor(value, device=self.device))
        if checkpoint["frozen_encoders"] is None:
            return
        for name, encoder in self._frozen().items():
            expected = checkpoint["frozen_encoders"].get(name)
            if expected != weights_digest(encoder):
                raise ValueError(f"model.encoders.{name}: its frozen weights are not those this run was trained on")
            prefix = f"encoders.{name}."
            checkpoint["state_dict"] |= {prefix + key: value for key, value in encoder.state_dict().items()}

    def _frozen(self) -> dict[str, Encoder]:
        return {name: tower for name, tower in self.encoders.items() if tower.frozen}  # type: ignore[misc]

    def _hold_encoders(self) -> None:
        # The optimizer's parameters, because requires_grad says only what is held at this epoch.
        groups = [group for optimizer in self.trainer.optimizers for group in optimizer.param_groups]
        trained = {id(parameter) for group in groups for parameter in group["params"]}
        held = self.current_epoch < self.freeze_epochs
        for parameter in self.encoders.parameters():
            if id(parameter) in trained:
                parameter.requires_grad_(not held)
        for encoder in self.encoders.values():
            encoder.train(not held)  # evaluation mode holds batch statistics and dropout as well
