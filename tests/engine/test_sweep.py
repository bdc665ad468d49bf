"""A grid: checked whole before it starts, one ordinary run a point, and repeatable."""

import re

import optuna
import pytest

from hallmark.checks import Interrupted
from hallmark.engine.sweep import sweep
from hallmark.runs.run import Run

GRID = "sweep={name: try, grid: {model.ngrams: [1, 2], model.inverse_regularisation: [1.0, 4.0]}}"
THREE = "sweep={name: try, grid: {model.inverse_regularisation: [1.0, 2.0, 4.0]}}"


@pytest.fixture
def search(compose, small, tmp_path):
    """A function from a grid and overrides to the runs below the outputs after its sweep."""

    def search(grid: str = GRID, *overrides: str) -> list[Run]:
        sweep(compose("experiment=sentiment_tfidf", *small, f"++{grid}", *overrides, command="sweep"))
        return runs()

    def runs() -> list[Run]:
        return [Run(path.parent) for path in sorted((tmp_path / "outputs" / "sentiment_tfidf").glob("*/record.json"))]

    search.runs = runs
    return search


def trials(tmp_path) -> list[tuple[dict, float]]:
    storage = f"sqlite:///{tmp_path / 'outputs' / 'sentiment_tfidf' / 'sweep.db'}"
    names = optuna.get_all_study_names(storage)
    return [(t.params, t.value) for name in names for t in optuna.load_study(study_name=name, storage=storage).trials]


def test_each_point_is_the_run_that_train_makes_of_it(search, run_of, tmp_path):
    runs = search()
    expected = [
        run_of("experiment=sentiment_tfidf", f"model.ngrams={ngrams}", f"model.inverse_regularisation={strength}")
        for ngrams in (1, 2)
        for strength in (1.0, 4.0)
    ]
    assert {run.directory for run in runs} == {run.directory for run in expected}
    points = [({"model.ngrams": n, "model.inverse_regularisation": c}) for n in (1, 2) for c in (1.0, 4.0)]
    values = [run.record.selected["value"] for run in expected]
    assert trials(tmp_path) == list(zip(points, values, strict=True))


def test_the_second_time_nothing_is_trained(search, files, monkeypatch, tmp_path):
    before = [files(run) for run in search(THREE)]
    monkeypatch.setattr("lightning.Trainer.fit", lambda *_, **__: pytest.fail("a finished point was fitted again"))
    assert [files(run) for run in search(THREE)] == before
    assert len(trials(tmp_path)) == 3


@pytest.mark.parametrize("kind", [RuntimeError, Interrupted])
def test_after_a_stop_the_same_command_trains_the_missing_points(search, monkeypatch, tmp_path, kind):
    from hallmark.engine import sweep as module

    real, calls = module.train, []

    def train_until_the_second(config):
        calls.append(config)
        if len(calls) == 2:
            raise kind("in the second point")
        return real(config)

    with monkeypatch.context() as patch:
        patch.setattr(module, "train", train_until_the_second)
        with pytest.raises(kind):
            search(THREE)
    assert len(calls) == 2
    first = {run.directory: run.best.stat().st_mtime_ns for run in search.runs()}
    assert len(first) == 1
    after = {run.directory: run.best.stat().st_mtime_ns for run in search(THREE)}
    assert len(after) == 3
    assert first.items() <= after.items()
    assert len({tuple(point.values()) for point, _ in trials(tmp_path)}) == len(trials(tmp_path)) == 3


def test_other_settings_are_another_sweep(search, tmp_path):
    one = "sweep={name: try, grid: {model.ngrams: [1]}}"
    search(one)
    assert len(search(one, "seed=1")) == 2
    assert len(search("sweep={name: try, grid: {model.ngrams: [1, 2]}}")) == 3


WRONG = {
    "a key that does not exist": (
        "{model.ngrams: [1, 2], model.ngram: [1]}",
        "sweep.grid.model.ngram=[1]: expected a key of this preset; did you mean model.ngrams?",
    ),
    "a value of a wrong type in the model": ("{model.ngrams: [1, two]}", "model.ngrams='two': expected a valid int"),
    "a value of a wrong type in the data": ("{data.batch_size: [8, x]}", "data.batch_size='x': expected a valid int"),
    "a value for a list": ("{model.ngrams: 2}", "sweep.grid.model.ngrams=2: expected a list of values"),
    "an empty list": ("{model.ngrams: []}", "sweep.grid.model.ngrams=[]: expected a list of values"),
    "an empty grid": ("{}", "sweep.grid={}: expected lists of values"),
}  # fmt: skip


@pytest.mark.parametrize(("grid", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_grid_is_refused_before_its_first_point(search, tmp_path, grid, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        search(f"sweep={{name: try, grid: {grid}}}")
    assert not (tmp_path / "outputs").exists()


def test_no_grid_at_all(compose, small):
    with pytest.raises(ValueError, match="expected a search space, such as sweep=clip_grid"):
        sweep(compose("experiment=sentiment_tfidf", *small, command="sweep"))


def test_settings_that_are_null_by_default_can_be_searched(search):
    assert len(search("sweep={name: try, grid: {callbacks.early_stopping.patience: [1], init_from: [null]}}")) == 1
