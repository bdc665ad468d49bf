"""Distances beside those that real rows have from each other, at equal numbers of rows.

A distance of few rows is not 0 between two sets of one distribution, nor is it the same for other numbers of rows. Real
rows are therefore shared out into two halves: what their distance is, that of a half from as many generated rows is
compared with.
"""

import math
from dataclasses import dataclass

import numpy as np

from hallmark.statistics.metrics.classification import Floats
from hallmark.statistics.metrics.sets.distances import Distance, OfDistance
from hallmark.statistics.metrics.sets.rows import Blocks, Rows


class RealHalves(OfDistance):
    """Between the two halves of the real rows."""

    suffix = "_real"

    def __call__(self, real: Rows, generated: Rows) -> float:
        first, second = (real.features[real.half == half] for half in (0, 1))
        return self.distance(first, second)

    def without_blocks(self, real: Rows, generated: Rows, blocks: Blocks, n_blocks: int) -> Floats:
        masks = [real.half == half for half in (0, 1)]
        first, second = (real.features[mask] for mask in masks)
        return self.distance.without_blocks(first, second, (blocks[0][masks[0]], blocks[0][masks[1]]), n_blocks)


class AcrossHalves(OfDistance):
    """Between each half of the real rows and the generated rows of the other half, their mean."""

    suffix = "_halves"

    def __call__(self, real: Rows, generated: Rows) -> float:
        pairs = ((real.features[real.half == half], generated.features[generated.half != half]) for half in (0, 1))
        return sum(self.distance(*pair) for pair in pairs) / 2

    def without_blocks(self, real: Rows, generated: Rows, blocks: Blocks, n_blocks: int) -> Floats:
        total = np.zeros(n_blocks)
        for half in (0, 1):
            of_real, other = real.half == half, generated.half != half
            codes = blocks[0][of_real], blocks[1][other]
            total += self.distance.without_blocks(real.features[of_real], generated.features[other], codes, n_blocks)
        return total / 2


@dataclass(frozen=True)
class RatioOfHalves:
    """`AcrossHalves` over `RealHalves`; undefined where these are 0."""

    name: str
    distance: Distance
    low: float = 0.0
    high: float = math.inf

    def __call__(self, real: Rows, generated: Rows) -> float:
        below = RealHalves(self.distance)(real, generated)
        return AcrossHalves(self.distance)(real, generated) / below if below > 0 else math.nan

    def without_blocks(self, real: Rows, generated: Rows, blocks: Blocks, n_blocks: int) -> Floats:
        above = AcrossHalves(self.distance).without_blocks(real, generated, blocks, n_blocks)
        below = RealHalves(self.distance).without_blocks(real, generated, blocks, n_blocks)
        return np.divide(above, below, out=np.full(n_blocks, math.nan), where=below > 0)
