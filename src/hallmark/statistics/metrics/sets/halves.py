"""Distances beside those that real rows have from each other, at equal numbers of rows.

A distance of few rows is not 0 between two sets of one distribution, nor is it the same for other numbers of rows. Real
rows are therefore shared out into two halves: what their distance is, that of a half from as many generated rows is
compared with.
"""

import math

from hallmark.statistics.metrics.classification import Floats
from hallmark.statistics.metrics.sets.distances import Distance
from hallmark.statistics.metrics.sets.rows import Rows, RowsMetric


def real_halves(distance: Distance) -> RowsMetric:
    """Between the two halves of the real rows."""

    def value(real: Rows, generated: Rows) -> float:
        first, second = _features(real)
        return distance(first, second)

    return RowsMetric(f"{distance.name}_real", distance.low, math.inf, value)


def halves(distance: Distance) -> RowsMetric:
    """Between each half of the real rows and the generated rows of the other half, their mean."""

    def value(real: Rows, generated: Rows) -> float:
        first, second = _features(real)
        of_first, of_second = _features(generated)
        return (distance(first, of_second) + distance(second, of_first)) / 2

    return RowsMetric(f"{distance.name}_halves", distance.low, math.inf, value)


def ratio(distance: Distance, name: str) -> RowsMetric:
    """`halves` over `real_halves`; undefined where these are 0."""
    above, below = halves(distance), real_halves(distance)

    def value(real: Rows, generated: Rows) -> float:
        of_real = below(real, generated)
        return above(real, generated) / of_real if of_real > 0 else math.nan

    return RowsMetric(name, 0.0, math.inf, value)


def _features(rows: Rows) -> tuple[Floats, Floats]:
    """Of the rows of either half, [N, D] each."""
    return rows.features[rows.half == 0], rows.features[rows.half == 1]
