"""A finished run that is asked for again: found done without torch, where nothing has changed since.

When a run is finished, or found so, a note in the cache says what that took: which settings, code, packages and data
were checked, which fingerprint the data have, and what was printed of the result. As long as all of that is the same,
the note stands for reading the data and computing the metrics again; a note that is not there costs time and nothing
else.
"""

import math
import sys
import sysconfig
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hallmark
from hallmark.checks import UserError
from hallmark.engine.config.symbolic import plain
from hallmark.engine.job import Job
from hallmark.engine.messages import Block, as_plain, echo, from_plain, print_block, print_failed_calls, print_warnings
from hallmark.runs.configuration import FILE, load_config
from hallmark.runs.identity import code_hashes
from hallmark.runs.record import Provenance, RunState
from hallmark.runs.run import Run, RunDirectory
from hallmark.storage.files import read_json, write_json
from hallmark.storage.hashing import digest
from hallmark.storage.unchanged import is_unchanged, state_of

if TYPE_CHECKING:
    from hallmark.data.module import DataModule


def note_done(job: Job, run: Run, data: "DataModule", printed: Sequence[Block]) -> None:
    """Leave a note of the finished `run`, whose lock the caller holds.

    Args:
        printed: what was shown of its result.
    """
    if job.trusted or data.read_state is None:  # what foreign code reads is not known
        return
    note = {
        "checked": _checked(job), "sources": list(map(str, data.read_from)), "state": data.read_state,
        "fingerprint": run.record.provenance.data, "run": state_of(_result_files(run), "contents"),
        "printed": list(map(as_plain, printed)),
    }  # fmt: skip
    with suppress(OSError):
        write_json(note_place(job), note)


def is_noted(job: Job) -> bool:
    """Whether there is a note on `job` as it is now; whether the data are still the same is not looked at."""
    return _note(job) is not None


def report_noted(job: Job) -> float | None:
    """Say that the run of `job` is done, as `train` does, where a note shows that nothing has changed since.

    Returns:
        As `train`; None where only `train` can tell.

    Raises:
        RunConflict: another process works on the run.
    """
    if not is_noted(job):
        return None
    folder = RunDirectory(job.directory)
    with folder.locked():
        note = _note(job)
        if note is None or not _is_true(note, job, folder):
            return None
        run = Run(folder.directory)
        print_done(job, run)
        for block in note["printed"]:
            print_block(from_plain(block))
        return selected_value(run)


def print_done(job: Job, run: Run) -> None:
    """Print that a run is done, and what everybody must know of it."""
    echo(f"{run.directory} is done (rerun=true would replace it)")
    made_with = load_config(run.directory / FILE).get("logger") or {}
    if unused := [str(name) for name in job.config.logger or {} if name not in made_with]:
        echo(f"logger={','.join(unused)}: no effect on a run that was made without; rerun=true makes it again")
    print_warnings(run.record)
    for phase, calls in run.record.calls.items():
        print_failed_calls(phase, calls)


def selected_value(run: Run) -> float:
    """The best value of `monitor.metric`; nan where no row is labelled."""
    return float(run.record.selected["value"]) if run.record.selected else math.nan


def _note(job: Job) -> dict[str, Any] | None:
    """The note on `job`, where there is one and settings, code and packages are as they were."""
    if job.trusted or job.config.rerun:
        return None
    try:
        note = read_json(note_place(job))
        return note if note["checked"] == _checked(job) else None
    except (OSError, UserError, KeyError, TypeError):  # none, or one of another version
        return None


def _is_true(note: dict[str, Any], job: Job, folder: RunDirectory) -> bool:
    """Whether the run and its data are as they were when `note` was written."""
    same = is_unchanged(_result_files(folder), note["run"]) and is_unchanged(map(Path, note["sources"]), note["state"])
    record = folder.read_record()
    if not same or record is None:
        return False
    provenance = Provenance(note["fingerprint"], code_hashes(job.config.model._target_))
    return record.state is RunState.DONE and record.run_id == job.id and record.provenance == provenance


def note_place(job: Job) -> Path:
    """The file of the note on the directory of `job`."""
    return Path(job.config.paths.cache) / "done" / f"{digest(str(job.directory.absolute()))}.json"


def _checked(job: Job) -> str:
    """Hash of what decides whether settings are right, how data are read and what is printed, but for the data."""
    package = Path(hallmark.__file__).parent
    sources = state_of(package.rglob("*.py"), "contents")
    folders = {Path(sysconfig.get_path(name)) for name in ("purelib", "platlib")}
    installed = sorted(path.name for folder in folders for path in folder.glob("*.dist-info"))
    return digest([plain(job.config), sources, installed, sys.version, str(Path.cwd())])


def _result_files(folder: RunDirectory) -> list[Path]:
    names = ("record.json", "metrics.json", FILE)
    return [*(folder.directory / name for name in names), *sorted(folder.directory.glob("predictions/[!.]*.parquet"))]
