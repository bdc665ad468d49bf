"""A cascade of a filter and a stack of two members: killed in each generation, and made by the same command."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.engine.cascading import RUNS, TYPED, write_preset
from tests.kills.killing import carried_out, killed_at

from hallmark.engine.train import train
from hallmark.runs.record import RunState
from hallmark.runs.run import Run

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("blank_figures")]

# After how many changes of files below the folder of a generation it is killed: in the fit of the second member, and
# in a stack and a cascade around their fits and as their metrics are written.
CUTS = [("digits_classifier", 55), ("digits_stack", 18), ("digits_stack", 23), ("cascade", 18), ("cascade", 23)]


@pytest.fixture
def work(typed, tmp_path, monkeypatch) -> Callable[[], object]:
    """The command, without the intervals on the terminal."""
    monkeypatch.setattr("hallmark.engine.train.print_result", lambda *_: [])
    config = typed(f"hydra.searchpath=['file://{write_preset(tmp_path / 'conf')}']", *TYPED, command="train")
    (tmp_path / "outputs").mkdir()
    return lambda: train(config)


def runs(outputs: Path) -> list[Run]:
    return [Run(path.parent) for path in sorted(outputs.glob("*/*/record.json"))]


def test_killed_in_each_generation_it_goes_on_and_nothing_is_made_twice(work, tmp_path):
    outputs = tmp_path / "outputs"
    finished: dict[str, str] = {}
    for name, point in CUTS:
        assert killed_at(point, work, outputs / name)
        (unfinished,) = [run.record for run in runs(outputs) if run.record.state is not RunState.DONE]
        assert (unfinished.name, unfinished.state) == (name, RunState.RUNNING)
        done = {run.record.run_id: run.record.started for run in runs(outputs) if run.record.state is RunState.DONE}
        assert done and finished.items() <= done.items()
        finished = done
    carried_out(work, outputs)
    assert {name: len(list(outputs.glob(f"{name}/*/record.json"))) for name in RUNS} == RUNS
    assert {run.record.state for run in runs(outputs)} == {RunState.DONE}
    assert finished.items() <= {run.record.run_id: run.record.started for run in runs(outputs)}.items()
    before = {path: path.stat().st_mtime_ns for path in outputs.rglob("*") if path.is_file()}
    carried_out(work, outputs)
    assert {path: path.stat().st_mtime_ns for path in outputs.rglob("*") if path.is_file()} == before
