"""Parents are kept with their children, which are whole without them, and a copy that was changed is refused."""

import shutil

import pytest
from tests.engine.releasing import released
from tests.engine.student import DIGITS, STUDENT

from hallmark.checks import Interrupted, SettingError, UserError
from hallmark.engine.cached.done import report_noted
from hallmark.engine.release.readiness import CHECKS
from hallmark.engine.release.verify import changed_parents, verify
from hallmark.engine.train import train
from hallmark.learning.callbacks.checkpoints import checkpoint_hashes
from hallmark.runs.archive import unpack
from hallmark.runs.parents import kept_parents
from hallmark.runs.record import RunState
from hallmark.runs.run import Run
from hallmark.storage.hashing import digest_file

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("no_report")]


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


@pytest.mark.parametrize("name", ["checkpoints/best.ckpt", "config.yaml", "splits.csv", "record.json", "new.json"])
def test_a_copy_that_was_changed_is_refused(parent, fitted, evaluate, name):
    child = fitted(*STUDENT, f"+parents.teacher={parent.directory}")
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
def test_a_copy_that_was_exchanged_is_refused(parent, fitted, evaluate, recorded):
    child = fitted(*STUDENT, f"+parents.teacher={parent.directory}")
    other, copy = fitted(*DIGITS, "seed=1"), child.directory / "parents" / "teacher"
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


def test_a_run_is_made_again_with_the_parent_as_it_is_now(parent, fit, fitted):
    overrides = (*DIGITS, "name=child", f"init_from={parent.directory}")
    child = fitted(*overrides)
    (child.directory / "parents" / "init_from" / "splits.csv").unlink()
    again = fit(*overrides, "rerun=true")
    assert (again.directory / "parents" / "init_from" / "splits.csv").is_file()


def test_a_release_holds_the_parents_and_is_verified_without_their_folders(parent, fitted, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    child = fitted(*DIGITS, "name=child", f"init_from={parent.directory}")
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
