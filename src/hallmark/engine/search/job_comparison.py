"""What the listed jobs of a sweep reach, side by side."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import pandas as pd
from matplotlib.figure import Figure

from hallmark.analysis.presentation import interval_note, text_table
from hallmark.analysis.state import save_figure
from hallmark.checks import require, setting
from hallmark.engine.build import build
from hallmark.engine.config.targets import trusted_packages
from hallmark.engine.messages import echo, print_block
from hallmark.engine.search.jobs import Search
from hallmark.engine.search.plans import JobList
from hallmark.engine.search.study import SweepStudy
from hallmark.report.sources import open_results
from hallmark.storage.files import write_csv, write_text
from hallmark.wording import duration


class JobTable(Protocol):
    """Compares jobs by their stored predictions.

    Attributes:
        stem: of its files; split: whose predictions are compared.
    """

    stem: str
    split: str

    def check_jobs(self, names: Sequence[str]) -> None:
        """Raise `SettingError` unless the jobs that the table needs are among `names`."""

    def table(self, predictions: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
        """The table, from predictions by name of the job; raises ValueError where they cannot be compared."""

    def timed(self, table: pd.DataFrame, seconds: Mapping[str, float]) -> pd.DataFrame:
        """`table` with what each line took."""

    def summary(self, table: pd.DataFrame) -> pd.DataFrame:
        """As text that fits a terminal."""

    def markdown(self, table: pd.DataFrame) -> str: ...

    def figure(self, table: pd.DataFrame) -> Figure: ...

    def note(self) -> str:
        """What the numbers are."""


def job_table(search: Search) -> JobTable | None:
    """What `sweep.table` describes; None where it is null.

    Raises:
        SettingError: a wrong value, or a plan that does not list its jobs.
    """
    node = search.config.sweep.get("table")
    if node is None:
        return None
    points = isinstance(search.plan, JobList)
    require(points, "sweep.table", str(node), "null, or a plan that lists its jobs")
    table: JobTable = build(node, JobTable, trusted=trusted_packages(search.config))
    with setting("sweep.table"):
        table.check_jobs(list(search.listed))
    return table


def write_job_table(table: JobTable, study: SweepStudy, title: str) -> None:
    """Write `<stem>.csv`, `<stem>.md` and `figures/<stem>.png` from the stored predictions of all jobs, and print them.

    Not as long as a job is pruned or failed.

    Raises:
        ValueError: a job has no predictions of the split that may be read, or other rows than the rest.
    """
    if len(study.completed) < len(study.trials()):
        echo(f"{table.stem}.md: written once every job is complete")
        return
    predictions, seconds = {}, {}
    for trial in study.completed:
        name, directory = trial.params[JobList.KEY], Path(trial.user_attrs["directory"])
        (result,) = open_results([directory])
        if (predicted := result.predictions(table.split)) is None:
            hint = "; those of the test split only after evaluate.py run=... split=test" * (table.split == "test")
            job = f"sweep.table.split={table.split}: job {name} ({directory})"
            raise ValueError(f"{job} has no such predictions{hint}")
        predictions[name] = predicted
        seconds[name] = float(trial.user_attrs.get("seconds", 0.0))
    with setting("sweep.table"):
        rows = table.table(predictions)
    rows = table.timed(rows, seconds)
    write_csv(study.directory / f"{table.stem}.csv", rows)
    write_text(study.directory / f"{table.stem}.md", table.markdown(rows))
    save_figure(study.directory / "figures" / f"{table.stem}.png", table.figure(rows))
    summary, took = table.summary(rows), duration(sum(seconds.values()))
    echo(f"{title} · {table.split} · {took} in all")
    print_block(text_table(summary))
    for sentence in (*interval_note(rows), *interval_note(summary), table.note()):
        echo(sentence)
