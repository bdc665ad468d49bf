import pytest

from hallmark.statistics import Interval


def test_is_frozen() -> None:
    with pytest.raises(AttributeError):
        Interval(0.5, 0.4, 0.6, 0.95).low = 0.0  # type: ignore[misc]
