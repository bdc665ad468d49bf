"""What a generative model is measured by while it is fitted: a distance between real and generated rows."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from hallmark.checks import require
from hallmark.statistics.metrics.sets import DISTANCES
from hallmark.storage.seeds import fold_in, fold_in_many

MAX_ROWS = 5000
"""Rows of each kind that a distance is of, unless a module says otherwise."""

_KEEP, _NOISE = 30, 31  # what seeds are for


def kept_rows(index: NDArray[np.int64], max_rows: int) -> NDArray[np.intp]:
    """Positions of at most `max_rows` of the rows `index` [N], in the order of the index.

    They are a draw that depends on the numbers alone: whatever batches or processes rows come from, and whatever else
    was left out before, the same ones are kept.
    """
    keys = fold_in_many(_KEEP, count=int(index.max(initial=-1)) + 1)[index]
    drawn: NDArray[np.intp] = np.argsort(keys, kind="stable")[:max_rows]
    return drawn[np.argsort(index[drawn], kind="stable")]


def row_noise(index: Tensor, size: int, *, seed: int) -> Tensor:
    """Standard normal numbers [B, size] for the rows `index` [B], on its device: of each row always the same.

    A generated row is then a function of the weights and of its number. The distance that selects an epoch is that of
    the stored predictions, and a validation leaves the training's random numbers alone.
    """
    rows = [np.random.default_rng(fold_in(_NOISE, seed, row)).standard_normal(size) for row in index.tolist()]
    return torch.tensor(np.array(rows).reshape(len(rows), size), dtype=torch.float32, device=index.device)


class SetDistance(Metric):
    """Distance between the real rows of an epoch and one generated row for each of them, in some space of features.

    Equals the metric of that name of the table that `two_sets_table` makes of the same rows, whatever batches and
    processes these come from.

    Args:
        distance: `kernel_distance` or `frechet_distance`.
        max_rows: of each kind; more are left out by `kept_rows`, which bounds memory and the time of an epoch's end.

    Raises:
        SettingError: another distance, or fewer than two rows.
    """

    is_differentiable, higher_is_better, full_state_update = False, False, False

    def __init__(self, distance: str = "kernel_distance", *, max_rows: int = MAX_ROWS, **settings: Any) -> None:
        super().__init__(**settings)
        require(distance in DISTANCES, "distance", distance, f"one of {', '.join(DISTANCES)}")
        require(max_rows >= 2, "max_rows", max_rows, "at least 2")
        self.distance, self.max_rows = DISTANCES[distance], max_rows
        self.index: list[Tensor]
        self.real: list[Tensor]
        self.generated: list[Tensor]
        for name in ("index", "real", "generated"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(self, index: Tensor, real: Tensor, generated: Tensor) -> None:
        """Add rows: their numbers int64 [B] in the split, and features [B, D] of each and of what is generated for it.

        Raises:
            ValueError: other shapes.
        """
        shapes = [tuple(part.shape) for part in (index, real, generated)]
        if len(shapes[0]) != 1 or len(shapes[1]) != 2 or shapes[1] != shapes[2] or shapes[0] != shapes[1][:1]:
            raise ValueError(f"numbers, real and generated features have the shapes {shapes}: give [B], [B, D], [B, D]")
        self.index.append(index)
        self.real.append(real.detach().float())
        self.generated.append(generated.detach().float())
        if sum(map(len, self.index)) > 2 * self.max_rows:
            drawn = kept_rows(dim_zero_cat(self.index).cpu().numpy(), self.max_rows)
            for name in ("index", "real", "generated"):
                setattr(self, name, [dim_zero_cat(getattr(self, name))[drawn]])

    def compute(self) -> Tensor:
        """The distance; nan of fewer than two rows, or of features that are not finite."""
        if not len(self.index):
            return torch.tensor(math.nan)
        index, *sets = (dim_zero_cat(part) for part in (self.index, self.real, self.generated))
        drawn = kept_rows(index.cpu().numpy(), self.max_rows)
        real, generated = (part.cpu().numpy()[drawn].astype(np.float64) for part in sets)
        finite = bool(np.isfinite(real).all() and np.isfinite(generated).all())
        value = self.distance(real, generated) if finite else math.nan
        return torch.tensor(value, dtype=torch.float32, device=index.device)
