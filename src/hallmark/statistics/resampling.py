"""The one setting of every interval and test that resamples."""

import math
from dataclasses import dataclass

from hallmark.checks import require
from hallmark.statistics.interval import check_confidence_level


@dataclass(frozen=True)
class Resampling:
    """How intervals and tests resample, set once for a project in `conf/statistics/default.yaml`.

    Attributes:
        confidence_level: nominal coverage of intervals, strictly between 0 and 1; a test is at 1 - confidence_level.
        n_resamples: resamples of an interval and permutations of a test, at least 2 / (1 - confidence_level).
        seed: of both; equal seeds give equal numbers.

    Raises:
        SettingError: a value is out of range; it names the key.
    """

    confidence_level: float
    n_resamples: int
    seed: int

    def __post_init__(self) -> None:
        check_confidence_level(self.confidence_level)
        tails = 1 - self.confidence_level
        needed = math.ceil(2 / tails - 1e-6)
        expected = f"at least {needed}, which confidence_level={self.confidence_level:g} needs"
        require(self.n_resamples * tails >= 2 - 1e-9, "n_resamples", self.n_resamples, expected)
        require(self.seed >= 0, "seed", self.seed, "a whole number, at least 0")

    @property
    def percent(self) -> str:
        """The confidence level for readers: `95 %`."""
        return f"{100 * self.confidence_level:g} %"

    @property
    def times(self) -> str:
        """How often and from which seed, for readers: `2000 times (seed 0)`."""
        return f"{self.n_resamples} times (seed {self.seed})"
