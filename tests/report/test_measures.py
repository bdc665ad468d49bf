"""What a report says equals what the predictions say."""

import re

import pandas as pd
from tests.report.conftest import CLASSES, predictions
from tests.report.reading import sections, table

from hallmark.report.content import SampleCards
from hallmark.report.gather import gather
from hallmark.statistics import Resampling, all_intervals, table_metrics
from hallmark.statistics.text import interval_text


def test_metrics_are_those_of_the_predictions(plain):
    frame = predictions()
    printed = {row[0]: row[1] for row in table(sections(plain)["Metrics on validation"]).rows}
    metrics = table_metrics(frame)["main"]
    intervals = all_intervals(frame, ["macro_f1", "log_loss"], resampling=Resampling(0.95, 2000, 0))
    assert printed["macro F1"] == interval_text(intervals["macro_f1"])
    assert printed["macro F1"].startswith(f"{metrics['macro_f1']:.3f} [")
    assert printed["log loss (lower is better)"] == interval_text(intervals["log_loss"])


def test_the_confusion_matrix_counts_the_rows(plain):
    matrix = table(sections(plain)["Metrics on validation"], 1)
    counts = pd.crosstab(predictions()["target"], predictions()["prediction"]).reindex(CLASSES, columns=CLASSES)
    assert [[int(cell.split()[0]) for cell in row[1:4]] for row in matrix.rows] == counts.to_numpy().tolist()


def test_repeats_have_a_row_a_run_then_mean_and_std(make_set):
    repeats = make_set()
    repeat_table = table(sections(gather([repeats.directory]))["Repeats"])
    values = [table_metrics(predictions(seed=seed))["main"]["macro_f1"] for seed in range(3)]
    assert [row[1] for row in repeat_table.rows[:3]] == ["seed 0", "seed 1", "seed 2"]
    expected = [*values, pd.Series(values).mean(), pd.Series(values).std(ddof=1)]
    assert [row[2] for row in repeat_table.rows] == [f"{value:.3f}" for value in expected]
    assert repeat_table.footer == 2 and [row[0] for row in repeat_table.rows[3:]] == ["mean", "std"]


def test_an_empty_slice_says_so(plain):
    slice_table = table(sections(plain)["Slices of validation"])
    rows = {row[1]: row[2:] for row in slice_table.rows}
    assert rows["2+ emoji"] == ["0", *["no rows (n = 0)"] * 3]  # accuracy, macro F1, recall of categories of one class
    assert rows["no emoji"][0] == "32"


def test_a_slice_of_one_class_says_so_and_shows_its_recall(make_run):
    frame = predictions()
    frame["slice_emoji"] = frame["target"].map({"positive": "2+ emoji"}).fillna("no emoji")
    slice_table = table(sections(gather([make_run(table=frame, rich=True).directory]))["Slices of validation"])
    rows = {row[1]: row[2:] for row in slice_table.rows}
    _, accuracy, macro_f1, recall = rows["2+ emoji (all positive: no macro F1)"]
    assert accuracy == recall != macro_f1 == "–"
    assert rows["no emoji"][3] == "–"


def test_the_worst_cases_come_first_with_text_and_a_small_picture(make_run, picture):
    frame = predictions(path=picture)
    report = gather([make_run(table=frame).directory])
    (cases,) = sections(report)["Bad cases"].blocks
    assert isinstance(cases, SampleCards)
    wrong = frame[frame["prediction"] != frame["target"]].sort_values("confidence", ascending=False)
    assert [case.id for case in cases.cases[: len(wrong)]] == wrong["id"].head(12).tolist()
    assert cases.cases[0].text == wrong["info_text"].iloc[0]
    encoded = cases.cases[0].picture
    assert encoded is not None and len(encoded) < 40_000 and b"secret place" not in encoded


def test_a_missing_picture_is_left_out(make_run):
    (cases,) = sections(gather([make_run(table=predictions(path="/nowhere.jpg")).directory]))["Bad cases"].blocks
    assert cases.cases and all(case.picture is None for case in cases.cases)


def test_a_bad_case_of_a_set_appears_once(make_set):
    (cases,) = sections(gather([make_set().directory]))["Bad cases"].blocks
    ids = [case.id for case in cases.cases]
    assert len(set(ids)) == len(ids) and "@" not in "".join(ids)
    assert re.fullmatch(r"wrong in [123] of 3 runs", cases.cases[0].note)
