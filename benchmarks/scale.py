"""What commands cost as the work grows: python -m benchmarks.scale

Each part is measured at each number of rows in a process of its own, on data that another process has generated: its
processor time, and the most memory that it held, its input included. Sweeps are measured by trials and workers, with
jobs that only sleep (`benchmarks.scale_sweeps`).
"""

import argparse
import math
import multiprocessing
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import scale_parts, scale_sweeps
from benchmarks.pages import RESULTS
from benchmarks.results import Cell, number_cell, write_result
from benchmarks.timing import seconds

SIZES = (10_000, 100_000, 1_000_000)
TRIALS, WORKERS = (10, 100, 1000), (1, 4, 16)
SWEEPS = "sweeps"
_ALLOWANCE = 0.12  # of the exponent beyond that of n log n: caches are left, and two measurements vary

Measured = Mapping[str, float]
"""`seconds` of processor time and `peak` in bytes."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [*scale_parts.PARTS, SWEEPS]
    parser.add_argument("--parts", nargs="+", choices=names, default=names, metavar="PART", help=", ".join(names))
    parser.add_argument("--rows", nargs="+", type=int, default=list(SIZES))
    parser.add_argument("--at-most", type=_limit, action="append", default=[], metavar="PART=ROWS",
                        help="measure a dear part at so many rows in place of more")  # fmt: skip
    parser.add_argument("--trials", nargs="+", type=int, default=list(TRIALS))
    parser.add_argument("--workers", nargs="+", type=int, default=list(WORKERS))
    parser.add_argument("--output", type=Path, default=RESULTS, help="folder of the results (docs/results)")
    arguments = parser.parse_args()
    parts = [name for name in arguments.parts if name != SWEEPS]
    sizes, trials = sorted(arguments.rows), sorted(arguments.trials)
    if parts:
        write_result(
            "scale",
            rows="Generated rows, each a group of its own; intervals with 2,000 resamples. Processor time of a process "
            f"and its peak of memory with its input. {_reading(sizes)} Memory is what each row adds between them.",
            intervals="",
            tables={"rows": _by_rows(parts, sizes, dict(arguments.at_most))},
            folder=arguments.output,
        )
    if SWEEPS in arguments.parts:
        write_result(
            "scale_sweeps",
            rows=f"Sweeps over random points whose jobs sleep {1000 * scale_sweeps.SLEEP:.0f} ms. Processor time of "
            f"all processes of a sweep, less imports; peak of memory of the command. {_reading(trials)}",
            intervals="",
            tables={"sweeps": _by_trials(trials, arguments.workers)},
            folder=arguments.output,
        )


def _reading(sizes: Sequence[int]) -> str:
    return (
        "The exponent is the slope of the logarithms between the two larger sizes; that of n log n is "
        f"{_linearithmic(*sizes[-2:]):.2f}, and up to {_ALLOWANCE:.2f} more counts as within."
    )


def _limit(text: str) -> tuple[str, int]:
    name, _, rows = text.partition("=")
    return name, int(rows)


def _by_rows(parts: Sequence[str], sizes: Sequence[int], limits: Mapping[str, int]) -> list[dict[str, Cell]]:
    """One row a part, measured at each of `sizes`; a part in `limits` at that number instead of the largest."""
    rows: list[dict[str, Cell]] = []
    with tempfile.TemporaryDirectory() as scratch:
        for name in parts:
            part = scale_parts.PARTS[name]
            measured = {}
            for size in sorted({min(size, limits.get(name, size)) for size in sizes}):
                folder = Path(scratch) / f"{part.source.__name__}_{size}"
                if not folder.exists():
                    folder.mkdir()
                    _in_a_process(part.source, size, folder)
                measured[size] = _in_a_process(_measure, partial(part.prepared, folder))
                print(f"{name} {size}: {measured[size]}", flush=True)
            largest = max(measured)
            cells = {f"{size:,}": number_cell(measured[size]["seconds"] if size in measured else None, 2, " s")
                     for size in sizes}  # fmt: skip
            if largest != sizes[-1]:
                cells[f"{sizes[-1]:,}"] = _limited(measured[largest]["seconds"], largest)
            rows.append({"part": part.title, **cells, **growth(measured)})
    return rows


def _limited(spent: float, size: int) -> Cell:
    cell = number_cell(spent, 2, " s")
    assert isinstance(cell, dict)
    return {**cell, "text": f"{cell['text']} at {size:,}", "rows": size}


def growth(measured: Mapping[int, Measured]) -> dict[str, Cell]:
    """Exponent and memory, from the two larger sizes."""
    before, after = sorted(measured)[-2:]
    exponent = _slope(before, after, *(measured[size]["seconds"] for size in (before, after)))
    within = exponent <= _linearithmic(before, after) + _ALLOWANCE
    added = (measured[after]["peak"] - measured[before]["peak"]) / (after - before)
    return {
        "exponent": number_cell(exponent, 2),
        "within n log n": "yes" if within else "no",
        "peak memory": number_cell(measured[after]["peak"] / 2**20, 0, " MiB"),
        "memory a row": number_cell(added / 1000, 1, " kB"),
    }


def _by_trials(trials: Sequence[int], workers: Sequence[int]) -> list[dict[str, Cell]]:
    """One row a number of workers: what a trial costs beyond its job, of every process of the sweep together."""
    rows: list[dict[str, Cell]] = []
    for jobs in workers:
        measured = {}
        for number in trials:
            with tempfile.TemporaryDirectory() as scratch:
                measured[number] = _in_a_process(_measure, partial(scale_sweeps.prepared, jobs, number, Path(scratch)))
            print(f"{jobs} workers, {number} trials: {measured[number]}", flush=True)
        before, after = sorted(measured)[-2:]
        more = measured[after]["seconds"] - measured[before]["seconds"]
        rows.append({
            "workers": str(jobs),
            **{f"{number:,} trials": number_cell(measured[number]["seconds"], 1, " s") for number in trials},
            "a further trial": number_cell(1000 * more / (after - before), 0, " ms"),
            **{key: cell for key, cell in growth(measured).items() if key != "memory a row"},
        })  # fmt: skip
    return rows


def _slope(before: int, after: int, earlier: float, later: float) -> float:
    return math.log(max(later, 0.01) / max(earlier, 0.01)) / math.log(after / before)


def _linearithmic(before: int, after: int) -> float:
    """The exponent that n log n has between two sizes."""
    return 1 + math.log(math.log(after) / math.log(before)) / math.log(after / before)


def _in_a_process(function: Callable[..., Any], *arguments: object) -> Any:
    """The result of `function` in a copy of this process, which has imported everything and holds no data."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as process:
        return process.submit(function, *arguments).result()


def _measure(prepare: Callable[[], Callable[[], object]]) -> Measured:
    action = prepare()
    return {"seconds": seconds(action), "peak": _peak()}


def _peak() -> int:
    """The most bytes that this process has held; `getrusage` would count those of the one that started it."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    (peak,) = [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    return peak * 1024


if __name__ == "__main__":
    main()
