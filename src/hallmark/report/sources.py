"""What a report is told: finished runs, sets of repeats and sweeps, read from what they stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import OmegaConf

from hallmark.analysis.figures import readable
from hallmark.analysis.tables import labelled_tasks
from hallmark.report.wording import SPLITS, plural
from hallmark.runs.configuration import FILE, load_config, resampling_of
from hallmark.runs.metrics import MAIN
from hallmark.runs.predictions import read_predictions
from hallmark.runs.record import Record
from hallmark.runs.repeats import RepeatSet, open_result, record_of
from hallmark.runs.run import Run
from hallmark.runs.seal import Look, receipts_of
from hallmark.statistics import CLASSIFICATION_METRICS, Interval, Resampling, all_intervals, metric_names
from hallmark.storage.files import read_csv

OUT_OF_FOLD = "out_of_fold"


@dataclass(frozen=True)
class MainValue:
    """The main metric of a result on a split, and the labelled rows of the one task that it is of."""

    metric: str
    task: str
    interval: Interval
    rows: pd.DataFrame
    classes: list[str] | None

    @property
    def name(self) -> str:
        return value_name(self.metric, self.task)


def value_name(metric: str, task: str) -> str:
    """`macro F1`, or `macro F1 of action` where the system has several tasks."""
    return readable(metric) if task == MAIN else f"{readable(metric)} of {task}"


@dataclass(frozen=True)
class Result:
    """A run, or a set of repeats that counts as one result.

    Attributes:
        label: tells it from the other results of a report.
        members: (note, run); the note is empty where the result is a run.
    """

    label: str
    source: Run | RepeatSet
    members: Sequence[tuple[str, Run]]

    @property
    def directory(self) -> Path:
        return self.source.directory

    @property
    def repeats(self) -> RepeatSet | None:
        return self.source if isinstance(self.source, RepeatSet) else None

    @property
    def records(self) -> list[Record]:
        records = [run.record for _, run in self.members]
        assert all(record is not None for record in records)
        return records  # type: ignore[return-value]

    @property
    def record(self) -> Record:
        """Of the first member, for what all have in common."""
        return self.records[0]

    @property
    def fitted(self) -> bool:
        """Whether weights were selected on the validation rows; not so for a model in which nothing is fitted."""
        return any((one.selected or {}).get("checkpoint", "") is not None for one in self.records)

    @property
    def unit(self) -> str:
        """`1 run` or `5 runs (seeds:5)`."""
        runs = plural(len(self.members), "run")
        return runs if self.repeats is None else f"{runs} ({self.repeats.record.repeat})"

    @cached_property
    def config(self) -> dict[str, Any]:
        path = self.members[0][1].directory / FILE
        config = OmegaConf.to_container(load_config(path)) if path.exists() else {}
        assert isinstance(config, dict)
        return {str(key): value for key, value in config.items()}

    @cached_property
    def resampling(self) -> Resampling:
        """Of every interval that a report gives of this result: as it was configured."""
        return resampling_of(self.config)

    @cached_property
    def looks(self) -> list[Look] | None:
        """Receipts of the test split, oldest first; None where the record does not tell which seal it is under."""
        return receipts_of(self.source) if self.record.data.get("content") else None

    @property
    def has_test(self) -> bool:
        return any("test" in record.splits for record in self.records)

    @cached_property
    def opened(self) -> bool:
        """Whether a complete look was at these very runs, so that their test numbers may be shown."""
        runs = [run for _, run in self.members]
        return any(look.covers(runs) for look in self.looks or [])

    @property
    def main_metric(self) -> str:
        """The metric that selected the weights where it is one of a table of predictions, else macro F1."""
        selected = str((self.record.selected or {}).get("metric", "")).rpartition("/")[2]
        return selected if selected in CLASSIFICATION_METRICS else "macro_f1"

    def tables(self, split: str) -> list[pd.DataFrame]:
        """The stored predictions of each member; empty unless every member has them.

        Those of the test split are given only where a receipt says that the seal was opened for these runs.
        """
        paths = [run.directory / "predictions" / f"{split}.parquet" for _, run in self.members]
        if (split == "test" and not self.opened) or not all(path.exists() for path in paths):
            return []
        return [read_predictions(path) for path in paths]

    @cached_property
    def _pooled(self) -> dict[str, pd.DataFrame | None]:
        return {}

    def predictions(self, split: str) -> pd.DataFrame | None:
        """One table of all members, ids made unique, or None where `tables` gives none."""
        if split not in self._pooled:
            tables = self.tables(split)
            pooled = self.repeats.predictions(split) if tables and self.repeats else None
            self._pooled[split] = tables[0] if tables and pooled is None else pooled
        return self._pooled[split]

    @property
    def main(self) -> dict[str, MainValue]:
        """The first of the main values by split, of the splits that have one."""
        return {split: values[0] for split, values in self.main_values.items()}

    @cached_property
    def main_values(self) -> dict[str, list[MainValue]]:
        """The main metric by split: of the task that selected the weights, or of each task where their mean did."""
        found = {split: self._main(split) for split in SPLITS}
        return {split: values for split, values in found.items() if values}

    def _main(self, split: str) -> list[MainValue]:
        predictions = self.predictions(split)
        tasks = list(labelled_tasks(predictions)) if predictions is not None else []
        selected = str((self.record.selected or {}).get("metric", "")).split("/")
        values = []
        for task, classes, rows in [one for one in tasks if one[0] in selected] or tasks:
            metric = self.main_metric if classes is not None else metric_names(rows, None)[0]
            interval = all_intervals(rows, [metric], resampling=self.resampling)[metric]
            values.append(MainValue(metric, task, interval, rows, classes))
        return values

    @property
    def histories(self) -> list[pd.DataFrame]:
        """`history.csv` of each member, empty tables where there is none."""
        paths = [run.directory / "history.csv" for _, run in self.members]
        return [read_csv(path) if path.exists() else pd.DataFrame() for path in paths]


def open_results(paths: Sequence[Path]) -> list[Result]:
    """Results in the order given, each once, with labels that differ.

    Raises:
        ValueError: a path is no finished run or set.
    """
    sources = {source.directory.resolve(): source for source in map(open_result, paths)}
    names = [record_of(source).name for source in sources.values()]
    return [
        Result(name if names.count(name) == 1 else f"{name}/{source.directory.name}", source, _members(source))
        for name, source in zip(names, sources.values(), strict=True)
    ]


def _members(source: Run | RepeatSet) -> list[tuple[str, Run]]:
    if isinstance(source, Run):
        return [("", source)]
    return [(member.note, member.run) for member in source.members]
