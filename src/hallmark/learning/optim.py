"""Adam and AdamW with a learning-rate schedule by step; of one part of several."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from hallmark.checks import require
from hallmark.learning.device import ask_for_gpus_without_nvml

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
        betas: decay of the two moments; without weight decay this is Adam (Kingma & Ba 2015).
    """

    def __init__(
        self, *, lr: float, lr_scale: float, head_lr: float, weight_decay: float, schedule: str, warmup: float,
        betas: Sequence[float] = (0.9, 0.999),
    ) -> None:  # fmt: skip
        require(lr > 0, "lr", lr, "above 0")
        require(lr_scale > 0, "lr_scale", lr_scale, "above 0")
        require(head_lr > 0, "head_lr", head_lr, "above 0")
        require(weight_decay >= 0, "weight_decay", weight_decay, "at least 0")
        require(schedule in _SCHEDULES, "schedule", schedule, f"one of {', '.join(_SCHEDULES)}")
        require(0 <= warmup < 1, "warmup", warmup, "a share of the steps in [0, 1)")
        right = len(betas) == 2 and all(0 <= beta < 1 for beta in betas)
        require(right, "betas", list(betas), "two numbers in [0, 1)")
        self.lr, self.head_lr, self.weight_decay = lr * lr_scale, head_lr, weight_decay
        self.betas = (float(betas[0]), float(betas[1]))
        self.schedule, self.warmup = schedule, warmup

    def build(self, encoders: nn.Module, head: nn.Module, total_steps: int) -> dict[str, Any]:
        """What `LightningModule.configure_optimizers` returns; `total_steps` of the whole fit."""
        ask_for_gpus_without_nvml()
        groups = [*self._groups(encoders, self.lr), *self._groups(head, self.head_lr)]
        optimizer = AdamW([group for group in groups if group["params"]], betas=self.betas)
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
        if not self.weight_decay:  # nothing to tell apart, and a group costs time at each step
            yield {"params": parameters, "lr": lr, "weight_decay": 0.0}
            return
        yield {"params": [p for p in parameters if p.ndim >= 2], "lr": lr, "weight_decay": self.weight_decay}
        yield {"params": [p for p in parameters if p.ndim < 2], "lr": lr, "weight_decay": 0.0}


class PartOptimizer(Optimizer):
    """Recipe for one part of a model whose parts have an optimizer each.

    Args:
        lr, betas, weight_decay, schedule, warmup: of `Optimizer`; the schedule counts the steps of this part.
        every: takes a step in one of so many batches; for a generator the `n_critic` of Arjovsky et al. 2017.
        gradient_clip_val: largest norm of the part's gradient; None does not clip.
        ema_decay: of the moving average of the part's weights that is validated and predicts; None keeps none.
    """

    def __init__(
        self, *, lr: float, betas: Sequence[float] = (0.9, 0.999), weight_decay: float = 0.0,
        schedule: str = "constant", warmup: float = 0.0, every: int = 1, gradient_clip_val: float | None = None,
        ema_decay: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            lr=lr, lr_scale=1.0, head_lr=lr, weight_decay=weight_decay, schedule=schedule, warmup=warmup, betas=betas
        )
        require(every >= 1, "every", every, "a number of batches from 1")
        clips = gradient_clip_val is None or gradient_clip_val > 0
        require(clips, "gradient_clip_val", gradient_clip_val, "above 0, or null")
        require(ema_decay is None or 0 < ema_decay < 1, "ema_decay", ema_decay, "in (0, 1), or null")
        self.every, self.gradient_clip_val, self.ema_decay = every, gradient_clip_val, ema_decay
