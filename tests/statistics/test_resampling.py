"""The one setting of every interval and test."""

import pytest

from hallmark.statistics import Resampling


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((1.0, 2000, 0), "^confidence_level=1.0: expected a coverage strictly between 0 and 1"),
        ((95, 2000, 0), "^confidence_level=95"),
        ((0.95, 39, 0), "^n_resamples=39: expected at least 40, which confidence_level=0.95 needs"),
        ((0.99, 199, 0), "^n_resamples=199: expected at least 200"),
        ((0.95, 40, -1), "^seed=-1: expected a whole number"),
    ],
)
def test_values_out_of_range_are_refused_by_their_key(values: tuple[float, int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Resampling(*values)


def test_the_least_number_of_resamples_resolves_the_tails() -> None:
    assert [Resampling(level, n, 0).n_resamples for level, n in ((0.95, 40), (0.9, 20), (0.99, 200))] == [40, 20, 200]


def test_it_says_itself_for_readers() -> None:
    setting = Resampling(0.95, 2000, 7)
    assert (setting.percent, setting.times) == ("95 %", "2000 times (seed 7)")
