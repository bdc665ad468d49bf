"""What a parent was fitted on is seen by the gate and listed with its children."""

import shutil

import pandas as pd
import pytest
import torch
from tests.engine.student import DIGITS, STUDENT

from hallmark.checks import UserError
from hallmark.data.leakage import LeakageError
from hallmark.engine.job import Job
from hallmark.engine.parents import initial_module
from hallmark.report import provenance
from hallmark.report.content import Facts, Tone
from hallmark.report.sources import open_results
from hallmark.runs.parents import kept_parents
from hallmark.runs.registry import find_entries

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("no_report")]


def test_another_split_of_the_parent_stops_the_child(parent, fit, run_of):
    overrides = (*DIGITS, "name=child", f"init_from={parent.directory}", "data.split.seed=1")
    with pytest.raises(LeakageError) as raised:
        fit(*overrides)
    findings = raised.value.findings
    splits, contents = {}, {}
    for run in (parent, run_of(*overrides)):
        table = pd.read_csv(run.directory / "splits.csv", dtype=str).set_index("content")["split"]
        splits[run.record.name], contents[run.record.name] = table, set(table.index)
    fitted = set(splits["digits_classifier"].index[splits["digits_classifier"].isin(["train", "val"])])
    measured = splits["child"][splits["child"].isin(["val", "test"])]
    expected = [
        (split, splits["digits_classifier"][content])
        for content, split in measured.items()
        if content in fitted and splits["digits_classifier"][content] != split
    ]
    assert expected and set(findings["kind"]) == {"fitted by parent init_from"}
    assert sorted(zip(findings["first_split"], findings["second_split"], strict=True)) == sorted(expected)


def test_a_reported_finding_stays_with_the_child(parent, fit, capsys):
    overrides = (f"init_from={parent.directory}", "data.split.seed=1", "data.leakage=report")
    child = fit(*DIGITS, "name=child", *overrides)
    leakage = child.record.leakage
    assert leakage["checks"]["fitted by parent init_from"] == "found"
    assert leakage["findings"] == len(pd.read_csv(child.directory / "leakage.csv"))
    assert "fitted by parent init_from found" in capsys.readouterr().out
    tested = leakage["fitted_test"]["init_from"]
    assert 0 < tested <= child.record.splits["test"]["n"]
    (sentence,) = child.record.warnings
    assert sentence.startswith(f"{tested} of {child.record.splits['test']['n']} test rows are not sealed")


def test_what_a_parent_was_fitted_on_is_unknown_without_its_splits(parent, fit):
    (parent.directory / "splits.csv").unlink()
    child = fit(*DIGITS, "name=child", f"init_from={parent.directory}")
    assert child.record.leakage["checks"]["fitted by parent init_from"] == "unknown"


@pytest.mark.parametrize("change", [
    lambda rows: rows.head(0), lambda rows: rows.assign(split="test"), lambda rows: rows.head(len(rows) // 2),
])  # fmt: skip
def test_the_rows_of_a_parent_are_those_that_its_record_counts(parent, fit, change):
    path = parent.directory / "splits.csv"
    change(pd.read_csv(path, dtype=str)).to_csv(path, index=False)
    with pytest.raises(UserError, match=r"splits\.csv: not the rows"):
        fit(*DIGITS, "name=child", f"init_from={parent.directory}", "data.split.seed=1")


def test_parents_of_parents_count(parent, fit, job):
    middle = fit(*DIGITS, "name=middle", f"init_from={parent.directory}")
    shutil.rmtree(parent.directory)
    with pytest.raises(LeakageError) as raised:
        fit(*STUDENT, f"+parents.teacher={middle.directory}", "data.split.seed=1")
    assert set(raised.value.findings["kind"]) == {"fitted by parent teacher", "fitted by parent teacher/init_from"}
    child = fit(*STUDENT, f"+parents.teacher={middle.directory}")
    assert child.record.leakage["checks"]["fitted by parent teacher/init_from"] == "clean"
    assert child.record.parents["teacher"]["parents"]["init_from"]["run_id"] == parent.record.run_id
    (teacher,) = kept_parents(child.directory, child.record).values()
    assert (teacher.directory / "parents" / "init_from" / "checkpoints" / "best.ckpt").is_file()
    first = initial_module(job(*STUDENT, f"+parents.teacher={middle.directory}")).state_dict()
    shutil.rmtree(middle.directory)
    reopened = initial_module(Job.reopened(child, job(*STUDENT, f"+parents.teacher={middle.directory}").trust))
    assert all(torch.equal(first[name], value) for name, value in reopened.state_dict().items())


def test_a_run_that_learns_from_predictions_shares_no_training_row_with_its_parent(parent, fit):
    with pytest.raises(LeakageError) as raised:
        fit(*STUDENT, "model._target_=tests.engine.student.Pupil", f"+parents.teacher={parent.directory}")
    assert set(raised.value.findings["first_split"]) == set(raised.value.findings["second_split"]) == {"train"}
    assert len(raised.value.findings) == parent.record.splits["train"]["n"]


def test_lineage_is_listed_and_reported(parent, fit, capsys):
    child = fit(*DIGITS, "name=child", f"init_from={parent.directory}", "data.split.seed=1", "data.leakage=report")
    expected = f"digits_classifier/{parent.record.run_id} (weights)"
    assert f"parent init_from: digits_classifier/{parent.record.run_id}" in capsys.readouterr().out
    (entry,) = find_entries([child.directory])
    assert entry.parents == {"init_from": expected} and entry.test == "opened"
    (result,) = open_results([child.directory])
    facts = [block for block in provenance.what_was_run(result).blocks if isinstance(block, Facts)]
    assert ("Parent init_from", expected) in facts[0].pairs
    assert provenance.seal_words(result)[1] is Tone.BAD
