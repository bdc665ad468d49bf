"""Names that `metrics.json` is keyed by, and one number out of it."""

from collections.abc import Mapping
from typing import Any

MAIN = "main"
"""The task of a system that has only one."""

TEST = "test"
"""The split that the seal keeps."""

OUT_OF_FOLD = "out_of_fold"
"""The split of predictions of training rows by models that were fitted without them."""

UNLABELLED = "predict"
"""The split of rows without a label, of which nothing is measured."""


def find_metric(metrics: Mapping[str, Any], name: str) -> float | None:
    """The number that `name` means in the metrics of a run; None where they do not have it.

    Args:
        metrics: `{split: {task: {metric: value}}}`.
        name: `split/task/metric`; or `split/metric`, of the one task or the mean over all tasks.
    """
    split, *task, metric = name.split("/")
    of_split = metrics.get(split, {})
    if not task and MAIN not in of_split:
        values = [of_task.get(metric) for of_task in of_split.values()]
        return sum(values) / len(values) if values and None not in values else None
    value = of_split.get(task[0] if task else MAIN, {}).get(metric)
    return None if value is None else float(value)
