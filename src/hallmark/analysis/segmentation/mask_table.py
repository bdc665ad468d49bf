"""Ways to segment what an expression means, side by side, each against one of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from hallmark.analysis.plots.jobs import jobs_figure
from hallmark.analysis.presentation import interval_note, interval_texts, markdown_table, p_columns
from hallmark.analysis.segmentation.answers import answers, counts, scores
from hallmark.checks import require
from hallmark.runs.metrics import MAIN
from hallmark.statistics import SEGMENTATION_METRICS, Interval, Resampling, adjust, paired_difference
from hallmark.wording import readable

_GAIN = "difference"
_TEST = ("p_value", "p_holm", "p_floor")
_COMPARED = {"miou": _GAIN, "target_miou": f"target_{_GAIN}"}


class MaskTable:
    """Compare jobs by the masks that they answered with.

    Args:
        baseline: the job that all others are compared with on the same expressions; by mean IoU of all and of those
            with a target, paired, the p-values adjusted by Holm over jobs and both.
        statistics: confidence level, resamples and seed of the intervals and tests.
        split: whose predictions are compared; those of the test split only where its seal was opened for them.
    """

    stem = "answers"

    def __init__(self, baseline: str, *, statistics: Resampling, split: str = "val") -> None:
        self.baseline, self.split = baseline, split
        self.resampling = statistics

    def check_jobs(self, names: Sequence[str]) -> None:
        require(self.baseline in names, "baseline", self.baseline, f"one of the jobs {', '.join(names)}")

    def table(self, predictions: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
        """One row a job: every metric of its answers, what it differs by from the baseline, calls of the rewriter and
        rewritings ranked an expression.

        Raises:
            ValueError: a job has no masks, or other expressions than the baseline.
        """
        self.check_jobs(list(predictions))
        main = {name: answers(table, name)[MAIN] for name, table in predictions.items()}
        compared = [(name, metric) for name in main if name != self.baseline for metric in _COMPARED]
        differences = adjust([
            paired_difference(main[self.baseline], main[name], metric, resampling=self.resampling)
            for name, metric in compared
        ])  # fmt: skip
        gains = dict(zip(compared, differences, strict=True))
        undefined = Interval.undefined(self.resampling.confidence_level)
        records = []
        for job, rows in main.items():
            record: dict[str, Any] = {"job": job, **scores(rows, SEGMENTATION_METRICS, self.resampling)}
            for metric, column in _COMPARED.items():
                gain = gains.get((job, metric))
                record |= (gain.difference if gain else undefined).columns(column)
                record |= {f"{column}_{name}": getattr(gain, name, np.nan) for name in _TEST}
                record[f"{column}_verdict"] = gain.finding(self.baseline, job) if gain else ""
            calls = {"calls": rows["info_calls"].mean(), "iterations": rows["info_iterations"].mean()}
            records.append({**record, **calls, **counts(rows)})
        return pd.DataFrame(records)

    def timed(self, table: pd.DataFrame, seconds: Mapping[str, float]) -> pd.DataFrame:
        return table.assign(seconds=table["job"].map(seconds))

    def summary(self, table: pd.DataFrame) -> pd.DataFrame:
        texts: dict[str, Any] = {"job": table["job"]}
        texts["mIoU"] = interval_texts(table, "miou")
        texts[f"mIoU: job − {self.baseline}"] = interval_texts(table, _GAIN, "+")
        texts |= p_columns(table.rename(columns=lambda column: str(column).removeprefix(f"{_GAIN}_")))
        texts |= {readable(name): interval_texts(table, name) for name in ("target_miou", "no_target_accuracy")}
        texts["calls"] = [f"{calls:.2f}" for calls in table["calls"]]
        if "seconds" in table:
            texts["seconds"] = [f"{seconds:.0f}" for seconds in table["seconds"]]
        return pd.DataFrame({**texts, "verdict": table[f"{_GAIN}_verdict"]})

    def markdown(self, table: pd.DataFrame) -> str:
        return "\n".join([self.note(), "", *markdown_table(self.summary(table)), "", *interval_note(table)])

    def note(self) -> str:
        return (
            f"Split `{self.split}`; value [{self.resampling.percent} interval]. Intervals and paired differences "
            f"resample images {self.resampling.times}; p adjusted by Holm over jobs and both kinds of mean IoU. "
            "Calls of the rewriter are per expression."
        )

    def figure(self, table: pd.DataFrame) -> Figure:
        """Mean IoU, and what it differs by from the baseline, a line a job."""
        return jobs_figure(table, {"miou": "mIoU", _GAIN: f"mIoU: job − {self.baseline}"})
