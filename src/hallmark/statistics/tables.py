"""From the predictions table to arrays and metrics.

The table has one schema for all systems. Read by statistics: `id`, `task`, `group` (the unit that is
resampled), `target` and `prediction` (class names; target missing = unlabelled), `probabilities` (list of
floats in class order), `score` (higher is better), and in a table of repeats `member` (which run predicts the row) and
`repetition` (int: which whole pass over the data the row belongs to). `attrs["classes"]` maps each classification task
to its class names in order; a task that it does not name has scores only; with the columns `intersection`, `union` and
`target_area` (pixels) it is a segmentation, whose score is the IoU. With a `kind` (`real` or `generated`) and
`features` (list of D floats) its rows are two sets, whose metrics are distances between them. Rows of pictures have
`PICTURES` besides, and all metrics of `SET_METRICS`; `extractor` then names what gave the features.
"""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hallmark.statistics.members import row_count
from hallmark.statistics.metrics.classification import (
    CLASSIFICATION_METRICS,
    TWO_CLASS_METRICS,
    Floats,
    Integers,
    classification_metrics,
)
from hallmark.statistics.metrics.segmentation import SEGMENTATION_METRICS, segmentation_metrics
from hallmark.statistics.metrics.sets import COMPARED, DISTANCES, GENERATED, LARGEST_FEATURE, REAL, SET_METRICS
from hallmark.statistics.metrics.sets.rows import Rows

PICTURES = ("nyquist_energy", "train_distance")
"""Columns of real and generated pictures: numbers of `Rows`. Their `prediction` is what a judge reads."""

OVERLAP = ("intersection", "union", "target_area")


def table_metrics(predictions: pd.DataFrame) -> dict[str, dict[str, float | None]]:
    """Final metrics of every task, from its labelled rows.

    Returns:
        `{task: {metric: value, "n": rows}}` in order of first appearance; {} where no row is labelled. A
        classification task has every metric of `classification_metrics`, the count-based ones from the
        `prediction` column; a segmentation those of `segmentation_metrics`; two sets those of `SET_METRICS`;
        another task has `score`, the mean of that column. In a table of repeats each metric is the mean over
        repetitions of the metric in each, or over models where rows are two sets, and `n` counts each row once. An
        undefined value is None, so that the result is strict JSON.

    Raises:
        ValueError: `attrs["classes"]` is missing, or the columns do not fit it.
    """
    rows = labelled_rows(predictions)
    metrics: dict[str, dict[str, float | None]] = {}
    for task, part in rows.groupby("task", sort=False, observed=True):
        classes = class_order(predictions, str(task))
        # Sets are compared within a model: what several generated is not one set.
        column = "member" if is_two_sets(part) and "member" in part else "repetition"
        values = [_metrics_once(part[mask], classes) for mask in repetition_masks(part, column)]
        means = {name: float(np.mean([value[name] for value in values])) for name in values[0]}
        defined = {name: None if math.isnan(mean) else mean for name, mean in means.items()}
        metrics[str(task)] = {**defined, "n": row_count(part)}
    return metrics


def labelled_rows(predictions: pd.DataFrame) -> pd.DataFrame:
    """Rows that statistics may use: with a target in classification tasks, with a score or a kind in the others."""
    classified = predictions["task"].isin(list(_classes(predictions)))
    measured = predictions["score"].notna()
    if "kind" in predictions:
        measured |= predictions["kind"].notna()
    return predictions[predictions["target"].notna().where(classified, measured)]


def class_order(predictions: pd.DataFrame, task: str) -> list[str] | None:
    """Class names of `task` in the order of `probabilities`; None where the task has scores only."""
    classes = _classes(predictions).get(task)
    return None if classes is None else [str(name) for name in classes]


def is_segmentation(rows: pd.DataFrame) -> bool:
    """Whether rows of a task without classes say how masks overlap."""
    return all(name in rows for name in OVERLAP)


def is_two_sets(rows: pd.DataFrame) -> bool:
    """Whether rows of a task without classes are real and generated ones."""
    return "kind" in rows and bool(rows["kind"].notna().any())


def metric_names(rows: pd.DataFrame, classes: Sequence[str] | None) -> tuple[str, ...]:
    """Names of the metrics that rows of one task have, the main one of a task without classes first."""
    if classes is not None:
        return CLASSIFICATION_METRICS + (TWO_CLASS_METRICS if len(classes) == 2 else ())
    if is_two_sets(rows):
        return tuple(SET_METRICS if all(name in rows for name in PICTURES) else DISTANCES)
    return SEGMENTATION_METRICS if is_segmentation(rows) else ("score",)


def compared_names(rows: pd.DataFrame) -> list[str]:
    """Of `metric_names` of a task without classes, those by which two results are compared."""
    names = metric_names(rows, None)
    return [name for name in names if name in COMPARED] if is_two_sets(rows) else list(names[:2])


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


def is_real(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Which of the rows [N] of two sets are real, the others being generated. ValueError for another kind."""
    if strange := sorted(set(rows["kind"].astype(str)) - {REAL, GENERATED}):
        raise ValueError(f"rows are of kind {', '.join(strange)}: a row of two sets is {REAL} or {GENERATED}")
    return (rows["kind"] == REAL).to_numpy(dtype=bool)


def why_no_distance(rows: pd.DataFrame) -> str | None:
    """What rows of two sets lack to have a distance; None where they have one.

    Raises:
        ValueError: a kind that is neither real nor generated.
    """
    real = is_real(rows)
    if "features" not in rows or rows["features"].isna().all():
        return "the rows have no features"
    if n := int(rows["features"].isna().sum()):
        return f"{n} of {len(rows)} rows have no features"
    if len(widths := rows["features"].map(len).unique()) > 1:
        return f"the rows have features of different lengths ({', '.join(map(str, sorted(widths)))})"
    if n := int((~np.isfinite(feature_array(rows)).all(axis=1)).sum()):
        return f"{n} of {len(rows)} rows have features that are not finite"
    if (largest := float(np.abs(feature_array(rows)).max(initial=0.0))) > LARGEST_FEATURE:
        return f"the rows have features of up to {largest:.0e}, whose distances are too large for a number"
    of_models = pd.Series(real).groupby(rows["member"].to_numpy() if "member" in rows else np.zeros(len(rows)))
    n_real, n_generated = int(of_models.sum().min()), int((of_models.size() - of_models.sum()).min())
    if min(n_real, n_generated) < 2:
        return f"a distance needs two rows of each kind, and there are {n_real} {REAL} and {n_generated} {GENERATED}"
    return None


def two_sets(rows: pd.DataFrame) -> tuple[Rows, Rows]:
    """The real and the generated rows of one model, of which `why_no_distance` says nothing.

    Halves are of whole groups, and of either half a half of the groups of each class: of those with real rows and,
    for themselves, of the others. They depend on the names of groups alone.
    """
    real = is_real(rows)
    classes = pd.Index(sorted(set(rows["target"].dropna().astype(str))))
    target, answer = (classes.get_indexer(pd.Index(rows[name].astype(str))) for name in ("target", "prediction"))
    groups = pd.DataFrame({"group": rows["group"].astype(str).to_numpy(), "generated": ~real, "target": target})
    first = groups.sort_values(["group", "generated", "target"]).drop_duplicates("group")
    shuffled = first.sample(frac=1, random_state=0).sort_values(["generated", "target"], kind="stable")
    half = shuffled.assign(half=shuffled.groupby("generated").cumcount() % 2).set_index("group")["half"]
    numbers = {
        name: rows[name].to_numpy(np.float64) if name in rows else np.full(len(rows), np.nan) for name in PICTURES
    }
    together = Rows(
        feature_array(rows), half.loc[groups["group"]].to_numpy(np.intp), target, answer,
        numbers["nyquist_energy"], numbers["train_distance"],
    )  # fmt: skip
    return together.where(real), together.where(~real)


def two_sets_note(rows: pd.DataFrame) -> str:
    """The sentences below a table of two sets: why it has no distances, or in what they are and what limits them.

    Empty where rows are no two sets.
    """
    if not is_two_sets(rows):
        return ""
    if (reason := why_no_distance(rows)) is not None:
        return f"No distance: {reason}."
    sentences = []
    if "extractor" in rows:
        sentences.append(f"Features: {', '.join(sorted(set(rows['extractor'].dropna().astype(str))))}.")
    member = rows["member"].to_numpy() if "member" in rows else np.zeros(len(rows))
    n = int(pd.Series(member).groupby([member, is_real(rows)]).size().min())
    has_halves, width = PICTURES[0] in rows, len(rows["features"].iloc[0])
    if (n := n // 2 if has_halves else n) <= width:
        of_which = f"halves of {n} rows have" if has_halves else f"{n} rows of a kind have"
        sentences.append(f"The Fréchet distance is too rough to be quoted: {of_which} features of {width} numbers.")
    return " ".join(sentences)


def feature_array(rows: pd.DataFrame) -> Floats:
    """Features [N, D] of rows that have some, of one length."""
    return np.array(rows["features"].tolist(), dtype=np.float64)


def repetition_masks(rows: pd.DataFrame, column: str = "repetition") -> list[NDArray[np.bool_]]:
    """Which rows [N] belong to each repetition, in ascending order; all rows to one where there is no such column.

    Args:
        column: `member` for which belong to each model.

    Raises:
        ValueError: a row has no repetition.
    """
    if column not in rows:
        return [np.ones(len(rows), dtype=bool)]
    numbers = rows[column]
    if numbers.isna().any():
        raise ValueError(f"{numbers.isna().sum()} of {len(rows)} rows have no {column}: give each an integer")
    return [(numbers == value).to_numpy(dtype=bool) for value in np.sort(numbers.unique())]


def _metrics_once(rows: pd.DataFrame, classes: list[str] | None) -> dict[str, float]:
    if classes is None:
        if is_two_sets(rows):
            names = metric_names(rows, None)
            if why_no_distance(rows) is not None:
                return dict.fromkeys(names, math.nan)
            real, generated = two_sets(rows)
            return {name: SET_METRICS[name](real, generated) for name in names}
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
