"""Accuracy by confidence, with intervals."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from hallmark.statistics.bootstrap import metric_interval
from hallmark.statistics.metrics.reliability import bin_edges, bin_index
from hallmark.statistics.resampling import Resampling


def reliability_bins(
    confidence: ArrayLike, correct: ArrayLike, bins: int, groups: ArrayLike, *, resampling: Resampling
) -> pd.DataFrame:
    """The rows of a reliability diagram, one per bin of `bin_index`, empty bins included.

    Args:
        confidence: [N] in [0, 1].
        correct: [N], 1 (True) where the prediction is right and 0 where not.
        bins: number of equal-width bins.
        groups: [N] labels of the unit that the intervals resample.
        resampling: of the intervals of the accuracy.

    Returns:
        Columns `low`, `high` (bin edges), `n`, `n_groups`, `confidence` (mean), `accuracy`, `accuracy_low`,
        `accuracy_high`. An empty bin has n = 0 and all other values nan; one of few groups has no interval.

    Raises:
        ValueError: what `bin_index` refuses.
    """
    scores, hits = (np.asarray(column, dtype=np.float64) for column in (confidence, correct))
    table = pd.DataFrame({"task": "main", "group": np.asarray(groups), "target": None, "score": hits})
    table.attrs = {"classes": {}}  # a task without classes, whose metric is the mean of `score`
    index, edges = bin_index(scores, bins), bin_edges(bins)
    empty = dict.fromkeys(("confidence", "accuracy", "accuracy_low", "accuracy_high"), np.nan)
    rows = []
    for number in range(bins):
        member = index == number
        sizes = {"n": int(member.sum()), "n_groups": table["group"][member].nunique()}
        rows.append({"low": edges[number], "high": edges[number + 1], **sizes, **empty})
        if member.any():
            accuracy = metric_interval(table[member], "score", resampling=resampling)
            rows[-1] |= {"confidence": scores[member].mean(), **accuracy.columns("accuracy")}
    return pd.DataFrame(rows)
