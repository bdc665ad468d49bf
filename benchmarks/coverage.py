"""Coverage of intervals and false verdicts, by simulation: python -m benchmarks.coverage

Studies are drawn from a population whose true values are known, and handed to the package's public functions as
prediction tables. Every block of simulations is stored below --folder; a run that was stopped goes on from there, and
gives the same numbers. Tables go to docs/results/<name>.json, a name of `OUTCOMES`, when all its cells are done.
"""

import argparse
import fnmatch
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.pages import RESULTS
from benchmarks.results import Cell as Text
from benchmarks.results import count_cell, number_cell, write_result
from benchmarks.simulation.blocks import Block, Plan, run_blocks, truths
from benchmarks.simulation.cells import (
    CONFIDENCE_LEVEL,
    COVERAGE,
    KINDS,
    ONE_EACH,
    PERCENTILE,
    PERCENTILE_RESAMPLES,
    Cell,
    all_cells,
)
from benchmarks.simulation.rates import Rate, coverage, false_verdicts
from benchmarks.simulation.reference import METRICS
from benchmarks.simulation.world import World

SIMULATIONS, RESAMPLES = 2000, 200
NAMES = {"accuracy": "accuracy", "macro_f1": "macro F1", "auroc": "AUROC", "miou": "mIoU", "oiou": "oIoU"}
OUTCOMES = {"coverage": [kind for kind in KINDS if kind != ONE_EACH], "coverage_one_run_each": [ONE_EACH]}
"""The kinds of study by the name of the result that shows them."""

_REPORT_EVERY = 30.0  # seconds

Rates = dict[Cell, dict[str, Rate]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=SIMULATIONS, help="of each cell")
    parser.add_argument("--resamples", type=int, default=RESAMPLES, help="of each interval and test")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--cells", default="*", help="only those whose name matches, such as 'one run, *'")
    parser.add_argument("--folder", type=Path, default=Path("outputs/coverage"))
    arguments = parser.parse_args()
    plan = Plan(arguments.folder, arguments.simulations, arguments.resamples)
    cells = [cell for cell in all_cells() if fnmatch.fnmatch(cell.name, arguments.cells)]
    rates = simulate(plan, cells, arguments.processes)
    short = [f"{cell.name}: {name} {rate}" for cell in cells for name, rate in rates[cell].items() if not rate.holds]
    print("\n".join(["every cell holds its bar" if not short else "these fall short:", *short]))
    for name, kinds in OUTCOMES.items():
        of_kinds = {cell: rates[cell] for cell in all_cells() if cell.kind in kinds and cell in rates}
        if len(of_kinds) == sum(len(KINDS[kind].groups) for kind in kinds):
            print(f"written to {write(name, of_kinds, plan)}")


def simulate(plan: Plan, cells: list[Cell], n_processes: int) -> Rates:
    """The rates of `cells`, from stored blocks and from new ones."""
    true = truths({KINDS[cell.kind].world for cell in cells if cell.kind in COVERAGE}, plan.folder, n_processes)
    waiting = {cell: [block for block in plan.blocks(cell) if block.stored() is None] for cell in cells}
    progress = _Progress(plan, waiting, n_processes)
    rates: Rates = {}
    for cell in cells:
        if not waiting[cell]:
            rates[cell] = _report(cell, plan, true)
    for block, seconds in run_blocks([block for cell in cells for block in waiting[cell]], n_processes):
        waiting[block.cell].remove(block)
        progress.add(block.cell, seconds)
        if not waiting[block.cell]:
            rates[block.cell] = _report(block.cell, plan, true)
    return rates


def _report(cell: Cell, plan: Plan, true: Mapping[World, dict[str, float]]) -> dict[str, Rate]:
    values = plan.values(cell)
    if cell.kind in COVERAGE:
        rates = coverage(values, true[KINDS[cell.kind].world], cell.n_groups)
    elif cell.kind == ONE_EACH:
        rates = false_verdicts(values, bar=None)  # the models differ: a verdict on them can be right
    else:
        rates = false_verdicts(values)
    print(f"{cell.name}: {', '.join(f'{name} {rate}' for name, rate in rates.items())}", flush=True)
    return rates


class _Progress:
    """Says how many blocks are done, and how long the others may take by the cost of one simulation of each cell."""

    def __init__(self, plan: Plan, waiting: Mapping[Cell, list[Block]], n_processes: int) -> None:
        self.left = {cell: len(blocks) for cell, blocks in waiting.items()}
        self.n_processes = n_processes
        self.seconds = {cell: self._block_seconds(cell, plan) for cell, blocks in waiting.items() if blocks}
        self.began = self.said = time.perf_counter()
        self.expected_of_done = 0.0
        if self.seconds:
            self._say(sum(self.left[cell] * seconds for cell, seconds in self.seconds.items()) / n_processes)

    @staticmethod
    def _block_seconds(cell: Cell, plan: Plan) -> float:
        cell.simulate(0, plan.n_resamples)
        began = time.perf_counter()
        cell.simulate(0, plan.n_resamples)
        return (time.perf_counter() - began) * min(plan.block_size, plan.n_simulations)

    def add(self, cell: Cell, seconds: float) -> None:
        self.left[cell] -= 1
        self.expected_of_done += self.seconds[cell]
        now = time.perf_counter()
        if now - self.said >= _REPORT_EVERY:
            self.said = now
            remaining = sum(self.left[cell] * expected for cell, expected in self.seconds.items())
            self._say((now - self.began) * remaining / self.expected_of_done)

    def _say(self, seconds: float) -> None:
        print(f"{sum(self.left.values())} blocks to do, about {seconds / 60:.1f} min", flush=True)


def write(name: str, rates: Rates, plan: Plan, folder: Path = RESULTS) -> Path:
    """Store the tables of cells as the result `name`."""
    kinds = {kind: {cell.n_groups: of for cell, of in rates.items() if cell.kind == kind} for kind in KINDS}
    covered = [kind for kind in COVERAGE if kinds[kind]]
    tables = {kind.replace(" ", "_"): _table(kinds[kind]) for kind in covered}
    tables |= {
        f"percentile_{kind.replace(' ', '_')}": _table(kinds[kind], PERCENTILE)
        for kind in covered
        if any(PERCENTILE + name in of for of in kinds[kind].values() for name in METRICS)
    }
    tables["false_verdicts"] = [
        {"settings": kind, "groups": str(n_groups)} | {NAMES[name]: rate.cell for name, rate in of.items()}
        for kind in KINDS
        if kind not in COVERAGE
        for n_groups, of in kinds[kind].items()
    ]
    every = [rate for of in rates.values() for name, rate in of.items() if not name.startswith(PERCENTILE)]
    minutes = sum(plan.seconds(cell) for cell in rates) / 60
    return write_result(
        name,
        rows=(
            f"Simulated studies, {plan.n_simulations:,} a cell; intervals and tests at {CONFIDENCE_LEVEL:.0%} with "
            f"{plan.n_resamples} resamples, the percentile bootstrap's with {PERCENTILE_RESAMPLES:,}."
        ),
        intervals="Beside each rate stands its standard error; it falls short where it is worse than its bar by more "
        "than two of them.",
        tables=tables,
        values={
            "cells": count_cell(len(every)),
            "short": count_cell(sum(not rate.holds for rate in every)),
            "processor_minutes": number_cell(minutes, 0),
        },
        folder=folder,
    )


def _table(of_kind: Mapping[int, dict[str, Rate]], prefix: str = "") -> list[dict[str, Text]]:
    return [
        {"groups": str(n_groups)} | {NAMES[name]: of[prefix + name].cell for name in METRICS}
        for n_groups, of in of_kind.items()
    ]


if __name__ == "__main__":
    main()
