"""Blocks of simulations, each stored when it is done, so that a run that was stopped goes on where it was."""

import functools
import hashlib
import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

import hallmark.statistics
from benchmarks.simulation import cells, reference, world
from benchmarks.simulation.cells import Cell
from benchmarks.simulation.reference import true_values
from benchmarks.simulation.world import Floats
from hallmark.storage.files import read_json, write_json

TRUTH_DRAWS, TRUTH_GROUPS, TRUTH_SEED = 400, 1000, 1
_DIGITS = 6


@dataclass(frozen=True)
class Plan:
    """What is to be simulated, and where blocks lie.

    Attributes:
        folder: of the stored blocks.
        n_simulations: of each cell.
        n_resamples: of each interval and test.
        block_size: simulations that are stored together; no number depends on it.
    """

    folder: Path
    n_simulations: int
    n_resamples: int
    block_size: int = 50

    def blocks(self, cell: Cell) -> list["Block"]:
        starts = range(0, self.n_simulations, self.block_size)
        return [Block(self, cell, start, min(start + self.block_size, self.n_simulations)) for start in starts]

    def values(self, cell: Cell) -> dict[str, Floats]:
        """[simulations, 2] by metric, of all stored blocks of a cell."""
        stored = [content["values"] for block in self.blocks(cell) if (content := block.stored()) is not None]
        names = stored[0] if stored else ()
        return {name: np.concatenate([np.array(block[name], dtype=np.float64) for block in stored]) for name in names}

    def seconds(self, cell: Cell) -> float:
        """Processor time of all stored blocks of a cell."""
        return sum(content["seconds"] for block in self.blocks(cell) if (content := block.stored()) is not None)


@dataclass(frozen=True)
class Block:
    """Simulations `start` to `stop` of a cell."""

    plan: Plan
    cell: Cell
    start: int
    stop: int

    @property
    def path(self) -> Path:
        return self.plan.folder / self.cell.name.replace(", ", "-").replace(" ", "_") / f"{self.start}-{self.stop}.json"

    def stored(self) -> dict[str, Any] | None:
        """The block of these settings and this code; None where it has yet to be simulated."""
        return _stored(self.path, self._settings())

    def run(self) -> float:
        """Simulate and store; the processor time that it took, in seconds."""
        began = time.process_time()
        rows = [self.cell.simulate(number, self.plan.n_resamples) for number in range(self.start, self.stop)]
        values = {name: [[round(value, _DIGITS) for value in row[name]] for row in rows] for name in rows[0]}
        seconds = time.process_time() - began
        write_json(self.path, {"settings": self._settings(), "seconds": seconds, "values": values})
        return seconds

    def _settings(self) -> dict[str, Any]:
        return {"n_resamples": self.plan.n_resamples, "code": code_digest()}


def run_blocks(blocks: list[Block], n_processes: int) -> Iterator[tuple[Block, float]]:
    """Run blocks in processes of one thread each; yields each when it is stored, with its processor time.

    With one process that is this one, and it has the threads that it has.
    """
    if n_processes == 1:
        yield from ((block, block.run()) for block in blocks)
        return
    pool = _pool(n_processes)
    try:
        waiting = {pool.submit(block.run): block for block in blocks}
        for done in as_completed(waiting):
            yield waiting[done], done.result()
    finally:
        pool.shutdown(cancel_futures=True)


def truths(worlds: Iterable[world.World], folder: Path, n_processes: int) -> dict[world.World, dict[str, float]]:
    """True values of the metrics in each population, stored like blocks."""
    paths = {population: folder / "truths" / f"{_digest(repr(population))}.json" for population in worlds}
    settings = {"draws": TRUTH_DRAWS, "groups": TRUTH_GROUPS, "seed": TRUTH_SEED, "code": code_digest()}
    missing = [population for population, path in paths.items() if _stored(path, settings) is None]
    if missing:
        with _pool(n_processes) as pool:
            for population, values in zip(missing, pool.map(_truth, missing), strict=True):
                write_json(paths[population], {"settings": settings, "world": repr(population), "values": values})
    return {population: read_json(path)["values"] for population, path in paths.items()}


def _truth(population: world.World) -> dict[str, float]:
    return true_values(population, n_draws=TRUTH_DRAWS, n_groups=TRUTH_GROUPS, seed=TRUTH_SEED)


@functools.cache
def code_digest() -> str:
    """Of all code that can move a number: the package's statistics, and the simulation."""
    paths = sorted(Path(hallmark.statistics.__file__).parent.glob("*.py"))
    paths += [Path(module.__file__ or "") for module in (world, reference, cells)]
    return _digest(*(path.read_text(encoding="utf-8") for path in paths))


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


def _stored(path: Path, settings: dict[str, Any]) -> dict[str, Any] | None:
    content = read_json(path) if path.exists() else {}
    return content if content.get("settings") == settings else None


def _pool(n_processes: int) -> ProcessPoolExecutor:
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"  # read by the numpy of new processes
    return ProcessPoolExecutor(n_processes, mp_context=get_context("spawn"))
