from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy.stats import permutation_test as reference

from hallmark.statistics import Resampling, paired_difference, permutation_test

Maker = Callable[..., pd.DataFrame]


@pytest.fixture
def scores() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    first = rng.normal(size=12)
    return first, first + rng.normal(0.4, 0.8, size=12)


def test_equals_the_exact_test_of_scipy(scores: tuple[np.ndarray, np.ndarray]) -> None:
    first, second = scores
    exact = reference((first, second), lambda x, y: np.mean(y - x), permutation_type="samples", n_resamples=5000)
    p_value = permutation_test(first, second, permutations=40_000, seed=0)
    assert 0.01 < exact.pvalue < 0.5
    assert p_value == pytest.approx(exact.pvalue, abs=0.01)


def test_groups_are_exchanged_as_one(scores: tuple[np.ndarray, np.ndarray]) -> None:
    first, second = scores
    groups = np.repeat(np.arange(6), 2)
    sums = (second - first).reshape(6, 2).sum(axis=1)
    exact = reference((np.zeros(6), sums), lambda x, y: np.sum(y - x), permutation_type="samples", n_resamples=5000)
    p_value = permutation_test(first, second, groups, permutations=40_000, seed=0)
    assert p_value == pytest.approx(exact.pvalue, abs=0.01)
    assert abs(p_value - permutation_test(first, second, permutations=40_000, seed=0)) > 0.02


def test_equals_the_paired_comparison_of_the_same_scores(make_predictions: Maker) -> None:
    rng = np.random.default_rng(4)
    groups = rng.integers(15, size=60)
    tables = [make_predictions([0] * 60, (rng.random(60) < wrong).astype(int), groups=groups) for wrong in (0.5, 0.3)]
    paired = paired_difference(*tables, "accuracy", resampling=Resampling(0.95, 4000, 0))
    scores = [table["score"].to_numpy() for table in tables]
    assert permutation_test(*scores, groups, permutations=4000, seed=0) == pytest.approx(paired.p_value, abs=0.02)


def test_p_is_never_0_and_1_for_equals() -> None:
    assert permutation_test(np.zeros(50), np.ones(50), permutations=99, seed=0) == 0.01
    assert permutation_test(np.ones(5), np.ones(5), permutations=99, seed=0) == 1


def test_p_is_uniform_where_nothing_differs() -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 3)
    p_values = []
    for _ in range(300):
        luck = rng.normal(size=(20, 2))[groups]
        first, second = (luck + rng.normal(size=(60, 2))).T
        p_values.append(permutation_test(first, second, groups, permutations=99, seed=0))
    assert 0.02 <= np.mean(np.array(p_values) <= 0.05) <= 0.09
    assert 0.45 <= np.mean(p_values) <= 0.55


@pytest.mark.parametrize(
    ("first", "second", "groups", "permutations", "message"),
    [
        ([], [], None, 9, "at least 1"),
        ([1.0], [1.0, 2.0], None, 9, r"first \(1,\) and second \(2,\)"),
        ([1.0], [np.nan], None, 9, "finite"),
        ([1.0, 2.0], [1.0, 2.0], ["a"], 9, "1 groups for 2 values"),
        ([1.0, 2.0], [1.0, 2.0], ["a", None], 9, "1 of 2 rows have no group"),
        ([1.0], [1.0], None, 0, "permutations=0"),
    ],
)
def test_refuses(first: list[float], second: list[float], groups: object, permutations: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        permutation_test(first, second, groups, permutations=permutations, seed=0)
