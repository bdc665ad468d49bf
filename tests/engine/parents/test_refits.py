"""Predictions out of fold of runs with parents, and of parents themselves."""

import shutil

import pandas as pd
import pytest
from tests.engine.student import DIGITS, STUDENT, Stacker

from hallmark.checks import SettingError
from hallmark.data.leakage import LeakageError
from hallmark.runs.parents import kept_parents
from hallmark.runs.run import Run
from hallmark.storage.files import read_json, write_json

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("no_report")]


def test_predictions_out_of_fold_are_of_models_whose_parents_have_not_seen_the_rows(parent, fitted, evaluate):
    child = fitted(*STUDENT, f"+parents.teacher={parent.directory}")
    shutil.rmtree(parent.directory)
    evaluate(child, "split=out_of_fold", "out_of_fold.folds=2", "trusted_packages=[tests]")
    for number in (1, 2):
        refit = Run(child.directory / "out_of_fold" / f"{number}-of-2")
        (teacher,) = kept_parents(refit.directory, refit.record).values()
        held_out, seen = set(), set()
        for directory, into, names in ((refit.directory, held_out, ["held_out"]), (teacher.directory, seen, ["train"])):
            table = pd.read_csv(directory / "splits.csv", dtype=str)
            into |= set(table.loc[table["split"].isin(names), "content"])
        assert held_out and seen and not held_out & seen
        assert refit.record.leakage["checks"]["fitted by parent teacher"] == "clean"
        assert teacher.weights != parent.record.weights["tensors"]


def test_a_refit_of_an_earlier_version_begins_as_its_run_did(fit, evaluate):
    parent = fit(*DIGITS, "data.classes=['2','3']")
    child = fit(*DIGITS, "name=child", f"init_from={parent.directory}")
    record = read_json(child.directory / "record.json")
    write_json(child.directory / "record.json", {**record, "parents": [str(parent.directory)]})
    shutil.rmtree(child.directory / "parents")
    evaluate(child, "split=out_of_fold", "out_of_fold.folds=2")
    refits = [Run(child.directory / "out_of_fold" / f"{number}-of-2") for number in (1, 2)]
    assert {refit.record.parents["init_from"]["run_id"] for refit in refits} == {parent.record.run_id}
    for folder in (parent.directory, child.directory / "out_of_fold"):
        shutil.rmtree(folder)
    (child.directory / "predictions" / "out_of_fold.parquet").unlink()
    with pytest.raises(ValueError, match=r"^init_from: .*kept no copy"):
        evaluate(child, "split=out_of_fold", "out_of_fold.folds=2")


def test_a_parent_that_has_seen_none_of_the_rows_stays_in_every_fold(fit, evaluate):
    parent = fit(*DIGITS, "data.classes=['2','3']")
    child = fit(*DIGITS, "name=child", f"init_from={parent.directory}")
    assert child.record.leakage["checks"]["fitted by parent init_from"] == "clean"
    evaluate(child, "split=out_of_fold", "out_of_fold.folds=2")
    refit = Run(child.directory / "out_of_fold" / "1-of-2")
    assert refit.record.parents["init_from"]["weights"] == parent.record.weights["tensors"]


def test_a_parent_whose_rows_are_hashed_otherwise_may_have_seen_every_row(fit, evaluate):
    trusted = "trusted_packages=[tests]"
    parent = fit(*DIGITS, "data._target_=tests.engine.student.HashedOtherwise", trusted)
    child = fit(*DIGITS, "name=child", f"init_from={parent.directory}", trusted)
    assert child.record.leakage["checks"]["fitted by parent init_from"] == "unknown"
    with pytest.raises(ValueError, match=r"^init_from: .*may have been fitted on training rows"):
        evaluate(child, "split=out_of_fold", "out_of_fold.folds=2", trusted)


def test_a_parent_that_cannot_be_made_again_without_a_fold_is_refused(parent, fit, evaluate):
    record = parent.record
    record.data["content"] = "0" * 32
    record.write(parent.directory)
    child = fit(*DIGITS, "name=child", f"init_from={parent.directory}")
    with pytest.raises(ValueError, match=r"^init_from: .*cannot be made again"):
        evaluate(child, "split=out_of_fold", "out_of_fold.folds=2")


def test_a_run_is_trained_on_predictions_out_of_fold_of_a_parent_with_its_split(parent, fit, run_of):
    stacker = (*STUDENT, "model._target_=tests.engine.student.Stacker", f"+parents.teacher={parent.directory}")
    assert run_of(*stacker).directory != run_of(*stacker, "out_of_fold.folds=2").directory
    child = fit(*stacker, "out_of_fold.folds=2")
    assert child.record.leakage["checks"]["fitted by parent teacher"] == "clean"
    table = pd.read_parquet(child.directory / "parents" / "teacher" / "predictions" / "out_of_fold.parquet")
    assert len(table) == child.record.splits["train"]["n"]
    with pytest.raises(LeakageError) as raised:
        fit(*stacker, "out_of_fold.folds=2", "data.split.seed=1")
    assert (raised.value.findings["first_split"] != raised.value.findings["second_split"]).all()


def test_nothing_is_refitted_for_a_run_that_the_gate_stops(parent, fit):
    stacker = (*STUDENT, "model._target_=tests.engine.student.Stacker", f"+parents.teacher={parent.directory}")
    with pytest.raises(LeakageError):
        fit(*stacker, "out_of_fold.folds=2", "data.split.seed=1")
    assert not (parent.directory / "out_of_fold").exists()


def test_a_trainer_that_the_model_refuses_is_refused_before_its_parent_is_refitted(parent, fit, monkeypatch):
    def refuse(model, trainer) -> None:
        raise SettingError("trainer.max_epochs", trainer.max_epochs, "more")

    monkeypatch.setattr(Stacker, "check_trainer", refuse)
    stacker = (*STUDENT, "model._target_=tests.engine.student.Stacker", f"+parents.teacher={parent.directory}")
    with pytest.raises(SettingError, match=r"^trainer\.max_epochs=1"):
        fit(*stacker, "out_of_fold.folds=2")
    assert not (parent.directory / "out_of_fold").exists()
