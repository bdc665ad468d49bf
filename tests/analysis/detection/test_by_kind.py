"""Positives of each kind against negatives."""

import numpy as np
import pandas as pd
import pytest

from hallmark.analysis.detection.by_kind import METRICS, Detection
from hallmark.statistics import Resampling, all_intervals

RESAMPLING = Resampling(0.9, 100, 3)
CLASSES = ["real", "fake"]


def detection(columns=None, **changes) -> Detection:
    return Detection(columns, **{"method": "method", "other_family": ["other"], "statistics": RESAMPLING, **changes})


@pytest.fixture
def forgeries(table) -> pd.DataFrame:
    """Eight reals, four easy fakes above them all, four hard ones among them, four of another family below."""
    method = ["real"] * 8 + ["easy"] * 4 + ["hard"] * 4 + ["other"] * 4
    fake = [0.2, 0.22, 0.24, 0.26, 0.28, 0.3, 0.32, 0.34, *[0.9] * 4, 0.25, 0.27, 0.29, 0.31, *[0.1] * 4]
    return table(
        ["real"] * 8 + ["fake"] * 12, [[1 - p, p] for p in fake], classes=CLASSES, slice_method=method,
        slice_quality=["high", "low"] * 10,
        slices={"slice_method": ["real", "easy", "hard", "other", "mid"], "slice_quality": ["high", "low"]},
    )  # fmt: skip


def test_each_method_stands_against_all_reals(forgeries) -> None:
    rows = detection().table(forgeries)
    assert rows["category"].tolist() == [
        "all", "in domain", "other family", "easy", "hard", "other", "mid", "high", "low",
    ]  # fmt: skip
    rows = rows.set_index("category")
    assert rows["n_negative"].tolist() == [8] * 7 + [4, 4]
    assert rows["n_positive"].tolist() == [12, 8, 4, 4, 4, 4, 0, 6, 6]
    # Of 32 pairs, the hard fakes lie above 3, 4, 5 and 6 of 8 reals.
    expected = {"easy": 1, "hard": 18 / 32, "other": 0, "in domain": (32 + 18) / 64, "other family": 0}
    assert rows.loc[list(expected), "auroc"].to_dict() == pytest.approx(expected)
    assert rows.loc["easy", ["eer", "auprc", "tpr_at_1pct_fpr"]].tolist() == [0, 1, 1]
    assert rows.loc["mid", [*METRICS, "log_loss_positive"]].isna().all()


def test_a_quality_that_reals_have_too_stands_against_those(forgeries) -> None:
    rows = detection(["quality"]).table(forgeries).set_index("category")
    high = forgeries[forgeries["slice_quality"] == "high"]
    for metric, interval in all_intervals(high, METRICS, resampling=RESAMPLING).items():
        assert rows.loc["high", metric] == interval.estimate
        assert rows.loc["high", f"{metric}_low"] == pytest.approx(interval.low, nan_ok=True)


def test_log_loss_by_class(forgeries) -> None:
    row = detection().table(forgeries).set_index("category").loc["easy"]
    reals = np.array([p[0] for p in forgeries["probabilities"][:8]])
    assert row["log_loss_positive"] == pytest.approx(-np.log(0.9))
    assert row["log_loss_negative"] == pytest.approx(-np.log(reals).mean())


def test_what_is_written(make_state, forgeries, assert_drawn) -> None:
    state = make_state(forgeries)
    detection().run(state)
    assert [path.name for path in state.written] == ["detection.csv", "detection.pdf", "detection.png"]
    assert_drawn(state.directory, "detection")


def test_tasks_of_more_classes_are_none_of_it(make_state, table) -> None:
    three = table(["a", "b"], [[1, 0, 0], [0, 1, 0]], classes=["a", "b", "c"], slice_method=["x", "x"])
    with pytest.raises(ValueError, match="two classes"):
        detection().run(make_state(three))


def test_a_column_that_is_not_there_is_named(forgeries) -> None:
    with pytest.raises(ValueError, match="family"):
        detection(method="family").table(forgeries)
