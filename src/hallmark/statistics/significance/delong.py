"""Variance of the area under the ROC curve, and the test of two areas on the same rows.

DeLong, DeLong & Clarke-Pearson (1988), by the midranks of Sun & Xu (2014, IEEE Signal Processing Letters 21):
O(N log N). Rows must be independent; for groups of rows use `metric_interval` and `paired_difference`.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm, rankdata

from hallmark.statistics.interval import Interval, check_confidence_level
from hallmark.statistics.metrics.classification import Floats


@dataclass(frozen=True)
class DeLong:
    """Comparison of two areas.

    Attributes:
        first, second: each area with its interval.
        difference: second minus first, with its interval.
        z: difference over its standard error.
        p_value: two-sided, of z under the normal distribution. Where the difference has no variance (both rank
            every pair alike), z = 0 and p = 1 for equal areas, and both are nan for others.
    """

    first: Interval
    second: Interval
    difference: Interval
    z: float
    p_value: float


def auc_variance(target: ArrayLike, score: ArrayLike) -> tuple[float, float]:
    """Area under the ROC curve, ties one half, and its variance.

    Args:
        target: [N], 1 (True) for the positive class and 0 for the other.
        score: [N] finite numbers, higher where the positive class is likelier.

    Raises:
        ValueError: unequal lengths, other targets than 0 and 1, a score that is not finite, or fewer than two rows
            of either class.
    """
    positives, negatives = _components(*_columns(target, score))
    return float(positives.mean()), _variance(positives, negatives)


def auc_interval(target: ArrayLike, score: ArrayLike, *, confidence_level: float) -> Interval:
    """Area under the ROC curve with its normal interval, cut off at 0 and 1; arguments as in `auc_variance`.

    An area of 0 or 1 has no variance and an interval of no width.
    """
    check_confidence_level(confidence_level)
    return _interval(*auc_variance(target, score), confidence_level, 0.0)


def delong_test(target: ArrayLike, first: ArrayLike, second: ArrayLike, *, confidence_level: float) -> DeLong:
    """Compare the areas of two scores on the same rows; arguments as in `auc_variance`."""
    check_confidence_level(confidence_level)
    components = [_components(*_columns(target, score)) for score in (first, second)]
    areas = [_interval(float(part[0].mean()), _variance(*part), confidence_level, 0.0) for part in components]
    change = areas[1].estimate - areas[0].estimate
    # Of differences row by row, which holds the covariance of the two areas without estimating it apart.
    variance = _variance(*(after - before for before, after in zip(*components, strict=True)))
    z = change / math.sqrt(variance) if variance > 0 else 0.0 if change == 0 else math.nan
    p_value = float(2 * norm.sf(abs(z)))
    return DeLong(areas[0], areas[1], _interval(change, variance, confidence_level, -1.0), z, p_value)


def _components(positive: NDArray[np.bool_], score: Floats) -> tuple[Floats, Floats]:
    """Share of the other class that each positive [m] and each negative [n] is in order with."""
    # The rank among all rows less that within one's own class counts the rows of the other class below; ties one half.
    m, n = int(positive.sum()), int((~positive).sum())
    ranks = rankdata(score)
    above = (ranks[positive] - rankdata(score[positive])) / n
    below = 1 - (ranks[~positive] - rankdata(score[~positive])) / m
    return above, below


def _variance(positives: Floats, negatives: Floats) -> float:
    return float(positives.var(ddof=1) / positives.size + negatives.var(ddof=1) / negatives.size)


def _interval(estimate: float, variance: float, confidence_level: float, least: float) -> Interval:
    half = float(norm.ppf((1 + confidence_level) / 2)) * math.sqrt(variance)
    return Interval(estimate, max(least, estimate - half), min(1.0, estimate + half), confidence_level)


def _columns(target: ArrayLike, score: ArrayLike) -> tuple[NDArray[np.bool_], Floats]:
    labels, values = np.asarray(target, dtype=np.float64), np.asarray(score, dtype=np.float64)
    if labels.ndim != 1 or labels.shape != values.shape:
        raise ValueError(f"target {labels.shape} and score {values.shape} must be columns of one length")
    if not np.isin(labels, (0, 1)).all():
        raise ValueError("target must hold 0 and 1 (or booleans) only")
    if not np.isfinite(values).all():
        raise ValueError(f"{(~np.isfinite(values)).sum()} of {values.size} scores are not finite")
    positive = labels == 1
    if min(positive.sum(), (~positive).sum()) < 2:
        counts = f"{positive.sum()} positive and {(~positive).sum()} negative rows"
        raise ValueError(f"{counts}: a variance needs at least two of each")
    return positive, values
