"""A sweep: checked whole before it starts, trained by workers, repeatable, never mixed with another one."""

import re
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import optuna
import pandas as pd
import pytest
from optuna.trial import TrialState

from hallmark.checks import Interrupted
from hallmark.engine.search.jobs import Search
from hallmark.engine.search.study import SweepStudy
from hallmark.engine.search.worker import work
from hallmark.engine.sweep import sweep
from hallmark.runs.record import RunState
from hallmark.runs.repeats import RepeatSet
from hallmark.runs.run import Run
from hallmark.storage.files import read_json

STRENGTH = "model.inverse_regularisation"
PRESET = "experiment=sentiment_tfidf"
THREE = ["sweep=grid", f"sweep.space={{{STRENGTH}: [1.0, 2.0, 4.0]}}"]
RANDOM = ["sweep=random", "sweep.plan.trials=3", f"sweep.space={{{STRENGTH}: {{low: 0.1, high: 10.0, log: true}}}}"]


class InProcess:
    """In the place of worker processes: the same work in this one."""

    alive = 0

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def died(self) -> list[Path]:
        return []

    def keep(self, wanted: int) -> None:
        if wanted:
            found = Search.load(self.directory)
            work(found, found.study())


@pytest.fixture
def search(compose, small, monkeypatch) -> Callable[..., SweepStudy]:
    """A function from overrides to the study of their sweep, carried out in this process."""

    @contextmanager
    def pool(directory, size):
        yield InProcess(directory)

    monkeypatch.setattr("hallmark.engine.sweep.pool", pool)
    monkeypatch.setattr("hallmark.engine.sweep._POLL_SECONDS", 0)
    monkeypatch.setattr("hallmark.engine.search.summary.save_figure", lambda *_: None)  # they take longest

    def search(*overrides: str) -> SweepStudy:
        config = compose(PRESET, *small, *overrides, command="sweep")
        sweep(config)
        config.rerun = False
        return Search.of(config).study()

    return search


@pytest.fixture
def trained(monkeypatch) -> list[float]:
    """The strengths that were trained, in their order; the value of a trial is a tenth of its strength."""
    found: list[float] = []

    def train(config, hopeless=None) -> float:
        found.append(config.model.inverse_regularisation)
        return found[-1] / 10

    monkeypatch.setattr("hallmark.engine.search.worker.train_repeats", train)
    return found


def replace_training(monkeypatch, trained: list[float], error: BaseException) -> None:
    """Raise `error` in the trial of strength 2."""

    def train(config, hopeless=None) -> float:
        trained.append(config.model.inverse_regularisation)
        if trained[-1] == 2:
            raise error
        return trained[-1] / 10

    monkeypatch.setattr("hallmark.engine.search.worker.train_repeats", train)


def test_each_trial_is_the_run_that_train_makes_of_the_same_settings(search, fit, files, monkeypatch):
    study = search("sweep=grid", f"sweep.space={{model.ngrams: [1], {STRENGTH}: [1.0, 4.0]}}")
    runs = [Run(Path(one.user_attrs["directory"])) for one in study.completed]
    before = [files(run) for run in runs]
    monkeypatch.setattr("lightning.Trainer.fit", lambda *_, **__: pytest.fail("a finished trial was fitted again"))
    expected = [fit(PRESET, "model.ngrams=1", f"{STRENGTH}={strength}") for strength in (1.0, 4.0)]
    assert [run.directory for run in runs] == [run.directory for run in expected]
    assert [one.value for one in study.completed] == [run.record.selected["value"] for run in expected]
    again = search("sweep=grid", f"sweep.space={{model.ngrams: [1], {STRENGTH}: [1.0, 4.0]}}")
    assert [files(run) for run in runs] == before
    assert [one.number for one in again.trials()] == [0, 1]


def test_what_a_sweep_leaves(search, trained):
    study = search(*THREE)
    assert trained == [1.0, 2.0, 4.0]
    manifest, summary = read_json(study.directory / "manifest.json"), read_json(study.directory / "summary.json")
    assert manifest["space"] == {STRENGTH: [1.0, 2.0, 4.0]}
    assert manifest["metric"] == "val/macro_f1"
    assert (summary["state"], summary["best"]["number"], summary["best"]["value"]) == ("done", 2, 0.4)
    assert pd.read_csv(study.directory / "trials.csv")[STRENGTH].tolist() == [1.0, 2.0, 4.0]


def test_the_second_time_nothing_is_trained(search, trained):
    search(*THREE)
    assert len(search(*THREE).trials()) == 3
    assert trained == [1.0, 2.0, 4.0]


def test_a_failed_trial_is_listed_and_the_same_command_tries_only_it_again(search, trained, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        replace_training(patch, trained, RuntimeError("out of memory"))
        with pytest.raises(ValueError, match=r"^1 of 3 trials failed; the same command tries them again$"):
            search(*THREE)
    assert "trial 1 failed: RuntimeError: out of memory" in capsys.readouterr().out
    assert trained == [1.0, 2.0, 4.0]
    study = search(*THREE)
    assert trained == [1.0, 2.0, 4.0, 2.0]
    assert [one.value for one in study.completed] == [0.1, 0.2, 0.4]
    assert read_json(study.directory / "summary.json")["states"] == {"complete": 3}


def test_when_all_have_failed_there_is_no_best_one(search, trained, monkeypatch, tmp_path):
    with monkeypatch.context() as patch:
        replace_training(patch, trained, RuntimeError("out of memory"))
        with pytest.raises(ValueError, match=r"^1 of 1 trials failed"):
            search("sweep=grid", f"sweep.space={{{STRENGTH}: [2.0]}}")
    (summary,) = (tmp_path / "outputs").rglob("summary.json")
    assert {key: read_json(summary)[key] for key in ("state", "best", "states")} == {
        "state": "failed", "best": None, "states": {"failed": 1},
    }  # fmt: skip


def test_after_a_stop_the_same_command_trains_what_is_missing(search, trained, monkeypatch, tmp_path):
    with monkeypatch.context() as patch:
        replace_training(patch, trained, Interrupted("SIGTERM: stopped after step 3"))
        with pytest.raises(Interrupted, match="SIGTERM"):
            search(*THREE)
    assert list((tmp_path / "outputs").rglob("summary.json")) == []
    study = search(*THREE)
    assert trained == [1.0, 2.0, 2.0, 4.0]
    assert [(one.number, one.value) for one in study.completed] == [(0, 0.1), (1, 0.2), (2, 0.4)]


def test_trials_may_be_raised_later_and_the_first_ones_stay(search, trained):
    search(*RANDOM)
    first = list(trained)
    study = search(*RANDOM, "sweep.plan.trials=5")
    assert len(first) == 3 and len(trained) == 5 and trained[:3] == first
    assert [one.params[STRENGTH] for one in study.completed] == trained
    search(*RANDOM, "sweep.plan.trials=4")
    assert len(trained) == 5


def test_the_fine_trials_follow_the_coarse_ones(search, trained):
    plan = ["sweep=coarse_to_fine", "sweep.plan.coarse=3", "sweep.plan.fine=2", "sweep.plan.share=0.2"]
    study = search(*plan, f"sweep.space={{{STRENGTH}: {{low: 0.0, high: 10.0}}}}")
    best = max(trained[:3])
    assert len(trained) == len(study.completed) == 5
    assert all(best - 1 <= strength <= best + 1 for strength in trained[3:])
    assert len(search(*plan, f"sweep.space={{{STRENGTH}: {{low: 0.0, high: 10.0}}}}").trials()) == 5


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


def test_a_changed_search_is_refused_with_what_changed(search, trained):
    search(*THREE)
    for what, (overrides, lines) in CHANGED.items():
        with pytest.raises(ValueError, match=r"was begun as another search[^$]*rerun=true") as refused:
            search(*THREE, *overrides)
        assert str(refused.value).splitlines()[1:-1] == lines, what
    assert len(trained) == 3


def test_a_changed_search_under_another_name_is_another_sweep(search, trained):
    first = search(*THREE)
    second = search("sweep=grid", f"sweep.space={{{STRENGTH}: [8.0]}}", "sweep.name=other")
    assert first.directory.parent == second.directory.parent
    assert ([len(one.trials()) for one in (first, second)], trained) == ([3, 1], [1.0, 2.0, 4.0, 8.0])


def test_other_settings_are_another_sweep(search, trained):
    assert search(*THREE).directory != search(*THREE, "seed=1").directory
    assert len(trained) == 6


def test_changed_code_is_named_by_its_file(search, trained, monkeypatch):
    study = search(*THREE)
    hashes = {**study.manifest["provenance"]["code"], "learning/optim.py": "0" * 12}
    monkeypatch.setattr("hallmark.engine.sweep.code_hashes", lambda _: hashes)
    with pytest.raises(ValueError, match=r"begun on another ground; it differs in code: learning/optim\.py\. Give"):
        search(*THREE, f"sweep.space={{{STRENGTH}: [1.0, 2.0, 4.0]}}")


def test_other_data_is_refused_and_rerun_starts_anew(search, trained, corpus):
    overrides = [*THREE, f"data.folder={corpus}"]
    search(*overrides)
    table = pd.read_csv(corpus / "train.txt", dtype=str)
    table.iloc[1:].to_csv(corpus / "train.txt", index=False)
    with pytest.raises(ValueError, match="begun on another ground; it differs in data: fingerprint"):
        search(*overrides)
    assert len(trained) == 3
    search(*overrides, "rerun=true")
    assert len(trained) == 6


@pytest.mark.parametrize("elsewhere", [False, True])
def test_rerun_starts_anew_wherever_the_study_is(search, trained, tmp_path, elsewhere):
    storage = [f"storage=sqlite:///{tmp_path / 'elsewhere.db'}"] if elsewhere else []
    search(*THREE, *storage)
    study = search("sweep=grid", f"sweep.space={{{STRENGTH}: [8.0]}}", *storage, "rerun=true")
    assert trained == [1.0, 2.0, 4.0, 8.0]
    assert [one.params for one in study.study.trials] == [{STRENGTH: 8.0}]
    assert (study.directory / "study.db").exists() != elsewhere
    assert study.manifest["space"] == {STRENGTH: [8.0]}


def test_a_second_machine_finds_all_done_and_has_the_same_summary(search, trained, tmp_path, monkeypatch):
    storage = f"storage=sqlite:///{tmp_path / 'shared.db'}"
    here = search(*THREE, storage)
    monkeypatch.setenv("HALLMARK_OUTPUTS", str(tmp_path / "there"))
    there = search(*THREE, storage)
    assert len(trained) == 3
    assert here.directory != there.directory
    for name in ("manifest.json", "summary.json", "trials.csv"):
        assert (here.directory / name).read_text() == (there.directory / name).read_text()


def test_the_trial_of_a_machine_that_fell_silent_while_this_one_waited_is_taken_over(
    search, trained, tmp_path, compose, small, monkeypatch
):
    storage = f"storage=sqlite:///{tmp_path / 'shared.db'}"
    other = Search.of(compose(PRESET, *small, *THREE, storage, command="sweep")).study()
    other.fill()
    trial = other.claim("a worker of another machine")
    moments = iter([0.0])
    monkeypatch.setattr("hallmark.engine.search.study.SILENT_SECONDS", 0.0)
    monkeypatch.setattr(SweepStudy, "reclaim", _from_the_second_on(SweepStudy.reclaim, moments))
    assert [(one.number, one.state) for one in search(*THREE, storage).trials()] == [
        (number, TrialState.COMPLETE) for number in range(3)
    ]
    assert trial.number == 0 and len(trained) == 3


def _from_the_second_on(reclaim, moments):
    """`reclaim` that finds nobody silent the first time, which is when the sweep starts."""
    return lambda study, *, blame: reclaim(study, blame=blame) if next(moments, None) is None else []


def test_a_mistake_is_refused_before_anything_is_written(search, trained, tmp_path):
    with pytest.raises(ValueError, match=re.escape("did you mean model.ngrams?")):
        search("sweep=grid", "sweep.space={model.ngram: [1]}")
    with pytest.raises(ValueError, match="expected a search space, such as sweep=clip_grid"):
        search()
    assert not (tmp_path / "outputs").exists()


def test_no_file_holds_a_secret_of_the_environment(search, trained, monkeypatch, tmp_path):
    monkeypatch.setenv("PGPASSWORD", "very-secret-word")
    with monkeypatch.context() as patch:
        replace_training(patch, trained, RuntimeError("refused: very-secret-word"))
        with pytest.raises(ValueError, match="1 of 3"):
            search(*THREE)
    (summary,) = (tmp_path / "outputs").rglob("summary.json")
    assert all(b"very-secret" not in path.read_bytes() for path in summary.parent.rglob("*") if path.is_file())


def test_workers_that_die_before_they_begin_end_the_sweep(search, trained, monkeypatch):
    monkeypatch.setattr(InProcess, "keep", lambda self, wanted: None)
    monkeypatch.setattr(InProcess, "died", lambda self: [self.directory / "workers" / "1.log"])
    with pytest.raises(ValueError, match=r"workers die before they begin a trial; the reason is in .*1\.log"):
        search(*THREE)


def test_a_trial_may_be_a_set_of_repeats(search):
    study = search("sweep=grid", "sweep.space={model.ngrams: [1]}", "repeat='seeds:2'")
    (trial,) = study.completed
    repeats = RepeatSet(Path(trial.user_attrs["directory"]))
    values = [member.run.record.selected["value"] for member in repeats.members]
    assert repeats.state is RunState.DONE
    assert trial.value == pytest.approx(sum(values) / 2)


def test_a_trial_of_repeats_is_judged_after_each_of_them(search):
    pruner = "sweep.pruner={_target_: optuna.pruners.ThresholdPruner, lower: 2.0}"
    study = search("sweep=grid", "sweep.space={model.ngrams: [1]}", "repeat='seeds:3'", pruner)
    (trial,) = study.trials()
    repeats = RepeatSet(Path(trial.user_attrs["directory"]))
    assert (trial.state, repeats.state) == (TrialState.PRUNED, RunState.INTERRUPTED)
    done, *rest = [member.run.record for member in repeats.members]
    assert (done.state, rest) == (RunState.DONE, [None, None])
    assert trial.intermediate_values == {1: done.selected["value"]}
    assert len(search("sweep=grid", "sweep.space={model.ngrams: [1]}", "repeat='seeds:3'", pruner).study.trials) == 1


def test_the_study_is_an_ordinary_one(search, trained):
    study = search(*THREE)
    (name,) = optuna.get_all_study_names(f"sqlite:///{study.directory / 'study.db'}")
    loaded = optuna.load_study(study_name=name, storage=f"sqlite:///{study.directory / 'study.db'}")
    assert loaded.best_params == {STRENGTH: 4.0}
    assert loaded.direction.name == "MAXIMIZE"
