"""The table of `TaskTable` for readers: as text and as dots."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hallmark.analysis.plots.style import DASHES, MUTED, drawable, house_style, interval_dots, panel_grid
from hallmark.analysis.presentation import interval_texts
from hallmark.statistics import LOWER_IS_BETTER
from hallmark.statistics.text import number_text
from hallmark.wording import readable

SINGLE = "single-task"
DELTA, RANK = "delta_m", "mean_rank"
_PANELS = 4


def task_columns(table: pd.DataFrame) -> list[str]:
    """`<task>/<metric>` of a `TaskTable.table`, in order."""
    return [str(name) for name in table if "/" in str(name) and f"{name}_low" in table]


def task_texts(table: pd.DataFrame, *, intervals: bool = True) -> pd.DataFrame:
    """`TaskTable.table` as text for readers; without intervals, but for that of Δm, it fits a terminal."""
    texts = {
        "method": table["method"],
        "Δm %": interval_texts(table, DELTA, "+", digits=1),
        "mean rank": _texts(interval_texts(table, RANK, digits=2), table["runs"] * np.nan, intervals=intervals),
    }
    several = len({column.partition("/")[0] for column in task_columns(table)}) > 1
    for column in task_columns(table):
        task, _, metric = column.partition("/")
        name = f"{task}: {readable(metric)}" if several else readable(metric)
        texts[name] = _texts(interval_texts(table, column), table[f"{column}_std"].astype(float), intervals=intervals)
    if intervals:
        texts["runs"] = table.get("over", table["runs"])
    if "seconds" in table:
        texts["minutes"] = [number_text(value / 60, 1) for value in table["seconds"]]
    return pd.DataFrame(texts)


def _texts(values: Sequence[str], deviations: "pd.Series[float]", *, intervals: bool) -> list[str]:
    """`0.712 ± 0.008 [0.689, 0.734]` of values with intervals; what is undefined or not wanted is left out."""
    texts = []
    for text, deviation in zip(values, deviations, strict=True):
        value, _, interval = text.partition(" ")
        std = "" if math.isnan(deviation) else f"± {number_text(deviation)}"
        texts.append(" ".join(filter(None, [value, std, interval if intervals else ""])))
    return texts


@house_style()
def task_figure(table: pd.DataFrame) -> Figure:
    """Δm, mean rank and each task's metrics with intervals, a line a method, from `TaskTable.table`."""
    titles = {DELTA: "Δm in %", RANK: "mean rank (1: best)"}
    for column in task_columns(table):
        task, _, metric = column.partition("/")
        titles[column] = f"{drawable(task)}: {readable(metric)}" + " (lower is better)" * (metric in LOWER_IS_BETTER)
    figure, axes = panel_grid(len(titles), min(_PANELS, len(titles)), 0.22 * len(table) + 0.75, sharey=True)
    single = (table["method"] == SINGLE).to_numpy()
    heights = np.arange(len(table))
    for ax, (column, title) in zip(axes, titles.items(), strict=True):
        for rows, index in ((single, 1), (~single, 0)):
            interval_dots(ax, heights[rows], table[rows], column, index=index, label="_")
        reference = table.loc[single, column].iloc[0]
        if column != RANK and not math.isnan(reference):
            ax.axvline(reference, color=MUTED, linewidth=0.9, linestyle=DASHES, zorder=1)
        ax.tick_params(axis="y", length=0)
        ax.xaxis.set_major_locator(MaxNLocator(4))
        ax.grid(axis="x")
        ax.set_title(title, fontsize=8)
    axes[0].set_yticks(range(len(table)), [drawable(str(name)) for name in table["method"]])
    axes[0].set_ylim(len(table) - 0.4, -0.6)
    return figure
