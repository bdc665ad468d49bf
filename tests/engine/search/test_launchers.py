"""What workers are started with, on this machine and on a cluster."""

import signal
import sys
import time

import pytest

from hallmark.checks import SettingError
from hallmark.engine.search.launchers import LocalProcesses, WorkerCommand
from hallmark.engine.search.pool import Pool
from hallmark.engine.search.ray_cluster import RayCluster
from hallmark.engine.search.slurm import SlurmJobs

OPTIONS = {"timeout_min": 60, "gpus_per_node": 0, "cpus_per_task": 1}
SERVER = "postgresql+psycopg://me@host/base"
SAVES_AT_THE_END_OF_ITS_PIPE = "import os\nos.read(0, 1)\nprint('saved', flush=True)"


def until(condition) -> None:
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.02)
    pytest.fail("nothing happened for a minute")


def test_the_command_ends_with_the_process_that_carries_it_out(tmp_path):
    """A handler of a signal waits for it as well, while the main thread does."""
    script = f"""
import pathlib, signal
from hallmark.engine.search.launchers import WorkerCommand
log = pathlib.Path({str(tmp_path / "log")!r})
command = WorkerCommand([{sys.executable!r}, "-c", {SAVES_AT_THE_END_OF_ITS_PIPE!r}], log)
signal.signal(signal.SIGALRM, lambda *_: print(type(command.checkpoint()).__name__, flush=True))
signal.setitimer(signal.ITIMER_REAL, 2)
print(command())
"""
    pytest.importorskip("submitit")
    log = tmp_path / "carried_out"
    process = LocalProcesses().start([sys.executable, "-c", script], log)
    until(lambda: process.exit_status() is not None)
    assert log.read_text() == "DelayedSubmission\n0\n"
    assert (tmp_path / "log").read_text() == "saved\n"


def test_variables_go_along_where_a_cluster_does_not_bring_them(tmp_path):
    command = [sys.executable, "-c", "import os; print(os.environ['HALLMARK_THERE'])"]
    assert WorkerCommand(command, tmp_path / "log", {"HALLMARK_THERE": "yes"})() == 0
    assert (tmp_path / "log").read_text() == "yes\n"


def test_jobs_of_submitit_run_crash_and_are_stopped(tmp_path, monkeypatch):
    pytest.importorskip("submitit")
    jobs = SlurmJobs("local", 0, OPTIONS)
    jobs.check(None)
    log = tmp_path / "workers" / "1.log"
    ended = jobs.start([sys.executable, "-c", "print('done')"], log)
    until(lambda: ended.exit_status() is not None)
    assert (ended.exit_status(), log.read_text()) == (0, "done\n")
    assert {path.name for path in (tmp_path / "workers").iterdir()} == {"1.log", "submitit"}
    crashed = jobs.start([sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"], log)
    until(lambda: crashed.exit_status() is not None)
    assert crashed.exit_status() == -signal.SIGKILL
    log = tmp_path / "workers" / "2.log"
    started = f"print('started', flush=True)\n{SAVES_AT_THE_END_OF_ITS_PIPE}"
    stopped = jobs.start([sys.executable, "-c", started], log)
    until(lambda: log.exists() and log.read_text() == "started\n")
    stopped.stop()
    until(lambda: log.read_text() == "started\nsaved\n")
    until(lambda: stopped.exit_status() is not None)


class Queued:
    """A job of SLURM that waits for a node."""

    state, cancelled = "PENDING", False

    def done(self) -> bool:
        return self.cancelled

    def cancel(self) -> None:
        self.cancelled = True


def test_a_job_that_waits_for_a_node_is_cancelled_and_one_that_runs_is_not(tmp_path, monkeypatch):
    submitit = pytest.importorskip("submitit")
    jobs = [Queued(), Queued()]
    jobs[1].state = "RUNNING"
    submitted = iter(jobs)
    monkeypatch.setattr(submitit.AutoExecutor, "submit", lambda *_: next(submitted))
    pool = Pool(SlurmJobs("local", 0, OPTIONS), tmp_path, 2)
    pool.keep(2)
    pool.cancel_queued()
    assert [job.cancelled for job in jobs] == [True, False]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: SlurmJobs("pbs", 0, {}), "workers.cluster='pbs': expected slurm or local"),
        (lambda: SlurmJobs("local", -1, {}), "workers.max_num_timeout=-1"),
        (lambda: SlurmJobs("local", 0, {"gpus": 1}).check(None), "workers.options=.*gpus"),
        (lambda: SlurmJobs("slurm", 0, {}).check(None), "storage=None: expected the address of a database server"),
        (lambda: SlurmJobs("slurm", 0, {}).check("sqlite:///a.db"), "storage='sqlite:///a.db'"),
        (lambda: SlurmJobs("slurm", 0, {}).check(SERVER), "workers.cluster=slurm: .*srun"),
        (lambda: RayCluster("auto", 0, 0), "workers.num_cpus=0"),
        (lambda: RayCluster("auto", 1, -1), "workers.num_gpus=-1"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_starts(monkeypatch, tmp_path, build, message):
    pytest.importorskip("submitit")
    monkeypatch.setenv("PATH", str(tmp_path))  # a machine without srun
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize(
    ("launcher", "extra"), [(SlurmJobs("slurm", 0, {}), "slurm"), (RayCluster("auto", 1, 0), "ray")]
)
def test_what_is_not_installed_names_its_extra(monkeypatch, launcher, extra):
    monkeypatch.setattr("hallmark.engine.search.launchers.find_spec", lambda name: None)
    with pytest.raises(
        ValueError, match=rf"^workers={extra}: not installed; pip install 'hallmark-experiments\[{extra}"
    ):
        launcher.check(SERVER)


def test_tasks_of_ray_run_crash_and_are_stopped(tmp_path, monkeypatch):
    pytest.importorskip("ray", reason="the extra ray is not installed")
    monkeypatch.setenv("HALLMARK_THERE", "yes")
    cluster = RayCluster("local", 0.5, 0)
    cluster.check(None)
    try:
        log = tmp_path / "1.log"
        ended = cluster.start([sys.executable, "-c", "import os; print(os.environ['HALLMARK_THERE'])"], log)
        until(lambda: ended.exit_status() is not None)
        assert (ended.exit_status(), log.read_text()) == (0, "yes\n")
        crashed = cluster.start([sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"], log)
        until(lambda: crashed.exit_status() is not None)
        assert crashed.exit_status() == -signal.SIGKILL
        stopped = cluster.start([sys.executable, "-c", SAVES_AT_THE_END_OF_ITS_PIPE], tmp_path / "2.log")
        until((tmp_path / "2.log").exists)
        stopped.stop()
        until(lambda: stopped.exit_status() is not None)
        assert (tmp_path / "2.log").read_text() == "saved\n"
    finally:
        cluster.close()


def test_a_ray_cluster_that_does_not_answer_is_refused():
    pytest.importorskip("ray", reason="the extra ray is not installed")
    with pytest.raises(SettingError, match=r"workers\.address=.127\.0\.0\.1:1"):
        RayCluster("127.0.0.1:1", 1, 0).check(None)
