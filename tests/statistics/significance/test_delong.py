import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from MLstatkit import Delong_test

from hallmark.statistics.significance.delong import delong_p


@st.composite
def two_scores(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positives, at least two rows of each class, and two related scores of them, with or without ties."""
    n, digits = draw(st.integers(8, 80)), draw(st.sampled_from([1, 2, 8]))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    positive = rng.permutation(np.arange(n) < draw(st.integers(2, n - 2)))
    shared = rng.normal(size=n)
    scores = [np.round(shared + rng.normal(size=n) + skill * positive, digits) for skill in (0.5, 1.0)]
    return positive, scores[0], scores[1]


@given(two_scores())
@settings(max_examples=60)
def test_equals_mlstatkit(case: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    positive, first, second = case
    _, p_value, *_, info = Delong_test(positive.astype(int), first, second)
    if info["method"] == "delong":  # else there is no variance to divide by
        assert delong_p(positive, first, second) == pytest.approx(p_value, abs=1e-6)


def test_swapping_the_scores_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    positive, first = np.arange(50) % 2 == 1, rng.normal(size=50)
    second = first + positive + rng.normal(size=50)
    assert 0 < delong_p(positive, first, second) == delong_p(positive, second, first) < 0.5


def test_a_score_against_a_monotone_transform_of_itself_differs_in_nothing() -> None:
    positive, score = np.array([0, 1, 0, 1, 1, 0]) == 1, np.array([0.1, 0.4, 0.5, 0.6, 0.9, 0.2])
    assert delong_p(positive, score, np.exp(score)) == 1


def test_opposite_certainty_has_no_p_value() -> None:
    positive = np.array([0, 0, 1, 1]) == 1
    assert math.isnan(delong_p(positive, 1.0 - positive, 1.0 * positive))
