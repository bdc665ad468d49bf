"""All runs, sets of repeats and sweeps below a folder, from their JSON files alone.

Nothing heavy is imported and no file is written, so that thousands of runs are listed within seconds.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from hallmark.runs.access import LabelledRows, TestAccess, earlier_accesses
from hallmark.runs.access_folders import AccessFolders
from hallmark.runs.links import is_stale
from hallmark.runs.locks import is_locked
from hallmark.runs.metrics import find_metric
from hallmark.runs.record import lineage

# How an entry can stand: the states of a record, and a record that cannot be read.
STATES = ("running", "done", "failed", "interrupted", "unreadable")

_MARKERS = {"run": "record.json", "set": "repeats.json", "sweep": "manifest.json"}
KINDS = tuple(_MARKERS)
_DEPTH = 4  # <outputs>/<name>/sweeps/<sweep>, and one more because a name can be a path
_NOT_RESULTS = ("cache", "seals")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One result on disk.

    Attributes:
        kind: `run`, `set` (of repeats) or `sweep`.
        metric: what `value` is, such as val/macro_f1; of a set the mean over `n` members with standard deviation
            `std`, of a sweep the best of `n` trials.
        test: `opened` if the test split of this experiment's data was opened, `sealed` if not,
            None where there is none to read.
        parents: by role the runs that it was made with, such as `clip_probe/0a1b2c3d (weights)`.
        identical: members of a set that predict what an earlier one does; they are not among the `n`.
        repeat: how a set repeats, such as seeds:5.
        started: ISO 8601; `seconds`: spent in all, over the members of a set.
        problem: why it failed or cannot be read.
    """

    kind: str
    name: str
    id: str
    state: str
    metric: str | None = None
    value: float | None = None
    std: float | None = None
    n: int | None = None
    test: str | None = None
    seed: int | None = None
    repeat: str | None = None
    started: str | None = None
    seconds: float | None = None
    directory: str
    problem: str | None = None
    identical: int = 0
    parents: dict[str, str] = field(default_factory=dict)


def find_entries(folders: Iterable[Path], metric: str | None = None) -> list[Entry]:
    """Every result at or below `folders`, each once, in the order of their paths.

    Args:
        metric: the value to show instead of the one that selected the checkpoint: `val/accuracy`, or
            `<split>/<task>/<metric>` of a system with several tasks.

    Raises:
        ValueError: a folder is not there.
    """
    entries: dict[Path, Entry] = {}
    accesses = _TestAccesses()
    for folder in folders:
        if not folder.is_dir():
            raise ValueError(f"{folder}: no such folder")
        for directory, kind in _results(folder, _DEPTH):
            if directory.resolve() in entries:
                continue
            try:
                entry = _READERS[kind](directory, metric, accesses)
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                entry = Entry(
                    kind=kind, name=directory.parent.name, id=directory.name, state="unreadable", metric=metric,
                    directory=str(directory),
                    problem=f"{directory / _MARKERS[kind]}: not readable ({type(error).__name__}: {error})",
                )  # fmt: skip
            entries[directory.resolve()] = entry
    return list(entries.values())


def in_use(directory: Path) -> bool:
    """Whether a process holds the lock of `directory`, or a worker of the sweep there holds its own.

    True also where that cannot be found out, such as without permission.
    """
    return any(map(is_locked, [directory / ".lock", *directory.glob("workers/*.lock")]))


class _TestAccesses:
    """Whether test splits were opened; what the runs of one folder have in common is read once."""

    def __init__(self) -> None:
        self._folders: dict[tuple[Path, str, str | None], AccessFolders] = {}
        self._accesses: dict[tuple[AccessFolders, str], list[TestAccess] | None] = {}
        self._contents: dict[tuple[AccessFolders, str, str], bool] = {}

    def state(self, directory: Path, record: dict[str, Any], metrics: dict[str, Any]) -> str | None:
        """`opened`, `sealed`, or None where the data has no test split."""
        if "test" not in record["splits"]:
            return None
        if "test" in metrics or (record.get("leakage") or {}).get("fitted_test"):  # a parent was fitted on such rows
            return "opened"
        name, content = record["name"], record.get("data", {}).get("content")
        if content is None:
            return "sealed"
        key = (directory.parent, name, record.get("seals"))
        if key not in self._folders:
            self._folders[key] = AccessFolders.of([directory], name, recorded=record.get("seals"))
        folders = self._folders[key]
        if (folders, name, content) not in self._contents:
            exists = any(file.exists() for file in folders.files_of(name, content))
            self._contents[folders, name, content] = exists
        if self._contents[folders, name, content]:
            return "opened"
        if (folders, name) not in self._accesses:
            try:
                self._accesses[folders, name] = folders.accesses(name, of_others=False)
            except (ValueError, OSError):
                self._accesses[folders, name] = None
        accesses = self._accesses[folders, name]
        if accesses is None:  # records that cannot be read must not pass for a seal; an evaluation says what they lack
            return "opened"
        rows = LabelledRows.read(directory) if accesses else None
        earlier = earlier_accesses(accesses, name=name, recipe=None, content=content, rows=rows)
        return "opened" if earlier.accesses else "sealed"


def _results(folder: Path, depth: int, *, top: bool = True) -> Iterator[tuple[Path, str]]:
    """Directories with the kind of what they hold."""
    for kind, marker in _MARKERS.items():
        if (folder / marker).exists() and (kind != "sweep" or folder.resolve().parent.name == "sweeps"):
            yield folder, kind
            if kind != "set":
                return  # a run's refits below it are its own affair
    names: list[str] = []
    if depth:
        with suppress(PermissionError), os.scandir(folder) as children:
            folders = [child for child in children if child.is_dir() and not child.name.startswith(".")]
            names = sorted(child.name for child in folders if not (child.is_symlink() and is_stale(Path(child))))
    for name in names:
        if not (top and name in _NOT_RESULTS):
            yield from _results(folder / name, depth - 1, top=False)


def _run(directory: Path, metric: str | None, accesses: "_TestAccesses") -> Entry:
    record = _read(directory / "record.json")
    selected = record.get("selected") or {}
    wanted, value = selected.get("metric"), _number(selected.get("value"))
    metrics = _read_if_there(directory / "metrics.json")
    if metric is not None:
        wanted, value = metric, _found(metrics, metric)
    error = (record.get("error") or "").strip().splitlines()
    return Entry(
        kind="run", name=record["name"], id=record["run_id"], state=_state(record["state"], directory), metric=wanted,
        value=value, test=accesses.state(directory, record, metrics), seed=record["seed"],
        started=_moment(record["started"]), seconds=_number(record["wall_seconds"]), directory=str(directory),
        problem=error[-1] if error else None, parents=lineage(record.get("parents")),
    )  # fmt: skip


def _set(directory: Path, metric: str | None, accesses: "_TestAccesses") -> Entry:
    repeats = _read(directory / "repeats.json")
    wanted = metric or repeats["metric"]
    places = [directory / member["directory"] for member in repeats["members"]]
    # A set gets its metrics when it ends; a mean over the runs so far would be of something else.
    measured = places if (directory / "metrics.json").exists() else []
    metrics = [_found(_read_if_there(folder / "metrics.json"), wanted) for folder in measured]
    copies = {note for notes in repeats.get("identical") or [] for note in notes[1:]}
    different = [member["note"] not in copies for member in repeats["members"]]
    values = [value for value, counts in zip(metrics, different, strict=False) if value is not None and counts]
    members = [(folder, _read_if_there(folder / "record.json")) for folder in places]
    tests = {accesses.state(folder, record, {}) for folder, record in members if record}
    return Entry(
        kind="set", name=repeats["name"], id=repeats["set_id"], state=_state(repeats["state"], directory, *places),
        metric=wanted, value=fmean(values) if values else None, std=stdev(values) if len(values) > 1 else None,
        n=sum(different), test=next((test for test in ("opened", "sealed") if test in tests), None),
        repeat=repeats["repeat"], identical=len(copies), directory=str(directory),
        parents=lineage(repeats.get("parents")),
        started=min((_moment(record["started"]) for _, record in members if record), default=None),
        seconds=round(sum(record["wall_seconds"] for _, record in members if record), 2),
    )  # fmt: skip


def _sweep(directory: Path, metric: str | None, accesses: "_TestAccesses") -> Entry:
    manifest, summary = _read(directory / "manifest.json"), _read_if_there(directory / "summary.json")
    best = summary.get("best") or {}
    wanted = summary.get("metric") or manifest.get("metric")
    selected = metric in (None, wanted)  # of other metrics the trials' own runs tell
    return Entry(
        kind="sweep", name=directory.parent.parent.name, id=directory.name,
        state=_state(summary.get("state") or "running", directory), metric=metric or wanted,
        value=_number(best.get("value")) if selected else None, n=summary.get("n"),
        started=_moment(manifest["started"]) if "started" in manifest else None,
        seconds=_number(summary.get("seconds")), directory=str(directory),
    )  # fmt: skip


_READERS: dict[str, Callable[[Path, str | None, _TestAccesses], Entry]] = {"run": _run, "set": _set, "sweep": _sweep}


def _read(path: Path) -> dict[str, Any]:
    value = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def _read_if_there(path: Path) -> dict[str, Any]:
    return _read(path) if path.exists() else {}


def _state(state: str, *places: Path) -> str:
    """`state`, or interrupted where it says running and no process works in any of `places`."""
    if state not in STATES:
        raise ValueError(f"unknown state {state!r}")
    return state if state != "running" or any(map(in_use, places)) else "interrupted"


def _found(metrics: dict[str, Any], name: str) -> float | None:
    return find_metric(metrics, name if "/" in name else f"val/{name}")


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _moment(started: str) -> str:
    datetime.fromisoformat(started)
    return started
