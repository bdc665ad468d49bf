"""Repeats: one setting trained over seeds or folds, each an ordinary run, as one result."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from omegaconf import DictConfig, OmegaConf

from hallmark.checks import Interrupted, SettingError
from hallmark.engine.job import Job
from hallmark.engine.repeats import train_repeats
from hallmark.engine.train import train
from hallmark.runs.record import Provenance, Record, RunState
from hallmark.runs.repeats import RepeatSet, open_result
from hallmark.runs.run import Run, RunConflict, locked
from hallmark.storage.files import read_json

pytestmark = pytest.mark.e2e

TFIDF = "experiment=sentiment_tfidf"
VALUES = [0.25, 0.75, 0.5, 0.625, 0.375, 0.125]


class Cheap:
    """In the place of `train`: a run with the next of `VALUES`, unless it is there; `fail` by number of the fit."""

    def __init__(self) -> None:
        self.fitted: list[DictConfig] = []
        self.fail: dict[int, BaseException] = {}

    def __call__(self, config: DictConfig, should_prune: object = None) -> float:
        directory = Job.of(config).directory
        record = Record.read(directory)
        if record is None or record.state is not RunState.DONE or config.rerun:
            self.fitted.append(config)
            self._fit(directory, VALUES[len(self.fitted) - 1])
        return Run(directory).record.selected["value"]

    def _fit(self, directory: Path, value: float) -> None:
        record = Record(
            name="try", run_id=directory.name, state=RunState.RUNNING, provenance=Provenance("d", {}), seed=0,
            command=[], started="", git={}, versions={}, device={}, splits={}, leakage={},
        )  # fmt: skip
        directory.mkdir(parents=True, exist_ok=True)
        run = Run(directory, record)
        with run.recorded():
            if error := self.fail.pop(len(self.fitted), None):
                raise error
            record.selected = {"checkpoint": "", "metric": "val/macro_f1", "value": value}
        run.add_metrics("val", {"main": {"macro_f1": value, "accuracy": value / 2, "n": 10}})


@pytest.fixture
def cheap(monkeypatch) -> Cheap:
    repeats = Cheap()
    monkeypatch.setattr("hallmark.engine.train.train", repeats)
    return repeats


@pytest.fixture
def repeat(compose, small) -> Callable[..., RepeatSet]:
    """A function from overrides to the set that they make."""

    def repeat(*overrides: str) -> RepeatSet:
        config = compose(TFIDF, *small, *overrides)
        train_repeats(config)
        return RepeatSet(Job.of(config).directory)

    return repeat


@pytest.fixture
def set_of(compose, small) -> Callable[..., RepeatSet]:
    """A function from overrides to their set as it lies on disk."""
    return lambda *overrides: RepeatSet(Job.of(compose(TFIDF, *small, *overrides)).directory)


def test_the_members_of_seeds_are_the_runs_that_train_makes(repeat, fit, monkeypatch):
    repeats = repeat("repeat='seeds:2'", "seed=3")
    monkeypatch.setattr("lightning.Trainer.fit", lambda *_, **__: pytest.fail("a finished run was fitted again"))
    runs = [fit(TFIDF, f"seed={seed}") for seed in (3, 4)]
    assert [member.run.directory for member in repeats.members] == [run.directory for run in runs]
    assert [(member.note, member.repetition) for member in repeats.members] == [("seed 3", 0), ("seed 4", 1)]
    value = runs[0].metrics["val"]["main"]["macro_f1"]
    spread = read_json(repeats.directory / "metrics.json")["val"]["main"]["macro_f1"]
    assert spread == {"mean": value, "std": None, "n": 1}  # the seed changes nothing in this model
    pooled, n = repeats.predictions("val"), runs[0].record.splits["val"]["n"]
    assert pooled["repetition"].tolist() == [0] * n
    assert pooled["id"].str.partition("@")[2].unique().tolist() == ["seed 3"]
    assert pooled["id"].is_unique
    repeat("repeat='seeds:2'", "seed=3")
    assert open_result(repeats.directory).record.state is RunState.DONE


def test_folds_test_every_row_once(repeat):
    repeats = repeat("repeat='folds:2'")
    tables = [pd.read_csv(member.run.directory / "splits.csv", dtype=str) for member in repeats.members]
    tested = [set(table.loc[table["split"] == "test", "id"]) for table in tables]
    labeled = {row for table in tables for row in table.loc[table["split"].isin(["train", "val", "test"]), "id"]}
    assert not tested[0] & tested[1]
    assert tested[0] | tested[1] == labeled
    assert [(member.note, member.repetition) for member in repeats.members] == [("fold 0", 0), ("fold 1", 0)]


def test_the_value_is_the_mean_and_the_files_tell_mean_std_and_each_run(compose, small, cheap, set_of, capsys):
    overrides = ["repeat='seeds:3'", "seed=1"]
    assert train_repeats(compose(TFIDF, *small, *overrides)) == pytest.approx(np.mean(VALUES[:3]))
    repeats = set_of(*overrides)
    assert repeats.record.state is RunState.DONE
    table = pd.read_csv(repeats.directory / "runs.csv")
    assert table["note"].tolist()[:3] == ["seed 1", "seed 2", "seed 3"]
    assert table["run"].tolist()[3:] == ["mean", "std"]
    expected = [*VALUES[:3], np.mean(VALUES[:3]), np.std(VALUES[:3], ddof=1)]
    assert table["val/macro_f1"].tolist() == pytest.approx(expected)
    assert table["val/accuracy"].tolist() == pytest.approx([value / 2 for value in expected])
    accuracy = read_json(repeats.directory / "metrics.json")["val"]["main"]["accuracy"]
    assert accuracy == {"mean": pytest.approx(0.25), "std": pytest.approx(0.125), "n": 3}
    printed = capsys.readouterr().out
    assert "sentiment_tfidf: repeat 2 of 3, seed 2" in printed
    assert "mean and std over 3 seeds" in printed and "0.500" in printed and "0.250" in printed
    assert OmegaConf.load(repeats.directory / "config.yaml").repeat == "seeds:3"


def test_seeds_begin_at_the_seed_of_the_preset(repeat, cheap):
    repeat("repeat='seeds:3'", "seed=5")
    assert [config.seed for config in cheap.fitted] == [5, 6, 7]
    assert [config.data.split for config in cheap.fitted] == [cheap.fitted[0].data.split] * 3
    assert all(config.repeat is None for config in cheap.fitted)


def test_folds_have_one_seed_and_each_a_fold_of_one_plan(repeat, cheap):
    repeats = repeat("repeat='folds:3'", "seed=5", "data.split.seed=2", "data.split.val=0.2")
    plan = {"_target_": "hallmark.data.splits.KFold", "folds": 3, "val": 0.2, "seed": 2}
    assert [config.data.split for config in cheap.fitted] == [{**plan, "fold": fold} for fold in range(3)]
    assert [config.seed for config in cheap.fitted] == [5, 5, 5]
    assert [(member.note, member.repetition) for member in repeats.members] == [
        (f"fold {fold}", 0) for fold in range(3)
    ]


def test_folds_keep_the_shares_for_further_uses(repeat, cheap):
    repeat("repeat='folds:2'", "data.split.calibration=0.1", "data.split.meta=0.2")
    assert [(config.data.split.calibration, config.data.split.meta) for config in cheap.fitted] == [(0.1, 0.2)] * 2


def test_repetitions_of_folds_have_seeds_of_their_own_for_training_and_split(repeat, cheap):
    repeats = repeat("repeat='folds:3x2'", "seed=5", "data.split.seed=2")
    assert [(config.seed, config.data.split.seed, config.data.split.fold) for config in cheap.fitted] == [
        (5, 2, 0), (5, 2, 1), (5, 2, 2), (6, 3, 0), (6, 3, 1), (6, 3, 2),
    ]  # fmt: skip
    assert [(member.note, member.repetition) for member in repeats.members] == [
        (f"fold {fold}, repetition {repetition}", repetition) for repetition in range(2) for fold in range(3)
    ]


def test_the_first_repetition_of_folds_are_the_plain_folds(repeat, cheap):
    plain, several = repeat("repeat='folds:2'"), repeat("repeat='folds:2x2'")
    assert [member.run.directory for member in several.members[:2]] == [
        member.run.directory for member in plain.members
    ]
    assert plain.directory != several.directory
    assert len(cheap.fitted) == 4


def test_more_seeds_later_train_only_the_further_ones(repeat, cheap):
    repeat("repeat='seeds:2'")
    repeats = repeat("repeat='seeds:3'")
    assert [config.seed for config in cheap.fitted] == [0, 1, 2]
    assert repeats.table()["val/macro_f1"].tolist()[:3] == VALUES[:3]


def test_the_second_time_nothing_is_trained_and_all_stays(repeat, cheap):
    first = repeat("repeat='seeds:2'")
    before = {path.name: path.read_text() for path in first.directory.iterdir() if path.suffix in (".csv", ".json")}
    repeat("repeat='seeds:2'")
    assert len(cheap.fitted) == 2
    after = {path.name: path.read_text() for path in first.directory.iterdir() if path.suffix in (".csv", ".json")}
    assert after == before
    repeat("repeat='seeds:2'", "rerun=true")
    assert len(cheap.fitted) == 4


@pytest.mark.parametrize("repeat", [None, "null"])
def test_without_repeats_it_is_the_run_itself(compose, small, cheap, repeat, monkeypatch):
    calls = []
    monkeypatch.setattr("hallmark.engine.train.train", lambda config, should_prune: calls.append(should_prune) or 0.5)
    overrides = [] if repeat is None else [f"repeat={repeat}"]
    assert train_repeats(compose(TFIDF, *small, *overrides), max) == 0.5
    assert calls == [max]


@pytest.mark.parametrize(
    ("error", "state"),
    [(RuntimeError("out of memory"), RunState.FAILED), (Interrupted("SIGTERM"), RunState.INTERRUPTED),
     (KeyboardInterrupt(), RunState.INTERRUPTED)],
)  # fmt: skip
def test_a_stopped_member_leaves_its_state_and_the_same_command_goes_on(repeat, set_of, cheap, error, state):
    cheap.fail[2] = error
    with pytest.raises(type(error)):
        repeat("repeat='seeds:3'")
    assert set_of("repeat='seeds:3'").record.state is state
    with pytest.raises(ValueError, match=f"the set is {state}; repeat its command"):
        open_result(set_of("repeat='seeds:3'").directory)
    repeats = repeat("repeat='seeds:3'")
    assert repeats.record.state is RunState.DONE
    assert [config.seed for config in cheap.fitted] == [0, 1, 1, 2]


def test_it_may_be_pruned_after_each_repeat_but_the_last_by_their_mean(compose, small, cheap):
    calls = []
    config = compose(TFIDF, *small, "repeat='seeds:3'")
    train_repeats(config, lambda *told: bool(calls.append(told)))
    assert calls == [(1, VALUES[0]), (2, pytest.approx(sum(VALUES[:2]) / 2))]


def test_a_pruned_set_is_left_interrupted(compose, small, cheap, set_of):
    config = compose(TFIDF, *small, "repeat='seeds:3'")
    with pytest.raises(Interrupted, match="pruned after repeat 2"):
        train_repeats(config, lambda number, mean: number == 2)
    assert set_of("repeat='seeds:3'").record.state is RunState.INTERRUPTED
    assert len(cheap.fitted) == 2


@pytest.mark.parametrize(
    "wrong", ["seed:3", "seeds", "seeds:", "seeds:0", "seeds:-1", "seeds:3x2", "folds:1", "folds:0", "folds:5x0",
              "folds:5x", "fold:5", "5", "true"],
)  # fmt: skip
def test_a_misspelled_repeat_is_refused_before_anything_is_written(repeat, cheap, tmp_path, wrong):
    with pytest.raises(ValueError, match=r"^repeat=.*: expected .*folds:K"):
        repeat(f"repeat='{wrong}'")
    assert not (tmp_path / "outputs").exists()


def test_folds_over_a_fixed_split_are_refused(repeat, cheap, tmp_path):
    with pytest.raises(ValueError, match=r"repeat='folds:3': expected a split by shares or folds .*FromFile"):
        repeat("repeat='folds:3'", "data/split=from_file", "data.split.path=splits.csv")
    assert not (tmp_path / "outputs").exists()


def test_a_wrong_setting_is_refused_before_the_first_repeat(repeat, cheap, tmp_path):
    with pytest.raises(ValueError, match=r"model\.ngrams='x'"):
        repeat("repeat='seeds:2'", "model.ngrams=x")
    assert cheap.fitted == []
    assert not (tmp_path / "outputs").exists()


def test_a_fixed_place_is_for_one_run_and_no_set_is_ever_cleared(repeat, cheap, compose, small, tmp_path):
    with pytest.raises(SettingError) as raised:
        repeat("repeat='seeds:2'", f"paths.run_dir={tmp_path / 'fixed'}")
    assert raised.value.key == "paths.run_dir" and not (tmp_path / "fixed").exists()
    repeats = repeat("repeat='seeds:2'")
    with pytest.raises(RunConflict, match="holds a set of repeats"):
        train(compose(TFIDF, *small, f"paths.run_dir={repeats.directory}", "rerun=true"))
    assert RepeatSet(repeats.directory).record == repeats.record


def test_members_are_written_relative_to_the_set(repeat, cheap, tmp_path):
    repeats = repeat("repeat='seeds:2'")
    expected = [f"../{member.run.directory.name}" for member in repeats.members]
    assert [member["directory"] for member in repeats.record.members] == expected
    (tmp_path / "outputs").rename(tmp_path / "archive")
    moved = RepeatSet(tmp_path / "archive" / "sentiment_tfidf" / repeats.directory.name)
    assert moved.table()["val/macro_f1"].tolist()[:2] == VALUES[:2]


def test_two_processes_do_not_work_on_one_set(repeat, set_of, cheap, compose, small):
    folder = Job.of(compose(TFIDF, *small, "repeat='seeds:2'")).directory
    with locked(folder), pytest.raises(ValueError, match="another process is working on this run"):
        repeat("repeat='seeds:2'")
    assert cheap.fitted == []
