"""The threshold that guarantees a share, against the definition and against draws."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hallmark.checks import UserError
from hallmark.statistics.guarantee import (
    guaranteed_rank,
    guaranteed_threshold,
    needed_scores,
    violation_probability,
)


def binomial(n: int, most: int, rate: float) -> float:
    """P(Bin(n, rate) ≤ most), term by term."""
    return sum(math.comb(n, hits) * rate**hits * (1 - rate) ** (n - hits) for hits in range(most + 1))


@pytest.mark.parametrize(("rate", "expected"), [(0.01, 299), (0.02, 149), (0.05, 59), (0.1, 29), (0.5, 5)])
def test_the_fewest_scores_that_guarantee_a_rate(rate, expected) -> None:
    assert needed_scores(rate, 0.05) == expected
    assert guaranteed_rank(expected, rate, 0.05) == 1
    assert guaranteed_rank(expected - 1, rate, 0.05) == 0


@given(st.integers(1, 400), st.floats(0.005, 0.3), st.floats(0.01, 0.3))
def test_the_rank_is_the_largest_that_keeps_the_risk(n, rate, risk) -> None:
    k = guaranteed_rank(n, rate, risk)
    assert k == 0 or binomial(n, k - 1, rate) <= risk * (1 + 1e-9)
    assert binomial(n, k, rate) > risk * (1 - 1e-9)
    assert (k > 0) == (n >= needed_scores(rate, risk))


def test_the_threshold_is_the_score_of_that_rank() -> None:
    scores = np.random.default_rng(0).permutation(np.arange(200) / 200)
    guarantee = guaranteed_threshold(scores, rate=0.05, risk=0.05)
    assert guarantee.k == 5 and guarantee.threshold == 4 / 200  # P(Bin(200, .05) ≤ 4) = .026, ≤ 5: .062
    assert guarantee.violation == pytest.approx(binomial(200, 4, 0.05))


def test_below_the_number_that_is_needed_it_says_which() -> None:
    with pytest.raises(UserError, match=r"\b149 fake videos, and there are 148"):
        guaranteed_threshold(np.zeros(148), rate=0.02, risk=0.05, noun="fake videos")
    assert guaranteed_threshold(np.zeros(149), rate=0.02, risk=0.05).k == 1


@pytest.mark.parametrize(("n", "rate"), [(59, 0.05), (200, 0.05), (160, 0.02), (1000, 0.01)])
def test_draws_violate_it_as_often_as_the_binomial_says(n, rate) -> None:
    """Of uniform scores the share below a threshold is the threshold."""
    draws = np.sort(np.random.default_rng(n).random((10_000, n)), axis=1)
    k = guaranteed_rank(n, rate, 0.05)
    naive = math.floor(rate * n) + 1
    for rank, most in ((k, 0.05), (naive, 0.70)):
        exact = violation_probability(n, rank, rate)
        violated = (draws[:, rank - 1] > rate).mean()
        assert abs(violated - exact) <= 2 * math.sqrt(exact * (1 - exact) / 10_000)
        assert exact <= most
    assert violation_probability(n, naive, rate) > 0.4


def test_ties_make_it_no_less_safe() -> None:
    """Of scores rounded to tenths, the share below the threshold is at most what it is without rounding."""
    draws = np.random.default_rng(1).integers(10, size=(4_000, 100)) / 10
    k = guaranteed_rank(100, 0.15, 0.05)
    thresholds = np.sort(draws, axis=1)[:, k - 1]
    assert (thresholds > 0.15 + 1e-9).mean() <= 0.05
