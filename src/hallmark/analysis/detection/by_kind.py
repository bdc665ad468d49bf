"""How well a detector finds the positives of each kind among all negatives."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hallmark.analysis.plots.style import drawable, headed, house_style, interval_dots, new_figure, row_counts
from hallmark.analysis.presentation import classified_tasks, metric_title, show
from hallmark.analysis.slices import ALL, BySlice, parts, slice_columns
from hallmark.analysis.state import State
from hallmark.checks import require
from hallmark.statistics import Interval, Resampling, all_intervals
from hallmark.statistics.members import row_count

METRICS = ("auroc", "eer", "auprc", "tpr_at_1pct_fpr")
FAMILY, KNOWN, OTHER = "family", "in domain", "other family"

_FIGURE = ("auroc", "tpr_at_1pct_fpr")
_NAMES = {"main": "frames", "video": "videos"}


class Detection(BySlice):
    """Write `detection.csv` and a figure: the positives of each category of slice columns against negatives.

    Of a task of two classes the second one is positive. Where a category has negatives as well (a quality of pictures),
    its positives stand against these, else (a method of forgery) against all. First come all positives, and those of
    the methods that were there to learn from beside those of another family.

    Args:
        columns: see `BySlice`.
        method: slice column that tells the methods of forgery; None where there is none.
        other_family: its categories that no training row is of.
        statistics: confidence level, resamples and seed of the intervals.
    """

    def __init__(
        self, columns: list[str] | None, *, method: str | None, other_family: Sequence[str], statistics: Resampling
    ) -> None:
        super().__init__(columns, statistics=statistics)
        self.method, self.other_family = method, list(other_family)

    def run(self, state: State) -> None:
        table = self.table(state.predictions)
        require(len(table) > 0, "split", state.split, "a split with labelled rows of a task of two classes")
        state.save_table("detection", table)
        for task, rows in table.groupby("task", sort=False):
            named = None if table["task"].nunique() == 1 else str(task)
            columns = [name for name in rows if not str(name).startswith(("task", "n_groups", "auprc"))]
            show(headed(f"detection on {state.split}", named), rows[columns])
        state.save_figure("detection", detection_figure(table))

    def table(self, predictions: pd.DataFrame) -> pd.DataFrame:
        """One row a task and kind of positives: counts, `METRICS`, and the log loss of either class.

        Raises:
            ValueError: the predictions lack a slice column that is asked for.
        """
        columns = slice_columns(predictions, self.columns)
        records = []
        for task, classes, rows in classified_tasks(predictions):
            if len(classes) != 2:
                continue
            positive = (rows["target"].astype(str) == classes[1]).to_numpy()
            for name, category, chosen in self._kinds(rows, positive, columns, predictions):
                of_kind = rows[chosen]
                is_positive = positive[chosen]
                record = {
                    "task": task, "slice": name, "category": category, "n_positive": row_count(of_kind[is_positive]),
                    "n_negative": row_count(of_kind[~is_positive]), "n_groups": of_kind["group"].nunique(),
                }  # fmt: skip
                intervals = self._intervals(of_kind, METRICS)
                for metric in METRICS:
                    record |= intervals[metric].columns(metric)
                for kind, of_class in (("negative", of_kind[~is_positive]), ("positive", of_kind[is_positive])):
                    record |= self._intervals(of_class, ["log_loss"])["log_loss"].columns(f"log_loss_{kind}")
                records.append(record)
        return pd.DataFrame(records)

    def _kinds(
        self, rows: pd.DataFrame, positive: NDArray[np.bool_], columns: Sequence[str], table: pd.DataFrame
    ) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
        """(slice, category, which rows [N] are its positives and the negatives that they stand against)."""
        yield ALL, ALL, np.ones(len(rows), dtype=bool)
        if self.method is not None:
            (column,) = slice_columns(table, [self.method])
            other = rows[column].astype(str).isin(self.other_family).to_numpy()
            yield FAMILY, KNOWN, ~positive | ~other
            yield FAMILY, OTHER, ~positive | other
        categories = parts(rows, columns, table)
        next(categories)  # all rows
        for name, category, member in categories:
            inside = member.to_numpy()
            if (inside & ~positive).any():
                if (inside & positive).any():
                    yield name, category, inside
                continue
            yield name, category, inside | ~positive

    def _intervals(self, rows: pd.DataFrame, metrics: Sequence[str]) -> dict[str, Interval]:
        if rows.empty:
            return dict.fromkeys(metrics, Interval.undefined(self.resampling.confidence_level))
        return all_intervals(rows, metrics, resampling=self.resampling)


@house_style()
def detection_figure(table: pd.DataFrame) -> Figure:
    """A panel a metric, a row a kind of positives, a marker a task; from `Detection.table`."""
    tasks = list(table["task"].unique())
    kinds = table[["slice", "category"]].drop_duplicates(ignore_index=True)
    names = [name if name == group else f"{group}: {name}" for group, name in kinds.itertuples(index=False)]
    figure = new_figure(0.3 * len(kinds) + 0.9)
    axes = figure.subplots(1, len(_FIGURE), sharey=True)
    for ax, metric in zip(axes, _FIGURE, strict=True):
        for index, task in enumerate(tasks):
            rows = kinds.merge(table[table["task"] == task], how="left", on=["slice", "category"])
            shift = 0.18 * (index - (len(tasks) - 1) / 2)
            interval_dots(ax, np.arange(len(kinds)) + shift, rows, metric, index=index, label=_NAMES.get(task, task))
        ax.set_xlabel(metric_title(metric))
        ax.set_xlim(
            min(0.5, np.floor(10 * np.nanmin([1.0, *table[f"{metric}_low"], *table[metric]])) / 10) - 0.02, 1.02
        )
        ax.grid(axis="x")
        ax.tick_params(axis="y", length=0)
    axes[0].set_yticks(range(len(kinds)), [drawable(name) for name in names])
    axes[0].set_ylim(len(kinds) - 0.5, -0.5)
    counts = kinds.merge(table[table["task"] == tasks[-1]], how="left", on=["slice", "category"])["n_positive"]
    row_counts(axes[-1], range(len(kinds)), counts.fillna(0).astype(int))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(tasks))
    return figure
