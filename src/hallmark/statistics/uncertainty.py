"""How uncertain a number of a predictions table is: standard error and degrees of freedom from resamples.

Rows depend on each other in two ways: rows of one group (a subject, a video, an image) are alike, and rows that one
trained model predicted share the luck of its training. A *cell* holds the rows of one group by one model.

One model: G of the G groups are drawn with replacement (Field & Welsh 2007). The standard error is the standard
deviation of the resampled values times sqrt(G / (G - 1)), which makes it unbiased for a mean, with G - 1 degrees of
freedom.

Several models (a set of repeats): variances of three bootstraps, of groups, of models and of cells, each drawn for
itself, are joined as V = V_groups + V_models - V_cells, at least the larger of the first two (two-way clustering:
Cameron, Gelbach & Miller 2011, Journal of Business & Economic Statistics 29, equation 2.11). It needs no balanced
design: seeds cross groups with models, folds nest groups in models, and repetitions of folds do both. The degrees of
freedom are Satterthwaite's (1946), V^2 / (V_groups^2 / (G - 1) + V_models^2 / (M - 1)), times d / (d + 2) with d the
smaller of G - 1 and M - 1, and at least d: from a handful of models the plain ones reject too often.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from scipy.stats import t as student

from hallmark.statistics.interval import MIN_GROUPS, Interval
from hallmark.statistics.metrics.classification import Floats, Integers
from hallmark.statistics.proportions import wilson
from hallmark.statistics.resampling import Resampling
from hallmark.statistics.sample import Sample

BLOCK = 2**18  # weights per block: they stay in cache, and memory does not grow with the resamples

_TINY = 1e-12  # a standard error below is rounding
_LOG_REACH = 3.0  # a lower end below some 5 % of the value is as good as the bound
_NEAR = 0.5  # groups; a mean that is less than that away from a bound is made of parts of one group


class WeightedMetrics(Protocol):
    """Weights [R, G, M] of the cells of each group and model in, one value a resample [R] out for each name."""

    def __call__(self, weights: Floats, /) -> dict[str, Floats]: ...


class Units(NamedTuple):
    """What there is to resample.

    Attributes:
        n_groups, n_models: G and M.
        cell_group, cell_model: [C], the group and the model of each cell that has rows.
        n_rows: rows that a resample touches, which bounds the memory of a block.
    """

    n_groups: int
    n_models: int
    cell_group: Integers
    cell_model: Integers
    n_rows: int

    @classmethod
    def of(cls, *samples: Sample) -> "Units":
        """Those of samples that share their codes of groups and models."""
        first = samples[0]
        pairs = np.concatenate([sample.group * first.n_models + sample.model for sample in samples])
        cells = np.unique(pairs)
        return cls(first.n_groups, first.n_models, *np.divmod(cells, first.n_models), max(len(s.rows) for s in samples))


class Range(NamedTuple):
    """The values that a number can take.

    Attributes:
        low, high: their bounds.
        is_difference: whether it is a difference, whose interval is symmetric.
        n_groups: groups with rows that it is of, such as rows without a target; None for all groups.
    """

    low: float = -math.inf
    high: float = math.inf
    is_difference: bool = False
    n_groups: int | None = None

    @property
    def of_differences(self) -> "Range":
        """The range of differences between two numbers of this one."""
        return Range(self.low - self.high, self.high - self.low, is_difference=True, n_groups=self.n_groups)


UNIT = Range(0.0, 1.0)


@dataclass(frozen=True)
class Estimate:
    """A number with its uncertainty.

    Attributes:
        value: on the data as they are; nan where undefined.
        standard_error: nan where the data say nothing about it.
        df: degrees of freedom of the standard error.
        n_groups: groups with rows that it is of.
    """

    value: float
    standard_error: float
    df: float
    n_groups: int

    def interval(self, values: Range, confidence_level: float) -> Interval:
        """Two-sided t interval.

        Between two bounds it is computed on the logit scale, above one bound on the log scale, and for a difference on
        the scale of the number, cut off at the bounds. A standard error of 0 says that all groups are alike, not that
        the next one will be: the interval then is Wilson's for as many independent trials as there are groups (of a
        difference, the part of the range that this leaves around it), and undefined where the range is unbounded. It
        is undefined too below `MIN_GROUPS` groups. Less than half a group away from a bound, the interval reaches at
        least as far as Wilson's at that bound, since no result is surer than a perfect one.
        """
        if math.isnan(self.value) or math.isnan(self.standard_error):
            return Interval(self.value, math.nan, math.nan, confidence_level)
        width = values.high - values.low
        at_edge = not values.is_difference and self.value in (values.low, values.high)
        if self.standard_error <= _TINY or at_edge:
            low, high = self._bound_by_groups(values, confidence_level)
            return Interval(self.value, low, high, confidence_level)
        half = float(student.ppf((1 + confidence_level) / 2, self.df)) * self.standard_error
        if values.is_difference or math.isinf(values.low):
            low, high = self.value - half, self.value + half
        elif math.isinf(values.high):
            above = self.value - values.low
            if half < _LOG_REACH * above:
                low, high = (values.low + above * math.exp(sign * half / above) for sign in (-1, 1))
            else:  # the bound, which has no logarithm, can hardly be excluded
                low, high = values.low, self.value + half
        else:
            share = (self.value - values.low) / width
            logit, steps = math.log(share / (1 - share)), half / width / (share * (1 - share))
            bottom, top = (_expit(logit + sign * steps) for sign in (-1, 1))
            at_bound = wilson(0, self.n_groups, confidence_level).high
            if self.n_groups * (1 - share) < _NEAR:
                bottom = min(bottom, 1 - at_bound)
            if self.n_groups * share < _NEAR:
                top = max(top, at_bound)
            low, high = values.low + width * bottom, values.low + width * top
        return Interval(self.value, max(low, values.low), min(high, values.high), confidence_level)

    def _bound_by_groups(self, values: Range, confidence_level: float) -> tuple[float, float]:
        width = values.high - values.low
        if math.isinf(width):
            return math.nan, math.nan
        if values.is_difference:
            half = wilson(0, self.n_groups, confidence_level).high * width / 2
            return max(self.value - half, values.low), min(self.value + half, values.high)
        share = (self.value - values.low) / width
        bounds = wilson(share * self.n_groups, self.n_groups, confidence_level)
        return values.low + width * bounds.low, values.low + width * bounds.high

    def p_value(self) -> float:
        """Two-sided p of the hypothesis that the number is 0, by the t distribution; nan where undefined.

        Without a standard error it is 1 for 0, and else that of as many fair coins as groups that all agree.
        """
        if math.isnan(self.value) or math.isnan(self.standard_error):
            return math.nan
        if self.standard_error <= _TINY:
            return 1.0 if abs(self.value) <= _TINY else 2.0 ** (1 - self.n_groups)
        return float(2 * student.sf(abs(self.value) / self.standard_error, self.df))


def estimates(
    evaluate: WeightedMetrics, units: Units, ranges: Mapping[str, Range], *, resampling: Resampling
) -> dict[str, Estimate]:
    """Estimates of whatever `evaluate` computes from weights of cells; without standard errors below `MIN_GROUPS`.

    A resample in which a number is undefined is left out; where they are many, there is no standard error either.
    """
    plain = {name: float(value[0]) for name, value in evaluate(np.ones((1, units.n_groups, units.n_models))).items()}
    n_groups = {name: ranges[name].n_groups or units.n_groups for name in plain}
    if max(n_groups.values(), default=0) < MIN_GROUPS:
        return {name: Estimate(value, math.nan, math.nan, n_groups[name]) for name, value in plain.items()}
    shape = (units.n_groups, units.n_models)  # resampling groups, all models of a group count alike, and conversely
    group_counts = _counts(units, units.n_groups, resampling, stream=0)
    by_group = (np.broadcast_to(counts[:, :, None], (len(counts), *shape)) for counts in group_counts)
    groups = _variances(evaluate, by_group, n_groups)
    if units.n_models == 1:
        joined = {name: (variance, n_groups[name] - 1.0) for name, variance in groups.items()}
    else:
        model_counts = _counts(units, units.n_models, resampling, stream=1)
        by_model = (np.broadcast_to(counts[:, None, :], (len(counts), *shape)) for counts in model_counts)
        models = _variances(evaluate, by_model, dict.fromkeys(plain, units.n_models))
        n_cells = len(units.cell_group)
        if n_cells == units.n_groups:  # each group has one model: resampling cells is resampling groups
            cells = groups
        else:
            cells = _variances(evaluate, _cell_weights(units, resampling), dict.fromkeys(plain, n_cells))
        joined = {
            name: two_way(groups[name], models[name], cells[name], df=(n_groups[name] - 1, units.n_models - 1))
            for name in plain
        }
    return {
        name: Estimate(
            plain[name], math.sqrt(variance) if n_groups[name] >= MIN_GROUPS else math.nan, df, n_groups[name]
        )
        for name, (variance, df) in joined.items()
    }


def two_way(groups: float, models: float, cells: float, *, df: tuple[float, float]) -> tuple[float, float]:
    """Variance and degrees of freedom of a set of repeats; all nan where one of the variances is.

    Args:
        groups, models, cells: variances over these units.
        df: degrees of freedom of the first two.
    """
    g, m = df
    if models == 0:  # the models agree in everything that is measured, as one
        return groups, g
    variance = max(groups + models - cells, groups, models)
    fewest = min(g, m)
    satterthwaite = variance**2 / (groups**2 / g + models**2 / m)
    return variance, max(fewest, satterthwaite * fewest / (fewest + 2))


def _variances(evaluate: WeightedMetrics, blocks: Iterator[Floats], n_units: Mapping[str, int]) -> dict[str, float]:
    """Variance of each number over resamples of its n units, times n / (n - 1).

    It is nan for one unit, and where more than a quarter of the resamples leave the number undefined: what is left says
    nothing of the units that define it, such as the only group with a positive row.
    """
    variances = {}
    for name, values in evaluate_blocks(evaluate, blocks).items():
        n, defined = n_units[name], values[~np.isnan(values)]
        known = n > 1 and defined.size >= 0.75 * values.size
        variances[name] = _variance(defined) * n / (n - 1) if known else math.nan
    return variances


def _variance(values: Floats) -> float:
    if values.size < 2:
        return math.nan
    variance = float(values.var(ddof=1))
    return 0.0 if variance <= _TINY**2 else variance


def evaluate_blocks(evaluate: WeightedMetrics, blocks: Iterator[Floats]) -> dict[str, Floats]:
    """Values [R] of every number over blocks of weights."""
    parts = [evaluate(weights) for weights in blocks]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _cell_weights(units: Units, resampling: Resampling) -> Iterator[Floats]:
    for counts in _counts(units, len(units.cell_group), resampling, stream=2):
        weights = np.zeros((len(counts), units.n_groups, units.n_models))
        weights[:, units.cell_group, units.cell_model] = counts
        yield weights


def _counts(units: Units, n: int, resampling: Resampling, *, stream: int) -> Iterator[Floats]:
    """Blocks [r, n] of how often each of n units is drawn, in n draws with replacement, from a stream of their own."""
    rng = np.random.default_rng([resampling.seed, stream])
    for size in block_sizes(max(units.n_rows, units.n_groups * units.n_models), resampling.n_resamples):
        draws = rng.integers(n, size=(size, n), dtype=np.int32) + np.arange(size)[:, None] * n
        yield np.bincount(draws.ravel(), minlength=size * n).reshape(size, n).astype(np.float64)


def block_sizes(n_weights: int, n_resamples: int) -> list[int]:
    """Sizes of blocks, `n_resamples` in all, of which each touches about BLOCK weights."""
    size = max(1, BLOCK // n_weights)
    return [min(size, n_resamples - start) for start in range(0, n_resamples, size)]


def _expit(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))
