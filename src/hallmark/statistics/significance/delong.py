"""The test of two areas under the ROC curve on the same rows.

DeLong, DeLong & Clarke-Pearson (1988), by the midranks of Sun & Xu (2014, IEEE Signal Processing Letters 21):
O(N log N). Rows must be independent; for groups of rows use `metric_interval` and `paired_difference`.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from hallmark.statistics.metrics.classification import Floats


def delong_p(positive: NDArray[np.bool_], first: Floats, second: Floats) -> float:
    """Two-sided p of equal areas, of z = difference over its standard error under the normal distribution.

    Where the difference has no variance (both rank every pair alike) it is 1 for equal areas, and nan for others.

    Args:
        positive: [N], at least two rows of either class.
        first, second: [N] scores, higher where the positive class is likelier; ties count one half.
    """
    before, after = (_components(positive, score) for score in (first, second))
    change = float(after[0].mean()) - float(before[0].mean())
    # Of differences row by row, which holds the covariance of the two areas without estimating it apart.
    parts = [new - old for old, new in zip(before, after, strict=True)]
    variance = float(sum(part.var(ddof=1) / part.size for part in parts))
    z = change / math.sqrt(variance) if variance > 0 else 0.0 if change == 0 else math.nan
    return float(2 * norm.sf(abs(z)))


def _components(positive: NDArray[np.bool_], score: Floats) -> tuple[Floats, Floats]:
    """Share of the other class that each positive [m] and each negative [n] is in order with."""
    # The rank among all rows less that within one's own class counts the rows of the other class below; ties one half.
    m, n = int(positive.sum()), int((~positive).sum())
    ranks = rankdata(score)
    above = (ranks[positive] - rankdata(score[positive])) / n
    below = 1 - (ranks[~positive] - rankdata(score[~positive])) / m
    return above, below
