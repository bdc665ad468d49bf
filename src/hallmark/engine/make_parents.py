"""Parents that are made for a run: presets that are not there yet, and predictions out of fold."""

import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from statistics import fmean

from hallmark.checks import UserError
from hallmark.data.leakage import LeakageError
from hallmark.data.module import DataModule
from hallmark.data.splits import split_summary
from hallmark.engine.cached.done import report_noted
from hallmark.engine.config.parents import key_of
from hallmark.engine.finished import predict_out_of_fold
from hallmark.engine.job import Job, PresetParent, as_parent
from hallmark.engine.messages import echo
from hallmark.engine.parents import inherited, parent_uses, same_reader
from hallmark.engine.train import train
from hallmark.runs.metrics import UNLABELLED
from hallmark.runs.parents import Use
from hallmark.runs.record import Record, RunState
from hallmark.runs.run import Run, RunLocked
from hallmark.wording import duration, listed, plural

_POLL_SECONDS = 0.5


def make_parents(job: Job, data: DataModule) -> None:
    """Make the presets that are parents of `job`, or find them done, and see that they have its rows and its split.

    A parent that another process makes is waited for.

    Raises:
        UserError: one has other rows or another split than `data`.
        ValueError: one cannot be made.
        Interrupted: asked to stop; the same command goes on.
    """
    announce([job])
    for role, parent in job.presets.items():
        with as_parent(role):
            _once_free(parent.job.directory, partial(_make, parent))
        record = Job.of(parent.config).run.record
        expected, there = split_summary(data.parent_samples), dict(record.splits)
        for splits in (expected, there):
            splits.pop(UNLABELLED, None)
        if there != expected or (
            same_reader(job, parent.config.data._target_) and record.data.get("content") != data.content
        ):
            raise UserError(
                f"{key_of(role)}: {parent.job.directory} has other rows or another split than this run, although its "
                f"settings of data are the same; {parent.config.data._target_} reads them otherwise"
            )


def predict_parents(job: Job, data: DataModule) -> None:
    """Predict the training rows out of fold by each parent whose predictions of that kind the run is trained on.

    A parent that another process works on is waited for.

    Raises:
        LeakageError: the gate would stop the run, so that no refit is of any use.
    """
    uses = {role: use for role, use in parent_uses(job).items() if not job.parents[role].files}  # a copy has them
    if Use.OUT_OF_FOLD not in uses.values():
        return
    findings = data.find_leaks(inherited(job)).findings
    if len(findings) and data.leakage_action == "stop":
        raise LeakageError(findings)
    for role, use in uses.items():
        parent = job.parents[role]
        if use is Use.OUT_OF_FOLD:
            refits = partial(predict_out_of_fold, Run(parent.directory), job.config.out_of_fold.folds, job.trust)
            _once_free(parent.directory, refits)


def announce(jobs: Iterable[Job]) -> None:
    """Say how many parents `jobs` still need, each counted once, and how long they take by earlier runs."""
    missing = {parent.job.directory: parent.job for job in jobs for parent in _missing(job)}
    if not missing:
        return
    seconds = [_usual_seconds(parent) for parent in missing.values()]
    known = [each for each in seconds if each is not None]
    unknown = len(seconds) - len(known)
    time_text = f"about {duration(sum(known))} by earlier runs" if known else "how long that takes is not known"
    if known and unknown:
        time_text += f" for {len(known)} of them"
    names = listed([f"{parent.config.name}/{parent.id}" for parent in missing.values()])
    echo(f"{plural(len(missing), 'parent')} to be fitted first ({names}): {time_text}")


def _missing(job: Job) -> Iterator[PresetParent]:
    """The parents that are to be made for `job`, and those that are to be made for them before."""
    if job.is_done:
        return
    for role, parent in job.presets.items():
        if role not in job.parents:
            yield from _missing(parent.job)
            yield parent


def _usual_seconds(job: Job) -> float | None:
    """The mean time of the finished runs of a preset beside that of `job`; None where there is none."""
    records = []
    for path in job.directory.parent.glob("*/record.json"):
        try:
            records.append(Record.read(path.parent))
        except ValueError:  # of another version
            continue
    seconds = [record.wall_seconds for record in records if record is not None and record.state is RunState.DONE]
    return fmean(seconds) if seconds else None


def _make(parent: PresetParent) -> None:
    if report_noted(parent.job) is None:
        train(parent.config)


def _once_free(directory: Path, work: Callable[[], None]) -> None:
    """Do `work`, which is begun again when no other process works in `directory` any more."""
    waits = False
    while True:
        try:
            return work()
        except RunLocked:
            if not waits:
                echo(f"{directory}: another process works on this parent, which is waited for")
            waits = True
        time.sleep(_POLL_SECONDS)
