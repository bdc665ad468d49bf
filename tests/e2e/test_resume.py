"""A run killed again and again ends as one that nobody disturbed, to the last bit."""

import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from hallmark.engine.train import train
from hallmark.runs.run import Run

pytestmark = pytest.mark.e2e

# Dropout, augmented pictures, a schedule by step and persistent metrics: all that has a state.
SETTINGS = [
    "experiment=sentiment_late", "model.head.dropout=0.3", "callbacks.early_stopping=null", "trainer.max_epochs=6",
    "data.augment={_target_: hallmark.data.augment.LightAugment, crop: 0.7, flip: 0.5, color: 0.3}",
]  # fmt: skip
KILLS = 2


def only_run(outputs: Path) -> Run | None:
    records = list(outputs.glob("*/*/record.json"))
    return Run(records[0].parent) if records else None


def epochs(outputs: Path) -> int:
    """Finished epochs that the history on disk tells of."""
    run = only_run(outputs)
    history = run.directory / "history.csv" if run else None
    return history.read_text().count("\n") - 1 if history and history.exists() else 0


def kill_within_training(process: subprocess.Popen, outputs: Path, number: int, delay: float) -> None:
    """Let the run get on by an epoch and a random part of the next, and kill it there."""
    before = epochs(outputs)
    while epochs(outputs) <= before:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    time.sleep(delay)
    process.send_signal(number)
    printed = process.communicate(timeout=60)[0]
    assert process.returncode != 0, f"ended before it was killed:\n{printed}"


def same(left: Any, right: Any) -> bool:
    """Whether two plain containers of tensors agree bit by bit."""
    if isinstance(left, torch.Tensor):
        return left.dtype == right.dtype and torch.equal(left, right)
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(same(*pair) for pair in zip(left, right, strict=True))
    return left == right


def test_kills_change_nothing(compose, small, start, command, blank_figures, tmp_path, monkeypatch):
    monkeypatch.setenv("HALLMARK_OUTPUTS", str(tmp_path / "undisturbed"))
    train(compose(*SETTINGS, *small))
    killed = tmp_path / "killed"
    rng = random.Random(20)
    for kill in range(KILLS):
        process = start("train.py", *SETTINGS, *small, outputs=killed)
        number = signal.SIGTERM if kill % 2 else signal.SIGKILL
        kill_within_training(process, killed, number, rng.uniform(0, 0.2))
    command("train.py", *SETTINGS, *small, outputs=killed)
    undisturbed, resumed = only_run(tmp_path / "undisturbed"), only_run(killed)
    assert resumed.record.resumed == KILLS
    assert resumed.record.selected == undisturbed.record.selected
    for file in ("history.csv", "metrics.json", "splits.csv", "predictions/val.parquet"):
        assert (resumed.directory / file).read_bytes() == (undisturbed.directory / file).read_bytes(), file
    for checkpoint in (Run.best, Run.last):
        pair = [torch.load(checkpoint.fget(run), weights_only=True) for run in (undisturbed, resumed)]
        for part in ("state_dict", "optimizer_states", "lr_schedulers", "epoch", "global_step"):
            assert same(*(saved[part] for saved in pair)), part
