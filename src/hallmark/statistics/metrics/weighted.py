"""Metrics of one task as functions of weights, the common core of bootstrap and permutation.

R resamples, G groups, M models, N rows, C classes. A cell holds the rows of one group by one model, and a resample is
a weight for each cell [R, G, M]: how often its rows are taken. Metrics that depend on sums over rows need one product
of weights and sums; only those of ranks go back to the rows. In a table of repeats a metric is the mean over
repetitions of the metric in each, and a repetition counts by the mean weight of its cells.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

import hallmark.statistics.tables as tables
from hallmark.statistics.metrics.classification import (
    ECE_BINS,
    Floats,
    Integers,
    check_rows,
    count_metrics,
    row_brier,
    row_log_loss,
    top_confidence,
)
from hallmark.statistics.metrics.operating import weighted_eer, weighted_tpr
from hallmark.statistics.metrics.ranking import WeightedValue, weighted_auprc, weighted_auroc
from hallmark.statistics.metrics.reliability import bin_index
from hallmark.statistics.metrics.segmentation import (
    PRECISION,
    SEGMENTATION_METRICS,
    TARGET_METRICS,
    by_target,
    overall_iou,
)
from hallmark.statistics.sample import Sample
from hallmark.statistics.uncertainty import WeightedMetrics

GroupMetrics = Callable[[Floats], dict[str, Floats]]
"""Weights [R, G] in, one value per resample [R] out for each metric's name."""


def weighted_metrics(sample: Sample, metrics: Sequence[str]) -> WeightedMetrics:
    """The function that evaluates `metrics` on weighted cells; weights of 1 give the plain metric.

    The value is nan where a repetition of some weight has none. `metrics` are those of `metric_names`, or `score` (mean
    of that column).

    Raises:
        ValueError: a metric that the task does not have, or columns that do not fit the task's classes.
    """
    known = tuple(dict.fromkeys(("score", *tables.metric_names(sample.rows, sample.classes))))
    unknown = [name for name in metrics if name not in known]
    if unknown or not metrics:
        raise ValueError(f"metric {', '.join(unknown) or '(none)'}: this task has {', '.join(known)}")

    def build(part: Sample) -> GroupMetrics:
        functions = [family(part) for family in dict.fromkeys(_FAMILY.get(name, _counts) for name in metrics)]

        def evaluate(weights: Floats) -> dict[str, Floats]:
            values = {name: value for function in functions for name, value in function(weights).items()}
            return {name: values[name] for name in metrics}

        return evaluate

    return over_repetitions(sample, build)


def over_repetitions(sample: Sample, build: Callable[[Sample], GroupMetrics]) -> WeightedMetrics:
    """The mean over repetitions of what `build` makes of the rows of each, whose `group` are the cells."""
    if sample.n_models == 1:
        plain = build(sample)
        return lambda weights, /: plain(weights[:, :, 0])
    parts = []
    for part in sample.repetitions():
        # Only the cells that hold rows of this repetition: its metric knows no others.
        cells, codes = np.unique(part.group * part.n_models + part.model, return_inverse=True)
        groups, models = np.divmod(cells, part.n_models)
        parts.append((build(replace(part, group=codes, n_groups=len(cells))), groups, models))

    def evaluate(weights: Floats, /) -> dict[str, Floats]:
        of_cells = [weights[:, groups, models] for _, groups, models in parts]
        values = [function(cells) for (function, _, _), cells in zip(parts, of_cells, strict=True)]
        shares = np.stack([cells.mean(axis=1) for cells in of_cells], axis=1)
        total, means = shares.sum(axis=1), {}
        for name in values[0]:
            by_part = np.stack([value[name] for value in values], axis=1)
            # A repetition without weight may be undefined; it must not make the mean so.
            means[name] = np.where(shares > 0, shares * by_part, 0.0).sum(axis=1) / total
        return means

    return evaluate


def weighted_mean(values: Floats, group: Integers, n_groups: int) -> WeightedValue:
    """Mean of values [N] as a function of group weights."""
    totals, sizes = np.bincount(group, weights=values, minlength=n_groups), np.bincount(group, minlength=n_groups)
    sums = np.stack([totals, sizes], axis=1)

    def evaluate(weights: Floats) -> Floats:
        product = weights @ sums
        with np.errstate(invalid="ignore"):
            means: Floats = product[:, 0] / product[:, 1]
        return means

    return evaluate


def _counts(sample: Sample) -> GroupMetrics:
    assert sample.classes is not None
    n_classes = len(sample.classes)
    target = tables.target_array(sample.rows, sample.classes)
    prediction = tables.prediction_array(sample.rows, sample.classes)
    hit = prediction == target
    # Hits, rows and predictions of each class: every metric of counts is a function of these sums.
    columns = np.concatenate([target[hit], n_classes + target, 2 * n_classes + prediction])
    groups = np.concatenate([sample.group[hit], sample.group, sample.group])
    sums = csr_array((np.ones(columns.size), (columns, groups)), shape=(3 * n_classes, sample.n_groups))

    def evaluate(weights: Floats) -> dict[str, Floats]:
        counts = (sums @ weights.T).T.reshape(-1, 3, n_classes)
        return count_metrics(counts[:, 0], counts[:, 1], counts[:, 2])

    return evaluate


def _overlaps(sample: Sample) -> GroupMetrics:
    iou, intersection, union, target_area = (_finite(sample, name) for name in ("score", *tables.OVERLAP))
    columns = {"miou": iou, "intersection": intersection, "union": union}
    columns |= {name: (iou >= threshold).astype(np.float64) for name, threshold in PRECISION.items()}
    means = {name: weighted_mean(values, sample.group, sample.n_groups) for name, values in columns.items()}
    parts = zip(by_target(iou, target_area), by_target(sample.group, target_area), strict=True)
    for name, (values, group) in zip(TARGET_METRICS, parts, strict=True):
        means[name] = weighted_mean(values, group, sample.n_groups)

    def evaluate(weights: Floats) -> dict[str, Floats]:
        values = {name: mean(weights) for name, mean in means.items()}
        values["oiou"] = overall_iou(values.pop("intersection"), values.pop("union"))
        return values

    return evaluate


def _finite(sample: Sample, column: str) -> Floats:
    values = sample.rows[column].to_numpy(dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError(f"{(~np.isfinite(values)).sum()} of {len(values)} rows have no finite {column}")
    return values


def _named(name: str, of: Callable[[Sample], WeightedValue]) -> Callable[[Sample], GroupMetrics]:
    """The family of a metric that shares no sums with others."""

    def build(sample: Sample) -> GroupMetrics:
        evaluate = of(sample)
        return lambda weights: {name: evaluate(weights)}

    return build


def _row_mean(values: Floats, sample: Sample) -> WeightedValue:
    return weighted_mean(values, sample.group, sample.n_groups)


def _ece(sample: Sample) -> WeightedValue:
    target, probabilities = _targets(sample)
    return weighted_ece(top_confidence(probabilities), probabilities.argmax(axis=1) == target, sample)


def weighted_ece(confidence: Floats, correct: NDArray[np.bool_], sample: Sample) -> WeightedValue:
    """Expected calibration error of the rows [N] of a sample."""
    cells = (bin_index(confidence, ECE_BINS), sample.group)
    gaps = csr_array((correct - confidence, cells), shape=(ECE_BINS, sample.n_groups))
    sizes = np.bincount(sample.group, minlength=sample.n_groups)

    def evaluate(weights: Floats) -> Floats:
        with np.errstate(invalid="ignore"):
            error: Floats = np.abs(gaps @ weights.T).sum(axis=0) / (weights @ sizes)
        return error

    return evaluate


def _of_two_classes(
    metric: Callable[[NDArray[np.bool_], Floats, Integers], WeightedValue],
) -> Callable[[Sample], WeightedValue]:
    """A metric of which rows are of the second class, and of its probability."""

    def build(sample: Sample) -> WeightedValue:
        target, probabilities = _targets(sample)
        return metric(target == 1, probabilities[:, 1], sample.group)

    return build


def _targets(sample: Sample) -> tuple[Integers, Floats]:
    assert sample.classes is not None
    target = tables.target_array(sample.rows, sample.classes)
    probabilities = tables.probability_array(sample.rows, sample.classes)
    check_rows(target, probabilities)
    return target, probabilities


_FAMILY: dict[str, Callable[[Sample], GroupMetrics]] = {
    "score": _named("score", lambda sample: _row_mean(_finite(sample, "score"), sample)),
    "log_loss": _named("log_loss", lambda sample: _row_mean(row_log_loss(*_targets(sample)), sample)),
    "brier": _named("brier", lambda sample: _row_mean(row_brier(*_targets(sample)), sample)),
    "ece": _named("ece", _ece),
    "auroc": _named("auroc", lambda sample: weighted_auroc(*_targets(sample), sample.group, sample.n_groups)),
    "auprc": _named("auprc", lambda sample: weighted_auprc(*_targets(sample), sample.group)),
    "eer": _named("eer", _of_two_classes(weighted_eer)),
    "tpr_at_1pct_fpr": _named("tpr_at_1pct_fpr", _of_two_classes(weighted_tpr)),
    **dict.fromkeys(SEGMENTATION_METRICS, _overlaps),
}
