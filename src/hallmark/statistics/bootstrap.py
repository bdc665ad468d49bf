"""Intervals of metrics: bootstrap standard errors with a t quantile, on the scale of the metric (see `uncertainty`).

Each resample draws whole groups (a subject, a video, an image), whose rows are not independent, and in a table of
repeats whole models, since rows of one model share the luck of its training. The plain percentile bootstrap is too
narrow for few groups; `docs/results/coverage.md` has the simulation of both, and where ours stops being valid.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from hallmark.statistics.interval import Interval
from hallmark.statistics.jackknife import set_intervals
from hallmark.statistics.metrics.segmentation import TARGET_METRICS, by_target
from hallmark.statistics.metrics.weighted import weighted_metrics
from hallmark.statistics.resampling import Resampling
from hallmark.statistics.sample import Sample, task_sample
from hallmark.statistics.tables import is_two_sets
from hallmark.statistics.uncertainty import UNIT, Range, Units, WeightedMetrics, estimates

_RANGES = {"log_loss": Range(0.0), "brier": Range(0.0, 2.0)}


def metric_interval(predictions: pd.DataFrame, metric: str, *, resampling: Resampling) -> Interval:
    """Interval of one metric of one task, from its labelled rows; of two sets from the jackknife (`jackknife`).

    Args:
        predictions: table of one task (see `tables`).
        metric: one of `metric_names`, or `score` (mean of that column). In a resample the macro
            averages run over the classes that occur in it; one where the metric is undefined is left out.
        resampling: confidence level, number of resamples and their seed; equal seeds give equal intervals.

    Raises:
        ValueError: not exactly one task with labelled rows, an unknown metric, or a row without group.
    """
    return all_intervals(predictions, [metric], resampling=resampling)[metric]


def all_intervals(predictions: pd.DataFrame, metrics: Sequence[str], *, resampling: Resampling) -> dict[str, Interval]:
    """`metric_interval` of several metrics from one set of resamples, each equal to its own call."""
    sample = task_sample(predictions)
    if sample.classes is None and is_two_sets(sample.rows):
        return set_intervals(sample, metrics, resampling=resampling)
    ranges = {name: metric_range(name, sample) for name in metrics}
    return intervals(weighted_metrics(sample, metrics), Units.of(sample), ranges, resampling=resampling)


def intervals(
    evaluate: WeightedMetrics, units: Units, ranges: Mapping[str, Range], *, resampling: Resampling
) -> dict[str, Interval]:
    """Intervals of whatever `evaluate` computes from weights of cells; `ranges` says what values each can take."""
    return {
        name: estimate.interval(ranges[name], resampling.confidence_level)
        for name, estimate in estimates(evaluate, units, ranges, resampling=resampling).items()
    }


def metric_range(metric: str, sample: Sample) -> Range:
    """The values that a metric can take, and the groups that it is of.

    Of the column `score` it is [0, 1] where all scores are within.
    """
    if metric == "score":
        scores = sample.rows["score"].astype(float)
        return UNIT if len(scores) and scores.between(0, 1).all() else Range()
    group = sample.group
    if metric in TARGET_METRICS:
        with_target, without = by_target(group, sample.rows["target_area"].to_numpy(dtype=np.float64))
        group = with_target if metric == "target_miou" else without
    return _RANGES.get(metric, UNIT)._replace(n_groups=len(np.unique(group)))
