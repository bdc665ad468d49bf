"""Methods that learn several tasks at once, side by side: every metric, Δm against single-task models, mean rank."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import rankdata

from hallmark.analysis.compare import member_spreads
from hallmark.analysis.multitask.task_views import DELTA, RANK, SINGLE, task_figure, task_texts
from hallmark.analysis.presentation import check_metrics, classified_tasks, interval_note, markdown_table
from hallmark.checks import require
from hallmark.statistics import LOWER_IS_BETTER, Interval, Resampling
from hallmark.statistics.bootstrap import intervals, metric_range
from hallmark.statistics.members import member_notes, over_text, same_members
from hallmark.statistics.metrics.classification import Floats
from hallmark.statistics.metrics.weighted import weighted_metrics
from hallmark.statistics.sample import Sample, paired_samples
from hallmark.statistics.uncertainty import Range, Units, WeightedMetrics

_BY_ROW = frozenset({"auroc", "auprc"})  # these need the weights of all rows, hence blocks that fit the cache

Key = tuple[str, str]
Tables = dict[str, dict[str, pd.DataFrame]]
"""Method and task, and the rows by both."""


class TaskTable:
    """Compare methods by what they reach on every task, from their stored predictions.

    Δm is the mean over tasks of the relative gain in percent over the single-task model, (M − M_single) / M_single
    with the sign such that more is better (Maninis et al. 2019, arXiv:1904.08918; Vandenhende et al. 2021,
    arXiv:2004.13379); of several metrics the mean over them comes first. The mean rank is over all pairs of task and
    metric, 1 the best, ties shared. A method that does not predict every task has neither.

    All intervals come from the same resamples of groups (and models): in each of them the metrics, Δm and the
    ranks of all methods are computed anew.

    Args:
        single: by task, the name of the job that learns it alone; together they are the method `single-task`.
        metrics: of classification tasks.
        statistics: confidence level, resamples and seed of the intervals.
        split: whose predictions are compared; those of the test split only where its seal was opened for them.
    """

    stem = "tasks"

    def __init__(
        self,
        single: Mapping[str, str],
        metrics: list[str],
        *,
        statistics: Resampling,
        split: str = "val",
    ) -> None:
        require(bool(single), "single", dict(single), "a job by task, such as {action: single_action}")
        check_metrics(metrics)
        self.single, self.metrics, self.split = dict(single), list(metrics), split
        self.resampling = statistics

    def check_jobs(self, names: Sequence[str]) -> None:
        """Raise `SettingError` unless the single-task jobs are among `names`."""
        require(SINGLE not in names, f"jobs.{SINGLE}", "", "another name: this one is given to the single-task models")
        for task, job in self.single.items():
            require(job in names, f"single.{task}", job, f"one of the jobs {', '.join(names)}")

    def table(self, predictions: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
        """One row a method, the single-task models first: `delta_m`, `mean_rank`, `<task>/<metric>` with `_low` and
        `_high`; `<task>/<metric>_mean` and `_std` are over its `runs`, which `over` names (`5 seeds`).

        Args:
            predictions: a table of a run, or of a set of repeats, by name of the job.

        Raises:
            ValueError: a job has other labelled rows than the rest, or a single-task job lacks its task.
        """
        self.check_jobs(list(predictions))
        methods = self._methods(predictions)
        samples, units = self._aligned(methods)
        ranks = Range(1.0, max(2.0, len(methods)))
        ranges = {_name(m, kind): values for m in methods for kind, values in ((DELTA, Range()), (RANK, ranks))}
        for (method, task), sample in samples.items():
            ranges |= {_name(method, f"{task}/{metric}"): metric_range(metric, sample) for metric in self.metrics}
        values = intervals(self._evaluate(samples), units, ranges, resampling=self.resampling)
        undefined = Interval.undefined(self.resampling.confidence_level)
        table = []
        for method, tasks in methods.items():
            of_tasks = [tasks[task] for task in self.single if task in tasks]
            runs = max([member_notes(rows).nunique() for rows in of_tasks], default=0)
            over = [over_text(rows) or "1 run" for rows in of_tasks]
            row: dict[str, Any] = {"method": method, "runs": runs, "over": over[-1] if over else ""}
            for kind in (DELTA, RANK):
                row |= values.get(_name(method, kind), undefined).columns(kind)
            for task in self.single:
                spreads = member_spreads(tasks[task], task, self.metrics) if task in tasks else {}
                for metric in self.metrics:
                    column = f"{task}/{metric}"
                    row |= values.get(_name(method, column), undefined).columns(column)
                    mean, std = (spreads[metric].mean, spreads[metric].std) if spreads else (np.nan, None)
                    row |= {f"{column}_mean": mean, f"{column}_std": np.nan if std is None else std}
            table.append(row)
        return pd.DataFrame(table)

    def _methods(self, predictions: Mapping[str, pd.DataFrame]) -> Tables:
        # Texts as Python objects, which are compared and looked up several times as fast as Arrow's.
        plain = dict.fromkeys(["id", "group", "target", "prediction"], object)
        rows = {
            name: {task: rows.astype(plain) for task, _, rows in classified_tasks(table) if task in self.single}
            for name, table in predictions.items()
        }
        for task, job in self.single.items():
            require(task in rows[job], f"single.{task}", job, f"a job that predicts {task}")
        composed = {SINGLE: {task: rows[job][task] for task, job in self.single.items()}}
        return composed | {name: tasks for name, tasks in rows.items() if name not in self.single.values()}

    def _aligned(self, methods: Tables) -> tuple[dict[Key, Sample], Units]:
        """The sample of each (method, task), all with the same codes of groups and the rows of the single-task one."""
        names = pd.Index(pd.concat([rows["group"] for rows in methods[SINGLE].values()]).unique())
        samples, fullest = {}, {}
        for task in self.single:
            tables = [tasks[task] for tasks in methods.values() if task in tasks]
            fullest[task] = tables[0]
            # Where members of a set predict the same and count once, the table with the most members.
            if any("copies" in rows.attrs for rows in tables):
                fullest[task] = max(tables, key=lambda rows: member_notes(rows).nunique())
        for method, task in [(method, task) for method, tasks in methods.items() for task in tasks]:
            rows = methods[method][task]
            try:
                _, sample = paired_samples(*same_members(fullest[task], rows))
            except ValueError as error:
                pair = f"{self.single[task]} (the first table) and {method} (the second)"
                raise ValueError(f"{pair}: {error}") from error
            codes = names.get_indexer(pd.Index(sample.rows["group"]))
            samples[method, task] = replace(sample, group=codes, n_groups=len(names))
        counts = {self.single[task]: samples[SINGLE, task].n_models for task in self.single}
        if len(set(counts.values())) > 1:
            models = ", ".join(f"{n} of {job}" for job, n in counts.items())
            raise ValueError(f"the single-task jobs must have equally many models to be resampled: {models}")
        units = Units.of(*samples.values())
        return samples, units if _BY_ROW & set(self.metrics) else units._replace(n_rows=len(names))

    def _evaluate(self, samples: Mapping[Key, Sample]) -> WeightedMetrics:
        parts = {key: weighted_metrics(sample, self.metrics) for key, sample in samples.items()}
        methods = list(dict.fromkeys(method for method, _ in samples))
        # A mean over some tasks would not compare with one over all.
        complete = [method for method in methods if all((method, task) in samples for task in self.single)]
        lower = np.array([metric in LOWER_IS_BETTER for _ in self.single for metric in self.metrics])

        def evaluate(weights: Floats, /) -> dict[str, Floats]:
            values = {key: part(weights) for key, part in parts.items()}
            numbers = {
                _name(method, f"{task}/{metric}"): value
                for (method, task), of_task in values.items()
                for metric, value in of_task.items()
            }
            scores = np.array(
                [[values[m, task][metric] for task in self.single for metric in self.metrics] for m in complete]
            )
            for kind, scale in {DELTA: relative_gain(scores, lower), RANK: mean_rank(scores, lower)}.items():
                numbers |= {_name(method, kind): value for method, value in zip(complete, scale, strict=True)}
            return numbers

        return evaluate

    def markdown(self, table: pd.DataFrame) -> str:
        """A Markdown table, below lines that say what its numbers are."""
        return "\n".join([self.note(), "", *markdown_table(task_texts(table)), "", *interval_note(table)])

    def timed(self, table: pd.DataFrame, seconds: Mapping[str, float]) -> pd.DataFrame:
        """`table` with the seconds of each method; the single-task models took those of all their jobs."""
        single = sum(seconds[job] for job in set(self.single.values()))
        return table.assign(seconds=[single if name == SINGLE else seconds[name] for name in table["method"]])

    def summary(self, table: pd.DataFrame) -> pd.DataFrame:
        return task_texts(table, intervals=False)

    def figure(self, table: pd.DataFrame) -> Figure:
        return task_figure(table)

    def note(self) -> str:
        """What the numbers of `summary` are."""
        return (
            f"Split `{self.split}`; value ± standard deviation over the runs of a job "
            f"[{self.resampling.percent} interval]. Δm is the mean relative gain over the single-task models in "
            "percent, the mean rank is over all tasks and metrics (1 is the best). All intervals resample groups, and "
            f"models, {self.resampling.times} for all methods at once."
        )


def relative_gain(scores: Floats, lower: NDArray[np.bool_]) -> Floats:
    """Δm in percent, [M, R], of scores [M, K, R] over the first method's; `lower` [K]: where lower is better.

    nan where the first method has a score of 0.
    """
    single = np.where(scores[:1] == 0, np.nan, scores[:1])
    gains = (scores - scores[:1]) / single * np.where(lower, -1.0, 1.0)[:, None]
    mean: Floats = 100 * gains.mean(axis=1)
    return mean


def mean_rank(scores: Floats, lower: NDArray[np.bool_]) -> Floats:
    """Mean over the K columns of the ranks of M methods, [M, R], of scores [M, K, R]; nan where a score is."""
    ranks = rankdata(scores * np.where(lower, 1.0, -1.0)[:, None], axis=0)
    mean: Floats = ranks.mean(axis=1)
    return mean


def _name(method: str, column: str) -> str:
    return f"{method}\t{column}"
