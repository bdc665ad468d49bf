"""Trials of a search as lines over its settings: parallel coordinates (Inselberg 1985)."""

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
from matplotlib.ticker import MaxNLocator

from hallmark.analysis.plots.studies import (
    BETTER,
    HALO,
    VERMILION,
    Numbers,
    completed,
    is_number,
    is_unset,
    metric_name,
    setting_text,
    setting_title,
    spans_decades,
    too_few,
)
from hallmark.analysis.plots.style import INK, WIDTH, drawable, house_style, new_figure
from hallmark.wording import short_names

_SHADES = ListedColormap(colormaps["viridis_r"](np.linspace(0.06, 1, 256)), name="worst_to_best")
_FEW = 8  # up to so many different numbers each has its own tick


@house_style()
def parallel_coordinates(trials: pd.DataFrame, keys: Sequence[str], metric: str, mode: str) -> Figure:
    """One line a complete trial over an axis per key and the metric's, which is the scale of the colors too.

    Positive numbers over more than 1.5 decades have a logarithmic axis, what is not a number has its names for
    ticks. Lines that share a name, or one of a few numbers, are spread a little around it, the best on top; a key
    that was not set is "none", below the numbers. The settings of the best trial stand below the axes.

    Args:
        trials: the table of trials.
        keys: columns of one or more searched keys, from left to right.
        metric: the column of the objective.
        mode: "max" or "min".
    """
    done = completed(trials, [metric])
    if len(done) < 2:
        return too_few(trials, done, [metric])
    # Drawn, and spread, from the worst to the best; of equal ones the first trial is the best.
    rows = done[::-1].sort_values(metric, ascending=mode == "max", kind="stable")
    scales = [_key_scale(rows[key].tolist()) for key in keys]
    values = rows[metric].to_numpy(float)
    scales.append(_numeric_scale(values, (0.0, 1.0), few=False, log=mode == "min" and spans_decades(values)))
    gap = min(1.7, max(0.74, (WIDTH - 1) / len(keys)))
    chosen = [_shortened(scale.last, gap, rows=5) for scale in scales]
    figure = new_figure(3.3 + 0.12 * max(text.count("\n") for text in chosen), gap * len(keys) + 1)
    ax = figure.subplots()
    ax.set_axis_off()
    label = f"best of {len(rows)}: trial {rows['number'].iloc[-1]} ({BETTER[mode]}), its settings below"
    _trial_lines(ax, np.stack([scale.heights for scale in scales], axis=1), mode, label)
    bar_width = 0.09 / gap
    shades = np.arange(256)[:: 1 if mode == "max" else -1, None]
    ax.imshow(shades, cmap=_SHADES, extent=(len(keys), len(keys) + bar_width, 0, 1), origin="lower", aspect="auto")
    titles = [setting_title(name) for name in short_names(keys).values()] + [metric_name(metric)]
    for index, (title, scale, text) in enumerate(zip(titles, scales, chosen, strict=True)):
        _draw_scale(ax, index + (bar_width if index == len(keys) else 0), scale, gap)
        title = textwrap.fill(title, max(10, int(gap / 0.08)), break_long_words=False)
        ax.text(index, 1.06, title, ha="center", va="bottom", weight="bold")
        ax.text(index, -0.06, text, ha="center", va="top", color=VERMILION, fontsize=7.5)
    ax.set(xlim=(-0.02, len(keys) + bar_width), ylim=(-0.02, 1.02))
    figure.legend(loc="outside upper left")
    return figure


class _Scale(NamedTuple):
    """Heights in [0, 1] of the trials on an axis and of its tick labels, and the last trial's value as text."""

    heights: Numbers
    ticks: list[tuple[float, str]]
    last: str


def _key_scale(values: list[Any]) -> _Scale:
    unset = np.array([is_unset(value) for value in values])
    present = [value for value in values if not is_unset(value)]
    if not present or not all(map(is_number, present)):
        return _category_scale(values)
    numbers = np.array([math.nan if is_unset(value) else value for value in values], dtype=float)
    few = len(set(present)) <= _FEW
    ends = (0.2 if unset.any() else 0.06 if few else 0.0, 0.94 if few else 1.0)
    scale = _numeric_scale(numbers, ends, few=few, log=spans_decades(numbers[~unset]))
    if unset.any():
        scale = _Scale(np.where(unset, 0.06, scale.heights), [(0.06, "none"), *scale.ticks], _value_text(values[-1]))
    return scale._replace(heights=_spread(scale.heights)) if few else scale


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
    texts = [setting_text(number) for number in marked]
    places = 0 if few or log or "e" in "".join(texts) else max(len(text.partition(".")[2]) for text in texts)
    ticks: list[tuple[float, str]] = []
    for at, text, number in zip(height(marked).tolist(), texts, marked, strict=True):
        if not ticks or at - ticks[-1][0] > 0.045:
            ticks.append((at, f"{number:.{places}f}" if places else text))
    return _Scale(height(values), ticks, setting_text(values[-1]))


def _round_numbers(distinct: Numbers, *, log: bool) -> Numbers:
    """Ticks within a range of numbers; powers of ten on a logarithmic axis, with threes where they are few."""
    low, high = distinct[[0, -1]]
    if log:
        powers = 10.0 ** np.arange(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        inside = (powers >= low) & (powers <= high)
        ticks = powers if inside.sum() > 2 else np.sort(np.append(powers, 3 * powers))
    else:
        integer = bool((distinct == np.round(distinct)).all())
        ticks = np.asarray(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10], integer=integer).tick_values(low, high))
    return ticks[(ticks >= low) & (ticks <= high)]


def _category_scale(values: list[Any]) -> _Scale:
    """Unset below numbers below other values, each in its order."""
    order = {
        _value_text(value): (not is_unset(value), not is_number(value), value if is_number(value) else str(value))
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
    """The [N, axes] heights as lines in their order, colored by the last axis; the last line is drawn apart."""
    segments = [np.column_stack([np.arange(heights.shape[1]), row]) for row in heights[:-1]]
    few = len(heights) <= 40
    lines = LineCollection(segments, cmap=_SHADES, linewidths=1.1 if few else 0.7, alpha=0.85 if few else 0.55)
    lines.set_array(heights[:-1, -1] if mode == "max" else 1 - heights[:-1, -1])
    lines.set_clim(0, 1)
    ax.add_collection(lines)
    style: Any = {"path_effects": [withStroke(linewidth=4.2, foreground="white")], "clip_on": False, "zorder": 3}
    ax.plot(heights[-1], color=VERMILION, linewidth=2.2, marker="o", label=label, **style)


def _draw_scale(ax: Axes, at: float, scale: _Scale, gap: float) -> None:
    ax.plot([at, at], [0, 1], color=INK, linewidth=0.8, zorder=2.2)
    rows = min(6, max(1, 15 // len(scale.ticks)))
    style: Any = {"va": "center", "fontsize": 7, "linespacing": 1.05, "path_effects": HALO, "zorder": 4}
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


def _value_text(value: Any) -> str:
    if is_unset(value):
        return "none"
    if isinstance(value, bool | np.bool_):
        return str(value).lower()
    return setting_text(value) if is_number(value) else drawable(str(value))
