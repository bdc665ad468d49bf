"""Shares for further uses show wherever the splits of a run do, and leave runs without them as they are."""

import pandas as pd
import pytest
from tests.report.reading import sections, table

from hallmark.checks import SettingError
from hallmark.engine.job import Job
from hallmark.report.gather import gather

TFIDF = "experiment=sentiment_tfidf"
USES = ["data.split.calibration=0.15", "data.split.meta=0.2"]


@pytest.mark.e2e
def test_further_splits_show_in_start_line_files_record_report_and_predictions(fit, evaluate, capsys):
    run = fit(TFIDF, *USES)
    counts = pd.read_csv(run.directory / "splits.csv")["split"].value_counts()
    assert {"train", "val", "calibration", "meta", "test"} <= set(counts.index)
    listed = ", ".join(f"{name} {counts[name]}" for name in sorted(counts.index))
    assert f"({listed})" in capsys.readouterr().out
    assert {name: entry["n"] for name, entry in run.record.splits.items()} == counts.to_dict()
    assert run.record.leakage["findings"] == 0
    rows = table(sections(gather([run.directory]))["Data and splits"]).rows
    assert {row[0]: int(row[1]) for row in rows} == counts.to_dict()
    evaluate(run, "split=calibration")
    assert len(pd.read_parquet(run.directory / "predictions" / "calibration.parquet")) == counts["calibration"]


@pytest.mark.parametrize("plan", ["holdout", "subjects", "kfold", "evaluation"])
def test_a_share_of_0_leaves_a_run_its_id(compose, plan):
    preset = ["experiment=refseg_loop" if plan == "evaluation" else TFIDF, f"data/split={plan}"]
    without = compose(*preset, "~data.split.meta", *([] if plan == "evaluation" else ["~data.split.calibration"]))
    assert Job.of(compose(*preset)).id == Job.of(without).id != Job.of(compose(*preset, "data.split.meta=0.2")).id


@pytest.mark.e2e
def test_a_share_that_leaves_nothing_to_train_on_names_its_key(fit, tmp_path):
    with pytest.raises(SettingError) as caught:
        fit(TFIDF, "data.split.calibration=0.5", "data.split.meta=0.4")
    assert caught.value.key == "data.split.meta"
    assert not (tmp_path / "outputs").exists()
