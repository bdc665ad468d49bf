"""A generative model from its fit to its report: a distance between two sets is a metric like any other."""

import os
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from tests.engine.generating import PRESET
from tests.engine.offline import Offline, folders

from hallmark.checks import Interrupted, SettingError
from hallmark.console import main
from hallmark.engine.evaluate import evaluate
from hallmark.engine.job import Job
from hallmark.engine.repeats import train_repeats
from hallmark.engine.train import train
from hallmark.learning.callbacks.training import History
from hallmark.report.gather import gather
from hallmark.report.render import write
from hallmark.runs.predictions import read_predictions
from hallmark.runs.repeats import RepeatSet
from hallmark.runs.run import Run
from hallmark.statistics import Resampling, all_intervals, table_metrics

pytestmark = pytest.mark.e2e

KERNEL, FRECHET = "kernel_distance", "frechet_distance"


@pytest.fixture(scope="module")
def outputs(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="module")
def repeats(compose, outputs) -> RepeatSet:
    """Two seeds; nothing is printed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hallmark.engine.train.print_result", lambda *_: [])
        train_repeats(compose(*PRESET, f"paths.outputs={outputs}", "repeat=seeds:2"))
    (path,) = outputs.glob("*/*/repeats.json")
    return RepeatSet(path.parent)


@pytest.fixture
def fitted(repeats) -> Run:
    return repeats.members[0].run


def test_the_value_that_selects_is_that_of_the_stored_table(fitted):
    predictions = read_predictions(fitted.directory / "predictions" / "val.parquet")
    assert predictions["kind"].value_counts().to_dict() == {"real": 180, "generated": 180}
    metrics = table_metrics(predictions)["main"]
    assert fitted.metrics["val"]["main"] == metrics
    history = pd.read_csv(fitted.directory / "history.csv")
    assert fitted.record.selected["metric"] == "val/kernel_distance"
    assert fitted.record.selected["value"] == pytest.approx(history["val/kernel_distance"].min())
    best = history.loc[history["val/kernel_distance"].idxmin()]
    assert (best["val/kernel_distance"], best["val/frechet_distance"]) == pytest.approx(
        (metrics[KERNEL], metrics[FRECHET]), rel=1e-5
    )
    assert history["val/kernel_distance"].nunique() == 3


def test_the_terminal_shows_it_with_its_interval(compose, outputs, repeats, capsys):
    evaluate(compose(f"run={repeats.directory}", "trusted_packages=[tests]", "split=val", command="evaluate"))
    printed = capsys.readouterr().out
    interval = all_intervals(repeats.predictions("val"), [KERNEL], resampling=Resampling(0.95, 2000, 0))[KERNEL]
    assert interval.low < interval.estimate < interval.high
    assert f"{interval.estimate:.3f} [{interval.low:.3f}, {interval.high:.3f}]" in printed
    assert "n = 360 (180 real, 180 generated)" in " ".join(printed.split())


def test_a_set_of_seeds_has_mean_and_spread(repeats, capsys):
    assert repeats.identical == []
    values = [member.run.metrics["val"]["main"][KERNEL] for member in repeats.members]
    assert repeats.metrics()["val"]["main"][KERNEL] == {
        "mean": pytest.approx(np.mean(values)), "std": pytest.approx(np.std(values, ddof=1)), "n": 2,
    }  # fmt: skip
    assert main(["runs", str(repeats.directory.parent)]) == 0
    assert "val/kernel_distance" in capsys.readouterr().out


@pytest.fixture(scope="module")
def worse(compose, outputs, repeats) -> Run:
    """Another run on the same rows, fitted for one epoch only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hallmark.engine.train.print_result", lambda *_: [])
        config = compose(*PRESET, f"paths.outputs={outputs}", "name=short", "trainer.max_epochs=1")
        train(config)
    return Job.of(config).run


def test_compare_says_which_is_lower(compose, fitted, worse):
    overrides = ["trusted_packages=[tests]", "analysis=compare", f"analysis.compare.baseline={worse.directory}"]
    evaluate(compose(f"run={fitted.directory}", *overrides, command="evaluate"))
    table = pd.read_csv(fitted.directory / "analysis" / "compare.csv")
    assert list(table["metric"]) == [KERNEL, FRECHET]
    assert (table["difference"] < 0).all() and (table["difference_high"] < 0).all()
    assert table["verdict"].str.contains("this run is better").all()


def test_the_report_shows_values_comparison_and_a_strip_of_pictures(fitted, worse, tmp_path):
    report = gather([fitted.directory, worse.directory])
    assert "is better than short" in report.summary[0] and "lower by" in report.summary[0]
    markdown, page = write(report, tmp_path)
    text = markdown.read_text()
    assert "kernel distance (lower is better)" in text and "180 real, 180 generated" in text
    assert "digits: 3 epochs." in text and "static: 3 epochs." in text
    assert page.read_text().count("data:image/jpeg") == 2 * (3 + 1)
    assert page.stat().st_size < 2_000_000


def test_more_of_a_distance_is_never_better(compose, tmp_path):
    with pytest.raises(SettingError) as caught:
        train(compose(*PRESET, f"paths.outputs={tmp_path}", "monitor.mode=max"))
    assert caught.value.key == "monitor.mode"


def state(run: Run) -> dict[str, bytes]:
    """What must not differ: history, metrics, predictions, pictures and weights."""
    files = ["history.csv", "metrics.json", "predictions/val.parquet"]
    pictures = sorted(str(path.relative_to(run.directory)) for path in run.pictures.glob("*"))
    weights = torch.load(run.best, weights_only=True)["state_dict"]
    content = {name: (run.directory / name).read_bytes() for name in [*files, *pictures]}
    return content | {name: value.numpy().tobytes() for name, value in weights.items()}


PICTURES = {f"figures/epochs/{name}_{epoch}.png" for name in ("digits", "static") for epoch in range(3)}


def test_stopped_within_an_epoch_it_ends_as_if_nothing_had_happened(compose, fitted, tmp_path, monkeypatch):
    monkeypatch.setattr("hallmark.engine.train.print_result", lambda *_: [])
    config = compose(*PRESET, f"paths.outputs={tmp_path}")
    with monkeypatch.context() as patch:
        patch.setattr(History, "on_train_batch_start", stop_in_second_epoch, raising=False)
        with pytest.raises(Interrupted):
            train(config)
    run = Job.of(config).run
    assert {path.name for path in run.pictures.glob("*")} == {"digits_0.png", "static_0.png"}
    train(config)
    assert set(state(run)) >= PICTURES
    assert state(run) == state(fitted)


def stop_in_second_epoch(_, trainer, module, batch, batch_idx: int) -> None:
    if (trainer.current_epoch, batch_idx) == (1, 2):
        os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize(
    ("override", "epochs"), [("callbacks.pictures.every=2", {0, 2}), ("callbacks.pictures=null", set())]
)
def test_how_often_there_are_pictures_changes_nothing_else(compose, fitted, tmp_path, monkeypatch, override, epochs):
    monkeypatch.setattr("hallmark.engine.train.print_result", lambda *_: [])
    config = compose(*PRESET, f"paths.outputs={tmp_path}", override)
    train(config)
    run = Job.of(config).run
    assert run.record.run_id == fitted.record.run_id
    assert {int(path.stem.split("_")[1]) for path in run.pictures.glob("*")} == epochs
    of_run, expected = state(run), state(fitted)
    assert of_run == {name: content for name, content in expected.items() if name not in PICTURES - set(of_run)}


def test_pictures_are_of_the_weights_in_the_size_that_an_eye_can_see(fitted):
    with Image.open(fitted.pictures / "digits_2.png") as image:
        assert image.size == (26 * 19, 17 * 19)
        assert image.getpixel((8 * 19, 0)) == (255, 255, 255)  # between two
    first, last = ((fitted.pictures / f"digits_{epoch}.png").read_bytes() for epoch in (0, 2))
    assert first != last


def test_pictures_go_to_wandb_at_the_step_of_their_epoch(compose, tmp_path, monkeypatch):
    monkeypatch.setattr("hallmark.engine.train.print_result", lambda *_: [])
    monkeypatch.setenv("WANDB_MODE", "offline")
    config = compose(*PRESET, f"paths.outputs={tmp_path}", "logger=wandb", "trainer.max_epochs=2")
    train(config)
    (folder,) = folders(Job.of(config).directory)
    history = Offline.of(folder).history
    steps = [step for step, logged in history.items() if "epochs/digits" in str(logged)]
    assert len(steps) == 2 and all("epochs/static" in str(history[step]) for step in steps)
    assert steps == [step for step, logged in history.items() if "val/kernel_distance" in logged]


def test_a_sweep_takes_the_least_distance_of_its_trials(swept):
    rate = "model.optimizer.lr"
    study = swept("sweep=grid", f"sweep.space={{{rate}: [1.0e-6, 1.0e-2]}}", preset=PRESET)
    values = {trial.params[rate]: trial.value for trial in study.completed}
    assert values[1e-2] < values[1e-6]
    assert study.best().params == {rate: 1e-2}
