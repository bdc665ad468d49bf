"""The learning rates of `history.csv` are those that the last step of each epoch took."""

import signal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from lightning import Callback, LightningModule
from tests.learning.callbacks.test_training import Send
from torch import Tensor, nn
from torch.optim import SGD
from torch.optim.lr_scheduler import StepLR

from hallmark.checks import Interrupted
from hallmark.learning.callbacks.training import GracefulStop, History, StepSeeds
from hallmark.learning.optim import Optimizer

pytestmark = pytest.mark.filterwarnings("ignore")

SCHEDULES = {  # warm-up, and the rates of steps 3, 7 and 11: three epochs of four steps, counted from 0
    "constant": (0.0, [0.1, 0.1, 0.1]),
    "linear": (0.0, [0.1 * (1 - 3 / 12), 0.1 * (1 - 7 / 12), 0.1 * (1 - 11 / 12)]),
    # Rises over 6 of 12 steps, (step + 1) / 7, then falls over the other 6, 1 − (step − 6) / 6.
    "linear with warm-up": (0.5, [0.1 * 4 / 7, 0.1 * 5 / 6, 0.1 / 6]),
}


def recipe(schedule: str, warmup: float) -> Optimizer:
    return Optimizer(lr=0.01, lr_scale=1.0, head_lr=0.1, weight_decay=0.0, schedule=schedule, warmup=warmup)


@pytest.mark.parametrize(("name", "expected"), [(name, rates) for name, (_, rates) in SCHEDULES.items()], ids=SCHEDULES)
def test_a_schedule_by_step(classifier, fit, tmp_path: Path, name, expected):
    warmup = SCHEDULES[name][0]
    fit(classifier(optimizer=recipe(name.partition(" ")[0], warmup)), History(tmp_path / "history.csv"))
    assert pd.read_csv(tmp_path / "history.csv")["lr"].tolist() == pytest.approx(expected)


class Alternating(LightningModule):
    """Two optimizers, whose rates are divided by ten and by two after each epoch.

    The second one steps on the first batch of an epoch only, and its rate is tenfold afterwards.
    """

    def __init__(self, *, optimizers: int = 2) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.optimizers_wanted = nn.Linear(4, 3), optimizers
        self.automatic_optimization = False

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        wanted = self.optimizers()
        for number, optimizer in enumerate(wanted if isinstance(wanted, list) else [wanted]):
            if number == 0 or batch_idx == 0:
                optimizer.zero_grad()
                self.manual_backward(self.layer(batch["x"]).square().mean())
                optimizer.step()
            if number == 1 and batch_idx == 0:
                optimizer.param_groups[0]["lr"] *= 10

    def on_train_epoch_end(self) -> None:
        schedulers = self.lr_schedulers()
        for scheduler in schedulers if isinstance(schedulers, list) else [schedulers]:
            scheduler.step()

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        self.log("val/loss", self.layer(batch["x"]).square().mean())

    def configure_optimizers(self) -> tuple[list[SGD], list[StepLR]]:
        rates = (0.1, 0.4)[: self.optimizers_wanted]
        groups = [{"params": [self.layer.weight]}, {"params": [self.layer.bias], "lr": 0.001}]
        optimizers = [SGD(groups if number == 0 else [self.layer.bias], lr=rate) for number, rate in enumerate(rates)]
        return optimizers, [StepLR(sgd, 1, gamma) for sgd, gamma in zip(optimizers, (0.1, 0.5), strict=False)]


def test_a_schedule_by_epoch(fit, tmp_path: Path):
    fit(Alternating(optimizers=1), History(tmp_path / "history.csv"))
    history = pd.read_csv(tmp_path / "history.csv")
    assert history["lr"].tolist() == pytest.approx([0.1, 0.01, 0.001])


def test_each_of_several_optimizers_has_its_own_rate(fit, tmp_path: Path):
    fit(Alternating(), History(tmp_path / "history.csv"))
    history = pd.read_csv(tmp_path / "history.csv")
    assert history["lr_0"].tolist() == pytest.approx([0.1, 0.01, 0.001])
    assert history["lr_1"].tolist() == pytest.approx([0.4, 2.0, 10.0])
    assert "lr" not in history


@pytest.mark.parametrize("step", [1, 5, 6, 7, 10])
def test_the_rates_of_a_fit_that_went_on_within_an_epoch(classifier, fit, tmp_path: Path, step):
    optimizer = recipe("linear", 0.0)
    fit(classifier(optimizer=optimizer), StepSeeds(0), History(tmp_path / "whole.csv"))
    last = tmp_path / "last.ckpt"
    with pytest.raises(Interrupted):
        callbacks: list[Any] = [History(tmp_path / "part.csv"), Send(signal.SIGTERM, step), GracefulStop(last)]
        fit(classifier(optimizer=optimizer), StepSeeds(0), *callbacks)
    fit(classifier(optimizer=optimizer), StepSeeds(0), History(tmp_path / "part.csv"), resume=last)
    uninterrupted, part = (pd.read_csv(tmp_path / name)["lr"].tolist() for name in ("whole.csv", "part.csv"))
    assert part == uninterrupted == pytest.approx(SCHEDULES["linear"][1])


def test_a_rate_from_before_a_stop_is_kept(fit, tmp_path: Path):
    """The second optimizer takes its one step of the epoch before the stop, and none after it."""
    last = tmp_path / "last.ckpt"

    class Stop(Callback):
        def on_train_batch_end(self, trainer, *_):
            if trainer.current_epoch == 1 and trainer.fit_loop.epoch_loop.batch_progress.current.completed == 2:
                trainer.save_checkpoint(last)
                raise Interrupted("within the second epoch")

    with pytest.raises(Interrupted):
        fit(Alternating(), History(tmp_path / "history.csv"), Stop())
    fit(Alternating(), History(tmp_path / "history.csv"), resume=last)
    assert pd.read_csv(tmp_path / "history.csv")["lr_1"].tolist()[:2] == pytest.approx([0.4, 2.0])


def test_a_model_that_is_not_trained_by_steps_has_no_rate(classifier, fit, tmp_path: Path):
    module = classifier(optimizer=None)
    module.training_step = lambda *_: None
    fit(module, History(tmp_path / "history.csv"), epochs=1)
    assert "lr" not in pd.read_csv(tmp_path / "history.csv")
