"""A fit that is stopped at any step and typed again ends as one that nobody disturbed, to the last bit."""

import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from itertools import cycle
from pathlib import Path

import pandas as pd
import pytest
import torch

from hallmark.checks import Interrupted
from hallmark.engine.train import train
from hallmark.learning.callbacks.training import History
from hallmark.learning.module import TrainableModule
from hallmark.runs.record import RunState
from hallmark.runs.run import Run, RunConflict

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("no_report")]

TEXT = ["experiment=sentiment_text", "trainer.max_epochs=3", "model.head.dropout=0.3", "callbacks.early_stopping=null"]
LOGGED = ["train/mean", "train/largest", "train/smallest", "train/sum", "train/once"]
STEPS = 6  # 96 training rows in batches of 16
FILES = ("history.csv", "metrics.json", "predictions/val.parquet")


@pytest.fixture(autouse=True)
def _more_is_logged(monkeypatch) -> None:
    """Values of every reduction, one of them in some steps only, and one in the first step alone."""
    log_train_loss = TrainableModule.log_train_loss

    def logged(self, loss, size) -> None:
        log_train_loss(self, loss, size)
        batch = self.trainer.fit_loop.epoch_loop.batch_progress.current.ready
        self.log("train/mean", loss.detach(), on_step=True, on_epoch=True, batch_size=size + batch)
        self.log("train/largest", loss.detach(), on_step=False, on_epoch=True, reduce_fx="max")
        self.log("train/smallest", loss.detach(), on_step=False, on_epoch=True, reduce_fx="min")
        if batch % 2:
            self.log("train/sum", loss.detach(), on_step=False, on_epoch=True, reduce_fx="sum")
        if batch == 1:
            self.log("train/once", loss.detach(), on_step=False, on_epoch=True)

    monkeypatch.setattr(TrainableModule, "log_train_loss", logged)


def stop_at(step: int, number: int) -> Callable[..., None]:
    """A hook that raises the signal `number` as batch `step` of the second epoch begins."""

    def hook(_, trainer, module, batch, batch_idx: int) -> None:
        if (trainer.current_epoch, batch_idx) == (1, step):
            os.kill(os.getpid(), number)

    return hook


@pytest.fixture
def killed(compose, small, run_of, monkeypatch) -> Callable[..., Run]:
    """A function from a step, a signal and overrides to the run that they leave."""

    def killed(step: int, number: int, *overrides: str) -> Run:
        with monkeypatch.context() as patch:
            patch.setattr(History, "on_train_batch_start", stop_at(step, number), raising=False)
            if number == signal.SIGTERM:
                with pytest.raises(Interrupted):
                    train(compose(*small, *overrides))
            else:
                config = compose(*small, *overrides)
                process = multiprocessing.get_context("fork").Process(target=train, args=(config,))
                process.start()
                process.join()
                assert process.exitcode == -number
        return run_of(*overrides)

    return killed


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    return torch.load(checkpoint, weights_only=True)["state_dict"]


def assert_same(one: Run, other: Run) -> None:
    for name in FILES:
        assert (one.directory / name).read_bytes() == (other.directory / name).read_bytes(), name
    for checkpoint in (Run.best, Run.last):
        first, second = (weights(checkpoint.fget(run)) for run in (one, other))
        assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


STOPS = [signal.SIGTERM, signal.SIGKILL]


# At each step by either signal, and each signal at some step under every setting.
@pytest.mark.parametrize(
    ("accumulated", "precision", "signals"),
    [(1, "32-true", STOPS), (1, "bf16-mixed", STOPS[::-1]), (4, "32-true", STOPS[::-1]), (4, "bf16-mixed", STOPS)],
)
def test_a_stop_at_any_step_changes_nothing(fit, killed, tmp_path, accumulated, precision, signals) -> None:
    overrides = [*TEXT, f"trainer.accumulate_grad_batches={accumulated}", f"trainer.precision={precision}"]
    undisturbed = fit(*overrides)
    assert set(LOGGED) - {"train/mean"} < set(pd.read_csv(undisturbed.directory / "history.csv"))
    aside = tmp_path / "undisturbed"
    shutil.move(undisturbed.directory, aside)
    for step, number in zip((0, 2, STEPS - 1), cycle(signals), strict=False):
        stopped = killed(step, number, *overrides)
        assert stopped.record.state is (RunState.INTERRUPTED if number == signal.SIGTERM else RunState.RUNNING)
        resumed = fit(*overrides)
        assert resumed.record.resumed == 1
        assert_same(Run(aside), resumed)
        shutil.rmtree(resumed.directory)


def test_a_damaged_last_checkpoint_is_said_and_the_fit_goes_on_from_the_best(fit, killed, tmp_path, capsys) -> None:
    undisturbed = fit(*TEXT)
    aside = tmp_path / "undisturbed"
    shutil.move(undisturbed.directory, aside)
    stopped = killed(2, signal.SIGTERM, *TEXT)
    content = bytearray(stopped.last.read_bytes())
    content[len(content) // 2] ^= 1
    stopped.last.write_bytes(content)
    resumed = fit(*TEXT)
    assert f"{stopped.last} is damaged" in capsys.readouterr().out
    assert_same(Run(aside), resumed)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short"])
def test_without_a_whole_checkpoint_nothing_is_trained_in_silence(fit, killed, content: bytes) -> None:
    stopped = killed(2, signal.SIGTERM, *TEXT)
    for path in (stopped.last, stopped.best):
        path.write_bytes(content)
    with pytest.raises(RunConflict, match="rerun=true"):
        fit(*TEXT)
    assert stopped.last.read_bytes() == content
    assert fit(*TEXT, "rerun=true").record.resumed == 0


def test_a_disk_that_fills_up_at_the_last_figure_costs_no_training(fit, run_of, monkeypatch) -> None:
    def full(*_) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("hallmark.analysis.state.save_figure", full)
        with pytest.raises(OSError, match="No space"):
            fit(*TEXT)
    failed = run_of(*TEXT)
    assert failed.record.state is RunState.FAILED
    before = weights(failed.last)
    with monkeypatch.context() as patch:
        patch.setattr(TrainableModule, "log_train_loss", lambda *_: pytest.fail("a finished fit must not train again"))
        run = fit(*TEXT)
    assert run.record.state is RunState.DONE
    assert all(torch.equal(before[name], value) for name, value in weights(run.last).items())


def test_a_process_killed_while_it_clears_leaves_no_finished_run(fit, compose, small, run_of, monkeypatch) -> None:
    tfidf = "experiment=sentiment_tfidf"
    fit(tfidf)

    def die_at_once(*_) -> None:
        os._exit(1)

    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", die_at_once)
        process = multiprocessing.get_context("fork").Process(
            target=train, args=(compose(*small, tfidf, "rerun=true"),)
        )
        process.start()
        process.join()
    assert process.exitcode == 1
    assert run_of(tfidf).read_record() is None
    assert fit(tfidf).record.state is RunState.DONE


def test_a_fit_killed_between_its_only_two_checkpoints_ends_with_both(fit) -> None:
    tfidf = "experiment=sentiment_tfidf"
    run = fit(tfidf)
    expected = weights(run.last)
    run.last.unlink()
    replace(run.record, state=RunState.RUNNING, selected=None).write(run.directory)
    assert weights(fit(tfidf).last).keys() == expected.keys()


def test_a_run_that_left_no_checkpoint_says_that_it_starts_again(fit, run_of, monkeypatch, capsys) -> None:
    def fail(*_) -> None:
        raise RuntimeError("before the first epoch's end")

    with monkeypatch.context() as patch:
        patch.setattr(History, "on_train_batch_start", fail, raising=False)
        with pytest.raises(RuntimeError):
            fit(*TEXT)
    capsys.readouterr()
    assert fit(*TEXT).record.resumed == 0
    assert f"{run_of(*TEXT).directory} is failed without a checkpoint" in capsys.readouterr().out
