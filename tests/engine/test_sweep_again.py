"""The same sweep begun again: it goes on, or is refused with what has changed."""

import pandas as pd
import pytest
from optuna.trial import TrialState
from tests.engine.sweeping import PRESET, RANDOM, STRENGTH, THREE, replace_training, silence

from hallmark.checks import Interrupted
from hallmark.engine.search.jobs import Search
from hallmark.engine.search.study import SweepStudy
from hallmark.storage.files import read_json

pytestmark = pytest.mark.e2e


def test_the_second_time_nothing_is_trained(swept, trained):
    swept(*THREE)
    assert len(swept(*THREE).trials()) == 3
    assert trained == [1.0, 2.0, 4.0]


def test_a_failed_trial_is_listed_and_the_same_command_tries_only_it_again(swept, trained, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        replace_training(patch, trained, RuntimeError("out of memory"))
        with pytest.raises(ValueError, match=r"^1 of 3 trials failed; the same command tries them again$"):
            swept(*THREE)
    assert "trial 1 failed: RuntimeError: out of memory" in capsys.readouterr().out
    assert trained == [1.0, 2.0, 4.0]
    study = swept(*THREE)
    assert trained == [1.0, 2.0, 4.0, 2.0]
    assert [trial.value for trial in study.completed] == [0.1, 0.2, 0.4]
    assert read_json(study.directory / "summary.json")["states"] == {"complete": 3}


def test_after_a_stop_the_same_command_trains_what_is_missing(swept, trained, monkeypatch, tmp_path):
    with monkeypatch.context() as patch:
        replace_training(patch, trained, Interrupted("SIGTERM: stopped after step 3"))
        with pytest.raises(Interrupted, match="SIGTERM"):
            swept(*THREE)
    assert list((tmp_path / "outputs").rglob("summary.json")) == []
    study = swept(*THREE)
    assert trained == [1.0, 2.0, 2.0, 4.0]
    assert [(trial.number, trial.value) for trial in study.completed] == [(0, 0.1), (1, 0.2), (2, 0.4)]


def test_trials_may_be_raised_later_and_the_first_ones_stay(swept, trained):
    swept(*RANDOM)
    first = list(trained)
    study = swept(*RANDOM, "sweep.plan.trials=5")
    assert len(first) == 3 and len(trained) == 5 and trained[:3] == first
    assert [trial.params[STRENGTH] for trial in study.completed] == trained
    swept(*RANDOM, "sweep.plan.trials=4")
    assert len(trained) == 5


CHANGED = {
    "space": (
        [f"sweep.space={{{STRENGTH}: [1.0, 2.0, 8.0]}}"],
        [f"- sweep.space.{STRENGTH}: [1.0, 2.0, 4.0]", f"+ sweep.space.{STRENGTH}: [1.0, 2.0, 8.0]"],
    ),
    "another key": (
        ["++sweep.space={model.ngrams: [1]}"], ["+ sweep.space.model.ngrams: [1]"],
    ),
    "plan": (
        ["sweep=random", "sweep.name=grid"],
        ["- sweep.plan._target_: hallmark.engine.search.plans.Grid",
         "+ sweep.plan._target_: hallmark.engine.search.plans.Random", "+ sweep.plan.seed: 0"],
    ),
    "objectives": (
        ["sweep.objectives=[{metric: val/accuracy, mode: max}]"],
        ["- sweep.objectives: [{'metric': 'val/macro_f1', 'mode': 'max'}]",
         "+ sweep.objectives: [{'metric': 'val/accuracy', 'mode': 'max'}]"],
    ),
    "pruner": (
        ["sweep.pruner={_target_: optuna.pruners.MedianPruner}"],
        ["+ sweep.pruner: {'_target_': 'optuna.pruners.MedianPruner'}"],
    ),
}  # fmt: skip


def test_a_changed_search_is_refused_with_what_changed(swept, trained):
    swept(*THREE)
    for what, (overrides, lines) in CHANGED.items():
        with pytest.raises(ValueError, match=r"was created with another search[^$]*rerun=true") as refused:
            swept(*THREE, *overrides)
        assert str(refused.value).splitlines()[1:-1] == lines, what
    assert len(trained) == 3


def test_a_manifest_that_names_a_class_as_it_was_once_called_is_the_same_search(swept, trained, monkeypatch):
    study = swept(*THREE)
    plan = {**study.manifest["plan"], "_target_": "hallmark.engine.search.plans.Lattice"}
    study.describe({**study.manifest, "plan": plan})
    with pytest.raises(ValueError, match="was created with another search"):
        swept(*THREE)
    names = {"hallmark.engine.search.plans.Lattice": "hallmark.engine.search.plans.Grid"}
    monkeypatch.setattr("hallmark.engine.config.earlier._RENAMED", names)
    swept(*THREE)
    assert len(trained) == 3


def test_a_changed_search_under_another_name_is_another_sweep(swept, trained):
    first = swept(*THREE)
    second = swept("sweep=grid", f"sweep.space={{{STRENGTH}: [8.0]}}", "sweep.name=other")
    assert first.directory.parent == second.directory.parent
    assert ([len(study.trials()) for study in (first, second)], trained) == ([3, 1], [1.0, 2.0, 4.0, 8.0])


def test_other_settings_are_another_sweep(swept, trained):
    assert swept(*THREE).directory != swept(*THREE, "seed=1").directory
    assert len(trained) == 6


def test_changed_code_is_named_by_its_file(swept, trained, monkeypatch):
    study = swept(*THREE)
    hashes = {**study.manifest["provenance"]["code"], "learning/optim.py": "0" * 12}
    monkeypatch.setattr("hallmark.engine.job.code_hashes", lambda *_: hashes)
    with pytest.raises(ValueError, match=r"created from different data or code: code: learning/optim\.py\. Give"):
        swept(*THREE, f"sweep.space={{{STRENGTH}: [1.0, 2.0, 4.0]}}")


def test_other_data_is_refused_and_rerun_starts_anew(swept, trained, corpus):
    overrides = [*THREE, f"data.folder={corpus}"]
    swept(*overrides)
    table = pd.read_csv(corpus / "train.txt", dtype=str)
    table.iloc[1:].to_csv(corpus / "train.txt", index=False)
    with pytest.raises(ValueError, match="created from different data or code: data: fingerprint"):
        swept(*overrides)
    assert len(trained) == 3
    swept(*overrides, "rerun=true")
    assert len(trained) == 6


@pytest.mark.parametrize("elsewhere", [False, True])
def test_rerun_starts_anew_wherever_the_study_is(swept, trained, tmp_path, elsewhere):
    storage = [f"storage=sqlite:///{tmp_path / 'elsewhere.db'}"] if elsewhere else []
    swept(*THREE, *storage)
    study = swept("sweep=grid", f"sweep.space={{{STRENGTH}: [8.0]}}", *storage, "rerun=true")
    assert trained == [1.0, 2.0, 4.0, 8.0]
    assert [trial.params for trial in study.study.trials] == [{STRENGTH: 8.0}]
    assert (study.directory / "study.db").exists() != elsewhere
    assert study.manifest["space"] == {STRENGTH: [8.0]}


def test_a_second_machine_finds_all_done_and_has_the_same_summary(swept, trained, tmp_path, monkeypatch):
    storage = f"storage=sqlite:///{tmp_path / 'shared.db'}"
    here = swept(*THREE, storage)
    monkeypatch.setenv("HALLMARK_OUTPUTS", str(tmp_path / "there"))
    there = swept(*THREE, storage)
    assert len(trained) == 3
    assert here.directory != there.directory
    for name in ("manifest.json", "summary.json", "trials.csv"):
        assert (here.directory / name).read_text() == (there.directory / name).read_text()


def test_the_trial_of_a_machine_that_fell_silent_while_this_one_waited_is_taken_over(
    swept, trained, tmp_path, compose, small, monkeypatch
):
    storage = f"storage=sqlite:///{tmp_path / 'shared.db'}"
    other = Search.of(compose(PRESET, *small, *THREE, storage, command="sweep")).study()
    other.enqueue_pending()
    trial = other.claim("a worker of another machine")
    moments = iter([0.0])
    silence(other, 61)
    monkeypatch.setattr(SweepStudy, "requeue_stale", _from_the_second_on(SweepStudy.requeue_stale, moments))
    assert [(result.number, result.state) for result in swept(*THREE, storage).trials()] == [
        (number, TrialState.COMPLETE) for number in range(3)
    ]
    assert trial.number == 0 and len(trained) == 3


def _from_the_second_on(requeue_stale, moments):
    """`requeue_stale` that finds nobody silent the first time, which is when the sweep starts."""
    return lambda study, *crashed: requeue_stale(study, *crashed) if next(moments, None) is None else []
