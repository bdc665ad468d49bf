"""A generator of characters through the engine: its pictures and its numbers, and a stop in its fit."""

import shutil
import signal
from pathlib import Path

import pandas as pd
import pytest
from omegaconf import OmegaConf
from tests.e2e.test_resume import same
from tests.engine.test_several_optimizers import checkpoints, contents, raises_at, stop

from hallmark.checks import SettingError, UserError
from hallmark.engine.config.stored import read_config
from hallmark.engine.config.trust import NO_TRUST
from hallmark.engine.job import Job
from hallmark.engine.make_parents import make_parents
from hallmark.engine.parents import inherited
from hallmark.engine.setup import prepare_data
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


def test_the_parents_of_one_character_are_fitted_on_all_and_known_by_their_rows(compose) -> None:
    config = compose(*GENERATOR, "model.target_class=B")
    job = Job.of(config)
    data = prepare_data(job)
    make_parents(job, data)
    parents = [Run(preset.job.directory) for preset in job.presets.values()]
    assert set(data.samples["target"]) == {"B"} and set(data.parent_samples["target"]) == {"A", "B", "C"}
    for parent in parents:
        assert sum(split["n"] for split in parent.record.splits.values()) == len(data.parent_samples)
        assert parent.record.data["content"] == data.content
    with_parents = Job.of(config)
    assert [rows.comparable for rows in inherited(with_parents)] == [True, True]
    changed = parents[0].record
    changed.data["content"] = "0" * 32
    changed.write(parents[0].directory)
    with pytest.raises(UserError, match="other rows"):
        make_parents(with_parents, data)


_CHARACTERS = "hallmark.systems.characters"
_OF_ALL = f"{_CHARACTERS}.data.CharactersDataModule"
_DESCRIBED = f"{_CHARACTERS}.described.DescribedCharactersDataModule"
_OF_GENERATOR = f"{_CHARACTERS}.generator.data.GeneratorDataModule"


@pytest.mark.parametrize(
    ("stored", "target", "built", "kept"),
    [(_OF_ALL, "B", _OF_GENERATOR, {"target_class": "B"}), (_OF_ALL, None, _OF_ALL, {}),
     (_DESCRIBED, "B", _DESCRIBED, {})],
)  # fmt: skip
def test_a_run_whose_data_module_had_another_place_for_its_character_is_read(tmp_path, stored, target, built, kept):
    node = {"_target_": stored, "target_class": "${model.target_class}", "seed": 3}
    OmegaConf.save({"name": "x", "model": {"target_class": target}, "data": node}, tmp_path / "config.yaml")
    assert read_config(tmp_path, NO_TRUST).data == {"_target_": built, "seed": 3, **kept}


@pytest.mark.parametrize("preset", ["characters_classifier", "characters_fusion"])
def test_a_classifier_is_not_fitted_on_one_character(compose, preset: str) -> None:
    with pytest.raises(SettingError) as refused:
        prepare_data(Job.of(compose(f"experiment={preset}", "+data.target_class=Aoi")))
    assert refused.value.key == "data.target_class"
