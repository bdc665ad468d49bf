"""Fits on two processes of this machine, over gloo: what they leave behind, and that nobody is left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tests.processes import Process

from hallmark.engine.finished import FinishedRun
from hallmark.engine.train import train
from hallmark.runs.predictions import read_predictions
from hallmark.runs.record import RunState

from .test_resume import only_run, same

pytestmark = pytest.mark.e2e

# Dropout, augmented pictures, an encoder frozen for an epoch, a schedule by step, an odd number of validation rows.
SETTINGS = [
    "experiment=clip_final", "trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu", "trainer.max_epochs=4",
    "callbacks.early_stopping=null", "callbacks.progress=null", "data.sample.rows=110", "data.sample.unlabelled=20",
    "data.batch_size=8",
    "data.augment={_target_: hallmark.data.augment.LightAugment, crop: 0.7, flip: 0.5, color: 0.3}",
]  # fmt: skip
LIMIT = 240


@pytest.fixture
def start(project, tmp_path) -> Iterator[Callable[[Path], subprocess.Popen]]:
    """A function that starts the fit in a session of its own, which is killed with the test."""
    started = []

    def start(outputs: Path) -> subprocess.Popen:
        process = Process(
            [sys.executable, str(project / "train.py"), *SETTINGS], cwd=project, text=True, start_new_session=True,
            env={**os.environ, "HALLMARK_OUTPUTS": str(outputs)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def followers(process: subprocess.Popen) -> list[int]:
    """Process ids of the further ranks of a fit."""
    listed = subprocess.run(
        ["ps", "-ww", "--ppid", str(process.pid), "-o", "pid=,args="], capture_output=True, text=True
    )
    return [
        int(line.split()[0]) for line in listed.stdout.splitlines() if "hallmark.engine.distributed.ddp_worker" in line
    ]


def wait_until(condition: Callable[[], object], seconds: float = LIMIT) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def saved(outputs: Path) -> int:
    """When the checkpoint to go on from was last written, in nanoseconds; 0 if it is not there."""
    run = only_run(outputs)
    return run.last.stat().st_mtime_ns if run and run.last.exists() else 0


def within_training(process: subprocess.Popen, outputs: Path) -> list[int]:
    """Wait until the fit has saved another epoch; gives its further ranks."""
    before = saved(outputs)
    wait_until(lambda: saved(outputs) > before or process.poll() is not None)
    assert process.poll() is None, process.communicate()[0]
    others = followers(process)
    assert len(others) == 1
    return others


def gone(pids: list[int]) -> bool:
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_two_processes_make_one_run_and_kills_change_nothing(compose, start, blank_figures, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("HALLMARK_OUTPUTS", str(tmp_path / "undisturbed"))
        patch.setattr(subprocess, "Popen", Process)
        train(compose(*SETTINGS))
    assert not torch.distributed.is_initialized()

    killed = tmp_path / "killed"
    for number, code in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 143)):
        process = start(killed)
        others = within_training(process, killed)
        process.send_signal(number)
        printed = process.communicate(timeout=60)[0]
        assert process.returncode == code, printed
        wait_until(lambda others=others: gone(others), 15)
    assert "SIGTERM: stopped after" in printed
    assert only_run(killed).record.state is RunState.INTERRUPTED
    process = start(killed)
    printed = process.communicate(timeout=LIMIT)[0]
    assert process.returncode == 0, printed
    assert printed.count("clip_final resumes: ") == 1  # rank zero alone prints

    undisturbed, resumed = only_run(tmp_path / "undisturbed"), only_run(killed)
    assert undisturbed.record.device["world_size"] == 2
    assert resumed.record.resumed == 2
    assert resumed.record.selected == undisturbed.record.selected
    for file in ("history.csv", "metrics.json", "splits.csv", "predictions/val.parquet"):
        assert (resumed.directory / file).read_bytes() == (undisturbed.directory / file).read_bytes(), file
    for name in ("best.ckpt", "last.ckpt"):
        pair = [torch.load(run.directory / "checkpoints" / name, weights_only=True) for run in (undisturbed, resumed)]
        for part in ("state_dict", "optimizer_states", "lr_schedulers", "epoch", "global_step"):
            assert same(*(saved[part] for saved in pair)), part
    check_predictions(undisturbed)


def check_predictions(run) -> None:
    """Each validation row is there once, and one process alone comes to the same numbers."""
    stored, metrics = read_predictions(run.directory / "predictions" / "val.parquet"), run.metrics["val"]
    rows = pd.read_csv(run.directory / "splits.csv", dtype=str).query("split == 'val'")
    assert len(rows) % 2 == 1
    assert sorted(stored["id"]) == sorted(rows["id"])
    assert metrics["main"]["macro_f1"] == pytest.approx(run.record.selected["value"], abs=1e-6)
    (run.directory / "predictions" / "val.parquet").unlink()
    again = FinishedRun(run, folds=0).predictions("val")
    np.testing.assert_array_equal(np.stack(again["probabilities"]), np.stack(stored["probabilities"]))
    assert run.metrics["val"] == metrics


def test_the_loss_of_a_process_ends_the_fit(start, tmp_path):
    process = start(tmp_path / "outputs")
    (other,) = within_training(process, tmp_path / "outputs")
    os.kill(other, signal.SIGKILL)
    printed = process.communicate(timeout=90)[0]
    assert process.returncode == 1
    assert "RuntimeError: rank 1 failed" in printed
    assert only_run(tmp_path / "outputs").record.state is RunState.FAILED


def test_two_processes_take_the_step_that_one_takes_with_as_large_a_batch(compose, tmp_path, monkeypatch):
    """Of several optimizers as well: after one batch the first moments are the gradients but for a factor."""
    gan = [
        "experiment=digits_gan", "callbacks.progress=null", "model.width=4", "trainer.accelerator=cpu",
        "trainer.max_epochs=1", "trainer.limit_train_batches=1", "trainer.gradient_clip_val=null",
        "parents.classifier=null", "parents.judge=null", "model.class_weight=0", "model.judged=false",
    ]  # fmt: skip
    checkpoints = []
    for name, overrides in {
        "one": ["data.batch_size=32"],
        "two": ["data.batch_size=16", "trainer=ddp", "trainer.devices=2"],
    }.items():
        monkeypatch.setenv("HALLMARK_OUTPUTS", str(tmp_path / name))
        train(compose(*gan, *overrides))
        checkpoints.append(torch.load(only_run(tmp_path / name).last, weights_only=True))
    for first, second in zip(*(checkpoint["optimizer_states"] for checkpoint in checkpoints), strict=True):
        for key, state in first["state"].items():
            torch.testing.assert_close(state["exp_avg"], second["state"][key]["exp_avg"], rtol=1e-5, atol=1e-7)
    for name, tensor in checkpoints[0]["state_dict"].items():
        torch.testing.assert_close(tensor, checkpoints[1]["state_dict"][name], rtol=1e-4, atol=1e-5)
    history = [pd.read_csv(only_run(tmp_path / name).directory / "history.csv") for name in ("one", "two")]
    pd.testing.assert_frame_equal(*history, rtol=1e-4)
