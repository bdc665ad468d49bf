"""Whether a confidence of 80 % is right 80 % of the time, before and after temperature scaling."""

import logging
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.model_selection import GroupKFold

from hallmark.analysis.plots.style import DASHES, MUTED, PALETTE, headed, house_style, new_figure, reliability_dots
from hallmark.analysis.presentation import classified_tasks, figure_name, show, shown_task
from hallmark.analysis.state import State
from hallmark.checks import require
from hallmark.statistics import Interval, Resampling, all_intervals, probability_array, reliability_bins, target_array
from hallmark.statistics.members import row_count
from hallmark.statistics.temperature import fit_temperature
from hallmark.statistics.text import interval_text

log = logging.getLogger(__name__)

_METRICS = ("ece", "brier")
_ENDS = {"": "estimate", "_low": "low", "_high": "high"}
_TEMPERATURES = (0.05, 20.0)
Floats = NDArray[np.float64]


class ReliabilityDiagram:
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
        table = []
        for task, result in results.items():
            versions = {"as predicted": result} | ({"scaled": result["scaled"]} if result["scaled"] else {})
            for name, version in versions.items():
                values = {f"{m}{end}": version[m][key] for m in _METRICS for end, key in _ENDS.items()}
                table.append({"task": task, "probabilities": name, "T": version.get("temperature", 1.0), **values})
        show(f"Calibration on {state.split}", pd.DataFrame(table))

    def diagram(self, rows: pd.DataFrame, classes: list[str], task: str | None = None) -> tuple[dict[str, Any], Figure]:
        """The entry of `calibration.json` for the labelled rows of one task, and its reliability diagram."""
        scaled, temperatures = self.cross_fitted(rows, classes)
        before = all_intervals(rows, _METRICS, resampling=self.resampling)
        result: dict[str, Any] = {"n": row_count(rows), "n_groups": rows["group"].nunique()}
        result |= {name: vars(interval) for name, interval in before.items()} | {"scaled": None}
        bins, errors = {"as predicted": self._bins(rows, classes)}, {"as predicted": before["ece"]}
        if scaled is not None:
            after = all_intervals(scaled, _METRICS, resampling=self.resampling)
            result["scaled"] = {
                "temperature": float(np.mean(temperatures)),
                "temperature_of_folds": temperatures,
                **{name: vars(interval) for name, interval in after.items()},
            }
            bins["temperature scaled"], errors["temperature scaled"] = self._bins(scaled, classes), after["ece"]
        return result, reliability_figure(bins, errors, task)

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
        # By group, or rows of one person would tell the temperature of their like.
        for fit, held_out in folds.split(probabilities, groups=rows["group"].astype(str)):
            temperature = fit_class_temperature(target[fit], probabilities[fit])
            scaled[held_out] = scale(probabilities[held_out], temperature)
            temperatures.append(temperature)
        return rows.assign(probabilities=list(scaled)), temperatures

    def _bins(self, rows: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
        probabilities = probability_array(rows, classes)
        correct = probabilities.argmax(axis=1) == target_array(rows, classes)
        confidence = probabilities.max(axis=1).clip(max=1)
        return reliability_bins(confidence, correct, self.bins, rows["group"], resampling=self.resampling)


def fit_class_temperature(target: NDArray[np.intp], probabilities: Floats) -> float:
    """The temperature, within 0.05 to 20, of least log loss.

    Args:
        target: [N] class indices.
        probabilities: [N, C]; their logarithms serve as logits, which differ from those of the network by a
            constant per row only.
    """
    return fit_temperature(_logits(probabilities), target, bounds=_TEMPERATURES)


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
        label = f"{name}: ECE {interval_text(ece[name])}"
        reliability_dots(top, table, "os"[index] + "-", index=index, filled=index == 0, label=label)
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
