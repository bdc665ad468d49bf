"""Metrics of sets of rows, such as the distance between generated and real pictures, and their intervals.

A metric of rows is a mean over rows or a function of counts and sums, so that rows drawn twice simply count twice. A
distance between two sets compares rows with each other: a row that is drawn twice is at distance 0 from itself, and the
bootstrap shifts the distance upwards. Intervals here leave groups out instead: the delete-one-group jackknife (Efron &
Stein 1981, Annals of Statistics 9; with blocks of groups: Busing, Meijer & van der Leeden 1999).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from hallmark.statistics.interval import MIN_GROUPS, Interval
from hallmark.statistics.metrics.classification import Floats, Integers
from hallmark.statistics.resampling import Resampling
from hallmark.statistics.uncertainty import Estimate, Range

BLOCKS = 50  # evaluations of an interval: their variance has a coefficient of variation of about 20 %

_CHUNK = 2**22  # entries of a kernel matrix that are held at once


class SetMetric(Protocol):
    """A number of one or more sets of rows, each [N, D] features.

    Attributes:
        name: as pages show it.
        range: the values it can take.
        lower_is_better: whether less is better.
    """

    @property
    def name(self) -> str: ...

    @property
    def range(self) -> Range: ...

    @property
    def lower_is_better(self) -> bool: ...

    def __call__(self, *sets: Floats) -> float:
        """The value; nan where the sets are too small to have one.

        Raises:
            ValueError: another number of sets than the metric takes, or features that do not fit each other.
        """
        ...


class FrechetDistance:
    """Fréchet distance of the normal distributions with the means and covariances of two sets [N, D] and [M, D].

    ||mean difference||² + tr(A + B - 2 (A B)^(1/2)) with covariances A and B of divisor N - 1; on Inception features it
    is the FID (Heusel et al. 2017, arXiv:1706.08500). It grows as sets shrink: compare values of equal N only.
    """

    name = "frechet_distance"
    range = Range(0.0)
    lower_is_better = True

    def __call__(self, *sets: Floats) -> float:
        first, second = _two(sets)
        if min(len(first), len(second)) < 2:
            return math.nan
        shift = first.mean(axis=0) - second.mean(axis=0)
        left, right = _root(first), _root(second)
        # With A = L'L and B = R'R, A B has the eigenvalues of (L R')(L R')', so that the trace of its root is the sum
        # of the singular values of L R'. No root of a singular matrix is taken.
        cross = np.linalg.norm(left @ right.T, "nuc")
        distance = shift @ shift + (left**2).sum() + (right**2).sum() - 2 * cross
        return max(0.0, float(distance))


@dataclass(frozen=True)
class KernelDistance:
    """Unbiased squared maximum mean discrepancy of two sets with the kernel (x·y / D + 1)^degree.

    Of degree 3 on Inception features it is the KID (Bińkowski et al. 2018, arXiv:1801.01401, section 4), here of all
    pairs of rows at once. Its mean does not depend on the sizes of the sets; it can be below 0.
    """

    degree: int = 3

    name = "kernel_distance"
    range = Range()
    lower_is_better = True

    def __call__(self, *sets: Floats) -> float:
        first, second = _two(sets)
        n, m = len(first), len(second)
        if min(n, m) < 2:
            return math.nan
        within = self._sum_of_others(first) / (n * (n - 1)) + self._sum_of_others(second) / (m * (m - 1))
        return float(within - 2 * self._sum(first, second) / (n * m))

    def _sum_of_others(self, rows: Floats) -> float:
        itself: Floats = ((rows**2).sum(axis=1) / rows.shape[1] + 1) ** self.degree
        return self._sum(rows, rows) - float(itself.sum())

    def _sum(self, first: Floats, second: Floats) -> float:
        """Sum of the kernel over all pairs."""
        step = max(1, _CHUNK // len(second))
        chunks = (first[start : start + step] for start in range(0, len(first), step))
        return math.fsum(float(((part @ second.T / first.shape[1] + 1) ** self.degree).sum()) for part in chunks)


class RowSet(NamedTuple):
    """Rows [N, D] and the label of the group [N] that each is of; None makes each row a group of its own.

    A label that occurs in two sets is one group, as where both have pictures of one person.
    """

    features: ArrayLike
    groups: ArrayLike | None = None


def set_interval(metric: SetMetric, *sets: RowSet, resampling: Resampling) -> Interval:
    """Interval of a metric of sets from the delete-one-group jackknife.

    Groups that occur in the same sets are a stratum. Each stratum with B groups adds the variance (B - 1) / B times the
    sum of squares of the values without each group around their mean; of more than `BLOCKS` groups that many random
    blocks are left out instead. The degrees of freedom are Satterthwaite's; the scale is that of the metric's range.

    Args:
        metric: of as many sets as there are given.
        sets: the rows.
        resampling: the confidence level, and the seed that draws blocks.

    Returns:
        An interval of what the metric is expected to be for sets of these sizes. No ends where a stratum has fewer than
        `MIN_GROUPS` groups, or a value without a group is undefined.

    Raises:
        ValueError: features that are no finite [N, D] with rows, groups of another length or missing, or what the
            metric refuses.
    """
    arrays = [np.asarray(part.features, dtype=np.float64) for part in sets]
    for rows in arrays:
        if rows.ndim != 2 or rows.size == 0 or not np.isfinite(rows).all():
            raise ValueError(f"features of shape {rows.shape} must be finite numbers [N, D], with at least one row")
    codes, n_groups = _codes(sets, [len(rows) for rows in arrays])
    value = metric(*arrays)
    variances = []
    for blocks in _strata(codes, n_groups, resampling.seed):
        if blocks is None:
            return Estimate(value, math.nan, math.nan, n_groups).interval(metric.range, resampling.confidence_level)
        remaining = ([rows[~block[code]] for rows, code in zip(arrays, codes, strict=True)] for block in blocks)
        without = np.array([metric(*parts) for parts in remaining])
        variances.append((float(without.var() * (len(blocks) - 1)), len(blocks) - 1))
    variance = sum(part for part, _ in variances)
    spread = sum(part**2 / df for part, df in variances)
    df = variance**2 / spread if spread > 0 else math.nan
    estimate = Estimate(value, math.sqrt(variance), df, n_groups)
    return estimate.interval(metric.range, resampling.confidence_level)


def _strata(codes: list[Integers], n_groups: int, seed: int) -> Iterator[NDArray[np.bool_] | None]:
    """Of each stratum the groups [B, G] of each block; None for one with too few groups."""
    occurs = np.stack([np.bincount(code, minlength=n_groups) > 0 for code in codes])
    patterns = np.unique(occurs, axis=1, return_inverse=True)[1].ravel()
    rng = np.random.default_rng(seed)
    for pattern in range(patterns.max() + 1):
        members = rng.permutation(np.flatnonzero(patterns == pattern))
        if len(members) < MIN_GROUPS:
            yield None
            continue
        n_blocks = min(len(members), BLOCKS)
        blocks = np.zeros((n_blocks, n_groups), dtype=bool)
        blocks[np.arange(len(members)) % n_blocks, members] = True
        yield blocks


def _codes(sets: tuple[RowSet, ...], lengths: list[int]) -> tuple[list[Integers], int]:
    """The group 0 .. G - 1 of each row of each set, and G."""
    labels = []
    for number, (part, length) in enumerate(zip(sets, lengths, strict=True)):
        names = [(number, row) for row in range(length)] if part.groups is None else list(np.asarray(part.groups))
        if len(names) != length:
            raise ValueError(f"{len(names)} groups for {length} rows: give one per row")
        labels += names
    series = pd.Series(labels, dtype=object)
    if series.isna().any():
        raise ValueError(f"{series.isna().sum()} of {len(series)} rows have no group: give each the unit it comes from")
    codes, distinct = pd.factorize(series)
    return np.split(codes, np.cumsum(lengths)[:-1]), len(distinct)


def _two(sets: tuple[Floats, ...]) -> tuple[Floats, Floats]:
    if len(sets) != 2 or any(rows.ndim != 2 for rows in sets) or sets[0].shape[1] != sets[1].shape[1]:
        shapes = " and ".join(str(rows.shape) for rows in sets) or "none"
        raise ValueError(f"a distance is of two sets of rows [N, D] with one D, got {shapes}")
    return sets[0], sets[1]


def _root(rows: Floats) -> Floats:
    """L [K, D] with K = min(N, D) and L'L the covariance of rows [N, D]."""
    centered = (rows - rows.mean(axis=0)) / math.sqrt(len(rows) - 1)
    root: Floats = np.linalg.qr(centered).R
    return root
