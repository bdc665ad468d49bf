"""Shares of simulations, each held against its bar."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.results import Cell, count_cell, number_cell, write_result
from benchmarks.simulation.cells import PERCENTILE
from benchmarks.simulation.reference import METRICS
from benchmarks.simulation.world import Floats

STANDARD_ERRORS = 2  # by which a rate may be worse than its bar
MAX_FALSE = 0.05


@dataclass(frozen=True)
class Rate:
    """A share of n simulations.

    Attributes:
        hits: simulations that count.
        n: all simulations.
        bar: the least share; or, where `at_most`, the largest. None where there is none.
    """

    hits: int
    n: int
    bar: float | None = None
    at_most: bool = False

    @property
    def share(self) -> float:
        return self.hits / self.n

    @property
    def standard_error(self) -> float:
        return math.sqrt(self.share * (1 - self.share) / self.n)

    @property
    def holds(self) -> bool:
        """Whether the share is not worse than the bar by more than two standard errors."""
        if self.bar is None:
            return True
        excess = self.share - self.bar if self.at_most else self.bar - self.share
        return excess <= STANDARD_ERRORS * self.standard_error

    def __str__(self) -> str:
        return f"{self.share:.3f} ({self.standard_error:.3f})" + ("" if self.holds else " **falls short**")

    @property
    def cell(self) -> dict[str, float | int | str | bool | None]:
        numbers = {"rate": round(self.share, 6), "standard_error": round(self.standard_error, 6), "n": self.n}
        return {"text": str(self), **numbers, "bar": self.bar, "holds": self.holds}


def least_coverage(n_groups: int) -> float:
    """The bar of the nominal 95 % interval."""
    return 0.93 if n_groups >= 6 else 0.90


def coverage(ends: dict[str, Floats], truth: dict[str, float], n_groups: int) -> dict[str, Rate]:
    """How often intervals [simulations, 2] hold the true value, by metric; one that is undefined does not.

    Intervals of the percentile bootstrap are there for comparison, and have no bar.
    """
    rates = {}
    for name, values in ends.items():
        metric = name.removeprefix(PERCENTILE)
        covered = (values[:, 0] <= truth[metric]) & (truth[metric] <= values[:, 1])
        bar = least_coverage(n_groups) if name in METRICS else None
        rates[name] = Rate(int(covered.sum()), len(values), bar)
    return rates


def false_verdicts(values: dict[str, Floats], bar: float | None = MAX_FALSE) -> dict[str, Rate]:
    """How often a difference between equals is claimed, from (p, claimed) [simulations, 2] by metric."""
    return {
        name: Rate(int(np.count_nonzero(claims[:, 1])), len(claims), bar, at_most=True)
        for name, claims in values.items()
    }


def write_rates(
    name: str, *, rows: str, covered: Sequence[Mapping[str, Cell]], rates: Sequence[Rate], began: float
) -> None:
    """Write the result `name` of a simulation of coverage.

    Args:
        rows: what was simulated; covered: the table; rates: all that stand in it.
        began: `time.process_time()` at the start.
    """
    write_result(
        name,
        rows=rows,
        intervals="Beside each rate stands its standard error; it falls short where it is worse than its bar by more "
        "than two of them.",
        tables={"coverage": covered},
        values={
            "cells": count_cell(len(rates)),
            "short": count_cell(sum(not rate.holds for rate in rates)),
            "processor_minutes": number_cell((time.process_time() - began) / 60, 0),
        },
    )
