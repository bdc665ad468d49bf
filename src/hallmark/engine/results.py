"""The final settings and results of a release, as a block in a Markdown file."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd
from omegaconf import OmegaConf

from hallmark.engine.readiness import Check, repeats_of
from hallmark.report.measures import run_table
from hallmark.report.wording import SPLITS, command_text
from hallmark.runs.configuration import FILE, load_config, stored_resampling
from hallmark.runs.identity import relevant_settings
from hallmark.runs.predictions import read_predictions
from hallmark.runs.repeats import RepeatSet, Result, record_of, runs_of
from hallmark.runs.seal import Look
from hallmark.statistics import Spread, all_intervals, class_order, metric_names, row_count
from hallmark.statistics.text import NOTHING, interval_text, no_interval_note, number_text
from hallmark.storage.files import write_text
from hallmark.storage.markers import regions
from hallmark.storage.secrets import redacted


def results_block(result: Result, checks: Sequence[Check], looks: Sequence[Look]) -> str:
    """Settings, metrics with intervals and spread, checks and looks, in Markdown."""
    lines = [
        *_facts(result), "", *_metrics(result), "", *_runs(repeats_of(result)), *_spread(repeats_of(result)),
        "Checks:", "",
        *(f"- {check.name}: {check}" for check in checks), "", "Looks at the test split:", "",
        *(f"- {look}" for look in looks), "", *_settings(result),
    ]  # fmt: skip
    return redacted("\n".join(lines))


def write_between_markers(path: Path, name: str, block: str) -> None:
    """Put `block` between the markers of `name` in a Markdown file, replacing what stood there; append them if absent.

    Raises:
        ValueError: one of the two markers is there without the other, or the file is no text.
    """
    head, tail = _around(path, name)
    start, end = _markers(name)
    write_text(path, f"{head}{start}\n\n{block}\n\n{end}{tail}")


def check_markers(path: Path, name: str) -> None:
    """Raise ValueError where `write_between_markers` would."""
    _around(path, name)


def _around(path: Path, name: str) -> tuple[str, str]:
    """What stands before and after the block of `name`."""
    start, end = _markers(name)
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: expected a Markdown file in UTF-8 ({error})") from error
    if start not in text and end not in text:
        text = f"{text.rstrip()}\n\n{start}\n{end}\n".lstrip()
    try:
        (region,) = regions(text, re.escape(start), end)
    except ValueError as error:
        raise ValueError(f"{path}: needs both {start} and {end} once, in this order, or neither") from error
    return text[: region.start - len(start)], text[region.end + len(end) :]


def _markers(name: str) -> tuple[str, str]:
    return f"<!-- hallmark release: {name} -->", f"<!-- end of hallmark release: {name} -->"


def _facts(result: Result) -> Iterator[str]:
    runs = runs_of(result)
    record = runs[0].record
    assert record is not None
    seeds = ", ".join(str(run.record.seed) for run in runs if run.record is not None)
    splits = ", ".join(f"{name} {facts['n']}" for name, facts in record.splits.items())
    yield f"## {record_of(result).name}: final settings and results"
    yield ""
    yield f"`{command_text(record_of(result).command)}`"
    yield ""
    yield f"- commit {record.git['commit'] or 'unknown'}{' with uncommitted changes' if record.git['dirty'] else ''}"
    made = f"{len(runs)} runs, {result.record.repeat}" if isinstance(result, RepeatSet) else "one run"
    yield f"- {made}; seed {seeds}"
    yield f"- data {str(record.data.get('content'))[:12]}: {splits} rows{' in the first run' if len(runs) > 1 else ''}"
    for run in runs:
        if run.record is not None and run.record.selected is not None:
            selected = run.record.selected
            yield f"- {run.directory.name}: selected on {selected['metric']} = {number_text(selected['value'])}"


def _metrics(result: Result) -> Iterator[str]:
    tables = {split: _table(result, split) for split in SPLITS}
    tasks = list(tables["test"]["task"].unique())
    resampling = stored_resampling(runs_of(result)[0].directory)
    yield f"Values with {resampling.percent} intervals that resample groups{_pooled(result)}."
    for task in tasks:
        yield ""
        counts = {split: row_count(table[table["task"] == task]) for split, table in tables.items()}
        yield f"| {task} | " + " | ".join(f"{split} (n = {n})" for split, n in counts.items()) + " |"
        yield "|---|" + "---|" * len(tables)
        metrics = metric_names(tables["test"], class_order(tables["test"], task))
        intervals = {
            split: all_intervals(table[table["task"] == task], metrics, resampling=resampling)
            for split, table in tables.items()
        }
        for metric in metrics:
            yield f"| {metric} | " + " | ".join(interval_text(found[metric]) for found in intervals.values()) + " |"
        if note := no_interval_note(interval for found in intervals.values() for interval in found.values()):
            yield from ("", note)


def _pooled(result: Result) -> str:
    if not isinstance(result, RepeatSet):
        return ""
    models = " and models" if len(result.different) > 1 else ""
    return f"{models}; n counts a row once, {result.over} together"


def _table(result: Result, split: str) -> pd.DataFrame:
    if isinstance(result, RepeatSet):
        return result.predictions(split)
    return read_predictions(result.directory / "predictions" / f"{split}.parquet")


def _runs(repeats: RepeatSet | None) -> Iterator[str]:
    if repeats is None:
        return
    columns, rows = run_table(repeats)
    yield f"The runs of {repeats.record.repeat}:"
    yield ""
    yield from (f"| {' | '.join(cells)} |" for cells in (columns, ["---"] * len(columns), *rows))
    yield ""


def _spread(repeats: RepeatSet | None) -> Iterator[str]:
    if repeats is None:
        return
    measured = repeats.metrics()
    if repeats.identical:
        yield repeats.identical_text
        yield ""
    yield f"Mean ± standard deviation over {repeats.over}:"
    yield ""
    yield "| metric | " + " | ".join(SPLITS) + " |"
    yield "|---|" + "---|" * len(SPLITS)
    for task, metrics in measured["val"].items():
        for metric in metrics:
            found = [measured.get(split, {}).get(task, {}).get(metric) for split in SPLITS]
            cells = [str(Spread(**one)) if one is not None else NOTHING for one in found]  # type: ignore[arg-type]
            yield f"| {metric if task == 'main' else f'{task} {metric}'} | {' | '.join(cells)} |"
    yield ""


def _settings(result: Result) -> Iterator[str]:
    config = OmegaConf.to_container(load_config(result.directory / FILE))
    assert isinstance(config, dict)
    settings = OmegaConf.to_yaml(relevant_settings({str(key): value for key, value in config.items()}))
    yield from ("<details><summary>All settings that matter to the result</summary>", "", "```yaml")
    yield from (settings.rstrip(), "```", "", "</details>")
