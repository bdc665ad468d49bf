"""A worker of a sweep: python -m hallmark.engine.search.worker <sweep folder> <log> --name=<name> <digests>

Trains waiting trials until none waits. Ends as for SIGTERM when the process that started it ends.
"""

import argparse
import math
import os
import signal
import sys
import warnings
from pathlib import Path
from statistics import fmean
from time import time
from types import FrameType

from filelock import FileLock
from optuna.storages._heartbeat import get_heartbeat_thread
from optuna.trial import Trial, TrialState

from hallmark.checks import Interrupted
from hallmark.engine.config.stored import remember
from hallmark.engine.distributed.parent_watchdog import exit_with_parent
from hallmark.engine.job import Job
from hallmark.engine.launch import redacted_errors
from hallmark.engine.messages import echo
from hallmark.engine.repeats import train_repeats
from hallmark.engine.search.jobs import Search
from hallmark.engine.search.study import SweepStudy, worker_lock
from hallmark.runs.metrics import MAIN, find_metric
from hallmark.runs.repeats import RepeatSet
from hallmark.runs.run import Run
from hallmark.storage.failures import sentence, traceback_text
from hallmark.storage.streams import make_streams_tolerant

_STOPS = (signal.SIGTERM, signal.SIGUSR2)  # the second is how a cluster announces the end of a job's time


def work(search: Search, study: SweepStudy, log: Path | None = None, name: str = "here") -> None:
    """Train waiting trials, one after another, until none waits.

    A trial that raises is failed, with what it raised and the `log` that has the traceback; the next one begins.

    Args:
        name: of this worker, which no other one has.

    Raises:
        Interrupted: asked to stop; the trial waits again and its run goes on from its checkpoint.
    """
    warnings.filterwarnings("ignore", message=".*is ignored because this .step. is already reported.*")
    lock = worker_lock(study.directory, name)
    lock.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(lock):
        while (trial := study.claim(name)) is not None:
            heartbeat = get_heartbeat_thread(trial._trial_id, study.storage)  # `optimize` alone would start one
            # A stop between its start and the `try` would leave the thread running, and the process would never end.
            signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
            heartbeat.start()
            try:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
                _carry_out(search, study, trial, log)
            finally:
                heartbeat.join()
    lock.unlink(missing_ok=True)


def _carry_out(search: Search, study: SweepStudy, trial: Trial, log: Path | None) -> None:
    pruned: list[int] = []

    def should_prune(step: int, value: float) -> bool:
        trial.report(value, step)
        if trial.should_prune():
            pruned.append(step)
        return bool(pruned)

    try:
        config = search.at(search.space.suggest(trial))
        config.callbacks.progress = None
        directory = Job.of(config).directory
        trial.set_user_attr("directory", str(directory))
        began = time()
        monitored = train_repeats(config, should_prune if len(search.objectives) == 1 else None)
        values = []
        for objective in search.objectives:
            of_fit = objective.metric == config.monitor.metric
            values.append(monitored if of_fit else measured_metric(directory, objective.metric))
            if math.isnan(values[-1]):
                raise ValueError(f"{objective.metric} is undefined for this trial")
        trial.set_user_attr("seconds", round(trial.user_attrs.get("seconds", 0.0) + time() - began, 2))
        study.study.tell(trial, values)
    except (Interrupted, KeyboardInterrupt):
        if not pruned:
            study.requeue(trial.number)
            raise
        study.study.tell(trial, state=TrialState.PRUNED)
    except Exception as error:
        echo(traceback_text(error))
        notes = [*getattr(error, "__notes__", []), *([f"log: {log}"] if log else [])]
        message = sentence(error) or "; ".join([f"{type(error).__name__}: {error}", *notes])
        study.fail(trial.number, message)


def measured_metric(directory: Path, metric: str) -> float:
    """What `find_metric` finds in a finished run, or its mean over a set of repeats.

    Raises:
        ValueError: there is no such metric.
    """
    single = (directory / "record.json").exists()
    runs = [Run(directory)] if single else [member.run for member in RepeatSet(directory).members]
    values = [find_metric(run.metrics, metric) for run in runs]
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        by_task = runs[0].metrics.get("val", {}).items()
        names = [f"{task}/{name}".removeprefix(f"{MAIN}/") for task, of_task in by_task for name in of_task]
        raise ValueError(f"sweep.objectives: {metric} is not measured; there are {', '.join(names)}")
    return fmean(known)


def main() -> None:
    def stop(number: int, frame: FrameType | None) -> None:
        raise Interrupted(f"{signal.Signals(number).name}: stopped between trials")

    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("log", type=Path)
    parser.add_argument("--name", required=True, help="of this worker in the study")
    parser.add_argument("saved", nargs="+", help="digests of the configurations that the sweep has saved")
    parser.add_argument("--trusted", action="append", default=[])
    arguments = parser.parse_args()
    make_streams_tolerant()
    for number in _STOPS:
        signal.signal(number, stop)
    exit_with_parent(lambda: os.kill(os.getpid(), signal.SIGTERM))
    for digest in arguments.saved:
        remember(digest)
    search = Search.load(arguments.directory, arguments.trusted)
    study = search.study()
    assert study.manifest is not None
    sys.argv = study.manifest["command"]  # what a record shows as the command that makes the run again
    try:
        work(search, study, arguments.log, arguments.name)
    except Interrupted as error:
        echo(str(error))


if __name__ == "__main__":
    with redacted_errors():
        main()
