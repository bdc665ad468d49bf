"""What the tests of accesses to test splits share."""

from collections.abc import Callable
from typing import Any

from hallmark.runs.run import Run
from hallmark.runs.seal import seal_of

Maker = Callable[..., Run]
METRICS = {"main": {"accuracy": 0.75, "macro_f1": 0.5, "auroc": None, "n": 8}}


def open_test_split(*runs: Run, reason: str | None = None, metrics: dict[str, Any] = METRICS) -> None:
    with seal_of(*runs).opened(runs, reason=reason) as access:
        for run in runs:
            access.record(run, metrics)
