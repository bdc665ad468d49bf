"""Coverage of the intervals of distances, by simulation: python -m benchmarks.coverage_distances

Real and generated rows are drawn from populations whose expected distance is known, and handed to `all_intervals` as a
prediction table. What an interval is to hold is the mean distance of sets of the same size.
"""

import argparse
import time
import zlib
from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.results import Cell
from benchmarks.simulation.rates import Rate, least_coverage, write_rates
from hallmark.statistics import Resampling, all_intervals
from hallmark.statistics.metrics.classification import Floats
from hallmark.statistics.metrics.sets import DISTANCES, GENERATED, REAL
from hallmark.wording import plural

SIMULATIONS, DRAWS = 400, 2000
LEVEL = 0.95
GROUPS = (6, 20, 60)
ROWS, WIDTH = 3, 6  # of a group; numbers of a feature
TITLES = {"kernel_distance": "kernel distance", "frechet_distance": "Fréchet distance"}


@dataclass(frozen=True)
class Kind:
    """How rows are generated.

    Attributes:
        shift, scale: of the generated features against the real ones.
        paired: whether each real row has a generated one in its group, which shares half of what is particular to it;
            else each generated row is a group of its own.
    """

    shift: float
    scale: float
    paired: bool

    def draw(self, n_groups: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
        """Features [G · ROWS, WIDTH] of the real rows and of the generated ones, of one group after the other.

        They are of one sign, as those behind a rectifier are.
        """
        effects = 0.7 * rng.normal(size=(2, n_groups, 1, WIDTH))
        of_generated = np.sqrt(0.5) * effects.sum(axis=0) if self.paired else 0.7 * rng.normal(
            size=(n_groups, ROWS, WIDTH))  # fmt: skip
        noise = rng.normal(size=(2, n_groups, ROWS, WIDTH))
        real, generated = effects[0] + noise[0], self.shift + self.scale * (of_generated + noise[1])
        first, second = (np.maximum(0.5 + rows.reshape(-1, WIDTH), 0) for rows in (real, generated))
        return first, second

    def table(self, n_groups: int, rng: np.random.Generator) -> pd.DataFrame:
        group = np.repeat(np.arange(n_groups), ROWS)
        groups = {REAL: group, GENERATED: group if self.paired else n_groups + np.arange(len(group))}
        parts = [
            pd.DataFrame({
                "id": [f"{number}:{kind}" for number in range(len(features))], "split": "test", "task": "main",
                "group": groups[kind].astype(str), "target": None, "prediction": None, "confidence": np.nan,
                "probabilities": None, "score": np.nan, "kind": kind, "features": list(features),
            })
            for kind, features in zip((REAL, GENERATED), self.draw(n_groups, rng), strict=True)
        ]  # fmt: skip
        table = pd.concat(parts, ignore_index=True)
        table.attrs = {"classes": {}}
        return table


KINDS = {
    "a generated row for each real one": Kind(0.3, 0.8, paired=True),
    "generated rows of their own": Kind(0.3, 0.8, paired=False),
    "a generator without fault": Kind(0.0, 1.0, paired=False),
}


def rates(name: str, n_groups: int, *, n_simulations: int, n_draws: int) -> dict[str, Rate]:
    """How often the intervals hold the mean distance of such sets, by metric."""
    kind, code = KINDS[name], zlib.crc32(f"{name}, {n_groups} groups".encode())
    truth = dict.fromkeys(DISTANCES, 0.0)
    for number in range(n_draws):
        sets = kind.draw(n_groups, np.random.default_rng([code, 1, number]))
        for metric, distance in DISTANCES.items():
            truth[metric] += distance(*sets) / n_draws
    hits = dict.fromkeys(DISTANCES, 0)
    for number in range(n_simulations):
        table = kind.table(n_groups, np.random.default_rng([code, 0, number]))
        intervals = all_intervals(table, list(DISTANCES), resampling=Resampling(LEVEL, 200, number))
        for metric, interval in intervals.items():
            hits[metric] += interval.low <= truth[metric] <= interval.high
    return {metric: Rate(of, n_simulations, least_coverage(n_groups)) for metric, of in hits.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=SIMULATIONS, help="of each cell")
    parser.add_argument("--draws", type=int, default=DRAWS, help="of which the true value of a cell is the mean")
    arguments = parser.parse_args()
    began = time.process_time()
    every: list[Rate] = []
    covered: list[dict[str, Cell]] = []
    for name in KINDS:
        for n_groups in GROUPS:
            of_cell = rates(name, n_groups, n_simulations=arguments.simulations, n_draws=arguments.draws)
            every += of_cell.values()
            covered.append({"rows": name, "groups": str(n_groups)}
                           | {TITLES[metric]: rate.cell for metric, rate in of_cell.items()})  # fmt: skip
            print(covered[-1], flush=True)
    write_rates(
        "coverage_distances",
        rows=f"Simulated studies, {arguments.simulations:,} a cell, of {plural(ROWS, 'row')} a group and {WIDTH} "
        f"features; intervals at {LEVEL:.0%}. The true value is the mean of {arguments.draws:,} studies.",
        covered=covered, rates=every, began=began,
    )  # fmt: skip


if __name__ == "__main__":
    main()
