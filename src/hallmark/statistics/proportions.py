"""Intervals of proportions."""

import math

from scipy.stats import binomtest

from hallmark.statistics.interval import Interval, check_confidence_level


def wilson(successes: int, n: int, confidence_level: float) -> Interval:
    """Wilson score interval of a proportion (Wilson 1927, without continuity correction).

    The rows must be independent; for grouped rows use the clustered bootstrap. Unlike that one it keeps a
    width where every row is a success or none is. `n = 0` gives estimate nan and the interval [0, 1].

    Raises:
        ValueError: `successes` is not within 0..n, or `confidence_level` not within (0, 1).
    """
    check_confidence_level(confidence_level)
    if not 0 <= successes <= n:
        raise ValueError(f"successes={successes} is not between 0 and n={n}")
    if n == 0:
        return Interval(math.nan, 0.0, 1.0, confidence_level)
    bounds = binomtest(int(successes), int(n)).proportion_ci(confidence_level, method="wilson")
    return Interval(successes / n, float(bounds.low), float(bounds.high), confidence_level)
