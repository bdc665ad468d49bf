"""Figures of a search over settings, from its table of trials.

A table of trials has one row a trial: `number`, `state` ("complete", "pruned", "failed", "running", "waiting"), one
column per objective named by its metric (nan where not complete) and one column per searched key (numbers, strings,
booleans; None and nan where the key was not set).
"""

import math
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from hallmark.analysis.plots.style import BAND, INK, MUTED, PALETTE, SPLIT_NAMES, drawable, house_style, new_figure
from hallmark.wording import readable, short_names

BLUE, VERMILION = PALETTE[:2]
_DECADES = 1.5  # positive numbers over a wider span get a logarithmic axis
HALO = [withStroke(linewidth=2.4, foreground="white")]
BETTER = {"max": "higher is better", "min": "lower is better"}

Numbers = NDArray[np.float64]


@house_style()
def optimization_history(trials: pd.DataFrame, metric: str, mode: str) -> Figure:
    """Values by trial number and the best so far; pruned and failed trials are marks at the bottom.

    Args:
        trials: the table of trials.
        metric: the column of the objective.
        mode: "max" or "min".
    """
    done = completed(trials, [metric])
    if len(done) < 2:
        return too_few(trials, done, [metric])
    figure = new_figure(2.6)
    ax = figure.subplots()
    numbers, values = done["number"].to_numpy(), done[metric].to_numpy(dtype=float)
    size = float(np.interp(len(done), [20, 300], [22, 7]))
    ax.scatter(numbers, values, size, color=BLUE, alpha=0.55, linewidths=0, label=f"complete ({len(done)})", zorder=3)
    best = int(values.argmax() if mode == "max" else values.argmin())
    label = f"best: trial {numbers[best]}, {setting_text(values[best])}"
    ax.scatter(numbers[best], values[best], 46, color=VERMILION, edgecolors="white", label=label, zorder=4)
    ended_early = _ended_early(ax, trials)
    so_far = (np.maximum if mode == "max" else np.minimum).accumulate(values)
    steps = [*numbers, max([numbers[-1], *ended_early])], [*so_far, so_far[-1]]
    ax.plot(*steps, color=INK, drawstyle="steps-post", linewidth=1.1, label="best so far")
    _limit(ax, "y", values, mode, below=0.14 if ended_early else 0.06)
    ax.set_xlabel("trial")
    ax.set_ylabel(f"{metric_name(metric)}\n({BETTER[mode]})")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10, steps=[1, 2, 5, 10]))
    ax.grid(axis="y")
    figure.legend(loc="outside upper left", ncols=5, handletextpad=0.4, columnspacing=1.6)
    return figure


def _ended_early(ax: Axes, trials: pd.DataFrame) -> list[int]:
    """Mark the pruned and failed trials along the bottom; gives their numbers."""
    styles: dict[str, dict[str, Any]] = {
        "pruned": {"marker": "|", "color": MUTED, "linewidths": 0.9},
        "failed": {"marker": "x", "color": INK, "linewidths": 1.1},
    }
    all_numbers: list[int] = []
    for state, style in styles.items():
        numbers = trials.loc[trials["state"] == state, "number"].tolist()
        if numbers:
            label, along = f"{state} ({len(numbers)})", ax.get_xaxis_transform()
            ax.scatter(numbers, [0.045] * len(numbers), 18, transform=along, label=label, zorder=3, **style)
        all_numbers += numbers
    return all_numbers


@house_style()
def importance_bars(importances: dict[str, float]) -> Figure:
    """One bar a searched key, the most important on top; an undefined importance is a dash."""
    if not importances:
        return _sentence("No importances: they need two complete trials that differ in a searched key.")
    names = short_names(list(importances))
    ranked = sorted(importances, key=lambda key: (math.isnan(importances[key]), -importances[key]))
    lengths = [0.0 if math.isnan(importances[key]) else importances[key] for key in ranked]
    figure = new_figure(0.25 * len(ranked) + 0.65, 5.2)
    ax = figure.subplots()
    bars = ax.barh(range(len(ranked)), lengths, height=0.62, color=BLUE)
    texts = ["–" if math.isnan(importances[key]) else f"{importances[key]:.2f}" for key in ranked]
    ax.bar_label(bars, texts, padding=3, fontsize=8)
    ax.set_yticks(range(len(ranked)), [setting_title(names[key]) for key in ranked])
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(len(ranked) - 0.5, -0.5)
    ax.set_xlim(0, 1.12 * max(lengths) or 1)
    ax.set_xlabel("importance")
    ax.grid(axis="x")
    return figure


@house_style()
def trade_off(trials: pd.DataFrame, metrics: Sequence[str], modes: Sequence[str]) -> Figure:
    """Two objectives against each other; the Pareto front bears the trials' numbers.

    Args:
        trials: the table of trials.
        metrics: two columns, of the horizontal and the vertical axis.
        modes: "max" or "min" of each.
    """
    done = completed(trials, metrics)
    if len(done) < 2:
        return too_few(trials, done, metrics)
    values = done[list(metrics)].to_numpy(dtype=float)
    front = pareto_front(values, modes)
    edge = done[front].sort_values(list(metrics))
    figure = new_figure(3.4, 4.4)
    ax = figure.subplots()
    groups: list[tuple[NDArray[np.bool_], str, dict[str, Any]]] = [
        (~front, "dominated", {"s": 16, "color": MUTED, "alpha": 0.5, "linewidths": 0}),
        (front, "Pareto front", {"s": 34, "color": BLUE, "edgecolors": "white", "zorder": 3}),
    ]
    for rows, label, look in groups:
        ax.scatter(values[rows, 0], values[rows, 1], label=f"{label} ({rows.sum()})", **look)
    style = "steps-pre" if modes[0] == "max" else "steps-post"
    ax.plot(*edge[list(metrics)].to_numpy().T, color=BLUE, linewidth=1.1, drawstyle=style, zorder=2.5)
    for name, column, metric, mode in zip("xy", values.T, metrics, modes, strict=True):
        _limit(ax, name, column, mode, below=0.08)
        ax.set(**{f"{name}label": f"{metric_name(metric)} ({BETTER[mode]})"})
    _number_front(ax, edge, metrics, modes)
    ax.grid()
    figure.legend(loc="outside upper left", ncols=2)
    return figure


def _number_front(ax: Axes, edge: pd.DataFrame, metrics: Sequence[str], modes: Sequence[str]) -> None:
    # The better side of a front is empty: a number there covers no trial, only the number of a near one.
    right, up = (mode == "max" for mode in modes)
    offset = (4 if right else -4, 3 if up else -3)
    style: Any = {"ha": "left" if right else "right", "va": "bottom" if up else "top", "fontsize": 7.5}
    points = edge[list(metrics)].to_numpy(dtype=float)
    positions = (ax.transData - ax.transAxes).transform(points)
    numbered = np.empty((0, 2))
    for number, point, position in zip(edge["number"], points, positions, strict=True):
        if not (np.abs(numbered - position) < (0.065, 0.05)).all(axis=1).any():
            ax.annotate(str(number), tuple(point), offset, textcoords="offset points", path_effects=HALO, **style)
            numbered = np.vstack([numbered, position])


def pareto_front(values: Numbers, modes: Sequence[str]) -> NDArray[np.bool_]:
    """[N] whether no other of the [N, M] values is at least as good in all objectives and better in one."""
    gain = values * np.where(np.asarray(modes) == "max", 1.0, -1.0)
    no_worse = np.all(gain[None] >= gain[:, None], axis=2)
    better = np.any(gain[None] > gain[:, None], axis=2)
    return np.asarray(~np.any(no_worse & better, axis=1))


def completed(trials: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """The complete trials with finite values, by number; a table without any trial may lack its columns."""
    if trials.empty:
        return trials
    finite = np.isfinite(trials[list(metrics)].to_numpy(dtype=float)).all(axis=1)
    return trials[(trials["state"] == "complete").to_numpy() & finite].sort_values("number")


def too_few(trials: pd.DataFrame, done: pd.DataFrame, metrics: Sequence[str]) -> Figure:
    if trials.empty:
        return _sentence("This study has no trials yet.")
    states = trials.loc[~trials["number"].isin(done["number"]), "state"].replace("complete", "complete without a value")
    listed_states = ", ".join(f"{n} {state}" for state, n in states.value_counts().items())
    if done.empty:
        return _sentence(f"No trial of this study has a value yet ({listed_states}).")
    row = done.iloc[0]
    values = ", ".join(f"{metric_name(metric)} {setting_text(row[metric])}" for metric in metrics)
    sentence = f"Only trial {row['number']} of this study has a value: {values}"
    return _sentence(f"{sentence} ({listed_states})." if listed_states else f"{sentence}.")


def _sentence(text: str) -> Figure:
    figure = new_figure(1.0, 5.2)
    ax = figure.subplots()
    ax.set(xticks=[], yticks=[], facecolor=BAND)
    ax.spines[:].set_visible(False)
    ax.text(0.5, 0.5, textwrap.fill(text, 66), ha="center", va="center", transform=ax.transAxes)
    return figure


def _limit(ax: Axes, name: str, values: Numbers, mode: str, *, below: float) -> None:
    """Limits with a margin, `below` of it under the values, and a logarithmic scale for wide losses."""
    log = mode == "min" and spans_decades(values)
    low, high = np.log10([values.min(), values.max()]) if log else (values.min(), values.max())
    span = high - low or abs(high) or 1.0
    ends = np.array([low - below * span, high + 0.06 * span])
    ax.set(**{f"{name}scale": "log" if log else "linear", f"{name}lim": 10**ends if log else ends})
    if log:
        log_ticks(ax.xaxis if name == "x" else ax.yaxis, (1, 3) if span < 3 else (1,))


def log_ticks(axis: Axis, subs: Sequence[float]) -> None:
    """Ticks of a logarithmic axis at the multiples `subs` of powers of ten, as a configuration writes them."""
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter(FuncFormatter(lambda value, _: setting_text(value)))
    axis.set_minor_formatter(NullFormatter())


def spans_decades(values: Numbers) -> bool:
    return bool(values.min() > 0 and math.log10(values.max() / values.min()) > _DECADES)


def metric_name(metric: str) -> str:
    split, _, name = metric.rpartition("/")
    return f"{SPLIT_NAMES.get(split, split)} {drawable(readable(name))}".strip()


def setting_title(key: str) -> str:
    return drawable(readable(key.replace(".", " ")))


def setting_text(value: float) -> str:
    """As in a configuration: 5e-4 and 0.001, and 1024 or 16384 in full."""
    if float(value).is_integer() and abs(value) < 1e6:
        return f"{value:.0f}"
    text = f"{value:.4g}" if 1e-3 <= abs(value) < 1e6 else f"{value:.2e}"
    mantissa, _, power = text.partition("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(power)}" if power else mantissa


def is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and math.isfinite(value)


def is_unset(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value))
