"""What a report reads: finished runs, sets of repeats and sweeps, read from what they stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from hallmark.analysis.presentation import labelled_tasks
from hallmark.runs.configuration import FILE, load_plain, resampling_of
from hallmark.runs.metrics import MAIN
from hallmark.runs.predictions import read_predictions
from hallmark.runs.record import Record
from hallmark.runs.repeats import RepeatSet, open_result
from hallmark.runs.run import Run
from hallmark.runs.seal import TestAccess, accesses_of
from hallmark.statistics import Interval, Resampling, all_intervals, metric_names
from hallmark.statistics.metrics import has_direction
from hallmark.storage.files import read_csv
from hallmark.wording import SPLITS, plural, readable


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
class ReportedResult:
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
        return [run.record for _, run in self.members]

    @property
    def record(self) -> Record:
        """Of the first member, for what all have in common."""
        return self.records[0]

    @property
    def fitted(self) -> bool:
        """Whether weights were selected on the validation rows; not so for a model in which nothing is fitted."""
        return any((record.selected or {}).get("checkpoint", "") is not None for record in self.records)

    @property
    def unit(self) -> str:
        """`1 run` or `5 runs (seeds:5)`."""
        runs = plural(len(self.members), "run")
        return runs if self.repeats is None else f"{runs} ({self.repeats.record.repeat})"

    @cached_property
    def config(self) -> dict[str, Any]:
        return load_plain(self.members[0][1].directory / FILE)

    @cached_property
    def resampling(self) -> Resampling:
        """Of every interval that a report gives of this result: as it was configured."""
        return resampling_of(self.config)

    @cached_property
    def accesses(self) -> list[TestAccess] | None:
        """Accesses to the test split, oldest first; None where the record does not tell which seal it is under."""
        return accesses_of(self.source) if self.record.data.get("content") else None

    @property
    def has_test(self) -> bool:
        return any("test" in record.splits for record in self.records)

    @cached_property
    def opened(self) -> bool:
        """Whether a complete access covers these very runs, so that their test numbers may be shown."""
        runs = [run for _, run in self.members]
        return any(access.covers(runs) for access in self.accesses or [])

    def main_metric(self, rows: pd.DataFrame, classes: list[str] | None) -> str:
        """The metric that selected the weights where rows of this task have it and one may be better in it, else macro
        F1 or the first one.
        """
        selected, names = str((self.record.selected or {}).get("metric", "")), metric_names(rows, classes)
        name = selected.rpartition("/")[2]
        return name if name in names and has_direction(name) else "macro_f1" if classes is not None else names[0]

    def tables(self, split: str) -> list[pd.DataFrame]:
        """The stored predictions of each member; empty unless every member has them.

        Those of the test split are given only where an access record says that the seal was opened for these runs.
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
        selected = str((self.record.selected or {}).get("metric", "")).split("/")
        values: dict[str, list[MainValue]] = {}
        for split in SPLITS:
            predictions = self.predictions(split)
            tasks = list(labelled_tasks(predictions)) if predictions is not None else []
            for task, classes, rows in [task for task in tasks if task[0] in selected] or tasks:
                metric = self.main_metric(rows, classes)
                interval = all_intervals(rows, [metric], resampling=self.resampling)[metric]
                values.setdefault(split, []).append(MainValue(metric, task, interval, rows, classes))
        return values

    @property
    def histories(self) -> list[pd.DataFrame]:
        """`history.csv` of each member, empty tables where there is none."""
        paths = [run.directory / "history.csv" for _, run in self.members]
        return [read_csv(path) if path.exists() else pd.DataFrame() for path in paths]


def open_results(paths: Sequence[Path]) -> list[ReportedResult]:
    """Results in the order given, each once, with labels that differ.

    Raises:
        ValueError: a path is no finished run or set.
    """
    sources = {source.directory.resolve(): source for source in map(open_result, paths)}
    names = [source.record.name for source in sources.values()]
    results = []
    for name, source in zip(names, sources.values(), strict=True):
        label = name if names.count(name) == 1 else f"{name}/{source.directory.name}"
        members = [("", source)] if isinstance(source, Run) else [(part.note, part.run) for part in source.members]
        results.append(ReportedResult(label, source, members))
    return results
