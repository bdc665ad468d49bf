"""A run at a fixed place is the run of its settings: found by that name, by its children, and typed again."""

import shutil
from pathlib import Path

import pytest
from tests.engine.student import DIGITS, MADE

from hallmark.checks import SettingError
from hallmark.engine.cached.done import report_noted
from hallmark.engine.job import Job
from hallmark.engine.search.jobs import Search
from hallmark.runs.record import RunState
from hallmark.runs.run import open_run

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("no_report")]


@pytest.fixture
def place(tmp_path) -> str:
    return f"paths.run_dir={tmp_path / 'output' / 'fixed'}"


def test_a_child_takes_the_run_at_a_fixed_place_as_its_parent(fit, compose, small, place, tmp_path):
    fixed = fit(*DIGITS, place)
    assert fixed.directory == tmp_path / "output" / "fixed"
    expected = fixed.record.started, fixed.record.weights
    child = fit(*MADE)
    assert child.record.parents["init_from"]["source"] == str(fixed.directory)
    again = fit(*DIGITS)  # without the place
    assert again.directory == fixed.directory and (again.record.started, again.record.weights) == expected
    assert report_noted(Job.of(compose(*small, *DIGITS))) == again.record.selected["value"]
    assert open_run(tmp_path / "outputs" / "digits_classifier" / "latest").record.run_id == fixed.record.run_id


def test_a_stopped_run_at_a_fixed_place_goes_on_there(fit, place, compose, small):
    fixed = fit(*DIGITS, place)
    fixed.record.state = RunState.RUNNING
    fixed.record.write(fixed.directory)
    child = fit(*MADE)
    parent = open_run(fixed.directory)
    assert parent.record.resumed == 1 and child.record.parents["init_from"]["source"] == str(fixed.directory)


@pytest.mark.parametrize("state", ["gone", "of other settings"])
def test_a_fixed_place_that_holds_the_run_no_more_is_left_as_it_is(fit, place, tmp_path, state):
    fixed = fit(*DIGITS, place)
    if state == "gone":
        shutil.rmtree(fixed.directory)
    else:
        fit(*DIGITS, "seed=1", place, "rerun=true")
    before = sorted(tmp_path.joinpath("output").rglob("*"))
    child = fit(*MADE)
    source = Path(child.record.parents["init_from"]["source"])
    assert source == tmp_path / "outputs" / "digits_classifier" / fixed.record.run_id and not source.is_symlink()
    assert sorted(tmp_path.joinpath("output").rglob("*")) == before


def test_a_refit_is_not_listed(fit, evaluate, place, tmp_path):
    fixed = fit(*DIGITS, place)
    evaluate(fixed, "split=out_of_fold", "out_of_fold.folds=2")
    assert [path.name for path in (tmp_path / "outputs" / "digits_classifier").iterdir()] == [fixed.record.run_id]


def test_a_sweep_has_no_fixed_place(typed, place):
    with pytest.raises(SettingError) as raised:
        Search.of(typed(*DIGITS, place, "sweep=grid", "sweep.space={model.dropout: [0.3, 0.4]}"))
    assert raised.value.key == "paths.run_dir"
