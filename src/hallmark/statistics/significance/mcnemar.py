"""McNemar's test of two systems' correctness on the same rows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binomtest, chi2

EXACT_UP_TO = 1000  # discordant rows; beyond it the two forms agree to well below any level in use


@dataclass(frozen=True)
class McNemar:
    """Outcome of the test.

    Attributes:
        only_first, only_second: rows that only the first, and only the second system gets right.
        p_value: two-sided; 1 without discordant rows.
        exact: whether p is that of the exact binomial test.
    """

    only_first: int
    only_second: int
    p_value: float
    exact: bool


def mcnemar(first_correct: ArrayLike, second_correct: ArrayLike) -> McNemar:
    """Whether two systems are right equally often (McNemar 1947), from the rows on which only one is right.

    Up to 1000 discordant rows p is exact: the binomial test of `only_first` among them at one half. Beyond, it is
    that of chi-squared with one degree of freedom and Edwards' continuity correction,
    (|only_first - only_second| - 1)^2 / (only_first + only_second) (Edwards 1948), and 1 where both are equal.

    Args:
        first_correct, second_correct: [N], 1 (True) where the system is right and 0 where not. Rows must be
            independent; where rows of a group are alike use `paired_difference`.

    Raises:
        ValueError: unequal lengths, or other values than 0 and 1.
    """
    first, second = np.asarray(first_correct, dtype=np.float64), np.asarray(second_correct, dtype=np.float64)
    if first.ndim != 1 or first.shape != second.shape:
        raise ValueError(f"first_correct {first.shape} and second_correct {second.shape} must be of one length")
    if not (np.isin(first, (0, 1)).all() and np.isin(second, (0, 1)).all()):
        raise ValueError("first_correct and second_correct must hold 0 and 1 (or booleans) only")
    only_first, only_second = int((first > second).sum()), int((second > first).sum())
    discordant = only_first + only_second
    if discordant == 0:
        return McNemar(0, 0, 1.0, True)
    if discordant <= EXACT_UP_TO:
        return McNemar(only_first, only_second, float(binomtest(only_first, discordant).pvalue), True)
    statistic = max(abs(only_first - only_second) - 1, 0) ** 2 / discordant
    return McNemar(only_first, only_second, float(chi2.sf(statistic, 1)), False)
