"""Detectors side by side: frames and videos, each job against one of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from hallmark.analysis.detection.by_kind import METRICS
from hallmark.analysis.plots.jobs import jobs_figure
from hallmark.analysis.presentation import classified_tasks, interval_note, interval_texts, markdown_table, p_columns
from hallmark.checks import require
from hallmark.statistics import Interval, Resampling, adjust, all_intervals, paired_difference
from hallmark.statistics.members import row_count
from hallmark.wording import readable

_GAIN = "difference"
_TEST = ("p_value", "p_holm", "p_floor")


class DetectionTable:
    """Compare jobs by what they detect among the same frames and videos.

    Args:
        baseline: the job that all others are compared with, by the AUROC of `task`, paired, the p-values adjusted by
            Holm over jobs.
        task: what is compared, `video` or `main` (frames).
        statistics: confidence level, resamples and seed of the intervals and tests.
        split: whose predictions are compared; those of the test split only where its seal was opened for them.
    """

    stem = "detectors"

    def __init__(self, baseline: str, *, task: str, statistics: Resampling, split: str = "val") -> None:
        self.baseline, self.task, self.split = baseline, task, split
        self.resampling = statistics

    def check_jobs(self, names: Sequence[str]) -> None:
        require(self.baseline in names, "baseline", self.baseline, f"one of the jobs {', '.join(names)}")

    def table(self, predictions: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
        """One row a job: the metrics of each of its tasks, and what it differs by from the baseline.

        Raises:
            ValueError: a job has other rows than the baseline, or no task of two classes by that name.
        """
        self.check_jobs(list(predictions))
        tasks = {job: self._tasks(table, job) for job, table in predictions.items()}
        compared = [job for job in tasks if job != self.baseline]
        first = tasks[self.baseline][self.task]
        differences = adjust(
            [paired_difference(first, tasks[job][self.task], "auroc", resampling=self.resampling) for job in compared]
        )
        gains = dict(zip(compared, differences, strict=True))
        undefined = Interval.undefined(self.resampling.confidence_level)
        records = []
        for job, of_job in tasks.items():
            record: dict[str, Any] = {"job": job}
            for task, rows in of_job.items():
                intervals = all_intervals(rows, METRICS, resampling=self.resampling)
                for metric in METRICS:
                    record |= intervals[metric].columns(f"{task}/{metric}")
                record[f"{task}/n"] = row_count(rows)
            gain = gains.get(job)
            record |= (gain.difference if gain else undefined).columns(_GAIN)
            record |= {name: getattr(gain, name, np.nan) for name in _TEST}
            records.append({**record, "verdict": gain.finding(self.baseline, job) if gain else ""})
        return pd.DataFrame(records)

    def _tasks(self, predictions: pd.DataFrame, job: str) -> dict[str, pd.DataFrame]:
        tasks = {task: rows for task, classes, rows in classified_tasks(predictions) if len(classes) == 2}
        if self.task not in tasks:
            raise ValueError(f"job {job}: no task {self.task} of two classes; it has {', '.join(tasks) or 'none'}")
        return tasks

    def timed(self, table: pd.DataFrame, seconds: Mapping[str, float]) -> pd.DataFrame:
        return table.assign(seconds=table["job"].map(seconds))

    def summary(self, table: pd.DataFrame) -> pd.DataFrame:
        texts: dict[str, Any] = {"job": table["job"]}
        for name in ("main/auroc", "video/auroc", "video/eer", "video/tpr_at_1pct_fpr"):
            if name in table:
                task, metric = name.split("/")
                texts[f"{'frame' if task == 'main' else task} {readable(metric)}"] = interval_texts(table, name)
        texts[f"{self.task} AUROC: job − {self.baseline}"] = interval_texts(table, _GAIN, "+")
        texts |= p_columns(table)
        if "seconds" in table:
            texts["seconds"] = [f"{seconds:.0f}" for seconds in table["seconds"]]
        return pd.DataFrame({**texts, "verdict": table["verdict"]})

    def markdown(self, table: pd.DataFrame) -> str:
        return "\n".join([self.note(), "", *markdown_table(self.summary(table)), "", *interval_note(table)])

    def note(self) -> str:
        return (
            f"Split `{self.split}`; value [{self.resampling.percent} interval]. Intervals and paired differences "
            f"resample groups {self.resampling.times}; p adjusted by Holm over jobs."
        )

    def figure(self, table: pd.DataFrame) -> Figure:
        """AUROC of the task, and what it differs by from the baseline, a line a job."""
        return jobs_figure(table, {f"{self.task}/auroc": f"AUROC of {self.task}", _GAIN: f"job − {self.baseline}"})
