"""Sweeps of real workers: killed and gone on with, on a cluster, and shared by two machines."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from tests.processes import Process

from hallmark.engine.search.jobs import Search
from hallmark.engine.search.worker import work
from hallmark.runs.record import RunState
from hallmark.runs.run import Run

pytestmark = pytest.mark.e2e

TRIALS = 8
SMALL = ["data.sample.rows=120", "data.sample.unlabelled=20"]
SEARCH = [
    *SMALL,
    "experiment=sentiment_tfidf", "sweep=random", f"sweep.plan.trials={TRIALS}", "jobs=2",
    "sweep.space={model.inverse_regularisation: {low: 0.1, high: 10.0, log: true}, model.ngrams: [1, 2]}",
]  # fmt: skip


@pytest.fixture
def begin(project):
    """A function that starts a sweep in a session of its own, and one that kills it with all its processes."""
    started: list[subprocess.Popen] = []

    def begin(*arguments: str, outputs: Path) -> subprocess.Popen:
        process = Process(
            [sys.executable, str(project / "sweep.py"), *arguments],
            env={**os.environ, "HALLMARK_OUTPUTS": str(outputs)}, cwd=project, text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        started.append(process)
        return process

    yield begin
    for process in started:
        kill_with_workers(process)


def kill_with_workers(process: subprocess.Popen) -> None:
    """SIGKILL to a sweep and to its workers, which stay in its session."""
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            session = int(entry.read_text().rpartition(")")[2].split()[3])
        except (OSError, IndexError):
            continue
        if session == process.pid:
            os.kill(int(entry.parent.name), signal.SIGKILL)
    process.wait()


def end(process: subprocess.Popen) -> str:
    printed = process.communicate(timeout=600)[0]
    assert process.returncode == 0, printed
    return printed


def trials(outputs: Path, states=(TrialState.COMPLETE,)) -> list[optuna.trial.FrozenTrial]:
    """Trials of the only study below `outputs`, by slot."""
    files = list(outputs.glob("*/sweeps/*/study.db"))
    if not files:
        return []
    storage = f"sqlite:///{files[0]}"
    try:
        (name,) = optuna.get_all_study_names(storage)
        listed = optuna.load_study(study_name=name, storage=storage).get_trials(states=states)
    except ValueError:  # killed before the study was there
        return []
    return sorted(listed, key=lambda trial: trial.user_attrs["slot"])


def runs(outputs: Path, state: RunState) -> list[Run]:
    listed = [Run(path.parent) for path in outputs.glob("sentiment_*/*/record.json")]
    return [run for run in listed if run.record.state is state]


def done(outputs: Path) -> dict[Path, bytes]:
    """The selected checkpoint of each finished run."""
    return {run.directory: run.best.read_bytes() for run in runs(outputs, RunState.DONE)}


def undisturbed(compose) -> list[tuple[dict, float]]:
    """Parameters and values of the same search, trained in this process."""
    search = Search.of(compose(*SEARCH, command="sweep"))
    study = search.study()
    study.describe({"command": ["sweep.py", *SEARCH]})
    study.enqueue_pending()
    work(search, study)
    return [(trial.params, trial.values[0]) for trial in study.completed]


def test_a_sweep_killed_twice_ends_as_one_that_was_not(begin, compose, blank_figures, tmp_path):
    killed = tmp_path / "killed"
    chance = random.Random(0)
    for enough in (0, 3):
        process = begin(*SEARCH, outputs=killed)
        deadline = time.monotonic() + 300
        while len(runs(killed, RunState.DONE)) < enough or not runs(killed, RunState.RUNNING):
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(chance.uniform(0, 0.5))
        before = done(killed)
        kill_with_workers(process)
        assert len(trials(killed)) < TRIALS
        after = done(killed)
        assert before.items() <= after.items()
    written = {
        path: path.stat().st_mtime_ns for directory in after for path in [directory / "checkpoints" / "best.ckpt"]
    }
    end(begin(*SEARCH, outputs=killed))
    assert {path: path.stat().st_mtime_ns for path in written} == written, "a finished run was fitted again"
    everything = trials(killed, None)
    assert [trial.state for trial in everything] == [TrialState.COMPLETE] * TRIALS
    assert [(trial.params, trial.value) for trial in trials(killed)] == undisturbed(compose)
    directories = [trial.user_attrs["directory"] for trial in everything]
    assert len(set(directories)) == len(done(killed)) == TRIALS


def test_sigterm_lets_the_workers_save_and_the_same_command_goes_on(begin, tmp_path):
    arguments = [
        "experiment=sentiment_text", "sweep=grid", "sweep.space={model.freeze_epochs: [0, 1]}", "jobs=2",
        "trainer.max_epochs=20", "callbacks.early_stopping=null", *SMALL,
    ]  # fmt: skip
    process = begin(*arguments, outputs=tmp_path)
    while len(list(tmp_path.glob("sentiment_text/*/history.csv"))) < 2:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    printed = process.communicate(timeout=120)[0]
    assert process.returncode == 143, printed
    assert "the same command goes on from there" in printed
    interrupted = runs(tmp_path, RunState.INTERRUPTED)
    assert len(interrupted) == 2
    assert [trial.state for trial in trials(tmp_path, None)] == [TrialState.WAITING] * 2
    end(begin(*arguments, outputs=tmp_path))
    assert [Run(run.directory).record.resumed for run in interrupted] == [1, 1]
    assert len(trials(tmp_path)) == 2


SUBMITIT = [
    "workers=slurm", "workers.cluster=local", "workers.options={timeout_min: 60, gpus_per_node: 0, cpus_per_task: 1}",
]  # fmt: skip
RAY = ["workers=ray", "workers.address=local", "workers.num_cpus=0.5"]


def worker_processes(outputs: Path) -> list[int]:
    """Processes of workers on a sweep below `outputs`, whoever started them."""
    numbers = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"hallmark.engine.search.worker" in words and any(str(outputs).encode() in word for word in words):
            numbers.append(int(entry.parent.name))
    return numbers


@pytest.mark.parametrize(
    ("workers", "module"),
    [(SUBMITIT, "submitit"), (RAY, "ray")],
    ids=["submitit on this machine", "a local Ray cluster"],
)
def test_a_sweep_goes_on_when_a_worker_on_a_cluster_is_killed(begin, postgres, tmp_path, workers, module):
    pytest.importorskip(module, reason=f"the extra that brings {module} is not installed")
    arguments = [*SEARCH, *workers, f"sweep.name=cluster_{module}", f"storage={postgres}"]
    process = begin(*arguments, outputs=tmp_path)
    deadline = time.monotonic() + 900
    while len(done(tmp_path)) < 2:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.1)
    os.kill(worker_processes(tmp_path)[0], signal.SIGKILL)
    printed = end(process)
    assert printed.count("a worker crashed; its log is") == 1, printed
    (name,) = [name for name in optuna.get_all_study_names(postgres) if f"cluster_{module}" in name]
    everything = optuna.load_study(study_name=name, storage=postgres).trials
    assert [trial.state for trial in everything] == [TrialState.COMPLETE] * TRIALS
    assert len(done(tmp_path)) == TRIALS
    assert worker_processes(tmp_path) == []


def test_two_machines_share_a_sweep_through_postgres(begin, postgres, tmp_path):
    arguments = [
        "experiment=sentiment_tfidf", "sweep=random", "sweep.name=two_machines", "sweep.plan.trials=8", "jobs=1",
        "sweep.space={model.inverse_regularisation: {low: 0.1, high: 10.0, log: true}}",
        f"storage={postgres}", *SMALL,
    ]  # fmt: skip
    machines = [tmp_path / "first", tmp_path / "second"]
    for process in [begin(*arguments, outputs=machine) for machine in machines]:
        end(process)
    (name,) = [name for name in optuna.get_all_study_names(postgres) if "two_machines" in name]
    listed = optuna.load_study(study_name=name, storage=postgres).trials
    complete = [trial for trial in listed if trial.state is TrialState.COMPLETE]
    assert sorted(trial.user_attrs["slot"] for trial in complete) == list(range(8))
    assert all(trial.user_attrs.get("duplicate") for trial in listed if trial.state is not TrialState.COMPLETE)
    directories = [set(done(machine)) for machine in machines]
    assert all(directories), "one machine did everything"
    assert sum(map(len, directories)) == 8
    assert {Path(trial.user_attrs["directory"]) for trial in complete} == directories[0] | directories[1]
