"""A sweep whose workers a cluster starts, one of them killed: python -m benchmarks.workers

One study in PostgreSQL for each cluster: submitit's processes of this machine and a local Ray cluster (extra `ray`).
Once a trial has a checkpoint, its worker is killed with SIGKILL. All trials must end complete, each once, the killed
one on another worker and from its checkpoint; otherwise nothing is written.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState
from tests import postgres_server

from benchmarks.results import Cell, number_cell, write_result
from hallmark.runs.record import RunState
from hallmark.runs.run import Run, RunDirectory

PROJECT = Path(__file__).parents[1]
TRIALS = 12
SWEEP = [
    "experiment=sentiment_text", "sweep=random", f"sweep.plan.trials={TRIALS}", "jobs=2", "trainer.max_epochs=6",
    "sweep.space={model.optimizer.lr: {low: 1e-5, high: 1e-4, log: true}}", "callbacks.early_stopping=null",
    "data.sample.rows=120", "data.sample.unlabelled=20",
]  # fmt: skip
CLUSTERS = {
    "submitit": [
        "workers=slurm", "workers.cluster=local",
        "workers.options={timeout_min: 60, gpus_per_node: 0, cpus_per_task: 1}",
    ],
    "Ray": ["workers=ray", "workers.address=local", "workers.num_cpus=0.5"],
}  # fmt: skip
_POLL_SECONDS = 0.1


def swept(options: list[str], storage: str, outputs: Path) -> tuple[list[dict[str, Cell]], float]:
    """A row for each trial of a sweep in which a worker is killed, and the seconds until its trial waited again.

    Raises:
        RuntimeError: the sweep did not end as it should; the text is what it printed.
    """
    environment = {**os.environ, "HALLMARK_OUTPUTS": str(outputs), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "sweep.py", *SWEEP, *options, f"storage={storage}"]
    with (outputs / "log").open("w+") as log:
        process = subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=log, stderr=log)
        try:
            victim = _with_checkpoint(process, storage)
            worker, epochs = victim.user_attrs["worker"], len(Run(Path(victim.user_attrs["directory"])).history)
            _kill(worker)
            killed = time.monotonic()
            while _trials(storage)[victim.number].user_attrs["worker"] == worker and _is_running(storage, victim):
                time.sleep(_POLL_SECONDS)
            waited = time.monotonic() - killed
            process.wait()
        finally:
            process.terminate()
        log.seek(0)
        _require(process.returncode == 0, log.read())
    trials = _trials(storage)
    runs = [Run(Path(trial.user_attrs["directory"])) for trial in trials]
    _require([trial.state for trial in trials] == [TrialState.COMPLETE] * TRIALS, f"states: {trials}")
    _require(sorted(trial.user_attrs["slot"] for trial in trials) == list(range(TRIALS)), "a slot was filled twice")
    _require(len({run.directory for run in runs}) == TRIALS, "two trials share a run")
    _require(all(run.record.state is RunState.DONE for run in runs), "a run is not done")
    expected = [int(trial.number == victim.number) for trial in trials]
    _require([run.record.resumed for run in runs] == expected, "other runs were resumed")
    _require(trials[victim.number].user_attrs["worker"] != worker, "the killed trial was not taken by another worker")
    names = list(dict.fromkeys([worker, *(trial.user_attrs["worker"] for trial in trials)]))
    rows: list[dict[str, Cell]] = []
    for trial, run in zip(trials, runs, strict=True):
        workers = [worker] * (trial.number == victim.number) + [trial.user_attrs["worker"]]
        rows.append({
            "trial": str(trial.number), "state": trial.state.name.lower(),
            "workers": ", ".join("ABCDEFGH"[names.index(name)] for name in workers),
            "killed after": f"{epochs} epochs" if trial.number == victim.number else "",
            "resumed": str(run.record.resumed), "epochs": str(len(run.history)),
        })  # fmt: skip
    return rows, waited


def _with_checkpoint(process: subprocess.Popen, storage: str) -> FrozenTrial:
    """The first running trial that can be resumed, once some have ended."""
    while process.poll() is None:
        trials = _trials(storage)
        for trial in trials if sum(trial.state is TrialState.COMPLETE for trial in trials) >= 2 else []:
            directory = trial.user_attrs.get("directory")
            if trial.state is TrialState.RUNNING and directory and RunDirectory(Path(directory)).last.exists():
                return trial
        time.sleep(_POLL_SECONDS)
    raise RuntimeError(f"the sweep ended with status {process.returncode} before a worker was killed")


def _trials(storage: str) -> list[FrozenTrial]:
    names = optuna.get_all_study_names(storage)
    return optuna.load_study(study_name=names[0], storage=storage).trials if names else []


def _is_running(storage: str, trial: FrozenTrial) -> bool:
    return _trials(storage)[trial.number].state is TrialState.RUNNING


def _kill(worker: str) -> None:
    """SIGKILL to the process of a worker, by its name in the study."""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        if f"--name={worker}".encode() in entry.read_bytes().split(b"\0"):
            os.kill(int(entry.parent.name), signal.SIGKILL)
            return
    raise RuntimeError(f"there is no process of worker {worker}")


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise RuntimeError(problem)


def main() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    tables, values = {}, {}
    for name, options in CLUSTERS.items():
        with postgres_server.server() as storage, tempfile.TemporaryDirectory() as outputs:
            tables[name.lower()], waited = swept(options, storage, Path(outputs))
        values[f"{name.lower()}_waited"] = number_cell(waited, 1, " s")
        print(f"{name}: the killed trial waited again after {waited:.1f} s", flush=True)
    write_result(
        "workers",
        rows=f"{TRIALS} trials of a small text model for each cluster, all complete, each fitted once; workers are "
        "named by letters, A is the one that was killed.",
        intervals="",
        tables=tables,
        values=values,
    )


if __name__ == "__main__":
    main()
