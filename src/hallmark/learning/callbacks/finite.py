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

    def __init__(self, what: str, trainer: Trainer, part: str | None = None) -> None:
        has_parts = bool(getattr(trainer.lightning_module, "optimizer_names", []))
        optimizer = f"model.optimizers.{part or '<part>'}" if has_parts else "model.optimizer"
        clipping = f"{optimizer}.gradient_clip_val" if has_parts else "trainer.gradient_clip_val"
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
    tensors = [term.detach().float() for term in terms.values()]
    # Asked at once, because on a GPU each question waits for the step.
    values = torch.stack(tensors).tolist() if len(tensors) > 1 else [tensors[0].item()]
    wrong = [f"{name} is {value}" for name, value in zip(terms, values, strict=True) if not math.isfinite(value)]
    if wrong:
        raise DivergedError(f"the loss {' and '.join(wrong)}", module.trainer, getattr(module, "stepping", None))


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
            parts = getattr(module, "optimizer_names", [])
            part = next((part for part in parts if wrong[0].startswith(f"head.{part}.")), None)
            raise DivergedError(f"{wrong[0]} has weights that are nan or infinite", trainer, part)
