"""A stack of three members: made by one command from nothing, killed in one of them, whole without their folders."""

import multiprocessing
import os
import runpy
import shutil
import signal
import sys
from pathlib import Path

import pytest
from tests.engine.releasing import released

from hallmark.engine.release.readiness import CHECKS
from hallmark.engine.release.verify import verify
from hallmark.learning.callbacks.training import History
from hallmark.runs.archive import unpack
from hallmark.runs.record import RunState
from hallmark.runs.run import Run

pytestmark = pytest.mark.e2e

MEMBERS = {"narrow": 1, "wide": 3, "plain": 2}
STACK = [
    "experiment=digits_stack", "callbacks.progress=null", "data.classes=['0','1','2']", "out_of_fold.folds=2",
    *(f"parents.{role}.overrides=['model.width={width}','trainer.max_epochs=3']" for role, width in MEMBERS.items()),
]  # fmt: skip


def members(outputs: Path) -> list[Run]:
    """The members that were begun, in the order in which they were."""
    runs = [Run(record.parent) for record in outputs.glob("digits_classifier/*/record.json")]
    runs = [run for run in runs if (run.directory / "splits.csv").exists()]
    return sorted(runs, key=lambda run: (run.directory / "splits.csv").stat().st_mtime)


def killed_in_the_second_member(project: Path, outputs: Path) -> None:
    """Carry out the command in a process that kills itself at the end of the first epoch of that member."""
    write = History.on_train_epoch_end

    def kill(history: History, *arguments) -> None:
        write(history, *arguments)
        if len(members(outputs)) == 2:
            os.kill(os.getpid(), signal.SIGKILL)

    def carry_out() -> None:
        History.on_train_epoch_end = kill
        os.chdir(project)
        os.environ["HALLMARK_OUTPUTS"] = str(outputs)
        sys.argv = ["train.py", *STACK]
        runpy.run_path("train.py", run_name="__main__")

    process = multiprocessing.get_context("fork").Process(target=carry_out)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL


def test_one_command_makes_it_and_a_kill_in_a_member_changes_nothing(command, project, tmp_path):
    outputs = tmp_path / "outputs"
    killed_in_the_second_member(project, outputs)
    first, second = members(outputs)
    assert first.record.state is RunState.DONE and second.record.state is RunState.RUNNING
    command("train.py", *STACK, outputs=outputs)
    assert len(members(outputs)) == 3
    again = {run.record.run_id: run.record for run in members(outputs)}
    assert again[first.record.run_id].started == first.record.started  # it was not fitted again
    (directory,) = outputs.glob("digits_stack/*")
    run = Run(directory)
    assert run.record.state is RunState.DONE and run.record.parents.keys() == MEMBERS.keys()
    assert {entry["use"] for entry in run.record.parents.values()} == {"out_of_fold"}
    assert run.record.leakage["findings"] == 0 and list(run.record.fitted) == ["state/fitted.safetensors"]

    before = {path: path.stat().st_mtime_ns for path in outputs.rglob("*") if path.is_file()}
    assert "is done" in command("train.py", *STACK, outputs=outputs)
    assert {path: path.stat().st_mtime_ns for path in outputs.rglob("*") if path.is_file()} == before

    shutil.rmtree(outputs / "digits_classifier")
    assert "is done" in command("train.py", *STACK, outputs=outputs)
    metrics = run.metrics
    archive = released(run, *CHECKS, tagged=False)
    shutil.rmtree(outputs / "digits_stack" / directory.name)
    assert verify(archive).states == 1
    root = unpack(archive, tmp_path / "there")
    unpacked = root / "runs" / directory.name
    (unpacked / "predictions" / "val.parquet").unlink()  # so that members and stacker answer once more
    command("evaluate.py", f"run={unpacked}", "split=val")
    assert {**metrics, "test": Run(unpacked).metrics["test"]} == Run(unpacked).metrics
