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
        found = paired_difference(wrong, right, "accuracy", resampling=Resampling(0.95, 4000, 0))
        assert found.told_apart is apart
        assert ("too few groups" in found.verdict) is not apart


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
