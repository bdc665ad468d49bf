from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy.stats import permutation_test as reference

from hallmark.statistics import Resampling, paired_difference

Maker = Callable[..., pd.DataFrame]


@pytest.fixture
def p_value(make_scores: Maker) -> Callable[..., float]:
    """The p of the comparison of two columns of scores, by whole groups."""

    def compare(first: np.ndarray, second: np.ndarray, groups: object = None, permutations: int = 40_000) -> float:
        tables = make_scores(first, groups), make_scores(second, groups)
        return paired_difference(*tables, "score", resampling=Resampling(0.95, permutations, 0)).p_value

    return compare


@pytest.fixture
def scores() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    first = rng.normal(size=12)
    return first, first + rng.normal(0.4, 0.8, size=12)


def test_equals_the_exact_test_of_scipy(p_value: Callable[..., float], scores: tuple[np.ndarray, np.ndarray]) -> None:
    exact = reference(scores, lambda x, y: np.mean(y - x), permutation_type="samples", n_resamples=5000)
    assert 0.01 < exact.pvalue < 0.5
    assert p_value(*scores) == pytest.approx(exact.pvalue, abs=0.01)


def test_groups_are_exchanged_as_one(p_value: Callable[..., float], scores: tuple[np.ndarray, np.ndarray]) -> None:
    sums = (scores[1] - scores[0]).reshape(6, 2).sum(axis=1)
    exact = reference((np.zeros(6), sums), lambda x, y: np.sum(y - x), permutation_type="samples", n_resamples=5000)
    grouped = p_value(*scores, groups=np.repeat(np.arange(6), 2))
    assert grouped == pytest.approx(exact.pvalue, abs=0.01)
    assert abs(grouped - p_value(*scores)) > 0.02


def test_p_is_never_0_and_1_for_equals(p_value: Callable[..., float]) -> None:
    assert p_value(np.zeros(50), np.ones(50), permutations=99) == 0.01
    assert p_value(np.ones(5), np.ones(5), permutations=99) == 1


def test_p_is_uniform_where_nothing_differs(p_value: Callable[..., float]) -> None:
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 3)
    p_values = []
    for _ in range(150):
        luck = rng.normal(size=(20, 2))[groups]
        first, second = (luck + rng.normal(size=(60, 2))).T
        p_values.append(p_value(first, second, groups, permutations=99))
    assert 0.02 <= np.mean(np.array(p_values) <= 0.05) <= 0.09
    assert 0.45 <= np.mean(p_values) <= 0.55
