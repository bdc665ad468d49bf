"""Operating points on the ROC curve of two classes, as functions of weights.

R resamples, G groups, N rows, T thresholds: one for each different score, and one above them all.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hallmark.statistics.metrics.classification import MOST_FALSE_ALARMS, Floats, Integers
from hallmark.statistics.metrics.ranking import WeightedValue

_ROUNDING = 1e-12


class _Rates(NamedTuple):
    """Of the scores from each threshold up, the highest threshold first: rates among the negatives and positives."""

    false_positive: Floats  # [R, T]
    true_positive: Floats  # [R, T]


def weighted_eer(positive: NDArray[np.bool_], score: Floats, group: Integers) -> WeightedValue:
    """Equal error rate of scores [N], where `positive` [N] are to be above a threshold; rows are in the groups [N]."""
    ranked = _Ranked(positive, score, group)

    def evaluate(weights: Floats) -> Floats:
        rates = ranked.rates(weights)
        excess = rates.false_positive + rates.true_positive - 1  # rises from -1 to 1
        after = np.maximum((excess >= 0).argmax(axis=1), 1)
        row = np.arange(len(weights))
        start, end = excess[row, after - 1], excess[row, after]
        with np.errstate(invalid="ignore", divide="ignore"):
            share = np.where(end > start, -start / (end - start), 1.0)
        alarms = rates.false_positive
        error: Floats = alarms[row, after - 1] + share * (alarms[row, after] - alarms[row, after - 1])
        return np.where(np.isnan(excess[:, -1]), np.nan, error)

    return evaluate


def weighted_tpr(positive: NDArray[np.bool_], score: Floats, group: Integers) -> WeightedValue:
    """Highest true-positive rate at a threshold whose false-positive rate is at most `MOST_FALSE_ALARMS`."""
    ranked = _Ranked(positive, score, group)

    def evaluate(weights: Floats) -> Floats:
        rates = ranked.rates(weights)
        allowed = rates.false_positive <= MOST_FALSE_ALARMS + _ROUNDING
        best: Floats = np.where(allowed, rates.true_positive, 0.0).max(axis=1)
        return np.where(np.isnan(rates.false_positive[:, -1] + rates.true_positive[:, -1]), np.nan, best)

    return evaluate


class _Ranked:
    """Rows sorted once, so that a resample costs two sums along them."""

    def __init__(self, positive: NDArray[np.bool_], score: Floats, group: Integers) -> None:
        order = np.argsort(-score, kind="stable")
        self.group, self.positive = group[order], positive[order]
        # Rows of equal score pass a threshold together, with the last of them.
        self.last = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))

    def rates(self, weights: Floats) -> _Rates:
        rows = weights.take(self.group, axis=1)
        both = []
        for kind in (~self.positive, self.positive):
            passed = np.where(kind, rows, 0.0).cumsum(axis=1).take(self.last, axis=1)
            with np.errstate(invalid="ignore"):
                both.append(np.hstack([np.zeros((len(weights), 1)), passed]) / passed[:, -1:])
        return _Rates(*both)
