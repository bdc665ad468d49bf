import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from hallmark.statistics import Interval
from hallmark.statistics.proportions import wilson


@given(st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.5, 0.999))
def test_ends_solve_the_score_equation(counts: tuple[int, int], level: float) -> None:
    """Wilson's ends are the p at which |successes / n - p| is z standard errors of p itself."""
    successes, n = counts
    interval = wilson(successes, n, level)
    assert interval.estimate == successes / n
    assert 0 <= interval.low <= interval.estimate <= interval.high <= 1
    assert interval.high - interval.low > 1e-4
    z = norm.ppf((1 + level) / 2)
    for end in (interval.low, interval.high):
        assert (successes / n - end) ** 2 == pytest.approx(z**2 * end * (1 - end) / n, abs=1e-9)


def test_textbook_value() -> None:
    interval = wilson(8, 10, 0.95)  # centre (8 + z^2 / 2) / (10 + z^2), z = 1.959964
    assert (interval.low, interval.high) == pytest.approx((0.4901625, 0.9433178), abs=1e-6)


def test_extremes_keep_a_width() -> None:
    none, every = wilson(0, 20, 0.95), wilson(20, 20, 0.95)
    assert none.low == 0 and 0.1 < none.high < 0.2
    assert every.high == 1 and 0.8 < every.low < 0.9


def test_no_rows() -> None:
    interval = wilson(0, 0, 0.9)
    assert math.isnan(interval.estimate)
    assert (interval.low, interval.high, interval.confidence_level) == (0.0, 1.0, 0.9)


@pytest.mark.parametrize(("successes", "n"), [(3, 2), (-1, 5), (0, -1)])
def test_refuses_impossible_counts(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match=f"successes={successes} is not between 0 and n={n}"):
        wilson(successes, n, 0.95)


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0, math.nan])
def test_refuses_a_level_that_is_not_a_coverage(level: float) -> None:
    with pytest.raises(ValueError, match="confidence_level="):
        wilson(1, 2, level)


def test_returns_an_interval() -> None:
    assert isinstance(wilson(1, 2, 0.95), Interval)
