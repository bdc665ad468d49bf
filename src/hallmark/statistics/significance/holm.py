"""Several comparisons at once."""

import numpy as np
from numpy.typing import ArrayLike

from hallmark.statistics.metrics.classification import Floats


def holm(p_values: ArrayLike) -> Floats:
    """p-values [m] adjusted by Holm's step-down procedure (Holm 1979), in the order given.

    Calling a difference real where its adjusted p <= alpha keeps the chance of any false call within alpha, however
    the tests depend on each other. The k-th smallest p (k = 1 ..) becomes the largest of (m - i + 1) * p_i over
    i <= k, at most 1. A nan stays nan and does not count as a comparison.

    Raises:
        ValueError: a value outside [0, 1].
    """
    values = np.asarray(p_values, dtype=np.float64)
    defined = ~np.isnan(values)
    known = values[defined]
    if values.ndim != 1 or ((known < 0) | (known > 1)).any():
        raise ValueError("p_values must be a column of numbers between 0 and 1, or nan where undefined")
    order = np.argsort(known, kind="stable")
    steps = np.arange(known.size, 0, -1) * known[order]
    adjusted = np.full(values.size, np.nan)
    adjusted[np.flatnonzero(defined)[order]] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return adjusted
