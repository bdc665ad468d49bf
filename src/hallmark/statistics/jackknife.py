"""Intervals of distances between two sets of rows, by leaving groups out.

The bootstrap draws rows twice, and a row is at distance 0 from its copy: resampled distances lie too high, by about as
much as a distance of few rows is too high itself. Nothing is drawn twice here. The delete-one-group jackknife (Efron &
Stein 1981, Annals of Statistics 9) leaves out one group at a time, of both sets at once; of more than `BLOCKS` groups
random blocks of them (Busing, Meijer & van der Leeden 1999). Groups that occur in both sets, in the real rows only and
in the generated rows only are strata, whose variances are added, with Satterthwaite's degrees of freedom.

A set of repeats has a distance for each model, and its value is their mean. Groups are left out of all models at once.
As for other metrics (`uncertainty`), V = V_groups + V_models - V_cells, where V_models is the jackknife over models and
V_cells that over groups of each model alone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hallmark.statistics.interval import MIN_GROUPS, Interval
from hallmark.statistics.metrics.classification import Floats, Integers
from hallmark.statistics.metrics.sets import GENERATED, REAL, SET_METRICS
from hallmark.statistics.resampling import Resampling
from hallmark.statistics.sample import Sample
from hallmark.statistics.tables import feature_array, is_real, two_sets, why_no_distance
from hallmark.statistics.uncertainty import Estimate, Range, two_way

BLOCKS = 50  # evaluations of an interval: their variance has a coefficient of variation of about 20 %


@dataclass(frozen=True)
class LeftOut:
    """A number of each of M models, and what it is without each of B blocks of groups.

    Attributes:
        values: [M].
        without: [B, M].
        stratum: [B], which stratum a block is of; -1 where the stratum has too few groups to tell.
    """

    values: Floats
    without: Floats
    stratum: Integers

    def __sub__(self, other: "LeftOut") -> "LeftOut":
        """The same of a difference; both have the same blocks."""
        return LeftOut(self.values - other.values, self.without - other.without, self.stratum)

    def estimate(self, n_groups: int) -> Estimate:
        """Of the mean over models; without a standard error where a stratum or a value without a block has none."""
        value, n_models = float(self.values.mean()), len(self.values)
        if (self.stratum < 0).any() or not np.isfinite(self.without).all():
            return Estimate(value, math.nan, math.nan, n_groups)
        # In units of their spread, whose fourth power neither overflows nor vanishes.
        unit = max(float(np.ptp(self.without)), float(np.ptp(self.values))) or 1.0
        groups, cells, spread = 0.0, 0.0, 0.0
        for stratum in np.unique(self.stratum):
            without = (self.without[self.stratum == stratum] - value) / unit
            share = (len(without) - 1) / len(without)
            variance = share * float(((without.mean(axis=1) - without.mean()) ** 2).sum())
            groups += variance
            spread += variance**2 / (len(without) - 1)
            cells += share * float(((without - without.mean(axis=0)) ** 2).sum()) / n_models**2
        df = groups**2 / spread if spread > 0 else math.nan
        if n_models == 1 or math.isnan(df):
            return Estimate(value, unit * math.sqrt(groups), df, n_groups)
        models = float(((self.values - value) / unit).var(ddof=1)) / n_models
        variance, df = two_way(groups, models, cells, df=(df, n_models - 1))
        return Estimate(value, unit * math.sqrt(variance), df, n_groups)


@dataclass(frozen=True, eq=False)
class TwoSets:
    """The rows of one task as two sets for each model, their groups shared out into blocks.

    Args:
        sample: its rows have a kind and features.
        seed: of the blocks; samples with the same groups have the same ones.

    Raises:
        ValueError: a kind that is neither real nor generated.
    """

    sample: Sample
    seed: int

    @cached_property
    def is_real(self) -> NDArray[np.bool_]:
        return is_real(self.sample.rows)

    @cached_property
    def blocks(self) -> tuple[Integers, Integers]:
        """The block [G] of each group, and the stratum [B] of each block."""
        group, n_groups = self.sample.group, self.sample.n_groups
        occurs = [np.bincount(group[mask], minlength=n_groups) > 0 for mask in (self.is_real, ~self.is_real)]
        pattern, rng = occurs[0] + 2 * occurs[1], np.random.default_rng(self.seed)
        block = np.empty(n_groups, dtype=np.intp)
        strata: list[int] = []
        for stratum in np.unique(pattern):
            members = rng.permutation(np.flatnonzero(pattern == stratum))
            n_blocks = min(len(members), BLOCKS)
            block[members] = len(strata) + np.arange(len(members)) % n_blocks
            strata += [int(stratum) if len(members) >= MIN_GROUPS else -1] * n_blocks
        return block, np.array(strata, dtype=np.intp)

    def left_out(self, metrics: Sequence[str]) -> dict[str, LeftOut]:
        """Of each metric what it is, and what it is without each block; all nan where the rows have no distance."""
        n_models, (block, stratum) = self.sample.n_models, self.blocks
        values = {name: np.full(n_models, math.nan) for name in metrics}
        without = {name: np.full((len(stratum), n_models), math.nan) for name in metrics}
        if why_no_distance(self.sample.rows) is None:
            for model in range(n_models):
                masks = [(self.sample.model == model) & kind for kind in (self.is_real, ~self.is_real)]
                real, generated = two_sets(self.sample.rows[masks[0] | masks[1]])
                codes = block[self.sample.group[masks[0]]], block[self.sample.group[masks[1]]]
                for name in metrics:
                    values[name][model] = SET_METRICS[name](real, generated)
                    without[name][:, model] = SET_METRICS[name].without_blocks(real, generated, codes, len(stratum))
        return {name: LeftOut(values[name], without[name], stratum) for name in metrics}


def set_intervals(sample: Sample, metrics: Sequence[str], *, resampling: Resampling) -> dict[str, Interval]:
    """Intervals of distances, of what each is expected to be for sets of these sizes.

    No ends where a stratum has fewer than `MIN_GROUPS` groups, or a value without a block is undefined.

    Raises:
        ValueError: a metric that is none of sets, or a kind that is neither real nor generated.
    """
    ranges = {name: set_range(name) for name in metrics}
    left_out = TwoSets(sample, resampling.seed).left_out(metrics)
    return {
        name: left_out[name].estimate(sample.n_groups).interval(values, resampling.confidence_level)
        for name, values in ranges.items()
    }


def set_difference(samples: tuple[Sample, Sample], metric: str, *, resampling: Resampling) -> tuple[Estimate, Range]:
    """The distance of the second sample less that of the first, groups left out of both at once, and its range.

    Args:
        samples: row by row the same ids, as `paired_samples` gives them.

    Raises:
        ValueError: the real rows of the two differ in their features, so that their distances are of different scales;
            or as `set_intervals`.
    """
    before, after = (TwoSets(sample, resampling.seed) for sample in samples)
    values = set_range(metric)
    if all(why_no_distance(sample.rows) is None for sample in samples):
        real_before, real_after = (feature_array(part.sample.rows[part.is_real]) for part in (before, after))
        scale = float(np.abs(real_before).max(initial=0.0))
        if real_before.shape != real_after.shape or not np.allclose(
            real_before, real_after, rtol=1e-3, atol=1e-4 * scale
        ):
            raise ValueError(
                f"the features of the {REAL} rows differ between the two tables: distances compare only where one "
                "network gave the features of both"
            )
    difference = after.left_out([metric])[metric] - before.left_out([metric])[metric]
    return difference.estimate(samples[0].n_groups), values.of_differences


def set_range(metric: str) -> Range:
    """The values that a metric of sets can take. ValueError for another metric."""
    if metric not in SET_METRICS:
        raise ValueError(f"metric {metric}: {REAL} and {GENERATED} rows have {', '.join(SET_METRICS)}")
    return Range(SET_METRICS[metric].low, SET_METRICS[metric].high)
