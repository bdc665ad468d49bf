"""Curves of the training and of the classifier's decisions."""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, confusion_matrix, precision_recall_curve, roc_curve

from hallmark.analysis.plots.style import DASHES, MUTED, PALETTE, drawable, headed, house_style, new_figure
from hallmark.analysis.plots.training_curves import learning_curves
from hallmark.analysis.presentation import (
    as_two_classes,
    check_classes,
    classified_tasks,
    figure_name,
    show,
    shown_task,
)
from hallmark.analysis.state import State
from hallmark.runs.record import Record
from hallmark.statistics import Interval, Resampling, metric_interval, prediction_array, probability_array, target_array
from hallmark.statistics.members import row_count
from hallmark.statistics.metrics.classification import ranked_classes
from hallmark.statistics.text import number_text

_COLUMNS = ["task", "class", "n", "n_positive", "average_precision", "auroc", "auroc_low", "auroc_high"]
_NUMBERED = 15  # classes up to which the cells of a confusion matrix hold numbers


class Curves:
    """Write `curves.csv` and the figures `learning_curves`, `pr_roc` and `confusion`.

    Args:
        statistics: confidence level, resamples and seed of the intervals.
    """

    def __init__(self, *, statistics: Resampling) -> None:
        self.resampling = statistics

    def run(self, state: State) -> None:
        if not state.history.empty:
            record = Record.read(state.directory)
            figure = learning_curves(state.history, record.selected if record else None)
            state.save_figure("learning_curves", figure)
        check_classes(state.predictions, "curves")
        table = self.table(state.predictions)
        state.save_table("curves", table)
        show(f"Each class against the rest, {state.split}", table)
        for task, classes, rows in classified_tasks(state.predictions):
            target, probabilities = target_array(rows, classes), probability_array(rows, classes)
            named = shown_task(task, state.predictions)
            figure = pr_roc(target, probabilities, table[table["task"] == task], named)
            state.save_figure(figure_name("pr_roc", task, state.predictions), figure)
            counts = confusion_matrix(target, prediction_array(rows, classes), labels=range(len(classes)))
            figure = confusion_figure(counts, classes, named)
            state.save_figure(figure_name("confusion", task, state.predictions), figure)

    def table(self, predictions: pd.DataFrame) -> pd.DataFrame:
        """One row per task and class, of two classes the second; no areas where all rows are in the class, or none is.

        The first of two has the same curve seen from the other side, but for the rounding of its probability.
        """
        records = []
        for task, classes, rows in classified_tasks(predictions):
            for index in ranked_classes(len(classes)):
                positive = (rows["target"].astype(str) == classes[index]).to_numpy()
                score = probability_array(rows, classes)[:, index]
                precision, area = math.nan, Interval.undefined(self.resampling.confidence_level)
                if positive.any() and not positive.all():
                    two_classes = as_two_classes(rows, positive, score)
                    area = metric_interval(two_classes, "auroc", resampling=self.resampling)
                    precision = float(average_precision_score(positive, score))
                records.append({
                    "task": task, "class": classes[index], "n": row_count(rows),
                    "n_positive": row_count(rows[positive]), "average_precision": precision, **area.columns("auroc"),
                })  # fmt: skip
        return pd.DataFrame(records, columns=_COLUMNS)


@house_style()
def pr_roc(
    target: NDArray[np.intp], probabilities: NDArray[np.float64], areas: pd.DataFrame, task: str | None = None
) -> Figure:
    """Precision over recall and true over false positive rate, a line per class against the rest, of two the second.

    With more classes than colors the worst ones by average precision are colored, the others grey.

    Args:
        target: [N] class indices.
        probabilities: [N, C].
        areas: `curves.csv` of the task, in class order.
        task: its name, where there are several.
    """
    figure = new_figure(4.1 + 0.12 * min(len(areas), len(PALETTE)))
    left, right = figure.subplots(1, 2)
    areas = areas.set_axis(ranked_classes(probabilities.shape[1])).dropna(subset="auroc")
    colored = areas["average_precision"].nsmallest(len(PALETTE)).index
    colors = dict(zip(sorted(colored), PALETTE, strict=False))
    for row in areas.reset_index(names="number").to_dict("records"):
        index = int(row["number"])
        style = {"color": colors.get(index, "#C8C8C8"), "zorder": 2.5 if index in colors else 2}
        precision, recall, _ = precision_recall_curve(target == index, probabilities[:, index])
        false, true, _ = roc_curve(target == index, probabilities[:, index])
        name = drawable(row["class"]) if index in colors else "_"
        left.plot(recall, precision, drawstyle="steps-post", label=_label(name, row["average_precision"]), **style)
        right.plot(false, true, label=_label(name, row["auroc"]), **style)
    right.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, linestyle=DASHES, label="chance")
    _finish(left, headed("precision and recall", task), ("recall", "precision"), "average precision")
    _finish(right, headed("ROC", task), ("false positive rate", "true positive rate"), "area under the curve")
    return figure


def _label(name: str, area: float) -> str:
    return name if name == "_" else f"{name} {number_text(area)}"


def _finish(ax: Axes, title: str, labels: tuple[str, str], legend: str) -> None:
    ax.set_title(title)
    ax.set_xlabel(labels[0])
    ax.set_ylabel(labels[1])
    ax.set_xlim(0, 1.005)
    ax.set_ylim(0, 1.02)
    ax.set_box_aspect(1)
    ax.grid()
    if ax.get_legend_handles_labels()[0]:
        ax.legend(title=legend, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, title_fontsize=8)


@house_style()
def confusion_figure(counts: NDArray[np.int_], classes: list[str], task: str | None = None) -> Figure:
    """Counts [C, C] (row = target, column = prediction), and beside them each row's shares."""
    total = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, total, out=np.full(counts.shape, np.nan), where=total > 0)
    size = float(np.clip(1.2 + 0.45 * len(classes), 2.6, 7))
    figure = new_figure(size + 0.5, 2 * size + 1)
    names = [drawable(name) for name in classes]
    every = range(0, len(names), -(-len(names) // 40))
    rotation = 0 if sum(map(len, names)) <= 24 else 90 if len(names) > 8 else 35
    panels = ((counts.astype(float), "rows", ".0f"), (shares, "share of the target", ".2f"))
    for ax, (values, title, style) in zip(figure.subplots(1, 2), panels, strict=True):
        top = max(float(np.nanmax(values, initial=0)), 1e-9)
        image = ax.imshow(values, cmap="Blues", vmin=0, vmax=top)
        ax.set_xticks(every, [names[i] for i in every], rotation=rotation, ha="right" if rotation == 35 else "center")
        ax.set_yticks(every, [names[i] for i in every])
        ax.tick_params(length=0)
        ax.spines[:].set_visible(False)
        ax.set(xlabel="prediction", ylabel="target")
        ax.set_title(headed(title, task))
        if len(names) > _NUMBERED:
            figure.colorbar(image, ax=ax, shrink=0.5, aspect=30).outline.set_visible(False)
            continue
        for (row, column), value in np.ndenumerate(values):
            text = "–" if np.isnan(value) else format(value, style)
            ax.text(column, row, text, ha="center", va="center", color="white" if value > 0.6 * top else "black")
    return figure
