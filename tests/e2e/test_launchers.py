"""A grid through submitit on this machine: the runs of the same grid without it, and readable errors."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.processes import Process

from hallmark.runs.record import RunState
from hallmark.runs.run import Run

pytest.importorskip("hydra_plugins.hydra_submitit_launcher", reason="the extra slurm is not installed")
pytestmark = pytest.mark.e2e

GRID = ["-m", "experiment=sentiment_tfidf", "hydra/launcher=submitit_local"]
LIMIT = 240


@pytest.fixture
def launch(project, small) -> Iterator:
    """A function that runs a grid to its end, in a session that is killed when that takes too long."""

    def launch(*arguments: str) -> subprocess.CompletedProcess:
        command = [sys.executable, "train.py", *GRID, *small, *arguments]
        process = Process(
            command, cwd=project, text=True, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        try:
            printed = process.communicate(timeout=LIMIT)[0]
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        return subprocess.CompletedProcess(command, process.returncode, printed)

    return launch


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_grid_of_submitted_jobs(launch, compose, small, tmp_path, project):
    before = names(project)
    ended = launch("seed=0,1")
    assert ended.returncode == 0, ended.stdout
    runs = [Run(path.parent) for path in sorted((tmp_path / "outputs").glob("*/*/record.json"))]
    assert sorted(run.record.seed for run in runs) == [0, 1]
    for run in runs:
        assert run.record.state is RunState.DONE
        seed = f"seed={run.record.seed}"
        assert run.record.command == ["python", "train.py", GRID[1], *small, seed]
    assert list((tmp_path / "outputs" / "multirun" / ".submitit").glob("*/*_log.out"))
    assert names(project) - before <= {".hypothesis", ".pytest_cache"}


def test_the_error_of_a_submitted_job_is_a_sentence(launch):
    ended = launch("data.batch_size=500")
    assert ended.returncode == 2, ended.stdout
    assert "error: data.batch_size=500: expected at most the 96 training rows" in ended.stdout
    assert "Traceback" not in ended.stdout
