"""Metrics of two sets of rows, such as real and generated pictures by their features.

A metric of rows is a mean over rows or a function of counts and sums, so that rows drawn twice simply count twice. A
distance between two sets compares rows with each other: a row that is drawn twice is at distance 0 from itself, and the
bootstrap shifts the distance upwards. A metric of sets therefore also says what it is without each of some blocks of
rows, of which `jackknife` makes its interval.
"""

import math
from collections.abc import Mapping
from types import MappingProxyType

from hallmark.statistics.metrics.sets.classes import judge_accuracy, trained_accuracy
from hallmark.statistics.metrics.sets.distances import LARGEST_FEATURE as LARGEST_FEATURE
from hallmark.statistics.metrics.sets.distances import Distance as Distance
from hallmark.statistics.metrics.sets.distances import FrechetDistance as FrechetDistance
from hallmark.statistics.metrics.sets.distances import KernelDistance as KernelDistance
from hallmark.statistics.metrics.sets.distances import OfFeatures
from hallmark.statistics.metrics.sets.halves import AcrossHalves, RatioOfHalves, RealHalves
from hallmark.statistics.metrics.sets.neighbors import COVERAGE, DENSITY, Diversity, copies
from hallmark.statistics.metrics.sets.rows import GENERATED as GENERATED
from hallmark.statistics.metrics.sets.rows import REAL as REAL
from hallmark.statistics.metrics.sets.rows import Rows, RowsMetric
from hallmark.statistics.metrics.sets.rows import SetMetric as SetMetric

_KERNEL, _FRECHET = KernelDistance(), FrechetDistance()

DISTANCES: Mapping[str, Distance] = MappingProxyType({distance.name: distance for distance in (_KERNEL, _FRECHET)})
"""What any two sets of features have."""


def _energy(real: Rows, generated: Rows) -> float:
    """Mean spectral energy near the Nyquist frequency of generated rows over that of real ones."""
    of_real = float(real.energy.mean()) if len(real) else 0.0
    return float(generated.energy.mean()) / of_real if of_real > 0 and len(generated) else math.nan


_OF_PICTURES: tuple[SetMetric, ...] = (
    RealHalves(_KERNEL), AcrossHalves(_KERNEL), RealHalves(_FRECHET), AcrossHalves(_FRECHET),
    RatioOfHalves("frechet_ratio", _FRECHET),
    DENSITY, COVERAGE, Diversity(), RowsMetric("nyquist_energy", 0.0, math.inf, _energy),
    RowsMetric("copies", 0.0, 1.0, copies),
    RowsMetric("judge_accuracy", 0.0, 1.0, judge_accuracy("generated")),
    RowsMetric("judge_accuracy_real", 0.0, 1.0, judge_accuracy("real")),
    RowsMetric("fake_trained_accuracy", 0.0, 1.0, trained_accuracy("generated")),
    RowsMetric("real_trained_accuracy", 0.0, 1.0, trained_accuracy("real")),
)  # fmt: skip

SET_METRICS: Mapping[str, SetMetric] = MappingProxyType(
    {metric.name: metric for metric in (*map(OfFeatures, DISTANCES.values()), *_OF_PICTURES)}
)

COMPARED = (
    "kernel_distance", "frechet_distance", "neighbor_density", "neighbor_coverage", "diversity", "copies",
    "judge_accuracy", "fake_trained_accuracy",
)  # fmt: skip
"""By what two generators are compared: neither what speaks of real rows alone, nor the same in other words."""
