"""The final settings and results of a release, as a block in a Markdown file."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from omegaconf import OmegaConf

from hallmark.engine.release.readiness import ReadinessCheck, repeats_of
from hallmark.report.measures import run_table
from hallmark.runs.configuration import FILE, load_plain, stored_resampling
from hallmark.runs.identity import relevant_settings
from hallmark.runs.predictions import read_predictions
from hallmark.runs.repeats import RepeatSet, Result, runs_of
from hallmark.runs.seal import TestAccess
from hallmark.statistics import Spread, all_intervals, class_order, metric_names, row_count, two_sets_note
from hallmark.statistics.members import kinds_text
from hallmark.statistics.text import interval_text, no_interval_note, number_text
from hallmark.storage.files import write_text
from hallmark.storage.markers import regions
from hallmark.storage.secrets import command_text, redacted
from hallmark.wording import NOTHING, SPLITS


def results_block(result: Result, checks: Sequence[ReadinessCheck], accesses: Sequence[TestAccess]) -> str:
    """Settings, metrics with intervals and spread, checks and accesses, in Markdown."""
    repeats = repeats_of(result)
    settings = OmegaConf.to_yaml(relevant_settings(load_plain(result.directory / FILE)))
    lines = [
        *_facts(result), "", *_metrics(result), "", *(_spread(repeats) if repeats is not None else ()),
        "Checks:", "",
        *(f"- {check.name}: {check}" for check in checks), "", "Accesses to the test split:", "",
        *(f"- {access}" for access in accesses), "",
        "<details><summary>All settings that matter to the result</summary>", "",
        "```yaml", settings.rstrip(), "```", "", "</details>",
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
    seeds = ", ".join(str(run.record.seed) for run in runs)
    splits = ", ".join(f"{name} {facts['n']}" for name, facts in record.splits.items())
    yield f"## {result.record.name}: final settings and results"
    yield ""
    yield f"`{command_text(result.record.command)}`"
    yield ""
    yield f"- commit {record.git['commit'] or 'unknown'}{' with uncommitted changes' if record.git['dirty'] else ''}"
    size = f"{len(runs)} runs, {result.record.repeat}" if isinstance(result, RepeatSet) else "one run"
    yield f"- {size}; seed {seeds}"
    yield f"- data {str(record.data.get('content'))[:12]}: {splits} rows{' in the first run' if len(runs) > 1 else ''}"
    for run in runs:
        if run.record.selected is not None:
            selected = run.record.selected
            yield f"- {run.directory.name}: selected on {selected['metric']} = {number_text(selected['value'])}"


def _metrics(result: Result) -> Iterator[str]:
    if isinstance(result, RepeatSet):
        tables = {split: result.predictions(split) for split in SPLITS}
        models = " and models" if len(result.different) > 1 else ""
        pooled = f"{models}; n counts a row once, {result.over} together"
    else:
        tables = {split: read_predictions(result.directory / "predictions" / f"{split}.parquet") for split in SPLITS}
        pooled = ""
    tasks = list(tables["test"]["task"].unique())
    resampling = stored_resampling(runs_of(result)[0].directory)
    yield f"Values with {resampling.percent} intervals over groups{pooled}."
    for task in tasks:
        yield ""
        parts = {split: table[table["task"] == task] for split, table in tables.items()}
        sizes = (f"{split} (n = {row_count(rows)}{kinds_text(rows)})" for split, rows in parts.items())
        yield f"| {task} | " + " | ".join(sizes) + " |"
        yield "|---|" + "---|" * len(tables)
        metrics = metric_names(parts["test"], class_order(tables["test"], task))
        intervals = {split: all_intervals(rows, metrics, resampling=resampling) for split, rows in parts.items()}
        for metric in metrics:
            yield f"| {metric} | " + " | ".join(interval_text(by_name[metric]) for by_name in intervals.values()) + " |"
        alone = no_interval_note(interval for by_name in intervals.values() for interval in by_name.values())
        of_sets = (two_sets_note(rows) for rows in parts.values())
        for note in filter(None, dict.fromkeys([alone, *of_sets])):
            yield from ("", note)


def _spread(repeats: RepeatSet) -> Iterator[str]:
    columns, rows = run_table(repeats)
    yield f"The runs of {repeats.record.repeat}:"
    yield ""
    yield from (f"| {' | '.join(cells)} |" for cells in (columns, ["---"] * len(columns), *rows))
    yield ""
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
            spreads = [measured.get(split, {}).get(task, {}).get(metric) for split in SPLITS]
            cells = [str(Spread(**spread)) if spread else NOTHING for spread in spreads]  # type: ignore[arg-type]
            yield f"| {metric if task == 'main' else f'{task} {metric}'} | {' | '.join(cells)} |"
    yield ""
