import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from MLstatkit import Delong_test
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from hallmark.statistics import auc_interval, auc_variance, delong_test


@st.composite
def two_scores(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Targets with at least two rows of each class, and two related scores of them, with or without ties."""
    n, digits = draw(st.integers(8, 80)), draw(st.sampled_from([1, 2, 8]))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    target = rng.permutation(np.arange(n) < draw(st.integers(2, n - 2)))
    shared = rng.normal(size=n)
    scores = [np.round(shared + rng.normal(size=n) + skill * target, digits) for skill in (0.5, 1.0)]
    return target.astype(int), scores[0], scores[1]


@given(two_scores())
@settings(max_examples=60)
def test_equals_mlstatkit(case: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    target, first, second = case
    z, p_value, first_ends, second_ends, first_area, second_area, info = Delong_test(target, first, second)
    if info["method"] != "delong":  # no variance to divide by
        return
    result = delong_test(target, first, second, confidence_level=0.95)
    assert (result.z, result.p_value) == pytest.approx((z, p_value), abs=1e-6)
    assert (result.first.estimate, result.second.estimate) == pytest.approx((first_area, second_area), abs=1e-6)
    assert (result.first.low, result.first.high) == pytest.approx(first_ends, abs=1e-6)
    assert (result.second.low, result.second.high) == pytest.approx(second_ends, abs=1e-6)
    half = norm.ppf(0.975) * math.sqrt(info["var_diff"])
    assert result.difference.estimate == pytest.approx(second_area - first_area, abs=1e-6)
    assert result.difference.high == pytest.approx(min(1, result.difference.estimate + half), abs=1e-6)


@given(two_scores())
@settings(max_examples=30)
def test_variance_is_that_of_the_definition_over_all_pairs(case: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    """DeLong et al. (1988): variances of the structural components, by the m x n matrix of pairs."""
    target, score, _ = case
    positive, negative = score[target == 1], score[target == 0]
    pairs = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    components = pairs.mean(axis=1), pairs.mean(axis=0)
    area, variance = auc_variance(target, score)
    assert area == pytest.approx(roc_auc_score(target, score))
    assert variance == pytest.approx(sum(part.var(ddof=1) / part.size for part in components))


def test_swapping_the_scores_mirrors_the_result() -> None:
    rng = np.random.default_rng(0)
    target, first = np.arange(50) % 2, rng.normal(size=50)
    second = first + target + rng.normal(size=50)
    forward, backward = (
        delong_test(target, first, second, confidence_level=0.9),
        delong_test(target, second, first, confidence_level=0.9),
    )
    assert forward.z == -backward.z > 0 and forward.p_value == backward.p_value
    assert forward.difference.low == pytest.approx(-backward.difference.high)
    assert forward.first == backward.second == auc_interval(target, first, confidence_level=0.9)


def test_a_score_against_a_monotone_transform_of_itself_differs_in_nothing() -> None:
    target, score = np.array([0, 1, 0, 1, 1, 0]), np.array([0.1, 0.4, 0.5, 0.6, 0.9, 0.2])
    result = delong_test(target, score, np.exp(score), confidence_level=0.95)
    assert (result.difference.estimate, result.z, result.p_value) == (0, 0, 1)


def test_opposite_certainty_has_no_p_value() -> None:
    target = np.array([0, 0, 1, 1])
    result = delong_test(target, 1 - target, target, confidence_level=0.95)
    assert (result.first.low, result.first.high, result.second.low, result.second.high) == (0, 0, 1, 1)
    assert result.difference.estimate == 1
    assert math.isnan(result.z) and math.isnan(result.p_value)


def test_the_interval_stays_between_0_and_1_and_widens_with_the_level() -> None:
    target, score = np.array([0, 0, 0, 1, 1]), np.array([0.1, 0.2, 0.7, 0.6, 0.9])
    narrow, wide = (auc_interval(target, score, confidence_level=level) for level in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.estimate < narrow.high < wide.high == 1


@pytest.mark.parametrize(
    ("target", "score", "message"),
    [
        ([0, 1], [0.5], r"target \(2,\) and score \(1,\)"),
        ([0, 2, 1], [0.1, 0.2, 0.3], "0 and 1"),
        ([0, 1, 1, 0], [0.1, math.nan, 0.3, 0.2], "1 of 4 scores are not finite"),
        ([0, 1, 1], [0.1, 0.2, 0.3], "2 positive and 1 negative rows: a variance needs at least two of each"),
    ],
)
def test_refuses(target: list[int], score: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        auc_interval(target, score, confidence_level=0.95)
    with pytest.raises(ValueError, match="confidence_level=95"):
        auc_interval([0, 0, 1, 1], [1, 2, 3, 4], confidence_level=95)
