"""A grid with -m: what is done stays done, and a stop stops all of it."""

import signal
import time
from pathlib import Path

import pytest

from hallmark.runs.record import RunState
from hallmark.runs.run import Run

pytestmark = pytest.mark.e2e

GRID = ["-m", "experiment=sentiment_tfidf", "model.ngrams=1,2", "model.inverse_regularisation=1.0,4.0"]


def runs(outputs: Path) -> list[Run]:
    return [Run(path.parent) for path in sorted(outputs.glob("*/*/record.json"))]


def state(run: Run) -> tuple[bytes, int]:
    return (run.directory / "record.json").read_bytes(), run.best.stat().st_mtime_ns


def wait_until(condition, process) -> None:
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)


def test_a_killed_grid_finishes_what_is_missing_and_then_trains_nothing(start, command, small, tmp_path):
    outputs = tmp_path / "outputs"
    process = start("train.py", *GRID, *small)
    wait_until(lambda: len(runs(outputs)) == 2, process)
    process.kill()
    process.wait()
    done = {run.directory: state(run) for run in runs(outputs) if run.record.state is RunState.DONE}
    assert 1 <= len(done) < 4
    command("train.py", *GRID, *small)
    all_done = {run.directory: state(run) for run in runs(outputs)}
    assert len(all_done) == 4
    assert done.items() <= all_done.items()
    printed = command("train.py", *GRID, *small)
    assert printed.count("is done (rerun=true would replace it)") == 4
    assert {run.directory: state(run) for run in runs(outputs)} == all_done


def test_sigterm_ends_the_whole_grid(start, small, tmp_path):
    outputs = tmp_path / "outputs"
    process = start("train.py", "-m", "experiment=sentiment_text", "seed=0,1", "trainer.max_epochs=100", *small)
    wait_until(lambda: list(outputs.glob("*/*/history.csv")), process)
    process.send_signal(signal.SIGTERM)
    printed = process.communicate(timeout=60)[0]
    assert process.returncode == 143
    assert "SIGTERM: stopped after" in printed
    assert "the same command goes on from there" in printed
    assert [run.record.state for run in runs(outputs)] == [RunState.INTERRUPTED]
