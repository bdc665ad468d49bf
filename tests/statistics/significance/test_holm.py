import math
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from hallmark.statistics.significance.holm import holm


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
@settings(max_examples=25)
def test_equals_statsmodels(p_values: list[float]) -> None:
    with patch("gc.collect"):  # statsmodels collects the garbage of the whole session at every call
        expected = multipletests(p_values, method="holm")[1]
    assert holm(p_values) == pytest.approx(expected)


def test_by_hand() -> None:
    assert holm([0.04, 0.01, 0.03]).tolist() == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.2]).tolist() == [0.2]
    assert holm([]).tolist() == []


def test_an_undefined_p_is_no_comparison() -> None:
    adjusted = holm([0.04, math.nan, 0.01])
    assert adjusted[[0, 2]].tolist() == pytest.approx([0.04, 0.02]) and math.isnan(adjusted[1])
    assert np.isnan(holm([math.nan])).all()


@pytest.mark.parametrize("p_values", [[1.2], [-0.1, 0.5], [[0.1]]])
def test_refuses(p_values: list[float]) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        holm(p_values)
