import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import SingleDeviceStrategy

from hallmark.checks import Interrupted
from hallmark.learning.callbacks.training import GracefulStop, History, StepSeeds

pytestmark = pytest.mark.filterwarnings("ignore")


class Masks(Callback):
    """What dropout let through, by place in the training; draws from torch's generator in between."""

    def __init__(self, *, draws: int = 0) -> None:
        self.draws, self.seen = draws, {}

    def on_train_batch_end(self, trainer: Trainer, module: LightningModule, *_: Any) -> None:
        self.seen[trainer.current_epoch, trainer.global_step] = self.kept
        torch.rand(self.draws)

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        dropout = module.encoders["image"].layers[2]
        dropout.register_forward_hook(lambda layer, inputs, out: setattr(self, "kept", (out != 0).tolist()))


def test_dropout_is_a_function_of_the_place(classifier, fit) -> None:
    first, second, other = Masks(), Masks(draws=3), Masks()
    fit(classifier(), StepSeeds(1), first)
    torch.rand(7)
    fit(classifier(), StepSeeds(1), second)
    fit(classifier(), StepSeeds(2), other)
    assert len(first.seen) == 12 and first.seen == second.seen
    assert all(first.seen[position] != other.seen[position] for position in first.seen)
    assert len({str(mask) for mask in first.seen.values()}) == 12


def test_step_seeds_differ_by_process_and_not_from_those_of_one() -> None:
    seen: list[int] = []
    module = SimpleNamespace(device=torch.device("cpu"))
    for world_size, steps in ((1, 6), (2, 3)):
        for rank in range(world_size):
            trainer = SimpleNamespace(current_epoch=4, world_size=world_size, global_rank=rank)
            for step in range(steps):
                StepSeeds(7).on_train_batch_start(trainer, module, None, step)
                seen.append(torch.initial_seed())
    assert len(set(seen[:6])) == 6
    assert sorted(seen[6:]) == sorted(seen[:6])


def test_only_rank_zero_writes_the_history(tmp_path: Path) -> None:
    rows = {"current_epoch": 0, "callback_metrics": {"val/loss": torch.tensor(0.5)}, "optimizers": []}
    for rank_zero, path in ((False, tmp_path / "other.csv"), (True, tmp_path / "zero.csv")):
        history = History(path)
        history.on_train_epoch_end(SimpleNamespace(is_global_zero=rank_zero, **rows), None)
        assert path.exists() == rank_zero
        assert len(history.rows) == 1


def test_history_has_a_row_an_epoch_with_metrics_and_rate(classifier, fit, tmp_path: Path) -> None:
    fit(classifier(), History(tmp_path / "history.csv"))
    history = pd.read_csv(tmp_path / "history.csv")
    assert history["epoch"].tolist() == [0, 1, 2]
    assert {"train/loss", "val/loss", "val/accuracy", "val/macro_f1"} <= set(history)
    assert history["lr"].tolist() == pytest.approx([0.1] * 3)
    assert history.notna().all().all()


def test_history_survives_a_round_trip_of_its_state(tmp_path: Path) -> None:
    first = History(tmp_path / "a.csv")
    first.rows = [{"epoch": 0, "val/loss": 0.5}]
    second = History(tmp_path / "b.csv")
    second.load_state_dict(first.state_dict())
    assert second.rows == first.rows
    second.rows.append({"epoch": 1})
    assert len(first.rows) == 1


def test_a_resumed_fit_continues_its_history(classifier, fit, tmp_path: Path) -> None:
    fit(classifier(), StepSeeds(0), History(tmp_path / "whole.csv"))
    fit(classifier(), StepSeeds(0), History(tmp_path / "part.csv"), epochs=2).save_checkpoint(tmp_path / "last.ckpt")
    fit(classifier(), StepSeeds(0), History(tmp_path / "part.csv"), resume=tmp_path / "last.ckpt")
    assert (tmp_path / "part.csv").read_text() == (tmp_path / "whole.csv").read_text()


class Send(Callback):
    """Sends this process a signal after a step."""

    def __init__(self, number: signal.Signals, step: int) -> None:
        self.number, self.step = number, step

    def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step == self.step:
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_after_the_step_with_a_checkpoint(classifier, fit, tmp_path: Path, number) -> None:
    handlers = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    path = tmp_path / "last.ckpt"
    with pytest.raises(Interrupted, match=f"{number.name}: stopped after step 6"):
        fit(classifier(), Send(number, 6), GracefulStop(path))
    assert torch.load(path, weights_only=True)["global_step"] == 6
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == handlers


def test_a_signal_at_the_end_of_an_epoch_leaves_writing_to_the_checkpoint_callbacks(classifier, fit, tmp_path):
    path = tmp_path / "last.ckpt"
    with pytest.raises(Interrupted, match="SIGTERM: stopped after epoch 1"):
        fit(classifier(), Send(signal.SIGTERM, 4), GracefulStop(path))
    assert not path.exists()


def test_the_launcher_hears_of_the_end_of_its_time_once_the_checkpoint_is_written(classifier, fit, tmp_path) -> None:
    path, heard = tmp_path / "last.ckpt", []

    def queue_again(*_: Any) -> None:
        heard.append(path.exists())
        raise SystemExit(-1)

    before = signal.signal(signal.SIGUSR2, queue_again)
    try:
        with pytest.raises(Interrupted, match="SIGUSR2: stopped after step 6"):
            fit(classifier(), Send(signal.SIGUSR2, 6), GracefulStop(path))
        assert signal.getsignal(signal.SIGUSR2) is queue_again
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert heard == [True]


def test_a_signal_to_another_process_stops_this_one(classifier, fit, tmp_path: Path, monkeypatch) -> None:
    class Other(Callback):
        def on_train_batch_end(self, trainer: Trainer, *_: Any) -> None:
            if trainer.global_step == 6:
                monkeypatch.setattr(Trainer, "world_size", 2)
                monkeypatch.setattr(SingleDeviceStrategy, "reduce_boolean_decision", lambda *_, **__: True)

    with pytest.raises(Interrupted, match="signal to another process: stopped after step 6"):
        fit(classifier(), Other(), GracefulStop(tmp_path / "last.ckpt"))
    assert (tmp_path / "last.ckpt").exists()


def test_without_a_signal_the_fit_ends_and_gives_the_handlers_back(classifier, fit, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    assert fit(classifier(), GracefulStop(tmp_path / "last.ckpt")).global_step == 12
    assert signal.getsignal(signal.SIGINT) is before
    assert not (tmp_path / "last.ckpt").exists()
