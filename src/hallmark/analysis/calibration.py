"""Whether a confidence of 80 % is right 80 % of the time, before and after temperature scaling."""

import logging
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from sklearn.model_selection import GroupKFold

from hallmark.analysis.figures import DASHES, MUTED, PALETTE, headed, house_style, new_figure
from hallmark.analysis.state import State
from hallmark.analysis.tables import classified_tasks, figure_name, show, shown_task
from hallmark.checks import require
from hallmark.statistics import Interval, Resampling, all_intervals, probability_array, reliability_bins, target_array
from hallmark.statistics.members import row_count
from hallmark.statistics.text import interval_text

log = logging.getLogger(__name__)

_METRICS = ("ece", "brier")
_ENDS = {"": "estimate", "_low": "low", "_high": "high"}
_LOG_TEMPERATURE = (float(np.log(0.05)), float(np.log(20.0)))
Floats = NDArray[np.float64]


class Calibration:
    """Write `calibration.json` and a reliability diagram per classification task.

    The temperature is cross-fitted: the one that divides the log probabilities of a fold was fitted on the
    groups of the other folds, so the error after it is an honest one although no calibration split is spent.

    Args:
        bins: bins of the diagram (the reported ECE has the bins of `hallmark.statistics`).
        folds: folds of the cross-fit, at least 2; a task with fewer groups uses one fold a group.
        statistics: confidence level, resamples and seed of the intervals; its seed also draws the folds.
    """

    def __init__(self, bins: int, folds: int, *, statistics: Resampling) -> None:
        require(bins >= 1, "bins", bins, "at least 1")
        require(folds >= 2, "folds", folds, "at least 2")
        self.bins, self.folds = bins, folds
        self.resampling = statistics

    def run(self, state: State) -> None:
        tasks = classified_tasks(state.predictions)
        require(len(tasks) > 0, "split", state.split, "a split with labelled rows of a classification task")
        results = {}
        for task, classes, rows in tasks:
            results[task], figure = self.diagram(rows, classes, shown_task(task, state.predictions))
            state.save_figure(figure_name("calibration", task, state.predictions), figure)
        state.save_json("calibration", results)
        show(f"Calibration on {state.split}", _overview(results))

    def diagram(self, rows: pd.DataFrame, classes: list[str], task: str | None = None) -> tuple[dict[str, Any], Figure]:
        """The entry of `calibration.json` for the labelled rows of one task, and its reliability diagram."""
        scaled, temperatures = self.cross_fitted(rows, classes)
        tables = {"as predicted": rows} | ({} if scaled is None else {"temperature scaled": scaled})
        figure = reliability_figure(
            {name: self._bins(table, classes) for name, table in tables.items()},
            {name: self._intervals(table)["ece"] for name, table in tables.items()},
            task,
        )
        return self._summary(rows, scaled, temperatures), figure

    def cross_fitted(self, rows: pd.DataFrame, classes: list[str]) -> tuple[pd.DataFrame | None, list[float]]:
        """The rows with scaled probabilities (None for a single group), and the temperature of each fold."""
        n_groups = rows["group"].nunique()
        if n_groups < 2:
            log.warning("a temperature cannot be cross-fitted on one group")
            return None, []
        target, probabilities = target_array(rows, classes), probability_array(rows, classes)
        folds = GroupKFold(min(self.folds, n_groups), shuffle=True, random_state=self.resampling.seed)
        temperatures = []
        scaled = np.empty_like(probabilities)
        for fit, held_out in folds.split(probabilities, groups=rows["group"].astype(str)):
            temperature = fit_temperature(target[fit], probabilities[fit])
            scaled[held_out] = scale(probabilities[held_out], temperature)
            temperatures.append(temperature)
        return rows.assign(probabilities=list(scaled)), temperatures

    def _summary(self, rows: pd.DataFrame, scaled: pd.DataFrame | None, temperatures: list[float]) -> dict[str, Any]:
        before = {name: vars(interval) for name, interval in self._intervals(rows).items()}
        after = (
            None
            if scaled is None
            else {
                "temperature": float(np.mean(temperatures)),
                "temperature_of_folds": temperatures,
                **{name: vars(interval) for name, interval in self._intervals(scaled).items()},
            }
        )
        return {"n": row_count(rows), "n_groups": rows["group"].nunique(), **before, "scaled": after}

    def _intervals(self, rows: pd.DataFrame) -> dict[str, Interval]:
        return all_intervals(rows, _METRICS, resampling=self.resampling)

    def _bins(self, rows: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
        probabilities = probability_array(rows, classes)
        correct = probabilities.argmax(axis=1) == target_array(rows, classes)
        confidence = probabilities.max(axis=1).clip(max=1)
        return reliability_bins(confidence, correct, self.bins, rows["group"], resampling=self.resampling)


def fit_temperature(target: NDArray[np.intp], probabilities: Floats) -> float:
    """The temperature, within 0.05 to 20, of least log loss (Guo et al. 2017, section 4.2).

    Args:
        target: [N] class indices.
        probabilities: [N, C]; their logarithms serve as logits, which differ from those of the network by a
            constant per row only.
    """
    logits = _logits(probabilities)
    rows = np.arange(len(target))

    def loss(log_temperature: float) -> float:
        return float(-log_softmax(logits / np.exp(log_temperature), axis=1)[rows, target].mean())

    return float(np.exp(minimize_scalar(loss, bounds=_LOG_TEMPERATURE, method="bounded").x))


def scale(probabilities: Floats, temperature: float) -> Floats:
    """Probabilities [N, C] after dividing their logarithms by the temperature; 1 changes nothing."""
    return np.asarray(softmax(_logits(probabilities) / temperature, axis=1))


def _logits(probabilities: Floats) -> Floats:
    return np.log(np.clip(probabilities, np.finfo(np.float64).tiny, None))


@house_style()
def reliability_figure(bins: dict[str, pd.DataFrame], ece: dict[str, Interval], task: str | None = None) -> Figure:
    """Accuracy against confidence by bin above, rows by bin below, for one or two versions of probabilities.

    Args:
        bins: tables of `reliability_bins` by name of the version.
        ece: the calibration error of each version.
        task: its name, where there are several.
    """
    figure = new_figure(4.4, 3.9)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    top.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, linestyle=DASHES, label="perfect calibration")
    for index, (name, table) in enumerate(bins.items()):
        interval = ece[name]
        label = f"{name}: ECE {interval_text(interval)}"
        _reliability(top, table[table["n"] > 0], index, label)
        bottom.stairs(
            table["n"],
            [*table["low"], table["high"].iloc[-1]],
            color=PALETTE[index],
            fill=index == 0,
            alpha=0.35 if index == 0 else 1,
        )
    top.set_xlim(0, 1)
    top.set_ylim(0, 1)
    top.set_ylabel(headed("accuracy", task))
    top.grid()
    bottom.set_ylabel("predictions")
    bottom.set_xlabel("confidence")
    bottom.grid(axis="y")
    figure.legend(*top.get_legend_handles_labels(), loc="outside upper left")
    return figure


def _reliability(ax: Axes, table: pd.DataFrame, index: int, label: str) -> None:
    accuracy = table["accuracy"]
    ax.errorbar(
        table["confidence"],
        accuracy,
        yerr=np.clip([accuracy - table["accuracy_low"], table["accuracy_high"] - accuracy], 0, None),
        fmt="os"[index] + "-",
        color=PALETTE[index],
        markerfacecolor=PALETTE[index] if index == 0 else "white",
        linewidth=1.2,
        elinewidth=0.8,
        label=label,
        clip_on=False,
    )


def _overview(results: dict[str, Any]) -> pd.DataFrame:
    rows = []
    for task, result in results.items():
        versions = {"as predicted": result} | ({"scaled": result["scaled"]} if result["scaled"] else {})
        for name, version in versions.items():
            values = {f"{m}{end}": version[m][key] for m in _METRICS for end, key in _ENDS.items()}
            rows.append({"task": task, "probabilities": name, "T": version.get("temperature", 1.0), **values})
    return pd.DataFrame(rows)
