import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hallmark.statistics import Spread, spread


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=20))
def test_is_the_mean_and_the_sample_deviation(values: list[float]) -> None:
    summary = spread(values)
    assert (summary.mean, summary.n) == (pytest.approx(np.mean(values), abs=1e-9), len(values))
    assert summary.std == pytest.approx(np.std(values, ddof=1), abs=1e-9)


def test_one_value_has_no_deviation() -> None:
    assert spread([0.7]) == Spread(0.7, None, 1)
    assert str(spread([0.7])) == "0.700 (n = 1)"


def test_an_undefined_value_is_left_out_and_not_counted() -> None:
    assert spread([0.5, math.nan, 0.75]) == spread([0.5, 0.75])
    for nothing in ([], [math.nan]):
        summary = spread(nothing)
        assert math.isnan(summary.mean) and (summary.std, summary.n) == (None, 0)
        assert str(summary) == "– (n = 0)"


def test_text() -> None:
    assert str(spread([0.5, 0.75])) == "0.625 ± 0.177 (n = 2)"
