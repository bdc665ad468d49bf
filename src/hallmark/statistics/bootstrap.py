"""Percentile bootstrap that resamples whole groups (Efron & Tibshirani 1993, chapter 13; Field & Welsh 2007).

Rows of one group (a subject, a video, an image) are not independent, so each resample draws G of the G
groups with replacement and takes all rows of each. The interval holds the middle `confidence_level` of the metric's
values. It runs a little narrow below some 30 groups, and has zero width where every group scores the same:
`wilson` is the better choice for a proportion at 0 or 1. One group says nothing about the spread: low and
high are then nan.

In a table of repeats (a column `repetition` with more than one value) groups and repetitions are drawn
independently, and a row weighs the product of how often both were drawn: the two-way ("pigeonhole") bootstrap of
McCullagh (2000, Bernoulli 6) and Owen (2007, arXiv:0712.1111). The interval then holds the luck of the seed or of
the folds as well as that of the rows. It errs on the wide side where rows scatter within groups and repetitions
alike, and on the narrow side for the part of T repetitions, which it takes (T - 1) / T of.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from hallmark.statistics.classification import Floats
from hallmark.statistics.interval import Interval
from hallmark.statistics.resampling import Resampling
from hallmark.statistics.sample import task_sample, value_groups
from hallmark.statistics.weighted import WeightedMetrics, weighted_mean, weighted_metrics

BLOCK = 2**18  # weights per block: they stay in cache, and memory does not grow with the resamples


def metric_interval(
    predictions: pd.DataFrame, metric: str, *, resampling: Resampling, clustered: bool = True
) -> Interval:
    """Bootstrap interval of one metric of one task, from its labelled rows.

    Args:
        predictions: table of one task (see `tables`).
        metric: one of `metric_names`, or `score` (mean of that column). In a resample the macro
            averages run over the classes that occur in it; one where the metric is undefined is left out.
        resampling: confidence level, number of resamples and their seed; equal ones give equal intervals.
        clustered: resample whole values of `group`; False resamples rows, which is too narrow where the rows
            of a group are alike.

    Raises:
        ValueError: not exactly one task with labelled rows, an unknown metric, or a row without group.
    """
    return all_intervals(predictions, [metric], resampling=resampling, clustered=clustered)[metric]


def all_intervals(
    predictions: pd.DataFrame,
    metrics: Sequence[str],
    *,
    resampling: Resampling,
    clustered: bool = True,
) -> dict[str, Interval]:
    """`metric_interval` of several metrics from one set of resamples, each equal to its own call."""
    sample = task_sample(predictions, clustered=clustered)
    evaluate = weighted_metrics(sample, metrics)
    units = Units(sample.n_groups, len(sample.repetitions()), len(sample.rows))
    return intervals(evaluate, units, resampling=resampling)


def mean_interval(values: ArrayLike, groups: ArrayLike | None = None, *, resampling: Resampling) -> Interval:
    """Bootstrap interval of the mean of any score per row (IoU, correctness, seconds).

    Args:
        values: [N] finite numbers.
        groups: [N] labels of the unit that is resampled; None resamples rows.
        resampling: as in `metric_interval`.

    Raises:
        ValueError: no values, one that is not finite, unequal lengths, or a row without group.
    """
    column = np.asarray(values, dtype=np.float64)
    if column.ndim != 1 or column.size == 0 or not np.isfinite(column).all():
        raise ValueError(f"values of shape {column.shape} must be a column of one or more finite numbers")
    codes, n_groups = value_groups(groups, column.size)
    mean = weighted_mean(column, codes, n_groups)

    def evaluate(groups: Floats, repetitions: Floats | None = None, /) -> dict[str, Floats]:
        return {"mean": mean(groups)}

    return intervals(evaluate, Units(n_groups, 1, column.size), resampling=resampling)["mean"]


class Units(NamedTuple):
    """What there is to resample, and the rows that bound the memory of a block."""

    n_groups: int
    n_repetitions: int
    n_rows: int


def intervals(evaluate: WeightedMetrics, units: Units, *, resampling: Resampling) -> dict[str, Interval]:
    """Intervals of whatever `evaluate` computes from the weights of groups and repetitions."""
    estimate = evaluate(np.ones((1, units.n_groups)))
    level = resampling.confidence_level
    values = evaluate_blocks(evaluate, resample_weights(units, resampling.n_resamples, resampling.seed))
    return {
        name: Interval(float(estimate[name][0]), *_percentiles(values[name], level, units.n_groups), level)
        for name in estimate
    }


def evaluate_blocks(
    evaluate: Callable[..., dict[str, Floats]], blocks: Iterable[tuple[Floats, ...]]
) -> dict[str, Floats]:
    """Values [R] of every metric over blocks of weights."""
    parts = [evaluate(*weights) for weights in blocks]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def resample_weights(units: Units, n_resamples: int, seed: int) -> Iterator[tuple[Floats, Floats]]:
    """Blocks ([r, G], [r, T]) of multinomial weights, `n_resamples` rows in all: how often each unit is drawn.

    The two come from streams of their own, so that the draws of groups do not depend on the repetitions.
    """
    groups, repetitions = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    for size in block_sizes(units.n_rows, n_resamples):
        yield _draw_counts(groups, size, units.n_groups), _draw_counts(repetitions, size, units.n_repetitions)


def _draw_counts(rng: np.random.Generator, size: int, n: int) -> Floats:
    draws = rng.integers(n, size=(size, n), dtype=np.int32)
    cells = draws + np.arange(size)[:, None] * n
    counts = np.bincount(cells.ravel(), minlength=size * n)
    return counts.reshape(size, n).astype(np.float64)


def block_sizes(n_rows: int, n_resamples: int) -> list[int]:
    """Sizes of blocks, `n_resamples` in all, of which each touches about BLOCK weights of rows."""
    size = max(1, BLOCK // n_rows)
    return [min(size, n_resamples - start) for start in range(0, n_resamples, size)]


def _percentiles(values: Floats, level: float, n_groups: int) -> tuple[float, float]:
    defined = values[~np.isnan(values)]
    if n_groups < 2 or defined.size == 0:
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
