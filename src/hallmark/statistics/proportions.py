"""Intervals of proportions."""

import math

from scipy.stats import norm

from hallmark.statistics.interval import Interval, check_confidence_level


def wilson(successes: float, n: int, confidence_level: float) -> Interval:
    """Wilson score interval of a proportion (Wilson 1927, without continuity correction).

    The trials must be independent. Unlike a standard error it keeps a width where every trial is a success or none is.
    `successes` need not be a whole number: a score between 0 and 1 of each trial counts for its part. `n = 0` gives
    estimate nan and the interval [0, 1].

    Raises:
        ValueError: `successes` is not within 0..n, or `confidence_level` not within (0, 1).
    """
    check_confidence_level(confidence_level)
    if not 0 <= successes <= n:
        raise ValueError(f"successes={successes} is not between 0 and n={n}")
    if n == 0:
        return Interval(math.nan, 0.0, 1.0, confidence_level)
    # The ends are the p that solve |share - p| = z sqrt(p (1 - p) / n), a quadratic equation in p.
    share, z2 = successes / n, float(norm.ppf((1 + confidence_level) / 2)) ** 2
    center = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    low = 0.0 if successes == 0 else center - half
    high = 1.0 if successes == n else center + half
    return Interval(share, low, high, confidence_level)
