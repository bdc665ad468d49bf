"""A model that is solved: killed while it is fitted, the same command ends as if nothing had been."""

import signal
from pathlib import Path

import pytest
from tests.engine.centroids import MODEL

from hallmark.runs.record import RunState
from hallmark.runs.run import Run

pytestmark = pytest.mark.e2e


def run_in(outputs: Path) -> Run:
    (record,) = outputs.glob("digits_classifier/*/record.json")
    return Run(record.parent)


def test_killed_while_it_is_fitted_it_is_fitted_again_and_the_same(command, start, tmp_path, monkeypatch) -> None:
    command("train.py", *MODEL, outputs=tmp_path / "undisturbed")
    with monkeypatch.context() as patch:
        patch.setenv("KILLED_IN_FIT", "1")
        killed = start("train.py", *MODEL, outputs=tmp_path / "killed")
        assert killed.communicate()[0] and killed.returncode == -signal.SIGKILL
    assert run_in(tmp_path / "killed").record.state is RunState.RUNNING
    assert not list((tmp_path / "killed").rglob("fitted.safetensors"))
    command("train.py", *MODEL, outputs=tmp_path / "killed")
    first, second = (run_in(tmp_path / name) for name in ("undisturbed", "killed"))
    assert first.record.fitted == second.record.fitted != {}
    assert first.metrics == second.metrics
    assert "is done" in command("train.py", *MODEL, outputs=tmp_path / "killed")
    fitted = second.directory / "state" / "fitted.safetensors"
    fitted.write_bytes(fitted.read_bytes()[:-1] + b"\1")
    evaluation = start("evaluate.py", f"run={second.directory}", "split=calibration", "trusted_packages=[tests]")
    assert "fitted.safetensors was changed" in evaluation.communicate()[0] and evaluation.returncode == 2
