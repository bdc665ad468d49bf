"""Coverage of the intervals of a generator's numbers, by simulation: python -m benchmarks.coverage_generators

Real and generated rows of three classes and a judge's answers are drawn from populations, and handed to `all_intervals`
as a prediction table. What an interval is to hold is the mean of the number over studies of the same size.
"""

import argparse
import time
import zlib

import numpy as np
import pandas as pd

from benchmarks.results import Cell
from benchmarks.simulation.rates import Rate, least_coverage, write_rates
from hallmark.statistics import Resampling, all_intervals, table_metrics
from hallmark.statistics.metrics.sets import DISTANCES, GENERATED, REAL, SET_METRICS
from hallmark.statistics.metrics.sets.neighbors import nearest_distances
from hallmark.wording import readable

SIMULATIONS, DRAWS = 300, 1000
LEVEL = 0.95
GROUPS = (60, 240)
CLASSES, WIDTH, TRAINING = 3, 6, 300  # numbers of a feature; training rows
NAMES = [name for name in SET_METRICS if name not in DISTANCES]

CENTERS = 2.0 * np.eye(CLASSES, WIDTH)
_TRAINING_ROWS = CENTERS[np.arange(TRAINING) % CLASSES] + np.random.default_rng(0).normal(size=(TRAINING, WIDTH))


def study(n_groups: int, rng: np.random.Generator) -> pd.DataFrame:
    """A table of one real row a group and one generated for it: a little off, and less various."""
    target = np.arange(n_groups) % CLASSES
    parts = []
    for kind, shift, scale in ((REAL, 0.0, 1.0), (GENERATED, 0.3, 0.8)):
        features = CENTERS[target] + shift + scale * rng.normal(size=(n_groups, WIDTH))
        answer = np.where(rng.random(n_groups) < 0.9, target, (target + 1) % CLASSES)
        parts.append(pd.DataFrame({
            "id": [f"{number}:{kind}" for number in range(n_groups)], "split": "test", "task": "main",
            "group": np.arange(n_groups).astype(str), "target": target.astype(str), "prediction": answer.astype(str),
            "confidence": np.nan, "probabilities": None, "score": np.nan, "kind": kind, "features": list(features),
            "nyquist_energy": rng.gamma(2, size=n_groups),
            "train_distance": nearest_distances(features, _TRAINING_ROWS),
        }))  # fmt: skip
    table = pd.concat(parts, ignore_index=True)
    table.attrs = {"classes": {}}
    return table


def rates(n_groups: int, *, n_simulations: int, n_draws: int) -> dict[str, Rate]:
    """How often the interval of each number holds its mean."""
    code = zlib.crc32(f"{n_groups} groups".encode())
    values = [
        table_metrics(study(n_groups, np.random.default_rng([code, 1, number])))["main"] for number in range(n_draws)
    ]
    truth = pd.DataFrame(values)[NAMES].astype(float).mean()
    hits = dict.fromkeys(NAMES, 0)
    for number in range(n_simulations):
        table = study(n_groups, np.random.default_rng([code, 0, number]))
        for name, interval in all_intervals(table, NAMES, resampling=Resampling(LEVEL, 200, number)).items():
            hits[name] += bool(interval.low <= truth[name] <= interval.high)
    return {name: Rate(of, n_simulations, least_coverage(n_groups)) for name, of in hits.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=SIMULATIONS, help="of each cell")
    parser.add_argument("--draws", type=int, default=DRAWS, help="of which the true value of a cell is the mean")
    arguments = parser.parse_args()
    began = time.process_time()
    by_groups = {}
    for n_groups in GROUPS:
        by_groups[n_groups] = rates(n_groups, n_simulations=arguments.simulations, n_draws=arguments.draws)
        print(n_groups, {name: str(rate) for name, rate in by_groups[n_groups].items()}, flush=True)
    every = [rate for of_groups in by_groups.values() for rate in of_groups.values()]
    covered: list[dict[str, Cell]] = [
        {"number": readable(name)} | {f"{n} groups": of_groups[name].cell for n, of_groups in by_groups.items()}
        for name in NAMES
    ]
    write_rates(
        "coverage_generators",
        rows=f"Simulated studies, {arguments.simulations:,} a cell, of a real and a generated row a group, {CLASSES} "
        f"classes and {WIDTH} features; intervals at {LEVEL:.0%}. The true value is the mean of {arguments.draws:,} "
        "studies.",
        covered=covered, rates=every, began=began,
    )  # fmt: skip


if __name__ == "__main__":
    main()
