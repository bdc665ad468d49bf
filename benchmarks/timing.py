"""Processor time of alternating repeats, so that what else the machine does touches both sides alike, and little."""

import resource
import statistics
from collections.abc import Callable, Mapping


def seconds(action: Callable[[], object]) -> float:
    """Processor time of this process, and of its children that have ended."""
    began = _spent()
    action()
    return _spent() - began


def _spent() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)  # to the microsecond, which os.times does not count


def alternate(actions: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of processor time of each action over `repeats` rounds in which they take turns."""
    spent: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(repeats):
        for name, action in actions.items():
            spent[name].append(seconds(action))
    return {name: statistics.median(times) for name, times in spent.items()}
