"""Mean and spread over repeats."""

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from hallmark.statistics.text import number_text


@dataclass(frozen=True)
class Spread:
    """Mean of n values and their sample standard deviation (divisor n - 1), None below n = 2."""

    mean: float
    std: float | None
    n: int

    def __str__(self) -> str:
        """`0.712 ± 0.008 (n = 5)`; without the deviation at n = 1, a dash where there is no value."""
        deviation = "" if self.std is None else f" ± {number_text(self.std)}"
        return f"{number_text(self.mean)}{deviation} (n = {self.n})"


def spread(values: Iterable[float]) -> Spread:
    """Mean, sample standard deviation and number of `values`.

    An undefined value (nan) is left out, and `n` counts the others. Without any, the mean is nan.
    """
    defined = [float(value) for value in values if not math.isnan(value)]
    deviation = statistics.stdev(defined) if len(defined) > 1 else None
    return Spread(statistics.fmean(defined) if defined else math.nan, deviation, len(defined))
