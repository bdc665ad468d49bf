"""Metrics of rows and of sets of rows."""

LOWER_IS_BETTER = frozenset({"log_loss", "brier", "ece", "eer", "kernel_distance", "frechet_distance"})
"""Of all other metrics, higher is better."""


def lower_is_better(name: str) -> bool:
    """Of a metric or a loss, by its name with or without split and task: `val/kernel_distance`."""
    metric = name.rpartition("/")[2]
    return metric in LOWER_IS_BETTER or metric == "loss"
