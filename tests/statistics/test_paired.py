import math
from collections.abc import Callable
from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from sklearn.metrics import f1_score, log_loss, roc_auc_score

from hallmark.statistics import (
    CLASSIFICATION_METRICS,
    Interval,
    PairedDifference,
    adjust,
    delong_test,
    mcnemar,
    paired_difference,
    rowwise_p_values,
    table_metrics,
)

Maker = Callable[..., pd.DataFrame]
SETTINGS = {"level": 0.95, "repeats": 999, "seed": 3}


def two_systems(make: Maker, n: int = 120, groups: int = 24) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(0)
    target, unit = rng.integers(3, size=n), rng.integers(groups, size=n)
    tables = []
    for skill in (0.3, 0.6):
        probabilities = rng.dirichlet(np.ones(3), n) + skill * np.eye(3)[target]
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        tables.append(make(target, probabilities.argmax(1), groups=unit, probabilities=probabilities))
    return tables[0], tables[1]


@pytest.mark.parametrize("metric", CLASSIFICATION_METRICS)
def test_difference_is_second_minus_first(make_predictions: Maker, metric: str) -> None:
    first, second = two_systems(make_predictions)
    found = paired_difference(first, second, metric, **SETTINGS)
    expected = table_metrics(second)["main"][metric] - table_metrics(first)["main"][metric]
    assert found.difference.estimate == pytest.approx(expected)
    assert found.difference.low < expected < found.difference.high
    assert (found.metric, found.n_rows, found.n_groups) == (metric, 120, first["group"].nunique())


def test_swapping_the_tables_mirrors_the_result(make_predictions: Maker) -> None:
    first, second = two_systems(make_predictions)
    forward, backward = (
        paired_difference(*tables, "macro_f1", **SETTINGS) for tables in ((first, second), (second, first))
    )
    assert backward.difference.estimate == pytest.approx(-forward.difference.estimate)
    assert backward.difference.low == pytest.approx(-forward.difference.high)
    assert backward.difference.high == pytest.approx(-forward.difference.low)
    assert backward.p_value == forward.p_value


def test_rows_are_matched_by_id_not_by_place(make_predictions: Maker) -> None:
    first, second = two_systems(make_predictions)
    shuffled = second.sample(frac=1, random_state=0)
    assert paired_difference(first, shuffled, "macro_f1", **SETTINGS) == paired_difference(
        first, second, "macro_f1", **SETTINGS
    )


def test_a_table_against_itself(make_predictions: Maker) -> None:
    first, _ = two_systems(make_predictions)
    found = paired_difference(first, first, "macro_f1", **SETTINGS)
    assert found.difference == Interval(0.0, 0.0, 0.0, 0.95)
    assert found.p_value == 1
    assert not found.told_apart


def test_p_value_of_accuracy_is_that_of_the_exact_sign_test(make_predictions: Maker) -> None:
    """On single-row groups the swap test of accuracy is McNemar's exact test of the discordant pairs."""
    target = [0] * 60
    first = make_predictions(target, [0] * 34 + [1] * 6 + [0] * 16 + [1] * 4)
    second = make_predictions(target, [0] * 34 + [0] * 6 + [1] * 16 + [1] * 4)
    found = paired_difference(first, second, "accuracy", level=0.95, repeats=20000, seed=0)
    assert found.difference.estimate == pytest.approx(-10 / 60)
    assert found.p_value == pytest.approx(binomtest(6, 22).pvalue, abs=0.006)


@pytest.mark.parametrize(
    ("metric", "reference"),
    [
        ("macro_f1", lambda target, rows: f1_score(target, rows.argmax(axis=1), average="macro")),
        ("log_loss", log_loss),
        ("auroc", lambda target, rows: roc_auc_score(target, rows, multi_class="ovr", average="macro")),
    ],
)
def test_p_value_matches_full_enumeration_of_group_swaps(
    make_predictions: Maker, metric: str, reference: Callable[[np.ndarray, np.ndarray], float]
) -> None:
    first, second = two_systems(make_predictions, n=40, groups=6)
    target = first["target"].map({"negative": 0, "neutral": 1, "positive": 2}).to_numpy()
    one, other = (np.array(table["probabilities"].tolist()) for table in (first, second))
    unit = first["group"].astype(int).to_numpy()
    changes = []
    for swap in product([False, True], repeat=6):
        swapped = np.array(swap)[unit][:, None]
        one_swapped, other_swapped = np.where(swapped, other, one), np.where(swapped, one, other)
        changes.append(reference(target, other_swapped) - reference(target, one_swapped))
    found = paired_difference(first, second, metric, level=0.95, repeats=8000, seed=0)
    assert found.difference.estimate == pytest.approx(changes[0])
    assert found.p_value == pytest.approx(np.mean(np.abs(changes) >= abs(changes[0]) - 1e-12), abs=0.02)


def test_p_value_is_never_zero_and_counts_the_observed(make_predictions: Maker) -> None:
    n = 60
    found = paired_difference(
        make_predictions([0] * n, [1] * n), make_predictions([0] * n, [0] * n), "accuracy", **SETTINGS
    )
    assert found.p_value == 1 / 1000
    assert found.told_apart


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
        p_values.append(paired_difference(first, second, "accuracy", level=0.95, repeats=59, seed=0).p_value)
    assert 0.01 <= np.mean(np.array(p_values) <= 0.05) <= 0.09
    assert 0.4 <= np.mean(p_values) <= 0.6


def test_same_seed_same_result(make_predictions: Maker) -> None:
    tables = two_systems(make_predictions)
    first = paired_difference(*tables, "log_loss", **SETTINGS)
    assert paired_difference(*tables, "log_loss", **SETTINGS) == first
    assert paired_difference(*tables, "log_loss", **SETTINGS | {"seed": 4}) != first


def test_scores_of_a_task_without_classes(make_predictions: Maker) -> None:
    first, second = (make_predictions([None] * 20, [0] * 20).assign(score=iou) for iou in (0.4, 0.5))
    first.attrs["classes"] = second.attrs["classes"] = {}
    found = paired_difference(first, second, "score", **SETTINGS)
    assert found.difference.estimate == pytest.approx(0.1)
    assert found.verdict.startswith("the second is better at the 95 % level: score +10.0 points")


def test_one_group_tells_nothing(make_predictions: Maker) -> None:
    found = paired_difference(
        make_predictions([0, 1], [0, 0], groups=[1, 1]),
        make_predictions([0, 1], [0, 1], groups=[1, 1]),
        "accuracy",
        **SETTINGS,
    )
    assert found.difference.estimate == 0.5 and math.isnan(found.difference.low)
    assert found.p_value == 1
    assert "too few groups" in found.verdict


def test_an_undefined_metric_has_no_p_value(make_predictions: Maker) -> None:
    found = paired_difference(make_predictions([1, 1], [1, 0]), make_predictions([1, 1], [1, 1]), "auroc", **SETTINGS)
    assert math.isnan(found.p_value)
    assert not found.told_apart
    assert "auroc n/a points [n/a, n/a], p = n/a" in found.verdict


@pytest.mark.parametrize(
    ("metric", "ends", "p_value", "verdict"),
    [
        (
            "macro_f1",
            (0.031, 0.012, 0.05),
            0.002,
            "the second is better at the 95 % level: macro_f1 +3.1 points",
        ),
        (
            "accuracy",
            (-0.03, -0.05, -0.01),
            0.002,
            "the first is better at the 95 % level: accuracy -3.0 points",
        ),
        (
            "log_loss",
            (-0.2, -0.3, -0.1),
            0.001,
            "the second is better at the 95 % level: log_loss -0.200 [-0.300,",
        ),
        (
            "ece",
            (0.02, 0.01, 0.03),
            0.001,
            "the first is better at the 95 % level: ece +2.0 points [+1.0, +3.0]",
        ),
        (
            "accuracy",
            (0.01, -0.02, 0.04),
            0.5,
            "cannot be told apart at the 95 % level: accuracy +1.0 points",
        ),
    ],
)
def test_verdict_names_the_better(metric: str, ends: tuple[float, float, float], p_value: float, verdict: str) -> None:
    assert PairedDifference(metric, Interval(*ends, 0.95), p_value, 100, 50).verdict.startswith(verdict)


def test_verdict_gives_its_grounds() -> None:
    found = PairedDifference("accuracy", Interval(0.01, -0.02, 0.04, 0.9), 0.5, 100, 90)
    assert found.verdict == (
        "cannot be told apart at the 90 % level: accuracy +1.0 points [-2.0, +4.0], p = 0.5 (100 rows in 90 groups)"
    )


@pytest.mark.parametrize(("p_value", "low", "apart"), [(0.04, 0.01, True), (0.06, 0.01, False), (0.04, -0.01, False)])
def test_told_apart_asks_for_test_and_interval(p_value: float, low: float, apart: bool) -> None:
    assert PairedDifference("accuracy", Interval(0.1, low, 0.2, 0.95), p_value, 100, 50).told_apart is apart


def test_six_groups_can_reach_significance_and_five_cannot(make_predictions: Maker) -> None:
    for n, apart in ((6, True), (5, False)):
        wrong, right = (make_predictions([0] * n, [column] * n) for column in (1, 0))
        found = paired_difference(wrong, right, "accuracy", level=0.95, repeats=4000, seed=0)
        assert found.told_apart is apart
        assert ("too few groups" in found.verdict) is not apart


def test_refuses_different_rows(make_predictions: Maker) -> None:
    three, two = make_predictions([0, 1, 2], [0, 1, 2]), make_predictions([0, 1], [0, 1])
    with pytest.raises(ValueError, match="1 of 3 are only in the first, 0 of 2 only in the second"):
        paired_difference(three, two, "accuracy", **SETTINGS)
    unlabelled = make_predictions([0, 1, None], [0, 1, 2])
    with pytest.raises(ValueError, match="1 of 3 are only in the first"):
        paired_difference(three, unlabelled, "accuracy", **SETTINGS)


@pytest.mark.parametrize(("column", "value"), [("target", "positive"), ("group", "elsewhere")])
def test_refuses_rows_that_disagree(make_predictions: Maker, column: str, value: str) -> None:
    first, second = make_predictions([0, 1], [0, 1]), make_predictions([0, 1], [0, 1])
    second.loc[0, column] = value
    with pytest.raises(ValueError, match=f"1 of 2 rows differ in {column}"):
        paired_difference(first, second, "accuracy", **SETTINGS)


def test_refuses_repeated_ids(make_predictions: Maker) -> None:
    first = make_predictions([0, 1], [0, 1])
    with pytest.raises(ValueError, match="1 rows of the second table repeat an id"):
        paired_difference(first, first.assign(id="row0"), "accuracy", **SETTINGS)


def test_refuses_another_task_or_class_order(make_predictions: Maker) -> None:
    first = make_predictions([0, 1], [0, 1])
    for other in (
        make_predictions([0, 1], [0, 1], task="state"),
        make_predictions([2, 1], [2, 1], classes=("positive", "neutral", "negative")),
    ):
        with pytest.raises(ValueError, match="differ in task or class order"):
            paired_difference(first, other, "accuracy", **SETTINGS)


def difference(p_value: float, p_holm: float | None = None) -> PairedDifference:
    return PairedDifference("accuracy", Interval(0.1, 0.01, 0.2, 0.95), p_value, 100, 50, p_holm=p_holm)


def test_several_comparisons_are_told_apart_by_their_adjusted_p() -> None:
    alone, other = difference(0.03), difference(0.04)
    assert alone.told_apart and other.told_apart
    adjusted = adjust([alone, other, difference(math.nan)])
    assert [one.p_holm for one in adjusted[:2]] == pytest.approx([0.06, 0.06])
    assert not adjusted[0].told_apart and adjusted[0].p_value == 0.03
    assert "cannot be told apart" in adjusted[0].verdict and "p = 0.03 (0.06 after Holm)" in adjusted[0].verdict
    assert "p = n/a (" in adjusted[2].verdict and not adjusted[2].told_apart
    assert adjust([alone])[0].verdict == alone.verdict


def binary(make: Maker, n: int = 60, **changes: object) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(2)
    target = np.arange(n) % 2
    tables = []
    for skill in (0.1, 0.4):
        fake = 1 / (1 + np.exp(-rng.normal(skill * (2 * target - 1))))
        rows = np.column_stack([1 - fake, fake])
        tables.append(make(target, rows.argmax(1), probabilities=rows, classes=("real", "fake"), **changes))
    return tables[0], tables[1]


def test_rowwise_tests_are_those_of_correctness_and_of_the_second_class(make_predictions: Maker) -> None:
    first, second = binary(make_predictions)
    found = rowwise_p_values(first, second.sample(frac=1, random_state=0))
    assert found["mcnemar"] == mcnemar(first["score"], second["score"]).p_value < 1
    scores = [np.array(table["probabilities"].tolist())[:, 1] for table in (first, second)]
    assert found["delong"] == delong_test(first["target"] == "fake", *scores, level=0.9).p_value < 1


def test_rowwise_tests_do_not_apply_to_rows_that_are_not_independent(make_predictions: Maker) -> None:
    grouped = binary(make_predictions, groups=[0, *range(59)])
    assert all(math.isnan(p) for p in rowwise_p_values(*grouped).values())
    three = two_systems(make_predictions)
    for table in three:
        table["group"] = table["id"]
    found = rowwise_p_values(*three)
    assert found["mcnemar"] < 1 and math.isnan(found["delong"])
    lone = [table.iloc[:3] for table in binary(make_predictions)]
    assert math.isnan(rowwise_p_values(*lone)["delong"])
    scores = [table.assign(score=1.0) for table in binary(make_predictions)]
    for table in scores:
        table.attrs["classes"] = {}
    assert all(math.isnan(p) for p in rowwise_p_values(*scores).values())
