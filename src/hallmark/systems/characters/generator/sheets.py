"""Sheets of drawn pictures: samples, what lies between two, and what less noise does."""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from hallmark.learning.callbacks.pictures import tiled
from hallmark.learning.sets import row_noise

TRUNCATIONS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25)
"""Factors of the noise, the columns of the sheet of each class."""

_SAMPLES, _ALONE, _STEPS = 6, 36, 8


class Draws(Protocol):
    """What a sheet is drawn by."""

    noise: int

    @property
    def device(self) -> torch.device: ...

    def drawn(self, noise: Tensor, target: Tensor) -> Tensor: ...


def samples_sheet(model: Draws, classes: Sequence[int]) -> Any:
    """Six pictures of each class below each other, or 36 of one class in a square."""
    if len(classes) == 1:
        return tiled(_pictures(model, _noise(model, _ALONE), list(classes) * _ALONE), 6)
    return tiled(_pictures(model, _noise(model, _SAMPLES * len(classes)), list(classes) * _SAMPLES), len(classes))


def interpolation_sheet(model: Draws, classes: Sequence[int]) -> Any:
    """For each class a row from one noise to another, both of standard normal length all the way."""
    ends = _noise(model, 2 * len(classes))
    angles = torch.linspace(0, torch.pi / 2, _STEPS, device=model.device)[:, None]
    rows = [angles.cos() * first + angles.sin() * last for first, last in ends.split(2)]
    return tiled(_pictures(model, torch.cat(rows), [number for number in classes for _ in range(_STEPS)]), _STEPS)


def truncation_sheet(model: Draws, classes: Sequence[int]) -> Any:
    """For each class a row of one noise times `TRUNCATIONS`: at 0 all pictures of a class are one."""
    factors = torch.tensor(TRUNCATIONS, device=model.device)[:, None]
    rows = [factors * noise for noise in _noise(model, len(classes))]
    n = len(TRUNCATIONS)
    return tiled(_pictures(model, torch.cat(rows), [number for number in classes for _ in range(n)]), n)


def _noise(model: Draws, n: int) -> Tensor:
    return row_noise(torch.arange(n, device=model.device), model.noise, seed=0)


def _pictures(model: Draws, noise: Tensor, classes: list[int]) -> Tensor:
    return model.drawn(noise, torch.tensor(classes, device=model.device))
