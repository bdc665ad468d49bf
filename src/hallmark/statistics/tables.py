"""From the predictions table to arrays and metrics.

The table has one schema for all systems. Read by statistics: `id`, `task`, `group` (the unit that is
resampled), `target` and `prediction` (class names; target missing = unlabelled), `probabilities` (list of
floats in class order), `score` (higher is better), and in a table of repeats `member` (which run predicts the row) and
`repetition` (int: which whole pass over the data the row belongs to). `attrs["classes"]` maps each classification task
to its class names in order; a task that it does not name has scores only; with the columns `intersection`, `union` and
`target_area` (pixels) it is a segmentation, whose score is the IoU.
"""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hallmark.statistics.members import row_count
from hallmark.statistics.metrics.classification import CLASSIFICATION_METRICS, Floats, Integers, classification_metrics
from hallmark.statistics.metrics.segmentation import SEGMENTATION_METRICS, segmentation_metrics

OVERLAP = ("intersection", "union", "target_area")


def table_metrics(predictions: pd.DataFrame) -> dict[str, dict[str, float | None]]:
    """Final metrics of every task, from its labelled rows.

    Returns:
        `{task: {metric: value, "n": rows}}` in order of first appearance; {} where no row is labelled. A
        classification task has every metric of `classification_metrics`, the count-based ones from the
        `prediction` column; a segmentation those of `segmentation_metrics`; another task has `score`, the mean of
        that column. In a table of repeats each metric
        is the mean over repetitions of the metric in each, and `n` counts each row once. An undefined value is
        None, so that the result is strict JSON.

    Raises:
        ValueError: `attrs["classes"]` is missing, or the columns do not fit it.
    """
    rows = labelled_rows(predictions)
    metrics: dict[str, dict[str, float | None]] = {}
    for task, part in rows.groupby("task", sort=False, observed=True):
        classes = class_order(predictions, str(task))
        values = [_metrics_once(part[member], classes) for member in repetition_masks(part)]
        means = {name: float(np.mean([value[name] for value in values])) for name in values[0]}
        defined = {name: None if math.isnan(mean) else mean for name, mean in means.items()}
        metrics[str(task)] = {**defined, "n": row_count(part)}
    return metrics


def labelled_rows(predictions: pd.DataFrame) -> pd.DataFrame:
    """Rows that statistics may use: with a target in classification tasks, with a score in the others."""
    classified = predictions["task"].isin(list(_classes(predictions)))
    return predictions[predictions["target"].notna().where(classified, predictions["score"].notna())]


def class_order(predictions: pd.DataFrame, task: str) -> list[str] | None:
    """Class names of `task` in the order of `probabilities`; None where the task has scores only."""
    classes = _classes(predictions).get(task)
    return None if classes is None else [str(name) for name in classes]


def is_segmentation(rows: pd.DataFrame) -> bool:
    """Whether rows of a task without classes say how masks overlap."""
    return all(name in rows for name in OVERLAP)


def metric_names(rows: pd.DataFrame, classes: Sequence[str] | None) -> tuple[str, ...]:
    """Names of the metrics that rows of one task have, the main one of a task without classes first."""
    if classes is not None:
        return CLASSIFICATION_METRICS
    return SEGMENTATION_METRICS if is_segmentation(rows) else ("score",)


def target_array(rows: pd.DataFrame, classes: Sequence[str]) -> Integers:
    """Targets as class indices [N]. ValueError names those that are not in `classes`, missing included."""
    return _class_indices(rows, "target", classes)


def prediction_array(rows: pd.DataFrame, classes: Sequence[str]) -> Integers:
    """Predictions as class indices [N]. ValueError names those that are not in `classes`."""
    return _class_indices(rows, "prediction", classes)


def probability_array(rows: pd.DataFrame, classes: Sequence[str]) -> Floats:
    """Probabilities [N, C]. ValueError where a row does not have one number per class."""
    column = rows["probabilities"].tolist()
    wrong = [row for row in column if np.shape(row) != (len(classes),)]
    if wrong:
        raise ValueError(
            f"{len(wrong)} of {len(column)} rows do not have {len(classes)} probabilities "
            f"(one per class: {', '.join(classes)}), first: {wrong[0]}"
        )
    return np.array(column, dtype=np.float64).reshape(len(column), len(classes))


def repetition_masks(rows: pd.DataFrame) -> list[NDArray[np.bool_]]:
    """Which rows [N] belong to each repetition, in ascending order; all rows to one where there is no such column.

    Raises:
        ValueError: a row has no repetition.
    """
    if "repetition" not in rows:
        return [np.ones(len(rows), dtype=bool)]
    column = rows["repetition"]
    if column.isna().any():
        raise ValueError(f"{column.isna().sum()} of {len(rows)} rows have no repetition: give each an integer")
    return [(column == value).to_numpy(dtype=bool) for value in np.sort(column.unique())]


def _metrics_once(rows: pd.DataFrame, classes: list[str] | None) -> dict[str, float]:
    if classes is None:
        if not is_segmentation(rows):
            return {"score": float(rows["score"].mean())}
        return segmentation_metrics(*(rows[name].to_numpy(np.float64) for name in ("score", *OVERLAP)))
    return classification_metrics(
        target_array(rows, classes), probability_array(rows, classes), prediction_array(rows, classes)
    )


def _classes(predictions: pd.DataFrame) -> dict[str, list[str]]:
    if "classes" not in predictions.attrs:
        raise ValueError(
            'predictions.attrs["classes"] is missing: give {task: [class names in order]}, {} for a table of '
            "scores only (pandas drops attrs when it concatenates tables whose attrs differ)"
        )
    classes: dict[str, list[str]] = predictions.attrs["classes"]
    return classes


def _class_indices(rows: pd.DataFrame, column: str, classes: Sequence[str]) -> Integers:
    indices = pd.Index(list(classes), dtype=object).get_indexer(pd.Index(rows[column], dtype=object))
    unknown = rows[column][indices < 0]
    if len(unknown):
        names = ", ".join(sorted({repr(name) for name in unknown}))
        count = f"{len(unknown)} of {len(rows)} rows have a {column} ({names})"
        raise ValueError(f"{count} that is not in {list(classes)}")
    return np.asarray(indices, dtype=np.intp)
