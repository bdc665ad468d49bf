"""What several analyses do with the predictions table and with their own tables."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich import box
from rich.table import Table
from rich.text import Text

from hallmark.checks import require
from hallmark.runs.metrics import MAIN
from hallmark.statistics import CLASSIFICATION_METRICS, LOWER_IS_BETTER, TWO_CLASS_METRICS, class_order, labelled_rows
from hallmark.statistics.text import NO_INTERVAL, number_text, p_texts, with_ends
from hallmark.storage.streams import wide_console
from hallmark.wording import NOTHING, readable


def labelled_tasks(predictions: pd.DataFrame) -> Iterator[tuple[str, list[str] | None, pd.DataFrame]]:
    """(task, its classes or None where it has scores only, its labelled rows) of tasks with labelled rows."""
    rows = labelled_rows(predictions)
    for task in rows["task"].unique():
        yield str(task), class_order(predictions, str(task)), rows[rows["task"] == task]


def classified_tasks(predictions: pd.DataFrame) -> list[tuple[str, list[str], pd.DataFrame]]:
    """`labelled_tasks` that have classes."""
    return [(task, classes, rows) for task, classes, rows in labelled_tasks(predictions) if classes is not None]


def check_classes(predictions: pd.DataFrame, analysis: str) -> None:
    """Raise ValueError, naming the analysis, where no task has classes."""
    if not predictions.attrs["classes"]:
        tasks = ", ".join(predictions["task"].unique())
        raise ValueError(f"{analysis}: needs a task with classes; these predictions have scores only ({tasks})")


def shown_task(task: str, predictions: pd.DataFrame) -> str | None:
    """`task`, or None where the table has no other."""
    return None if predictions["task"].nunique() == 1 else task


def figure_name(stem: str, task: str, predictions: pd.DataFrame) -> str:
    """`stem`, with the task's name where the table has more than one."""
    return stem if shown_task(task, predictions) is None else f"{stem}_{task}"


def check_metrics(metrics: Sequence[str]) -> None:
    """Raise `SettingError` unless `metrics` are one or more of those of classification tasks."""
    known = CLASSIFICATION_METRICS + TWO_CLASS_METRICS
    require(
        bool(metrics) and set(metrics) <= set(known), "metrics", list(metrics), f"one or more of {', '.join(known)}"
    )


def markdown_table(texts: pd.DataFrame) -> list[str]:
    """The lines of a Markdown table."""
    rows = [tuple(texts), ("---",) * texts.shape[1], *texts.itertuples(index=False)]
    return ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows]


def interval_texts(table: pd.DataFrame, name: str, sign: str = "", digits: int = 3) -> list[str]:
    """The columns `name`, `<name>_low` and `<name>_high` as one text a row (see `with_ends`)."""
    columns = (table[f"{name}{end}"] for end in ("", "_low", "_high"))
    return [with_ends(*cell, sign=sign, digits=digits) for cell in zip(*columns, strict=True)]


def metric_title(metric: str) -> str:
    """A metric for readers, and which way is better where that is not up."""
    return readable(metric) + (" (lower is better)" if metric in LOWER_IS_BETTER else "")


def p_columns(table: pd.DataFrame) -> dict[str, list[str]]:
    """The columns `p_value`, `p_holm` and `p_floor` as texts: p and, never without it, p after Holm."""
    rows = zip(table["p_value"], table["p_holm"], table["p_floor"], strict=True)
    raw, holm = zip(*(p_texts(*row) for row in rows), strict=True) if len(table) else ((), ())
    return {"p": list(raw), "p (Holm)": list(holm)}


def interval_columns(table: pd.DataFrame) -> list[str]:
    """Columns `<name>` that `<name>_low` and `<name>_high` stand beside."""
    return [str(name) for name in table if {f"{name}_low", f"{name}_high"} <= set(table)]


def interval_note(table: pd.DataFrame) -> list[str]:
    """The sentence for below a table in which a value stands without its interval; none where each has one."""
    alone = (table[name].notna() & table[f"{name}_low"].isna() for name in interval_columns(table))
    return [NO_INTERVAL] if any(column.any() for column in alone) else []


def show(title: str, frame: pd.DataFrame, *, notes: Sequence[str] = ()) -> None:
    """Print a table to the terminal.

    Args:
        notes: sentences for below it, besides that of a value without its interval: of a table of texts
            the caller knows which value has none.
    """
    console = wide_console()
    console.print(Text(title, style="bold"))
    console.print(text_table(frame))
    for note in (*notes, *interval_note(frame)):
        console.print(Text(note))


def text_table(frame: pd.DataFrame) -> Table:
    """A rich table, a value and the ends of its interval in one column, without the only task."""
    frame = frame.drop(columns=["task"] if "task" in frame and set(frame["task"]) == {MAIN} else [])
    ends = interval_columns(frame)
    texts = frame.assign(**{name: interval_texts(frame, name) for name in ends})
    texts = texts.drop(columns=[f"{name}{end}" for name in ends for end in ("_low", "_high")])
    table = Table(box=box.SIMPLE_HEAD)
    for column in texts:
        numeric = pd.api.types.is_numeric_dtype(texts[column])
        table.add_column(Text(str(column)), justify="right" if numeric else "left")
    for row in texts.itertuples(index=False):
        cells = (number_text(value) if isinstance(value, float) else value for value in row)
        table.add_row(*(Text(NOTHING if pd.isna(value) else str(value)) for value in cells))
    return table


def as_two_classes(rows: pd.DataFrame, positive: NDArray[np.bool_], probability: NDArray[np.float64]) -> pd.DataFrame:
    """The rows [N] of one task as one with two classes: `class` of probability [N] where `positive` [N], and `rest`."""
    names = np.where(positive, "class", "rest")
    pairs = list(np.column_stack([1 - probability, probability]))
    table = rows.assign(target=names, prediction=names, probabilities=pairs)
    table.attrs = {**rows.attrs, "classes": {str(rows["task"].iloc[0]): ["rest", "class"]}}
    return table


def majority_class_baseline(rows: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """The labelled rows of one task as a model would answer that always says their most frequent class, for certain."""
    top = rows["target"].astype(str).mode()[0]
    certain = [float(name == top) for name in classes]
    constant = rows.assign(
        prediction=top, probabilities=pd.Series([certain] * len(rows), index=rows.index, dtype=object)
    )
    constant["score"] = (constant["target"].astype(str) == top).astype(float)
    return constant
