"""What a cascade costs and loses, against what its thresholds say and against sums by hand."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from tests.systems.deepfake.stubs import CLASSES, Detector, Frames

from hallmark.analysis.detection.cascade import CascadeCost
from hallmark.checks import SettingError
from hallmark.statistics import Resampling
from hallmark.systems.deepfake.cascade import DeepfakeCascade


class Timed(Detector):
    """It takes so many seconds of a clock a frame."""

    clock = 0.0

    def __init__(self, fake: np.ndarray, seconds: float) -> None:
        super().__init__(fake)
        self.seconds = seconds

    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Any]:
        Timed.clock += self.seconds * len(batch["image"])
        return super().predict_step(batch, batch_idx)


def analysis(**changes: Any) -> CascadeCost:
    settings = {"method": "method", "kinds": {"all forgeries": ["easy", "hard"]}, "prevalence": 0.01,
                "batch_sizes": [1, 4], "repeats": 3, "points": 12,
                "statistics": Resampling(0.9, 100, 0)}  # fmt: skip
    return CascadeCost(**{**settings, **changes})


@pytest.fixture(scope="module")
def made() -> tuple[Frames, DeepfakeCascade, pd.DataFrame]:
    """Data, a fitted cascade and its predictions of `val`, of which half the fakes are hard."""
    data = Frames(calibration=240, val=160)
    hard = data.samples["video"].str.endswith(("3", "7")) & data.fake
    data.samples.loc[hard, "slice_method"] = "hard"
    module = DeepfakeCascade(
        classes=CLASSES, poolings=["mean"], clear_miss=0.05, early_false_alarm=0.05, stack_false_alarm=0.05,
        stack_miss=0.05, risk=0.05,
    )  # fmt: skip
    filter_answers = np.where(hard, data.answers(0.0, 3), data.answers(1.5, 0))
    module.attach_parents({"filter": Timed(filter_answers, 0.002), "stack": Timed(data.answers(1.6, 1), 0.03)})

    def predict(split: str) -> list[Any]:
        return [module.predict_step(batch, 0) for batch in data.batches(split, ["filter.image", "stack.image"], 640)]

    module.load(module.fit(predict, data))
    return data, module, module.table(predict("val"), data, "val")


@pytest.fixture
def written(made, make_state, read_csv, blank_figures, monkeypatch):
    monkeypatch.setattr("hallmark.analysis.detection.cascade.perf_counter", lambda: Timed.clock)
    data, module, table = made
    state = replace(make_state(table), load=lambda: (data, module))
    analysis().run(state)
    names = ("cascade", "cascade_curve", "cascade_outcomes", "cascade_times")
    return {name: pd.read_csv(state.directory / "analysis" / f"{name}.csv") for name in names}


def test_both_parts_are_timed_at_every_batch_size(written) -> None:
    times = written["cascade_times"].set_index(["part", "batch_size"])["seconds_a_frame"]
    np.testing.assert_allclose(times["stack"], [0.03, 0.03])
    np.testing.assert_allclose(times["filter"], [0.002, 0.002])


def test_a_frame_costs_the_filter_and_what_passes_of_the_stack(written, made) -> None:
    times = written["cascade_times"].set_index(["part", "batch_size"])["seconds_a_frame"]
    filter_cost, stack_cost = times["filter", 4], times["stack", 4]
    for table in (written["cascade"], written["cascade_curve"]):
        np.testing.assert_allclose(table["cost_a_frame"], filter_cost + table["passed"] * stack_cost)
        np.testing.assert_allclose(table["throughput_ratio"], stack_cost / table["cost_a_frame"])
    _, _, predictions = made
    videos = predictions[predictions["task"] == "video"]
    row = written["cascade"].set_index("kind").loc["all"]
    assert row["passed"] == pytest.approx((videos["info_decided_by"] == "stack").mean())


def test_the_curve_reaches_from_the_early_exit_alone_to_the_filter_alone(written, made) -> None:
    _, _, predictions = made
    videos = predictions[predictions["task"] == "video"]
    curve = written["cascade_curve"]
    assert set(curve["kind"]) == {"all", "easy", "hard", "all forgeries"}
    of_all = curve[curve["kind"] == "all"].sort_values("passed")
    assert of_all["passed"].iloc[0] == 0 and of_all["cleared_real"].iloc[-1] == 0 == of_all["miss_rate"].iloc[-1]
    fake = videos["target"] == "fake"
    assert of_all["auroc"].iloc[0] == pytest.approx(roc_auc_score(fake, videos["info_filter"].astype(float)))
    both = curve[curve["kind"] == "all forgeries"].drop(columns="kind").reset_index(drop=True)
    pd.testing.assert_frame_equal(both, curve[curve["kind"] == "all"].drop(columns="kind").reset_index(drop=True))


def test_what_it_misses_clears_and_loses_as_it_is_set(written, made) -> None:
    _, _, predictions = made
    videos = predictions[predictions["task"] == "video"]
    row = written["cascade"].set_index("kind").loc["all"]
    fake = videos["target"] == "fake"
    cleared = (videos["info_decided_by"] == "filter") & (videos["info_verdict"] == "real")
    assert row["miss_rate"] == pytest.approx(cleared[fake].mean()) and row["cleared_real"] == cleared[~fake].mean()
    assert row["miss_rate_low"] <= row["miss_rate"] <= row["miss_rate_high"]
    alone = roc_auc_score(fake, videos["info_stack"].astype(float))
    assert row["auroc_lost"] == pytest.approx(alone - row["auroc"])
    real, missed = 0.99 * row["cleared_real"], 0.01 * row["miss_rate"]
    assert row["npv"] == pytest.approx(real / (real + missed))


def test_outcomes_of_a_method_are_shares_of_its_videos(written, made) -> None:
    outcomes = written["cascade_outcomes"].set_index("method")
    assert outcomes["n"].to_dict() == {"real": 80, "easy": 48, "hard": 32}
    shares = outcomes[["cleared", "early_fake", "stack_real", "stack_fake", "undecided"]]
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert shares.loc["hard", "cleared"] > shares.loc["easy", "cleared"]


def test_another_model_is_refused(make_state, table, made) -> None:
    with pytest.raises(ValueError, match="cascade: needs predictions of a cascade"):
        analysis().run(make_state(table(["cat"], [[0.5, 0.5]])))
    with pytest.raises(SettingError) as caught:
        analysis(method="family").run(make_state(made[2]))
    assert caught.value.key == "method"


@pytest.mark.parametrize(
    ("changes", "key"),
    [({"prevalence": 0}, "prevalence"), ({"batch_sizes": []}, "batch_sizes"), ({"repeats": 0}, "repeats"),
     ({"points": 1}, "points")],
)  # fmt: skip
def test_nonsense_names_its_key(changes, key) -> None:
    with pytest.raises(SettingError) as caught:
        analysis(**changes)
    assert caught.value.key == key
