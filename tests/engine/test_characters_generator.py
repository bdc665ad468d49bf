"""A generator of characters through the engine: its pictures and its numbers, and a stop in its fit."""

import shutil
import signal
from pathlib import Path

import pandas as pd
import pytest
from tests.e2e.test_resume import same
from tests.engine.test_several_optimizers import checkpoints, contents, raises_at, stop

from hallmark.engine.job import Job
from hallmark.engine.train import train
from hallmark.runs.predictions import read_predictions
from hallmark.runs.run import Run

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("no_report", "blank_figures")]

_SHORT = "['trainer.max_epochs=1','model.encoder.image_size=32']"
GENERATOR = [
    "experiment=characters_generator", "data.sample.characters=[A,B,C]", "data.sample.unknown=[]",
    "data.sample.pictures=16", "data.sample.image_size=32", "data.batch_size=8", "trainer.max_epochs=2",
    "model.image_size=16", "model.width=4", "model.discriminator_width=4", "callbacks.progress=null",
    "callbacks.pictures.every=1", "model.optimizers.generator.every=2", f"++parents.classifier.overrides={_SHORT}",
    f"++parents.judge.overrides={_SHORT}",
]  # fmt: skip


def test_a_stop_changes_nothing_and_pictures_and_numbers_are_there(compose, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = compose(*GENERATOR)
    with monkeypatch.context() as patch:
        stop(config, raises_at(1, 1, signal.SIGTERM), signal.SIGTERM, patch)
    train(config)
    run = Job.of(config).run
    assert run.record.resumed == 1 and set(run.record.parents) == {"classifier", "judge"}
    aside = Run(shutil.move(run.directory, tmp_path / "stopped"))
    train(config)
    undisturbed = Job.of(config).run
    assert undisturbed.record.resumed == 0
    assert contents(undisturbed) == contents(aside)
    assert all(same(*pair) for pair in zip(checkpoints(undisturbed), checkpoints(aside), strict=True))

    names = {"samples_epoch_0.png", "samples_epoch_1.png"}
    assert names == {path.name for path in Path("generated_images").iterdir()}
    assert names == {path.name for path in undisturbed.pictures.iterdir()}
    figures = undisturbed.directory / "figures"
    assert (figures / "interpolation.png").stat().st_size and (figures / "truncation.png").stat().st_size
    history = pd.read_csv(undisturbed.directory / "history.csv")
    assert {"val/kernel_distance", "train/generator/loss", "train/discriminator/loss"} <= set(history)
    table = read_predictions(undisturbed.directory / "predictions" / "val.parquet")
    assert set(table["kind"]) == {"real", "generated"} and set(table["extractor"]) == {"test_efficientnet of the judge"}
