"""This run against others on the same rows."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from hallmark.analysis.figures import house_style, interval_dots, new_figure, printable, readable
from hallmark.analysis.state import State
from hallmark.analysis.tables import figure_name, interval_texts, labelled_tasks, resampling, show
from hallmark.checks import require
from hallmark.runs.predictions import read_predictions
from hallmark.statistics import (
    CLASSIFICATION_METRICS,
    Interval,
    PairedDifference,
    all_intervals,
    paired_difference,
)
from hallmark.storage.files import write_text

THIS = "this run"


class Compare:
    """Write `compare.csv`, `compare.md` and a figure: metrics and paired differences with intervals.

    Args:
        baseline: one or more run directories with predictions of the same split.
        metrics: of classification tasks; a task without classes is compared by `score`.
        level: coverage of the clustered bootstrap intervals.
        repeats: resamples, and permutations of the paired test.
        seed: of both.
    """

    def __init__(self, baseline: str | list[str], metrics: list[str], *, level: float, repeats: int, seed: int) -> None:
        directories = [baseline] if isinstance(baseline, str) else list(baseline or [])
        require(len(directories) > 0, "baseline", baseline, "one or more run directories")
        known = ", ".join(CLASSIFICATION_METRICS)
        fits = bool(metrics) and set(metrics) <= set(CLASSIFICATION_METRICS)
        require(fits, "metrics", list(metrics), f"one or more of {known}")
        self.baselines = [Path(directory) for directory in directories]
        self.metrics = list(metrics)
        self.resampling = resampling(level, repeats, seed)

    def run(self, state: State) -> None:
        others = {
            name: read_predictions(directory / "predictions" / f"{state.split}.parquet")
            for name, directory in zip(run_names(self.baselines), self.baselines, strict=True)
        }
        table = self.table(state.predictions, others)
        require(len(table) > 0, "split", state.split, "a split with labelled rows")
        state.save_table("compare", table)
        text = markdown(table, self.resampling["level"], state.split)
        write_text(state.directory / "analysis" / "compare.md", text)
        for task, rows in table.groupby("task", sort=False):
            state.save_figure(figure_name("compare", str(task), state.predictions), compare_figure(rows))
        show(f"Compared on {state.split}", summary(table).drop(columns=["task", "its value"]))

    def table(self, predictions: pd.DataFrame, others: dict[str, pd.DataFrame]) -> pd.DataFrame:
        """One row per task, baseline and metric; `difference` is this run minus the baseline.

        Raises:
            ValueError: a baseline does not have the same labelled rows; it names the baseline.
        """
        records = []
        for task, classes, rows in labelled_tasks(predictions):
            metrics = self.metrics if classes is not None else ["score"]
            own = all_intervals(rows, metrics, **self.resampling)
            for name, other in others.items():
                labels = {"task": task, "baseline": name}
                try:
                    records += self._against(rows, own, other[other["task"] == task], labels)
                except ValueError as error:
                    message = f"baseline {name} (the first table; {THIS} is the second): {error}"
                    raise ValueError(message) from error
        return pd.DataFrame(records)

    def _against(
        self, rows: pd.DataFrame, own: dict[str, Interval], other: pd.DataFrame, labels: dict[str, str]
    ) -> list[dict[str, object]]:
        theirs = all_intervals(other, list(own), **self.resampling)
        records: list[dict[str, object]] = []
        for metric, interval in own.items():
            paired = paired_difference(other, rows, metric, **self.resampling)
            records.append(
                {
                    **labels,
                    "metric": metric,
                    **_ends("value", interval),
                    **_ends("baseline_value", theirs[metric]),
                    **_ends("difference", paired.difference),
                    "p_value": paired.p_value,
                    "n": paired.n_rows,
                    "n_groups": paired.n_groups,
                    "verdict": verdict(paired, labels["baseline"]),
                }
            )
        return records


def verdict(paired: PairedDifference, baseline: str) -> str:
    """The sentence of `PairedDifference.verdict` with the names of the two runs."""
    return paired.verdict.replace("the second is", f"{THIS} is").replace("the first is", f"{baseline} is")


def run_names(directories: Sequence[Path]) -> list[str]:
    """The last two parts of each path, which tell experiment and run; whole paths where those repeat."""
    short = ["/".join(directory.resolve().parts[-2:]) for directory in directories]
    return short if len(set(short)) == len(short) else [str(directory) for directory in directories]


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """`Compare.table` as text for readers, numbers as 0.712 [0.689, 0.734]."""
    return pd.DataFrame(
        {
            "task": table["task"],
            "metric": table["metric"],
            "baseline": table["baseline"],
            "its value": interval_texts(table, "baseline_value"),
            THIS: interval_texts(table, "value"),
            "difference": interval_texts(table, "difference", "+"),
            "p": [f"{value:.2g}" for value in table["p_value"]],
            "verdict": [sentence.split(" at the ")[0] for sentence in table["verdict"]],
        }
    )


def markdown(table: pd.DataFrame, level: float, split: str) -> str:
    """A Markdown table of the comparison, below a line that says what its numbers are."""
    texts = summary(table)
    rows = [tuple(texts), ("---",) * texts.shape[1], *texts.itertuples(index=False)]
    lines = ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows]
    head = (
        f"Split `{split}`; intervals and verdicts at the {100 * level:g} % level, clustered bootstrap; "
        f"the difference is paired ({THIS} minus the baseline)."
    )
    return "\n".join([head, "", *lines, ""])


@house_style()
def compare_figure(table: pd.DataFrame) -> Figure:
    """One line a metric and in it one dot a run with its interval, from `Compare.table` of one task."""
    metrics = list(table["metric"].unique())
    baselines = list(table["baseline"].unique())
    figure = new_figure((0.16 * len(baselines) + 0.3) * len(metrics) + 0.8 + 0.1 * len(baselines), 5.2)
    ax = figure.subplots()
    own = table.drop_duplicates("metric")
    shifts = np.linspace(-0.28, 0.28, len(baselines) + 1)
    heights = np.arange(len(metrics))
    interval_dots(ax, heights + shifts[0], own, "value", index=0, label=THIS)
    for index, name in enumerate(baselines):
        rows = table[table["baseline"] == name]
        interval_dots(ax, heights + shifts[index + 1], rows, "baseline_value", index=index + 1, label=printable(name))
    ax.set_yticks(heights, [readable(metric) for metric in metrics])
    ax.set_ylim(len(metrics) - 0.45, -0.55)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel(f"value on {own['n'].iloc[0]} rows in {own['n_groups'].iloc[0]} groups")
    ax.grid(axis="x")
    figure.legend(*ax.get_legend_handles_labels(), loc="outside upper left", ncols=min(3, len(baselines) + 1))
    return figure


def _ends(name: str, interval: Interval) -> dict[str, float]:
    return {name: interval.estimate, f"{name}_low": interval.low, f"{name}_high": interval.high}
