"""What a command prints: one line when it starts, one table when it ends."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from rich.table import Table

from hallmark.analysis.presentation import labelled_tasks, majority_class_baseline
from hallmark.data.leakage import predict_lines, verdict_line
from hallmark.data.module import DataModule
from hallmark.engine.job import Job
from hallmark.engine.messages import Block, echo, print_block
from hallmark.learning.device import device_name
from hallmark.runs.metrics import MAIN, UNLABELLED
from hallmark.runs.predictions import read_predictions
from hallmark.runs.run import Run
from hallmark.statistics.bootstrap import all_intervals
from hallmark.statistics.interval import Interval
from hallmark.statistics.members import kinds_text, over_text, row_count
from hallmark.statistics.resampling import Resampling
from hallmark.statistics.tables import metric_names, table_metrics, two_sets_note
from hallmark.statistics.text import interval_text, no_interval_note, number_text
from hallmark.wording import plural, readable

_SHOWN = ("accuracy", "macro_f1", "weighted_f1", "macro_precision", "macro_recall", "auroc", "auprc")


def print_start(job: Job, data: DataModule, *, resumed: bool) -> None:
    """Profile, data, device and run directory in one line, then what is wrong with the data."""
    counts = data.samples["split"].value_counts()
    splits = ", ".join(f"{name} {counts[name]}" for name in sorted(counts.index))
    verb = "resumes" if resumed else "starts"
    source = f"data {data.metadata()['source']} ({splits})"
    echo(f"{job.config.name} {verb}: profile={job.config.profile}, {source}, {device_name()}, {job.directory}")
    for role, parent in job.parents.items():
        echo(f"parent {role}: {parent.name}/{parent.run_id}")
    if data.problems.found:
        problems = ", ".join(f"{n} {kind}" for kind, n in data.problems.counts().items())
        echo(f"bad rows, listed in problems.csv: {problems}")
    for sentence in data.warnings():
        echo(f"warning: {sentence}")
    groups = data.samples["group"].nunique()
    if groups < len(data.samples):
        labelled = " with its labelled rows" if UNLABELLED in counts and len(counts) > 1 else ""
        rows = f"{plural(len(data.samples), 'row')} in {plural(groups, 'group')} that belong together"
        echo(f"{rows}; each group stays in one split{labelled}")


def print_leakage(entry: Mapping[str, Any]) -> None:
    """What the leakage gate found, what its verdict leaves open, and what the rows to predict share."""
    echo(f"leakage between splits: {verdict_line(entry)}")
    unseen = [entry["not_reached"][kind] for kind in entry["not_reached"] if kind.startswith("near-duplicate")]
    if unseen:
        echo(f"not checked for: {'; '.join(unseen)}")
    for line in predict_lines(entry):
        echo(line)


def print_result(run: Run, resampling: Resampling) -> list[Block]:
    """The validation metrics with intervals, beside always predicting the most frequent class; gives what it prints."""
    split, selected = run.record.main_split, run.record.selected
    predictions = read_predictions(run.directory / "predictions" / f"{split}.parquet")
    chosen = f"{predictions['id'].nunique()} unlabelled rows: nothing is measured"
    if selected is not None:
        verb = "selected on " if selected["checkpoint"] else ""
        chosen = f"{verb}{selected['metric']} = {number_text(selected['value'])}{_checkpoint(run)}"
    blocks: list[Block] = [
        *_metrics_tables(predictions, f"{run.record.name} · {split}", resampling),
        f"{chosen} · {run.record.wall_seconds:.0f} s · {run.directory}",
    ]
    for block in blocks:
        print_block(block)
    return blocks


def _checkpoint(run: Run) -> str:
    """Epoch and file of the selected weights; "" where nothing was fitted by epochs."""
    selected = run.record.selected
    if selected is None or not selected["checkpoint"]:
        return ""
    from hallmark.analysis.plots.training_curves import selected_epoch  # matplotlib, after the fit

    epoch = selected_epoch(run.history, selected)
    return f" in epoch {epoch:.0f}, {selected['checkpoint']}" if epoch is not None else ""


def print_metrics(predictions: pd.DataFrame, title: str, resampling: Resampling) -> None:
    """A table for each classification task with labelled rows, and one for all tasks without classes."""
    for table in _metrics_tables(predictions, title, resampling):
        print_block(table)


def _metrics_tables(predictions: pd.DataFrame, title: str, resampling: Resampling) -> list[Table]:
    tables: list[Table] = []
    columns: dict[str, dict[str, Interval]] = {}
    of_sets = ""
    size = ""
    for task, classes, rows in labelled_tasks(predictions):
        if classes is None:  # one table of all such tasks, a column each
            size = size or _size(rows)
            head = readable(task) if task != MAIN else "answer"
            of_sets = of_sets or two_sets_note(rows)
            columns[head] = all_intervals(rows, metric_names(rows, None), resampling=resampling)
            continue
        (majority,) = table_metrics(majority_class_baseline(rows, classes)).values()
        intervals = all_intervals(rows, _SHOWN, resampling=resampling)
        heads = ("metric", f"value [{resampling.percent} interval]", "majority class")
        of_task = "" if task == MAIN else f" · {task}"
        caption = no_interval_note(intervals.values()) or None
        table = Table(*heads, title=f"{title}{of_task} · {_size(rows)}", caption=caption)
        for name in _SHOWN:
            table.add_row(name, interval_text(intervals[name]), number_text(majority[name]))
        tables.append(table)
    if columns:
        every = [interval for intervals in columns.values() for interval in intervals.values()]
        notes = [f"With {resampling.percent} intervals.", no_interval_note(every), of_sets]
        caption = " ".join(filter(None, notes))
        table = Table("metric", *columns, title=f"{title} · {size}", caption=caption)
        for name in next(iter(columns.values())):
            table.add_row(name, *(interval_text(intervals[name]) for intervals in columns.values()))
        tables.append(table)
    return tables


def _size(rows: pd.DataFrame) -> str:
    """Rows, the groups that intervals resample where these are fewer, and the members of a set of repeats."""
    n, n_groups = row_count(rows), rows["group"].nunique()
    size = f"n = {n}{kinds_text(rows)}" + (f" in {plural(n_groups, 'group')}" if n_groups < n else "")
    return ", ".join(filter(None, [size, over_text(rows)]))
