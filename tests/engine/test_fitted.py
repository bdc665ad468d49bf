"""What a model has found without steps is kept as weights are: recorded, verified when read, sealed and released."""

import json
import shutil
from pathlib import Path

import pytest
from tests.engine.centroids import MODEL, Centroids
from tests.engine.releasing import released
from tests.report.reading import facts, sections

from hallmark.checks import UserError
from hallmark.engine.cached.done import report_noted
from hallmark.engine.config.trust import Trust
from hallmark.engine.evaluate import evaluate
from hallmark.engine.finished import FinishedRun
from hallmark.engine.job import Job
from hallmark.engine.release.readiness import CHECKS
from hallmark.engine.release.verify import verify
from hallmark.engine.train import train
from hallmark.learning.fitted.module import FittedModule
from hallmark.report.gather import gather
from hallmark.runs.archive import ArchiveError, unpack, write_archive
from hallmark.runs.record import RunState
from hallmark.runs.run import Run
from hallmark.runs.seal import accesses_of
from hallmark.storage.hashing import digest_file
from hallmark.storage.state import read_state, write_state

STATE = "state/fitted.safetensors"
TRUST = Trust(packages=("tests",))


@pytest.fixture(scope="module")
def _fitted(compose, tmp_path_factory) -> Run:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HALLMARK_OUTPUTS", str(tmp_path_factory.mktemp("solved")))
        config = compose(*MODEL)
        train(config)
        return Job.of(config).run


@pytest.fixture
def run(_fitted, tmp_path) -> Run:
    """A finished run of class means, this test's own copy."""
    copy = tmp_path / "outputs" / _fitted.directory.parent.name / _fitted.directory.name
    shutil.copytree(_fitted.directory, copy)
    record = Run(copy).record
    record.seals = str(tmp_path / "outputs" / "seals")
    record.write(copy)
    return Run(copy)


def change(run: Run) -> None:
    state = read_state(run.directory / STATE)
    write_state(run.directory / STATE, {**state, "softness": 2 * state["softness"]})


@pytest.fixture
def evaluated(compose, run):
    return lambda split: evaluate(compose(f"run={run.directory}", f"split={split}", "trusted_packages=[tests]",
                                          command="evaluate"))  # fmt: skip


def test_its_hash_is_in_record_report_and_seal(run, evaluated) -> None:
    hash_ = digest_file(run.directory / STATE)
    assert run.record.fitted == {STATE: hash_} and run.record.selected["checkpoint"] is None
    assert facts(sections(gather([run.directory]))["What was run"])["Fitted state"] == f"{STATE} {hash_[:12]}"
    evaluated("test")
    (access,) = accesses_of(run)
    assert access.runs[0].fitted == {STATE: hash_} and access.covers([run]) and hash_[:12] in str(access)
    change(run)
    assert not access.covers([run])


def test_the_splits_that_it_was_fitted_on_are_recorded_before_the_fit_ends(compose, run, monkeypatch) -> None:
    assert run.record.fitted_on == ["train", "val", "calibration"]
    config = compose(*MODEL, "data.split.meta=0.1")
    monkeypatch.setattr(FittedModule, "calibrate", lambda *arguments: (Centroids.fit(*arguments), 1 / 0))
    monkeypatch.setattr(Centroids, "data_warnings", lambda model, data: ["rows that say less than they seem to"])
    with pytest.raises(ZeroDivisionError):
        train(config)
    record = Job.of(config).run.record
    assert record.fitted_on == ["train", "val", "calibration"]
    assert record.warnings == ["rows that say less than they seem to"]


def test_it_is_read_again_and_no_second_time_fitted(run) -> None:
    module = FinishedRun(run, 0, trust=TRUST).module
    assert module.softness == read_state(run.directory / STATE)["softness"] != 1.0


@pytest.mark.parametrize("spoil", [change, lambda run: (run.directory / STATE).unlink()], ids=["changed", "missing"])
def test_a_state_that_is_not_what_was_measured_is_refused(run, evaluated, spoil) -> None:
    spoil(run)
    with pytest.raises(UserError, match=rf"{STATE} (was changed|is missing).*rerun=true"):
        evaluated("calibration")
    with pytest.raises(UserError, match=STATE):
        evaluated("test")
    with pytest.raises(ValueError, match=STATE):
        released(run, *CHECKS, tagged=False, trust=TRUST)
    assert accesses_of(run) == []


def test_a_finished_run_whose_state_is_damaged_is_not_done(compose) -> None:
    config = compose(*MODEL, "seed=1")
    train(config)
    assert report_noted(Job.of(config)) is not None
    change(Job.of(config).run)
    assert report_noted(Job.of(config)) is None
    with pytest.raises(UserError, match="the fitted state is not what the run was measured with"):
        train(config)


def test_it_is_released_and_verified_from_the_archive_alone(run, tmp_path) -> None:
    archive = released(run, *CHECKS, tagged=False, trust=TRUST)
    assert verify(archive).states == 1 and verify(archive).tensors == 0
    root = unpack(archive, tmp_path / "there")
    unpacked = Run(root / "runs" / run.directory.name)
    assert (unpacked.directory / STATE).read_bytes() == (run.directory / STATE).read_bytes()
    change(unpacked)
    files = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}
    files.pop("MANIFEST.sha256")
    write_archive(tmp_path / f"{root.name}.zip", files)
    with pytest.raises(ValueError, match=rf"{STATE} was changed") as caught:
        verify(tmp_path / f"{root.name}.zip")
    assert not isinstance(caught.value, ArchiveError)


@pytest.mark.parametrize("name", ["../outside.json", "/etc/hostname.json", "state/fitted.pkl"])
def test_a_record_from_a_stranger_names_no_file_elsewhere_and_no_pickle(run, name: str) -> None:
    path = run.directory / "record.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "fitted": {name: "0" * 32}}))
    with pytest.raises(UserError, match=f"{Path(name).name}|no file in this folder"):
        _ = FinishedRun(Run(run.directory), 0, trust=TRUST).module


@pytest.mark.parametrize("split", ["val", "test"])
def test_nothing_is_chosen_on_rows_that_are_measured(compose, monkeypatch, split):
    monkeypatch.setattr(Centroids, "fit", lambda model, predict, data: predict(split))
    with pytest.raises(ValueError, match=f"calibrate: {split} is what this model is measured on"):
        train(compose(*MODEL))


@pytest.mark.parametrize(
    ("model", "message"),
    [("Unread", r"reads no row of calibration \(unread_splits\)"), ("Choosing", "chosen on its rows")],
)
def test_what_is_read_is_what_the_model_says(compose, model, message) -> None:
    with pytest.raises(ValueError, match=message):
        train(compose(*MODEL, f"model._target_=tests.engine.centroids.{model}"))


def test_a_model_that_says_that_it_selects_on_val_is_given_its_rows(compose) -> None:
    config = compose(*MODEL, "model._target_=tests.engine.centroids.Selecting")
    train(config)
    run = Job.of(config).run
    assert read_state(run.directory / STATE)["val_rows"] == run.record.splits["val"]["n"]
    assert run.record.state is RunState.DONE and "val" in run.record.fitted_on and "val" in run.metrics
