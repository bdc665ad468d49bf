"""Metrics of one task as functions of group weights, the common core of bootstrap and permutation.

R resamples, G groups, N rows, C classes. A resample is a row of weights [R, G]: how often each group is
taken. Metrics that depend on sums over rows need one product of weights [R, G] and sums [G, K]; only AUROC
goes back to the rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from hallmark.statistics import tables
from hallmark.statistics.classification import (
    CLASSIFICATION_METRICS,
    ECE_BINS,
    Floats,
    Integers,
    check_rows,
    count_metrics,
    row_brier,
    row_log_loss,
    top_confidence,
)
from hallmark.statistics.reliability import bin_index

WeightedMetrics = Callable[[Floats], dict[str, Floats]]
"""Weights [R, G] in, one value per resample [R] out for each metric's name."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Labelled rows of one task, and the group 0 .. n_groups - 1 of each."""

    rows: pd.DataFrame
    classes: list[str] | None
    group: Integers
    n_groups: int


def one_task(predictions: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The labelled rows and the one task they belong to. ValueError where there is none, or more than one."""
    rows = tables.labelled_rows(predictions)
    names = [str(name) for name in rows["task"].unique()]
    if len(names) != 1:
        found = f"{len(names)} tasks ({', '.join(names)})" if names else "no task, as no row is labelled"
        raise ValueError(f"statistics are of one task, the table has {found}: select one task")
    return rows, names[0]


def task_sample(predictions: pd.DataFrame, *, clustered: bool = True) -> Sample:
    """The sample of a table with one task; with `clustered=False` every row is a group of its own."""
    rows, task = one_task(predictions)
    if clustered:
        group, n_groups = group_codes(rows["group"])
    else:
        group, n_groups = np.arange(len(rows)), len(rows)
    return Sample(rows, tables.class_order(predictions, task), group, n_groups)


def group_codes(groups: pd.Series) -> tuple[Integers, int]:
    """Groups as codes 0 .. G - 1 [N], and G. ValueError where a row has no group."""
    codes, names = pd.factorize(groups)
    if (codes < 0).any():
        missing = f"{(codes < 0).sum()} of {len(codes)} rows"
        raise ValueError(f"{missing} have no group: give each the unit it comes from")
    return codes, len(names)


def weighted_metrics(sample: Sample, metrics: Sequence[str]) -> WeightedMetrics:
    """The function that evaluates `metrics` on weighted groups; weights of 1 give the plain metric.

    `metrics` are names of `classification_metrics`, or `score` (mean of that column).

    Raises:
        ValueError: a metric that the task does not have, or columns that do not fit the task's classes.
    """
    known = ("score",) if sample.classes is None else ("score", *CLASSIFICATION_METRICS)
    unknown = [name for name in metrics if name not in known]
    if unknown or not metrics:
        raise ValueError(f"metric {', '.join(unknown) or '(none)'}: this task has {', '.join(known)}")
    parts = {_FAMILY.get(name, _counts): None for name in metrics}
    functions = [build(sample) for build in parts]

    def evaluate(weights: Floats) -> dict[str, Floats]:
        values = {name: value for function in functions for name, value in function(weights).items()}
        return {name: values[name] for name in metrics}

    return evaluate


def weighted_mean(values: Floats, group: Integers, n_groups: int) -> Callable[[Floats], Floats]:
    """Mean of values [N] as a function of group weights."""
    sums = np.stack(
        [np.bincount(group, weights=values, minlength=n_groups), np.bincount(group, minlength=n_groups)],
        axis=1,
    )

    def evaluate(weights: Floats) -> Floats:
        product = weights @ sums
        means: Floats = product[:, 0] / product[:, 1]
        return means

    return evaluate


def _counts(sample: Sample) -> WeightedMetrics:
    assert sample.classes is not None
    n_classes = len(sample.classes)
    target = tables.target_array(sample.rows, sample.classes)
    prediction = tables.prediction_array(sample.rows, sample.classes)
    hit = prediction == target
    columns = np.concatenate([target[hit], n_classes + target, 2 * n_classes + prediction])
    groups = np.concatenate([sample.group[hit], sample.group, sample.group])
    sums = csr_array((np.ones(columns.size), (columns, groups)), shape=(3 * n_classes, sample.n_groups))

    def evaluate(weights: Floats) -> dict[str, Floats]:
        counts = (sums @ weights.T).T.reshape(-1, 3, n_classes)
        return count_metrics(counts[:, 0], counts[:, 1], counts[:, 2])

    return evaluate


def _named_mean(name: str, values: Floats, sample: Sample) -> WeightedMetrics:
    mean = weighted_mean(values, sample.group, sample.n_groups)
    return lambda weights: {name: mean(weights)}


def _score(sample: Sample) -> WeightedMetrics:
    values = sample.rows["score"].to_numpy(dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError(f"{(~np.isfinite(values)).sum()} of {len(values)} rows have no finite score")
    return _named_mean("score", values, sample)


def _log_loss(sample: Sample) -> WeightedMetrics:
    return _named_mean("log_loss", row_log_loss(*_targets(sample)), sample)


def _brier(sample: Sample) -> WeightedMetrics:
    return _named_mean("brier", row_brier(*_targets(sample)), sample)


def _ece(sample: Sample) -> WeightedMetrics:
    target, probabilities = _targets(sample)
    confidence = top_confidence(probabilities)
    gap = (probabilities.argmax(axis=1) == target) - confidence
    cells = (bin_index(confidence, ECE_BINS), sample.group)
    gaps = csr_array((gap, cells), shape=(ECE_BINS, sample.n_groups))
    sizes = np.bincount(sample.group, minlength=sample.n_groups)
    return lambda weights: {"ece": np.abs(gaps @ weights.T).sum(axis=0) / (weights @ sizes)}


def _auroc(sample: Sample) -> WeightedMetrics:
    target, probabilities = _targets(sample)
    curves = [_class_auroc(target == c, probabilities[:, c], sample.group) for c in np.unique(target)]

    def evaluate(weights: Floats) -> dict[str, Floats]:
        areas = np.stack([area(weights) for area in curves])
        defined = ~np.isnan(areas)
        with np.errstate(invalid="ignore"):
            return {"auroc": np.where(defined, areas, 0.0).sum(axis=0) / defined.sum(axis=0)}

    return evaluate


def _class_auroc(positive: NDArray[np.bool_], score: Floats, group: Integers) -> Callable[[Floats], Floats]:
    """Mann-Whitney form of the AUROC: share of (positive, negative) pairs in order, ties one half."""
    order = np.argsort(score)
    tie_starts = np.flatnonzero(np.diff(score[order], prepend=-np.inf))
    positive, group = positive[order], group[order]

    def evaluate(weights: Floats) -> Floats:
        rows = weights[:, group]
        positives = np.add.reduceat(rows * positive, tie_starts, axis=1)
        negatives = np.add.reduceat(rows * ~positive, tie_starts, axis=1)
        below = negatives.cumsum(axis=1) - negatives / 2
        pairs = positives.sum(axis=1) * negatives.sum(axis=1)
        with np.errstate(invalid="ignore"):
            area: Floats = (positives * below).sum(axis=1) / pairs
        return area

    return evaluate


def _targets(sample: Sample) -> tuple[Integers, Floats]:
    assert sample.classes is not None
    target = tables.target_array(sample.rows, sample.classes)
    probabilities = tables.probability_array(sample.rows, sample.classes)
    check_rows(target, probabilities)
    return target, probabilities


_FAMILY = {"score": _score, "log_loss": _log_loss, "brier": _brier, "ece": _ece, "auroc": _auroc}
