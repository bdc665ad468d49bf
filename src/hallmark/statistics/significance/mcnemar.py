"""McNemar's test of two systems' correctness on the same rows."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, chi2

EXACT_UP_TO = 1000  # discordant rows; beyond it the two forms agree to well below any level in use


def mcnemar_p(first_correct: NDArray[np.bool_], second_correct: NDArray[np.bool_]) -> float:
    """Two-sided p of two systems being right equally often (McNemar 1947), from the rows on which only one is right.

    Up to 1000 such rows p is exact: the binomial test of those of the first system among them at one half. Beyond, it
    is that of chi-squared with one degree of freedom and Edwards' continuity correction,
    (|only_first - only_second| - 1)^2 / (only_first + only_second) (Edwards 1948). It is 1 without such rows.

    Args:
        first_correct, second_correct: [N] whether each system is right. Rows must be independent; where rows of a
            group are alike use `paired_difference`.
    """
    only_first, only_second = int((first_correct > second_correct).sum()), int((second_correct > first_correct).sum())
    discordant = only_first + only_second
    if discordant == 0:
        return 1.0
    if discordant <= EXACT_UP_TO:
        return float(binomtest(only_first, discordant).pvalue)
    return float(chi2.sf(max(abs(only_first - only_second) - 1, 0) ** 2 / discordant, 1))
