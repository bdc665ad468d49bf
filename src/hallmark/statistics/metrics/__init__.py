"""Metrics of rows and of sets of rows."""

LOWER_IS_BETTER = frozenset(
    {
        "log_loss", "brier", "ece", "eer", "kernel_distance", "kernel_distance_halves", "frechet_distance",
        "frechet_distance_halves", "frechet_ratio", "copies",
    }
)  # fmt: skip
"""Of all other metrics, higher is better, but for those `WITHOUT_DIRECTION`."""

WITHOUT_DIRECTION = frozenset(
    {
        "kernel_distance_real", "frechet_distance_real", "judge_accuracy_real", "real_trained_accuracy",
        "nyquist_energy",
    }
)  # fmt: skip
"""What speaks of real rows alone, and what is best near 1."""


def lower_is_better(name: str) -> bool:
    """Of a metric or a loss, by its name with or without split and task: `val/kernel_distance`."""
    metric = name.rpartition("/")[2]
    return metric in LOWER_IS_BETTER or metric == "loss"


def has_direction(name: str) -> bool:
    """Whether more or less of it is better, by its name with or without split and task."""
    return name.rpartition("/")[2] not in WITHOUT_DIRECTION
