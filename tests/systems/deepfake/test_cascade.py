"""The cascade as a module: who decides, what is measured, what runs in production."""

import re
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import logit
from tests.systems.deepfake.stubs import CLASSES, FRAMES, Detector, Frames

from hallmark.checks import SettingError
from hallmark.runs.metrics import MAIN
from hallmark.runs.predictions import write_predictions
from hallmark.statistics import Resampling, table_metrics
from hallmark.systems.deepfake.cascade import DeepfakeCascade
from hallmark.systems.deepfake.decisions import fit_platt
from hallmark.systems.deepfake.pooling import pool

INPUTS = ["filter.image", "stack.image"]
RESAMPLING = Resampling(0.9, 200, 0)
ENDS = ["info_low", "info_high"]


def cascade(**changes: Any) -> DeepfakeCascade:
    settings = {
        "classes": CLASSES, "poolings": ["mean", "top_2_mean", "confident_mean"], "clear_miss": 0.05,
        "early_false_alarm": 0.05, "stack_false_alarm": 0.05, "stack_miss": 0.05, "risk": 0.05,
    }  # fmt: skip
    return DeepfakeCascade(**{**settings, **changes})


@pytest.fixture(scope="module")
def data() -> Frames:
    return Frames(calibration=240, val=200)


def parts(data: Frames) -> dict[str, Detector]:
    return {"filter": Detector(data.answers(1.0, 0)), "stack": Detector(data.answers(1.4, 1))}


def fitted(data: Frames, directory, **changes: Any) -> DeepfakeCascade:
    module = cascade(**changes)
    module.attach_parents(parts(data))
    module.attach_run(directory)

    def predict(split: str) -> list[Any]:
        assert split in ("val", "calibration"), "rows that others are fitted on, or measured"
        return outputs(module, data, split)

    module.calibrate(predict, data)
    return module


def outputs(module: DeepfakeCascade, data: Frames, split: str) -> list[dict[str, Any]]:
    return [module.predict_step(batch, 0) for batch in data.batches(split, INPUTS)]


@pytest.fixture(scope="module")
def module(data, tmp_path_factory) -> DeepfakeCascade:
    return fitted(data, tmp_path_factory.mktemp("cascade"))


@pytest.fixture(scope="module")
def table(module, data) -> pd.DataFrame:
    return module.table(outputs(module, data, "val"), data, "val")


def test_its_table_has_frames_and_videos_with_the_scores_of_both_parts(table, data, tmp_path) -> None:
    write_predictions(tmp_path / "val.parquet", table)
    frames, videos = table[table["task"] == MAIN], table[table["task"] == "video"]
    rows = data.rows("val")["row"]
    np.testing.assert_allclose(frames["info_filter"], parts(data)["filter"].fake[rows])
    np.testing.assert_allclose(frames["info_stack"], parts(data)["stack"].fake[rows])
    assert len(videos) == 200 and set(videos["info_decided_by"]) == {"filter", "stack"}
    assert set(videos["info_verdict"]) == {"real", "fake", "undecided"} and frames["info_verdict"].isna().all()
    by_video = dict(zip(videos["id"], videos["info_decided_by"], strict=True))
    assert (frames["info_decided_by"] == frames["info_video"].map(by_video)).all()


def test_the_score_is_the_logit_of_the_part_that_decides_calibrated_on_calibration_rows(module, table, data) -> None:
    calibration = data.rows("calibration")
    codes, names = pd.factorize(calibration["video"])
    fake = (calibration["target"] == "fake").to_numpy()
    for part in ("filter", "stack"):
        frames = parts(data)[part].fake[calibration["row"]]
        videos = pool(frames, codes, len(names), module.pooling[part])
        of_frames, of_videos = fit_platt(logit(frames), fake), fit_platt(logit(videos), fake[::FRAMES])
        for task, platt in ((MAIN, of_frames), ("video", of_videos)):
            rows = table[(table["task"] == task) & (table["info_decided_by"] == part)]
            score = logit(np.array(rows["probabilities"].tolist())[:, 1])
            np.testing.assert_allclose(score, platt.logits(logit(rows[f"info_{part}"].to_numpy(float))), atol=1e-5)


def test_predictions_of_videos_are_their_verdicts(table) -> None:
    videos = table[table["task"] == "video"]
    assert ((videos["prediction"] == "fake") == (videos["info_verdict"] == "fake")).all()
    assert (videos["score"] == (videos["prediction"] == videos["target"])).all()
    fake = np.array(videos["probabilities"].tolist())[:, 1]
    np.testing.assert_allclose(videos["confidence"], np.where(videos["prediction"] == "fake", fake, 1 - fake))


def test_it_is_better_than_its_filter_and_decides_some_without_the_stack(table) -> None:
    videos = table[table["task"] == "video"].reset_index(drop=True)
    of_filter = videos.assign(probabilities=[[1 - p, p] for p in videos["info_filter"]])
    of_filter.attrs = table.attrs
    assert table_metrics(videos)["video"]["auroc"] > table_metrics(of_filter)["video"]["auroc"]
    assert 0.1 < (videos["info_decided_by"] == "filter").mean() < 0.9
    cleared = (videos["info_decided_by"] == "filter") & (videos["info_verdict"] == "real")
    assert cleared[videos["target"] == "fake"].mean() <= 0.05


def asked_anew(module: DeepfakeCascade, rows: pd.DataFrame, data: Frames) -> pd.DataFrame:
    """The table of rows of `data` as new files; what they are predicted by comes in batches of 30."""
    numbers = torch.tensor(rows["row"].tolist())

    def predict(part: Any, positions: Sequence[int] | None) -> list[Any]:
        chosen = numbers if positions is None else numbers[list(positions)]
        return [part.predict_step({"image": batch}, 0) for batch in chosen.split(30)]

    new = SimpleNamespace(**vars(data), rows=lambda split: rows, slice_categories=data.slice_categories)
    return module.predict_new(predict, new)


def test_of_new_files_the_stack_sees_the_videos_that_it_decides_alone_and_the_answers_are_the_same(
    module, table, data
) -> None:
    rows = data.rows("val")
    mixed = rows.iloc[np.argsort(np.arange(len(rows)) % FRAMES, kind="stable")].reset_index(drop=True)
    stack = module.parents["stack"]
    before = stack.seen
    new = asked_anew(module, mixed, data)
    videos = table[table["task"] == "video"]
    assert stack.seen - before == FRAMES * (videos["info_decided_by"] == "stack").sum() > 0
    expected, answers = (
        module.answers(each, RESAMPLING).set_index("id").drop(columns="split") for each in (table, new)
    )
    pd.testing.assert_frame_equal(answers.loc[expected.index, expected.columns], expected)
    by_stack = answers["info_decided_by"] == "stack"
    assert answers["info_stack"].notna().equals(by_stack)


def test_where_the_filter_decides_every_video_the_stack_is_not_asked(module, table, data) -> None:
    videos, rows, stack = table[table["task"] == "video"], data.rows("val"), module.parents["stack"]
    cleared = rows["video"].isin(videos.loc[videos["info_decided_by"] == "filter", "id"])
    before = stack.seen
    new = asked_anew(module, rows[cleared].reset_index(drop=True), data)
    assert set(new["info_decided_by"]) == {"filter"} and stack.seen == before


def test_each_part_has_the_pooling_with_the_highest_auroc_on_validation_rows(data, tmp_path) -> None:
    peaks = data.answers(0.0, 5)
    first = np.arange(len(peaks)) % FRAMES == 0
    peaks = np.where(first & data.fake, 0.99, np.minimum(peaks, 0.98))  # a fake shows in one frame alone
    module = cascade(poolings=["mean", "top_1_mean"])
    module.attach_parents({"filter": Detector(peaks), "stack": parts(data)["stack"]})
    module.attach_run(tmp_path)
    module.calibrate(lambda split: outputs(module, data, split), data)
    chosen = pd.read_csv(tmp_path / "poolings.csv").set_index("pooling")
    assert module.pooling["filter"] == "top_1_mean" and chosen.loc["top_1_mean", "filter"] == 1
    assert module.pooling["stack"] == chosen["stack"].idxmax()


def test_of_one_pooling_nothing_is_chosen(tmp_path) -> None:
    data = Frames(calibration=240, val=20)
    assert fitted(data, tmp_path, poolings=["mean"]).pooling == {"filter": "mean", "stack": "mean"}
    assert not (tmp_path / "poolings.csv").exists()


def test_its_parents_may_be_fitted_on_meta_rows_of_which_it_reads_none() -> None:
    assert DeepfakeCascade.unread_splits({}) == {"meta"}


def test_the_thresholds_and_what_they_promise_stand_beside_the_run(data, tmp_path) -> None:
    module = fitted(data, tmp_path)
    written = pd.read_csv(tmp_path / "thresholds.csv").set_index("name")
    assert written["rate"].to_dict() == {"clear": 0.05, "early_fake": 0.05, "fake": 0.05, "real": 0.05}
    assert (written["n"] == 120).all() and (written["violation"] <= 0.05).all()
    again = cascade()
    again.attach_parents(parts(data))
    again.attach_run(tmp_path)
    assert again.thresholds == module.thresholds
    tables = (each.table(outputs(each, data, "val"), data, "val") for each in (module, again))
    pd.testing.assert_frame_equal(*tables)


@pytest.mark.parametrize(
    ("key", "rate", "needed"),
    [("clear_miss", 0.02, 149), ("stack_miss", 0.01, 299), ("early_false_alarm", 0.02, 149),
     ("stack_false_alarm", 0.02, 149)],
)  # fmt: skip
def test_too_few_calibration_videos_are_refused_by_the_rate_that_needs_more(data, key, rate, needed) -> None:
    with pytest.raises(SettingError, match=rf"\b{needed} (fake|real) videos .* there are 120\b") as caught:
        cascade(**{key: rate}).check_data(data)
    assert caught.value.key == f"model.{key}" and ("miss rate" in str(caught.value)) == key.endswith("miss")
    least = re.search(r"expected (\S+) or more", str(caught.value))[1]
    cascade(**{key: float(least)}).check_data(data)
    with pytest.raises(SettingError):
        cascade(**{key: float(least) - 0.001}).check_data(data)


def test_without_an_early_exit_for_fakes_it_needs_no_videos(data) -> None:
    with pytest.raises(SettingError, match="or 0 for none"):
        cascade(early_false_alarm=0.001).check_data(data)
    cascade(early_false_alarm=0).check_data(data)


def test_no_calibration_rows_and_validation_rows_of_one_class_are_refused(data) -> None:
    with pytest.raises(SettingError) as caught:
        cascade().check_data(Frames(val=40))
    assert caught.value.key == "data.split.calibration"
    of_one = Frames(calibration=240, val=40)
    of_one.samples = of_one.samples[(of_one.samples["split"] != "val") | ~of_one.fake]
    with pytest.raises(SettingError) as caught:
        cascade().check_data(of_one)
    assert caught.value.key == "model.poolings"
    cascade(poolings=["mean"]).check_data(of_one)


def test_calibration_videos_of_a_class_that_share_groups_are_warned_of_with_their_numbers() -> None:
    data = Frames(calibration=240, val=4)
    assert cascade().data_warnings(data) == []  # a real video and a fake one of it are a group
    data.samples.loc[data.fake, "group"] = "one person"
    (warning,) = cascade().data_warnings(data)
    assert "120 fake" in warning and "1 group" in warning


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"poolings": []}, "poolings"), ({"poolings": ["sum"]}, "poolings"), ({"clear_miss": 0}, "clear_miss"),
        ({"stack_miss": 1}, "stack_miss"), ({"early_false_alarm": -0.1}, "early_false_alarm"), ({"risk": 1}, "risk"),
    ],
)  # fmt: skip
def test_nonsense_names_its_key(changes, key) -> None:
    with pytest.raises(SettingError) as caught:
        cascade(**changes)
    assert caught.value.key == key


def test_answers_give_each_video_an_interval_over_its_frames_and_a_reason(module, table) -> None:
    answers = module.answers(table, RESAMPLING)
    videos = table[table["task"] == "video"]
    assert answers["id"].tolist() == videos["id"].tolist()
    score = np.array(answers["probabilities"].tolist())[:, 1]
    # A percentile of means of resampled frames may lie beside the score of a few frames by no more than rounding.
    assert (answers["info_low"] <= answers["info_high"]).all()
    assert np.mean((answers["info_low"] <= score + 1e-9) & (score <= answers["info_high"] + 1e-9)) > 0.9
    of_filter = answers[answers["info_decided_by"] == "filter"]
    assert of_filter["info_reason"].str.contains("the filter's").all()
    undecided = answers[answers["prediction"] == "undecided"]
    assert undecided["info_reason"].str.contains("no promise").all()


def test_the_prediction_of_an_answer_is_the_verdict(module, table) -> None:
    verdicts = table.loc[table["task"] == "video", "info_verdict"]
    assert set(verdicts) == {"real", "fake", "undecided"}
    assert module.answers(table, RESAMPLING)["prediction"].tolist() == verdicts.tolist()


def test_the_interval_of_a_video_is_its_own_whatever_stands_beside_it(module, table) -> None:
    first = table["info_video"].iloc[0]
    alone = table[(table["info_video"] == first) & table["task"].isin([MAIN, "video"])]
    alone.attrs = table.attrs
    together = module.answers(table, RESAMPLING).set_index("id").loc[[first], ENDS]
    pd.testing.assert_frame_equal(module.answers(alone, RESAMPLING).set_index("id")[ENDS], together)


def test_a_video_of_one_frame_has_no_interval(module, table) -> None:
    first = table["info_video"].iloc[0]
    of_video = table[(table["info_video"] == first) & (table["task"] == MAIN)].head(1)
    video = table[(table["id"] == first) & (table["task"] == "video")]
    alone = pd.concat([of_video, video])
    alone.attrs = table.attrs
    assert module.answers(alone, RESAMPLING)[ENDS].isna().all(axis=None)
