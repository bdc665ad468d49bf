"""What a sweep leaves: its table, the best trial, figures."""

import math

import optuna
import pandas as pd
import pytest
from omegaconf import OmegaConf
from optuna.trial import TrialState

from hallmark.engine.search.plans import Grid
from hallmark.engine.search.space import Space
from hallmark.engine.search.study import Objective, SweepStudy
from hallmark.engine.search.summary import summarize, trials_table
from hallmark.storage.files import read_json

pytestmark = pytest.mark.filterwarnings("ignore:Selection of the SingletonThreadPool")

RAW = {"model.lr": [0.1, 0.25, 0.5], "model.head": ["a", "b"]}
F1, LOSS = Objective("val/macro_f1", "max"), Objective("val/loss", "min")


@pytest.fixture
def study_of(tmp_path):
    """A function from objectives to a study of six trials, none of them begun."""

    def study_of(*objectives: Objective, raw: dict = RAW) -> SweepStudy:
        space = Space.of(OmegaConf.create(raw), list(raw))
        url = f"sqlite:///file:{tmp_path}?mode=memory&cache=shared&uri=true"
        study = SweepStudy(tmp_path / "sweep", "try", url, plan=Grid(), space=space, objectives=objectives)
        study.enqueue_pending()
        return study

    return study_of


def carry_out(study: SweepStudy, *values: float | list[float] | None) -> None:
    """One trial for each value; None is a pruned one, nan a failed one."""
    for value in values:
        trial = study.claim("w")
        study.space.suggest(trial)
        trial.set_user_attr("directory", f"outputs/try/{trial.number}")
        trial.set_user_attr("seconds", 1.5)
        if value is None:
            study.study.tell(trial, state=TrialState.PRUNED)
        elif isinstance(value, float) and math.isnan(value):
            study.fail(trial.number, "RuntimeError: out of memory")
        else:
            study.study.tell(trial, value)


@pytest.mark.parametrize(("objective", "best"), [(F1, 1), (LOSS, 4)])
def test_the_best_trial_is_that_of_the_objective(study_of, objective, best, capsys):
    study = study_of(objective)
    values = [0.25, 0.75, 0.5, None, 0.125, 0.375]
    carry_out(study, *values)
    summarize(study, "try")
    point = {"model.lr": RAW["model.lr"][best // 2], "model.head": "ab"[best % 2]}
    summary = read_json(study.directory / "summary.json")
    assert summary == {
        "state": "done", "metric": objective.metric, "n": 6, "seconds": 9.0,
        "states": {"complete": 5, "pruned": 1},
        "best": {
            "number": best, "value": values[best], "values": {objective.metric: values[best]}, "params": point,
            "directory": f"outputs/try/{best}",
        },
    }  # fmt: skip
    printed = capsys.readouterr().out
    assert f"best: trial {best}, outputs/try/{best}" in printed
    order = [line.split("│")[1].strip() for line in printed.splitlines() if line.startswith("│")]
    ranked = sorted((n for n in range(6) if n != 3), key=lambda n: values[n], reverse=objective.mode == "max")
    assert order == [*map(str, ranked), "3"]


def test_the_table_has_a_row_for_each_trial(study_of):
    study = study_of(F1)
    carry_out(study, 0.25, math.nan, None)
    columns = ["number", "state", "val/macro_f1", "seconds", "directory", "model.lr", "model.head"]
    table = trials_table(study)
    assert list(table) == columns
    assert table["state"].tolist() == ["complete", "failed", "pruned", "waiting", "waiting", "waiting"]
    assert table.iloc[0].tolist() == [0, "complete", 0.25, 1.5, "outputs/try/0", 0.1, "a"]
    assert table["val/macro_f1"].isna().tolist() == [False] + [True] * 5


def test_failed_trials_are_named_with_their_error(study_of, capsys):
    study = study_of(F1)
    carry_out(study, 0.25, math.nan, 0.5, 0.5, 0.5, 0.5)
    summarize(study, "try")
    summary = read_json(study.directory / "summary.json")
    assert (summary["state"], summary["states"]) == ("failed", {"complete": 5, "failed": 1})
    printed = capsys.readouterr().out
    assert "trial 1 failed: RuntimeError: out of memory\n" in printed
    assert f"5 complete, 1 failed · {study.directory}\n" in printed.replace("\n/", "/")


def test_figures_and_table_are_written(study_of):
    study = study_of(F1)
    carry_out(study, 0.25, 0.75, 0.5, None, 0.125, 0.375)
    summarize(study, "try")
    figures = {path.name for path in (study.directory / "figures").iterdir()}
    assert figures == {f"{name}.{kind}" for name in ("history", "importance", "parallel") for kind in ("png", "pdf")}
    table = pd.read_csv(study.directory / "trials.csv")
    assert table["val/macro_f1"].dropna().tolist() == [0.25, 0.75, 0.5, 0.125, 0.375]


def test_importance_waits_for_enough_trials_and_a_key_that_does_not_vary_is_not_drawn(study_of, monkeypatch):
    drawn = {}
    monkeypatch.setattr("hallmark.engine.search.summary.save_figure", lambda path, figure: drawn.update({path.name: 1}))
    monkeypatch.setattr("hallmark.report.sweeps.parallel_coordinates", lambda trials, keys, *_: drawn.update(keys=keys))
    study = study_of(F1, raw={"model.lr": [0.1, 0.25, 0.5], "model.head": ["a"]})
    carry_out(study, 0.25, 0.75, 0.5)
    summarize(study, "try")
    assert drawn == {"history.png": 1, "keys": ["model.lr"], "parallel.png": 1}


def test_two_objectives_have_two_columns_and_a_figure_of_both(study_of):
    study = study_of(F1, LOSS)
    carry_out(study, [0.25, 2.0], [0.75, 3.0], [0.5, 1.0], [0.5, 4.0], [0.125, 0.5], [0.375, 0.25])
    summarize(study, "try")
    table = pd.read_csv(study.directory / "trials.csv")
    assert table["val/loss"].tolist() == [2.0, 3.0, 1.0, 4.0, 0.5, 0.25]
    summary = read_json(study.directory / "summary.json")
    assert (summary["metric"], summary["best"]["values"]) == ("val/macro_f1", {"val/macro_f1": 0.75, "val/loss": 3.0})
    assert (study.directory / "figures" / "trade_off.png").exists()


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_importances_of_two_objectives_are_those_of_a_study_of_the_first_alone(study_of, monkeypatch, direction):
    bars = {}
    monkeypatch.setattr("hallmark.engine.search.summary.importance_bars", bars.update)
    monkeypatch.setattr("hallmark.engine.search.summary.save_figure", lambda *_: None)
    study = study_of(
        Objective("val/macro_f1", direction[:3]), LOSS, raw={"model.lr": [*range(5)], "model.head": ["a", "b"]}
    )
    carry_out(study, *([10.0 + lr if head else -(lr**2), 0.0] for lr in range(5) for head in (0, 1)))
    summarize(study, "try")
    alone = optuna.create_study(direction=direction)
    for trial in study.completed:
        alone.add_trial(
            optuna.trial.create_trial(params=trial.params, distributions=trial.distributions, value=trial.values[0])
        )
    assert bars == optuna.importance.get_param_importances(alone)


@pytest.mark.parametrize("values", [[math.nan] * 6, [None] * 6], ids=["failed", "pruned"])
def test_without_a_complete_trial_there_is_a_summary_and_no_best_one(study_of, values):
    study = study_of(F1)
    carry_out(study, *values)
    summarize(study, "try")
    assert read_json(study.directory / "summary.json")["best"] is None
    assert len(pd.read_csv(study.directory / "trials.csv")) == 6
