"""From paths to the content of a report."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from hallmark.report import measures, standing, stored
from hallmark.report.charts import chart_name
from hallmark.report.comparison import Compared, Pair, compare, comparison, overview
from hallmark.report.content import Highlight, Report, Section, Tone
from hallmark.report.sources import Result, open_results, value_name
from hallmark.report.sweeps import MANIFEST, Sweep, sweep_section, sweep_sentence
from hallmark.report.wording import SPLITS, listed, plural
from hallmark.runs.metrics import MAIN
from hallmark.statistics.text import NOTHING, interval_text, number_text

_FEW = 3
_FLATTERED = "The rows that these values are of also selected the weights, which flatters all of them."


def gather(paths: Sequence[Path]) -> Report:
    """The report of runs, sets of repeats and sweeps; of a sweep the best trial is reported as a run.

    Only what the results stored is read, of the test split only what a receipt of its seal covers.

    Raises:
        ValueError: a path is none of them, or is not finished.
    """
    sweeps = [Sweep.read(path) for path in paths if (path / MANIFEST).exists()]
    best = [sweep.best_run for sweep in sweeps]
    others = [path for path in paths if not (path / MANIFEST).exists()]
    results = open_results([*others, *(path for path in best if path is not None)])
    opened = results and all("test" in result.main for result in results)
    splits = ["val", *(["test"] if opened else [])] if len(results) > 1 else []
    compared = [compare(results, split) for split in splits]
    sections = [sweep_section(sweep) for sweep in sweeps]
    sections += result_sections(results[0]) if len(results) == 1 and not sweeps else _together(results, compared)
    labels = [sweep.name for sweep in sweeps] or [result.label for result in results]
    title = listed(labels) if len(labels) <= _FEW else f"Comparison of {len(labels)} results"
    summary = [*map(sweep_sentence, sweeps), *_summary(results, compared)]
    return Report(title, summary, _highlights(results), _numbered(sections))


def result_sections(result: Result, prefix: str = "") -> list[Section]:
    """All sections of one result; `prefix` keeps its charts apart from those of others."""
    found = [
        measures.metrics(result, "val"),
        measures.metrics(result, "test"),
        measures.repeats(result),
        standing.what_was_run(result),
        standing.data_and_splits(result),
        standing.checks(result),
        standing.seal(result),
        measures.curves(result, prefix),
        stored.loss_weights(result, prefix),
        measures.calibration(result, "val", prefix),
        measures.slices(result, "val", prefix),
        stored.robustness(result, prefix),
        measures.bad_cases(result),
        standing.cost(result),
        standing.environment(result),
        standing.reproduce(result),
    ]
    return [section for section in found if section is not None]


def _together(results: Sequence[Result], compared: Sequence[Compared]) -> list[Section]:
    labels = [result.label for result in results]
    shared = [overview(results)] if len(results) > 1 else []
    shared += [section for one in compared if (section := comparison(one, labels)) is not None]
    own = [
        Section(result.label, parts=result_sections(result, chart_name(f"r{number}")))
        for number, result in enumerate(results, 1)
    ]
    return [*shared, *own]


def _numbered(sections: Sequence[Section], prefix: str = "s") -> list[Section]:
    """The sections with ids, which links in the page go to."""
    return [
        Section(section.title, section.blocks, _numbered(section.parts, f"{prefix}{number}-"), f"{prefix}{number}")
        for number, section in enumerate(sections, 1)
    ]


def _summary(results: Sequence[Result], compared: Sequence[Compared]) -> list[str]:
    """Sentences about the results; differences are those on the test split where all of them have looked at it."""
    if not results:
        return []
    if not compared:
        return [_result_sentence(results[0]), *_grounds(results[0])]
    best, last = _best(results), compared[-1]
    pairs = [pair for pair in last.pairs if pair.found.metric in (best.main_metric, "score", "miou")]
    told = [_pair_sentence(pair, SPLITS[last.split]) for pair in pairs if best.label in (pair.first, pair.second)]
    shown = results if len(results) <= _FEW else [best]
    flattered = [_FLATTERED] if any(result.fitted for result in results) else []
    return [*told[:_FEW], *_not_compared(last), *map(_result_sentence, shown), *flattered]


def _not_compared(compared: Compared) -> list[str]:
    n = len(compared.problems)
    return compared.problems if n <= 1 else [f"{n} comparisons could not be made; section Comparison says why."]


def _best(results: Sequence[Result]) -> Result:
    return max(results, key=lambda result: result.main["val"].interval.estimate if "val" in result.main else -math.inf)


def _pair_sentence(pair: Pair, split: str) -> str:
    name = value_name(pair.found.metric, pair.task)
    return f"{pair.found.sentence(pair.second, pair.first, name, of=f' on {split}')}."


def _result_sentence(result: Result) -> str:
    main = result.main_values.get("val")
    if main is None:
        return f"{result.label} has no labelled validation predictions."
    over = f" over {result.unit}" if result.repeats is not None else ""
    groups = plural(main[0].rows["group"].nunique(), "group")
    values = listed([f"a validation {one.name} of {interval_text(one.interval)}" for one in main])
    return f"{result.label} reaches {values}{over} ({result.resampling.percent} interval, {groups})."


def _grounds(result: Result) -> list[str]:
    sentences = standing.warnings_of(result)
    for main in result.main_values.get("val", []):
        if main.classes is not None:
            top, baseline = measures.commonest(main.rows, main.classes)
            sentences.append(f"Always answering {top} would give {number_text(baseline[main.metric])}.")
    if "test" in result.main_values:
        values = [_of_task(interval_text(one.interval), one.task) for one in result.main_values["test"]]
        sentences.append(f"On the test split it is {listed(values)}.")
    seal = standing.seal_words(result)[0]
    return [*sentences, f"Leak checks: {standing.leak_verdict(result)[0]}. Test split: {seal}."]


def _of_task(text: str, task: str) -> str:
    return text if task == MAIN else f"{text} for {task}"


def _highlights(results: Sequence[Result]) -> list[Highlight]:
    leaks = [(result.label, *standing.leak_verdict(result)) for result in results]
    seals = [(result.label, *standing.seal_words(result)) for result in results]
    shown = [one for result in (results if len(results) <= _FEW else [_best(results)]) for one in _values(result)]
    return [*shown, *_shared("Leak checks", leaks), *_shared("Test split", seals)]


def _values(result: Result) -> Iterator[Highlight]:
    if "val" not in result.main_values:
        yield Highlight(result.label, NOTHING, "no labelled validation predictions", Tone.CAUTION)
    for main in result.main_values.get("val", []):
        value, _, interval = interval_text(main.interval).partition(" ")
        note = ", ".join(filter(None, [interval, result.unit]))
        yield Highlight(f"{result.label}: validation {main.name}", value, note)


def _shared(name: str, found: Sequence[tuple[str, str, Tone]]) -> list[Highlight]:
    """One statement where all results have the same, the worst of them named where they differ."""
    if not found:
        return []
    worst = max(found, key=lambda one: (Tone.GOOD, Tone.PLAIN, Tone.CAUTION, Tone.BAD).index(one[2]))
    same = len({words for _, words, _ in found}) == 1
    note = "" if len(found) == 1 else "for all results" if same else f"{worst[0]}; others differ"
    return [Highlight(name, worst[1], note, worst[2])]
