"""AdamW with a learning-rate schedule by step."""

import math
from collections.abc import Iterator
from typing import Any

from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from hallmark.checks import require

_SCHEDULES = ("constant", "linear", "cosine")


class Optimizer:
    """Recipe for AdamW (Loshchilov & Hutter 2019); biases and norms do not decay.

    Args:
        lr: of the pretrained encoders.
        lr_scale: multiplies `lr`; above 1 for the sample profile's small networks, which take larger steps.
        head_lr: of everything that starts from random values.
        weight_decay: of weights with two or more dimensions.
        schedule: constant, linear or cosine decay to 0 after warm-up.
        warmup: share of all steps with linearly rising rate.
    """

    def __init__(
        self, *, lr: float, lr_scale: float, head_lr: float, weight_decay: float, schedule: str, warmup: float
    ) -> None:
        require(lr > 0, "lr", lr, "above 0")
        require(lr_scale > 0, "lr_scale", lr_scale, "above 0")
        require(head_lr > 0, "head_lr", head_lr, "above 0")
        require(weight_decay >= 0, "weight_decay", weight_decay, "at least 0")
        require(schedule in _SCHEDULES, "schedule", schedule, f"one of {', '.join(_SCHEDULES)}")
        require(0 <= warmup < 1, "warmup", warmup, "a share of the steps in [0, 1)")
        self.lr, self.head_lr, self.weight_decay = lr * lr_scale, head_lr, weight_decay
        self.schedule, self.warmup = schedule, warmup

    def build(self, encoders: nn.Module, head: nn.Module, total_steps: int) -> dict[str, Any]:
        """What `LightningModule.configure_optimizers` returns; `total_steps` of the whole fit."""
        groups = [*self._groups(encoders, self.lr), *self._groups(head, self.head_lr)]
        optimizer = AdamW([group for group in groups if group["params"]])
        scheduler = LambdaLR(optimizer, lambda step: self.factor(step, total_steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def factor(self, step: int, total_steps: int) -> float:
        """Multiplier of the learning rate at `step`, in [0, 1]."""
        rising = self.warmup * total_steps
        if step < rising:
            return (step + 1) / (rising + 1)
        progress = (step - rising) / max(1, total_steps - rising)
        if self.schedule == "constant":
            return 1.0
        if self.schedule == "linear":
            return max(0.0, 1 - progress)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))

    def _groups(self, module: nn.Module, lr: float) -> Iterator[dict[str, Any]]:
        parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        yield {"params": [p for p in parameters if p.ndim >= 2], "lr": lr, "weight_decay": self.weight_decay}
        yield {"params": [p for p in parameters if p.ndim < 2], "lr": lr, "weight_decay": 0.0}
