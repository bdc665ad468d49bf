"""What every module is that predicts, and every one that is trained: encoders, a head, an optimizer."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import pandas as pd
from lightning import LightningModule, Trainer
from lightning.pytorch.strategies import FSDPStrategy
from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric

from hallmark.checks import UserError, require
from hallmark.data.module import DataModule
from hallmark.features.store import weights_digest
from hallmark.learning.encoders.base import Encoder
from hallmark.learning.optim import Optimizer
from hallmark.learning.tables import classification_table
from hallmark.runs.metrics import MAIN, UNLABELLED
from hallmark.runs.parents import Use
from hallmark.statistics.resampling import Resampling

Batch = dict[str, Any]


class PredictingModule(LightningModule, ABC):
    """Base of the systems' modules: what they read, and what becomes of their predictions.

    Attributes:
        calls: of outside services in the latest pass over a split, counted; {} where there were none.
        parents: by role the modules of the runs that this one is made with, once it was built: with their selected
            weights, without gradients, in evaluation mode, and on the device of this one. They are no part of its
            parameters, its state and its checkpoints.
        out_of_fold: by role the predictions of the training rows out of fold, of each parent of that use.
        has_thresholds: whether `answers` gives verdicts by thresholds of the run, which have no mean over several runs.
    """

    calls: Mapping[str, Any] = MappingProxyType({})
    parents: "Mapping[str, PredictingModule]" = MappingProxyType({})
    out_of_fold: Mapping[str, pd.DataFrame] = MappingProxyType({})
    has_thresholds = False

    @classmethod
    def parent_roles(cls, arguments: Mapping[str, Any]) -> Mapping[str, Use]:
        """The roles of other runs that a module of these arguments is made with, and what it takes of each."""
        return {}

    @classmethod
    def unread_splits(cls, arguments: Mapping[str, Any]) -> frozenset[str]:
        """Splits of its data that a module of these arguments reads nothing of, so that a parent may have been fitted
        on their rows: reading one is refused."""
        return frozenset()

    def attach_parents(self, parents: "Mapping[str, PredictingModule]") -> None:
        """Take the built module of every role; a subclass may refuse one that does not fit by a `SettingError`."""
        self.parents = dict(parents)  # in a mapping of its own, where torch does not look for submodules

    @property
    def parent_inputs(self) -> "dict[str, Encoder | None]":
        """The inputs of all parents as `<role>.<input>`, since two may want to see one input in different ways."""
        inputs = {role: parent.inputs for role, parent in self.parents.items()}
        return {f"{role}.{name}": encoder for role, names in inputs.items() for name, encoder in names.items()}

    def parent_batch(self, role: str, batch: Batch) -> Batch:
        """What the parent `role` sees of a batch made for `parent_inputs`: what is named `<role>.<input>` there, and
        what is no parent's, such as `index`, `target` and inputs that the data gives to every model."""
        prefix, prefixes = f"{role}.", tuple(f"{parent}." for parent in self.parents)
        shared = {name: value for name, value in batch.items() if not name.startswith(prefixes)}
        return shared | {name.removeprefix(prefix): batch[name] for name in batch if name.startswith(prefix)}

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)
        for parent in self.parents.values():
            parent._apply(fn, recurse)
            tensor = next(chain(parent.parameters(), parent.buffers()), None)
            if tensor is not None:
                parent.to(tensor.device)  # so that Lightning's note of the device is right as well
        return self

    @property
    def trained_on(self) -> dict[str, str]:
        """The generated data that weights were trained on before, by the setting that they are of."""
        return {}

    @property
    @abstractmethod
    def inputs(self) -> dict[str, Encoder | None]:
        """What the module wants to see of a sample: its encoder for each modality, or None for raw content."""

    @abstractmethod
    def predict_step(self, batch: Any, batch_idx: int) -> Any:
        """What `table` needs of a batch; for a classifier `probabilities` {task: [B, C]}."""

    def table(self, outputs: Sequence[Any], data: DataModule, split: str) -> pd.DataFrame:
        """The predictions table of `split` from what `predict_step` gave for all its batches in order."""
        return classification_table(outputs, data, split)

    def predict_new(self, predict: "Predict", data: DataModule) -> pd.DataFrame:
        """The predictions table of new files, all rows of `data`.

        By default that of what it predicts of all of them. A module that need not ask its parents about every row
        overrides it.
        """
        return self.table(predict(self, None), data, UNLABELLED)

    def answers(self, table: pd.DataFrame, resampling: Resampling) -> pd.DataFrame:
        """What is said of new files: rows of their predictions table, with further columns that explain them.

        By default those of the task `main`, or of all where there is none.

        Args:
            resampling: of intervals, where an answer has one.
        """
        return table[table["task"] == MAIN] if MAIN in set(table["task"]) else table


Predict = Callable[[PredictingModule, Sequence[int] | None], list[Any]]
"""(module, positions of rows, None for all) → what its `predict_step` gives for each batch of these rows, in order."""


class TrainingFreeModule(PredictingModule):
    """Base of the modules in which nothing is fitted by steps: they are calibrated, and measured as they are.

    Attributes:
        state_files: names of the files that `calibrate` may write below the run's folder and `attach_run` reads. Their
            hashes are recorded: a file that was changed later is refused, and the seal and a release name them.
        selects_on_val: whether `calibrate` may choose among settings by the validation rows, as a fit chooses its
            checkpoint; it fits nothing on them.
    """

    state_files: tuple[str, ...] = ()
    selects_on_val = False

    @property
    def measured(self) -> Mapping[str, Sequence[str]]:
        """Names of the metrics of each task of its predictions; {} where only these will tell."""
        return {}

    def check_data(self, data: DataModule) -> None:
        """Refuse rows that `calibrate` could do nothing with; called before parents are made, which may take long.

        Raises:
            SettingError: it could not; the key is the whole path of a setting.
        """

    def data_warnings(self, data: DataModule) -> list[str]:
        """Sentences on rows that `calibrate` takes and that mean less than they seem to; the record keeps them."""
        return []

    @abstractmethod
    def attach_run(self, directory: Path) -> None:
        """Work for the run in `directory`: read its calibration if there is one, and keep there what is predicted
        as it comes, so that a run that was stopped goes on."""

    @abstractmethod
    def calibrate(self, predict: Callable[[str], list[Any]], data: DataModule) -> None:
        """Choose what is to be chosen by `predict` of splits that are not measured, and write it down; does nothing
        where that was done."""


class MeanLoss(MeanMetric):
    """Mean loss over rows, of batches whose mean loss is a scalar.

    That of torchmetrics looks for nan at each update, for which a step on a GPU has to wait; `FiniteLoss` does already.
    """

    def update(self, value: Tensor, weight: int) -> None:  # type: ignore[override]
        self.mean_value += value.to(self.mean_value.dtype) * weight
        self.weight += weight


class TrainableModule(PredictingModule):
    """Base of the modules that are fitted.

    Frozen encoders are not written to checkpoints: their hash is, and loading verifies it. (FSDP writes them whole.)

    Args:
        encoders: encoders by modality; empty for a model without any.
        head: everything that starts from random values.
        optimizer: recipe; None for a model that is solved and not trained by steps.
        freeze_epochs: epochs at the start in which the encoders are frozen.
    """

    def __init__(
        self, *, encoders: Mapping[str, Encoder], head: nn.Module, optimizer: Optimizer | None, freeze_epochs: int
    ) -> None:
        super().__init__()
        require(freeze_epochs >= 0, "freeze_epochs", freeze_epochs, "at least 0")
        self.encoders, self.head = nn.ModuleDict(encoders), head
        self.optimizer_recipe, self.freeze_epochs = optimizer, freeze_epochs
        self.train_loss = MeanLoss()

    @property
    def trained_on(self) -> dict[str, str]:
        origins = {name: encoder.trained_on for name, encoder in self.encoders.items()}
        return {f"model.encoders.{name}": str(origin) for name, origin in origins.items() if origin}

    def encoded(self, name: str, batch: Batch) -> Tensor:
        """Embeddings [B, D] of the input `name`, from the feature store where the batch brings them."""
        features: Tensor | None = batch.get(f"{name}_features")
        return self.encoders[name](batch[name]) if features is None else features

    @property
    @abstractmethod
    def validation_metrics(self) -> dict[str, Metric]:
        """Every metric of the validation rows by the name it is logged under; what a fit may be steered by."""

    def check_trainer(self, trainer: Trainer) -> None:
        """Refuse a trainer by which the module cannot be fitted as it says; called before parents are made.

        Raises:
            SettingError: it cannot; the key is the whole path of a setting.
        """

    @property
    def loss_name(self) -> str:
        """What the loss is called of which the gradient is taken next."""
        return "train/loss"

    @property
    def optimizer_names(self) -> list[str]:
        """Names of the optimizers in their order where there are several."""
        return []

    def epoch_figures(self, epoch: int) -> Mapping[str, Any]:
        """Pictures of the weights after `epoch` by name, which the callback `pictures` writes and shows; {} for none.

        Matplotlib figures, or arrays [H, W] or [H, W, 3] of bytes, or of floats from 0 to 1. Asked for on rank zero, in
        evaluation mode, under `no_grad`, with seeds that are of the run's seed and the epoch.
        """
        return {}

    def figures(self) -> Mapping[str, Any]:
        """Pictures of the selected weights by name, as `epoch_figures` gives them; the run keeps them in `figures/`."""
        return {}

    def training_logs(self) -> dict[str, pd.DataFrame]:
        """What else a fit leaves beside its run: tables by the name of their file."""
        return {}

    def on_train_start(self) -> None:
        self.__freeze_encoders()

    def on_train_epoch_start(self) -> None:
        self.train_loss.reset()
        self.__freeze_encoders()

    def log_train_loss(self, loss: Tensor, size: int) -> None:
        """Count the mean loss of `size` rows for the epoch's mean."""
        self.train_loss.update(loss.detach(), size)
        self.log("train/loss", self.train_loss, on_step=False, on_epoch=True)

    def configure_optimizers(self) -> Any:
        if self.optimizer_recipe is None:
            return None
        return self.optimizer_recipe.build(self.encoders, self.head, int(self.trainer.estimated_stepping_batches))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if isinstance(self.trainer.strategy, FSDPStrategy):
            checkpoint["frozen_encoders"] = None  # all are in the checkpoint: here are only parts of them to hash
            return
        frozen = self.__frozen()
        prefixes = tuple(f"encoders.{name}." for name in frozen)
        state = checkpoint["state_dict"]
        checkpoint["state_dict"] = {k: v for k, v in state.items() if not prefixes or not k.startswith(prefixes)}
        checkpoint["frozen_encoders"] = {name: weights_digest(encoder) for name, encoder in frozen.items()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if checkpoint["frozen_encoders"] is None:
            return
        for name, encoder in self.__frozen().items():
            expected = checkpoint["frozen_encoders"].get(name)
            if expected != weights_digest(encoder):
                raise UserError(f"model.encoders.{name}: its frozen weights are not those this run was trained on")
            prefix = f"encoders.{name}."
            checkpoint["state_dict"] |= {prefix + key: value for key, value in encoder.state_dict().items()}

    def __frozen(self) -> dict[str, Encoder]:
        return {name: encoder for name, encoder in self.encoders.items() if encoder.frozen}  # type: ignore[misc]

    def __freeze_encoders(self) -> None:
        # The optimizer's parameters, because requires_grad says only what is held at this epoch.
        groups = [group for optimizer in self.trainer.optimizers for group in optimizer.param_groups]
        trained = {id(parameter) for group in groups for parameter in group["params"]}
        held = self.current_epoch < self.freeze_epochs
        for parameter in self.encoders.parameters():
            if id(parameter) in trained:
                parameter.requires_grad_(not held)
        for encoder in self.encoders.values():
            encoder.train(not held)  # evaluation mode holds batch statistics and dropout as well
