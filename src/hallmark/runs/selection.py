"""Which result of a folder is meant: the only finished one, or `<folder>/latest`, the one that finished last."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hallmark.runs.identity import relevant_settings
from hallmark.runs.links import is_stale
from hallmark.runs.registry import Entry, find_entries
from hallmark.storage.files import read_json

LATEST = "latest"
_MARKERS = {"set": "repeats.json", "run": "record.json"}
_MOST = 6  # settings of a candidate that are listed


@dataclass(frozen=True)
class _Candidate:
    """A run or a set of repeats, with when it finished or, as long as it has not, was last known to be at work."""

    directory: Path
    entry: Entry
    finished: datetime


def select(path: Path, *, sets: bool) -> Path:
    """The directory of the result that `path` means: the only finished one directly below it, or with the last part
    `latest` the one that finished last. Where none is finished it is the only unfinished one.

    Args:
        sets: whether a set of repeats is a result, whose runs then are none of their own.

    Raises:
        ValueError: there is none, or several; the message lists how they differ.
    """
    latest = path.name == LATEST and not path.exists()
    candidates = _candidates(path.parent if latest else path, sets=sets)
    done = [candidate for candidate in candidates if candidate.entry.state == "done"]
    if latest and done:
        return max(done, key=lambda candidate: (candidate.finished, candidate.directory)).directory
    if len(done or candidates) == 1:
        return (done or candidates)[0].directory
    kinds = "run or set of repeats" if sets else "run"
    hint = "" if latest or not done else f", or {path / LATEST} for the one that finished last"
    listed = "".join(f"\n  {line}" for line in _lines(done or candidates)) or " none"
    raise ValueError(f"run={path}: give one finished {kinds}, outputs/<experiment>/<id>{hint}; found{listed}")


def _candidates(folder: Path, *, sets: bool) -> list[_Candidate]:
    candidates, seen = [], set()
    for kind in _MARKERS if sets else ("run",):
        for file in sorted(folder.glob(f"*/{_MARKERS[kind]}")):
            directory = file.parent
            if directory.resolve() in seen or is_stale(directory):
                continue
            seen.add(directory.resolve())  # a run at a fixed place, which may be below `folder`, has a link as well
            (entry,) = [
                each for each in find_entries([directory]) if each.kind == kind and each.directory == str(directory)
            ]
            raw = read_json(file) if entry.state != "unreadable" else {}
            seen |= {(directory / member["directory"]).resolve() for member in raw.get("members", [])}
            if raw.get("finished"):
                finished = datetime.fromisoformat(raw["finished"])
            else:  # as far as is known: when it began, and how long it has worked
                started = datetime.fromisoformat(entry.started) if entry.started else datetime.min
                started = started if started.tzinfo else started.replace(tzinfo=UTC)
                finished = started + timedelta(seconds=entry.seconds or 0)
            candidates.append(_Candidate(directory, entry, finished))
    return candidates


def _lines(candidates: Sequence[_Candidate]) -> list[str]:
    """One line a candidate: directory, state, start, value, and the settings in which they differ."""
    from hallmark.statistics.text import number_text  # heavy: not needed where the folder holds one result

    settings = [_settings(candidate.directory) for candidate in candidates]
    keys = sorted({key for values in settings for key in values} - {"repeat"})
    differing = [key for key in keys if len({str(values.get(key)) for values in settings}) > 1]
    lines = []
    for candidate, values in zip(candidates, settings, strict=True):
        entry = candidate.entry
        started = f"started {entry.started[:16].replace('T', ' ')}" if entry.started else ""
        value = f"{entry.metric} {number_text(entry.value)}" if entry.value is not None else ""
        differing_of = [f"{key}={values[key]}" for key in differing if key in values]
        more = [f"{len(differing_of) - _MOST} more settings"] if len(differing_of) > _MOST else []
        parts = filter(None, (entry.repeat, entry.state, started, value, *differing_of[:_MOST], *more))
        lines.append(f"{candidate.directory}: {', '.join(parts)}")
    return lines


def _settings(directory: Path) -> dict[str, Any]:
    """Settings that can change the result, by dotted key, as they are stored; {} where there are none."""
    from hallmark.runs.configuration import FILE, load_plain  # not needed where the folder holds one result

    stored = load_plain(directory / FILE)
    return _flat(relevant_settings(stored), "") if stored else {}


def _flat(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        return {path: value}
    parts = [_flat(nested, f"{path}.{key}" if path else str(key)) for key, nested in value.items()]
    return {key: nested for part in parts for key, nested in part.items()}
