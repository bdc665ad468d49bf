"""The whole cascade by one command: the filter, the members, their stack, thresholds; then nothing more to do."""

import json

import numpy as np
import pandas as pd
import pytest

from hallmark.checks import SettingError
from hallmark.engine.config.trust import Trust
from hallmark.engine.finished import FinishedRun
from hallmark.engine.new_files import predict_files
from hallmark.engine.train import train
from hallmark.runs.predictions import read_predictions
from hallmark.runs.run import open_run
from hallmark.statistics import Resampling

SHORT = "'trainer.max_epochs=1'"
_MEMBERS = [
    text for role, width in (("effnet", 9), ("ed", 6))
    for text in (f"parents.{role}.experiment=deepfake_stage1",
                 f"parents.{role}.overrides=[{SHORT},'model.encoder.width={width}']")
]  # fmt: skip
STACK = ["model.members=[effnet,ed]", "model.comparison.n_resamples=100", *_MEMBERS, "~parents.vae"]
LOOSE = ["model.clear_miss=0.3", "model.early_false_alarm=0", "model.stack_false_alarm=0.3", "model.stack_miss=0.3"]


@pytest.fixture
def typed(small_of, tmp_path) -> list[str]:
    """A cascade of small members on few videos, with promises that ten of them can keep."""
    overrides = ",".join(f'"{text}"' for text in STACK)
    return [
        "experiment=deepfake_cascade", *small_of("deepfake_cascade"), *LOOSE,
        f"parents.filter.overrides=[{SHORT}]", f"parents.stack.overrides=[{overrides}]", "analysis=[]",
        "statistics.n_resamples=100",
    ]  # fmt: skip


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("changes", "key"),
    [(["model.clear_miss=0.1"], "model.clear_miss"),
     (["data.sample.calibration=0", "data.split.calibration=0"], "data.split.calibration"),
     (["data.sample.meta=0", "data.split.meta=0"], "data.split.meta")],
)  # fmt: skip
def test_what_cannot_be_calibrated_is_refused_before_a_parent_is_made(compose, typed, tmp_path, changes, key) -> None:
    with pytest.raises(SettingError) as caught:
        train(compose(*typed, *changes))
    assert caught.value.key == key
    assert not list((tmp_path / "outputs").glob("*/*/record.json"))


@pytest.mark.e2e
def test_the_cascade_is_made_from_nothing_and_typed_again_does_nothing(compose, typed, tmp_path, capsys) -> None:
    command = compose(*typed)
    value = train(command)
    run = open_run(tmp_path / "outputs" / "deepfake_cascade")
    runs = {path.parent.name for path in (tmp_path / "outputs").glob("*/*/record.json")}
    assert len(runs) == 5  # the filter, two members, the stack, the cascade
    assert run.record.leakage["findings"] == 0 and run.record.fitted_on == ["train", "val", "calibration"]
    table = read_predictions(run.directory / "predictions" / "val.parquet")
    assert set(table["task"]) == {"main", "video"} and table.attrs["classes"]["video"] == ["real", "fake"]
    metrics = json.loads((run.directory / "metrics.json").read_text())["val"]
    assert metrics["main"]["auroc"] == value and {"eer", "tpr_at_1pct_fpr"} <= set(metrics["video"])
    assert pd.read_csv(run.directory / "thresholds.csv")["n"].tolist() == [10, 10, 10]
    assert (open_run(tmp_path / "outputs" / "deepfake_stack").directory / "stack.csv").exists()
    videos = table[table["task"] == "video"]
    trust = Trust.of(command)
    frames = FinishedRun(run, 0, trust=trust).data.folder / "frames"
    answers = predict_files(
        run, [frames / video for video in videos["id"]], trust=trust, resampling=Resampling(0.9, 20, 0), progress=False
    )
    assert answers.table["id"].tolist() == [str(frames / video) for video in videos["id"]]
    assert answers.table["prediction"].tolist() == videos["info_verdict"].tolist()
    np.testing.assert_allclose(
        answers.table["probabilities"].tolist(), videos["probabilities"].tolist(), rtol=0, atol=1e-6
    )
    assert set(answers.table["info_seen"]) == {"val"} and answers.unanswered.empty
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "outputs").rglob("*.parquet")}
    capsys.readouterr()
    assert train(command) == value
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "outputs").rglob("*.parquet")} == before
    assert "starts" not in capsys.readouterr().out
