"""What is left of the scores when the inputs suffer."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator
from rich.console import Console
from rich.progress import track

from hallmark.analysis.plots.style import (
    DASHES,
    INK,
    MARKERS,
    MUTED,
    WIDTH,
    color,
    drawable,
    headed,
    house_style,
    panel_grid,
)
from hallmark.analysis.presentation import (
    check_metrics,
    interval_note,
    interval_texts,
    labelled_tasks,
    show,
    shown_task,
)
from hallmark.analysis.state import State
from hallmark.checks import require
from hallmark.data.perturb import STRENGTHS, Perturbation
from hallmark.statistics import LOWER_IS_BETTER, Interval, Resampling, all_intervals, is_two_sets, metric_names
from hallmark.statistics.bootstrap import intervals, metric_range
from hallmark.statistics.members import row_count
from hallmark.statistics.metrics.classification import Floats
from hallmark.statistics.metrics.weighted import weighted_metrics
from hallmark.statistics.sample import paired_samples
from hallmark.statistics.uncertainty import Units
from hallmark.wording import did_you_mean, readable

log = logging.getLogger(__name__)

TABLE = "robustness"
CLEAN = "clean"
_COLUMNS = 3


class Robustness:
    """Write `robustness.csv` and curves: every metric under each perturbation of the inputs at each strength.

    Strength 0 is the stored predictions. A drop is by how much a metric is worse than there, on the same rows;
    its interval resamples groups (and models, in a set) of both at once.

    Args:
        perturbations: names of what the data module offers; None takes all of it.
        strengths: out of 1 to 5; what each of them means is with the perturbation.
        metrics: of classification tasks; a task without classes has `score`.
        by_class: also the accuracy on the rows of each class, as `accuracy of <class>`: where noise makes everything
            look forged, forgeries are recognized as well as before.
        statistics: confidence level, resamples and seed of the intervals.
    """

    def __init__(
        self, perturbations: list[str] | None, strengths: list[int], metrics: list[str], *, by_class: bool,
        statistics: Resampling,
    ) -> None:  # fmt: skip
        some = perturbations is None or len(set(perturbations)) == len(perturbations) > 0
        require(some, "perturbations", perturbations, "one or more different names, or null for all")
        fits = bool(strengths) and set(strengths) <= set(STRENGTHS) and len(set(strengths)) == len(strengths)
        require(fits, "strengths", list(strengths), f"one or more of {', '.join(map(str, STRENGTHS))}, each once")
        check_metrics(metrics)
        self.perturbations, self.strengths, self.metrics = perturbations, sorted(strengths), list(metrics)
        self.by_class, self.resampling = by_class, statistics

    def run(self, state: State) -> None:
        require(any(labelled_tasks(state.predictions)), "split", state.split, "a split with labelled rows")
        if any(classes is None and is_two_sets(rows) for _, classes, rows in labelled_tasks(state.predictions)):
            raise ValueError("robustness: needs a metric of rows; these predictions are real and generated rows")
        chosen = self.chosen(state.data().perturbations())
        if not chosen:
            log.warning("nothing that this model reads has a perturbation: robustness is left with the clean scores")
        table = self.table(state, chosen)
        state.save_table(TABLE, table.assign(split=state.split, confidence_level=self.resampling.confidence_level))
        for keys, rows in table.groupby(["task", "metric"], sort=False):
            task, metric = map(str, keys)
            title = headed(f"{readable(metric)} on {state.split}, by strength", shown_task(task, table))
            show(title, strength_table(rows), notes=interval_note(rows))
        if chosen:
            state.save_figure(TABLE, robustness_figure(table))

    def chosen(self, offered: Mapping[str, Perturbation]) -> list[Perturbation]:
        """The perturbations that are asked for.

        Raises:
            ValueError: one that is not offered; it names the nearest.
        """
        wanted = list(offered) if self.perturbations is None else self.perturbations
        for name in wanted:
            known = ", ".join(offered) or "none: what this model reads has no perturbation"
            require(name in offered, "perturbations", name, f"out of {known}{did_you_mean(name, offered)}")
        return [offered[name] for name in wanted]

    def table(self, state: State, perturbations: Sequence[Perturbation]) -> pd.DataFrame:
        """One row a task, metric, perturbation and strength; clean rows first, which have no drop."""
        records = []
        undefined = Interval.undefined(self.resampling.confidence_level)
        for task, classes, rows in labelled_tasks(state.predictions):
            for suffix, part, metrics in self._parts(rows, classes):
                for metric, value in all_intervals(part, metrics, resampling=self.resampling).items():
                    keys = {"task": task, "metric": metric + suffix, "perturbation": CLEAN, "strength": 0}
                    records.append({**keys, **_values(part, value, undefined)})
        passes = list(product(perturbations, self.strengths))
        for perturbation, strength in track(
            passes, "perturbed inputs", transient=True, disable=not Console().is_terminal
        ):
            changed = {task: rows for task, _, rows in labelled_tasks(state.predict(perturbation.at(strength)))}
            for task, classes, rows in labelled_tasks(state.predictions):
                same = {"task": task, "perturbation": perturbation.name, "strength": strength}
                for suffix, part, metrics in self._parts(rows, classes):
                    after_change = changed[task][changed[task]["id"].isin(part["id"])]
                    after = value_and_drop(part, after_change, metrics, resampling=self.resampling)
                    for metric, (value, drop) in after.items():
                        records.append({**same, "metric": metric + suffix, **_values(part, value, drop)})
        table = pd.DataFrame(records)
        order = {key: table[key].drop_duplicates().tolist() for key in ("task", "metric", "perturbation")}
        return table.sort_values(
            list(order), key=lambda column: column.map(order[str(column.name)].index), kind="stable", ignore_index=True
        )

    def _parts(
        self, rows: pd.DataFrame, classes: list[str] | None
    ) -> Iterator[tuple[str, pd.DataFrame, Sequence[str]]]:
        """What is measured of the rows of a task: (end of the metrics' names, rows, metrics)."""
        if classes is None:
            yield "", rows, list(metric_names(rows, None))[:2]
            return
        yield "", rows, self.metrics
        for name in classes if self.by_class else ():
            part = rows[rows["target"] == name]
            if len(part):
                yield f" of {name}", part, ["accuracy"]


def value_and_drop(
    clean: pd.DataFrame, changed: pd.DataFrame, metrics: Sequence[str], *, resampling: Resampling
) -> dict[str, tuple[Interval, Interval]]:
    """Of each metric: its value on `changed`, and by how much that is worse than on `clean`, in paired resamples.

    Args:
        clean, changed: tables of one task with the same labelled rows.
    """
    before, after = paired_samples(clean, changed)
    evaluate_before, evaluate_after = (weighted_metrics(sample, metrics) for sample in (before, after))

    def evaluate(weights: Floats, /) -> dict[str, Floats]:
        old, new = evaluate_before(weights), evaluate_after(weights)
        drops = {f"drop/{name}": _sign(name) * (old[name] - new[name]) for name in metrics}
        return {**new, **drops}

    ranges = {name: metric_range(name, after) for name in metrics}
    ranges |= {f"drop/{name}": values.of_differences for name, values in ranges.items()}
    values = intervals(evaluate, Units.of(before), ranges, resampling=resampling)
    return {name: (values[name], values[f"drop/{name}"]) for name in metrics}


def _sign(metric: str) -> float:
    return -1.0 if metric in LOWER_IS_BETTER else 1.0


def _values(rows: pd.DataFrame, value: Interval, drop: Interval) -> dict[str, float]:
    sizes = {"n": row_count(rows), "n_groups": rows["group"].nunique()}
    return {**value.columns("value"), **drop.columns("drop"), **sizes}


def strength_table(rows: pd.DataFrame) -> pd.DataFrame:
    """The values of one metric of one task: a row a perturbation, a column a strength, and the last drop."""
    suffered = rows[rows["perturbation"] != CLEAN]
    strengths = sorted(suffered["strength"].unique())
    clean = rows.loc[rows["perturbation"] == CLEAN, "value"].iloc[0]
    table = pd.DataFrame({"perturbation": suffered["perturbation"].unique(), "0": clean})
    for strength in strengths:
        table[str(strength)] = suffered.loc[suffered["strength"] == strength, "value"].to_numpy()
    if strengths:
        last = suffered[suffered["strength"] == strengths[-1]]
        lower = str(rows["metric"].iloc[0]) in LOWER_IS_BETTER
        named = "perturbed − clean" if lower else "clean − perturbed"
        table[f"drop at {strengths[-1]} ({named})"] = interval_texts(last, "drop", "+")
    return table if len(table) else pd.DataFrame({"perturbation": [CLEAN], "0": [clean]})


@house_style()
def robustness_figure(table: pd.DataFrame) -> Figure:
    """One panel a task and metric, one line a perturbation over its strengths, from `Robustness.table`.

    The band of a line is the interval of its change against clean, so that a band off the dashed line is a change;
    the bar at strength 0 is the interval of the clean value.
    """
    panels = list(table.groupby(["task", "metric"], sort=False))
    n_metrics = table["metric"].nunique()
    n_columns = min(_COLUMNS, n_metrics if n_metrics > 1 else len(panels))  # with several metrics a row is a task
    width = WIDTH * max(2, n_columns) / _COLUMNS
    figure, axes = panel_grid(len(panels), n_columns, 2.3, margin=0.5, width=width, sharex=True)
    for ax, ((task, metric), rows) in zip(axes, panels, strict=True):
        _panel(ax, rows)
        title = readable(str(metric)) + (" (lower is better)" if metric in LOWER_IS_BETTER else "")
        ax.set_title(headed(title, shown_task(str(task), table)))
    for ax in axes[-n_columns:]:
        ax.set_xlabel("strength")
        ax.tick_params(labelbottom=True)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=6 if n_columns > 2 else 3, columnspacing=1.4)
    return figure


def _panel(ax: Axes, rows: pd.DataFrame) -> None:
    clean = rows[rows["perturbation"] == CLEAN].iloc[0]
    ax.axhline(clean["value"], color=MUTED, linewidth=0.9, linestyle=DASHES, label=CLEAN, zorder=1)
    ends = np.clip([[clean["value"] - clean["value_low"]], [clean["value_high"] - clean["value"]]], 0, None)
    ax.errorbar(0, clean["value"], yerr=ends, color=INK, fmt="o", markersize=3.5, elinewidth=1.1, zorder=4)
    sign = _sign(str(clean["metric"]))
    for index, (name, part) in enumerate(rows[rows["perturbation"] != CLEAN].groupby("perturbation", sort=False)):
        strengths = [0, *part["strength"]]
        style: dict[str, Any] = {"color": color(index), "marker": MARKERS[index % len(MARKERS)], "zorder": 3}
        label = drawable(readable(str(name)))
        ax.plot(strengths, [clean["value"], *part["value"]], markevery=slice(1, None), label=label, **style)
        low, high = ([0.0, *part[f"drop_{end}"]] for end in ("low", "high"))
        bands = (clean["value"] - sign * np.array(end) for end in (low, high))
        ax.fill_between(strengths, *bands, color=color(index), alpha=0.13, linewidth=0, zorder=2)
    ax.xaxis.set_major_locator(MultipleLocator(1))
    ax.grid(axis="y")
