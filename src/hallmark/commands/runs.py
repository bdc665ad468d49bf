"""List runs, sets of repeats and sweeps.

One line each, newest first, in a table that fits 80 columns or, for a file or a pipe, one line a result in full.
"""

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from hallmark.runs.registry import KINDS, STATES, Entry, find_entries

_SORT: dict[str, Callable[[Entry], Any]] = {
    "started": lambda entry: _time(entry.started),
    "value": lambda entry: entry.value,
    "name": lambda entry: entry.name,
    "seconds": lambda entry: entry.seconds,
}
_COLORS = {"done": "green", "running": "cyan", "interrupted": "yellow", "failed": "red", "unreadable": "red"}
_FULL_WIDTH = 130  # columns that a terminal needs for the full table
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("folders", nargs="*", metavar="FOLDER", type=Path, help="where to look ($HALLMARK_OUTPUTS, or outputs)")
    add("--name", metavar="GLOB", help="experiments whose name matches, such as 'clip_*'")
    add("--kind", action="append", choices=KINDS, help="may be given several times")
    add("--state", action="append", choices=STATES, help="may be given several times")
    add("--metric", metavar="SPLIT/METRIC", help="show this metric, such as val/accuracy, of the results that have it")
    add("--since", metavar="TIME", type=_since, help="started since 2026-01-31, 2026-01-31T12:00, or 90m, 12h, 7d, 2w")
    add("--sort", choices=_SORT, default="started", help="newest, highest or longest first, names from A (%(default)s)")
    add("--reverse", action="store_true", help="the other way round, for a loss")
    add("--limit", metavar="N", type=_count, help="at most N results")
    add("--json", action="store_true", help="print one JSON list instead of a table")


def run(arguments: argparse.Namespace) -> int:
    """Print the results that pass the filters.

    Raises:
        ValueError: a folder is not there.
    """
    default = default_outputs()
    results = find_entries(arguments.folders or [default] * default.is_dir(), arguments.metric)
    key = _SORT[arguments.sort]
    passing = [
        entry
        for entry in results
        if (arguments.name is None or fnmatchcase(entry.name, arguments.name))
        and (arguments.kind is None or entry.kind in arguments.kind)
        and (arguments.state is None or entry.state in arguments.state)
        and (arguments.metric is None or entry.value is not None)
        and (arguments.since is None or ((started := _time(entry.started)) and started >= arguments.since))
    ]
    # Names rise, all else falls; --reverse turns either round. Results without what is sorted by come last.
    known = sorted(
        (entry for entry in passing if key(entry) is not None), key=key,
        reverse=arguments.reverse is (arguments.sort == "name"),
    )  # fmt: skip
    entries = [*known, *(entry for entry in passing if key(entry) is None)][: arguments.limit]
    if arguments.json:
        print(json.dumps([asdict(entry) for entry in entries], indent=2, ensure_ascii=False))
    elif entries:
        if sys.stdout.isatty() or os.environ.get("FORCE_COLOR"):
            _draw(entries)
        else:
            columns = [[header, *cells] for header, cells in _full(entries).items()]
            widths = [max(map(len, column)) for column in columns]
            for row in zip(*columns, strict=True):
                print("  ".join(map(str.ljust, row, widths)).rstrip())
        for entry in entries:
            if entry.state == "unreadable":
                print(entry.problem)
            if entry.identical:
                same = "the seed changes nothing" if entry.n == 1 else f"{entry.identical} predict what another does"
                print(f"{entry.name}/{entry.id}: of its {entry.identical + (entry.n or 0)} runs {same}")
    else:
        where = ", ".join(map(str, arguments.folders or [default]))
        print("none of the results passes the filters" if results else f"no runs in {where} yet", file=sys.stderr)
    return 0


def default_outputs() -> Path:
    return Path(os.environ.get("HALLMARK_OUTPUTS") or "outputs")


def _draw(entries: list[Entry]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    class Terminal(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # answered by `hallmark.console`

    screen = Terminal()
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    columns = _full(entries) if screen.width >= _FULL_WIDTH else _narrow(entries)
    for header in columns:
        right = header in ("time", "seed")
        table.add_column(header, no_wrap=header != "run", overflow="fold", justify="right" if right else "left")
    for row, entry in zip(zip(*columns.values(), strict=True), entries, strict=True):
        table.add_row(*(Text(cell, _COLORS[entry.state] if cell == entry.state else "") for cell in row))
    screen.print(table)


def _full(entries: list[Entry]) -> dict[str, Iterable[str]]:
    return {
        "name": [entry.name for entry in entries],
        "id": [entry.id for entry in entries],
        "state": [entry.state for entry in entries],
        "metric": [entry.metric or "" for entry in entries],
        "value": map(_value, entries),
        "test": [entry.test or "" for entry in entries],
        "seed": map(_seed, entries),
        "started": [_local(entry, "%Y-%m-%d %H:%M") for entry in entries],
        "time": map(_duration, entries),
        **({"parents": map(_parents, entries)} if any(entry.parents for entry in entries) else {}),
        "directory": [entry.directory for entry in entries],
    }


def _narrow(entries: list[Entry]) -> dict[str, Iterable[str]]:
    metrics = {entry.metric for entry in entries if entry.metric}
    header = metrics.pop() if len(metrics) == 1 else ""
    values = map(_value, entries)
    named = [value if header or not value else f"{value} {e.metric}" for value, e in zip(values, entries, strict=True)]
    return {
        "run": [f"{entry.name}/{entry.id}" for entry in entries],
        "state": [entry.state for entry in entries],
        header or "value": named,
        "test": [entry.test or "" for entry in entries],
        "seed": map(_seed, entries),
        "started": [_local(entry, "%d %b %H:%M") for entry in entries],
        "time": map(_duration, entries),
    }


def _value(entry: Entry) -> str:
    if entry.value is None:
        return ""
    from hallmark.statistics.text import number_text  # heavy: loaded where there is a value to print

    return number_text(entry.value) + (f"±{number_text(entry.std)}" if entry.std is not None else "")


def _seed(entry: Entry) -> str:
    return entry.repeat or ("" if entry.seed is None else str(entry.seed))


def _parents(entry: Entry) -> str:
    return ", ".join(f"{role} {parent}" for role, parent in entry.parents.items())


def _time(started: str | None) -> datetime | None:
    if started is None:
        return None
    time = datetime.fromisoformat(started)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _local(entry: Entry, form: str) -> str:
    time = _time(entry.started)
    return time.astimezone().strftime(form) if time else ""


def _duration(entry: Entry) -> str:
    if entry.seconds is None:
        return ""
    minutes, seconds = divmod(round(entry.seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m{seconds:02}s" if minutes else f"{seconds}s"


def _since(text: str) -> datetime:
    relative = re.fullmatch(r"(\d+)([mhdw])", text)
    if relative:
        return datetime.now(UTC) - timedelta(**{_UNITS[relative[2]]: int(relative[1])})
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text}: expected 2026-01-31, 2026-01-31T12:00, or 90m, 12h, 7d, 2w"
        ) from None


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected a whole number from 1")
    return int(text)
