"""What body signals may suffer, in five strengths: the augmentation's operations at fixed strength."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from hallmark.checks import require
from hallmark.data.perturb import STRENGTHS
from hallmark.systems.touch import augment
from hallmark.systems.touch.augment import Window

Operation = Callable[[Window, float, np.random.Generator], Window]


@dataclass(frozen=True)
class SignalPerturbation:
    """One kind of change to normalised windows.

    Equal seeds draw alike at every strength, so that a curve over strengths shows the strength alone.

    Attributes:
        levels: the operation's argument at the strengths 1 to 5.
    """

    name: str
    operation: Operation
    levels: tuple[float, float, float, float, float]

    def at(self, strength: int) -> Callable[[Window, int], Window]:
        """The view of `strength` 1 to 5; raises ValueError for others."""
        require(strength in STRENGTHS, "strength", strength, f"1 to {STRENGTHS[-1]}")
        return partial(_changed, self.operation, self.levels[strength - 1])


def _changed(operation: Operation, level: float, window: Window, seed: int) -> Window:
    return operation(window, level, np.random.default_rng(seed))


PERTURBATIONS = {
    perturbation.name: perturbation
    for perturbation in (
        SignalPerturbation("crop", augment.cropped, (0.9, 0.75, 0.6, 0.45, 0.3)),
        SignalPerturbation("scale", augment.scaled, (1.1, 1.25, 1.5, 2.0, 3.0)),
        SignalPerturbation("noise", augment.noisy, (0.05, 0.1, 0.2, 0.4, 0.8)),
        SignalPerturbation("channel_drop", augment.with_lost_channels, (0.1, 0.2, 0.3, 0.45, 0.6)),
    )
}
