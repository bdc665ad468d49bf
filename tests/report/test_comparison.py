import numpy as np
import pandas as pd
import pytest
from tests.report.conftest import ROWS, predictions
from tests.report.reading import sections, table

from hallmark.report.gather import gather
from hallmark.statistics import Resampling, paired_difference
from hallmark.statistics.text import difference_text


def test_two_results_are_compared_on_the_same_rows(make_run):
    first, second = make_run("clip_final", quality=3.0), make_run("sentiment_text", "bbbb0000", seed=1, quality=0.3)
    report = gather([first.directory, second.directory])
    paired = paired_difference(
        predictions(seed=1, quality=0.3), predictions(quality=3.0), "macro_f1", resampling=Resampling(0.95, 2000, 0)
    )
    row = table(sections(report)["Comparison on validation"]).rows[0]
    assert row[0] == "clip_final − sentiment_text" and row[2] == difference_text(paired.difference)
    assert row[5] == "clip_final is better than sentiment_text"
    assert report.summary[0].startswith("clip_final is better than sentiment_text on validation: macro F1 +")


def test_of_two_generators_the_best_is_so_by_a_metric_that_has_a_direction(make_run):
    rng = np.random.default_rng(0)
    real = rng.normal(size=(ROWS, 4))
    runs = []
    for name, shift, energy in (("far", 3.0, 5.0), ("near", 0.1, 0.2)):
        frame = predictions().drop(columns="slice_emoji")
        frame = frame.assign(probabilities=None, confidence=np.nan, train_distance=1.0)
        drawn = frame.assign(kind="generated", features=list(real[::-1] + shift), nyquist_energy=energy)
        frame = frame.assign(kind="real", features=list(real), nyquist_energy=1.0)
        both = pd.concat([frame, drawn.assign(id="g" + drawn["id"])], ignore_index=True)
        both.attrs = {"classes": {}}
        selected = {"metric": "val/nyquist_energy", "value": energy}
        runs.append(make_run(name, name * 2, table=both, rich=True, selected=selected))
    report = gather([run.directory for run in runs])
    assert report.summary[0].startswith("near is better than far on validation: kernel distance")
    assert not any("energy" in pair for pair in report.summary)


def test_holm_adjusts_for_every_pair_and_metric(make_run):
    runs = [
        make_run(name, quality=quality, seed=i) for i, (name, quality) in enumerate([("a", 3), ("b", 2.5), ("c", 0.3)])
    ]
    section = sections(gather([run.directory for run in runs]))["Comparison on validation"]
    listed = table(section, 2)
    assert len(listed.rows) == 6
    assert all(float(row[4].strip("< ")) >= float(row[3].strip("< ")) for row in listed.rows)
    matrix = table(section)
    assert matrix.columns[1:] == ["a", "b", "c"] and matrix.rows[0][1] == "–"
    upper, lower = (matrix.rows[row][column].partition(" ")[0] for row, column in ((0, 3), (2, 1)))
    assert float(upper) == -float(lower) > 0


def test_sets_are_compared_over_their_repetitions(make_set):
    first, second = make_set("clip_final", quality=3.0), make_set("sentiment_text", quality=0.3, first=5)
    report = gather([first.directory, second.directory])
    comparison = table(sections(report)["Comparison on validation"])
    assert "rows in 24 groups, 3 models each" in comparison.note
    assert comparison.rows[0][5] == "clip_final is better than sentiment_text"
    assert "over 3 runs (seeds:3)" in report.summary[1]


def test_results_on_other_rows_are_said_to_be_incomparable(make_run):
    other = predictions()
    other["id"] = "x" + other["id"]
    runs = [make_run("a"), make_run("b", table=other)]
    report = gather([run.directory for run in runs])
    assert "a and b cannot be compared: the tables must have the same labelled ids" in report.summary[0]


@pytest.mark.parametrize(("opened", "split"), [(2, "test"), (1, "validation")])
def test_the_first_sentence_is_of_the_test_split_once_all_have_looked_at_it(make_run, open_test_split, opened, split):
    first = make_run("clip_final", quality=3.0, measured=("val", "test"))
    second = make_run("sentiment_text", "bbbb0000", seed=1, quality=0.3, measured=("val", "test"))
    for run in (first, second)[:opened]:
        open_test_split(run)
    report = gather([first.directory, second.directory])
    assert report.summary[0].startswith(f"clip_final is better than sentiment_text on {split}: macro F1 +")
