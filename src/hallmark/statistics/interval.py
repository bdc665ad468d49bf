"""An estimate with its interval."""

import math
from dataclasses import dataclass

from hallmark.checks import require


@dataclass(frozen=True)
class Interval:
    """A point estimate and the two-sided interval around it, all in the metric's own unit.

    Attributes:
        estimate: value on the data as it is; nan where there is no data.
        low: lower end; nan where the data say nothing about the spread (one group, undefined metric).
        high: upper end; nan where `low` is.
        confidence_level: nominal coverage, strictly between 0 and 1.
    """

    estimate: float
    low: float
    high: float
    confidence_level: float

    def format(self, *, percent: bool = True, digits: int = 1) -> str:
        """`71.2 % [68.9, 73.4]`, or with `percent=False, digits=3` `0.712 [0.689, 0.734]`; nan reads n/a."""
        scale, unit = (100.0, " %") if percent else (1.0, "")
        estimate, low, high = (
            "n/a" if math.isnan(value) else f"{scale * value:.{digits}f}"
            for value in (self.estimate, self.low, self.high)
        )
        return f"{estimate}{unit} [{low}, {high}]"

    def __str__(self) -> str:
        return self.format()


def check_confidence_level(confidence_level: float) -> None:
    """Raise `SettingError` unless `confidence_level` is strictly between 0 and 1."""
    expected = "a coverage strictly between 0 and 1, such as 0.95"
    require(0 < confidence_level < 1, "confidence_level", confidence_level, expected)
