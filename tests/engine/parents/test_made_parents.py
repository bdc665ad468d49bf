"""Presets as parents are made where they are missing, once, before their child."""

import shutil
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest
from omegaconf import OmegaConf
from tests.engine.student import DIGITS, MADE, PARENT, STACKER

import hallmark.engine.make_parents as make_parents_module
from hallmark.checks import SettingError
from hallmark.data.leakage import LeakageError
from hallmark.engine.cached.done import report_noted
from hallmark.engine.job import Job
from hallmark.engine.repeats import train_repeats
from hallmark.runs.parents import kept_parents
from hallmark.runs.record import RunState, lineage
from hallmark.runs.registry import find_entries
from hallmark.runs.repeats import RepeatSet
from hallmark.runs.run import Run, RunConflict, RunDirectory

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("no_report")]


DROPOUT = "model.dropout"


def test_a_parent_is_made_once_and_is_an_ordinary_run(compose, small, fit, fits, run_of, capsys):
    child = fit(*MADE)
    assert fits == ["digits_classifier", "child"]
    parent = run_of(*DIGITS)
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith(f"1 parent to be fitted first (digits_classifier/{parent.record.run_id}): how long")
    assert child.record.parents["init_from"]["weights"] == parent.record.weights["tensors"]
    assert child.record.leakage["checks"]["fitted by parent init_from"] == "clean"
    assert report_noted(Job.of(compose(*small, *MADE))) == child.record.selected["value"]
    shutil.rmtree(parent.directory)
    assert fit(*MADE).directory == child.directory
    assert fits == ["digits_classifier", "child"] and not parent.directory.exists()


def test_a_parent_that_is_there_is_used_and_its_time_known(fit, fits, capsys):
    parent = fit(*DIGITS)
    child = fit(*MADE)
    assert fits == ["digits_classifier", "child"]
    assert child.record.parents["init_from"]["run_id"] == parent.record.run_id
    capsys.readouterr()
    fit(*MADE, "seed=1")
    assert "by earlier runs" in capsys.readouterr().out.splitlines()[0]


def test_a_parent_that_was_made_again_and_came_out_otherwise_is_a_conflict(fit, compose, small):
    child = fit(*MADE)
    parent = Run(Job.of(compose(*small, *MADE)).presets["init_from"].job.directory)
    parent.record.weights = {**parent.record.weights, "tensors": "0" * 32}
    parent.record.write(parent.directory)
    with pytest.raises(RunConflict, match="rerun=true"):
        fit(*MADE)
    grandchild = compose(*small, *DIGITS, "name=grandchild")
    child_node = {"experiment": "digits_classifier", "overrides": [*DIGITS[2:], *MADE[len(DIGITS) :]]}
    OmegaConf.update(grandchild, "parents.init_from", child_node, force_add=True)
    with pytest.raises(RunConflict, match=r"^parents\.init_from: .*its init_from .*Remove that folder"):
        Job.of(grandchild)
    again = fit(*MADE, "rerun=true")
    assert again.directory == child.directory and again.record.parents["init_from"]["weights"] == "0" * 32


def test_a_parent_that_was_made_on_other_data_is_what_the_sentence_is_about(fit):
    parent = fit(*DIGITS)
    parent.record.provenance.data = "0" * 32
    parent.record.write(parent.directory)
    with pytest.raises(RunConflict) as raised:
        fit(*MADE)
    assert str(raised.value).startswith(f"parents.init_from: {parent.directory} ")
    assert "rerun=true to replace" not in str(raised.value)


@pytest.mark.parametrize("sets", [MADE, STACKER])
def test_a_parent_that_another_process_works_on_is_waited_for(fit, fits, run_of, sets, monkeypatch, capsys):
    parent = fit(*DIGITS)
    with ExitStack() as other:
        other.enter_context(RunDirectory(parent.directory).locked())
        monkeypatch.setattr(make_parents_module, "time", SimpleNamespace(sleep=lambda _: other.close()))
        child = fit(*sets)
    assert child.record.state is RunState.DONE
    assert capsys.readouterr().out.count(f"{parent.directory}: another process works on this parent") == 1


def test_what_cannot_be_fitted_is_refused_before_its_parents_are_made(fit, fits, run_of):
    with pytest.raises(SettingError):
        fit(*MADE, "monitor.metric=val/nothing")
    assert fits == [] and not run_of(*DIGITS).directory.exists()


def test_every_fold_has_a_parent_of_its_own(compose, small, fits):
    config = compose(*small, *MADE, "repeat=folds:3")
    train_repeats(config)
    members = RepeatSet(Job.of(config).directory).members
    assert fits == ["digits_classifier", "child"] * 3
    parents = [kept_parents(member.directory, member.run.record)["init_from"] for member in members]
    assert len({parent.run_id for parent in parents}) == 3
    ids = ", ".join(parent.run_id for parent in parents)
    (entry,) = find_entries([RepeatSet(Job.of(config).directory).directory])[:1]
    assert entry.parents == {"init_from": f"digits_classifier/{ids} (weights)"}
    for member, parent in zip(members, parents, strict=True):
        assert parent.record.splits == member.run.record.splits
        assert member.run.record.leakage["checks"]["fitted by parent init_from"] == "clean"
    train_repeats(config)
    assert len(fits) == 6


def test_seeds_share_a_parent_of_one_seed(compose, small, fits):
    config = compose(*small, *MADE, "repeat=seeds:2", "+parents.init_from.seed=0")
    for _ in range(2):
        train_repeats(config)
    assert fits == ["digits_classifier", "child", "child"]
    repeats = RepeatSet(Job.of(config).directory)
    (run_id,) = {member.run.record.parents["init_from"]["run_id"] for member in repeats.members}
    assert lineage(repeats.record.parents) == {"init_from": f"digits_classifier/{run_id} (weights)"}


def test_a_set_of_folds_gives_each_fold_its_member(compose, small, fit, fits):
    sets = compose(*small, *DIGITS, "repeat=folds:2")
    train_repeats(sets)
    folds = RepeatSet(Job.of(sets).directory)
    child = (*DIGITS, "name=child", f"init_from={folds.directory}")
    config = compose(*small, *child, "repeat=folds:2")
    train_repeats(config)
    members = RepeatSet(Job.of(config).directory).members
    ids = [member.run.record.parents["init_from"]["run_id"] for member in members]
    assert ids == [member.run.record.run_id for member in folds.members]
    with pytest.raises(SettingError, match="a set of repeats with a member"):
        fit(*child)
    single = compose(*small, *DIGITS, "name=single", f"init_from={folds.members[0].directory}", "repeat=folds:2")
    with pytest.raises(LeakageError):
        train_repeats(single)
    spelled = compose(*small, *child, "repeat=folds:2")
    spelled.init_from = f"{folds.directory}/../{folds.directory.name}"
    assert Job.of(spelled).id == Job.of(config).id
    shutil.rmtree(folds.directory)
    for member in folds.members:
        shutil.rmtree(member.directory)
    n_fits = len(fits)
    train_repeats(config)
    assert len(fits) == n_fits


def test_generations_are_made_in_their_order(fits, compose, small):
    node = {
        "experiment": "digits_classifier",
        "overrides": ["name=middle", f"+parents.init_from={PARENT}", *DIGITS[2:]],
    }
    config = compose(*small, *DIGITS, "name=child")
    OmegaConf.update(config, "parents.init_from", node, force_add=True)
    train_repeats(config)
    child = Job.of(config).run
    assert fits == ["digits_classifier", "middle", "child"]
    assert set(child.record.leakage["checks"]) >= {
        "fitted by parent init_from", "fitted by parent init_from/init_from",
    }  # fmt: skip
    assert child.record.parents["init_from"]["parents"]["init_from"]["name"] == "digits_classifier"


def test_trials_of_a_sweep_share_a_parent(swept, fits, run_of):
    study = swept(*MADE, "sweep=grid", f"sweep.space={{{DROPOUT}: [0.3, 0.4]}}")
    assert fits == ["digits_classifier", "child", "child"]
    runs = [Run(Path(trial.user_attrs["directory"])) for trial in study.trials()]
    parent = run_of(*DIGITS)
    assert {run.record.parents["init_from"]["weights"] for run in runs} == {parent.record.weights["tensors"]}
    shutil.rmtree(parent.directory)
    swept(*MADE, "sweep=grid", f"sweep.space={{{DROPOUT}: [0.3, 0.4]}}")
    assert len(fits) == 3


def test_the_gate_stops_a_sweep_whose_parent_has_another_split(swept, fit, fits):
    parent = fit(*DIGITS, "data.split.seed=1")
    with pytest.raises(ValueError, match="1 of 1 trials failed"):
        swept(*DIGITS, "name=child", f"init_from={parent.directory}", "sweep=grid", f"sweep.space={{{DROPOUT}: [0.3]}}")
    assert fits == ["digits_classifier"]


def test_rows_of_a_parent_that_are_read_otherwise_are_refused(fit):
    parent = fit(*DIGITS)
    parent.record.data["content"] = "0" * 32
    parent.record.write(parent.directory)
    with pytest.raises(ValueError, match=r"^init_from: .* other rows or another split"):
        fit(*MADE)
