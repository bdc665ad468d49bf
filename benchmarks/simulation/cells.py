"""The cells of the tables: a kind of study with a number of groups, and what one simulation of it yields."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.simulation.reference import METRICS, group_sums, percentile_intervals
from benchmarks.simulation.world import Layout, Study, World, draw, folds, one_model, seeds
from hallmark.statistics import PairedDifference, Resampling, all_intervals, paired_difference

CONFIDENCE_LEVEL = 0.95
SEGMENTED = ("miou", "oiou")
TESTED = ("macro_f1", "miou")  # of which verdicts are taken
PERCENTILE = "percentile "  # before the name of a metric
PERCENTILE_RESAMPLES = 1000
MANY_GROUPS, THEIR_ROWS = 600, (1, 3)  # rows of a group where there are so many

Values = dict[str, list[float]]
"""By metric: the two ends of an interval, or p and whether a difference was claimed."""


@dataclass(frozen=True)
class Kind:
    """Studies that differ in the number of their groups only.

    Attributes:
        world: the population.
        layout: which model predicts which group.
        measure: what one study yields.
        groups: numbers of groups, one cell each.
    """

    world: World
    layout: Callable[[int, np.random.Generator], Layout]
    measure: Callable[[Study, Resampling], Values]
    groups: tuple[int, ...]


@dataclass(frozen=True)
class Cell:
    """Attributes: kind: a name in `KINDS`. n_groups: groups of each study."""

    kind: str
    n_groups: int

    @property
    def name(self) -> str:
        return f"{self.kind}, {self.n_groups} groups"

    def simulate(self, number: int, n_resamples: int) -> Values:
        """What simulation `number` yields; it depends on nothing but its arguments."""
        kind = KINDS[self.kind]
        rng = np.random.default_rng([zlib.crc32(self.name.encode()), number])
        world = replace(kind.world, rows=THEIR_ROWS) if self.n_groups >= MANY_GROUPS else kind.world
        study = draw(world, kind.layout(self.n_groups, rng), rng)
        return kind.measure(study, Resampling(CONFIDENCE_LEVEL, n_resamples, number))


def _intervals(study: Study, resampling: Resampling) -> Values:
    classified, segmented = study.classification(), study.segmentation()
    intervals = {
        **all_intervals(classified, [name for name in METRICS if name not in SEGMENTED], resampling=resampling),
        **all_intervals(segmented, SEGMENTED, resampling=resampling),
    }
    return {name: [interval.low, interval.high] for name, interval in intervals.items()}


def _intervals_and_percentiles(study: Study, resampling: Resampling) -> Values:
    percentiles = percentile_intervals(
        group_sums(study, study.group),
        confidence_level=resampling.confidence_level,
        n_resamples=PERCENTILE_RESAMPLES,
        rng=np.random.default_rng(resampling.seed),
    )
    return _intervals(study, resampling) | {PERCENTILE + name: list(ends) for name, ends in percentiles.items()}


def _differences(study: Study, resampling: Resampling) -> Values:
    ends = {name: paired.difference for name, paired in _compared(study, METRICS, resampling).items()}
    return {name: [interval.low, interval.high] for name, interval in ends.items()}


def _verdicts(study: Study, resampling: Resampling) -> Values:
    compared = _compared(study, TESTED, resampling)
    return {name: [paired.p_value, float(paired.is_significant)] for name, paired in compared.items()}


def _compared(study: Study, metrics: Sequence[str], resampling: Resampling) -> dict[str, PairedDifference]:
    classified = study.classification(0), study.classification(1)
    segmented = study.segmentation(0), study.segmentation(1)
    pairs = {name: segmented if name in SEGMENTED else classified for name in metrics}
    return {name: paired_difference(*pair, metric=name, resampling=resampling) for name, pair in pairs.items()}


def _one_model(n_groups: int, _: np.random.Generator) -> Layout:
    return one_model(n_groups)


_LUCK = 0.1  # about two points of accuracy between models
_EQUAL = World(gains=(0.0, 0.0), luck=_LUCK)
_GROUPS = (4, 6, 10, 20)
_TESTED_GROUPS = (5, 10, 30, MANY_GROUPS)

PLAIN, EDGE, TWO_WAY, PAIRED = "one run", "one run near the edge", "5 seeds", "paired"
ONE_EACH = "one run each of equal settings"
KINDS: Mapping[str, Kind] = {
    PLAIN: Kind(World(), _one_model, _intervals_and_percentiles, _GROUPS),
    EDGE: Kind(World(skill=3.1, iou=4.0, empty=0.005), _one_model, _intervals_and_percentiles, _GROUPS),
    TWO_WAY: Kind(World(luck=_LUCK), lambda n, _: seeds(n, 5), _intervals, _GROUPS),
    PAIRED: Kind(World(gains=(0.0, 0.3), system=0.3), _one_model, _differences, _GROUPS),
    "equal runs": Kind(World(gains=(0.0, 0.0)), _one_model, _verdicts, _TESTED_GROUPS),
    ONE_EACH: Kind(_EQUAL, _one_model, _verdicts, _TESTED_GROUPS),
    "equal 3 seeds": Kind(_EQUAL, lambda n, _: seeds(n, 3), _verdicts, _TESTED_GROUPS),
    "equal 5 seeds": Kind(_EQUAL, lambda n, _: seeds(n, 5), _verdicts, _TESTED_GROUPS),
    "equal 5 folds": Kind(_EQUAL, lambda n, rng: folds(n, 5, 1, rng), _verdicts, _TESTED_GROUPS),
    "equal 5 x 3 folds": Kind(_EQUAL, lambda n, rng: folds(n, 5, 3, rng), _verdicts, _TESTED_GROUPS),
}
COVERAGE = (PLAIN, EDGE, TWO_WAY, PAIRED)


def all_cells() -> list[Cell]:
    """In the order of their work: many groups last."""
    cells = [Cell(name, n_groups) for name, kind in KINDS.items() for n_groups in kind.groups]
    return sorted(cells, key=lambda cell: cell.n_groups == MANY_GROUPS)
