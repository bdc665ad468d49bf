import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar as reference

from hallmark.statistics import McNemar, mcnemar


def correctness(both: int, only_first: int, only_second: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    cells = [both, only_first, only_second, neither]
    return np.repeat([True, True, False, False], cells), np.repeat([True, False, True, False], cells)


@given(st.integers(0, 30), st.integers(0, 40), st.integers(0, 40), st.integers(0, 30))
@example(3, 600, 400, 2)
def test_is_the_exact_test_up_to_1000_discordant_rows(
    both: int, only_first: int, only_second: int, neither: int
) -> None:
    result = mcnemar(*correctness(both, only_first, only_second, neither))
    expected = reference([[both, only_first], [only_second, neither]], exact=True).pvalue
    assert result == McNemar(only_first, only_second, pytest.approx(expected, abs=1e-9), True)


@given(st.integers(0, 900), st.integers(901, 1200))
def test_beyond_it_has_the_continuity_correction(only_first: int, only_second: int) -> None:
    only_first += 101
    assume(only_first != only_second)  # statsmodels corrects a difference of zero as well, to p < 1
    result = mcnemar(*correctness(10, only_first, only_second, 10))
    expected = reference([[10, only_first], [only_second, 10]], exact=False, correction=True).pvalue
    assert result == McNemar(only_first, only_second, pytest.approx(expected, abs=1e-9), False)


def test_equal_counts_never_differ() -> None:
    assert mcnemar(*correctness(0, 600, 600, 0)).p_value == 1
    assert mcnemar(*correctness(5, 0, 0, 5)).p_value == 1
    assert mcnemar([], []).p_value == 1


def test_the_two_forms_meet_where_one_takes_over() -> None:
    exact, corrected = (mcnemar(*correctness(0, n, 460, 0)) for n in (540, 541))
    assert exact.exact and not corrected.exact
    assert exact.p_value == pytest.approx(corrected.p_value, abs=2e-3)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [([True], [True, False], r"\(1,\) and second_correct \(2,\)"), ([0.5], [1], "0 and 1")],
)
def test_refuses(first: list[float], second: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mcnemar(first, second)
