"""A fit whose loss or weights stop being numbers ends there, with the checkpoint before it kept."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from hallmark.checks import Portable


class DivergedError(Portable, ValueError):
    """A loss, weight or monitored metric is nan or infinite."""

    def __init__(self, what: str, trainer: Trainer) -> None:
        parts = getattr(trainer.lightning_module, "optimizer_names", [])
        optimizer = f"model.optimizers.{parts[0]}" if parts else "model.optimizer"
        clipping = f"{optimizer}.gradient_clip_val" if parts else "trainer.gradient_clip_val"
        super().__init__(
            f"{what} in epoch {trainer.current_epoch}, after {trainer.global_step} steps. The last checkpoint before "
            f"it is kept. Try a smaller {optimizer}.lr, {clipping}, trainer.precision=32-true, or look for inputs that "
            "are not finite"
        )


def require_finite(terms: Mapping[str, Tensor], module: LightningModule) -> None:
    """Check the loss terms (scalars) of a step of `module`, by name.

    Raises:
        DivergedError: one is nan or infinite; the message names it.
    """
    values = torch.stack([term.detach().float() for term in terms.values()])
    if not torch.isfinite(values).all():  # asked at once, because on a GPU each question waits for the step
        named = zip(terms, values.tolist(), strict=True)
        wrong = [f"{name} is {value}" for name, value in named if not math.isfinite(value)]
        raise DivergedError(f"the loss {' and '.join(wrong)}", module.trainer)


class FiniteLoss(Callback):
    """Ends a fit with `DivergedError` at the first loss, before a checkpoint with weights, or after an epoch with a
    `metric` that is not a number. Modules of several terms name the term by `require_finite`."""

    def __init__(self, metric: str) -> None:
        self.metric = metric

    def on_before_backward(self, trainer: Trainer, module: LightningModule, loss: Tensor) -> None:
        require_finite({getattr(module, "loss_name", "train/loss"): loss}, module)

    def on_train_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        value = trainer.callback_metrics.get(self.metric)
        if value is not None and torch.isnan(value).any():
            raise DivergedError(f"{self.metric} is nan", trainer)

    def on_save_checkpoint(self, trainer: Trainer, module: LightningModule, checkpoint: dict[str, Any]) -> None:
        trained = [(name, parameter) for name, parameter in module.named_parameters() if parameter.requires_grad]
        wrong = [name for name, parameter in trained if not torch.isfinite(parameter).all()]
        if wrong:
            raise DivergedError(f"{wrong[0]} has weights that are nan or infinite", trainer)
