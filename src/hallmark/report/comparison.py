"""Results side by side, and each against each on the same rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import pandas as pd

from hallmark.analysis.tables import labelled_tasks, metric_title
from hallmark.report.content import Block, Paragraph, Section, Table, Tone
from hallmark.report.sources import Result
from hallmark.report.standing import leak_verdict, seal_words
from hallmark.report.wording import SPLITS, duration, listed, plural
from hallmark.statistics import (
    PairedDifference,
    Resampling,
    adjust,
    metric_names,
    paired_difference,
    row_count,
    same_members,
)
from hallmark.statistics.text import NOTHING, difference_text, interval_text, no_interval_note

_SECOND = "accuracy"


@dataclass(frozen=True)
class Pair:
    """Two results on the same rows; `found` is `first` minus `second`."""

    task: str
    first: str
    second: str
    found: PairedDifference


def overview(results: Sequence[Result]) -> Section:
    """One row a result: its main metric, on what, and what it stands on."""
    rows = []
    for result in results:
        main = result.main_values.get("val", [])
        value = ", ".join(f"{one.name} {interval_text(one.interval)}" for one in main) or NOTHING
        n = ", ".join(f"{row_count(one.rows):,}" for one in main) or NOTHING
        seconds = sum(record.wall_seconds for record in result.records)
        words = [leak_verdict(result)[0], seal_words(result)[0]]
        rows.append([result.label, result.unit, value, n, *words, duration(seconds)])
    value = f"validation [{results[0].resampling.percent} interval]"
    columns = ["result", "runs", value, "rows", "leak checks", "test split", "time"]
    return Section("Results", [Table(columns, rows, frozenset({2, 3, 6}))])


@dataclass(frozen=True)
class Compared:
    """All pairs of results on a split, p-values adjusted over all of them, and sentences on what has no pair."""

    split: str
    resampling: Resampling
    pairs: list[Pair]
    problems: list[str]


def compare(results: Sequence[Result], split: str) -> Compared:
    """Every pair of results on every task."""
    tables = {result.label: result.predictions(split) for result in results}
    resampling = results[0].resampling
    pairs: list[Pair] = []
    problems = [f"{label} has no predictions of {SPLITS[split]}." for label, table in tables.items() if table is None]
    shown = [result for result in results if tables[result.label] is not None]
    for first, second in combinations(shown, 2):
        try:
            pairs += _pairs(first, second, split, resampling)
            problems += _alone(first, second, split)
        except ValueError as error:
            problems.append(f"{first.label} and {second.label} cannot be compared: {error}.")
    adjusted = adjust([pair.found for pair in pairs])
    named = [Pair(pair.task, pair.first, pair.second, found) for pair, found in zip(pairs, adjusted, strict=True)]
    return Compared(split, resampling, named, problems)


def _pairs(first: Result, second: Result, split: str, resampling: Resampling) -> list[Pair]:
    tables = [result.predictions(split) for result in (first, second)]
    assert tables[0] is not None and tables[1] is not None
    others = {task: rows for task, _, rows in labelled_tasks(tables[1])}
    pairs = []
    for task, classes, rows in labelled_tasks(tables[0]):
        if task not in others:
            continue
        own, other = same_members(rows, others[task])
        for metric in _metrics(first, rows, classes):
            found = paired_difference(other, own, metric, resampling=resampling)
            pairs.append(Pair(task, first.label, second.label, found))
    return pairs


def _alone(first: Result, second: Result, split: str) -> list[str]:
    """Sentences on tasks that only one of the two predicts."""
    tasks = {result.label: _tasks(result, split) for result in (first, second)}
    return [
        f"{owner} does not predict {task}, which {other} is thus not compared on."
        for owner, other in ((second.label, first.label), (first.label, second.label))
        for task in tasks[other]
        if task not in tasks[owner]
    ]


def _tasks(result: Result, split: str) -> list[str]:
    table = result.predictions(split)
    assert table is not None
    return [task for task, _, _ in labelled_tasks(table)]


def _metrics(result: Result, rows: pd.DataFrame, classes: list[str] | None) -> list[str]:
    if classes is None:
        return list(metric_names(rows, None))[:2]
    return list(dict.fromkeys([result.main_metric, _SECOND]))


def comparison(compared: Compared, labels: Sequence[str]) -> Section | None:
    """Differences of all results given, as a matrix for each metric and as a list with p-values."""
    pairs = compared.pairs
    blocks: list[Block] = [Paragraph(problem, Tone.CAUTION) for problem in compared.problems]
    keys = dict.fromkeys((pair.task, pair.found.metric) for pair in pairs)
    if len(labels) > 2:
        several = len({task for task, _ in keys}) > 1
        for task, metric in keys:
            name = f"{metric_title(metric)} of {task}" if several else metric_title(metric)
            blocks.append(_matrix([p for p in pairs if (p.task, p.found.metric) == (task, metric)], labels, name))
    if pairs:
        blocks.append(_list(compared, several_tasks=len({task for task, _ in keys}) > 1))
    return Section(f"Comparison on {SPLITS[compared.split]}", blocks) if blocks else None


def _matrix(pairs: Sequence[Pair], labels: Sequence[str], name: str) -> Table:
    cells = {(pair.first, pair.second): pair.found for pair in pairs}
    rows = []
    for row in labels:
        cells_of_row = [_cell(cells.get((row, column)), cells.get((column, row))) for column in labels]
        rows.append([row, *cells_of_row])
    columns = [f"{name}: row − column", *labels]
    level = pairs[0].found.difference.confidence_level
    note = f"[{100 * level:g} % interval]; * can be told apart after Holm's adjustment."
    return Table(columns, rows, frozenset(range(1, len(columns))), note=note)


def _cell(found: PairedDifference | None, mirrored: PairedDifference | None) -> str:
    one = found or mirrored
    if one is None:
        return NOTHING
    difference = one.difference if found is not None else one.difference.negated
    return difference_text(difference) + ("*" if one.told_apart else "")


def _list(compared: Compared, *, several_tasks: bool) -> Table:
    rows, pairs, resampling = [], compared.pairs, compared.resampling
    for pair in pairs:
        found = pair.found
        task = [pair.task] if several_tasks else []
        names = [f"{pair.first} − {pair.second}", metric_title(found.metric)]
        verdict = found.finding(pair.second, pair.first)
        rows.append([*task, *names, difference_text(found.difference), *found.p_texts, verdict])
    head = ["A − B", "metric", f"difference [{resampling.percent} interval]", "p", "p (Holm)", "verdict"]
    columns = [*(["task"] if several_tasks else []), *head]
    first = len(columns) - 4
    bases = dict.fromkeys(pair.found.grounds for pair in pairs)
    models = {pair.found.n_models > 1 for pair in pairs}
    tests = ["a permutation test that swaps whole groups"] * (False in models)
    tests += ["a t test of groups and models, where there are sets"] * (True in models)
    alone = no_interval_note(pair.found.difference for pair in pairs)
    note = (
        f"Paired on the same {listed(list(bases))}; intervals and {listed(tests)} resample {resampling.times}; "
        f"p (Holm) is adjusted for "
        f"{plural(len(pairs), 'comparison')}, and the verdict goes by it. {alone}"
    ).rstrip()
    return Table(columns, rows, frozenset({first, first + 1, first + 2}), note=note)
