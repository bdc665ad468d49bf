"""Learning curves for a page: one small figure a metric, one run or many."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from hallmark.analysis.plots.style import house_style, new_figure
from hallmark.analysis.plots.training_curves import history_panel, history_panels, selected_epoch
from hallmark.report.content import Chart


@house_style()
def curve_charts(
    stem: str, histories: Sequence[pd.DataFrame], selected: Sequence[Mapping[str, Any] | None]
) -> list[Chart]:
    """A chart a metric of the histories, a line a run; `selected` marks the epoch of a run that stands alone."""
    histories = [history for history in histories if not history.empty]
    if not histories:
        return []
    best = selected_epoch(histories[0], selected[0]) if len(histories) == 1 else None
    panels = history_panels(pd.concat(histories, ignore_index=True))
    runs = "" if len(histories) == 1 else f", one line for each of {len(histories)} runs"
    charts = []
    for name, columns in panels.items():
        figure = new_figure(2.3, 3.4)
        ax = figure.subplots()
        for history in histories:
            history_panel(ax, history, name, [column for column in columns if column in history], best)
        if len(histories) > 1:
            for line in ax.lines:
                line.set(alpha=0.75, linewidth=1)
        handles = {label: handle for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
        if handles:
            layout: dict[str, Any] = {"ncols": 3, "columnspacing": 1.2, "handlelength": 1.6}
            figure.legend(list(handles.values()), list(handles), loc="outside lower left", **layout)
        charts.append(Chart(chart_name(stem, name), figure, f"{name} by epoch{runs}"))
    return charts


def chart_name(*parts: str) -> str:
    """A name that is fit for a file and for an id."""
    return "-".join(re.sub(r"[^a-z0-9]+", "-", part.lower()).strip("-") for part in parts if part)
