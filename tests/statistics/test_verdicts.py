"""Which of two systems is better, in words and after several comparisons."""

import math
from collections.abc import Callable

import pandas as pd
import pytest

from hallmark.statistics import (
    Interval,
    PairedDifference,
    Resampling,
    adjust,
    paired_difference,
)

Maker = Callable[..., pd.DataFrame]
Pair = tuple[pd.DataFrame, pd.DataFrame]


@pytest.mark.parametrize(
    ("metric", "ends", "p_value", "sentence"),
    [
        ("macro_f1", (0.031, 0.012, 0.05), 0.002, "new is better than old: macro F1 +0.031 [+0.012, +0.050], p = 0"),
        ("macro_f1", (-0.03, -0.05, -0.01), 0.002, "old is better than new: macro F1 +0.030 [+0.010, +0.050], p = "),
        ("log_loss", (-0.2, -0.3, -0.1), 0.001, "new is better than old: log loss lower by 0.200 [0.100, 0.300], p = "),
        ("ece", (0.02, 0.01, 0.03), 0.001, "old is better than new: ECE lower by 0.020 [0.010, 0.030], p = 0.001,"),
        (
            "accuracy", (0.01, -0.02, 0.04), 0.5,
            "new and old do not differ significantly: accuracy +0.010 [-0.020, +0.040] (new − old), p = 0.500,",
        ),
    ],
)  # fmt: skip
def test_a_sentence_says_by_how_much_the_winner_leads(
    metric: str, ends: tuple[float, float, float], p_value: float, sentence: str
) -> None:
    paired = PairedDifference(metric, Interval(*ends, 0.95), p_value, 100, 50)
    names = {"macro_f1": "macro F1", "log_loss": "log loss", "ece": "ECE"}
    assert paired.sentence("old", "new", names.get(metric, metric)).startswith(sentence)


def test_a_sentence_gives_rows_and_grounds() -> None:
    paired = PairedDifference("accuracy", Interval(0.01, -0.02, 0.04, 0.9), 0.5, 100, 90)
    assert paired.sentence("B", "A", "accuracy", of=" on test") == (
        "A and B do not differ significantly on test: accuracy +0.010 [-0.020, +0.040] (A − B), p = 0.500, "
        "at the 90 % level (100 rows in 90 groups, one model each)"
    )


@pytest.mark.parametrize("metric", ["accuracy", "log_loss"])
def test_the_same_pair_says_the_same_in_either_order(two_systems: Callable[..., Pair], metric: str) -> None:
    first, second = two_systems()
    setting = Resampling(0.95, 400, 0)
    forward = paired_difference(first, second, metric, resampling=setting)
    backward = paired_difference(second, first, metric, resampling=setting)
    assert backward.sentence("second", "first", metric) == forward.sentence("first", "second", metric)
    assert forward.sentence("first", "second", metric).startswith("second is better than first: ")


@pytest.mark.parametrize(("p_value", "low", "apart"), [(0.04, 0.01, True), (0.06, 0.01, False), (0.04, -0.01, False)])
def test_significance_asks_for_test_and_interval(p_value: float, low: float, apart: bool) -> None:
    assert PairedDifference("accuracy", Interval(0.1, low, 0.2, 0.95), p_value, 100, 50).is_significant is apart


def test_six_groups_can_reach_significance_and_five_cannot(make_predictions: Maker) -> None:
    for n, apart in ((6, True), (5, False)):
        wrong, right = (make_predictions([0] * n, [column] * n) for column in (1, 0))
        paired = paired_difference(wrong, right, "accuracy", resampling=Resampling(0.95, 4000, 0))
        assert paired.is_significant is apart
        assert ("too few groups" in paired.sentence("B", "A", "accuracy")) is not apart


def difference(p_value: float, p_holm: float | None = None) -> PairedDifference:
    return PairedDifference("accuracy", Interval(0.1, 0.01, 0.2, 0.95), p_value, 100, 50, p_holm=p_holm)


def test_several_comparisons_are_judged_by_their_adjusted_p() -> None:
    alone, other = difference(0.03), difference(0.04)
    assert alone.is_significant and other.is_significant
    adjusted = adjust([alone, other, difference(math.nan)])
    assert [comparison.p_holm for comparison in adjusted[:2]] == pytest.approx([0.06, 0.06])
    assert not adjusted[0].is_significant and adjusted[0].p_value == 0.03
    assert adjusted[0].finding("B", "A") == "A and B do not differ significantly"
    assert adjusted[0].tested == "p = 0.030 (0.060 after Holm)" and adjusted[0].p_texts == ("0.030", "0.060")
    assert adjusted[2].tested == "p undefined" and not adjusted[2].is_significant
    assert adjust([alone])[0].finding("B", "A") == alone.finding("B", "A") == "A is better than B"
