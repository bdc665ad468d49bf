"""Figures of a search over settings, from its table of trials.

A table of trials has one row a trial: `number`, `state` ("complete", "pruned", "failed", "running", "waiting"), one
column per objective named by its metric (nan where not complete) and one column per searched key (numbers, strings,
booleans; None and nan where the key was not set).
"""

import math
import re
import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from hallmark.analysis.figures import BAND, INK, MUTED, PALETTE, WIDTH, house_style, new_figure, printable, readable
from hallmark.checks import require

_BLUE, _VERMILION = PALETTE[:2]
_SHADES = ListedColormap(colormaps["viridis_r"](np.linspace(0.06, 1, 256)), name="worst_to_best")
_DECADES = 1.5  # positive numbers over a wider span get a logarithmic axis
_FEW = 8  # up to so many different numbers each has its own tick
_HALO = [withStroke(linewidth=2.4, foreground="white")]
_BETTER = {"max": "higher is better", "min": "lower is better"}
_SPLITS = {"val": "validation", "train": "training"}

Numbers = NDArray[np.float64]


@house_style()
def optimisation_history(trials: pd.DataFrame, metric: str, mode: str) -> Figure:
    """Values by trial number and the best so far; pruned and failed trials are marks at the bottom.

    Args:
        trials: the table of trials.
        metric: the column of the objective.
        mode: "max" or "min".

    Raises:
        ValueError: an unknown mode, or a table without the metric.
    """
    done = _completed(trials, [metric], [mode])
    if len(done) < 2:
        return _too_few(trials, done, [metric])
    figure = new_figure(2.6)
    ax = figure.subplots()
    numbers, values = done["number"].to_numpy(), done[metric].to_numpy(dtype=float)
    size = float(np.interp(len(done), [20, 300], [22, 7]))
    ax.scatter(numbers, values, size, color=_BLUE, alpha=0.55, linewidths=0, label=f"complete ({len(done)})", zorder=3)
    best = int(values.argmax() if mode == "max" else values.argmin())
    label = f"best: trial {numbers[best]}, {_number(values[best])}"
    ax.scatter(numbers[best], values[best], 46, color=_VERMILION, edgecolors="white", label=label, zorder=4)
    others = _ended_early(ax, trials)
    so_far = (np.maximum if mode == "max" else np.minimum).accumulate(values)
    steps = [*numbers, max([numbers[-1], *others])], [*so_far, so_far[-1]]
    ax.plot(*steps, color=INK, drawstyle="steps-post", linewidth=1.1, label="best so far")
    _limit(ax, "y", values, mode, below=0.14 if others else 0.06)
    ax.set_xlabel("trial")
    ax.set_ylabel(f"{_metric_name(metric)}\n({_BETTER[mode]})")
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
    found: list[int] = []
    for state, style in styles.items():
        numbers = trials.loc[trials["state"] == state, "number"].tolist()
        if numbers:
            label, place = f"{state} ({len(numbers)})", ax.get_xaxis_transform()
            ax.scatter(numbers, [0.045] * len(numbers), 18, transform=place, label=label, zorder=3, **style)
        found += numbers
    return found


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
    bars = ax.barh(range(len(ranked)), lengths, height=0.62, color=_BLUE)
    texts = ["–" if math.isnan(importances[key]) else f"{importances[key]:.2f}" for key in ranked]
    ax.bar_label(bars, texts, padding=3, fontsize=8)
    ax.set_yticks(range(len(ranked)), [_words(names[key]) for key in ranked])
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

    Raises:
        ValueError: not two metrics and modes, an unknown mode, or a table without the metrics.
    """
    require(len(metrics) == len(modes) == 2, "metrics", list(metrics), "two names, with two modes")
    done = _completed(trials, metrics, modes)
    if len(done) < 2:
        return _too_few(trials, done, metrics)
    values = done[list(metrics)].to_numpy(dtype=float)
    front = pareto_front(values, modes)
    edge = done[front].sort_values(list(metrics))
    figure = new_figure(3.4, 4.4)
    ax = figure.subplots()
    groups: list[tuple[NDArray[np.bool_], str, dict[str, Any]]] = [
        (~front, "dominated", {"s": 16, "color": MUTED, "alpha": 0.5, "linewidths": 0}),
        (front, "Pareto front", {"s": 34, "color": _BLUE, "edgecolors": "white", "zorder": 3}),
    ]
    for rows, label, look in groups:
        ax.scatter(values[rows, 0], values[rows, 1], label=f"{label} ({rows.sum()})", **look)
    style = "steps-pre" if modes[0] == "max" else "steps-post"
    ax.plot(*edge[list(metrics)].to_numpy().T, color=_BLUE, linewidth=1.1, drawstyle=style, zorder=2.5)
    for name, column, metric, mode in zip("xy", values.T, metrics, modes, strict=True):
        _limit(ax, name, column, mode, below=0.08)
        ax.set(**{f"{name}label": f"{_metric_name(metric)} ({_BETTER[mode]})"})
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
    places = (ax.transData - ax.transAxes).transform(points)
    taken = np.empty((0, 2))
    for number, point, place in zip(edge["number"], points, places, strict=True):
        if not (np.abs(taken - place) < (0.065, 0.05)).all(axis=1).any():
            ax.annotate(str(number), tuple(point), offset, textcoords="offset points", path_effects=_HALO, **style)
            taken = np.vstack([taken, place])


def pareto_front(values: Numbers, modes: Sequence[str]) -> NDArray[np.bool_]:
    """[N] whether no other of the [N, M] values is at least as good in all objectives and better in one."""
    gain = values * np.where(np.asarray(modes) == "max", 1.0, -1.0)
    no_worse = np.all(gain[None] >= gain[:, None], axis=2)
    better = np.any(gain[None] > gain[:, None], axis=2)
    return np.asarray(~np.any(no_worse & better, axis=1))


@house_style()
def parallel_coordinates(trials: pd.DataFrame, keys: Sequence[str], metric: str, mode: str) -> Figure:
    """One line a complete trial over an axis per key and the metric's, which is the scale of the colours too.

    Positive numbers over more than 1.5 decades have a logarithmic axis, what is not a number has its names for
    ticks. Lines that share a name, or one of a few numbers, are spread a little around it, the best on top; a key
    that was not set is "none", below the numbers. The settings of the best trial stand below the axes.

    Args:
        trials: the table of trials.
        keys: columns of searched keys, from left to right.
        metric: the column of the objective.
        mode: "max" or "min".

    Raises:
        ValueError: no keys, an unknown mode, or a table without the metric or a key.
    """
    require(len(keys) > 0, "keys", list(keys), "one searched key or more")
    done = _completed(trials, [metric], [mode], keys)
    if len(done) < 2:
        return _too_few(trials, done, [metric])
    # Drawn, and spread, from the worst to the best; of equal ones the first trial is the best.
    rows = done[::-1].sort_values(metric, ascending=mode == "max", kind="stable")
    scales = [_key_scale(rows[key].tolist()) for key in keys] + [_metric_scale(rows[metric].to_numpy(float), mode)]
    gap = min(1.7, max(0.74, (WIDTH - 1) / len(keys)))
    chosen = [_shortened(scale.last, gap, rows=5) for scale in scales]
    figure = new_figure(3.3 + 0.12 * max(text.count("\n") for text in chosen), gap * len(keys) + 1)
    ax = figure.subplots()
    ax.set_axis_off()
    label = f"best of {len(rows)}: trial {rows['number'].iloc[-1]} ({_BETTER[mode]}), its settings below"
    _trial_lines(ax, np.stack([scale.heights for scale in scales], axis=1), mode, label)
    bar = 0.09 / gap
    shades = np.arange(256)[:: 1 if mode == "max" else -1, None]
    ax.imshow(shades, cmap=_SHADES, extent=(len(keys), len(keys) + bar, 0, 1), origin="lower", aspect="auto")
    titles = [_words(name) for name in short_names(keys).values()] + [_metric_name(metric)]
    for index, (title, scale, text) in enumerate(zip(titles, scales, chosen, strict=True)):
        _draw_scale(ax, index + (bar if index == len(keys) else 0), scale, gap)
        title = textwrap.fill(title, max(10, int(gap / 0.08)), break_long_words=False)
        ax.text(index, 1.06, title, ha="center", va="bottom", weight="bold")
        ax.text(index, -0.06, text, ha="center", va="top", color=_VERMILION, fontsize=7.5)
    ax.set(xlim=(-0.02, len(keys) + bar), ylim=(-0.02, 1.02))
    figure.legend(loc="outside upper left")
    return figure


class _Scale(NamedTuple):
    """Heights in [0, 1] of the trials on an axis and of its tick labels, and the last trial's value as text."""

    heights: Numbers
    ticks: list[tuple[float, str]]
    last: str


def _key_scale(values: list[Any]) -> _Scale:
    unset = np.array([_is_unset(value) for value in values])
    present = [value for value in values if not _is_unset(value)]
    if not present or not all(map(_is_number, present)):
        return _category_scale(values)
    numbers = np.array([math.nan if _is_unset(value) else value for value in values], dtype=float)
    few = len(set(present)) <= _FEW
    ends = (0.2 if unset.any() else 0.06 if few else 0.0, 0.94 if few else 1.0)
    scale = _numeric_scale(numbers, ends, few=few, log=_spans_decades(numbers[~unset]))
    if unset.any():
        scale = _Scale(np.where(unset, 0.06, scale.heights), [(0.06, "none"), *scale.ticks], _value_text(values[-1]))
    return scale._replace(heights=_spread(scale.heights)) if few else scale


def _metric_scale(values: Numbers, mode: str) -> _Scale:
    return _numeric_scale(values, (0.0, 1.0), few=False, log=mode == "min" and _spans_decades(values))


def _numeric_scale(values: Numbers, ends: tuple[float, float], *, few: bool, log: bool) -> _Scale:
    """Heights from `ends[0]` (the lowest number) to `ends[1]`, nan for nan; few numbers have a tick each."""
    distinct = np.unique(values[~np.isnan(values)])
    low, high = distinct[[0, -1]]

    def height(numbers: Numbers) -> Numbers:
        if low == high:
            return numbers * 0 + 0.5
        share = np.log(numbers / low) / np.log(high / low) if log else (numbers - low) / (high - low)
        return ends[0] + (ends[1] - ends[0]) * share

    marked = distinct if few or low == high else _round_numbers(distinct, log=log)
    texts = [_number(number) for number in marked]
    places = 0 if few or log or "e" in "".join(texts) else max(len(text.partition(".")[2]) for text in texts)
    ticks: list[tuple[float, str]] = []
    for at, text, number in zip(height(marked).tolist(), texts, marked, strict=True):
        if not ticks or at - ticks[-1][0] > 0.045:
            ticks.append((at, f"{number:.{places}f}" if places else text))
    return _Scale(height(values), ticks, _number(values[-1]))


def _round_numbers(distinct: Numbers, *, log: bool) -> Numbers:
    """Ticks within a range of numbers; powers of ten on a logarithmic axis, with threes where they are few."""
    low, high = distinct[[0, -1]]
    if log:
        powers = 10.0 ** np.arange(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        inside = (powers >= low) & (powers <= high)
        ticks = powers if inside.sum() > 2 else np.sort(np.append(powers, 3 * powers))
    else:
        whole = bool((distinct == np.round(distinct)).all())
        ticks = np.asarray(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10], integer=whole).tick_values(low, high))
    return ticks[(ticks >= low) & (ticks <= high)]


def _category_scale(values: list[Any]) -> _Scale:
    """Unset below numbers below other values, each in its order."""
    order = {
        _value_text(value): (not _is_unset(value), not _is_number(value), value if _is_number(value) else str(value))
        for value in values
    }
    names = sorted(order, key=order.__getitem__)
    middles = dict(zip(names, ((np.arange(len(names)) + 0.5) / len(names)).tolist(), strict=True))
    heights = np.array([middles[_value_text(value)] for value in values])
    short = short_names(names, "/")
    ticks = [(middles[name], short[name]) for name in names]
    return _Scale(_spread(heights), ticks, short[_value_text(values[-1])])


def _spread(heights: Numbers) -> Numbers:
    """Rows of equal height apart from each other, in their order from below, by less than half of the way between."""
    levels, counts = np.unique(heights, return_counts=True)
    width = min(0.12, 0.6 * float(np.diff(levels).min(initial=1.0)))
    spread = heights.copy()
    for level, count in zip(levels, counts, strict=True):
        if count > 1:
            spread[heights == level] = level + np.linspace(-width / 2, width / 2, count)
    return spread


def _trial_lines(ax: Axes, heights: Numbers, mode: str, label: str) -> None:
    """The [N, axes] heights as lines in their order, coloured by the last axis; the last line is drawn apart."""
    segments = [np.column_stack([np.arange(heights.shape[1]), row]) for row in heights[:-1]]
    few = len(heights) <= 40
    lines = LineCollection(segments, cmap=_SHADES, linewidths=1.1 if few else 0.7, alpha=0.85 if few else 0.55)
    lines.set_array(heights[:-1, -1] if mode == "max" else 1 - heights[:-1, -1])
    lines.set_clim(0, 1)
    ax.add_collection(lines)
    style: Any = {"path_effects": [withStroke(linewidth=4.2, foreground="white")], "clip_on": False, "zorder": 3}
    ax.plot(heights[-1], color=_VERMILION, linewidth=2.2, marker="o", label=label, **style)


def _draw_scale(ax: Axes, at: float, scale: _Scale, gap: float) -> None:
    ax.plot([at, at], [0, 1], color=INK, linewidth=0.8, zorder=2.2)
    rows = min(6, max(1, 15 // len(scale.ticks)))
    style: Any = {"va": "center", "fontsize": 7, "linespacing": 1.05, "path_effects": _HALO, "zorder": 4}
    for height, text in scale.ticks[:: -(-len(scale.ticks) // 18)]:
        ax.plot([at, at + 0.04 / gap], [height, height], color=INK, linewidth=0.8, zorder=2.2)
        ax.text(at + 0.08 / gap, height, _shortened(text, gap, rows), **style)


def _shortened(text: str, gap: float, rows: int) -> str:
    """`text` in at most `rows` lines that fit between two axes `gap` inches apart, less its middle if it must."""
    width = int((gap - 0.1) / 0.058)
    lines, room = _lines(text, width), min(len(text), width * rows + 1)
    while len(lines) > rows:
        room -= 1
        lines = _lines(text[: (room + 1) // 2] + "…" + text[len(text) - room // 2 :], width)
    return "\n".join(lines)


def _lines(text: str, width: int) -> list[str]:
    """Filled lines, broken behind the separators of paths and names where they have any."""
    lines = [""]
    for piece in re.findall(rf"[^-/_.… ]{{1,{width - 1}}}[-/_.… ]?|[-/_.… ]", text):
        if len(lines[-1]) + len(piece.rstrip()) > width:
            lines.append("")
        lines[-1] += piece
    return lines


def short_names(names: Sequence[str], separator: str = ".") -> dict[str, str]:
    """The fewest last parts of each dotted name that no other of the names ends with."""

    def short(name: str) -> str:
        parts = name.split(separator)
        ends = (separator.join(parts[-count:]) for count in range(1, len(parts)))
        whole = [separator + other for other in names]
        return next((end for end in ends if sum(other.endswith(separator + end) for other in whole) == 1), name)

    return {name: short(name) for name in names}


def _completed(
    trials: pd.DataFrame, metrics: Sequence[str], modes: Sequence[str], keys: Sequence[str] = ()
) -> pd.DataFrame:
    """The complete trials with finite values, by number; a table without any trial may lack its columns."""
    for mode in modes:
        require(mode in _BETTER, "mode", mode, "max or min")
    if trials.empty:
        return trials
    for name in (*metrics, *keys):
        require(name in trials, "trials", list(trials), f"a column {name}")
    finite = np.isfinite(trials[list(metrics)].to_numpy(dtype=float)).all(axis=1)
    return trials[(trials["state"] == "complete").to_numpy() & finite].sort_values("number")


def _too_few(trials: pd.DataFrame, done: pd.DataFrame, metrics: Sequence[str]) -> Figure:
    if trials.empty:
        return _sentence("This study has no trials yet.")
    rest = trials.loc[~trials["number"].isin(done["number"]), "state"].replace("complete", "complete without a value")
    others = ", ".join(f"{n} {state}" for state, n in rest.value_counts().items())
    if done.empty:
        return _sentence(f"No trial of this study has a value yet ({others}).")
    row = done.iloc[0]
    values = ", ".join(f"{_metric_name(metric)} {_number(row[metric])}" for metric in metrics)
    told = f"Only trial {row['number']} of this study has a value: {values}"
    return _sentence(f"{told} ({others})." if others else f"{told}.")


def _sentence(text: str) -> Figure:
    figure = new_figure(1.0, 5.2)
    ax = figure.subplots()
    ax.set(xticks=[], yticks=[], facecolor=BAND)
    ax.spines[:].set_visible(False)
    ax.text(0.5, 0.5, textwrap.fill(text, 66), ha="center", va="center", transform=ax.transAxes)
    return figure


def _limit(ax: Axes, name: str, values: Numbers, mode: str, *, below: float) -> None:
    """Limits with a margin, `below` of it under the values, and a logarithmic scale for wide losses."""
    log = mode == "min" and _spans_decades(values)
    low, high = np.log10([values.min(), values.max()]) if log else (values.min(), values.max())
    span = high - low or abs(high) or 1.0
    ends = np.array([low - below * span, high + 0.06 * span])
    ax.set(**{f"{name}scale": "log" if log else "linear", f"{name}lim": 10**ends if log else ends})
    if log:
        axis = ax.xaxis if name == "x" else ax.yaxis
        axis.set_major_locator(LogLocator(subs=(1, 3) if span < 3 else (1,)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: _number(value)))
        axis.set_minor_formatter(NullFormatter())


def _spans_decades(values: Numbers) -> bool:
    return bool(values.min() > 0 and math.log10(values.max() / values.min()) > _DECADES)


def _metric_name(metric: str) -> str:
    split, _, name = metric.rpartition("/")
    return f"{_SPLITS.get(split, split)} {readable(name)}".strip()


def _words(key: str) -> str:
    return readable(key.replace(".", " "))


def _value_text(value: Any) -> str:
    if _is_unset(value):
        return "none"
    if isinstance(value, bool | np.bool_):
        return str(value).lower()
    return _number(value) if _is_number(value) else printable(str(value))


def _number(value: float) -> str:
    """As in a configuration: 5e-4 and 0.001, and 1024 or 16384 in full."""
    if float(value).is_integer() and abs(value) < 1e6:
        return f"{value:.0f}"
    text = f"{value:.4g}" if 1e-3 <= abs(value) < 1e6 else f"{value:.2e}"
    mantissa, _, power = text.partition("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(power)}" if power else mantissa


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and math.isfinite(value)


def _is_unset(value: Any) -> bool:
    return value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value))
