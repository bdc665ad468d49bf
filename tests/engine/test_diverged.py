"""A fit whose loss, weights or metric stop being numbers ends there, and keeps the checkpoint before."""

import pytest
import torch
from torchmetrics import MeanMetric

from hallmark.engine.train import train
from hallmark.learning.callbacks.finite import DivergedError
from hallmark.learning.callbacks.training import History
from hallmark.learning.classification import ClassificationModule
from hallmark.runs.record import RunState
from hallmark.systems.touch.module import JointModule

pytestmark = pytest.mark.e2e

TEXT = ["experiment=sentiment_text", "trainer.max_epochs=3", "callbacks.early_stopping=null"]


def in_second_epoch(value: float):
    """A training step whose loss is `value` times as large in the third step of the second epoch."""
    step = ClassificationModule.training_step

    def changed(self, batch, batch_idx: int) -> torch.Tensor:
        return step(self, batch, batch_idx) * (value if (self.current_epoch, batch_idx) == (1, 2) else 1.0)

    return changed


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_the_first_loss_that_is_no_number_ends_the_fit_and_is_named(fit, run_of, monkeypatch, value: float) -> None:
    monkeypatch.setattr(ClassificationModule, "training_step", in_second_epoch(value))
    with pytest.raises(DivergedError, match=rf"train/loss is {value} in epoch 1, after 8 steps"):
        fit(*TEXT)
    run = run_of(*TEXT)
    assert run.record.state is RunState.FAILED and "DivergedError" in run.record.error
    saved = torch.load(run.last, weights_only=True)
    assert saved["global_step"] == 6
    assert all(torch.isfinite(tensor).all() for tensor in saved["state_dict"].values())


def test_weights_that_are_no_numbers_reach_no_checkpoint(fit, run_of, monkeypatch) -> None:
    def spoil(_, trainer, module, *__) -> None:
        if trainer.current_epoch == 1 and trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            next(module.head.parameters()).data.fill_(torch.nan)

    monkeypatch.setattr(History, "on_train_batch_end", spoil, raising=False)
    with pytest.raises(DivergedError):
        fit(*TEXT)
    for checkpoint in (run_of(*TEXT).last, run_of(*TEXT).best):
        saved = torch.load(checkpoint, weights_only=True)
        assert saved["epoch"] == 0
        assert all(torch.isfinite(tensor).all() for tensor in saved["state_dict"].values())


def test_a_monitored_metric_that_is_no_number_selects_nothing(fit, run_of, monkeypatch) -> None:
    compute = MeanMetric.compute
    monkeypatch.setattr(MeanMetric, "compute", lambda self: compute(self) * torch.nan)
    overrides = [*TEXT, "monitor.metric=val/loss", "monitor.mode=min"]
    with pytest.raises(DivergedError, match="val/loss is nan in epoch 0"):
        fit(*overrides)
    assert not run_of(*overrides).best.exists()


def test_of_several_terms_the_message_names_the_term_whatever_joins_them(compose, small_of, monkeypatch) -> None:
    losses = JointModule.losses
    spoiled = {"state": torch.tensor(torch.nan)}
    monkeypatch.setattr(JointModule, "losses", lambda self, batch: {**losses(self, batch), **spoiled})
    for balance in ("equal", "gradnorm", "pcgrad"):
        with pytest.raises(DivergedError, match="the loss state is nan in epoch 0, after 0 steps"):
            train(compose("experiment=touch_balanced", f"model/balance={balance}", *small_of("touch_balanced")))


def test_in_a_sweep_the_trial_fails_and_says_so(swept, monkeypatch, capsys) -> None:
    overrides = ["experiment=sentiment_text", "trainer.max_epochs=1", "sweep=grid"]
    with pytest.raises(ValueError, match="1 of 2 trials failed"):
        swept(*overrides, "sweep.space={model.optimizer.lr: [1e-3, 1e30]}", "callbacks.early_stopping=null")
    printed = " ".join(capsys.readouterr().out.split())
    assert "trial 1 failed: the loss train/loss is nan in epoch 0" in printed
