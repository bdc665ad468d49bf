"""Kill every scenario at each of its points, on one file system and on another, and fill disks of twenty sizes.

make kills
python -m tests.kills --every 3   # a third of the points

Writes `docs/results/kills.json`, and ends with status 1 where an end state differs from that of an undisturbed command.
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from benchmarks.results import Cell, count_cell, write_result
from matplotlib.figure import Figure
from tests.kills.killing import carried_out, differences, killed_at, on_small_disk, small_disks_are_allowed
from tests.kills.scenarios import Scenario, end_state, restore, scenarios

from hallmark.analysis.plots.style import PaperFigure

_OTHER = Path("/dev/shm")
_SWEEP = "sweep"
_SIZES = np.unique(np.geomspace(24, 3000, 20).round().astype(int)).tolist()  # kB; a finished fit takes about 2,000


@dataclass
class Row:
    """What became of one scenario in one place: points, and the points whose end state differs, with how."""

    command: str
    disk: str
    points: int = 0
    different: dict[str, list[str]] = field(default_factory=dict)

    def count(self, point: str, expected: dict[str, str], outputs: Path) -> None:
        self.points += 1
        if differing := differences(expected, end_state(outputs)):
            self.different[point] = differing
        print(f"{self.command}, {self.disk}: point {point}, {'; '.join(differing) or 'identical'}", flush=True)


def enumerated(name: str, scenario: Scenario, root: Path, disk: str, every: int) -> Iterator[Row]:
    """Kill `scenario` at each `every`-th point; of a sweep at a fourth of these, and at a sixth of a worker's."""
    outputs, start = root / "outputs", root / "start"
    outputs.mkdir()
    carried_out(scenario.prepare, outputs)
    outputs.rename(start)
    restore(start, outputs)
    total = carried_out(scenario.work, outputs)
    expected = end_state(outputs)
    row = Row(name, disk)
    for point in range(1, total + 1, 4 * every if name == _SWEEP else every):
        restore(start, outputs)
        killed_at(point, scenario.work, outputs)
        carried_out(scenario.again, outputs)
        row.count(str(point), expected, outputs)
    yield row
    if name == _SWEEP:
        yield _workers(scenario, root, disk, expected, 6 * every)
    shutil.rmtree(start)
    shutil.rmtree(outputs)


def _workers(scenario: Scenario, root: Path, disk: str, expected: dict[str, str], every: int) -> Row:
    """Kill one of two workers at its N-th change, within its trials, while the sweep goes on."""
    row = Row("worker of a sweep", disk)
    outputs, once = root / "outputs", root / "once"
    settings = {"KILL_IN": str(outputs), "KILL_ONCE": str(once)}
    paths = [str(Path(__file__).parent / "site"), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    for point in range(1, 1000, every):
        restore(root / "start", outputs)
        once.unlink(missing_ok=True)
        before = dict(os.environ)
        os.environ |= {**settings, "KILL_AT": str(point), "PYTHONPATH": os.pathsep.join(filter(None, paths))}
        carried_out(scenario.work, outputs)
        os.environ.clear()
        os.environ |= before
        if not once.exists():
            break
        row.count(str(point), expected, outputs)
    return row


def full_disks(scenario: Scenario, root: Path) -> Row:
    """A fit on disks of twenty sizes, and again with room."""
    row, outputs = Row("fit", "full disk"), root / "outputs"
    outputs.mkdir()
    _, expected = on_small_disk(1_000_000, outputs, scenario.work, lambda: end_state(outputs))
    for size in _SIZES:
        error, state = on_small_disk(size, outputs, scenario.work, lambda: end_state(outputs))
        row.points += 1
        if differing := differences(expected, state):
            row.different[f"{size} kB ({error})"] = differing
        print(f"full disk: {size} kB, {error or 'fits'}, {'; '.join(differing) or 'identical'}", flush=True)
    return row


def table(rows: Sequence[Row]) -> list[dict[str, Cell]]:
    return [
        {
            "command": row.command,
            "outputs on": row.disk,
            "points": count_cell(row.points),
            "end state differs": "; ".join(f"{point}: {', '.join(names)}" for point, names in row.different.items())
            or "at none",
        }
        for row in rows
    ]


def main(names: Sequence[str], every: int) -> int:
    PaperFigure.savefig = lambda _, *to, **settings: Figure((1, 1)).savefig(*to, **settings)  # type: ignore[method-assign]
    rows: list[Row] = []
    disks = {"the disk": None, **({"tmpfs, temporary files on the disk": _OTHER} if _OTHER.is_dir() else {})}
    for disk, folder in disks.items():
        with tempfile.TemporaryDirectory(dir=folder) as root:
            os.environ |= {"HALLMARK_OUTPUTS": f"{root}/outputs", "HALLMARK_CACHE": f"{root}/cache"}
            for name, scenario in scenarios().items():
                if not names or name in names:
                    rows += enumerated(name, scenario, Path(root), disk, every)
    with tempfile.TemporaryDirectory() as root:
        os.environ |= {"HALLMARK_OUTPUTS": f"{root}/outputs", "HALLMARK_CACHE": f"{root}/cache"}
        if not names and small_disks_are_allowed():
            rows.append(full_disks(scenarios()["fit"], Path(root)))
    if not names:
        points = "all of these points" if every == 1 else f"one in {every} of these points, `--every {every}`"
        write_result("kills", rows=f"Taken: {points}.", intervals="", tables={"points": table(rows)})
    return int(any(row.different for row in rows))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", help="of scenarios; all, full disks too, if none is given")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take every N-th point")
    arguments = parser.parse_args()
    sys.exit(main(arguments.names, arguments.every))
