"""How the segmentation metrics differ between small and large objects, and between other parts of the data."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from hallmark.analysis.plots.style import drawable, house_style, interval_dots, new_figure, row_counts
from hallmark.analysis.presentation import show
from hallmark.analysis.segmentation.answers import answers, counts, scores, task_name
from hallmark.analysis.slices import ALL, BySlice, parts, slice_columns
from hallmark.analysis.state import State
from hallmark.statistics import SEGMENTATION_METRICS
from hallmark.wording import readable

_DRAWN = ("miou", "oiou", "p@0.5")


class SizeBuckets(BySlice):
    """Write `size_buckets.csv` and a figure: every segmentation metric of each task by category of slice columns.

    Categories without rows stay in the table with n = 0.
    """

    def run(self, state: State) -> None:
        table = self.table(state.predictions)
        state.save_table("size_buckets", table)
        state.save_figure("size_buckets", size_figure(table))
        tasks = list(table["task"].drop_duplicates())
        for task, rows in table.groupby("task", sort=False):
            names = [f"{name}{end}" for name in _DRAWN for end in ("", "_low", "_high")]
            title = f"{task_name(str(task), tasks)} on {state.split}, by part"
            show(title, rows[["slice", "category", "n", *names]])

    def table(self, predictions: pd.DataFrame) -> pd.DataFrame:
        """One row for all data of a task (slice `all`), then one a category; intervals in `_low` and `_high`.

        Raises:
            ValueError: not a table of masks with truth, or it lacks a column that is asked for.
        """
        records = []
        for task, rows in answers(predictions, "size_buckets").items():
            columns = slice_columns(rows, self.columns)
            for name, category, member in parts(rows, columns):
                part = rows[member]
                values = scores(part, SEGMENTATION_METRICS, self.resampling)
                records.append({"task": task, "slice": name, "category": category, **counts(part), **values})
        return pd.DataFrame(records)


@house_style()
def size_figure(table: pd.DataFrame) -> Figure:
    """A column of panels a metric, a row of them a slice, a dot a task, from `SizeBuckets.table`."""
    tasks = list(table["task"].drop_duplicates())
    panels = list(table.groupby("slice", sort=False))
    heights = [rows["category"].nunique() + 0.5 for _, rows in panels]
    figure = new_figure(0.32 * sum(heights) + 0.2 * len(panels) + 0.7)
    axes = figure.subplots(
        len(panels), len(_DRAWN), sharex="col", sharey="row", squeeze=False, height_ratios=heights
    )  # fmt: skip
    for row, (name, rows) in zip(axes, panels, strict=True):
        for ax, metric in zip(row, _DRAWN, strict=True):
            for index, task in enumerate(tasks):
                values = rows[rows["task"] == task]
                y = np.arange(len(values)) + 0.22 * (index - (len(tasks) - 1) / 2)
                interval_dots(ax, y, values, metric, index=index, label=task_name(task, tasks))
            ax.set_xlim(-0.04, 1.04)
            ax.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "", "0.5", "", "1"])
            ax.tick_params(axis="y", length=0)
            ax.grid(axis="x")
        categories = rows.drop_duplicates("category")
        row[0].set_yticks(range(len(categories)), [drawable(str(category)) for category in categories["category"]])
        row[0].set_ylim(len(categories) - 0.45, -0.55)
        row_counts(row[-1], range(len(categories)), categories["n"], x=1.03)
        if name != ALL:
            row[0].set_title(drawable(readable(str(name))))
    for ax, metric in zip(axes[-1], _DRAWN, strict=True):
        ax.set_xlabel(readable(metric))
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper left", ncols=len(tasks))
    return figure
