import pandas as pd
import pytest
from tests.report.conftest import CLASSES
from tests.report.reading import facts, page, paragraphs, sections, table

from hallmark.report.gather import gather


@pytest.mark.parametrize(
    ("action", "checks", "verdict", "sentence"),
    [
        ("stop", {"id": "clean"}, "clean", "clean in 1 check."),
        ("stop", {"group": "unknown"}, "unknown: it could not be checked", "unknown for group"),
        ("report", {"id": "found"}, "found, downgraded to a report", "leaks found, and allowed"),
    ],
)
def test_leak_checks_are_told_in_plain_words(make_run, action, checks, verdict, sentence):
    leakage = {"action": action, "findings": int(action == "report"), "checks": checks}
    report = gather([make_run(leakage=leakage).directory])
    section = sections(report)["Checks of the data"]
    assert table(section).rows[0][1].startswith(verdict)
    assert sentence in paragraphs(section)
    tone = next(highlight.tone for highlight in report.highlights if highlight.name == "Leak checks")
    assert (tone == "good") is (verdict == "clean")


def test_a_run_without_checks_is_not_called_clean(make_run):
    report = gather([make_run(leakage={}).directory])
    assert "Leaks between splits: not checked." in paragraphs(sections(report)["Checks of the data"])
    assert not any("clean" in highlight.value for highlight in report.highlights)


def test_found_leaks_and_bad_rows_are_listed(make_run):
    leakage = {"action": "report", "findings": 1, "checks": {"id": "found"}}
    run = make_run(leakage=leakage, problems={"missing_image": 2})
    (run.directory / "leakage.csv").write_text("kind,first_id\nid,train-1\n")
    (run.directory / "problems.csv").write_text("id,kind,policy,detail\n7,missing_image,skip,7.jpg is not there\n")
    section = sections(gather([run.directory]))["Checks of the data"]
    assert "Bad files or rows: 2 missing image." in paragraphs(section)
    assert ["id", "train-1"] in [list(row) for row in table(section, 1).rows]
    assert ["7", "missing_image", "skip", "7.jpg is not there"] in [list(row) for row in table(section, 2).rows]


def test_splits_are_counted_by_class(plain):
    split_table = table(sections(plain)["Data and splits"])
    rows = {row[0]: row[1:] for row in split_table.rows}
    assert split_table.columns == ["split", "rows", "groups", *CLASSES, "hash of the ids"]
    assert rows["test"] == ["30", "30", "10", "10", "10", "3" * 12]
    assert rows["predict"][2:5] == ["–", "–", "–"]


def test_a_sealed_test_split_is_said_to_be_sealed_and_its_numbers_stay_hidden(make_run):
    run = make_run(measured=("val", "test"))  # as if somebody had put the table there
    report = gather([run.directory])
    assert "sealed: it was never opened" in paragraphs(sections(report)["Test seal"])
    assert "Metrics on test" not in sections(report)


def test_an_opened_seal_shows_every_access_with_its_reason(make_run, open_test_split):
    run = make_run(measured=("val", "test"))
    open_test_split(run)
    open_test_split(run, reason="a reviewer asked <b>why</b>")
    report = gather([run.directory])
    by_title = sections(report)
    assert "opened 2 times" in paragraphs(by_title["Test seal"])
    accesses = table(by_title["Test seal"])
    assert [row[3] for row in accesses.rows] == ["0.500", "0.500"]
    assert [row[4] for row in accesses.rows] == ["the first access", "a reviewer asked <b>why</b>"]
    assert "Metrics on test" in by_title
    assert any(sentence.startswith("On the test split it is ") for sentence in report.summary)
    assert "<b>why" not in page(report)


def test_the_access_of_another_run_is_shown_but_gives_no_test_numbers(make_run, open_test_split):
    run, other = make_run(measured=("val", "test")), make_run(run_id="bbbb0000", seed=1)
    open_test_split(other)
    by_title = sections(gather([run.directory]))
    assert "was opened once" in paragraphs(by_title["Test seal"])
    assert "not evaluated on the test split" in paragraphs(by_title["Test seal"])
    assert "Metrics on test" not in by_title


def test_an_unknown_content_is_not_called_sealed(make_run):
    report = gather([make_run(data={"source": "sample"}).directory])
    assert "unknown" in paragraphs(sections(report)["Test seal"])
    assert [highlight.value for highlight in report.highlights if highlight.name == "Test split"] == ["unknown"]


def test_data_without_a_test_split_has_none_to_seal(make_run):
    report = gather([make_run(splits={"train": {"n": 90, "groups": 80, "hash": "1"}}).directory])
    assert paragraphs(sections(report)["Test seal"]) == "The data has no test split."


def test_what_was_run_and_how_to_make_it_again(make_run):
    by_title = sections(gather([make_run(git={"commit": "c0ffee", "dirty": True}).directory]))
    known = facts(by_title["What was run"])
    assert known["Command"] == "python train.py experiment=clip_final seed=0"
    assert known["Profile"] == "sample" and known["Started"] == "2026-01-01 00:00 UTC" and known["Took"] == "12 s"
    assert known["Commit"] == "c0ffee, with changes that were not committed"
    assert "not exactly that of a commit" in paragraphs(by_title["Reproduce"])
    assert facts(by_title["Environment"]) == {"torch": "2.9", "numpy": "2.3"}
    assert facts(by_title["Cost"])["Device"] == "cpu"


@pytest.mark.parametrize(("checkpoint", "name"), [("checkpoints/best.ckpt", "Selected on"), (None, "Reaches")])
def test_only_weights_that_were_selected_flatter_the_validation_rows(make_run, checkpoint, name):
    selected = {"checkpoint": checkpoint, "metric": "val/macro_f1", "value": 0.5}
    report = gather([make_run(selected=selected).directory])
    by_title = sections(report)
    assert facts(by_title["What was run"])[name] == "val/macro_f1 = 0.500"
    note = table(by_title["Metrics on validation"]).note
    assert ("also selected the weights" in note) == (checkpoint is not None)


def test_targets_that_are_no_classes_are_not_listed(make_run):
    run = make_run()
    splits = pd.DataFrame({"id": range(60), "group": range(60), "target": [f"mask {i}" for i in range(60)]})
    splits.assign(split="val").to_csv(run.directory / "splits.csv", index=False)
    split_table = table(sections(gather([run.directory]))["Data and splits"])
    assert split_table.columns == ["split", "rows", "groups", "hash of the ids"]
