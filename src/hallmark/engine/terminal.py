"""What a command prints: one line when it starts, one table when it ends."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from hallmark.data.module import DataModule
from hallmark.engine.job import Job, device_name
from hallmark.runs.predictions import read_predictions
from hallmark.runs.run import Run
from hallmark.statistics.bootstrap import all_intervals
from hallmark.statistics.tables import table_metrics
from hallmark.storage.secrets import redacted

_SHOWN = ("accuracy", "macro_f1", "weighted_f1", "macro_precision", "macro_recall")
LEVEL, REPEATS = 0.95, 1000  # of every interval that a command reports


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
    repeats = len(data.samples) - data.samples["group"].nunique()
    if repeats:
        say(f"{repeats} rows repeat the content of another; repeats stay in one split")


def report(run: Run, classes: Sequence[str]) -> None:
    """The validation metrics with intervals, beside always predicting the most frequent class."""
    assert run.record is not None
    predictions = read_predictions(run.directory / "predictions" / "val.parquet")
    Console().print(metrics_table(predictions, f"{run.record.name} · val · n = {len(predictions)}"))
    selected = run.record.selected
    assert selected is not None
    chosen = f"selected on {selected['metric']} = {selected['value']:.4f}"
    say(f"{chosen} · {run.record.wall_seconds:.0f} s · {run.directory}")


def metrics_table(predictions: pd.DataFrame, title: str) -> Table:
    """A rich table: metric, value with clustered bootstrap interval, majority class."""
    majority = _majority(predictions)
    intervals = all_intervals(predictions, _SHOWN, level=LEVEL, repeats=REPEATS, seed=0)
    table = Table("metric", "value", f"{LEVEL:.0%} interval", "majority class", title=title)
    for name in _SHOWN:
        interval = intervals[name]
        spread = f"[{interval.low:.3f}, {interval.high:.3f}]"
        table.add_row(name, f"{interval.estimate:.3f}", spread, f"{majority[name]:.3f}")
    return table


def _majority(predictions: pd.DataFrame) -> dict[str, Any]:
    top = predictions["target"].mode()[0]
    classes = predictions.attrs["classes"]["main"]
    certain = [float(name == top) for name in classes]
    constant = predictions.assign(
        prediction=top, probabilities=pd.Series([certain] * len(predictions), index=predictions.index)
    )
    constant["score"] = (constant["target"] == top).astype(float)
    return table_metrics(constant)["main"]
