"""What metrics of two sets are computed from, and what each of them offers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hallmark.statistics.metrics.classification import Floats, Integers

REAL, GENERATED = "real", "generated"


@dataclass(frozen=True, eq=False)
class Rows:
    """One of the two sets, N rows.

    Attributes:
        features: [N, D], of a fixed network.
        half: [N], 0 or 1; rows of one group are of one half, and so are a row and what was generated for it.
        target: [N], code of the class, -1 for none; of a generated row that which it was asked for.
        answer: [N], code of the class that the judge reads; -1 for another one.
        energy: [N], spectral energy near the Nyquist frequency.
        train_distance: [N], of the features to the nearest ones of a training row; nan where the rows are such rows.
    """

    features: Floats
    half: Integers
    target: Integers
    answer: Integers
    energy: Floats
    train_distance: Floats

    def __len__(self) -> int:
        return len(self.features)

    def where(self, mask: NDArray[np.bool_]) -> "Rows":
        """The rows of a mask [N]."""
        return replace(self, **{field.name: getattr(self, field.name)[mask] for field in fields(self)})


Blocks = tuple[Integers, Integers]
"""Of the real rows [N] and of the generated ones [M], which block 0 .. B - 1 each is of."""


class SetMetric(Protocol):
    """A number of real and generated rows.

    Attributes:
        name: as tables have it.
        low, high: the least and the largest value that it can have.
    """

    @property
    def name(self) -> str: ...

    @property
    def low(self) -> float: ...

    @property
    def high(self) -> float: ...

    def __call__(self, real: Rows, generated: Rows) -> float:
        """The value; nan where it is undefined, as where a set has fewer than two rows."""
        ...

    def without_blocks(self, real: Rows, generated: Rows, blocks: Blocks, n_blocks: int) -> Floats:
        """The values [B] without the rows of each block."""
        ...


def left(blocks: Blocks, n_blocks: int) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    """For each block which real rows [N] and which generated ones [M] are left without it."""
    return ((blocks[0] != block, blocks[1] != block) for block in range(n_blocks))


@dataclass(frozen=True)
class RowsMetric:
    """A metric that is computed anew of what is left without a block."""

    name: str
    low: float
    high: float
    value: Callable[[Rows, Rows], float]

    def __call__(self, real: Rows, generated: Rows) -> float:
        return self.value(real, generated)

    def without_blocks(self, real: Rows, generated: Rows, blocks: Blocks, n_blocks: int) -> Floats:
        remaining = left(blocks, n_blocks)
        return np.array([self.value(real.where(first), generated.where(second)) for first, second in remaining])
