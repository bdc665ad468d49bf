"""What a command prints: one line when it starts, one table when it ends."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from hallmark.analysis.figures import readable
from hallmark.analysis.tables import always_the_commonest, labelled_tasks
from hallmark.data.leakage import predict_lines, verdict_line
from hallmark.data.module import DataModule
from hallmark.engine.job import Job, device_name
from hallmark.report.wording import kinds_of, plural
from hallmark.runs.metrics import MAIN
from hallmark.runs.predictions import read_predictions
from hallmark.runs.record import Record
from hallmark.runs.run import Run
from hallmark.statistics.bootstrap import all_intervals
from hallmark.statistics.members import over_text, row_count
from hallmark.statistics.resampling import Resampling
from hallmark.statistics.tables import metric_names, table_metrics
from hallmark.statistics.text import interval_text, no_interval_note, number_text
from hallmark.storage.secrets import redacted

_SHOWN = ("accuracy", "macro_f1", "weighted_f1", "macro_precision", "macro_recall", "auroc", "auprc")


def say(text: str) -> None:
    """Print `text`, with the secrets of the environment taken out."""
    Console().print(redacted(text), highlight=False, markup=False, soft_wrap=True)


def announce(job: Job, data: DataModule, *, resumed: bool) -> None:
    """Profile, data, device and run directory in one line, then what was found wrong with the data."""
    counts = data.samples["split"].value_counts()
    splits = ", ".join(f"{name} {counts[name]}" for name in sorted(counts.index))
    verb = "resumes" if resumed else "starts"
    source = f"data {data.facts()['source']} ({splits})"
    say(f"{job.config.name} {verb}: profile={job.config.profile}, {source}, {device_name()}, {job.directory}")
    if data.problems.found:
        say(
            "bad rows, listed in problems.csv: "
            + ", ".join(f"{n} {kind}" for kind, n in data.problems.counts().items())
        )
    groups = data.samples["group"].nunique()
    if groups < len(data.samples):
        labelled = " with its labelled rows" if "predict" in counts else ""
        say(f"{len(data.samples)} rows in {groups} groups that belong together; each stays in one split{labelled}")


def report_gate(entry: Mapping[str, Any]) -> None:
    """What the leakage gate found, what its verdict leaves open, and what the rows to predict share."""
    say(f"leakage between splits: {verdict_line(entry)}")
    unseen = [entry["not_reached"][kind] for kind in entry["not_reached"] if kind.startswith("near-duplicate")]
    if unseen:
        say(f"not looked for: {'; '.join(unseen)}")
    for line in predict_lines(entry):
        say(line)


def report(run: Run, resampling: Resampling) -> None:
    """The validation metrics with intervals, beside always predicting the most frequent class."""
    assert run.record is not None
    split, selected = run.record.main_split, run.record.selected
    predictions = read_predictions(run.directory / "predictions" / f"{split}.parquet")
    print_metrics(predictions, f"{run.record.name} · {split}", resampling)
    chosen = f"{predictions['id'].nunique()} unlabelled rows: nothing is measured"
    if selected is not None:
        verb = "selected on " if selected["checkpoint"] else ""
        chosen = f"{verb}{selected['metric']} = {number_text(selected['value'])}"
    say(f"{chosen} · {run.record.wall_seconds:.0f} s · {run.directory}")


def say_warnings(record: Record) -> None:
    """Print what everybody must know who uses the answers of a run."""
    for sentence in record.warnings:
        say(f"warning: {sentence}")


def say_failed_calls(phase: str, calls: Mapping[str, Any]) -> None:
    """Print how many calls of an outside service failed in a phase of a run, and how; nothing where none did."""
    if calls["fallbacks"]:
        failed = sum(calls["fallbacks"].values())
        say(f"{phase}: {failed} of {plural(calls['requests'], 'call')} without an answer ({kinds_of(calls)})")


def print_metrics(predictions: pd.DataFrame, title: str, resampling: Resampling) -> None:
    """A table for each classification task with labelled rows, and one for all tasks without classes."""
    masked = []
    for task, classes, rows in labelled_tasks(predictions):
        if classes is None:
            masked.append((task, rows))
            continue
        of_task = "" if task == MAIN else f" · {task}"
        Console().print(_metrics_table(rows, classes, f"{title}{of_task} · {_size(rows)}", resampling))
    if masked:
        Console().print(_scores_table(masked, f"{title} · {_size(masked[0][1])}", resampling))


def _scores_table(tasks: Sequence[tuple[str, pd.DataFrame]], title: str, resampling: Resampling) -> Table:
    """A rich table: metric, and for each task its value with its interval."""
    names = metric_names(tasks[0][1], None)
    columns = [all_intervals(rows, names, resampling=resampling) for _, rows in tasks]
    heads = [readable(task) if task != MAIN else "answer" for task, _ in tasks]
    captions = [
        f"with {resampling.percent} intervals",
        no_interval_note(found[name] for found in columns for name in names),
    ]
    table = Table("metric", *heads, title=title, caption=". ".join(filter(None, captions)))
    for name in names:
        table.add_row(name, *(interval_text(found[name]) for found in columns))
    return table


def _size(rows: pd.DataFrame) -> str:
    """Rows, the groups that intervals resample where these are fewer, and the members of a set of repeats."""
    n, n_groups = row_count(rows), rows["group"].nunique()
    size = f"n = {n}" + (f" in {plural(n_groups, 'group')}" if n_groups < n else "")
    return ", ".join(filter(None, [size, over_text(rows)]))


def _metrics_table(rows: pd.DataFrame, classes: list[str], title: str, resampling: Resampling) -> Table:
    """A rich table: metric, value with interval, majority class."""
    (majority,) = table_metrics(always_the_commonest(rows, classes)).values()
    intervals = all_intervals(rows, _SHOWN, resampling=resampling)
    head = f"value [{resampling.percent} interval]"
    table = Table("metric", head, "majority class", title=title, caption=no_interval_note(intervals.values()) or None)
    for name in _SHOWN:
        table.add_row(name, interval_text(intervals[name]), number_text(majority[name]))
    return table
