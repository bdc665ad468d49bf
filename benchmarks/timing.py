"""Processor time of alternating repeats, so that what else the machine does touches both sides alike, and little."""

import os
import statistics
from collections.abc import Callable, Mapping


def seconds(action: Callable[[], object]) -> float:
    """Processor time of this process, and of its children that have ended."""
    began = sum(os.times()[:4])
    action()
    return sum(os.times()[:4]) - began


def alternate(actions: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of processor time of each action over `repeats` rounds in which they take turns."""
    spent: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(repeats):
        for name, action in actions.items():
            spent[name].append(seconds(action))
    return {name: statistics.median(times) for name, times in spent.items()}
