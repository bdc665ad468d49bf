"""Wall time of alternating repeats, so that a slow minute of the machine touches both sides alike."""

import statistics
import time
from collections.abc import Callable, Mapping


def seconds(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def alternate(actions: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of each action over `repeats` rounds in which they take turns."""
    spent: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(repeats):
        for name, action in actions.items():
            spent[name].append(seconds(action))
    return {name: statistics.median(times) for name, times in spent.items()}
