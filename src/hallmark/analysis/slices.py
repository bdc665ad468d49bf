"""How the score differs between parts of the data."""

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from hallmark.analysis.plots.style import (
    DASHES,
    MUTED,
    drawable,
    headed,
    house_style,
    interval_dots,
    new_figure,
    row_counts,
)
from hallmark.analysis.presentation import figure_name, labelled_tasks, show, shown_task
from hallmark.analysis.state import State
from hallmark.checks import require
from hallmark.statistics import Interval, Resampling, all_intervals, metric_names
from hallmark.statistics.members import row_count
from hallmark.statistics.text import number_text
from hallmark.wording import readable

PREFIX = "slice_"
ALL, MISSING = "all", "(missing)"
ONLY_CLASS = "only_class"
RECALL = "recall"
_METRICS = ("accuracy", "macro_f1", "miou", "p@0.5", "kernel_distance", "score")


class BySlice:
    """An analysis of the categories of slice columns.

    Args:
        columns: slice columns (`slice_emoji` or `emoji`); None takes all of the table.
        statistics: confidence level, resamples and seed of the intervals.
    """

    def __init__(self, columns: list[str] | None, *, statistics: Resampling) -> None:
        require(columns is None or len(columns) > 0, "columns", columns, "one or more slice columns, or null for all")
        self.columns = columns
        self.resampling = statistics


class Slices(BySlice):
    """Write `slices.csv` and a figure: the scores of every category of every slice column.

    Classification tasks have accuracy and macro-F1, real and generated rows the kernel distance of those in a category,
    other tasks the mean of `score`. Where all rows of a category have one class for target, macro-F1 is undefined, and
    the columns `recall` and `only_class` have that class's recall and name. Intervals are those of all tables.
    Categories without rows stay in the table with n = 0.
    """

    def run(self, state: State) -> None:
        table = self.table(state.predictions)
        require(len(table) > 0, "split", state.split, "a split with labelled rows")
        state.save_table("slices", table)
        for task, rows in table.groupby("task", sort=False):
            rows = with_values(rows)
            named = shown_task(str(task), state.predictions)
            show(headed(f"slices of {state.split}", named), rows.drop(columns=["task", "n_groups"]))
            figure = slice_figure(rows, named)
            state.save_figure(figure_name("slices", str(task), state.predictions), figure)

    def table(self, predictions: pd.DataFrame) -> pd.DataFrame:
        """One row for all data of a task (slice `all`), then one a category; intervals in `_low` and `_high`.

        Raises:
            ValueError: the predictions lack a column that is asked for, or have no slice column at all.
        """
        columns = slice_columns(predictions, self.columns)
        require(bool(columns), "columns", self.columns, "a table with slice columns; this one has no slices")
        undefined = Interval.undefined(self.resampling.confidence_level)
        records = []
        for task, classes, of_task in labelled_tasks(predictions):
            metrics = [name for name in _METRICS if name in metric_names(of_task, classes)]
            for name, category, member in parts(of_task, columns, predictions):
                rows = of_task[member]
                scores = dict.fromkeys(metrics, undefined)
                if len(rows):
                    scores = all_intervals(rows, metrics, resampling=self.resampling)
                record: dict[str, Any] = {"task": task, "slice": name, "category": category, "n": row_count(rows)}
                record["n_groups"] = rows["group"].nunique()
                only_class = None
                if classes is not None:
                    present = rows["target"].astype(str).unique()
                    only_class = present[0] if len(present) == 1 else None
                    # The recall of the only class is the share of its rows that are predicted as it.
                    scores[RECALL] = undefined if only_class is None else scores["accuracy"]
                for metric, score in scores.items():
                    record |= score.columns(metric)
                records.append(record if classes is None else {**record, ONLY_CLASS: only_class})
        return pd.DataFrame(records)


def slice_columns(predictions: pd.DataFrame, columns: Sequence[str] | None) -> list[str]:
    """Names of slice columns (`slice_size` or `size`) in full; None takes all of the table.

    Raises:
        SettingError: a column that the table lacks.
    """
    present = [str(name) for name in predictions if str(name).startswith(PREFIX)]
    wanted = present if columns is None else [PREFIX + name.removeprefix(PREFIX) for name in columns]
    known = ", ".join(present) or "none: these predictions have no slices"
    require(set(wanted) <= set(present), "columns", columns, f"out of {known}")
    return wanted


def parts(
    rows: pd.DataFrame, columns: Sequence[str], table: pd.DataFrame | None = None
) -> Iterator[tuple[str, str, "pd.Series[bool]"]]:
    """(slice, category, which of `rows` are in it): all of them, then every category of the slice columns.

    Declared categories come in their order and without a row too, then undeclared ones, then `(missing)`; those that
    occur in `table`, of which `rows` are a part, where it is given.
    """
    yield ALL, ALL, pd.Series(True, rows.index)
    table = rows if table is None else table
    for column in columns:
        values, occurring = (
            part[column].astype(object).where(part[column].notna(), MISSING).astype(str) for part in (rows, table)
        )
        declared = [str(name) for name in table.attrs.get("slices", {}).get(column, [])]
        undeclared = sorted(set(occurring) - set(declared), key=lambda name: (name == MISSING, name))
        for category in (*declared, *undeclared):
            yield column.removeprefix(PREFIX), category, values == category


def with_values(table: pd.DataFrame) -> pd.DataFrame:
    """Without the metrics that are empty everywhere, such as those of other tasks; an empty interval alone stays."""
    names = {str(name): str(name).removesuffix("_low").removesuffix("_high") for name in table}
    return table[[column for column, name in names.items() if table[name].notna().any()]]


@house_style()
def slice_figure(table: pd.DataFrame, task: str | None = None) -> Figure:
    """One panel a slice column, from `Slices.table` of one task; its row `all` is the reference line."""
    metrics = [name for name in (*_METRICS, RECALL) if name in table and table[name].notna().any()]
    overall = table[table["slice"] == ALL].iloc[0]
    panels = list(table[table["slice"] != ALL].groupby("slice", sort=False))
    heights = [len(rows) + 0.6 for _, rows in panels]
    figure = new_figure(0.26 * sum(heights) + 0.32 * len(panels) + 0.6, 5.2)
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=heights).ravel()
    for ax, (name, rows) in zip(axes, panels, strict=True):
        for index, metric in enumerate(metrics):
            # The recall of an only class stands where macro F1 would.
            shift = 0.16 * (min(index, 1) * 2 - 1) * (len(metrics) > 1)
            label = "recall of the only class" if metric == RECALL else readable(metric)
            interval_dots(ax, [y + shift for y in range(len(rows))], rows, metric, index=index, label=label)
        label = f"{readable(metrics[0])} of all {overall['n']}: {number_text(overall[metrics[0]])}"
        ax.axvline(overall[metrics[0]], color=MUTED, linewidth=0.9, linestyle=DASHES, zorder=1, label=label)
        ax.set_yticks(range(len(rows)), [drawable(category) for category in rows["category"]])
        ax.set_ylim(len(rows) - 0.4, -0.6)
        ax.tick_params(axis="y", length=0)
        row_counts(ax, range(len(rows)), rows["n"])
        ax.set_title(drawable(readable(str(name))))
        ax.grid(axis="x")
    axes[-1].set_xlabel(headed(" and ".join(readable(name) for name in metrics), task))
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels))
    return figure
