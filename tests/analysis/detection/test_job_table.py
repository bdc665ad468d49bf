"""Detectors side by side."""

import numpy as np
import pandas as pd
import pytest

from hallmark.analysis.detection.job_table import DetectionTable
from hallmark.checks import SettingError
from hallmark.statistics import Resampling, table_metrics

SETTINGS = Resampling(0.9, 100, 3)


@pytest.fixture
def jobs(table) -> dict[str, pd.DataFrame]:
    """A stack that is right, a filter that is right about every other video, both of 40 frames of 20 videos."""

    def detector(errors: int) -> pd.DataFrame:
        target = np.repeat(["real", "fake"], 20)
        fake = np.where(target == "fake", 0.8, 0.2) + np.linspace(-0.05, 0.05, 40)
        wrong = np.arange(40) % 4 < errors
        fake = np.where(wrong, 1 - fake, fake)
        groups = [str(row // 2) for row in range(40)]
        settings = {"classes": ["real", "fake"], "groups": groups}
        frames = table(list(target), np.column_stack([1 - fake, fake]), **settings)
        videos = table(list(target), np.column_stack([1 - fake, fake]), task="video", **settings).iloc[::2]
        both = pd.concat([frames, videos], ignore_index=True)
        both.attrs = {"classes": {"main": ["real", "fake"], "video": ["real", "fake"]}, "slices": {}}
        return both

    return {"stack": detector(0), "filter": detector(2)}


def test_each_job_has_its_metrics_and_stands_against_the_baseline(jobs, numbers_are_defined) -> None:
    rows = DetectionTable("stack", task="video", statistics=SETTINGS).table(jobs).set_index("job")
    metrics = {job: table_metrics(table) for job, table in jobs.items()}
    for job in jobs:
        for task in ("main", "video"):
            assert rows.loc[job, f"{task}/auroc"] == pytest.approx(metrics[job][task]["auroc"])
            assert rows.loc[job, f"{task}/eer"] == pytest.approx(metrics[job][task]["eer"])
    difference = metrics["filter"]["video"]["auroc"] - metrics["stack"]["video"]["auroc"]
    assert rows.loc["filter", "difference"] == pytest.approx(difference) and difference < 0
    assert rows.loc["filter", "difference_high"] < 0 and rows.loc["filter", "verdict"] == "stack is better than filter"
    assert np.isnan(rows.loc["stack", "difference"]) and rows.loc["stack", "verdict"] == ""


def test_readers_get_text_and_a_figure(jobs, tmp_path) -> None:
    analysis = DetectionTable("stack", task="video", statistics=SETTINGS)
    rows = analysis.timed(analysis.table(jobs), {"stack": 3.0, "filter": 1.0})
    summary = analysis.summary(rows)
    assert list(summary)[:3] == ["job", "frame AUROC", "video AUROC"] and summary["seconds"].tolist() == ["3", "1"]
    assert analysis.markdown(rows).count("| filter |") == 1
    analysis.figure(rows).savefig(tmp_path / "detectors.png")


def test_a_baseline_or_task_that_is_not_there_is_named(jobs) -> None:
    with pytest.raises(SettingError) as caught:
        DetectionTable("mean", task="video", statistics=SETTINGS).check_jobs(list(jobs))
    assert caught.value.key == "baseline"
    with pytest.raises(ValueError, match="job stack: no task clip"):
        DetectionTable("stack", task="clip", statistics=SETTINGS).table(jobs)
