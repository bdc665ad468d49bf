"""Loggers beside history.csv: one W&B run a job, TensorBoard events."""

from pathlib import Path

import pytest

TEXT = ["experiment=sentiment_text", "debug=fast"]


def test_tensorboard_writes_events(fit):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = fit(*TEXT, "logger=tensorboard")
    events = EventAccumulator(str(run.directory / "tensorboard")).Reload()
    logged = events.Scalars("val/macro_f1")
    assert logged[-1].value == pytest.approx(run.record.selected["value"])


def offline_runs(folder: Path) -> list[str]:
    return [path.name.partition("run-")[2].partition("-")[2] for path in folder.glob("wandb/offline-run-*")]


def test_each_job_is_one_wandb_run_of_its_own(fit):
    runs = [fit(*TEXT, f"seed={seed}", "logger=wandb") for seed in (0, 1)]
    assert [offline_runs(run.directory) for run in runs] == [[f"sentiment_text-{run.directory.name}"] for run in runs]
    assert all(any(run.directory.glob("wandb/offline-run-*/run-*.wandb")) for run in runs)


def test_a_failed_job_is_a_failed_wandb_run_and_does_not_leak_into_the_next(fit, run_of, monkeypatch):
    import wandb

    from hallmark.learning.callbacks import History

    def fail(*_) -> None:
        raise RuntimeError("a bad moment")

    codes = []
    real = wandb.finish
    with monkeypatch.context() as patch:
        patch.setattr(wandb, "finish", lambda exit_code=0, **_: (codes.append(exit_code), real(exit_code=exit_code)))
        patch.setattr(History, "on_train_epoch_end", fail)
        with pytest.raises(RuntimeError, match="a bad moment"):
            fit(*TEXT, "logger=wandb")
    assert codes == [1]
    assert wandb.run is None
