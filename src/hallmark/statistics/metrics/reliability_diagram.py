"""Accuracy by confidence, with intervals."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from hallmark.statistics.bootstrap import mean_interval
from hallmark.statistics.metrics.reliability import bin_edges, bin_index, paired_columns
from hallmark.statistics.resampling import Resampling


def reliability_bins(
    confidence: ArrayLike, correct: ArrayLike, bins: int, groups: ArrayLike | None = None, *, resampling: Resampling
) -> pd.DataFrame:
    """The rows of a reliability diagram, one per bin of `bin_index`, empty bins included.

    Args:
        confidence: [N] in [0, 1].
        correct: [N], 1 (True) where the prediction is right and 0 where not.
        bins: number of equal-width bins.
        groups: [N] labels of the unit that the intervals resample; None resamples rows.
        resampling: of the intervals of the accuracy.

    Returns:
        Columns `low`, `high` (bin edges), `n`, `n_groups`, `confidence` (mean), `accuracy`, `accuracy_low`,
        `accuracy_high`. An empty bin has n = 0 and all other values nan; one of few groups has no interval.

    Raises:
        ValueError: unequal lengths, or what `bin_index` refuses.
    """
    scores, hits = paired_columns(confidence, correct)
    labels = np.arange(len(scores)) if groups is None else np.asarray(groups)
    if len(labels) != len(scores):
        raise ValueError(f"{len(labels)} groups for {len(scores)} rows: give one per row")
    index, edges = bin_index(scores, bins), bin_edges(bins)
    empty = dict.fromkeys(("confidence", "accuracy", "accuracy_low", "accuracy_high"), np.nan)
    rows = []
    for number in range(bins):
        member = index == number
        sizes = {"n": int(member.sum()), "n_groups": pd.Series(labels[member]).nunique()}
        rows.append({"low": edges[number], "high": edges[number + 1], **sizes, **empty})
        if member.any():
            accuracy = mean_interval(hits[member], labels[member], resampling=resampling)
            rows[-1] |= {"confidence": scores[member].mean(), **accuracy.columns("accuracy")}
    return pd.DataFrame(rows)
