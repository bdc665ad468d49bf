import math

import pytest

from hallmark.statistics import Interval


def test_formats_as_percent_or_plainly() -> None:
    interval = Interval(0.7123, 0.689, 0.734, 0.95)
    assert str(interval) == f"{interval}" == "71.2 % [68.9, 73.4]"
    assert interval.format(digits=2) == "71.23 % [68.90, 73.40]"
    assert interval.format(percent=False, digits=3) == "0.712 [0.689, 0.734]"


def test_nan_reads_as_not_available() -> None:
    assert str(Interval(0.5, math.nan, math.nan, 0.95)) == "50.0 % [n/a, n/a]"


def test_is_frozen() -> None:
    with pytest.raises(AttributeError):
        Interval(0.5, 0.4, 0.6, 0.95).low = 0.0  # type: ignore[misc]
