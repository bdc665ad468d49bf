"""Comparing two systems on the same rows."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from hallmark.statistics.bootstrap import metric_range
from hallmark.statistics.interval import MIN_GROUPS, Interval
from hallmark.statistics.jackknife import set_difference
from hallmark.statistics.members import STAND_IN, row_count
from hallmark.statistics.metrics import LOWER_IS_BETTER
from hallmark.statistics.metrics.classification import Floats
from hallmark.statistics.metrics.sets import SET_METRICS
from hallmark.statistics.metrics.weighted import weighted_metrics
from hallmark.statistics.resampling import Resampling
from hallmark.statistics.sample import Sample, paired_samples
from hallmark.statistics.significance.delong import delong_p
from hallmark.statistics.significance.holm import holm
from hallmark.statistics.significance.mcnemar import mcnemar_p
from hallmark.statistics.tables import is_two_sets, prediction_array, probability_array, target_array
from hallmark.statistics.text import difference_text, interval_text, p_sentence, p_texts
from hallmark.statistics.uncertainty import Estimate, Range, Units, block_sizes, estimates, evaluate_blocks

_TOLERANCE = 1e-12  # differences closer than rounding are ties, and ties count against the observed difference


@dataclass(frozen=True)
class PairedDifference:
    """What a paired comparison found.

    Attributes:
        metric: the metric's name.
        difference: second minus first, with its paired interval.
        p_value: two-sided; nan where the metric is undefined.
        n_rows: number of rows compared; those of a set of repeats count once.
        n_groups: number of groups they belong to.
        n_models: number of models of each system; 1 but for tables of repeats.
        is_of_one_run: whether one of the two is a single run beside each model of a set.
        p_floor: the least p that the resamples can tell, 1 / (n_resamples + 1); 0 where there are none.
        p_holm: p_value after `adjust`; None before it.
    """

    metric: str
    difference: Interval
    p_value: float
    n_rows: int
    n_groups: int
    n_models: int = 1
    is_of_one_run: bool = False
    p_floor: float = 0.0
    p_holm: float | None = None

    @property
    def is_significant(self) -> bool:
        """Whether p (after Holm if there is one) <= 1 - level and the interval excludes 0.

        Both are asked for, as they may disagree.
        """
        p = self.p_value if self.p_holm is None else self.p_holm
        excluded = self.difference.low > 0 or self.difference.high < 0
        return p <= 1 - self.difference.confidence_level + _TOLERANCE and excluded

    @property
    def p_texts(self) -> tuple[str, str]:
        """p and the same after Holm, as tables have them."""
        return p_texts(self.p_value, self.p_holm, self.p_floor)

    @property
    def tested(self) -> str:
        """`p = 0.004 (0.024 after Holm)`."""
        return p_sentence(self.p_value, self.p_holm, self.p_floor)

    @property
    def grounds(self) -> str:
        """`100 rows in 90 groups, one model each`: what was compared."""
        models = "one model each" if self.n_models == 1 else f"{self.n_models} models each"
        if self.is_of_one_run:
            models = f"{self.n_models} models against one"
        return f"{self.n_rows:,} row{'s' * (self.n_rows != 1)} in {self.n_groups:,} groups, {models}"

    def finding(self, first: str, second: str) -> str:
        """Which of the two is better, or that they do not differ significantly, by their names."""
        if not self.is_significant:
            return f"{second} and {first} do not differ significantly"
        return f"{second} is better than {first}" if self._second_is_better else f"{first} is better than {second}"

    def sentence(self, first: str, second: str, metric: str, *, of: str = "") -> str:
        """`finding`, by how much the winner leads or else the second less the first, and the grounds.

        Args:
            first, second: names of the two systems.
            metric: its name for readers.
            of: which rows, such as ` on test`; follows the finding.
        """
        grounds = self.grounds
        # Of n groups that all agree a permutation test, which has a floor, gives 2^(1 - n) at the least.
        alpha = 1 - self.difference.confidence_level + _TOLERANCE
        is_t_test = self.n_models > 1 or self.metric in SET_METRICS
        if self.n_groups < MIN_GROUPS if is_t_test else 2.0 ** (1 - self.n_groups) > alpha:
            grounds += ", too few groups for any difference to show"
        of_winner = self.difference if self._second_is_better else self.difference.negated
        if not self.is_significant:
            lead = f"{difference_text(self.difference)} ({second} − {first})"
        elif self.metric in LOWER_IS_BETTER:
            lead = f"lower by {interval_text(of_winner.negated)}"
        else:
            lead = difference_text(of_winner)
        numbers = f"{metric} {lead}, {self.tested}"
        level = f"at the {100 * self.difference.confidence_level:g} % level"
        return f"{self.finding(first, second)}{of}: {numbers}, {level} ({grounds})"

    @property
    def _second_is_better(self) -> bool:
        return (self.difference.estimate > 0) != (self.metric in LOWER_IS_BETTER)


def paired_difference(
    first: pd.DataFrame, second: pd.DataFrame, metric: str, *, resampling: Resampling
) -> PairedDifference:
    """Compare two prediction tables of one task, row by row, in units of groups and, in tables of repeats, of models.

    The interval is that of the difference, both systems on the same resampled groups and models (see `uncertainty`).

    The p of one run against another is that of the permutation test that swaps the two systems' predictions of whole
    groups by fair coins: it speaks of these two models. In tables of repeats the p is that of the t test
    with the standard error of the interval, which holds the luck of training too, and speaks of the two settings; as
    its standard error comes from m resamples, it is taken to be at least 1 / (m + 1). Of a metric of sets, whose
    interval leaves groups out, the p is always that of the t test.

    Args:
        first, second: tables with the same labelled rows in any order, matched by (id, task).
        metric, resampling: as in `metric_interval`; `n_resamples` also is the number of permutations.

    Raises:
        ValueError: what `paired_samples` or `metric_interval` refuses.
    """
    samples = paired_samples(first, second)
    before = samples[0]
    if before.classes is None and is_two_sets(before.rows):
        estimate, values = set_difference(samples, metric, resampling=resampling)
        p_value, floor = estimate.p_value(), 0.0
    else:
        estimate, values, p_value = _resampled(samples, metric, resampling)
        floor = 1 / (resampling.n_resamples + 1)
    return PairedDifference(
        metric, estimate.interval(values, resampling.confidence_level), p_value,
        row_count(before.rows.reset_index()), before.n_groups, n_models=before.n_models,
        is_of_one_run=any(table.attrs.get(STAND_IN, False) for table in (first, second)), p_floor=floor,
    )  # fmt: skip


def _resampled(samples: tuple[Sample, Sample], metric: str, resampling: Resampling) -> tuple[Estimate, Range, float]:
    """Of a metric of rows: its difference, the range of that, and p."""
    before, after = samples
    units = Units.of(before)
    evaluate_first, evaluate_second = (weighted_metrics(sample, [metric]) for sample in samples)

    def difference(weights: Floats, /) -> dict[str, Floats]:
        return {metric: evaluate_second(weights)[metric] - evaluate_first(weights)[metric]}

    # Both systems in one sample of 2 G groups, so that weights choose whose predictions of a group count.
    stacked = replace(
        before, rows=pd.concat([before.rows, after.rows]), n_groups=2 * before.n_groups,
        group=np.concatenate([before.group, after.group + before.n_groups]),
        model=np.concatenate([before.model, after.model]),
    )  # fmt: skip
    values = metric_range(metric, stacked).of_differences._replace(n_groups=metric_range(metric, before).n_groups)
    estimate = estimates(difference, units, {metric: values}, resampling=resampling)[metric]
    if units.n_models > 1:
        return estimate, values, max(estimate.p_value(), 1 / (resampling.n_resamples + 1))  # of nan, nan
    evaluate = weighted_metrics(stacked, [metric])

    def swapped(swap: Floats) -> dict[str, Floats]:
        swapped_first = evaluate(np.hstack([1 - swap, swap])[:, :, None])[metric]
        return {metric: evaluate(np.hstack([swap, 1 - swap])[:, :, None])[metric] - swapped_first}

    def coins() -> Iterator[Floats]:
        rng = np.random.default_rng(resampling.seed)
        for size in block_sizes(2 * len(before.rows), resampling.n_resamples):
            yield rng.integers(2, size=(size, before.n_groups)).astype(np.float64)

    if math.isnan(estimate.value):
        return estimate, values, math.nan
    null = evaluate_blocks(swapped, coins())[metric]
    # p = (b + 1) / (m + 1), with b of m permutations at least as far from 0 as observed (Phipson & Smyth 2010), so it
    # is never 0. Fewer than 1 + log2(1 / alpha) groups cannot reach p <= alpha.
    extreme = int((np.abs(null) >= abs(estimate.value) - _TOLERANCE).sum())
    return estimate, values, (extreme + 1) / (null.size + 1)


def adjust(comparisons: Sequence[PairedDifference]) -> list[PairedDifference]:
    """The same comparisons with `p_holm`, the p-values adjusted for being several (`holm`)."""
    adjusted = holm([comparison.p_value for comparison in comparisons])
    return [replace(comparison, p_holm=float(p)) for comparison, p in zip(comparisons, adjusted, strict=True)]


def rowwise_p_values(first: pd.DataFrame, second: pd.DataFrame) -> dict[str, float]:
    """p of the classical tests of two tables of one task: {"mcnemar": of accuracy, "delong": of a binary AUROC}.

    Both take rows as independent, so they are nan where a group has several rows or the table several repetitions.
    They also are nan in a task without classes, and DeLong's in one with other than two, or with fewer than two
    rows of either class.

    Raises:
        ValueError: what `paired_samples` refuses.
    """
    samples = paired_samples(first, second)
    rows, classes = samples[0].rows, samples[0].classes
    p_values = {"mcnemar": math.nan, "delong": math.nan}
    if classes is None or samples[0].n_groups < len(rows):
        return p_values
    target = target_array(rows, classes)
    correct = [prediction_array(sample.rows, classes) == target for sample in samples]
    p_values["mcnemar"] = mcnemar_p(*correct)
    if len(classes) == 2 and np.bincount(target, minlength=2).min() >= 2:
        scores = (probability_array(sample.rows, classes)[:, 1] for sample in samples)
        p_values["delong"] = delong_p(target == 1, *scores)
    return p_values
