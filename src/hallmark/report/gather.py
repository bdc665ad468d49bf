"""From paths to the content of a report."""

import math
from collections.abc import Sequence
from pathlib import Path

from hallmark.report import measures, provenance, stored
from hallmark.report.charts import chart_name
from hallmark.report.comparison import Compared, compare, comparison, overview
from hallmark.report.content import Highlight, Report, Section, Tone
from hallmark.report.sources import ReportedResult, open_results, value_name
from hallmark.report.sweeps import MANIFEST, Sweep, sweep_section, sweep_sentence
from hallmark.runs.metrics import MAIN
from hallmark.statistics.metrics import lower_is_better
from hallmark.statistics.text import interval_text, number_text
from hallmark.wording import NOTHING, SPLITS, listed, plural

_FEW = 3
_FLATTERED = "The rows that these values are of also selected the weights, so all of them are optimistic."


def gather(paths: Sequence[Path]) -> Report:
    """The report of runs, sets of repeats and sweeps; of a sweep the best trial is reported as a run.

    Only what the results stored is read, of the test split only what an access record of its seal covers.

    Raises:
        ValueError: a path is none of them, or is not finished.
    """
    sweeps = [Sweep.read(path) for path in paths if (path / MANIFEST).exists()]
    best = [sweep.best_run for sweep in sweeps]
    result_paths = [path for path in paths if not (path / MANIFEST).exists()]
    results = open_results([*result_paths, *(path for path in best if path is not None)])
    # The test split is compared only where it was opened for every result, as the comparison is of pairs.
    opened = results and all("test" in result.main for result in results)
    splits = ["val", *(["test"] if opened else [])] if len(results) > 1 else []
    compared = [compare(results, split) for split in splits]
    sections = [sweep_section(sweep) for sweep in sweeps]
    if len(results) == 1 and not sweeps:
        sections += result_sections(results[0])
    else:
        sections += [overview(results)] if len(results) > 1 else []
        names = [result.label for result in results]
        sections += [section for pairs in compared if (section := comparison(pairs, names)) is not None]
        for number, result in enumerate(results, 1):
            sections.append(Section(result.label, parts=result_sections(result, chart_name(f"r{number}"))))
    labels = [sweep.name for sweep in sweeps] or [result.label for result in results]
    title = listed(labels) if len(labels) <= _FEW else f"Comparison of {len(labels)} results"
    summary = [*map(sweep_sentence, sweeps), *_summary(results, compared)]
    return Report(title, summary, _highlights(results), _numbered(sections))


def result_sections(result: ReportedResult, prefix: str = "") -> list[Section]:
    """All sections of one result; `prefix` keeps its charts apart from those of others."""
    sections = [
        measures.metrics(result, "val"),
        measures.metrics(result, "test"),
        measures.repeats(result),
        provenance.what_was_run(result),
        provenance.data_and_splits(result),
        provenance.checks(result),
        provenance.seal(result),
        measures.curves(result, prefix),
        stored.loss_weights(result, prefix),
        stored.epoch_pictures(result),
        measures.calibration(result, "val", prefix),
        measures.slices(result, "val", prefix),
        stored.robustness(result, prefix),
        measures.bad_cases(result),
        provenance.cost(result),
        provenance.environment(result),
        provenance.reproduce(result),
    ]
    return [section for section in sections if section is not None]


def _numbered(sections: Sequence[Section], prefix: str = "s") -> list[Section]:
    """The sections with ids, which links in the page go to."""
    return [
        Section(section.title, section.blocks, _numbered(section.parts, f"{prefix}{number}-"), f"{prefix}{number}")
        for number, section in enumerate(sections, 1)
    ]


def _summary(results: Sequence[ReportedResult], compared: Sequence[Compared]) -> list[str]:
    """Sentences about the results; differences are those on the test split where it was opened for all of them."""
    if not results:
        return []
    if not compared:
        return [_result_sentence(results[0]), *_single_result_sentences(results[0])]
    best, last = _best(results), compared[-1]
    differences = []
    for pair in last.pairs:
        of_main = pair.difference.metric in {value.metric for value in best.main_values.get("val", [])}
        if of_main and best.label in (pair.first, pair.second):
            name = value_name(pair.difference.metric, pair.task)
            sentence = pair.difference.sentence(pair.second, pair.first, name, of=f" on {SPLITS[last.split]}")
            differences.append(f"{sentence}.")
    problems = last.problems
    if len(problems) > 1:
        problems = [f"{len(problems)} comparisons could not be made; section Comparison says why."]
    described = results if len(results) <= _FEW else [best]
    flattered = [_FLATTERED] if any(result.fitted for result in results) else []
    return [*differences[:_FEW], *problems, *map(_result_sentence, described), *flattered]


def _best(results: Sequence[ReportedResult]) -> ReportedResult:
    def goodness(result: ReportedResult) -> float:
        if "val" not in result.main:
            return -math.inf
        main = result.main["val"]
        return -main.interval.estimate if lower_is_better(main.metric) else main.interval.estimate

    return max(results, key=goodness)


def _result_sentence(result: ReportedResult) -> str:
    main = result.main_values.get("val")
    if main is None:
        return f"{result.label} has no labelled validation predictions."
    over = f" over {result.unit}" if result.repeats is not None else ""
    groups = plural(main[0].rows["group"].nunique(), "group")
    values = listed([f"a validation {value.name} of {interval_text(value.interval)}" for value in main])
    return f"{result.label} reaches {values}{over} ({result.resampling.percent} interval, {groups})."


def _single_result_sentences(result: ReportedResult) -> list[str]:
    """Warnings, the baseline, the test score, and how leak checks and seal stand."""
    sentences = provenance.warnings_of(result)
    for main in result.main_values.get("val", []):
        if main.classes is not None:
            top, baseline = measures.majority_class(main.rows, main.classes)
            sentences.append(f"Always answering {top} would give {number_text(baseline[main.metric])}.")
    if "test" in result.main_values:
        values = [
            interval_text(value.interval) + ("" if value.task == MAIN else f" for {value.task}")
            for value in result.main_values["test"]
        ]
        sentences.append(f"On the test split it is {listed(values)}.")
    leaks, seal = provenance.leak_verdict(result)[0], provenance.seal_words(result)[0]
    return [*sentences, f"Leak checks: {leaks}. Test split: {seal}."]


def _highlights(results: Sequence[ReportedResult]) -> list[Highlight]:
    """The main values of a few results or of the best one, then what their leak checks and seals say."""
    highlights = []
    for result in results if len(results) <= _FEW else [_best(results)]:
        if "val" not in result.main_values:
            note = "no labelled validation predictions"
            highlights.append(Highlight(result.label, NOTHING, note, Tone.CAUTION))
        for main in result.main_values.get("val", []):
            value, _, interval = interval_text(main.interval).partition(" ")
            note = ", ".join(filter(None, [interval, result.unit]))
            highlights.append(Highlight(f"{result.label}: validation {main.name}", value, note))
    leaks = [(result.label, *provenance.leak_verdict(result)) for result in results]
    seals = [(result.label, *provenance.seal_words(result)) for result in results]
    return [*highlights, *_shared("Leak checks", leaks), *_shared("Test split", seals)]


def _shared(name: str, verdicts: Sequence[tuple[str, str, Tone]]) -> list[Highlight]:
    """One statement where all results have the same, the worst of them named where they differ."""
    if not verdicts:
        return []
    severity = (Tone.GOOD, Tone.PLAIN, Tone.CAUTION, Tone.BAD)
    label, words, tone = max(verdicts, key=lambda verdict: severity.index(verdict[2]))
    differ = len({text for _, text, _ in verdicts}) > 1
    note = f"{label}; others differ" if differ else "for all results" if len(verdicts) > 1 else ""
    return [Highlight(name, words, note, tone)]
