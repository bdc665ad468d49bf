"""The figure of a cascade: accuracy over cost, and what becomes of the videos of each method."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from hallmark.analysis.plots.style import MARKERS, color, drawable, house_style, new_figure

_SHADES = {"cleared": "#0072B2", "stack_real": "#9CC9E3", "undecided": "#CFCFCF", "stack_fake": "#F0B28A",
           "early_fake": "#D55E00"}  # fmt: skip
_NAMES = {
    "cleared": "cleared by the filter", "stack_real": "real by the stack", "undecided": "undecided",
    "stack_fake": "fake by the stack", "early_fake": "fake by the filter",
}  # fmt: skip


@house_style()
def cascade_figure(curve: pd.DataFrame, points: pd.DataFrame, outcomes: pd.DataFrame) -> Figure:
    """Video AUROC over the throughput ratio, a line a kind with the cascade as it is, and shares of outcomes.

    Args:
        curve, points, outcomes: tables of `CascadeCost`.
    """
    figure = new_figure(3.2)
    left, right = figure.subplots(1, 2, width_ratios=[1.1, 1])
    for index, kind in enumerate(points["kind"]):
        rows = curve[curve["kind"] == kind].sort_values("throughput_ratio")
        left.plot(rows["throughput_ratio"], rows["auroc"], color=color(index), label=drawable(str(kind)))
        point = points[points["kind"] == kind].iloc[0]
        left.plot(point["throughput_ratio"], point["auroc"], MARKERS[index % len(MARKERS)], color=color(index))
    left.set_xscale("log")
    ticks = [tick for tick in (0.5, 1, 2, 5, 10, 20, 50, 100) if tick <= 1.2 * curve["throughput_ratio"].max()]
    left.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    left.minorticks_off()
    left.set_xlabel("throughput, of the stack's on all videos")
    left.set_ylabel("video AUROC")
    left.set_title("cost of accuracy; markers: as set")
    left.grid()
    left.legend(loc="lower left")
    below = np.zeros(len(outcomes))
    heights = np.arange(len(outcomes))
    for name, shade in _SHADES.items():
        right.barh(heights, outcomes[name], 0.7, left=below, color=shade, label=_NAMES[name])
        below = below + outcomes[name].to_numpy(float)
    names = [f"{drawable(row['method'])} ({row['n']})" for row in outcomes.to_dict("records")]
    right.set_yticks(heights, names)
    right.invert_yaxis()
    right.set_xlim(0, 1)
    right.tick_params(axis="y", length=0)
    right.set_xlabel("share of the videos")
    right.set_title("who decides, and how")
    handles, labels = right.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize=7, columnspacing=1.0)
    return figure
