"""A sweep from its search to its summary, in this process."""

import re
from pathlib import Path

import optuna
import pandas as pd
import pytest
from optuna.trial import TrialState
from tests.engine.sweeping import PRESET, STRENGTH, THREE, InProcess, replace_training

from hallmark.runs.record import Record, RunState
from hallmark.runs.repeats import RepeatSet
from hallmark.runs.run import Run
from hallmark.storage.files import read_json

pytestmark = pytest.mark.e2e


def test_each_trial_is_the_run_that_train_makes_of_the_same_settings(swept, fit, files, monkeypatch):
    study = swept("sweep=grid", f"sweep.space={{model.ngrams: [1], {STRENGTH}: [1.0, 4.0]}}")
    runs = [Run(Path(trial.user_attrs["directory"])) for trial in study.completed]
    before = [files(run) for run in runs]
    monkeypatch.setattr("lightning.Trainer.fit", lambda *_, **__: pytest.fail("a finished trial was fitted again"))
    expected = [fit(PRESET, "model.ngrams=1", f"{STRENGTH}={strength}") for strength in (1.0, 4.0)]
    assert [run.directory for run in runs] == [run.directory for run in expected]
    assert [trial.value for trial in study.completed] == [run.record.selected["value"] for run in expected]
    again = swept("sweep=grid", f"sweep.space={{model.ngrams: [1], {STRENGTH}: [1.0, 4.0]}}")
    assert [files(run) for run in runs] == before
    assert [trial.number for trial in again.trials()] == [0, 1]


def test_what_a_sweep_leaves(swept, trained):
    study = swept(*THREE)
    assert trained == [1.0, 2.0, 4.0]
    manifest, summary = read_json(study.directory / "manifest.json"), read_json(study.directory / "summary.json")
    assert manifest["space"] == {STRENGTH: [1.0, 2.0, 4.0]}
    assert manifest["metric"] == "val/macro_f1"
    assert (summary["state"], summary["best"]["number"], summary["best"]["value"]) == ("done", 2, 0.4)
    assert pd.read_csv(study.directory / "trials.csv")[STRENGTH].tolist() == [1.0, 2.0, 4.0]


def test_when_all_have_failed_there_is_no_best_one(swept, trained, monkeypatch, tmp_path):
    with monkeypatch.context() as patch:
        replace_training(patch, trained, RuntimeError("out of memory"))
        with pytest.raises(ValueError, match=r"^1 of 1 trials failed"):
            swept("sweep=grid", f"sweep.space={{{STRENGTH}: [2.0]}}")
    (summary,) = (tmp_path / "outputs").rglob("summary.json")
    assert {key: read_json(summary)[key] for key in ("state", "best", "states")} == {
        "state": "failed", "best": None, "states": {"failed": 1},
    }  # fmt: skip


def test_the_fine_trials_follow_the_coarse_ones(swept, trained):
    plan = ["sweep=coarse_to_fine", "sweep.plan.coarse=3", "sweep.plan.fine=2", "sweep.plan.share=0.2"]
    study = swept(*plan, f"sweep.space={{{STRENGTH}: {{low: 0.0, high: 10.0}}}}")
    best = max(trained[:3])
    assert len(trained) == len(study.completed) == 5
    assert all(best - 1 <= strength <= best + 1 for strength in trained[3:])
    assert len(swept(*plan, f"sweep.space={{{STRENGTH}: {{low: 0.0, high: 10.0}}}}").trials()) == 5


def test_a_mistake_is_refused_before_anything_is_written(swept, trained, tmp_path):
    with pytest.raises(ValueError, match=re.escape("did you mean model.ngrams?")):
        swept("sweep=grid", "sweep.space={model.ngram: [1]}")
    with pytest.raises(ValueError, match="expected a search space, such as sweep=clip_grid"):
        swept()
    assert not (tmp_path / "outputs").exists()


def test_no_file_holds_a_secret_of_the_environment(swept, trained, monkeypatch, tmp_path):
    monkeypatch.setenv("PGPASSWORD", "very-secret-word")
    with monkeypatch.context() as patch:
        replace_training(patch, trained, RuntimeError("refused: very-secret-word"))
        with pytest.raises(ValueError, match="1 of 3"):
            swept(*THREE)
    (summary,) = (tmp_path / "outputs").rglob("summary.json")
    assert all(b"very-secret" not in path.read_bytes() for path in summary.parent.rglob("*") if path.is_file())


def test_workers_that_crash_before_they_begin_end_the_sweep(swept, trained, monkeypatch):
    monkeypatch.setattr(InProcess, "keep", lambda self, wanted: None)
    monkeypatch.setattr(InProcess, "crashed", lambda self: [("one", self.directory / "workers" / "1.log")])
    with pytest.raises(ValueError, match=r"workers crash before they begin a trial; the reason is in .*1\.log"):
        swept(*THREE)


def test_a_trial_may_be_a_set_of_repeats(swept):
    study = swept("sweep=grid", "sweep.space={model.ngrams: [1]}", "repeat='seeds:2'")
    (trial,) = study.completed
    repeats = RepeatSet(Path(trial.user_attrs["directory"]))
    values = [member.run.record.selected["value"] for member in repeats.members]
    assert repeats.record.state is RunState.DONE
    assert trial.value == pytest.approx(sum(values) / 2)


def test_a_trial_of_repeats_may_be_pruned_after_each_of_them(swept):
    pruner = "sweep.pruner={_target_: optuna.pruners.ThresholdPruner, lower: 2.0}", "trusted_packages=[optuna]"
    study = swept("sweep=grid", "sweep.space={model.ngrams: [1]}", "repeat='seeds:3'", *pruner)
    (trial,) = study.trials()
    repeats = RepeatSet(Path(trial.user_attrs["directory"]))
    assert (trial.state, repeats.record.state) == (TrialState.PRUNED, RunState.INTERRUPTED)
    done, *later = [Record.read(member.directory) for member in repeats.members]
    assert (done.state, later) == (RunState.DONE, [None, None])
    assert trial.intermediate_values == {1: done.selected["value"]}
    assert len(swept("sweep=grid", "sweep.space={model.ngrams: [1]}", "repeat='seeds:3'", *pruner).study.trials) == 1


def test_the_study_is_an_ordinary_one(swept, trained):
    study = swept(*THREE)
    (name,) = optuna.get_all_study_names(f"sqlite:///{study.directory / 'study.db'}")
    loaded = optuna.load_study(study_name=name, storage=f"sqlite:///{study.directory / 'study.db'}")
    assert loaded.best_params == {STRENGTH: 4.0}
    assert loaded.direction.name == "MAXIMIZE"
