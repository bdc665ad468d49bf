"""A cascade of a filter and a stack of two members: killed in each generation, and made by the same command."""

import signal
import time
from pathlib import Path

import pytest
from tests.engine.cascading import RUNS, TYPED, write_preset

from hallmark.runs.record import RunState
from hallmark.runs.run import Run

pytestmark = pytest.mark.e2e


def begun(outputs: Path, name: str) -> list[Run]:
    return [Run(path.parent) for path in sorted(outputs.glob(f"{name}/*/record.json"))]


@pytest.mark.parametrize("cut", [[("digits_classifier", 2), ("digits_stack", 1), ("cascade", 1)]])
def test_killed_in_each_generation_it_goes_on_and_nothing_is_made_twice(command, start, tmp_path, cut):
    outputs = tmp_path / "outputs"
    typed = [*TYPED, "--config-dir", str(write_preset(tmp_path / "conf"))]
    finished: dict[str, str] = {}
    for name, n in cut:
        process = start("train.py", *typed, outputs=outputs)
        while len(begun(outputs, name)) < n:
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        done = [run for each in RUNS for run in begun(outputs, each) if run.record.state is RunState.DONE]
        assert finished.items() <= {run.record.run_id: run.record.started for run in done}.items()
        finished |= {run.record.run_id: run.record.started for run in done}
    command("train.py", *typed, outputs=outputs)
    runs = {name: begun(outputs, name) for name in RUNS}
    assert {name: len(each) for name, each in runs.items()} == RUNS
    assert {run.record.state for each in runs.values() for run in each} == {RunState.DONE}
    started = {run.record.run_id: run.record.started for each in runs.values() for run in each}
    assert finished.items() <= started.items()
    before = {path: path.stat().st_mtime_ns for path in outputs.rglob("*") if path.is_file()}
    assert "is done" in command("train.py", *typed, outputs=outputs)
    assert {path: path.stat().st_mtime_ns for path in outputs.rglob("*") if path.is_file()} == before
