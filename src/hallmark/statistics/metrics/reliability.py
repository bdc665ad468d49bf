"""Calibration: how well confidence matches accuracy, by bins of confidence.

Every function uses `bins` equal-width bins of [0, 1], each open below and closed above, the first one closed
on both sides (Guo et al. 2017, arXiv:1706.04599, section 2).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def bin_index(confidence: ArrayLike, bins: int) -> NDArray[np.intp]:
    """Bin (0 .. bins - 1) of each confidence [N].

    Raises:
        ValueError: a confidence is outside [0, 1] or nan.
    """
    values = np.asarray(confidence, dtype=np.float64)
    outside = ~((values >= 0) & (values <= 1))
    if outside.any():
        count = f"{outside.sum()} of {values.size} confidences"
        raise ValueError(f"{count} are outside [0, 1], first {values[outside][0]}")
    return np.searchsorted(bin_edges(bins)[1:-1], values, side="left")


def expected_calibration_error(confidence: ArrayLike, correct: ArrayLike, bins: int) -> float:
    """Expected calibration error: sum over bins of (n_bin / N) * |accuracy_bin - mean confidence_bin|.

    Args:
        confidence: [N] in [0, 1].
        correct: [N], 1 (True) where the prediction is right and 0 where not.
        bins: number of equal-width bins; empty ones add nothing.

    Raises:
        ValueError: what `bin_index` refuses.
    """
    scores, hits = (np.asarray(column, dtype=np.float64) for column in (confidence, correct))
    gaps = np.bincount(bin_index(scores, bins), weights=hits - scores, minlength=bins)
    return float(np.abs(gaps).sum() / scores.size)


def bin_edges(bins: int) -> NDArray[np.float64]:
    """[bins + 1]."""
    return np.linspace(0.0, 1.0, bins + 1)
