"""Jobs of a sweep side by side."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from hallmark.analysis.plots.style import MUTED, drawable, house_style, interval_dots, new_figure


@house_style()
def jobs_figure(table: pd.DataFrame, columns: Mapping[str, str]) -> Figure:
    """A line a job (column `job`), a panel a column with its interval; 0 is marked in the last one, a difference.

    Args:
        columns: title by column; `<column>_low` and `<column>_high` are the ends.
    """
    figure = new_figure(0.24 * len(table) + 0.9)
    axes = figure.subplots(1, len(columns), sharey=True)
    heights = np.arange(len(table))
    for ax, (column, title) in zip(axes, columns.items(), strict=True):
        known = table[column].notna().to_numpy()
        interval_dots(ax, heights[known], table[known], column, index=0, label="_")
        ax.set_title(drawable(title))
        ax.tick_params(axis="y", length=0)
        ax.grid(axis="x")
    axes[-1].axvline(0, color=MUTED, linewidth=0.9, zorder=1)
    axes[0].set_yticks(heights, [drawable(str(name)) for name in table["job"]])
    axes[0].set_ylim(len(table) - 0.4, -0.6)
    return figure
