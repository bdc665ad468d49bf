"""What is computed again of a finished run."""

import shutil

import pytest

from hallmark.engine.predict import add_missing_metrics
from hallmark.storage.files import write_json

pytestmark = pytest.mark.e2e


def test_metrics_of_stored_tables_are_computed_where_they_are_missing(fitted):
    run = fitted("experiment=sentiment_tfidf")
    expected, tables = run.metrics, run.directory / "predictions"
    shutil.copy(tables / "val.parquet", tables / "held_out.parquet")
    shutil.copy(tables / "val.parquet", tables / ".test.1a2b3c4d.parquet")  # of a process that was killed
    write_json(run.directory / "metrics.json", {})
    assert add_missing_metrics(run) == ["held_out", "val"]
    assert run.metrics == {"held_out": expected["val"], "val": expected["val"]}
    assert add_missing_metrics(run) == []


def test_metrics_that_are_there_stay(fitted):
    run = fitted("experiment=sentiment_tfidf")
    write_json(run.directory / "metrics.json", {"val": {"main": {"accuracy": 0.5}}})
    assert add_missing_metrics(run) == [] and run.metrics == {"val": {"main": {"accuracy": 0.5}}}


def test_every_command_on_a_finished_run_adds_the_metrics_that_are_missing(fitted, fit, evaluate):
    tfidf = "experiment=sentiment_tfidf"
    run = fitted(tfidf)
    evaluate(run, "split=test")
    expected = run.metrics
    write_json(run.directory / "metrics.json", {"val": expected["val"]})
    evaluate(run, "split=val")
    assert run.metrics == expected
    write_json(run.directory / "metrics.json", {})
    assert fit(tfidf).metrics == expected
