"""Results side by side, and each against each on the same rows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from hallmark.analysis.presentation import labelled_tasks, metric_title
from hallmark.report.content import Block, Paragraph, Section, Table, Tone
from hallmark.report.provenance import leak_verdict, seal_words
from hallmark.report.sources import ReportedResult
from hallmark.statistics import (
    PairedDifference,
    Resampling,
    adjust,
    metric_names,
    paired_difference,
    row_count,
    same_members,
)
from hallmark.statistics.metrics.sets import SET_METRICS
from hallmark.statistics.text import difference_text, interval_text, no_interval_note
from hallmark.wording import NOTHING, SPLITS, duration, listed, plural

_SECOND = "accuracy"


@dataclass(frozen=True)
class Pair:
    """Two results on the same rows; `difference` is `first` minus `second`."""

    task: str
    first: str
    second: str
    difference: PairedDifference


def overview(results: Sequence[ReportedResult]) -> Section:
    """One row a result: its main metric, on what, and what it stands on."""
    rows = []
    for result in results:
        main = result.main_values.get("val", [])
        value = ", ".join(f"{value.name} {interval_text(value.interval)}" for value in main) or NOTHING
        n = ", ".join(f"{row_count(value.rows):,}" for value in main) or NOTHING
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


def compare(results: Sequence[ReportedResult], split: str) -> Compared:
    """Every pair of results on every task."""
    tables = {result.label: result.predictions(split) for result in results}
    resampling = results[0].resampling
    pairs: list[Pair] = []
    problems = [f"{label} has no predictions of {SPLITS[split]}." for label, table in tables.items() if table is None]
    for first, second in combinations([result for result in results if tables[result.label] is not None], 2):
        try:
            differences, alone = _compare_pair(first, second, split, resampling)
        except ValueError as error:
            problems.append(f"{first.label} and {second.label} cannot be compared: {error}.")
        else:
            pairs += differences
            problems += alone
    adjusted = adjust([pair.difference for pair in pairs])
    pairs = [replace(pair, difference=difference) for pair, difference in zip(pairs, adjusted, strict=True)]
    return Compared(split, resampling, pairs, problems)


def _compare_pair(
    first: ReportedResult, second: ReportedResult, split: str, resampling: Resampling
) -> tuple[list[Pair], list[str]]:
    """Differences on the tasks that both predict, and sentences on those that only one of them does."""
    tasks = {}
    for result in (first, second):
        predictions = result.predictions(split)
        assert predictions is not None
        tasks[result.label] = {task: (classes, rows) for task, classes, rows in labelled_tasks(predictions)}
    pairs = []
    for task, (classes, rows) in tasks[first.label].items():
        if task not in tasks[second.label]:
            continue
        rows_of_first, rows_of_second = same_members(rows, tasks[second.label][task][1])
        metrics = [_SECOND] if classes is not None else metric_names(rows, None)[:2]
        for metric in list(dict.fromkeys([first.main_metric(rows, classes), *metrics]))[:2]:
            difference = paired_difference(rows_of_second, rows_of_first, metric, resampling=resampling)
            pairs.append(Pair(task, first.label, second.label, difference))
    alone = [
        f"{owner} does not predict {task}, which {other} is thus not compared on."
        for owner, other in ((second.label, first.label), (first.label, second.label))
        for task in tasks[other]
        if task not in tasks[owner]
    ]
    return pairs, alone


def comparison(compared: Compared, labels: Sequence[str]) -> Section | None:
    """Differences of all results given, as a matrix for each metric and as a list with p-values."""
    blocks: list[Block] = [Paragraph(problem, Tone.CAUTION) for problem in compared.problems]
    pairs_of: dict[tuple[str, str], list[Pair]] = {}
    for pair in compared.pairs:
        pairs_of.setdefault((pair.task, pair.difference.metric), []).append(pair)
    several_tasks = len({task for task, _ in pairs_of}) > 1
    if len(labels) > 2:
        for (task, metric), pairs in pairs_of.items():
            name = f"{metric_title(metric)} of {task}" if several_tasks else metric_title(metric)
            blocks.append(_matrix(pairs, labels, name))
    if compared.pairs:
        blocks.append(_list(compared, several_tasks=several_tasks))
    return Section(f"Comparison on {SPLITS[compared.split]}", blocks) if blocks else None


def _matrix(pairs: Sequence[Pair], labels: Sequence[str], name: str) -> Table:
    """Row less column, and the same with its sign turned on the other side of the diagonal."""
    cells = {}
    for pair in pairs:
        star, difference = "*" * pair.difference.is_significant, pair.difference.difference
        cells[pair.first, pair.second] = difference_text(difference) + star
        cells[pair.second, pair.first] = difference_text(difference.negated) + star
    rows = [[row, *(cells.get((row, column), NOTHING) for column in labels)] for row in labels]
    columns = [f"{name}: row − column", *labels]
    level = pairs[0].difference.difference.confidence_level
    note = f"[{100 * level:g} % interval]; * significant after Holm's adjustment."
    return Table(columns, rows, frozenset(range(1, len(columns))), note=note)


def _list(compared: Compared, *, several_tasks: bool) -> Table:
    rows, pairs, resampling = [], compared.pairs, compared.resampling
    for pair in pairs:
        names = [f"{pair.first} − {pair.second}", metric_title(pair.difference.metric)]
        numbers = [difference_text(pair.difference.difference), *pair.difference.p_texts]
        verdict = pair.difference.finding(pair.second, pair.first)
        rows.append([*([pair.task] if several_tasks else []), *names, *numbers, verdict])
    head = ["A − B", "metric", f"difference [{resampling.percent} interval]", "p", "p (Holm)", "verdict"]
    columns = [*(["task"] if several_tasks else []), *head]
    first = len(columns) - 4
    bases = dict.fromkeys(pair.difference.grounds for pair in pairs)
    several_models = {pair.difference.n_models > 1 for pair in pairs}
    resampled = {pair.difference.metric not in SET_METRICS for pair in pairs}
    tests = ["a permutation test that swaps whole groups"] * (False in several_models)
    tests += ["a t test of groups and models, where there are sets"] * (True in several_models)
    how = [f"intervals and {listed(tests)} resample {resampling.times}"] * (True in resampled)
    how += ["intervals and t tests of distances leave groups out"] * (False in resampled)
    alone = no_interval_note(pair.difference.difference for pair in pairs)
    note = (
        f"Paired on the same {listed(list(bases))}; {'; '.join(how)}; "
        f"p (Holm) is adjusted for {plural(len(pairs), 'comparison')}, and the verdict goes by it. {alone}"
    ).rstrip()
    return Table(columns, rows, frozenset({first, first + 1, first + 2}), note=note)
