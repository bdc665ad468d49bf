"""Comparing two systems on the same rows."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from hallmark.statistics.bootstrap import block_sizes, check_resampling, evaluate_blocks, intervals
from hallmark.statistics.classification import LOWER_IS_BETTER, Floats
from hallmark.statistics.interval import Interval
from hallmark.statistics.tables import class_order
from hallmark.statistics.weighted import Sample, WeightedMetrics, group_codes, one_task, weighted_metrics

TOLERANCE = 1e-12  # differences closer than rounding are ties, and ties count against the observed difference


@dataclass(frozen=True)
class PairedDifference:
    """What a paired comparison found.

    Attributes:
        metric: the metric's name.
        difference: second minus first, with its paired clustered bootstrap interval.
        p_value: two-sided, of the sign-flip permutation test over groups; nan where the metric is undefined.
        n_rows: number of rows compared.
        n_groups: number of groups they belong to.
    """

    metric: str
    difference: Interval
    p_value: float
    n_rows: int
    n_groups: int

    @property
    def told_apart(self) -> bool:
        """Whether p <= 1 - level and the interval excludes 0. Both are asked for, as they may disagree."""
        significant = self.p_value <= 1 - self.difference.level + TOLERANCE
        return significant and (self.difference.low > 0 or self.difference.high < 0)

    @property
    def verdict(self) -> str:
        """One sentence: which of the two is better, or that they cannot be told apart, and the grounds."""
        level = f"{100 * self.difference.level:g} %"
        if self.told_apart:
            better = (self.difference.estimate > 0) != (self.metric in LOWER_IS_BETTER)
            finding = f"the {'second' if better else 'first'} is better at the {level} level"
        else:
            finding = f"cannot be told apart at the {level} level"
        grounds = f"{self.n_rows} rows in {self.n_groups} groups"
        if 2.0 ** (1 - self.n_groups) > 1 - self.difference.level + TOLERANCE:
            grounds += ", too few groups for any difference to show"
        return f"{finding}: {self.metric} {self._change()}, p = {self._p()} ({grounds})"

    def _change(self) -> str:
        in_points = self.metric not in ("log_loss", "brier")
        scale, digits, unit = (100.0, 1, " points") if in_points else (1.0, 3, "")
        change, low, high = (
            "n/a" if math.isnan(value) else f"{scale * value:+.{digits}f}"
            for value in (self.difference.estimate, self.difference.low, self.difference.high)
        )
        return f"{change}{unit} [{low}, {high}]"

    def _p(self) -> str:
        return "n/a" if math.isnan(self.p_value) else f"{self.p_value:.2g}"


def paired_difference(
    first: pd.DataFrame, second: pd.DataFrame, metric: str, *, level: float, repeats: int, seed: int
) -> PairedDifference:
    """Compare two prediction tables of one task, row by row, in units of groups.

    The interval is the percentile bootstrap of the difference, both systems on the same resampled groups. The
    test swaps the two systems' predictions of whole groups by fair coins; were the systems exchangeable, that
    would leave the distribution of the difference unchanged. p = (b + 1) / (m + 1), with b of m permutations
    at least as far from 0 as observed (Phipson & Smyth 2010), so it is never 0. Fewer than
    1 + log2(1 / (1 - level)) groups cannot reach significance.

    Args:
        first, second: tables with the same labelled rows in any order, matched by (id, task).
        metric, level, repeats, seed: as in `metric_interval`; `repeats` also is the number of permutations.

    Raises:
        ValueError: the tables differ in task, classes, ids, targets or groups (the message counts the rows),
            an id occurs twice, or what `metric_interval` refuses.
    """
    check_resampling(level, repeats)
    samples = _aligned(first, second)
    n_rows, n_groups = len(samples[0].rows), samples[0].n_groups
    evaluate_first, evaluate_second = (weighted_metrics(sample, [metric]) for sample in samples)

    def difference(weights: Floats) -> dict[str, Floats]:
        return {metric: evaluate_second(weights)[metric] - evaluate_first(weights)[metric]}

    interval = intervals(difference, n_groups, n_rows, level=level, repeats=repeats, seed=seed)[metric]
    evaluate_both = weighted_metrics(_stacked(*samples), [metric])
    null = _swapped_differences(evaluate_both, metric, samples[0], repeats, seed)
    return PairedDifference(metric, interval, _p_value(interval.estimate, null), n_rows, n_groups)


def _aligned(first: pd.DataFrame, second: pd.DataFrame) -> tuple[Sample, Sample]:
    (rows, task), (others, other_task) = one_task(first), one_task(second)
    classes, other_classes = class_order(first, task), class_order(second, other_task)
    if (task, classes) != (other_task, other_classes):
        found = f"{task} {classes} and {other_task} {other_classes}"
        raise ValueError(f"the tables differ in task or class order: {found}")
    for name, table in (("first", rows), ("second", others)):
        if repeated := int(table["id"].duplicated().sum()):
            raise ValueError(f"{repeated} rows of the {name} table repeat an id: give each row its own")
    rows, others = rows.set_index("id"), others.set_index("id")
    only_first, only_second = (~rows.index.isin(others.index)).sum(), (~others.index.isin(rows.index)).sum()
    if only_first or only_second:
        raise ValueError(
            f"the tables must have the same labelled ids of task {task}: {only_first} of {len(rows)} are "
            f"only in the first, {only_second} of {len(others)} only in the second"
        )
    others = others.loc[rows.index]
    _check_equal(rows, others, "target")
    _check_equal(rows, others, "group")
    group, n_groups = group_codes(rows["group"])
    return Sample(rows, classes, group, n_groups), Sample(others, classes, group, n_groups)


def _check_equal(rows: pd.DataFrame, others: pd.DataFrame, column: str) -> None:
    left, right = rows[column].astype(object), others[column].astype(object)
    different = int(((left != right) & ~(left.isna() & right.isna())).sum())
    if different:
        raise ValueError(f"{different} of {len(rows)} rows differ in {column} between the two tables")


def _stacked(first: Sample, second: Sample) -> Sample:
    """Both systems in one sample of 2 G groups, so that weights choose whose predictions of a group count."""
    group = np.concatenate([first.group, second.group + first.n_groups])
    return Sample(pd.concat([first.rows, second.rows]), first.classes, group, 2 * first.n_groups)


def _swapped_differences(
    evaluate: WeightedMetrics, metric: str, sample: Sample, permutations: int, seed: int
) -> Floats:
    rng = np.random.default_rng(seed)

    def difference(swap: Floats) -> dict[str, Floats]:
        swapped_first = evaluate(np.hstack([1 - swap, swap]))[metric]
        return {metric: evaluate(np.hstack([swap, 1 - swap]))[metric] - swapped_first}

    coins = (
        rng.integers(2, size=(size, sample.n_groups)).astype(np.float64)
        for size in block_sizes(2 * len(sample.rows), permutations)
    )
    return evaluate_blocks(difference, coins)[metric]


def _p_value(observed: float, null: Floats) -> float:
    if math.isnan(observed):
        return math.nan
    extreme = int((np.abs(null) >= abs(observed) - TOLERANCE).sum())
    return (extreme + 1) / (null.size + 1)
