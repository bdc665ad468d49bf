"""The curves of a training, by epoch."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hallmark.analysis.plots.style import DASHES, MUTED, SPLIT_NAMES, WIDTH, color, drawable, house_style, panel_grid
from hallmark.statistics import CLASSIFICATION_METRICS
from hallmark.statistics.metrics.sets import SET_METRICS
from hallmark.wording import readable

_RATE = "learning rate"
_TERMS = "loss by term"
_EPOCHS_WITH_DOTS = 40


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
    width = WIDTH * max(n_columns, 2) / 3
    figure, axes = panel_grid(len(panels), n_columns, 2.0, margin=0.4, width=width)
    for ax, (name, columns) in zip(axes, panels.items(), strict=True):
        history_panel(ax, history, name, columns, best)
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
    logged = [str(column).split("/") for column in history if str(column).partition("/")[0] in SPLIT_NAMES]
    tasks = [parts[1] for parts in logged if len(parts) == 3]
    metrics = {"loss", *CLASSIFICATION_METRICS, *SET_METRICS}
    terms = [
        parts[1] for parts in logged if len(parts) == 2 and parts[1] not in metrics and (parts[0] == "train" or tasks)
    ]
    return list(dict.fromkeys([*tasks, *terms])) if terms else []


def _panel_name(column: str, terms: Sequence[str]) -> str:
    if column.partition("/")[0] not in SPLIT_NAMES:
        return _RATE if column.startswith("lr") else drawable(readable(column))
    _, *task, metric = column.split("/")
    is_term = metric in terms if not task else metric == "loss" and task[0] in terms
    if terms and not task and metric == "loss":
        return f"{SPLIT_NAMES[column.partition('/')[0]]} loss"
    return _TERMS if is_term else drawable(readable(metric))


def _part(column: str, panel: str) -> str:
    """The task or term that a column is of; empty where it is of all."""
    if column.partition("/")[0] not in SPLIT_NAMES:
        return ""
    _, *task, metric = column.split("/")
    return (task or [metric])[0] if panel == _TERMS else "/".join(task)


def history_panel(ax: Axes, history: pd.DataFrame, name: str, columns: list[str], best: float | None) -> None:
    """Draw the columns of one panel of `history_panels`; `best` marks an epoch.

    Colors tell splits apart. Where there are tasks or terms, colors tell those apart, and training is dashed.
    """
    # Their places among all terms and tasks choose the colors, the same ones in every panel.
    named = [_part(column, panel) for panel, columns_of in history_panels(history).items() for column in columns_of]
    parts = [part for part in dict.fromkeys([*_terms(history), *named]) if part]
    for index, column in enumerate(columns):
        measured = history[["epoch", column]].dropna()
        split, part = column.partition("/")[0], _part(column, name)
        style: dict[str, Any] = {"marker": "o" if len(measured) <= _EPOCHS_WITH_DOTS else None, "markersize": 3}
        if split not in SPLIT_NAMES:
            label = drawable(column) if len(columns) > 1 else "_"
            style |= {"color": color(index + len(SPLIT_NAMES) + len(parts)), "label": label}
        elif not part:
            style |= {"color": color(list(SPLIT_NAMES).index(split)), "label": SPLIT_NAMES[split]}
        else:
            label = f"{drawable(part)}, {SPLIT_NAMES[split]}"
            style |= {"color": color(parts.index(part) + len(SPLIT_NAMES)), "label": label}
            style |= {"linestyle": (0, (2, 1)), "linewidth": 1.1} if split == "train" else {}
        ax.plot(measured["epoch"], measured[column], **style)
    if best is not None:
        label = f"best epoch ({best:g})"
        ax.axvline(best, color=MUTED, linewidth=0.9, linestyle=DASHES, label=label, zorder=1)
    ax.set_title(name)
    ax.set_xlabel("epoch")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    ax.ticklabel_format(axis="y", style="sci", scilimits=(-3, 4))
    ax.grid(axis="y")
