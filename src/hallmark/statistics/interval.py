"""An estimate with its interval."""

import math
from dataclasses import dataclass

from hallmark.checks import require

MIN_GROUPS = 4  # fewer say too little about their spread for an interval


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

    @classmethod
    def undefined(cls, confidence_level: float) -> "Interval":
        """Of what has no value."""
        return cls(math.nan, math.nan, math.nan, confidence_level)

    def columns(self, name: str) -> dict[str, float]:
        """Its cells in a row of a table: `name`, `<name>_low` and `<name>_high`."""
        return {name: self.estimate, f"{name}_low": self.low, f"{name}_high": self.high}

    @property
    def negated(self) -> "Interval":
        """Of the same number with its sign turned: of B − A where this is of A − B."""
        return Interval(-self.estimate, -self.high, -self.low, self.confidence_level)


def check_confidence_level(confidence_level: float) -> None:
    """Raise `SettingError` unless `confidence_level` is strictly between 0 and 1."""
    expected = "a coverage strictly between 0 and 1, such as 0.95"
    require(0 < confidence_level < 1, "confidence_level", confidence_level, expected)
