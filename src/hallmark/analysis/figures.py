"""The house style of figures, and the curves of a training.

Figures are built with the object-oriented API (no pyplot, so nothing global is left open) and carry the style
with them: ticks are made late, when the file is written, and would otherwise have matplotlib's defaults.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
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

from hallmark.statistics import CLASSIFICATION_METRICS

WIDTH = 7.0
"""Inches: the text width of a page in most journals."""

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F5FA8", "#000000")
"""After Okabe & Ito (2008), distinct under colour deficiencies; their yellow is too pale for lines."""

INK, MUTED = "#222222", "#767676"
BAND = "#F0F0F0"
DASHES = (0, (4, 3))
MARKERS = "osD^v"

_FALLBACKS = ("Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "WenQuanYi Zen Hei", "Noto Emoji")
_SPLITS = {"train": "training", "val": "validation"}
_RATE = "learning rate"
_TERMS = "loss by term"
_EPOCHS_WITH_DOTS = 40
_WORDS = {
    "f1": "F1", "auroc": "AUROC", "auprc": "AUPRC", "brier": "Brier", "ece": "ECE", "iou": "IoU", "miou": "mIoU",
    "oiou": "oIoU", **{f"p@{share}": f"P@{share}" for share in (0.5, 0.6, 0.7, 0.8, 0.9)},
}  # fmt: skip


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


def headed(title: str, task: str | None) -> str:
    """`title` led by the task's name; None for the only task, which needs none."""
    return title if task is None else f"{printable(task)}: {title}"


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
    """Columns by panel: one metric's splits and tasks together, losses by term together, all learning rates last.

    A metric of a task is `<split>/<task>/<metric>`. A term of the loss is what is logged besides metrics,
    `train/<term>` or, where there are tasks, `val/<term>`; the loss of each task, `val/<task>/loss`, is one too.
    Where there are terms the two losses have a panel each: that of training is their sum, that of validation is not.
    """
    panels: dict[str, list[str]] = {}
    terms = _terms(history)
    for column in history.select_dtypes("number").columns.drop("epoch", errors="ignore"):
        if history[column].notna().any():
            panels.setdefault(_panel_name(str(column), terms), []).append(str(column))
    if _RATE in panels:
        panels[_RATE] = panels.pop(_RATE)
    return panels


def _terms(history: pd.DataFrame) -> list[str]:
    """Names of the loss terms, tasks first; none where there is nothing to tell them by."""
    logged = [str(column).split("/") for column in history if str(column).partition("/")[0] in _SPLITS]
    tasks = [parts[1] for parts in logged if len(parts) == 3]
    own = [
        parts[1]
        for parts in logged
        if len(parts) == 2 and parts[1] not in ("loss", *CLASSIFICATION_METRICS) and (parts[0] == "train" or tasks)
    ]
    return list(dict.fromkeys([*tasks, *own])) if own else []


def _panel_name(column: str, terms: Sequence[str]) -> str:
    if column.partition("/")[0] not in _SPLITS:
        return _RATE if column.startswith("lr") else readable(column)
    _, *task, metric = column.split("/")
    is_term = metric in terms if not task else metric == "loss" and task[0] in terms
    if terms and not task and metric == "loss":
        return f"{_SPLITS[column.partition('/')[0]]} loss"
    return _TERMS if is_term else readable(metric)


def _part(column: str, panel: str) -> str:
    """The task or term that a column is of; empty where it is of all."""
    if column.partition("/")[0] not in _SPLITS:
        return ""
    _, *task, metric = column.split("/")
    return (task or [metric])[0] if panel == _TERMS else "/".join(task)


def history_panel(ax: Axes, history: pd.DataFrame, name: str, columns: list[str], best: float | None) -> None:
    """Draw the columns of one panel of `history_panels`; `best` marks an epoch.

    Colours tell splits apart. Where there are tasks or terms, colours tell those apart, and training is dashed.
    """
    parts = _parts(history)
    for index, column in enumerate(columns):
        measured = history[["epoch", column]].dropna()
        look = _look(column, name, parts)
        if look is None:
            label = printable(column) if len(columns) > 1 else "_"
            look = {"color": colour(index + len(_SPLITS) + len(parts)), "label": label}
        marker = "o" if len(measured) <= _EPOCHS_WITH_DOTS else None
        ax.plot(measured["epoch"], measured[column], marker=marker, markersize=3, **look)
    if best is not None:
        label = f"best epoch ({best:g})"
        ax.axvline(best, color=MUTED, linewidth=0.9, linestyle=DASHES, label=label, zorder=1)
    ax.set_title(name)
    ax.set_xlabel("epoch")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    ax.ticklabel_format(axis="y", style="sci", scilimits=(-3, 4))
    ax.grid(axis="y")


def _parts(history: pd.DataFrame) -> list[str]:
    """All terms and tasks, whose places choose their colours in every panel."""
    panels = history_panels(history)
    found = [_part(column, name) for name, columns in panels.items() for column in columns]
    return [part for part in dict.fromkeys([*_terms(history), *found]) if part]


def _look(column: str, panel: str, parts: Sequence[str]) -> dict[str, Any] | None:
    """Colour, label and line of a measured column; None for one that is of no split."""
    split = column.partition("/")[0]
    if split not in _SPLITS:
        return None
    part = _part(column, panel)
    if not part:
        return {"color": colour(list(_SPLITS).index(split)), "label": _SPLITS[split]}
    look = {"color": colour(parts.index(part) + len(_SPLITS)), "label": f"{printable(part)}, {_SPLITS[split]}"}
    return look | ({"linestyle": (0, (2, 1)), "linewidth": 1.1} if split == "train" else {})


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
        fmt=MARKERS[index % len(MARKERS)],
        color=colour(index),
        markerfacecolor=colour(index) if index == 0 else "white",
        elinewidth=1.2,
        label=label,
    )
