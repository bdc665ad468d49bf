"""How the weights of the loss terms went, and what they weighed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from hallmark.analysis.plots.studies import log_ticks
from hallmark.analysis.plots.style import color, drawable, house_style, new_figure
from hallmark.analysis.state import State
from hallmark.checks import require
from hallmark.runs.repeats import FILE, RepeatSet
from hallmark.storage.files import read_csv

TABLE = "loss_weights"
WEIGHT, _LOSS = "weight/", "loss/"
_SMOOTHED, _LONG = 40, 8  # a running mean is over one of so many parts of all steps
_OFTEN = 0.1
_POINTS = 700
_DECADES = 1.5
_ROUNDING = 1e-5

Floats = NDArray[np.float64]


class LossWeights:
    """Draw `loss_weights` from the run's `loss_weights.csv`; of a set of repeats a line for each run."""

    def run(self, state: State) -> None:
        state.save_figure(TABLE, loss_weight_curves(*read_loss_weights(state.directory)))


def read_loss_weights(directory: Path) -> list[pd.DataFrame]:
    """The tables of a run, or of each run of a set.

    Raises:
        ValueError: a run has none, as its model has one loss term only.
    """
    is_set = (directory / FILE).exists()
    runs = [member.directory for member in RepeatSet(directory).members] if is_set else [directory]
    for run in runs:
        there = (run / f"{TABLE}.csv").exists()
        require(there, "run", str(run), f"a run with {TABLE}.csv, whose model has several loss terms")
    return [read_csv(run / f"{TABLE}.csv") for run in runs]


@house_style()
def loss_weight_curves(*tables: pd.DataFrame) -> Figure:
    """Weights, their shares of the sum, and losses by step: a running mean, of a single run over its raw values.

    Args:
        tables: `loss_weights.csv` of one or more runs with the same terms: `step`, `weight/<term>`, `loss/<term>`.

    Raises:
        ValueError: a table without steps.
    """
    if not tables or any(table.empty for table in tables):
        raise ValueError(f"{TABLE}: curves need at least one step")
    figure = new_figure(2.3)
    axes = figure.subplots(1, 3)
    terms = [str(name).removeprefix(WEIGHT) for name in tables[0] if str(name).startswith(WEIGHT)]
    for table in tables:
        for ax, values in zip(axes, _panels(table, terms), strict=True):
            _lines(ax, table["step"].to_numpy(), values, terms, alone=len(tables) == 1)
    every = _panels(pd.concat(tables), terms)
    _log_scale(axes[0], every[0], least_decades=_DECADES)
    low, high = np.nanmin(every[0]), np.nanmax(every[0])
    if high - low < _ROUNDING * abs(high):  # an axis of rounding errors would look like a course
        axes[0].set_ylim(low - 0.1 * abs(low), high + 0.1 * abs(high))
    _log_scale(axes[2], every[2], least_decades=0)
    if np.nanmin(every[1], initial=0) == 0:
        axes[1].set_ylim(bottom=0)
    for ax, title in zip(axes, ("weight", "share of the weights", "loss, unweighted"), strict=True):
        ax.set_title(title)
        ax.set_xlabel("step")
        ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        ax.grid(axis="y")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles[: len(terms)], labels[: len(terms)], loc="outside upper left", ncols=6)
    return figure


def _panels(table: pd.DataFrame, terms: Sequence[str]) -> tuple[Floats, Floats, Floats]:
    """Weights, shares (nan where the weights sum to 0) and losses, each [steps, terms]."""
    weights, losses = (table[[f"{kind}{term}" for term in terms]].to_numpy(dtype=float) for kind in (WEIGHT, _LOSS))
    total = weights.sum(axis=1, keepdims=True)
    return weights, weights / np.where(total == 0, np.nan, total), losses


def _lines(ax: Axes, steps: Floats, values: Floats, terms: Sequence[str], *, alone: bool) -> None:
    """`values` [steps, terms]; only some points are drawn of very many."""
    every = -(-len(steps) // _POINTS)
    switched = (values == 0).mean() > _OFTEN  # terms take turns: only a long mean tells their part
    window = max(1, len(steps) // (_LONG if switched else _SMOOTHED))
    marker = "o" if len(steps) == 1 else None
    for index, term in enumerate(terms):
        raw = pd.Series(values[:, index])
        smooth = raw.rolling(window, center=True, min_periods=1).mean()
        if alone and window > 1 and not switched:
            ax.plot(steps[::every], raw[::every], color=color(index), linewidth=0.6, alpha=0.25, zorder=2)
        look: dict[str, Any] = {"linewidth": 1.5} if alone else {"linewidth": 0.9, "alpha": 0.75}
        label = drawable(term)
        ax.plot(steps[::every], smooth[::every], color=color(index), marker=marker, label=label, zorder=3, **look)


def _log_scale(ax: Axes, values: Floats, *, least_decades: float) -> None:
    """A logarithmic axis for positive values that span so much."""
    values = values[np.isfinite(values)]
    if values.size == 0 or values.min() <= 0:
        return
    decades = np.log10(values.max() / values.min())
    if decades < least_decades:
        return
    ax.set_yscale("log")
    log_ticks(ax.yaxis, (1,) if decades > 2.5 else (1, 3) if decades > 1.3 else (1, 2, 5))
