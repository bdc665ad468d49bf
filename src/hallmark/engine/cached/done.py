"""A finished run that is asked for again: found done without torch, where nothing has changed since.

When a run is finished, or found so, its note says what was read and what was printed of the result. It stands for
reading the data and computing the metrics again.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hallmark.engine.cached.notes import Note, print_again, result_files
from hallmark.engine.job import Job
from hallmark.engine.messages import Block, echo, print_failed_calls, print_warnings
from hallmark.runs.configuration import FILE, load_config
from hallmark.runs.parents import FOLDER as PARENTS
from hallmark.runs.record import RunState
from hallmark.runs.run import Run, RunDirectory
from hallmark.storage.unchanged import state_of

if TYPE_CHECKING:
    from hallmark.data.module import DataModule


def note_done(job: Job, run: Run, data: "DataModule", printed: Sequence[Block]) -> None:
    """Leave a note of the finished `run`, whose lock the caller holds.

    Args:
        printed: what was shown of its result.
    """
    if data.read_state is None:  # what it reads is not known
        return
    if run.record.provenance.code != job.code:  # each time it is said that this was accepted
        return
    files = result_files(run.directory)
    # What the result was made with and of may be large; whether it is damaged is seen by size and times.
    parts = [run.directory / PARENTS, *(run.directory / name for name in run.record.fitted)]
    groups = [(data.read_from, data.read_state), (files, state_of(files, "contents")), (parts, state_of(parts))]
    note_of(job).write(printed, groups)


def note_of(job: Job) -> Note:
    """The note on the directory of `job`."""
    directory = str(job.directory.absolute())
    # The source of other packages is part of the note; that of Hallmark is part of every one.
    return Note.of(job.config, [directory, job.trusted, job.code] if job.trusted else directory)


def is_noted(job: Job) -> bool:
    """Whether there is a note on `job` as it is now; whether the data are still the same is not looked at."""
    there = (job.directory / "record.json").exists()  # or what is refused later would leave a folder
    return there and not job.config.rerun and note_of(job).exists


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
        note, record = note_of(job).read(), folder.read_record()
        if note is None or record is None or record.state is not RunState.DONE or record.run_id != job.id:
            return None
        job.list_run()
        run = Run(folder.directory)
        print_done(job, run)
        print_again(note)
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
