import math
from collections.abc import Callable
from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from sklearn.metrics import f1_score, log_loss, roc_auc_score

from hallmark.statistics import CLASSIFICATION_METRICS, Interval, Resampling, paired_difference, table_metrics
from hallmark.statistics.proportions import wilson

Maker = Callable[..., pd.DataFrame]
Systems = Callable[..., tuple[pd.DataFrame, pd.DataFrame]]
SETTINGS = Resampling(0.95, 999, 3)


@pytest.mark.parametrize("metric", CLASSIFICATION_METRICS)
def test_difference_is_second_minus_first(two_systems: Systems, metric: str) -> None:
    first, second = two_systems()
    paired = paired_difference(first, second, metric, resampling=SETTINGS)
    expected = table_metrics(second)["main"][metric] - table_metrics(first)["main"][metric]
    assert paired.difference.estimate == pytest.approx(expected)
    assert paired.difference.low < expected < paired.difference.high
    assert (paired.metric, paired.n_rows, paired.n_groups) == (metric, 120, first["group"].nunique())


def test_swapping_the_tables_mirrors_the_result(two_systems: Systems) -> None:
    first, second = two_systems()
    forward, backward = (
        paired_difference(*tables, "macro_f1", resampling=SETTINGS) for tables in ((first, second), (second, first))
    )
    assert backward.difference.estimate == pytest.approx(-forward.difference.estimate)
    assert backward.difference.low == pytest.approx(-forward.difference.high)
    assert backward.difference.high == pytest.approx(-forward.difference.low)
    assert backward.p_value == forward.p_value


def test_rows_are_matched_by_id_not_by_place(two_systems: Systems) -> None:
    first, second = two_systems()
    shuffled = second.sample(frac=1, random_state=0)
    assert paired_difference(first, shuffled, "macro_f1", resampling=SETTINGS) == paired_difference(
        first, second, "macro_f1", resampling=SETTINGS
    )


def test_a_table_against_itself(two_systems: Systems) -> None:
    first, _ = two_systems()
    paired = paired_difference(first, first, "macro_f1", resampling=SETTINGS)
    bound = wilson(0, paired.n_groups, 0.95).high
    assert paired.difference == Interval(0.0, -bound, bound, 0.95)
    assert paired.p_value == 1
    assert not paired.is_significant


def test_p_value_of_accuracy_is_that_of_the_exact_sign_test(make_predictions: Maker) -> None:
    """On single-row groups the swap test of accuracy is McNemar's exact test of the discordant pairs."""
    target = [0] * 60
    first = make_predictions(target, [0] * 34 + [1] * 6 + [0] * 16 + [1] * 4)
    second = make_predictions(target, [0] * 34 + [0] * 6 + [1] * 16 + [1] * 4)
    paired = paired_difference(first, second, "accuracy", resampling=Resampling(0.95, 20000, 0))
    assert paired.difference.estimate == pytest.approx(-10 / 60)
    assert paired.p_value == pytest.approx(binomtest(6, 22).pvalue, abs=0.006)


@pytest.mark.parametrize(
    ("metric", "reference"),
    [
        ("macro_f1", lambda target, rows: f1_score(target, rows.argmax(axis=1), average="macro")),
        ("log_loss", log_loss),
        ("auroc", lambda target, rows: roc_auc_score(target, rows, multi_class="ovr", average="macro")),
    ],
)
def test_p_value_matches_full_enumeration_of_group_swaps(
    two_systems: Systems, metric: str, reference: Callable[[np.ndarray, np.ndarray], float]
) -> None:
    first, second = two_systems(n=40, groups=6)
    target = first["target"].map({"negative": 0, "neutral": 1, "positive": 2}).to_numpy()
    left, right = (np.array(table["probabilities"].tolist()) for table in (first, second))
    unit = first["group"].astype(int).to_numpy()
    changes = []
    for swap in product([False, True], repeat=6):
        swapped = np.array(swap)[unit][:, None]
        left_swapped, right_swapped = np.where(swapped, right, left), np.where(swapped, left, right)
        changes.append(reference(target, right_swapped) - reference(target, left_swapped))
    paired = paired_difference(first, second, metric, resampling=Resampling(0.95, 8000, 0))
    assert paired.difference.estimate == pytest.approx(changes[0])
    assert paired.p_value == pytest.approx(np.mean(np.abs(changes) >= abs(changes[0]) - 1e-12), abs=0.02)


def test_p_value_is_never_zero_and_counts_the_observed(make_predictions: Maker) -> None:
    n = 60
    paired = paired_difference(
        make_predictions([0] * n, [1] * n), make_predictions([0] * n, [0] * n), "accuracy", resampling=SETTINGS
    )
    assert paired.p_value == 1 / 1000
    assert paired.is_significant


def test_false_alarms_stay_at_their_rate(make_predictions: Maker) -> None:
    """Two equally skilled systems, luck shared within groups: p <= 0.05 in about 5 % of 150 tables."""
    rng = np.random.default_rng(1)
    groups = np.repeat(np.arange(20), 6)
    first, second = (make_predictions([0] * groups.size, [0] * groups.size, groups=groups) for _ in range(2))
    p_values = []
    for _ in range(150):
        for table in (first, second):
            right = rng.random(groups.size) < rng.beta(0.7, 0.3, size=20)[groups]
            table["prediction"] = np.where(right, "negative", "neutral")
        p_values.append(paired_difference(first, second, "accuracy", resampling=Resampling(0.95, 59, 0)).p_value)
    assert 0.01 <= np.mean(np.array(p_values) <= 0.05) <= 0.09
    assert 0.4 <= np.mean(p_values) <= 0.6


def test_same_seed_same_result(two_systems: Systems) -> None:
    tables = two_systems()
    first = paired_difference(*tables, "log_loss", resampling=SETTINGS)
    assert paired_difference(*tables, "log_loss", resampling=SETTINGS) == first
    assert paired_difference(*tables, "log_loss", resampling=replace(SETTINGS, seed=4)) != first


def test_scores_of_a_task_without_classes(make_predictions: Maker) -> None:
    noise = np.tile([0.02, -0.02], 10)
    first, second = (make_predictions([None] * 20, [0] * 20).assign(score=iou) for iou in (0.4, 0.5 + noise))
    first.attrs["classes"] = second.attrs["classes"] = {}
    paired = paired_difference(first, second, "score", resampling=SETTINGS)
    assert paired.difference.estimate == pytest.approx(0.1)
    assert paired.sentence("B", "A", "score").startswith("A is better than B: score +0.100 [")


def test_one_group_tells_nothing(make_predictions: Maker) -> None:
    paired = paired_difference(
        make_predictions([0, 1], [0, 0], groups=[1, 1]),
        make_predictions([0, 1], [0, 1], groups=[1, 1]),
        "accuracy",
        resampling=SETTINGS,
    )
    assert paired.difference.estimate == 0.5 and math.isnan(paired.difference.low)
    assert paired.p_value == 1
    assert "too few groups" in paired.sentence("B", "A", "accuracy")


def test_an_undefined_metric_has_no_p_value(make_predictions: Maker) -> None:
    paired = paired_difference(
        make_predictions([1, 1], [1, 0]), make_predictions([1, 1], [1, 1]), "auroc", resampling=SETTINGS
    )
    assert math.isnan(paired.p_value)
    assert not paired.is_significant
    assert "AUROC – (A − B), p undefined" in paired.sentence("B", "A", "AUROC")


def test_refuses_different_rows(make_predictions: Maker) -> None:
    three, two = make_predictions([0, 1, 2], [0, 1, 2]), make_predictions([0, 1], [0, 1])
    with pytest.raises(ValueError, match="1 of 3 are only in the first, 0 of 2 only in the second"):
        paired_difference(three, two, "accuracy", resampling=SETTINGS)
    unlabeled = make_predictions([0, 1, None], [0, 1, 2])
    with pytest.raises(ValueError, match="1 of 3 are only in the first"):
        paired_difference(three, unlabeled, "accuracy", resampling=SETTINGS)


@pytest.mark.parametrize(("column", "value"), [("target", "positive"), ("group", "elsewhere")])
def test_refuses_rows_that_disagree(make_predictions: Maker, column: str, value: str) -> None:
    first, second = make_predictions([0, 1], [0, 1]), make_predictions([0, 1], [0, 1])
    second.loc[0, column] = value
    with pytest.raises(ValueError, match=f"1 of 2 rows differ in {column}"):
        paired_difference(first, second, "accuracy", resampling=SETTINGS)


def test_refuses_repeated_ids(make_predictions: Maker) -> None:
    first = make_predictions([0, 1], [0, 1])
    with pytest.raises(ValueError, match="1 rows of the second table repeat an id"):
        paired_difference(first, first.assign(id="row0"), "accuracy", resampling=SETTINGS)


def test_refuses_another_task_or_class_order(make_predictions: Maker) -> None:
    first = make_predictions([0, 1], [0, 1])
    for other in (
        make_predictions([0, 1], [0, 1], task="state"),
        make_predictions([2, 1], [2, 1], classes=("positive", "neutral", "negative")),
    ):
        with pytest.raises(ValueError, match="differ in task or class order"):
            paired_difference(first, other, "accuracy", resampling=SETTINGS)
