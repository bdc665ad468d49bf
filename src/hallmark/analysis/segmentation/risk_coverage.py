"""Whether the confidence tells right masks from wrong ones: risk by coverage, AUROC, calibration.

The risk of an expression is 1 - IoU, or whether its IoU is below 0.5; the risk at coverage c is the mean over the
share c of the expressions with the greatest confidence (El-Yaniv & Wiener 2010). AURC is its mean over all coverages
1/N, 2/N .. 1 (Geifman & El-Yaniv 2017, arXiv:1705.08500); expressions of equal confidence are taken in random order,
of which it is the expected value.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from hallmark.analysis.plots.style import DASHES, MUTED, PALETTE, house_style, new_figure, reliability_dots
from hallmark.analysis.presentation import as_two_classes, show
from hallmark.analysis.segmentation.answers import ORACLE, answers, task_name
from hallmark.analysis.state import State
from hallmark.checks import require
from hallmark.statistics import Interval, Resampling, metric_interval, reliability_bins
from hallmark.statistics.bootstrap import intervals
from hallmark.statistics.members import row_count
from hallmark.statistics.metrics.classification import Floats
from hallmark.statistics.metrics.weighted import over_repetitions, weighted_ece
from hallmark.statistics.sample import Sample, task_sample
from hallmark.statistics.text import interval_text, no_interval_note
from hallmark.statistics.uncertainty import UNIT, Units

RIGHT = 0.5
_RISKS = {"risk": "1 − IoU", "failure": "P(IoU < 0.5)"}
_NAMES = {"aurc": "AURC of 1 − IoU", "aurc_failure": "AURC of IoU < 0.5", "auroc": "AUROC", "ece": "ECE"}


class RiskCoverage:
    """Write `risk_coverage.csv` (the curves), `risk_coverage.json` (areas and errors with intervals) and a figure.

    Args:
        bins: equal-width bins of the reliability diagram.
        statistics: confidence level, resamples and seed of the intervals.
    """

    def __init__(self, bins: int, *, statistics: Resampling) -> None:
        require(bins >= 1, "bins", bins, "at least 1")
        self.bins = bins
        self.resampling = statistics

    def run(self, state: State) -> None:
        tasks = answers(state.predictions, "risk_coverage")
        tasks.pop(ORACLE, None)  # it has the truth for confidence
        curves = pd.concat([curve(rows).assign(task=task) for task, rows in tasks.items()], ignore_index=True)
        state.save_table("risk_coverage", curves[["task", "confidence", "coverage", *_RISKS]])
        summaries = {task: self.summary(rows) for task, rows in tasks.items()}
        entries, texts = {}, []
        for task, rows in tasks.items():
            sizes = {"n": row_count(rows), "n_groups": rows["group"].nunique(), "risk": float(1 - rows["score"].mean())}
            entries[task] = {**sizes, **{name: vars(interval) for name, interval in summaries[task].items()}}
            values = {title: interval_text(summaries[task][name]) for name, title in _NAMES.items()}
            texts.append({"task": task_name(task, summaries), **values})
        state.save_json("risk_coverage", entries)
        bins = {task: self.bins_of(rows) for task, rows in tasks.items()}
        state.save_figure("risk_coverage", risk_figure(curves, summaries, bins))
        title = f"Confidence on {state.split} (a right answer has an IoU of {RIGHT} or more)"
        note = no_interval_note(value for values in summaries.values() for value in values.values())
        show(title, pd.DataFrame(texts), notes=[note] if note else [])

    def summary(self, rows: pd.DataFrame) -> dict[str, Interval]:
        """`aurc` (of 1 - IoU), `aurc_failure` (of IoU < 0.5), `auroc` and `ece` of the rows of one task."""
        sample = task_sample(rows)
        evaluate = over_repetitions(sample, _areas_and_error)
        ranges = dict.fromkeys(("aurc", "aurc_failure", "ece"), UNIT)
        two_classes = as_two_classes(rows, right(rows).to_numpy(), rows["confidence"].to_numpy(float))
        areas = intervals(evaluate, Units.of(sample), ranges, resampling=self.resampling)
        return {**areas, "auroc": metric_interval(two_classes, "auroc", resampling=self.resampling)}

    def bins_of(self, rows: pd.DataFrame) -> pd.DataFrame:
        return reliability_bins(rows["confidence"], right(rows), self.bins, rows["group"], resampling=self.resampling)


def right(rows: pd.DataFrame) -> "pd.Series[bool]":
    return rows["score"] >= RIGHT


def curve(rows: pd.DataFrame) -> pd.DataFrame:
    """One row a distinct confidence, greatest first: the share of rows with at least that, and their mean risks."""
    risks = pd.DataFrame({"confidence": rows["confidence"], "risk": 1 - rows["score"], "failure": ~right(rows)})
    blocks = risks.groupby("confidence").agg(n=("risk", "size"), risk=("risk", "sum"), failure=("failure", "sum"))
    totals = blocks.sort_index(ascending=False).cumsum()
    means = totals[["risk", "failure"]].div(totals["n"], axis="index")
    return means.assign(coverage=totals["n"] / len(rows)).reset_index()


def aurc(confidence: Floats, risks: Floats, weights: Floats) -> Floats:
    """Areas under risk-coverage curves.

    Args:
        confidence: [N].
        risks: [N, K], of K kinds.
        weights: [R, N] whole numbers, how often each row is taken; a row of them is a resample.

    Returns:
        [R, K]; nan where nothing is taken.
    """
    order = np.argsort(-confidence, kind="stable")
    starts = np.flatnonzero(np.diff(-confidence[order], prepend=-np.inf))
    weights = weights[:, order]
    sizes = np.add.reduceat(weights, starts, axis=1)
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, weights.sum(axis=1).max() + 1))])
    covered = sizes.cumsum(axis=1)
    before = covered - sizes
    steps = harmonic[covered.astype(int)] - harmonic[before.astype(int)]
    areas = [_area(np.add.reduceat(weights * risk, starts, axis=1), sizes, before, steps) for risk in risks[order].T]
    return np.stack(areas, axis=1)


def _area(sums: Floats, sizes: Floats, before: Floats, steps: Floats) -> Floats:
    """Mean over k of the expected risk of the first k rows, from blocks [R, B] of rows of equal confidence.

    In a block of mean risk m that follows W rows of total risk L, the j-th row brings the risk to
    (L + j m) / (W + j) = m + (L - W m) / (W + j), whose sum over j needs differences of harmonic numbers only.
    """
    mean = np.divide(sums, sizes, out=np.zeros_like(sums), where=sizes > 0)
    total = sums.cumsum(axis=1) - sums
    with np.errstate(invalid="ignore"):
        area: Floats = (sums + (total - before * mean) * steps).sum(axis=1) / sizes.sum(axis=1)
    return area


def _areas_and_error(sample: Sample) -> Callable[[Floats], dict[str, Floats]]:
    rows = sample.rows
    confidence, iou = rows["confidence"].to_numpy(float), rows["score"].to_numpy(float)
    hits = right(rows).to_numpy()
    risks, error = np.stack([1 - iou, ~hits], axis=1), weighted_ece(confidence, hits, sample)

    def evaluate(weights: Floats) -> dict[str, Floats]:
        areas = aurc(confidence, risks, weights[:, sample.group])
        return {"aurc": areas[:, 0], "aurc_failure": areas[:, 1], "ece": error(weights)}

    return evaluate


@house_style()
def risk_figure(
    curves: pd.DataFrame, summaries: dict[str, dict[str, Interval]], bins: dict[str, pd.DataFrame]
) -> Figure:
    """Two kinds of risk by coverage, and the share of right answers by confidence; a color a task.

    Args:
        curves: tables of `curve`, with a column task.
        summaries: `RiskCoverage.summary` by task.
        bins: tables of `reliability_bins` by task.
    """
    figure = new_figure(2.9 + 0.24 * len(summaries))
    axes = figure.subplots(1, 3)
    for index, (task, values) in enumerate(summaries.items()):
        name, rows = task_name(task, summaries), curves[curves["task"] == task]
        style: dict[str, Any] = {"color": PALETTE[index], "linestyle": ("--", "-")[index % 2], "linewidth": 1.4}
        for ax, (kind, area) in zip(axes, (("risk", "aurc"), ("failure", "aurc_failure")), strict=False):
            ax.plot(rows["coverage"], rows[kind], label=f"{name}: AURC {interval_text(values[area])}", **style)
        label = f"{name}: " + ",\n".join(
            f"{_NAMES[value]} {interval_text(values[value])}" for value in ("ece", "auroc")
        )
        line = ("s--", "o-")[index % 2]
        reliability_dots(axes[2], bins[task], line, index=index, filled=index != 0, label=label)
    for ax, (kind, name) in zip(axes, _RISKS.items(), strict=False):
        ax.set_title(f"risk: {name}")
        ax.set_xlabel("coverage")
        ax.set_ylim(0, max(1e-3, curves[kind].max()) * 1.05)
    axes[2].plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, linestyle=DASHES, zorder=1)
    axes[2].set_title("P(IoU ≥ 0.5) by confidence")
    axes[2].set_xlabel("confidence")
    axes[2].set_ylim(0, 1)
    for ax in axes:
        ax.set_xlim(0, 1)
        ax.grid()
        ax.legend(loc="upper left", bbox_to_anchor=(-0.12, -0.2), fontsize=7, handlelength=1.4)
    return figure
