"""Runs that are made with other runs: known by what they are, kept with their children, and seen by the gate."""

import shutil

import pandas as pd
import pytest
import torch
from tests.engine.releasing import released
from tests.engine.student import DIGITS, STUDENT, Stacker

from hallmark.checks import Interrupted, SettingError, UserError
from hallmark.data.leakage import LeakageError
from hallmark.engine.cached.done import report_noted
from hallmark.engine.config.trust import NO_TRUST
from hallmark.engine.job import Job
from hallmark.engine.parents import initial_module
from hallmark.engine.release.readiness import CHECKS
from hallmark.engine.release.verify import changed_parents, verify
from hallmark.engine.train import train
from hallmark.learning.callbacks.checkpoints import checkpoint_hashes
from hallmark.report import provenance
from hallmark.report.content import Facts, Tone
from hallmark.report.sources import open_results
from hallmark.runs.archive import unpack
from hallmark.runs.configuration import load_plain
from hallmark.runs.parents import kept_parents
from hallmark.runs.record import RunState
from hallmark.runs.registry import find_entries
from hallmark.runs.run import Run
from hallmark.runs.source_code import code_hashes
from hallmark.storage.files import read_json, write_json
from hallmark.storage.hashing import digest_file

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("no_report")]


@pytest.fixture(scope="session")
def small() -> list[str]:
    """Nothing more is needed to make a fit short."""
    return ["callbacks.progress=null"]


@pytest.fixture
def parent(fitted) -> Run:
    return fitted(*DIGITS)


@pytest.fixture
def job(compose, small):
    """A function from overrides to the job of a run that starts from another one."""
    return lambda *overrides: Job.of(compose(*small, *DIGITS, "name=child", *overrides))


def test_a_parent_is_known_by_what_it_is_and_not_by_its_path(parent, job, tmp_path, monkeypatch):
    monkeypatch.chdir(parent.directory.parent)
    (tmp_path / "link").symlink_to(parent.directory)
    spellings = [parent.directory, f"../{parent.directory.parent.name}/{parent.directory.name}/", tmp_path / "link"]
    ids = {job(f"init_from={spelling}").id for spelling in [*spellings, "latest", "."]}
    ids |= {job(f"+parents.init_from={parent.directory}").id}
    shutil.move(parent.directory, tmp_path / "renamed")
    assert ids == {job(f"init_from={tmp_path / 'renamed'}").id}
    assert ids != {job().id}


def test_another_model_at_the_path_of_a_parent_makes_another_run(parent, fit, job):
    child = fit(*DIGITS, "name=child", f"init_from={parent.directory}")
    fit(*DIGITS, "seed=1", f"paths.run_dir={parent.directory}", "rerun=true")
    again = job(f"init_from={parent.directory}")
    assert again.id != child.record.run_id
    assert report_noted(again) is None and not again.directory.exists()
    with pytest.raises(ValueError, match=r"produced with a different configuration.*rerun=true"):
        fit(*DIGITS, "name=child", f"init_from={parent.directory}", f"paths.run_dir={child.directory}")


def test_a_child_is_whole_without_the_folders_of_its_parents(parent, fit, job, evaluate, capsys):
    typed = (f"init_from={parent.directory}",)
    child = fit(*DIGITS, "name=child", *typed)
    expected = (child.directory / "predictions" / "val.parquet").read_bytes()
    shutil.rmtree(parent.directory)
    (child.directory / "predictions" / "val.parquet").unlink()
    evaluate(child, "split=val")
    assert (child.directory / "predictions" / "val.parquet").read_bytes() == expected
    capsys.readouterr()
    assert report_noted(job(*typed)) == child.record.selected["value"]
    assert fit(*DIGITS, "name=child", *typed).directory == child.directory
    assert "is done" in capsys.readouterr().out
    with pytest.raises(SettingError) as raised:
        fit(*DIGITS, "name=child", *typed, "rerun=true")
    assert raised.value.key == "init_from" and child.record.state is RunState.DONE


def test_a_child_that_was_stopped_goes_on_without_its_parents(parent, compose, small, fit):
    overrides = (*STUDENT, "trainer.max_epochs=2", f"+parents.teacher={parent.directory}")
    expected = fit(*overrides, f"paths.outputs={parent.directory.parent / 'uninterrupted'}")
    with pytest.raises(Interrupted):
        train(compose(*small, *overrides), should_prune=lambda *_: True)
    shutil.rmtree(parent.directory)
    run = fit(*overrides)
    assert run.record.resumed == 1 and run.record.state is RunState.DONE
    assert checkpoint_hashes(run.best)["tensors"] == checkpoint_hashes(expected.best)["tensors"]


def test_parents_are_read_only_and_no_part_of_the_module(parent, job):
    student = initial_module(job(*STUDENT, f"+parents.teacher={parent.directory}"))
    teacher = student.parents["teacher"]
    saved = torch.load(parent.best, weights_only=True)["state_dict"]
    assert saved.keys() <= teacher.state_dict().keys()
    assert all(torch.equal(teacher.state_dict()[name], value) for name, value in saved.items())
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    trained = {id(parameter) for parameter in student.parameters()}
    assert not trained & {id(parameter) for parameter in teacher.parameters()}
    assert not any("teacher" in name or "parents" in name for name in student.state_dict())
    student.train()
    assert student.training and not teacher.training
    student.to(torch.float64)
    assert {parameter.dtype for parameter in teacher.parameters()} == {torch.float64}
    student.to("meta")
    assert teacher.device.type == "meta"


def test_weights_of_the_seed_do_not_depend_on_a_parent(parent, job):
    alone, student = initial_module(job()), initial_module(job(*STUDENT, f"+parents.teacher={parent.directory}"))
    first, second = alone.state_dict(), student.state_dict()
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


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


def test_a_run_is_no_parent_of_its_own(parent, fit):
    overrides = (*DIGITS, f"init_from={parent.directory}", f"paths.run_dir={parent.directory}", "rerun=true")
    with pytest.raises(SettingError) as caught:
        fit(*overrides)
    assert caught.value.key == "init_from" and parent.best.is_file()


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


def test_roles_are_those_of_the_model(parent, fit):
    with pytest.raises(SettingError, match="did you mean teacher") as raised:
        fit(*STUDENT, f"+parents.techer={parent.directory}")
    assert raised.value.key == "parents.techer"
    with pytest.raises(SettingError) as raised:
        fit(*STUDENT)
    assert raised.value.key == "parents.teacher"
    with pytest.raises(SettingError) as raised:
        fit(*DIGITS, f"+parents.teacher={parent.directory}")
    assert raised.value.key == "parents.teacher"


def cut_off(parent: Run) -> None:
    parent.best.write_bytes(parent.best.read_bytes()[:-1000])


def failed(parent: Run) -> None:
    parent.record.state = RunState.FAILED
    parent.record.write(parent.directory)


def elsewhere(parent: Run) -> None:
    shutil.move(parent.best, parent.directory.parent / "best.ckpt")
    parent.best.symlink_to(parent.directory.parent / "best.ckpt")


def no_weights(parent: Run) -> None:
    parent.best.unlink()


@pytest.mark.parametrize("break_", [cut_off, failed, elsewhere, no_weights, lambda run: shutil.rmtree(run.directory)])
def test_what_is_no_parent_is_refused_and_leaves_nothing(parent, fit, run_of, break_):
    break_(parent)
    for overrides in ((f"init_from={parent.directory}",), (*STUDENT, f"+parents.teacher={parent.directory}")):
        with pytest.raises(SettingError) as raised:
            fit(*DIGITS, "name=child", *overrides)
        assert raised.value.key in ("init_from", "parents.teacher")
    assert not (parent.directory.parents[1] / "child").exists()


def test_a_damaged_checkpoint_of_an_earlier_version_is_refused(parent, fit):
    parent.record.weights = None
    parent.record.write(parent.directory)
    cut_off(parent)
    with pytest.raises(UserError, match="damaged"):
        fit(*DIGITS, "name=child", f"init_from={parent.directory}")


def test_a_parent_of_an_earlier_version_is_the_same_parent(parent, job):
    expected = job(f"init_from={parent.directory}").id
    parent.record.weights = None
    parent.record.write(parent.directory)
    assert job(f"init_from={parent.directory}").id == expected


@pytest.mark.parametrize("name", ["checkpoints/best.ckpt", "config.yaml", "splits.csv", "record.json", "new.json"])
def test_a_copy_that_was_changed_is_refused(parent, fit, evaluate, name):
    child = fit(*STUDENT, f"+parents.teacher={parent.directory}")
    with (child.directory / "parents" / "teacher" / name).open("ab") as file:
        file.write(b"\n")
    (child.directory / "predictions" / "val.parquet").unlink()
    with pytest.raises(UserError, match=name):
        evaluate(child, "split=val", "trusted_packages=[tests]")


@pytest.mark.parametrize("files", [{}, {"checkpoints/best.ckpt": "of another model"}])
def test_a_copy_whose_hashes_are_not_recorded_is_refused(parent, fit, evaluate, files):
    child = fit(*STUDENT, f"+parents.teacher={parent.directory}")
    child.record.parents["teacher"]["files"] = files
    child.record.write(child.directory)
    with pytest.raises(UserError, match=r"record\.json: parents"):
        evaluate(child, "split=val", "trusted_packages=[tests]")


@pytest.mark.parametrize("recorded", [True, False])
def test_a_copy_that_was_exchanged_is_refused(parent, fit, evaluate, recorded):
    child = fit(*STUDENT, f"+parents.teacher={parent.directory}")
    other, copy = fit(*DIGITS, "seed=1"), child.directory / "parents" / "teacher"
    shutil.copyfile(other.best, copy / "checkpoints" / "best.ckpt")
    files = child.record.parents["teacher"]["files"]
    files["checkpoints/best.ckpt"] = digest_file(other.best)
    if not recorded:
        record = Run(copy).record
        record.weights = None
        record.write(copy)
        files["record.json"] = digest_file(copy / "record.json")
    child.record.write(child.directory)
    (child.directory / "predictions" / "val.parquet").unlink()
    with pytest.raises(UserError, match="not the run"):
        evaluate(child, "split=val", "trusted_packages=[tests]")


@pytest.mark.parametrize("name", ["checkpoints/best.ckpt", "splits.csv"])
def test_a_finished_run_whose_copy_of_a_parent_is_damaged_is_not_done(parent, fit, job, name):
    typed = (*DIGITS, "name=child", f"init_from={parent.directory}")
    child = fit(*typed)
    assert report_noted(job(f"init_from={parent.directory}")) is not None
    with (child.directory / "parents" / "init_from" / name).open("ab") as file:
        file.write(b"\n")
    assert report_noted(job(f"init_from={parent.directory}")) is None
    with pytest.raises(UserError, match=name):
        fit(*typed)


def test_a_parent_that_was_changed_before_it_is_copied_is_refused(parent, job, tmp_path):
    start = job(f"init_from={parent.directory}").parents["init_from"]
    with parent.best.open("ab") as file:
        file.write(b"\n")
    with pytest.raises(UserError, match="changed while it was copied"):
        start.kept_in(tmp_path / "child")
    assert not list(tmp_path.glob("child/parents/*"))


def test_the_copy_of_a_parent_of_an_earlier_version_names_its_weights(parent, job, tmp_path):
    parent.record.weights = None
    parent.record.write(parent.directory)
    copy = job(f"init_from={parent.directory}").parents["init_from"].kept_in(tmp_path / "child")
    assert copy.record.weights == checkpoint_hashes(parent.best)
    copy.verify()


def test_a_run_is_made_again_with_the_parent_as_it_is_now(parent, fit):
    overrides = (*DIGITS, "name=child", f"init_from={parent.directory}")
    child = fit(*overrides)
    (child.directory / "parents" / "init_from" / "splits.csv").unlink()
    again = fit(*overrides, "rerun=true")
    assert (again.directory / "parents" / "init_from" / "splits.csv").is_file()


def test_predictions_out_of_fold_are_of_models_whose_parents_have_not_seen_the_rows(parent, fit, evaluate):
    child = fit(*STUDENT, f"+parents.teacher={parent.directory}")
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


def test_a_release_holds_the_parents_and_is_verified_without_their_folders(parent, fit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    child = fit(*DIGITS, "name=child", f"init_from={parent.directory}")
    archive = released(child, *CHECKS, into=tmp_path / "RESULTS.md", tagged=False)
    shutil.rmtree(parent.directory)
    shutil.rmtree(child.directory)
    verify(archive)
    root = unpack(archive, tmp_path / "there")
    (run,) = (Run(path.parent) for path in root.glob("runs/*/record.json"))
    assert kept_parents(run.directory, run.record)["init_from"].best.is_file()
    with (run.directory / "parents" / "init_from" / "splits.csv").open("a") as file:
        file.write("\n")
    assert list(changed_parents(run)) == ["parents/init_from/splits.csv: damaged"]


def test_a_cache_within_a_run_says_nothing_of_the_code(parent):
    cache = parent.directory / "cache" / "source_code.json"
    expected = code_hashes(load_plain(parent.directory / "config.yaml"), cache)
    write_json(cache, {key: ["forged", imports] for key, (_, imports) in read_json(cache).items()})
    assert "forged" in code_hashes(load_plain(parent.directory / "config.yaml"), cache).values()
    code = Job.reopened(parent, NO_TRUST).code
    assert "forged" not in code.values() and code.keys() == expected.keys()


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
