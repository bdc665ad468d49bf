"""What the analyses of predicted masks share: the answers by task, their scores, names for readers."""

from collections.abc import Collection, Sequence
from typing import Any

import pandas as pd

from hallmark.analysis.presentation import labelled_tasks
from hallmark.runs.metrics import MAIN
from hallmark.statistics import Interval, Resampling, all_intervals, is_segmentation, metric_interval
from hallmark.statistics.members import row_count
from hallmark.statistics.tables import OVERLAP

ONE_SHOT, ORACLE = "one_shot", "oracle"
_TASKS = (ONE_SHOT, MAIN, ORACLE)


def check_masks(predictions: pd.DataFrame, analysis: str) -> None:
    """Raise ValueError, naming the analysis, unless the rows say how masks overlap."""
    classes = predictions.attrs.get("classes", {})
    if is_segmentation(predictions) and MAIN in set(predictions["task"]) - set(classes):
        return
    tasks = ", ".join(f"{name} ({'classes' if name in classes else 'scores'})" for name in predictions["task"].unique())
    raise ValueError(
        f"{analysis}: needs predicted masks, a task {MAIN} without classes and the columns {', '.join(OVERLAP)}; "
        f"this table has {tasks or 'no rows'}"
    )


def answers(predictions: pd.DataFrame, analysis: str, needed: Sequence[str] = (MAIN,)) -> dict[str, pd.DataFrame]:
    """The rows with a true mask by task: one_shot, main and oracle, as far as they are there.

    Raises:
        ValueError: not a table of masks, no row with a true mask, or a task of `needed` is missing; it names the
            analysis.
    """
    check_masks(predictions, analysis)
    rows = {task: part for task, _, part in labelled_tasks(predictions)}
    if not rows:
        raise ValueError(f"{analysis}: needs rows with a true mask; none of these {len(predictions)} has one")
    for task in needed:
        if task not in rows:
            raise ValueError(f"{analysis}: needs the task {task}, which this table lacks")
    return {task: rows[task] for task in _TASKS if task in rows}


def task_name(task: str, tasks: Collection[str]) -> str:
    """A task as readers know it; the answer of a run that never rewrites is the one-shot answer."""
    if task == ORACLE:
        return "best proposal"
    return "loop" if task == MAIN and ONE_SHOT in tasks else "one-shot"


def scores(rows: pd.DataFrame, metrics: Sequence[str], resampling: Resampling) -> dict[str, float]:
    """Metrics of the rows of one task with the ends of their intervals; all nan without a row."""
    intervals = all_intervals(rows, metrics, resampling=resampling) if len(rows) else {}
    undefined = Interval.undefined(resampling.confidence_level)
    return {key: value for name in metrics for key, value in intervals.get(name, undefined).columns(name).items()}


def counts(rows: pd.DataFrame) -> dict[str, int]:
    """How many expressions, those of them without a target, and images."""
    empty = rows[rows["target_area"] == 0]
    return {"n": row_count(rows), "n_no_target": row_count(empty), "n_groups": rows["group"].nunique()}


def mean_score(rows: pd.DataFrame, name: str, values: Any, resampling: Resampling) -> dict[str, float]:
    """The mean of values [N] of the rows of one task with the ends of its interval; all nan without a row."""
    if rows.empty:
        return Interval.undefined(resampling.confidence_level).columns(name)
    return metric_interval(rows.assign(score=values), "score", resampling=resampling).columns(name)
