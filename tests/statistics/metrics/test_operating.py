"""Operating points of two classes: by hand, as the tools of the field have them, and under weights."""

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from sklearn.metrics import roc_curve

from hallmark.statistics import TWO_CLASS_METRICS, Resampling, all_intervals, metric_names, table_metrics
from hallmark.statistics.metrics.classification import classification_metrics
from hallmark.statistics.metrics.weighted import weighted_metrics
from hallmark.statistics.sample import task_sample

Maker = Callable[..., pd.DataFrame]
CLASSES = ("real", "fake")


def metrics_of(negatives: list[float], positives: list[float]) -> dict[str, float]:
    scores = np.array(negatives + positives)
    target = np.repeat([0, 1], [len(negatives), len(positives)])
    return classification_metrics(target, np.column_stack([1 - scores, scores]))


@pytest.mark.parametrize(
    ("negatives", "positives", "error"),
    [
        ([0.1, 0.2, 0.3, 0.8], [0.4, 0.7, 0.9, 0.95], 0.25),  # above 0.5 one of four, and one of four below
        ([0.1, 0.2], [0.8, 0.9], 0.0),
        ([0.8, 0.9], [0.1, 0.2], 1.0),
        ([0.5, 0.5], [0.5, 0.5, 0.5], 0.5),
        # Rates (0, 1/3), (1/2, 1/3), (1/2, 2/3), (1, 2/3), (1, 1): the line that rises at 1/2 meets 1 - x there.
        ([0.2, 0.7], [0.1, 0.4, 0.9], 0.5),
        # Rates (0, 1/2), then one step to (1, 1): 1 - x is met at a third.
        ([0.5, 0.5], [0.5, 0.9], 1 / 3),
    ],
)
def test_equal_error_rate_by_hand(negatives, positives, error) -> None:
    assert metrics_of(negatives, positives)["eer"] == pytest.approx(error)


def test_true_positives_at_one_false_alarm_in_a_hundred() -> None:
    negatives = [0.6, 0.5, *np.linspace(0, 0.4, 98)]
    positives = [0.9, 0.7, 0.55, 0.45, 0.42]
    assert metrics_of(negatives, positives)["tpr_at_1pct_fpr"] == pytest.approx(3 / 5)
    # One false alarm among 99 is more than 1 %.
    assert metrics_of(negatives[:-1], positives)["tpr_at_1pct_fpr"] == pytest.approx(2 / 5)
    assert metrics_of([1.0, 0.0], [0.5])["tpr_at_1pct_fpr"] == 0


@st.composite
def two_class_scores(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Classes [N], each with a row, and scores [N] with ties."""
    n = draw(st.integers(2, 40))
    target = np.array([0, 1, *draw(st.lists(st.integers(0, 1), min_size=n, max_size=n))])
    return target, np.array(draw(st.lists(st.integers(0, 12), min_size=n + 2, max_size=n + 2))) / 12


@given(two_class_scores())
@settings(max_examples=60)
def test_they_are_those_of_the_interpolated_roc_curve(rows) -> None:
    target, scores = rows
    values = classification_metrics(target, np.column_stack([1 - scores, scores]))
    fpr, tpr, _ = roc_curve(target, scores)  # without its collinear points, and solved for
    crossing = brentq(lambda x: 1 - x - np.interp(x, *_upper(fpr, tpr)), 0, 1)
    assert values["eer"] == pytest.approx(crossing, abs=1e-5)
    thresholds = [t for t in (*np.unique(scores), 2) if (scores[target == 0] >= t).mean() <= 0.01]
    assert values["tpr_at_1pct_fpr"] == max((scores[target == 1] >= t).mean() for t in thresholds)


def _upper(fpr: np.ndarray, tpr: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The curve as a function: where it rises vertically, from just before."""
    return fpr + 1e-9 * np.arange(len(fpr)), tpr


@given(two_class_scores(), st.integers(0, 9))
@settings(max_examples=20)
def test_weights_act_as_repeated_rows(make_predictions: Maker, rows, seed) -> None:
    target, scores = rows
    groups = np.random.default_rng(seed).integers(5, size=len(target))
    frame = make_predictions(
        target, (scores > 0.5).astype(int), groups=groups, probabilities=np.column_stack([1 - scores, scores]),
        classes=CLASSES,
    )  # fmt: skip
    sample = task_sample(frame)
    weights = np.random.default_rng(seed).integers(0, 3, size=(4, sample.n_groups)).astype(float)
    weights[:, 0] += 1
    values = weighted_metrics(sample, TWO_CLASS_METRICS)(weights[:, :, None])
    for r, row in enumerate(weights):
        expected = table_metrics(frame.loc[frame.index.repeat(row[sample.group].astype(int))])["main"]
        for name in TWO_CLASS_METRICS:
            undefined = math.nan if expected[name] is None else expected[name]
            assert values[name][r] == pytest.approx(undefined, nan_ok=True), name


def test_only_a_task_of_two_classes_has_them(make_predictions: Maker) -> None:
    two, three = make_predictions([0, 1], [0, 1], classes=CLASSES), make_predictions([0, 1], [0, 1])
    assert set(TWO_CLASS_METRICS) <= set(table_metrics(two)["main"])
    assert not set(TWO_CLASS_METRICS) & set(table_metrics(three)["main"])
    for frame, classes in ((two, CLASSES), (three, ("negative", "neutral", "positive"))):
        assert set(table_metrics(frame)["main"]) == {*metric_names(frame, classes), "n"}
    with pytest.raises(ValueError, match="eer"):
        all_intervals(three, ["eer"], resampling=Resampling(0.95, 40, 0))


def test_rows_of_one_class_have_none(make_predictions: Maker) -> None:
    metrics = table_metrics(make_predictions([1, 1], [0, 1], classes=CLASSES))["main"]
    assert metrics["eer"] is metrics["tpr_at_1pct_fpr"] is None


def test_their_intervals_hold_the_truth_of_two_normal_classes(make_predictions: Maker) -> None:
    """Scores of unit variance two apart: the error rates are equal at 1, where both are 15.9 %."""
    held = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        target = np.arange(200) % 2
        scores = 1 / (1 + np.exp(-(rng.normal(size=200) + 2 * target)))
        frame = make_predictions(
            target, target, classes=CLASSES, probabilities=np.column_stack([1 - scores, scores])
        )  # fmt: skip
        interval = all_intervals(frame, ["eer"], resampling=Resampling(0.95, 200, 0))["eer"]
        held += interval.low <= 0.158655 <= interval.high
    assert held >= 35
