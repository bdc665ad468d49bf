"""Search settings on validation: checked, queued, trained by workers, summed up."""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import FrameType
from typing import Any

from omegaconf import DictConfig
from optuna.trial import TrialState

from hallmark.checks import Interrupted, require
from hallmark.engine.build import build
from hallmark.engine.cached.answers import note_sweep, sweep_note
from hallmark.engine.config.stored import with_present_names
from hallmark.engine.distributed.torchrun import started_by_torchrun
from hallmark.engine.job import Job
from hallmark.engine.messages import echo, printed_blocks
from hallmark.engine.monitor import check_measured
from hallmark.engine.repeats import members_of
from hallmark.engine.search.job_comparison import job_table, write_job_table
from hallmark.engine.search.jobs import Search
from hallmark.engine.search.launchers import Launcher
from hallmark.engine.search.pool import Pool
from hallmark.engine.search.progress_table import ProgressTable
from hallmark.engine.search.study import ATTEMPTS, SweepStudy
from hallmark.engine.search.summary import summarize
from hallmark.engine.setup import check_job, silence_expected_warnings
from hallmark.runs.record import Provenance

_POLL_SECONDS = 0.5
_POLL_SHARE, _LONGEST_POLL_SECONDS = 0.1, 10.0  # the share of the time that reading a long study may take


def sweep(config: DictConfig) -> None:
    """Train every trial of `sweep`; the same command goes on with what is missing.

    Each trial is the run that `train.py` makes of the same settings, so one that is done is found done.

    Raises:
        SettingError: a key or value of the space or a listed job is wrong; before any trial starts.
        ValueError: the sweep was begun with another space, on other data or with other code; trials have failed.
        Interrupted: asked to stop; the same command goes on.
    """
    silence_expected_warnings()
    if started_by_torchrun():
        raise ValueError("a sweep is started once, without torchrun; jobs=N starts its workers")
    note = sweep_note(config)
    search = Search.of(config)
    table = job_table(search)
    job = Job.of(search.base)
    # A set of repeats has parents that only its runs can be made with.
    checked = Job.of(members_of(search.base)[0]) if job.parents else job
    data, module = check_job(checked)
    for number, objective in enumerate(search.objectives):
        if objective.metric != job.config.monitor.metric:
            check_measured(f"sweep.objectives[{number}].metric", objective.metric, module, data)
    require(config.get("workers") is not None, "workers", None, "a preset, such as workers=local")
    launcher: Launcher = build(config.workers, Launcher, trusted=search.trusted)
    launcher.check(config.storage)
    provenance = Provenance(data.fingerprint, checked.code)
    study = search.study(from_scratch=config.rerun)
    _describe(study, search, provenance)
    search.save()
    with _interruptible():
        _carry_out(study, search, launcher)
    with printed_blocks() as printed:
        summarize(study, search.name)
        failed = study.trials(TrialState.FAIL)
        if failed:
            raise ValueError(f"{len(failed)} of {len(study.trials())} trials failed; the same command tries them again")
        if table is not None:
            write_job_table(table, study, search.name)
    if note is not None:
        note_sweep(note, study, data, printed)


def _carry_out(study: SweepStudy, search: Search, launcher: Launcher) -> None:
    study.requeue_stale()
    study.enqueue_pending()
    if not study.unfinished:  # as when it is found done
        launcher.close()
        return
    (search.directory / "summary.json").unlink(missing_ok=True)
    jobs = search.config.jobs
    crashed: set[str] = set()
    before_a_trial = 0  # workers in succession that crashed before they took one
    options = [*search.saved, *(f"--trusted={name}" for name in search.trusted)]
    table = ProgressTable(study, search.name, jobs)
    with table, Pool(launcher, search.directory, jobs, options) as workers:
        while True:
            began = time.monotonic()
            trials = table.refresh()
            reading = time.monotonic() - began
            unfinished = [trial for trial in trials if not trial.state.is_finished()]
            if not unfinished:
                if not workers.alive:
                    study.enqueue_next_stage()
                    if not study.unfinished:
                        break
                workers.cancel_queued()
            for worker, log in workers.crashed():
                echo(f"a worker crashed; its log is {log}")
                crashed.add(worker)
                took_one = any(trial.user_attrs.get("worker") == worker for trial in study.trials())
                before_a_trial = 0 if took_one else before_a_trial + 1
                if before_a_trial == ATTEMPTS:
                    raise ValueError(f"workers crash before they begin a trial; the reason is in {log}")
            holders = {trial.user_attrs.get("worker") for trial in unfinished if trial.state is TrialState.RUNNING}
            waiting = sum(trial.state is TrialState.WAITING for trial in unfinished)
            # With nothing to do here, what is left runs on other machines, which may be gone.
            if holders & crashed or (not waiting and not workers.alive):
                study.requeue_stale(crashed)
            workers.keep(waiting + len(holders & workers.names))
            time.sleep(max(_POLL_SECONDS, min(reading / _POLL_SHARE, _LONGEST_POLL_SECONDS)))


def _describe(study: SweepStudy, search: Search, provenance: Provenance) -> None:
    """Compare what the sweep is with what it was when it began."""
    description = search.description()
    known = study.manifest
    if known is None:
        started = datetime.now(UTC).isoformat(timespec="seconds")
        study.describe({
            "name": search.name, "metric": search.objectives[0].metric, "started": started, "command": sys.argv,
            **description, "provenance": vars(provenance),
        })  # fmt: skip
        return
    changed = _difference(with_present_names({key: known[key] for key in description}), description)
    if changed:
        lines = "\n".join(changed)
        raise ValueError(
            f"{search.directory} was created with another search:\n{lines}\n"
            "Undo the change, give sweep.name another name, or start from scratch with rerun=true"
        )
    made_with = Provenance(**known["provenance"])
    if differences := made_with.differences(provenance, any_code=search.base.on_code_change == "warn"):
        raise ValueError(
            f"{search.directory} was created from different data or code: {'; '.join(differences)}. "
            "Give sweep.name another name, or start from scratch with rerun=true"
        )
    study.describe(known)  # the folder of this machine may be a new one


def _difference(old: Any, new: Any, key: str = "sweep") -> list[str]:
    """Lines `- key: value` and `+ key: value` of what differs."""
    if isinstance(old, dict) and isinstance(new, dict):
        names = [*old, *(name for name in new if name not in old)]
        return [line for name in names for line in _difference(old.get(name), new.get(name), f"{key}.{name}")]
    if old == new:
        return []
    return [f"{sign} {key}: {value}" for sign, value in (("-", old), ("+", new)) if value is not None]


@contextmanager
def _interruptible() -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise Interrupted(f"{signal.Signals(number).name}: the workers were asked to save their checkpoints")

    previous = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
