"""The table of frames and videos."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from hallmark.runs.predictions import read_predictions, write_predictions
from hallmark.statistics.tables import table_metrics
from hallmark.systems.deepfake.tables import detection_table

FAKE = [0.9, 0.2, 0.4, 0.1, 0.7, 0.3]
VIDEOS = ["b/1", "a/1", "b/1", "a/1", "c/1", "a/1"]


@pytest.fixture
def data() -> Any:
    targets = {"a/1": "real", "b/1": "fake", "c/1": None}
    methods = {"a/1": "real", "b/1": "easy", "c/1": "real"}
    rows = pd.DataFrame({
        "id": [f"{video}/{frame}" for frame, video in enumerate(VIDEOS)], "video": VIDEOS,
        "group": [f"person {video[0]}" for video in VIDEOS], "target": [targets[video] for video in VIDEOS],
        "slice_method": [methods[video] for video in VIDEOS], "info_video": VIDEOS,
        "info_path": [f"{frame}.png" for frame in range(6)],
    })  # fmt: skip
    classes, slices = {"main": ["real", "fake"]}, {"slice_method": ["real", "easy", "hard"]}
    return SimpleNamespace(classes=classes, rows=lambda split: rows, slice_categories=lambda: slices)


def outputs() -> list[dict[str, Any]]:
    probabilities = torch.tensor([[1 - p, p] for p in FAKE], dtype=torch.float64)
    return [{"probabilities": {"main": part}} for part in probabilities.split(4)]


def test_videos_come_after_their_frames_with_what_these_share(data) -> None:
    table = detection_table(outputs(), data, "val", "mean")
    frames, videos = table[table["task"] == "main"], table[table["task"] == "video"].set_index("id")
    assert frames["id"].tolist() == data.rows("val")["id"].tolist()
    assert videos.index.tolist() == ["b/1", "a/1", "c/1"]
    np.testing.assert_allclose(videos["probabilities"].tolist(), [[0.35, 0.65], [0.8, 0.2], [0.3, 0.7]])
    assert videos["prediction"].tolist() == ["fake", "real", "fake"]
    np.testing.assert_allclose(videos["confidence"], [0.65, 0.8, 0.7])
    assert videos["score"].tolist()[:2] == [1, 1] and np.isnan(videos.loc["c/1", "score"])
    assert videos["group"].tolist() == ["person b", "person a", "person c"]
    assert videos["slice_method"].tolist() == ["easy", "real", "real"]
    assert videos["info_video"].tolist() == ["b/1", "a/1", "c/1"] and videos["info_frames"].tolist() == [2, 3, 1]
    assert videos["info_path"].isna().all()  # frames of one video differ in it


def test_of_a_video_the_splits_are_named_in_which_the_run_has_any_of_its_frames(data) -> None:
    rows = data.rows("val")
    rows["info_seen"] = ["", "train", "", "", "", ""]
    videos = detection_table(outputs(), data, "val", "mean").query("task == 'video'").set_index("id")
    assert videos["info_seen"].to_dict() == {"b/1": "", "a/1": "train", "c/1": ""}
    rows["info_seen"] = ["val", "train", "", "train", "", "val"]
    videos = detection_table(outputs(), data, "val", "mean").query("task == 'video'").set_index("id")
    assert videos["info_seen"].to_dict() == {"b/1": "val", "a/1": "train, val", "c/1": ""}


def test_pooling_moves_the_videos_alone(data) -> None:
    mean, top = (detection_table(outputs(), data, "val", pooling) for pooling in ("mean", "top_1_mean"))
    is_video = mean["task"] == "video"
    pd.testing.assert_frame_equal(mean[~is_video], top[~is_video])
    np.testing.assert_allclose([row[1] for row in top.loc[is_video, "probabilities"]], [0.9, 0.3, 0.7])


def test_metrics_are_of_both_and_the_table_is_stored_as_every_other(data, tmp_path) -> None:
    table = detection_table(outputs(), data, "val", "mean")
    write_predictions(tmp_path / "val.parquet", table)
    metrics = table_metrics(read_predictions(tmp_path / "val.parquet"))
    assert {task: values["n"] for task, values in metrics.items()} == {"main": 5, "video": 2}
    assert metrics["video"]["auroc"] == 1 and metrics["main"]["auroc"] == 1
    assert metrics["main"]["accuracy"] == pytest.approx(4 / 5)
