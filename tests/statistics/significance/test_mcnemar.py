import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar as reference

from hallmark.statistics.significance.mcnemar import mcnemar_p


def correctness(both: int, only_first: int, only_second: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    cells = [both, only_first, only_second, neither]
    return np.repeat([True, True, False, False], cells), np.repeat([True, False, True, False], cells)


@given(st.integers(0, 30), st.integers(0, 40), st.integers(0, 40), st.integers(0, 30))
@example(3, 600, 400, 2)
def test_is_the_exact_test_up_to_1000_discordant_rows(
    both: int, only_first: int, only_second: int, neither: int
) -> None:
    expected = reference([[both, only_first], [only_second, neither]], exact=True).pvalue
    assert mcnemar_p(*correctness(both, only_first, only_second, neither)) == pytest.approx(expected, abs=1e-9)


@given(st.integers(0, 900), st.integers(901, 1200))
def test_beyond_it_has_the_continuity_correction(only_first: int, only_second: int) -> None:
    only_first += 101
    assume(only_first != only_second)  # statsmodels corrects a difference of zero as well, to p < 1
    expected = reference([[10, only_first], [only_second, 10]], exact=False, correction=True).pvalue
    assert mcnemar_p(*correctness(10, only_first, only_second, 10)) == pytest.approx(expected, abs=1e-9)


def test_equal_counts_never_differ() -> None:
    assert mcnemar_p(*correctness(0, 600, 600, 0)) == 1
    assert mcnemar_p(*correctness(5, 0, 0, 5)) == 1


def test_the_two_forms_meet_where_one_takes_over() -> None:
    exact, corrected = (mcnemar_p(*correctness(0, n, 460, 0)) for n in (540, 541))
    assert exact != corrected
    assert exact == pytest.approx(corrected, abs=2e-3)
