"""Loggers beside history.csv: one W&B run a job with all that the run leaves, TensorBoard events."""

import json
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import wandb
from PIL import Image
from tests.engine.offline import Offline, folders

from hallmark.checks import Interrupted
from hallmark.data.images import read_image
from hallmark.engine.config.trust import NO_TRUST
from hallmark.engine.loggers.content import PICTURES, bad_case_rows
from hallmark.engine.loggers.tracking import track_release
from hallmark.learning.callbacks.training import History
from hallmark.runs.predictions import read_predictions
from hallmark.runs.record import RunState
from hallmark.runs.run import Run
from hallmark.statistics import Resampling
from hallmark.statistics.bootstrap import metric_interval

pytestmark = pytest.mark.e2e

TEXT = ["experiment=sentiment_text", "trainer.max_epochs=2", "trainer.limit_train_batches=2", "logger=wandb"]
TFIDF = ["experiment=sentiment_tfidf", "logger=wandb"]


def last(run: Run) -> Offline:
    return Offline.of(folders(run.directory)[-1])


def curve(logged: Offline) -> dict[int, float]:
    """The monitored metric by global step."""
    return {step: values["val/macro_f1"] for step, values in logged.history.items() if "val/macro_f1" in values}


def picture_of(logged: Offline, name: str) -> str:
    logged_values = [values for values in logged.history.values() if f"{name}/path" in values]
    return logged_values[-1][f"{name}/path"]


def stop_in_second_epoch(_, trainer, *__) -> None:
    if trainer.current_epoch == 1:
        signal.raise_signal(signal.SIGTERM)


def fail(*_) -> None:
    raise RuntimeError("a bad moment")


def test_tensorboard_writes_events(fit):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = fit("experiment=sentiment_text", "debug=fast", "logger=tensorboard")
    events = EventAccumulator(str(run.directory / "tensorboard")).Reload()
    logged = events.Scalars("val/macro_f1")
    assert logged[-1].value == pytest.approx(run.record.selected["value"])


def test_a_job_is_one_wandb_run_with_its_configuration_curves_and_results(fit, capsys):
    run = fit(*TEXT, "logger.wandb.group=winter", "logger.wandb.tags=[paper,draft]")
    (folder,) = folders(run.directory)
    logged = Offline.of(folder)
    assert f"wandb sync {folder}\n" in capsys.readouterr().out
    assert logged.run.run_id.startswith(run.record.run_id)
    assert logged.run.display_name == f"sentiment_text-{run.record.run_id}"
    assert (logged.run.project, logged.run.run_group, logged.run.job_type) == ("hallmark", "winter", "train")
    assert list(logged.run.tags) == ["paper", "draft"]
    assert logged.config["data"]["batch_size"] == 16 and logged.config["name"] == "sentiment_text"
    assert logged.exit_code == 0 and not logged.each("preempting")
    history = pd.read_csv(run.directory / "history.csv")["val/macro_f1"].tolist()
    assert curve(logged) == pytest.approx({1: history[0], 3: history[1]})


def test_results_stand_with_their_intervals_in_the_summary_and_figures_are_pictures(fit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = fit(*TFIDF)
    assert {path.name for path in tmp_path.iterdir()} == {"outputs"}  # nothing lies where the command was typed
    logged = last(run)
    summary = logged.summary
    for name, value in run.metrics["val"]["main"].items():
        assert summary[f"final/val/main/{name}"] == value
    rows = read_predictions(run.directory / "predictions" / "val.parquet")
    interval = metric_interval(rows, "macro_f1", resampling=Resampling(0.95, 2000, 0))
    ends = [summary[f"final/val/main/macro_f1/{end}"] for end in ("low", "high")]
    assert ends == pytest.approx([interval.low, interval.high])
    assert summary["selected/value"] == run.record.selected["value"]
    content = logged.media(picture_of(logged, "figures/learning_curves"))
    assert content == (run.directory / "figures" / "learning_curves.png").read_bytes()


def test_each_job_of_a_grid_is_a_run_of_its_own_and_none_stays_open(fit):
    runs = [fit(*TFIDF, f"seed={seed}") for seed in (0, 1)]
    assert len({last(run).run.run_id for run in runs}) == 2
    assert [last(run).config["seed"] for run in runs] == [0, 1]
    assert wandb.run is None


def test_an_interrupted_run_says_so_and_goes_on_under_its_id(fit, run_of, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(History, "on_train_batch_start", stop_in_second_epoch)
        with pytest.raises(Interrupted):
            fit(*TEXT)
    stopped = last(run_of(*TEXT))
    assert stopped.exit_code == 143 and len(stopped.each("preempting")) == 1
    run = fit(*TEXT)
    assert run.record.resumed == 1
    first, second = (Offline.of(folder) for folder in folders(run.directory))
    assert first.run.run_id == second.run.run_id
    assert second.exit_code == 0
    history = pd.read_csv(run.directory / "history.csv")["val/macro_f1"].tolist()
    assert curve(first) == {1: pytest.approx(history[0])}
    assert curve(second) == {3: pytest.approx(history[1])}


def test_a_failed_run_is_failed_and_the_next_attempt_is_another_run(fit, run_of, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(History, "on_train_epoch_end", fail)
        with pytest.raises(RuntimeError, match="a bad moment"):
            fit(*TEXT)
    failed = last(run_of(*TEXT))
    assert failed.exit_code == 1 and not failed.each("preempting")
    assert not any(key.startswith("final/") for key in failed.summary)
    record = run_of(*TEXT).record
    record.started = "2001-02-03T04:05:06+00:00"
    assert failed.run.run_id != f"{record.run_id}-20010203040506"
    monkeypatch.setattr("hallmark.engine.train.datetime", Clock)
    assert last(fit(*TEXT)).run.run_id == f"{record.run_id}-20010203040506"


class Clock:
    """A clock that stands."""

    @staticmethod
    def now(_) -> pd.Timestamp:
        return pd.Timestamp("2001-02-03T04:05:06+00:00")


def test_a_leak_fails_the_wandb_run_too(fit, run_of, monkeypatch):
    monkeypatch.setattr("hallmark.data.module.DataModule.check", fail)
    with pytest.raises(RuntimeError):
        fit(*TFIDF)
    assert last(run_of(*TFIDF)).exit_code == 1


def test_a_dashboard_that_breaks_costs_no_result(fit, monkeypatch, caplog):
    monkeypatch.setattr("hallmark.engine.loggers.wandb.final_metrics", fail)
    run = fit(*TFIDF)
    assert run.record.state is RunState.DONE
    assert "W&B: RuntimeError: a bad moment" in caplog.text


def test_an_evaluation_adds_to_the_run_of_the_training(fit, evaluate):
    run = fit(*TFIDF)
    trained = last(run)
    evaluate(run, "split=test", "analysis=[bad_cases,slices]", "analysis.bad_cases.source=val")
    assert len(folders(run.directory)) == 2
    logged = last(run)
    assert logged.run.run_id == trained.run.run_id
    assert (logged.run.job_type, list(logged.run.tags), logged.exit_code) == ("", [], 0)
    assert min(logged.history) > max(trained.history)
    summary = logged.summary
    assert summary["final/test/main/accuracy"] == run.metrics["test"]["main"]["accuracy"]
    assert summary["final/test/main/accuracy/low"] <= summary["final/test/main/accuracy"]
    for name in ("bad_cases", "slices"):
        content = logged.media(picture_of(logged, f"figures/{name}"))
        assert content == (run.directory / "figures" / f"{name}.png").read_bytes()


def test_the_bad_cases_are_a_table_with_pictures(fit, evaluate):
    run = fit(*TFIDF)
    evaluate(run, "analysis=[bad_cases]", "analysis.bad_cases.source=val")
    logged = last(run)
    (artifact,) = logged.each("artifact")
    parts = {part.path: Path(part.local_path) for part in artifact.manifest.contents}
    assert artifact.type == "run_table" and all(path.is_relative_to(run.directory) for path in parts.values())
    table = json.loads(parts["bad_cases.table.json"].read_text())
    cases = pd.read_csv(run.directory / "analysis" / "bad_cases.csv", dtype={"guid": str})
    assert table["columns"] == ["picture", *cases.columns]
    assert [row[1] for row in table["data"]] == cases["guid"].tolist()
    assert len(table["data"]) > 0
    for row, path in zip(table["data"], cases["path"], strict=True):
        assert (np.array(Image.open(parts[row[0]["path"]])) == read_image(Path(path))).all()


def test_a_release_tags_the_run_and_keeps_the_archive_for_the_upload(fit, tmp_path):
    run = fit(*TFIDF, "logger.wandb.tags=[paper]")
    archive = tmp_path / "tfidf.tar.gz"
    archive.write_bytes(b"weights and papers")
    track_release(run, archive, NO_TRUST)
    archive.unlink()
    logged = last(run)
    assert logged.run.run_id == Offline.of(folders(run.directory)[0]).run.run_id
    assert list(logged.run.tags) == ["paper", "released"]
    (artifact,) = logged.each("artifact")
    assert (artifact.type, artifact.name) == ("model", f"sentiment_tfidf-{run.record.run_id}")
    assert set(artifact.aliases) == {"released", "latest"}
    metadata = json.loads(artifact.metadata)
    assert metadata["metrics"] == run.metrics and metadata["data"] == run.record.provenance.data
    (content,) = artifact.manifest.contents
    assert content.path == "tfidf.tar.gz"
    assert Path(content.local_path).read_bytes() == b"weights and papers"
    assert Path(content.local_path).is_relative_to(run.directory)


def test_a_run_without_wandb_is_released_without_it(fit, tmp_path):
    run = fit("experiment=sentiment_tfidf")
    track_release(run, tmp_path / "absent.tar.gz", NO_TRUST)
    assert not (run.directory / "wandb").exists()


def test_only_the_worst_cases_have_pictures(tmp_path):
    picture = tmp_path / "a.png"
    Image.new("RGB", (600, 300)).save(picture)
    rows = pd.DataFrame({"guid": range(PICTURES + 2), "path": [str(picture), "gone.png"] + [str(picture)] * PICTURES})
    rows.to_csv(tmp_path / "bad_cases.csv", index=False)
    columns, cells = bad_case_rows(tmp_path / "bad_cases.csv")
    assert columns == ["picture", "guid", "path"]
    assert cells[0][0].size == (256, 128)
    assert [row[0] is not None for row in cells] == [True, False, *[True] * (PICTURES - 2), False, False]
    assert cells[3][1] == "3"


@pytest.mark.parametrize(
    ("key", "chosen", "mode"),
    [
        (None, None, "offline"),
        ("0" * 40, None, "online"),
        ("0" * 40, "offline", "offline"),
        (None, "disabled", "disabled"),
    ],
)
def test_offline_without_a_key_unless_told_otherwise(fit, run_of, monkeypatch, key, chosen, mode):
    opened = {}

    def refuse(**arguments) -> None:
        opened.update(arguments)
        raise wandb.errors.CommError("no answer")

    for name, value in (("WANDB_API_KEY", key), ("WANDB_MODE", chosen)):
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(wandb, "init", refuse)
    with pytest.raises(ValueError, match=r"logger\.wandb: no answer; WANDB_MODE=offline logs without the service"):
        fit(*TFIDF)
    assert opened["settings"].mode == mode
    assert opened["dir"] == run_of(*TFIDF).directory.resolve()


def test_wandb_that_is_not_installed(fit, monkeypatch):
    monkeypatch.setattr("hallmark.engine.loggers.wandb.find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r"pip install 'hallmark-experiments\[wandb\]'"):
        fit(*TFIDF)
