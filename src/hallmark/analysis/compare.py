"""This run, or set of repeats, against others on the same rows."""

import logging
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from hallmark.analysis.plots.style import drawable, headed, house_style, interval_dots, new_figure
from hallmark.analysis.presentation import (
    check_metrics,
    figure_name,
    interval_note,
    interval_texts,
    labelled_tasks,
    markdown_table,
    metric_title,
    p_columns,
    show,
    shown_task,
)
from hallmark.analysis.state import State
from hallmark.checks import require
from hallmark.runs.metrics import MAIN
from hallmark.runs.predictions import read_predictions
from hallmark.runs.repeats import RepeatSet, open_result
from hallmark.statistics import (
    PairedDifference,
    Resampling,
    Spread,
    adjust,
    all_intervals,
    compared_names,
    member_notes,
    over_text,
    paired_difference,
    rowwise_p_values,
    same_members,
    spread,
    table_metrics,
)
from hallmark.statistics.metrics.sets import SET_METRICS
from hallmark.wording import readable

log = logging.getLogger(__name__)

THIS = "this run"
_ROWWISE = {"accuracy": "mcnemar", "auroc": "delong"}


class Compare:
    """Write `compare.csv`, `compare.md` and a figure: metrics and paired differences with intervals.

    Args:
        baseline: one or more directories of finished runs or sets of repeats, with predictions of the same split.
        metrics: of classification tasks; a task without classes is compared by `score`.
        statistics: confidence level, resamples and seed of the intervals and tests.
    """

    def __init__(self, baseline: str | list[str], metrics: list[str], *, statistics: Resampling) -> None:
        directories = [baseline] if isinstance(baseline, str) else list(baseline or [])
        require(len(directories) > 0, "baseline", baseline, "one or more directories of runs or sets of repeats")
        check_metrics(metrics)
        self.baselines = [Path(directory) for directory in directories]
        self.metrics = list(dict.fromkeys(metrics))
        self.resampling = statistics

    def run(self, state: State) -> None:
        results = [open_result(directory) for directory in self.baselines]
        names = run_names([result.directory for result in results])
        baseline_tables = {
            name: result.predictions(state.split)
            if isinstance(result, RepeatSet)
            else read_predictions(result.directory / "predictions" / f"{state.split}.parquet")
            for name, result in zip(names, results, strict=True)
        }
        table = self.table(state.predictions, baseline_tables)
        require(len(table) > 0, "split", state.split, "a split with labelled rows")
        state.save_table("compare", table)
        text = comparison_markdown(table, self.resampling, state.split)
        state.save_text("compare.md", text)
        for task, rows in table.groupby("task", sort=False):
            figure = compare_figure(rows, shown_task(str(task), state.predictions))
            state.save_figure(figure_name("compare", str(task), state.predictions), figure)
        texts = comparison_texts(table).assign(**{THIS: interval_texts(table, "value")})
        show(f"Compared on {state.split}", texts.drop(columns="its value"), notes=interval_note(table))

    def table(self, predictions: pd.DataFrame, baseline_tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
        """One row per task, baseline and metric; `difference` is this run minus the baseline.

        `p_holm` is `p_value` adjusted for all rows of the table, and the verdict goes by it. `p_mcnemar` (accuracy)
        and `p_delong` (AUROC of two classes) stand beside it where rows are independent, neither is adjusted.
        `mean`, `std` and `members` are over the members of a set of repeats, which `over` names (`5 seeds`); a run
        is a set of one. `n` counts a row once. Tasks that one of the two does not predict are left out, and a
        warning names them.

        Raises:
            ValueError: a baseline does not have the same labelled rows, or no task in common; it names the baseline.
        """
        check_tasks(predictions, baseline_tables)
        records: list[dict[str, object]] = []
        differences: list[PairedDifference] = []
        for task, classes, rows in labelled_tasks(predictions):
            if classes is None and task != MAIN:
                continue  # other answers of the same run stand beside its main one
            metrics = self.metrics if classes is not None else compared_names(rows)
            values = _Values(rows, task, metrics, self.resampling)
            for name, other in baseline_tables.items():
                if task not in set(other["task"]):
                    continue
                try:
                    baseline = _Values(other[other["task"] == task], task, metrics, self.resampling)
                    second, first = same_members(values.rows, baseline.rows)
                    rowwise = rowwise_p_values(first, second)
                    compared = [paired_difference(first, second, m, resampling=self.resampling) for m in metrics]
                except ValueError as error:
                    message = f"baseline {name} (the first table; {THIS} is the second): {error}"
                    raise ValueError(message) from error
                for metric, paired in zip(metrics, compared, strict=True):
                    records.append({
                        "task": task, "baseline": name, "metric": metric,
                        **values.columns(metric, "value", ""),
                        **baseline.columns(metric, "baseline_value", "baseline_"),
                        **paired.difference.columns("difference"),
                        "p_value": paired.p_value, "p_holm": math.nan, "p_floor": paired.p_floor,
                        **{f"p_{test}": p if test == _ROWWISE.get(metric) else math.nan for test, p in rowwise.items()},
                        "n": paired.n_rows, "n_groups": paired.n_groups,
                    })  # fmt: skip
                differences += compared
        # Holm's correction is over all rows of the table at once: whoever reads it makes all of these comparisons.
        table, differences = pd.DataFrame(records), adjust(differences)
        verdicts = [
            difference.sentence(name, THIS, readable(difference.metric))
            for difference, name in zip(differences, table.get("baseline", ()), strict=True)
        ]
        p_holm = np.array([difference.p_holm for difference in differences], dtype=np.float64)
        return table.assign(p_holm=p_holm, verdict=verdicts)


def check_tasks(predictions: pd.DataFrame, baseline_tables: dict[str, pd.DataFrame]) -> None:
    """Warn of tasks that only one of the two predicts; raise `ValueError` where they have none in common."""
    tasks = predictions["task"].unique()
    for name, other in baseline_tables.items():
        others_tasks = other["task"].unique()
        common = [task for task in tasks if task in others_tasks]
        if not common:
            predicted = f"predicts {', '.join(others_tasks)}, {THIS} {', '.join(tasks)}"
            raise ValueError(f"baseline {name} {predicted}: no common task")
        for owner, missing in ((name, set(tasks) - set(others_tasks)), (THIS, set(others_tasks) - set(tasks))):
            if missing:
                names = ", ".join(sorted(missing))
                log.warning("%s does not predict %s: compared on %s", owner, names, ", ".join(common))


class _Values:
    """The metrics of one task of one result: intervals, and spreads over its members."""

    def __init__(self, rows: pd.DataFrame, task: str, metrics: list[str], resampling: Resampling) -> None:
        self.rows = rows
        self.intervals = all_intervals(rows, metrics, resampling=resampling)
        self.spreads = member_spreads(rows, task, metrics)
        self.over = over_text(rows)

    def columns(self, metric: str, name: str, prefix: str) -> dict[str, object]:
        over = self.spreads[metric]
        std = math.nan if over.std is None else over.std
        columns = {f"{prefix}mean": over.mean, f"{prefix}std": std, f"{prefix}members": over.n}
        return {**self.intervals[metric].columns(name), **columns, f"{prefix}over": self.over}


def member_spreads(rows: pd.DataFrame, task: str, metrics: list[str]) -> dict[str, Spread]:
    """Mean and standard deviation of each metric over the members of a set, from its labelled rows of one task."""
    parts = [part for _, part in rows.groupby(member_notes(rows), sort=False)]
    values = [table_metrics(part).get(task, {}) for part in parts]
    table = pd.DataFrame(values, columns=metrics, dtype=float)
    return {name: spread(table[name]) for name in metrics}


def run_names(directories: Sequence[Path]) -> list[str]:
    """The last two parts of each path, which tell experiment and run; whole paths where those repeat."""
    short = ["/".join(directory.resolve().parts[-2:]) for directory in directories]
    return short if len(set(short)) == len(short) else [str(directory) for directory in directories]


def comparison_texts(table: pd.DataFrame) -> pd.DataFrame:
    """`Compare.table` as text for readers, numbers as 0.712 [0.689, 0.734]; for sets mean ± std of the members too."""
    return pd.DataFrame(
        {
            "task": table["task"],
            "metric": [metric_title(name) for name in table["metric"]],
            "baseline": table["baseline"],
            "its value": _value_texts(table, "baseline_value", "baseline_"),
            THIS: _value_texts(table, "value", ""),
            f"{THIS} − baseline": interval_texts(table, "difference", "+"),
            **p_columns(table),
            "verdict": [sentence.partition(": ")[0] for sentence in table["verdict"]],
        }
    )


def _value_texts(table: pd.DataFrame, name: str, prefix: str) -> list[str]:
    spreads = zip(*(table[f"{prefix}{column}"] for column in ("mean", "std", "members")), strict=True)
    return [
        f"{text}, {Spread(mean, std, members)}" if members > 1 else text
        for text, (mean, std, members) in zip(interval_texts(table, name), spreads, strict=True)
    ]


def comparison_markdown(table: pd.DataFrame, resampling: Resampling, split: str) -> str:
    """A Markdown table of the comparison, below a line that says what its numbers are."""
    texts = comparison_texts(table)
    left_out = table["metric"].isin(SET_METRICS)  # the groups of distances between sets are not drawn twice
    how = "groups left out" if left_out.all() else f"groups resampled {resampling.times}"
    how += ", or left out for distances" * bool(left_out.any() and not left_out.all())
    head = (
        f"Split `{split}`; intervals and verdicts at the {resampling.percent} level, {how}; the "
        "difference is paired; verdicts go by the p-values adjusted by Holm over all "
        f"{len(table)} comparisons of this table."
    )
    this = (THIS, *table.iloc[0][["over", "members"]])
    sets = dict.fromkeys([this, *table[["baseline", "baseline_over", "baseline_members"]].itertuples(index=False)])
    if over := [f"{over} of {name}" for name, over, members in sets if members > 1]:
        head += (
            " In a set of repeats intervals resample groups and models; ± is the standard deviation over "
            f"{', '.join(over)}."
        )
    return "\n".join([head, "", *markdown_table(texts), "", *interval_note(table)])


@house_style()
def compare_figure(table: pd.DataFrame, task: str | None = None) -> Figure:
    """One line a metric and in it one dot a run with its interval, from `Compare.table` of one task."""
    metrics = list(table["metric"].unique())
    baselines = list(table["baseline"].unique())
    figure = new_figure((0.16 * len(baselines) + 0.3) * len(metrics) + 0.8 + 0.1 * len(baselines), 5.2)
    ax = figure.subplots()
    this = table.drop_duplicates("metric")
    shifts = np.linspace(-0.28, 0.28, len(baselines) + 1)
    heights = np.arange(len(metrics))
    interval_dots(ax, heights + shifts[0], this, "value", index=0, label=THIS)
    for index, name in enumerate(baselines):
        rows = table[table["baseline"] == name]
        interval_dots(ax, heights + shifts[index + 1], rows, "baseline_value", index=index + 1, label=drawable(name))
    ax.set_yticks(heights, [readable(metric) for metric in metrics])
    ax.set_ylim(len(metrics) - 0.45, -0.55)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel(headed(f"value on {this['n'].iloc[0]} rows in {this['n_groups'].iloc[0]} groups", task))
    ax.grid(axis="x")
    figure.legend(*ax.get_legend_handles_labels(), loc="outside upper left", ncols=min(3, len(baselines) + 1))
    return figure
