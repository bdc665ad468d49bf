"""A fit of several optimizers: stopped anywhere it ends as one that nobody disturbed; what the trainer must leave to
them is refused."""

import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
import pytest
import torch
from tests.e2e.test_resume import same

from hallmark.checks import Interrupted, SettingError
from hallmark.engine.job import Job
from hallmark.engine.train import train
from hallmark.learning.callbacks.training import History
from hallmark.runs.predictions import read_predictions
from hallmark.runs.record import RunState
from hallmark.runs.run import Run

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("no_report")]

# Five batches an epoch, so that a turn of the generator, every second batch, goes on over the end of an epoch.
BATCHES, EPOCHS = 5, 3
GAN = [
    "experiment=digits_gan", f"trainer.max_epochs={EPOCHS}", f"trainer.limit_train_batches={BATCHES}",
    "callbacks.progress=null", "data.batch_size=16", "model.width=4", "model.optimizers.generator.every=2",
    "model.optimizers.generator.schedule=linear", "model.optimizers.discriminator.gradient_clip_val=0.1",
    "callbacks.pictures.every=1",
]  # fmt: skip
ALONE = ["parents.classifier=null", "parents.judge=null", "model.class_weight=0", "model.judged=false"]
FILES = ("history.csv", "metrics.json", "predictions/val.parquet")


@pytest.fixture
def trained(compose) -> Callable[..., Run]:
    """A function from overrides to the run that they make."""

    def trained(*overrides: str) -> Run:
        config = compose(*overrides)
        train(config)
        return Job.of(config).run

    return trained


def raises_at(epoch: int, batch: int | None, number: int) -> dict[str, Callable[..., None]]:
    """A hook of `History` that raises the signal `number` as a batch of an epoch begins, or as the epoch does."""

    def at_batch(_, trainer, module, content, batch_idx: int) -> None:
        if (trainer.current_epoch, batch_idx) == (epoch, batch):
            os.kill(os.getpid(), number)

    def at_epoch(_, trainer, module) -> None:
        if trainer.current_epoch == epoch:
            os.kill(os.getpid(), number)

    return {"on_train_epoch_start": at_epoch} if batch is None else {"on_train_batch_start": at_batch}


def stop(config: Any, hooks: dict[str, Callable[..., None]], number: int, patch: pytest.MonkeyPatch) -> None:
    """Start the fit of `config`, which `hooks` stop by a signal."""
    for name, hook in hooks.items():
        patch.setattr(History, name, hook, raising=False)
    if number == signal.SIGTERM:
        with pytest.raises(Interrupted, match=r"stopped after (step|epoch) \d+$"):
            train(config)
        return
    process = multiprocessing.get_context("fork").Process(target=train, args=(config,))
    process.start()
    process.join()
    assert process.exitcode == -number


def contents(run: Run) -> dict[str, bytes]:
    """Every file of the run that must not depend on what stopped it."""
    pictures = sorted(path.relative_to(run.directory).as_posix() for path in run.directory.glob("figures/epochs/*"))
    return {name: (run.directory / name).read_bytes() for name in (*FILES, *pictures)}


def checkpoints(run: Run) -> Iterator[Any]:
    for path in (run.best, run.last):
        saved = torch.load(path, weights_only=True)
        yield [saved[part] for part in ("state_dict", "optimizer_states", "lr_schedulers", "epoch", "global_step")]


STOPS = [
    (1, None, signal.SIGTERM), (1, None, signal.SIGKILL), (1, 2, signal.SIGTERM), (1, 2, signal.SIGKILL),
    (1, BATCHES - 1, signal.SIGTERM), (2, 1, signal.SIGKILL),
]  # fmt: skip


def test_a_stop_anywhere_changes_nothing(trained, compose, tmp_path, monkeypatch) -> None:
    run = trained(*GAN, *ALONE)
    aside = Run(shutil.move(run.directory, tmp_path / "undisturbed"))
    state = torch.load(aside.last, weights_only=True)
    assert state["global_step"] == BATCHES * EPOCHS
    assert state["state_dict"]["averages.generator.n_averaged"] == BATCHES * EPOCHS // 2
    history = pd.read_csv(aside.directory / "history.csv")
    assert len([name for name in contents(aside) if name.startswith("figures/epochs/")]) == EPOCHS
    assert {"lr_generator", "lr_discriminator", "train/generator/loss", "train/discriminator/loss"} <= set(history)
    for epoch, batch, number in STOPS:
        with monkeypatch.context() as patch:
            stop(compose(*GAN, *ALONE), raises_at(epoch, batch, number), number, patch)
        assert run.read_record().state is (RunState.INTERRUPTED if number == signal.SIGTERM else RunState.RUNNING)
        resumed = trained(*GAN, *ALONE)
        assert resumed.record.resumed == 1
        assert contents(resumed) == contents(aside), (epoch, batch, number)
        assert all(same(*pair) for pair in zip(checkpoints(resumed), checkpoints(aside), strict=True))
        shutil.rmtree(resumed.directory)


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("trainer.gradient_clip_val=1.0", "gradient_clip_val"),
        ("trainer.accumulate_grad_batches=2", "accumulate_grad_batches"),
    ],
)
def test_what_each_optimizer_does_for_itself_is_refused_before_data_is_read(
    compose, tmp_path, monkeypatch, override, key
):
    monkeypatch.setattr("hallmark.engine.setup.prepare_data", lambda job: pytest.fail("data was read"))
    with pytest.raises(SettingError) as caught:
        train(compose(*GAN, *ALONE, override))
    assert caught.value.key == f"trainer.{key}"
    assert not (tmp_path / "outputs" / "digits_gan").exists()


def test_steps_that_are_limited_and_told_are_batches(trained, compose, monkeypatch) -> None:
    run = trained(*GAN, *ALONE, "+trainer.max_steps=7")
    state = torch.load(run.last, weights_only=True)
    assert state["global_step"] == 7
    assert [scheduler["last_epoch"] for scheduler in state["lr_schedulers"]] == [3, 7]
    shutil.rmtree(run.directory)
    with monkeypatch.context() as patch:
        patch.setattr(
            History, "on_train_batch_start", raises_at(1, 1, signal.SIGTERM)["on_train_batch_start"], raising=False
        )
        with pytest.raises(Interrupted, match=r"stopped after step 7$"):
            train(compose(*GAN, *ALONE, "+trainer.max_steps=7"))


def test_parents_teach_and_judge_and_a_stop_changes_nothing(trained, compose, tmp_path, monkeypatch) -> None:
    short = "['trainer.max_epochs=1','model.width=4']"
    overrides = [*GAN, f"+parents.classifier.overrides={short}", f"parents.judge={{seed: 7, overrides: {short}}}"]
    run = trained(*overrides)
    assert set(run.record.parents) == {"classifier", "judge"}
    assert run.record.leakage["findings"] == 0
    state = torch.load(run.last, weights_only=True)["state_dict"]
    assert not any(".features." in name for name in state)
    assert "val/accuracy" in pd.read_csv(run.directory / "history.csv")
    assert len(read_predictions(run.directory / "predictions" / "val.parquet")["features"][0]) == 16  # of the judge
    aside = Run(shutil.move(run.directory, tmp_path / "undisturbed"))
    with monkeypatch.context() as patch:
        stop(compose(*overrides), raises_at(1, 2, signal.SIGTERM), signal.SIGTERM, patch)
    shutil.rmtree(tmp_path / "outputs" / "digits_classifier")
    resumed = trained(*overrides)
    assert resumed.record.resumed == 1
    assert contents(resumed) == contents(aside)
