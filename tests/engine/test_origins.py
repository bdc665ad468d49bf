"""Weights that were trained on generated data say so wherever they meet other data."""

import json
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from hallmark.engine.evaluate import evaluate
from hallmark.engine.job import Job
from hallmark.engine.origins import foreign_weights, write_warnings
from hallmark.engine.setup import build_module, prepare_data
from hallmark.report import provenance
from hallmark.report.content import Paragraph, Tone
from hallmark.report.sources import open_results
from hallmark.runs.predictions import read_predictions
from hallmark.systems.refseg.sample.world import generate as generate_scenes
from hallmark.systems.sentiment.sample.world import generate as generate_posts

REFSEG, SENTIMENT = "the generated sample of refseg", "the generated sample of sentiment"


@pytest.fixture
def worlds(tmp_path) -> dict[str, tuple[str, Path]]:
    """The setting of the data and a small sample world for each system with weights of its own."""
    scenes = generate_scenes(tmp_path / "scenes", train=0, val=12, test=0, seed=3, synonyms=0.0)
    posts = generate_posts(tmp_path / "posts", rows=40, unlabelled=4, seed=3, label_noise=0.0)
    return {"refseg_loop": ("data.source", scenes), "clip_baseline": ("data.folder", posts)}


def warnings(compose, *overrides: str) -> list[str]:
    job = Job.of(compose(*overrides))
    data = prepare_data(job)
    return foreign_weights(job, build_module(job, data), data)


@pytest.mark.parametrize(
    ("name", "origin", "settings"),
    [
        ("refseg_loop", REFSEG, "model.proposer and model.encoder"),
        ("clip_baseline", SENTIMENT, "model.encoders.image and model.encoders.text"),
    ],
)
def test_shipped_weights_know_the_generated_sample_and_say_so_on_other_data(compose, worlds, name, origin, settings):
    key, world = worlds[name]
    overrides = [f"experiment={name}", f"{key}={world}", "callbacks.progress=null"]
    assert warnings(compose, *overrides) == []
    (world / "sample.json").unlink()  # now it is anybody's folder
    (sentence,) = warnings(compose, *overrides)
    assert sentence.startswith(f"{settings}: ") and origin in sentence and str(world) in sentence


@pytest.mark.e2e
def test_weights_of_a_run_on_generated_data_say_so_on_other_data(compose, worlds, fit):
    first = fit("experiment=clip_probe", "debug=fast")
    key, world = worlds["clip_baseline"]
    (world / "sample.json").unlink()
    other = ["experiment=clip_probe", f"{key}={world}", f"init_from={first.directory}", "data.batch_size=4"]
    (sentence,) = warnings(compose, *other)
    assert sentence.startswith("model.encoders.image, model.encoders.text and init_from: ") and SENTIMENT in sentence
    assert first.record.data["generated"] == SENTIMENT and first.record.warnings == []


@pytest.fixture
def own(tmp_path) -> Path:
    """A folder of somebody's pictures and what is asked about them."""
    folder = tmp_path / "own"
    folder.mkdir()
    for label, color in enumerate(("red", "green")):
        Image.new("RGB", (96, 64), color).save(folder / f"{label}.png")
    (folder / "expressions.csv").write_text("image,expression\n0.png,the red one\n1.png,left of the star\n")
    return folder


def test_own_pictures_are_answered_with_a_warning_everywhere(compose, own, capsys, blank_figures):
    typed = ["experiment=refseg_own", f"data.source={own}", "callbacks.progress=null", "analysis=[]"]
    evaluate(compose(*typed, "split=predict", command="evaluate"))
    run = Job.of(compose(*typed)).run
    (sentence,) = run.record.warnings
    assert sentence.startswith("model.proposer and model.encoder: ") and REFSEG in sentence
    assert json.loads((run.directory / "record.json").read_text())["warnings"] == [sentence]
    assert f"warning: {sentence}" in capsys.readouterr().out
    assert set(read_predictions(run.directory / "predictions" / "predict.parquet")["info_warning"]) == {sentence}
    assert set(pd.read_csv(run.directory / "answers.csv")["info_warning"]) == {sentence}
    assert (run.directory / "answers.warning.txt").read_text() == f"{sentence}\n"
    (result,) = open_results([run.directory])
    assert provenance.what_was_run(result).blocks[0] == Paragraph(f"{sentence}.", Tone.CAUTION)
    evaluate(compose(f"run={run.directory}", "split=predict", command="evaluate"))
    assert f"warning: {sentence}" in capsys.readouterr().out


def test_a_run_that_was_made_before_warns_when_it_is_used(compose, own, capsys):
    typed = ["experiment=refseg_own", f"data.source={own}", "callbacks.progress=null", "analysis=[]"]
    evaluate(compose(*typed, "split=predict", command="evaluate"))
    run = Job.of(compose(*typed)).run
    (sentence,) = run.record.warnings
    record = json.loads((run.directory / "record.json").read_text())
    del record["warnings"], record["calls"]
    (run.directory / "record.json").write_text(json.dumps(record))
    (run.directory / "predictions" / "predict.parquet").unlink()
    (run.directory / "model.json").unlink()
    capsys.readouterr()
    evaluate(compose(f"run={run.directory}", "split=predict", command="evaluate"))
    assert f"warning: {sentence}" in capsys.readouterr().out
    assert set(read_predictions(run.directory / "predictions" / "predict.parquet")["info_warning"]) == {sentence}


def test_warnings_stand_beside_a_label_file_and_go_with_their_cause(tmp_path):
    write_warnings(tmp_path / "labels.csv", ["a", "b"])
    assert (tmp_path / "labels.warning.txt").read_text() == "a\nb\n"
    write_warnings(tmp_path / "labels.csv", [])
    assert list(tmp_path.iterdir()) == []
