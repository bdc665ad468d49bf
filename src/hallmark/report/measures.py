"""What the stored predictions of one result say: metrics, calibration, slices, bad cases, learning curves."""

from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from sklearn.metrics import confusion_matrix

from hallmark.analysis.bad_cases import WRONG, BadCases, readable_picture, round_robin
from hallmark.analysis.classification.calibration import ReliabilityDiagram
from hallmark.analysis.compare import member_spreads
from hallmark.analysis.presentation import (
    classified_tasks,
    interval_note,
    labelled_tasks,
    majority_class_baseline,
    metric_title,
)
from hallmark.analysis.slices import ONLY_CLASS, PREFIX, Slices, slice_figure, with_values
from hallmark.report.charts import chart_name, curve_charts
from hallmark.report.content import Block, Chart, Charts, Paragraph, SampleCard, SampleCards, Section, Table, Tone
from hallmark.report.sources import ReportedResult
from hallmark.runs.metrics import OUT_OF_FOLD
from hallmark.runs.repeats import RepeatSet
from hallmark.statistics import (
    Interval,
    all_intervals,
    is_two_sets,
    metric_names,
    over_text,
    prediction_array,
    size_text,
    table_metrics,
    target_array,
    two_sets_note,
)
from hallmark.statistics.text import interval_text, no_interval_note, number_text
from hallmark.wording import NOTHING, SPLITS, plural, readable

_BINS, _FOLDS = 10, 5
_UNSURE = 0.5
_WORST = 12
_SIDE, _QUALITY = 240, 82  # pixels and JPEG quality of a picture


def metrics(result: ReportedResult, split: str) -> Section | None:
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


def majority_class(rows: pd.DataFrame, classes: list[str]) -> tuple[str, dict[str, float | None]]:
    """The most frequent class of the rows of one task, and the metrics of always answering it."""
    constant = majority_class_baseline(rows, classes)
    return str(constant["prediction"].iloc[0]), next(iter(table_metrics(constant).values()))


def _metric_table(
    result: ReportedResult, split: str, task: str, classes: list[str] | None, rows: pd.DataFrame
) -> Table:
    """Each metric with its interval, its spread over runs, and what always answering one class would reach."""
    names = list(metric_names(rows, classes))
    intervals = all_intervals(rows, names, resampling=result.resampling)
    columns = {"metric": [metric_title(name) for name in names]}
    columns[f"value [{result.resampling.percent} interval]"] = [interval_text(intervals[name]) for name in names]
    units = f"{plural(rows['group'].nunique(), 'group')} of rows that belong together"
    if result.repeats is not None:
        spreads = member_spreads(rows, task, names)
        columns[f"mean ± standard deviation over {result.repeats.over}"] = [
            str(spreads[name]).rpartition(" (")[0] or NOTHING for name in names
        ]
        units += f" and the {over_text(rows)}" if rows["member"].nunique() > 1 else ""
    if classes is not None:
        top, baseline = majority_class(rows, classes)
        columns[f"always {top}"] = [number_text(baseline[name]) for name in names]
    resampled = classes is not None or not is_two_sets(rows)
    how = f"resample the {units} {result.resampling.times}" if resampled else f"leave out {units}"
    notes = [f"From {size_text(rows)}; intervals {how}."]
    if split == "val" and result.fitted:
        notes.append("These rows also selected the weights, which makes their scores a little too good.")
    note = " ".join(filter(None, [*notes, no_interval_note(intervals.values()), two_sets_note(rows)]))
    return Table(list(columns), list(zip(*columns.values(), strict=True)), frozenset(range(1, len(columns))), note=note)


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


def repeats(result: ReportedResult) -> Section | None:
    """The runs of a set with mean and standard deviation; None for a run."""
    if result.repeats is None:
        return None
    columns, rows = run_table(result.repeats)
    numeric = frozenset(i for i, name in enumerate(columns) if name not in ("run", "note", "checkpoint"))
    note = f"mean and std, the sample's standard deviation, are over {result.repeats.over}."
    blocks: list[Block] = [Table(columns, rows, numeric, footer=2, note=note)]
    if result.repeats.identical:
        blocks.insert(0, Paragraph(result.repeats.identical_text, Tone.CAUTION))
    return Section("Repeats", blocks)


def run_table(repeats: RepeatSet) -> tuple[list[str], list[list[str]]]:
    """Head and rows of `RepeatSet.table` as text, checkpoints relative to the folder of the runs."""
    frame = repeats.table().astype(object)
    rows = []
    for row in frame.to_dict("records"):
        cells = []
        for name, value in row.items():
            if value is None or (isinstance(value, float) and np.isnan(value)):
                cells.append("" if name in ("note", "checkpoint") else NOTHING)
            elif name == "checkpoint":
                cells.append("/".join(str(value).split("/")[-3:]))
            elif name == "seconds":
                cells.append(f"{value:.1f}")
            else:
                cells.append(number_text(value) if isinstance(value, float) else str(value))
        rows.append(cells)
    return [str(name) for name in frame], rows


def curves(result: ReportedResult, prefix: str) -> Section | None:
    """Learning curves; None for a result that was not trained by epochs."""
    charts = curve_charts(
        chart_name(prefix, "curves"), result.histories, [record.selected for record in result.records]
    )
    return Section("Learning curves", [Charts(charts)]) if charts else None


def calibration(result: ReportedResult, split: str, prefix: str) -> Section | None:
    predictions = result.predictions(split)
    if predictions is None:
        return None
    blocks: list[Block] = []
    for task, classes, rows in classified_tasks(predictions):
        analysis = ReliabilityDiagram(_BINS, _FOLDS, statistics=result.resampling)
        summary, figure = analysis.diagram(rows, classes)
        alt = f"accuracy by confidence, in {_BINS} bins; the expected calibration error is in the table"
        blocks += _task_heading(task, predictions)
        blocks.append(Charts([Chart(chart_name(prefix, "calibration", task), figure, alt)]))
        versions = {"as predicted": summary} | ({"temperature scaled": summary["scaled"]} if summary["scaled"] else {})
        table, intervals = [], []
        for name, version in versions.items():
            ends = [Interval(**version[metric]) for metric in ("ece", "brier")]
            table.append([name, number_text(version.get("temperature", 1.0)), *map(interval_text, ends)])
            intervals += ends
        note = "The temperature is fitted on other groups than those it is judged on." if summary["scaled"] else ""
        heads = [f"{metric} [{result.resampling.percent} interval]" for metric in ("ECE", "Brier")]
        note = f"{note} {no_interval_note(intervals)}".strip()
        blocks.append(Table(["probabilities", "temperature", *heads], table, frozenset({1, 2, 3}), note=note))
    return Section(f"Calibration on {SPLITS[split]}", blocks) if blocks else None


def slices(result: ReportedResult, split: str, prefix: str) -> Section | None:
    predictions = result.predictions(split)
    if predictions is None or not any(str(name).startswith(PREFIX) for name in predictions):
        return None
    table = Slices(None, statistics=result.resampling).table(predictions)
    level = result.resampling.confidence_level
    blocks: list[Block] = []
    for task, rows in table.groupby("task", sort=False):
        rows = with_values(rows)
        names = [name for name in map(str, rows) if f"{name}_low" in rows]
        cells = []
        for row in rows.to_dict("records"):
            only_class = row.get(ONLY_CLASS)
            note = f" (all {only_class}: no macro F1)" if isinstance(only_class, str) else ""
            values = ["no rows (n = 0)"] * len(names)
            if row["n"] > 0:
                ends = ((row[name], row[f"{name}_low"], row[f"{name}_high"]) for name in names)
                values = [interval_text(Interval(*interval, level)) for interval in ends]
            cells.append([readable(str(row["slice"])), f"{row['category']}{note}", f"{row['n']:,}", *values])
        alt = f"{' and '.join(map(readable, names))} of every category with intervals; the numbers are in the table"
        blocks += _task_heading(str(task), predictions)
        blocks.append(Charts([Chart(chart_name(prefix, "slices", str(task)), slice_figure(rows), alt)]))
        heads = [f"{readable(name)} [{result.resampling.percent} interval]" for name in names]
        counted = ["n counts a row once, however many runs predict it."] if result.repeats else []
        note, numeric = " ".join([*counted, *interval_note(rows)]), frozenset(range(2, 3 + len(heads)))
        blocks.append(Table(["slice", "category", "n", *heads], cells, numeric, note=note))
    return Section(f"Slices of {SPLITS[split]}", blocks) if blocks else None


def bad_cases(result: ReportedResult) -> Section | None:
    """The most confidently wrong rows and the least sure right ones, of held-out training rows or of validation."""
    source = OUT_OF_FOLD if result.tables(OUT_OF_FOLD) else "val"
    predictions = result.predictions(source)
    if predictions is None or not classified_tasks(predictions):
        return None
    table = BadCases(source, _UNSURE, limit=None, label_errors=False).cases(predictions)
    if result.repeats is not None:
        # By sample: the worst of its predictions, and in how many runs it was wrong.
        table = table.assign(guid=table["guid"].str.rpartition("@")[0], times=table["reason"].eq(WRONG))
        keys = [name for name in ("guid", "task") if name in table]
        table = table.assign(times=table.groupby(keys)["times"].transform("sum")).drop_duplicates(keys)
    if table.empty:
        return Section("Bad cases", [Paragraph("There is none: every row is right with some confidence.", Tone.GOOD)])
    runs = len(result.members) if result.repeats is None else len(result.repeats.different)
    cases = [_case(row, runs) for row in round_robin(table, _WORST).to_dict("records")]
    kind = "training rows, by models that did not see them" if source == OUT_OF_FOLD else "validation rows"
    wrong = int((table["reason"] == WRONG).sum())
    note = f"{plural(wrong, 'row')} wrong, {len(table) - wrong} right with a confidence below {_UNSURE:g}; "
    note += f"here are the worst {len(cases)} of the {kind}, alternating between groups. "
    note += "Training on them would spoil later scores on that split."
    return Section("Bad cases", [SampleCards(cases, note)])


def _case(row: Mapping[Any, Any], runs: int) -> SampleCard:
    note = "wrong" if row["reason"] == WRONG else "right, but unsure"
    if "times" in row:
        note = f"wrong in {row['times']} of {runs} runs" if row["times"] else f"right in all {runs} runs, but unsure"
    if "task" in row:
        note = f"{row['task']}, {note}"
    if "recording" in row and "group" in row:
        note += f", subject {row['group']}"
    text = row.get("text")
    return SampleCard(
        str(row["guid"]), str(row["target"]), str(row["prediction"]), float(row["confidence"]), note,
        text if isinstance(text, str) and text.strip() else None, thumbnail(row.get("path")),
    )  # fmt: skip


def thumbnail(path: object) -> bytes | None:
    """A JPEG of at most 240 pixels a side, without metadata; None where `path` is no readable picture."""
    picture = readable_picture(path, draft=_SIDE)
    if picture is None:
        return None
    picture.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    written = BytesIO()
    Image.frombytes("RGB", picture.size, picture.tobytes()).save(written, "JPEG", quality=_QUALITY, optimize=True)
    return written.getvalue()


def _task_heading(task: str, predictions: pd.DataFrame) -> Iterator[Block]:
    if predictions["task"].nunique() > 1:
        yield Paragraph(f"Task {task}")
