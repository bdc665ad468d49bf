"""The house style of figures.

Figures are built with the object-oriented API (no pyplot, so nothing global is left open) and carry the style
with them: ticks are made late, when the file is written, and would otherwise have matplotlib's defaults.
"""

import logging
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from cycler import cycler
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font

WIDTH = 7.0
"""Inches: the text width of a page in most journals."""

SPLIT_NAMES = {"train": "training", "val": "validation"}

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F5FA8", "#000000")
"""After Okabe & Ito (2008), distinct under color deficiencies; their yellow is too pale for lines."""

INK, MUTED = "#222222", "#767676"
BAND = "#F0F0F0"
DASHES = (0, (4, 3))
MARKERS = "osD^v"

_FALLBACKS = ("Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "WenQuanYi Zen Hei", "Noto Emoji")


class PaperFigure(Figure):
    """A figure that is drawn in the house style whoever saves it."""

    def savefig(self, *args: Any, **kwargs: Any) -> None:
        logging.getLogger("fontTools").setLevel(logging.WARNING)  # a PDF's fonts are worth 50 lines to it
        with house_style():
            super().savefig(*args, **kwargs)


@contextmanager
def house_style() -> Iterator[None]:
    """Matplotlib settings under which artists of a figure are to be made; usable as a decorator."""
    settings: Any = {
        "font.family": list(font_names()),
        "font.size": 8.5,
        "axes.titlesize": 9,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.labelsize": 8.5,
        "axes.edgecolor": MUTED,
        "axes.labelcolor": INK,
        "axes.linewidth": 0.7,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "axes.prop_cycle": cycler(color=PALETTE),
        "grid.color": "#E4E4E4",
        "grid.linewidth": 0.6,
        "text.color": INK,
        "text.parse_math": False,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.labelcolor": INK,
        "ytick.labelcolor": INK,
        "xtick.labelsize": 8,
        "ytick.labelsize": 8,
        "lines.linewidth": 1.5,
        "lines.markersize": 4.5,
        "legend.frameon": False,
        "legend.fontsize": 8,
        "pdf.fonttype": 42,
        "savefig.bbox": "tight",
        "savefig.pad_inches": 0.04,
    }
    with mpl.rc_context(settings):
        yield


def new_figure(height: float, width: float = WIDTH) -> Figure:
    """An empty figure of this size in inches: 200 dots per inch, constrained layout."""
    figure = PaperFigure(figsize=(width, height), dpi=200, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def panel_grid(
    n: int, n_columns: int, panel_height: float, *, margin: float = 0.0, width: float = WIDTH, **subplots: Any
) -> tuple[Figure, list[Axes]]:
    """A figure of `n` panels in rows of `n_columns`, each so many inches high, `margin` beside; the panels in order."""
    n_rows = -(-n // n_columns)
    figure = new_figure(panel_height * n_rows + margin, width)
    axes = figure.subplots(n_rows, n_columns, squeeze=False, **subplots).ravel()
    for ax in axes[n:]:
        ax.set_axis_off()
    return figure, list(axes[:n])


def color(index: int) -> str:
    return PALETTE[index % len(PALETTE)]


@cache
def font_names() -> tuple[str, ...]:
    """Installed families to take glyphs from, in order of preference."""
    installed = set(font_manager.get_font_names())
    return ("DejaVu Sans", *(name for name in _FALLBACKS if name in installed))


def drawable(text: str) -> str:
    """`text` without the characters that no installed font has; escaped where nothing else would be left."""
    known = [char for char in text if char.isspace() or any(ord(char) in glyphs for glyphs in _glyphs())]
    return " ".join("".join(known).split()) or text.strip().encode("ascii", "backslashreplace").decode()


def wrapped(text: str, width: int, n_lines: int) -> list[str]:
    """`text` in at most `n_lines` lines of `width` columns, of which a wide (CJK, emoji) character takes two.

    Lines break at spaces where they have some; what is left over ends in an ellipsis.
    """
    lines: list[str] = []
    text = text.strip()
    while text and len(lines) < n_lines:
        cut = _fitting(text, width)
        space = text.rfind(" ", 0, cut + 1)
        cut = cut if cut == len(text) or space <= 0 else space
        lines.append(text[:cut].rstrip())
        text = text[cut:].lstrip()
    if text:
        lines[-1] = lines[-1][: _fitting(lines[-1], width - 1)] + "…"
    return lines


def _fitting(text: str, width: int) -> int:
    """How many characters fit into so many columns, at least one."""
    columns = np.cumsum([1 + (unicodedata.east_asian_width(character) in "WF") for character in text])
    return max(1, int((columns <= width).sum()))


def headed(title: str, task: str | None) -> str:
    """`title` led by the task's name; None for the only task, which needs none."""
    return title if task is None else f"{drawable(task)}: {title}"


@cache
def _glyphs() -> tuple[frozenset[int], ...]:
    paths = (font_manager.findfont(name) for name in font_names())
    return tuple(frozenset(FT2Font(path).get_charmap()) for path in paths)


def interval_dots(
    ax: Axes, position: Iterable[float], values: pd.DataFrame, metric: str, *, index: int, label: str
) -> None:
    """Horizontal dots with bars: `metric`, `<metric>_low`, `<metric>_high` of `values` at heights `position`.

    An undefined value has no dot, an undefined interval no bar; `index` chooses color and marker.
    """
    estimate, low, high = (values[f"{metric}{end}"].to_numpy(dtype=float) for end in ("", "_low", "_high"))
    ax.errorbar(
        estimate,
        list(position),
        xerr=np.clip([estimate - low, high - estimate], 0, None),
        fmt=MARKERS[index % len(MARKERS)],
        color=color(index),
        markerfacecolor=color(index) if index == 0 else "white",
        elinewidth=1.2,
        label=label,
    )


def reliability_dots(ax: Axes, bins: pd.DataFrame, line: str, *, index: int, filled: bool, label: str) -> None:
    """Accuracy by mean confidence of the bins with rows, with intervals, from `reliability_bins`.

    Args:
        line: marker and line in matplotlib's short form, as `o-`.
        index: chooses the color.
    """
    bins = bins[bins["n"] > 0]
    accuracy = bins["accuracy"]
    ax.errorbar(
        bins["confidence"],
        accuracy,
        yerr=np.clip([accuracy - bins["accuracy_low"], bins["accuracy_high"] - accuracy], 0, None),
        fmt=line,
        color=color(index),
        markerfacecolor=color(index) if filled else "white",
        linewidth=1.2,
        elinewidth=0.8,
        label=label,
        clip_on=False,
    )


def row_counts(ax: Axes, heights: Iterable[float], counts: Iterable[int], x: float = 1.02) -> None:
    """`n = 12` to the right of each row of a panel."""
    for y, n in zip(heights, counts, strict=True):
        ax.text(x, y, f"n = {n}", transform=ax.get_yaxis_transform(), va="center", fontsize=7.5, color=MUTED)
