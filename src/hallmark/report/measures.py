"""What the stored predictions of one result say: metrics, calibration, slices, bad cases, learning curves."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix

from hallmark.analysis.bad_cases import WRONG, BadCases, by_turns
from hallmark.analysis.calibration import Calibration
from hallmark.analysis.compare import member_spreads
from hallmark.analysis.figures import readable
from hallmark.analysis.slices import ONLY_CLASS, PREFIX, Slices, slice_figure, with_values
from hallmark.analysis.tables import always_the_commonest, classified_tasks, interval_note, labelled_tasks, metric_title
from hallmark.report.charts import chart_name, curve_charts
from hallmark.report.content import Block, Case, Cases, Chart, Charts, Paragraph, Section, Table, Tone
from hallmark.report.pictures import thumbnail
from hallmark.report.sources import OUT_OF_FOLD, Result
from hallmark.report.wording import SPLITS, plural
from hallmark.runs.repeats import RepeatSet
from hallmark.statistics import (
    Interval,
    all_intervals,
    metric_names,
    over_text,
    prediction_array,
    size_text,
    table_metrics,
    target_array,
)
from hallmark.statistics.text import NOTHING, interval_text, no_interval_note, number_text

_BINS, _FOLDS = 10, 5
_UNSURE = 0.5
_WORST = 12


def metrics(result: Result, split: str) -> Section | None:
    """Every metric with its interval and the confusion matrix; None where the split may or can not be shown."""
    predictions = result.predictions(split)
    if predictions is None:
        return None
    blocks: list[Block] = []
    for task, classes, rows in labelled_tasks(predictions):
        blocks += _task_heading(task, predictions)
        blocks.append(_metric_table(result, split, task, classes, rows))
        if classes is not None:
            blocks.append(_confusion(rows, classes, "rows" if result.repeats is None else "predictions"))
    return Section(f"Metrics on {SPLITS[split]}", blocks) if blocks else None


def commonest(rows: pd.DataFrame, classes: list[str]) -> tuple[str, dict[str, float | None]]:
    """The most frequent class of the rows of one task, and the metrics of always answering it."""
    constant = always_the_commonest(rows, classes)
    return str(constant["prediction"].iloc[0]), next(iter(table_metrics(constant).values()))


def _metric_table(result: Result, split: str, task: str, classes: list[str] | None, rows: pd.DataFrame) -> Table:
    names = list(metric_names(rows, classes))
    intervals = all_intervals(rows, names, resampling=result.resampling)
    columns = {"metric": [metric_title(name) for name in names]}
    columns[f"value [{result.resampling.percent} interval]"] = [interval_text(intervals[name]) for name in names]
    if result.repeats is not None:
        spreads = member_spreads(rows, task, names)
        columns[f"mean ± standard deviation over {result.repeats.over}"] = [
            str(spreads[name]).rpartition(" (")[0] or NOTHING for name in names
        ]
    if classes is not None:
        top, baseline = commonest(rows, classes)
        columns[f"always {top}"] = [number_text(baseline[name]) for name in names]
    table = list(zip(*columns.values(), strict=True))
    return Table(
        list(columns),
        table,
        frozenset(range(1, len(columns))),
        note=" ".join(filter(None, [_how(result, split, rows), no_interval_note(intervals.values())])),
    )


def _how(result: Result, split: str, rows: pd.DataFrame) -> str:
    units = f"{plural(rows['group'].nunique(), 'group')} of rows that belong together"
    if result.repeats is not None:
        units += f" and the {over_text(rows)}" if rows["member"].nunique() > 1 else ""
    flattered = split == "val" and result.fitted
    selected = " These rows also selected the weights, which makes their scores a little too good." * flattered
    return f"From {size_text(rows)}; intervals resample the {units} {result.resampling.times}.{selected}"


def _confusion(rows: pd.DataFrame, classes: list[str], unit: str) -> Table:
    counts = confusion_matrix(target_array(rows, classes), prediction_array(rows, classes), labels=range(len(classes)))
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    table = [
        [name, *(f"{count} ({share:.0%})" for count, share in zip(row, part, strict=True)), str(row.sum())]
        for name, row, part in zip(classes, counts, shares, strict=True)
    ]
    shades = [[None, *(float(share) for share in part), None] for part in shares]
    columns = ["target", *(f"predicted {name}" for name in classes), unit]
    return Table(columns, table, frozenset(range(1, len(columns))), shades=shades, note="Shares are of the target.")


def repeats(result: Result) -> Section | None:
    """The runs of a set with mean and standard deviation; None for a run."""
    if result.repeats is None:
        return None
    columns, rows = run_table(result.repeats)
    places = frozenset(place for place, name in enumerate(columns) if name not in ("run", "note", "checkpoint"))
    note = f"mean and std, the sample's standard deviation, are over {result.repeats.over}."
    blocks: list[Block] = [Table(columns, rows, places, footer=2, note=note)]
    if result.repeats.identical:
        blocks.insert(0, Paragraph(result.repeats.identical_text, Tone.CAUTION))
    return Section("Repeats", blocks)


def run_table(repeats: RepeatSet) -> tuple[list[str], list[list[str]]]:
    """Head and rows of `RepeatSet.table` as text, checkpoints relative to the folder of the runs."""
    frame = repeats.table()
    frame = frame.assign(checkpoint=[_inside(value) for value in frame["checkpoint"]])
    rows = [[_cell(name, row[name]) for name in frame.columns] for row in frame.astype(object).to_dict("records")]
    return [str(name) for name in frame], rows


def _inside(path: object) -> str:
    return "/".join(str(path).split("/")[-3:]) if isinstance(path, str) else ""


def _cell(name: str, value: object) -> str:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return "" if name in ("note", "checkpoint") else NOTHING
    if name == "seconds":
        return f"{value:.1f}"
    return number_text(value) if isinstance(value, float) else str(value)


def curves(result: Result, prefix: str) -> Section | None:
    """Learning curves; None for a result that was not trained by epochs."""
    charts = curve_charts(
        chart_name(prefix, "curves"), result.histories, [record.selected for record in result.records]
    )
    return Section("Learning curves", [Charts(charts)]) if charts else None


def calibration(result: Result, split: str, prefix: str) -> Section | None:
    predictions = result.predictions(split)
    if predictions is None:
        return None
    blocks: list[Block] = []
    for task, classes, rows in classified_tasks(predictions):
        analysis = Calibration(_BINS, _FOLDS, statistics=result.resampling)
        summary, figure = analysis.diagram(rows, classes)
        alt = f"accuracy by confidence, in {_BINS} bins; the expected calibration error is in the table"
        blocks += _task_heading(task, predictions)
        blocks.append(Charts([Chart(chart_name(prefix, "calibration", task), figure, alt)]))
        versions = {"as predicted": summary} | ({"temperature scaled": summary["scaled"]} if summary["scaled"] else {})
        table = [
            [
                name,
                number_text(version.get("temperature", 1.0)),
                *(interval_text(Interval(**version[m])) for m in ("ece", "brier")),
            ]
            for name, version in versions.items()
        ]
        note = "The temperature is fitted on other groups than those it is judged on." if summary["scaled"] else ""
        columns = [
            "probabilities",
            "temperature",
            f"ECE [{result.resampling.percent} interval]",
            f"Brier [{result.resampling.percent} interval]",
        ]
        alone = no_interval_note(Interval(**version[m]) for version in versions.values() for m in ("ece", "brier"))
        blocks.append(Table(columns, table, frozenset({1, 2, 3}), note=f"{note} {alone}".strip()))
    return Section(f"Calibration on {SPLITS[split]}", blocks) if blocks else None


def slices(result: Result, split: str, prefix: str) -> Section | None:
    predictions = result.predictions(split)
    if predictions is None or not any(str(name).startswith(PREFIX) for name in predictions):
        return None
    table = Slices(None, statistics=result.resampling).table(predictions)
    level = result.resampling.confidence_level
    blocks: list[Block] = []
    for task, rows in table.groupby("task", sort=False):
        rows = with_values(rows)
        names = [name for name in map(str, rows) if f"{name}_low" in rows]
        cells = [
            [
                readable(str(row["slice"])),
                _category(row),
                f"{row['n']:,}",
                *_scores(row, names, level),
            ]
            for row in rows.to_dict("records")
        ]
        alt = f"{' and '.join(map(readable, names))} of every category with intervals; the numbers are in the table"
        blocks += _task_heading(str(task), predictions)
        blocks.append(Charts([Chart(chart_name(prefix, "slices", str(task)), slice_figure(rows), alt)]))
        columns = [
            "slice",
            "category",
            "n",
            *(f"{readable(name)} [{result.resampling.percent} interval]" for name in names),
        ]
        blocks.append(Table(columns, cells, frozenset(range(2, len(columns))), note=_slice_note(result, rows)))
    return Section(f"Slices of {SPLITS[split]}", blocks) if blocks else None


def _scores(row: Mapping[Any, Any], names: Sequence[str], level: float) -> list[str]:
    if row["n"] == 0:
        return ["no rows (n = 0)"] * len(names)
    intervals = (Interval(row[name], row[f"{name}_low"], row[f"{name}_high"], level) for name in names)
    return [interval_text(interval) for interval in intervals]


def _category(row: Mapping[Any, Any]) -> str:
    name = row.get(ONLY_CLASS)
    return f"{row['category']} (all {name}: no macro F1)" if isinstance(name, str) else str(row["category"])


def _slice_note(result: Result, rows: pd.DataFrame) -> str:
    note = " ".join(interval_note(rows))
    return f"n counts a row once, however many runs predict it. {note}".rstrip() if result.repeats else note


def bad_cases(result: Result) -> Section | None:
    """The most confidently wrong rows and the least sure right ones, of held-out training rows or of validation."""
    source = OUT_OF_FOLD if result.tables(OUT_OF_FOLD) else "val"
    predictions = result.predictions(source)
    if predictions is None or not classified_tasks(predictions):
        return None
    found = BadCases(source, _UNSURE, limit=None, label_errors=False).cases(predictions)
    if result.repeats is not None:
        found = _once_each(found)
    if found.empty:
        return Section("Bad cases", [Paragraph("There is none: every row is right with some confidence.", Tone.GOOD)])
    runs = len(result.members) if result.repeats is None else len(result.repeats.different)
    cases = [_case(row, runs) for row in by_turns(found, _WORST).to_dict("records")]
    kind = "training rows, by models that did not see them" if source == OUT_OF_FOLD else "validation rows"
    wrong = int((found["reason"] == WRONG).sum())
    note = f"{plural(wrong, 'row')} wrong, {len(found) - wrong} right with a confidence below {_UNSURE:g}; "
    note += f"here are the worst {len(cases)} of the {kind}, groups by turns. "
    note += "Training on them would spoil later scores on that split."
    return Section("Bad cases", [Cases(cases, note)])


def _once_each(cases: pd.DataFrame) -> pd.DataFrame:
    """Cases of a set of repeats by sample: the worst of its predictions, and in how many runs it was wrong."""
    cases = cases.assign(guid=cases["guid"].str.rpartition("@")[0], times=cases["reason"].eq(WRONG))
    keys = [name for name in ("guid", "task") if name in cases]
    return cases.assign(times=cases.groupby(keys)["times"].transform("sum")).drop_duplicates(keys)


def _case(row: Mapping[Any, Any], runs: int) -> Case:
    note = "wrong" if row["reason"] == WRONG else "right, but unsure"
    if "times" in row:
        note = f"wrong in {row['times']} of {runs} runs" if row["times"] else f"right in all {runs} runs, but unsure"
    if "task" in row:
        note = f"{row['task']}, {note}"
    if "recording" in row and "group" in row:
        note += f", subject {row['group']}"
    text = row.get("text")
    return Case(
        str(row["guid"]), str(row["target"]), str(row["prediction"]), float(row["confidence"]), note,
        text if isinstance(text, str) and text.strip() else None, thumbnail(row.get("path")),
    )  # fmt: skip


def _task_heading(task: str, predictions: pd.DataFrame) -> Iterator[Block]:
    if predictions["task"].nunique() > 1:
        yield Paragraph(f"Task {task}")
