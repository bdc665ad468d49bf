"""The house style of figures, and the curves of a training.

Figures are built with the object-oriented API (no pyplot, so nothing global is left open) and carry the style
with them: ticks are made late, when the file is written, and would otherwise have matplotlib's defaults.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
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
from matplotlib.ticker import MaxNLocator

WIDTH = 7.0
"""Inches: the text width of a page in most journals."""

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F5FA8", "#000000")
"""After Okabe & Ito (2008), distinct under colour deficiencies; their yellow is too pale for lines."""

INK, MUTED = "#222222", "#767676"
BAND = "#F0F0F0"
DASHES = (0, (4, 3))

_FALLBACKS = ("Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "WenQuanYi Zen Hei", "Noto Emoji")
_SPLITS = {"train": "training", "val": "validation"}
_RATE = "learning rate"
_EPOCHS_WITH_DOTS = 40
_MARKERS = "osD^v"
_WORDS = {"f1": "F1", "auroc": "AUROC", "auprc": "AUPRC", "brier": "Brier", "ece": "ECE", "iou": "IoU"}


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


def colour(index: int) -> str:
    return PALETTE[index % len(PALETTE)]


@cache
def font_names() -> tuple[str, ...]:
    """Installed families to take glyphs from, in order of preference."""
    installed = set(font_manager.get_font_names())
    return ("DejaVu Sans", *(name for name in _FALLBACKS if name in installed))


def printable(text: str) -> str:
    """`text` without the characters that no installed font has; escaped where nothing else would be left."""
    kept = " ".join("".join(filter(_has_glyph, text)).split())
    return kept or text.strip().encode("ascii", "backslashreplace").decode()


def readable(metric: str) -> str:
    """A metric's or column's name as a reader would write it: `macro_f1` becomes `macro F1`."""
    words = (_WORDS.get(word, word) for word in metric.replace("_", " ").split())
    return printable(" ".join(words))


@house_style()
def learning_curves(history: pd.DataFrame, selected: Mapping[str, Any] | None = None) -> Figure:
    """One panel a metric, training and validation on one axis, the selected epoch marked in each.

    Args:
        history: `epoch` and columns such as `train/loss`, `val/loss`, `lr`; nan where nothing was measured.
        selected: the `metric` (a column) that selected the weights and its `value`, as a run's record has
            them; None marks nothing, nor does a metric that the history lacks.

    Raises:
        ValueError: a history without epochs or metrics.
    """
    panels = history_panels(history)
    if history.empty or not panels:
        raise ValueError("history: learning curves need at least one epoch and one metric")
    best = selected_epoch(history, selected)
    n_columns = min(3, len(panels))
    n_rows = -(-len(panels) // n_columns)
    figure = new_figure(2.0 * n_rows + 0.4, WIDTH * max(n_columns, 2) / 3)
    axes = figure.subplots(n_rows, n_columns, squeeze=False).ravel()
    for ax, (name, columns) in zip(axes, panels.items(), strict=False):
        history_panel(ax, history, name, columns, best)
    for ax in axes[len(panels) :]:
        ax.set_axis_off()
    handles = {label: handle for ax in axes for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    figure.legend(list(handles.values()), list(handles), loc="outside upper left", ncols=4)
    return figure


def selected_epoch(history: pd.DataFrame, selected: Mapping[str, Any] | None) -> float | None:
    """The first epoch whose monitored metric is the selected value; None where the history cannot tell."""
    if selected is None or selected["metric"] not in history:
        return None
    distance = (history[selected["metric"]] - selected["value"]).abs()
    return None if distance.isna().all() else float(history["epoch"].to_numpy()[np.nanargmin(distance)])


def history_panels(history: pd.DataFrame) -> dict[str, list[str]]:
    """Columns by panel: one metric's splits together, all learning rates together and last."""
    panels: dict[str, list[str]] = {}
    for column in history.select_dtypes("number").columns.drop("epoch", errors="ignore"):
        if history[column].notna().any():
            panels.setdefault(_panel_name(column), []).append(column)
    if _RATE in panels:
        panels[_RATE] = panels.pop(_RATE)
    return panels


def _panel_name(column: str) -> str:
    split, _, metric = column.partition("/")
    if split in _SPLITS:
        return readable(metric)
    return _RATE if column.startswith("lr") else readable(column)


def history_panel(ax: Axes, history: pd.DataFrame, name: str, columns: list[str], best: float | None) -> None:
    """Draw the columns of one panel of `history_panels`; `best` marks an epoch."""
    for index, column in enumerate(columns):
        split = column.partition("/")[0]
        measured = history[["epoch", column]].dropna()
        ax.plot(
            measured["epoch"],
            measured[column],
            color=colour(list(_SPLITS).index(split) if split in _SPLITS else index + len(_SPLITS)),
            marker="o" if len(measured) <= _EPOCHS_WITH_DOTS else None,
            markersize=3,
            label=_SPLITS.get(split, printable(column) if len(columns) > 1 else "_"),
        )
    if best is not None:
        label = f"best epoch ({best:g})"
        ax.axvline(best, color=MUTED, linewidth=0.9, linestyle=DASHES, label=label, zorder=1)
    ax.set_title(name)
    ax.set_xlabel("epoch")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    ax.ticklabel_format(axis="y", style="sci", scilimits=(-3, 4))
    ax.grid(axis="y")


def _has_glyph(character: str) -> bool:
    return character.isspace() or any(ord(character) in glyphs for glyphs in _glyphs())


@cache
def _glyphs() -> tuple[frozenset[int], ...]:
    paths = (font_manager.findfont(name) for name in font_names())
    return tuple(frozenset(FT2Font(path).get_charmap()) for path in paths)


def interval_dots(
    ax: Axes, position: Iterable[float], values: pd.DataFrame, metric: str, *, index: int, label: str
) -> None:
    """Horizontal dots with bars: `metric`, `<metric>_low`, `<metric>_high` of `values` at heights `position`.

    An undefined value has no dot, an undefined interval no bar; `index` chooses colour and marker.
    """
    estimate, low, high = (values[f"{metric}{end}"].to_numpy(dtype=float) for end in ("", "_low", "_high"))
    ax.errorbar(
        estimate,
        list(position),
        xerr=np.clip([estimate - low, high - estimate], 0, None),
        fmt=_MARKERS[index % len(_MARKERS)],
        color=colour(index),
        markerfacecolor=colour(index) if index == 0 else "white",
        elinewidth=1.2,
        label=label,
    )
