"""What a benchmark has measured, as `docs/results/<name>.json`: the only source of numbers on the pages.

A cell of a table is a text, or a dict whose `text` is what pages show and whose other keys are the numbers behind it.
"""

import math
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.pages import RESULTS, ROOT
from hallmark.runs.identity import git_state, package_versions
from hallmark.runs.run import Run
from hallmark.statistics import LOWER_IS_BETTER, Interval, PairedDifference, Spread
from hallmark.statistics.text import difference_text, interval_text, number_text, p_texts
from hallmark.storage.files import write_json
from hallmark.wording import NOTHING

Cell = str | dict[str, Any]
Table = Sequence[Mapping[str, Cell]]
_DECIMALS = 6  # of stored numbers: beyond them are differences between processors


def write_result(
    name: str,
    *,
    rows: str,
    intervals: str,
    tables: Mapping[str, Table] | None = None,
    values: Mapping[str, Cell] | None = None,
    runs: Sequence[Run] = (),
    device: str | None = None,
    folder: Path = RESULTS,
) -> Path:
    """Write `<folder>/<name>.json` and give its path.

    Args:
        rows: sentences for readers: which rows were measured, and which selected the epoch.
        intervals: a sentence on what the intervals vary, and what they do not know; empty where there are none.
        tables: by name, one dict a row with the same columns; the first column names the row.
        values: single cells by name, for prose.
        runs: whose fits the numbers stand on; they may have been made by other commits than this one.
        device: where it was measured; this machine's processor unless given.
    """
    records = [run.record for run in runs]
    content = {
        "command": _command(sys.argv),
        "commit": _commit(_CODE),
        "fitted": sorted({_commit(record.git) for record in records}),
        "device": device or processor(),
        "threads": sorted({record.device["threads"] for record in records}) or [_threads()],
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "versions": records[0].versions if records else package_versions(),
        "rows": rows,
        "intervals": intervals,
        "tables": {title: [dict(row) for row in table] for title, table in (tables or {}).items()},
        "values": dict(values or {}),
    }
    path = folder / f"{name}.json"
    write_json(path, content)
    return path


def value_cell(interval: Interval) -> Cell:
    """A value with its interval."""
    stored = _stored(interval)
    return {"text": interval_text(stored), **_ends(stored)}


def difference_cell(paired: PairedDifference) -> Cell:
    """A paired difference A − B, with A the second system: interval, p adjusted by Holm, and which one is better.

    The part `short` is the difference with its interval alone, for prose.
    """
    stored = _stored(paired.difference)
    _, adjusted = p_texts(paired.p_value, paired.p_holm, paired.p_floor)
    p = f"p {adjusted}" if adjusted.startswith("<") else f"p = {adjusted}"
    higher = stored.estimate > 0
    better = "A" if higher != (paired.metric in LOWER_IS_BETTER) else "B"
    verdict = f"{better} better" if paired.is_significant else "not significant"
    return {
        "text": f"{difference_text(stored)}, {p}, {verdict}",
        "short": difference_text(stored),
        **_ends(stored),
        "p": _rounded(paired.p_value),
        "p_holm": _rounded(paired.p_holm),
        "verdict": verdict,
    }


def spread_cell(spread: Spread) -> Cell:
    """Mean ± standard deviation over the members of a set."""
    return {"text": str(spread), "mean": _rounded(spread.mean), "std": _rounded(spread.std), "n": spread.n}


def number_cell(value: float | None, digits: int, unit: str = "") -> Cell:
    """A measured number, such as seconds: `1.33 s`."""
    return {"text": f"{number_text(value, digits)}{unit}" if value is not None else NOTHING, "value": _rounded(value)}


def count_cell(value: int) -> Cell:
    return {"text": f"{value:,}", "value": value}


def processor() -> str:
    """The name of the processor and how many of its cores this process may use."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{names[0] if names else 'a processor'}, {cores} cores"


def _threads() -> int:
    torch = sys.modules.get("torch")
    return torch.get_num_threads() if torch is not None else 1


def _code_state() -> dict[str, Any]:
    """As `git_state`; pages and results, which benchmarks themselves write, are no change of code."""
    command = ["git", "--no-optional-locks", "status", "--porcelain", "--", ".", ":!docs", ":!*.md"]
    changes = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    return {"commit": git_state()["commit"], "dirty": bool(changes.strip())}


_CODE = _code_state()  # at the start of a benchmark: what it has loaded, whatever is checked out while it runs


def _commit(git: Mapping[str, Any]) -> str:
    commit = str(git["commit"] or "unknown")[:12]
    return f"{commit} with uncommitted changes" if git["dirty"] else commit


def _command(arguments: Sequence[str]) -> str:
    """As it was typed, less what only this machine has: of a path out of the project the last part is left."""
    program = Path(arguments[0])
    module = program.parent if program.stem == "__main__" else program
    start = ["python", "-m", f"{module.parent.name}.{module.stem}"]
    outside = [Path(word).is_absolute() or word.startswith("../") for word in arguments[1:]]
    words = [f".../{Path(word).name}" if hide else word for word, hide in zip(arguments[1:], outside, strict=True)]
    return shlex.join([*start, *words])


def _stored(interval: Interval) -> Interval:
    """`interval` with the numbers that are stored, so that the text of a cell is that of its numbers."""
    ends = {name: math.nan if value is None else value for name, value in _ends(interval).items()}
    return replace(interval, **ends)


def _ends(interval: Interval) -> dict[str, float | None]:
    return {name: _rounded(getattr(interval, name)) for name in ("estimate", "low", "high")}


def _rounded(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else round(float(value), _DECIMALS)
