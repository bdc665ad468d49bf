"""Which part of the error the proposals make, and which part their ranking."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hallmark.analysis.plots.style import INK, MARKERS, PALETTE, drawable, house_style, new_figure, row_counts
from hallmark.analysis.presentation import show
from hallmark.analysis.segmentation.answers import ORACLE, answers, counts, mean_score, scores
from hallmark.analysis.slices import ALL, BySlice, parts, slice_columns
from hallmark.analysis.state import State
from hallmark.runs.metrics import MAIN
from hallmark.statistics.metrics.segmentation import PRECISION
from hallmark.wording import readable

_REACHED, _RANKING, _PROPOSAL = "miou", "ranking_gap", "proposal_gap"
_FILLS = {_REACHED: PALETTE[1], _RANKING: "#F3C9A5", _PROPOSAL: "#DADADA"}
_LABELS = {_REACHED: "IoU reached", _RANKING: "ranking gap", _PROPOSAL: "proposal gap"}
_NARROW = 0.06


class ErrorDecomposition(BySlice):
    """Write `oracle.csv` and a figure: what is missing to an IoU of 1, split between proposals and ranking.

    mIoU + ranking gap + proposal gap = 1, where the proposal gap is 1 minus the mean IoU of the best proposals, and the
    ranking gap is what a ranker that always takes the best one would add.
    """

    def run(self, state: State) -> None:
        table = self.table(state.predictions)
        state.save_table("oracle", table)
        state.save_figure("oracle", oracle_figure(table))
        columns = [f"{name}{end}" for name in (*_FILLS, "recall@0.5") for end in ("", "_low", "_high")]
        show(f"What is missing on {state.split}", table[["slice", "category", "n", *columns]])

    def table(self, predictions: pd.DataFrame) -> pd.DataFrame:
        """One row for all data, then one a category; intervals in `_low` and `_high`.

        `recall@t` is the share of expressions with a proposal of an IoU of t or more, `precision@t` the share whose
        answer is one.

        Raises:
            ValueError: not a table of masks with truth and best proposals, or it lacks a column that is asked for.
        """
        tasks = answers(predictions, "oracle", (MAIN, ORACLE))
        main, best = tasks[MAIN], tasks[ORACLE].set_index("id").reindex(tasks[MAIN]["id"]).reset_index()
        best.index = main.index
        records = []
        for name, category, member in parts(main, slice_columns(main, self.columns)):
            answered, proposed = main[member], best[member]
            reached, reachable = answered["score"].to_numpy(float), proposed["score"].to_numpy(float)
            record = {"slice": name, "category": category, **counts(answered)}
            for gap, values in (
                (_REACHED, reached), (_RANKING, reachable - reached), (_PROPOSAL, 1 - reachable),
            ):  # fmt: skip
                record |= mean_score(answered, gap, values, self.resampling)
            for kind, rows in (("recall@", proposed), ("precision@", answered)):
                shares = scores(rows, list(PRECISION), self.resampling)
                record |= {metric.replace("p@", kind): value for metric, value in shares.items()}
            records.append(record)
        return pd.DataFrame(records)


@house_style()
def oracle_figure(table: pd.DataFrame) -> Figure:
    """The parts of each category as a bar to 1, and shares by IoU threshold, from `ErrorDecomposition.table`."""
    groups = list(table.groupby("slice", sort=False))
    heights, y = [], 0.0
    for _, rows in groups:
        heights += [y + row for row in range(len(rows))]
        y = heights[-1] + 1.7
    figure = new_figure(max(2.4, 0.25 * (heights[-1] + 1) + 0.9))
    left, right = figure.subplots(1, 2, width_ratios=[1.55, 1])
    _bars(left, table, heights)
    starts = dict(zip([name for name, _ in groups], np.cumsum([0, *[len(rows) for _, rows in groups]]), strict=False))
    for name, start in starts.items():
        if name != ALL:
            left.text(
                0.01, heights[start] - 0.62, drawable(readable(str(name))), fontweight="bold", fontsize=8, va="bottom"
            )
    _shares(right, table.iloc[0])
    figure.legend(*left.get_legend_handles_labels(), loc="outside upper left", ncols=3, columnspacing=1.2)
    figure.legend(*right.get_legend_handles_labels(), loc="outside upper right", ncols=2, columnspacing=1.2)
    return figure


def _bars(ax: Axes, table: pd.DataFrame, heights: list[float]) -> None:
    start = np.zeros(len(table))
    for name in _FILLS:
        widths = table[name].fillna(0).to_numpy(float)
        ax.barh(heights, widths, 0.74, left=start, color=_FILLS[name], label=_LABELS[name])
        for y, x, width, value in zip(heights, start + widths / 2, widths, table[name], strict=True):
            if width >= _NARROW:
                ink = "white" if name == _REACHED else INK
                ax.text(x, y, f"{value:.2f}", ha="center", va="center", fontsize=7, color=ink)
        start = start + widths
    ax.set_yticks(heights, [drawable(str(category)) for category in table["category"]])
    row_counts(ax, heights, table["n"])
    ax.set_ylim(heights[-1] + 0.6, -0.6)
    ax.set_xlim(0, 1)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel("mean IoU, and what is missing to 1")


def _shares(ax: Axes, row: pd.Series) -> None:
    thresholds = list(PRECISION.values())
    for index, (kind, label) in enumerate({"recall": "a proposal has it", "precision": "the answer has it"}.items()):
        middle, low, high = ([row[f"{kind}@{t}{end}"] for t in thresholds] for end in ("", "_low", "_high"))
        color = PALETTE[2 - index]
        style: dict[str, Any] = {"marker": MARKERS[index], "markerfacecolor": color if index else "white"}
        ax.plot(thresholds, middle, color=color, label=label, **style)
        ax.fill_between(thresholds, low, high, color=color, alpha=0.15, linewidth=0)
    ax.set_xlabel("IoU of at least")
    ax.set_ylabel("share of expressions")
    ax.set_xticks(thresholds)
    ax.set_ylim(0, 1.02)
    ax.set_title(f"all {row['n']} expressions")
    ax.grid()
