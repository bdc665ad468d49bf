"""What is shown while a sweep runs."""

import io
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from optuna.trial import TrialState
from rich.console import Console

from hallmark.engine.search.plans import Grid
from hallmark.engine.search.progress_table import ProgressTable
from hallmark.engine.search.space import Space
from hallmark.engine.search.study import Objective, SweepStudy

pytestmark = pytest.mark.filterwarnings("ignore:Selection of the SingletonThreadPool")

RAW = {"model.lr": [0.1, 0.25], "model.head": ["a", "b"]}


def begin(folder: Path, raw: dict) -> SweepStudy:
    """A study of the grid of `raw`, no trial of which has begun."""
    space = Space.of(OmegaConf.create(raw), list(raw))
    url = f"sqlite:///file:{folder}?mode=memory&cache=shared&uri=true"
    objectives = [Objective("val/macro_f1", "max")]
    study = SweepStudy(folder / "sweep", "try", url, plan=Grid(), space=space, objectives=objectives)
    study.enqueue_pending()
    return study


@pytest.fixture
def study(tmp_path) -> SweepStudy:
    return begin(tmp_path, RAW)


def tell(study: SweepStudy, value: float | None, seconds: float | None = None, **told) -> None:
    trial = study.claim("w")
    study.space.suggest(trial)
    if seconds is not None:
        trial.set_user_attr("seconds", seconds)
    study.study.tell(trial, value, **told)


def rows(study: SweepStudy, jobs: int = 1) -> tuple[list[list[str]], str]:
    """The cells of each row, and the caption."""
    table = ProgressTable(study, "try", jobs).table(study.trials())
    Console(file=io.StringIO()).print(table)
    return [list(row) for row in zip(*(column.cells for column in table.columns), strict=True)], str(table.caption)


def test_the_table_has_running_and_ended_trials_and_marks_the_best(study):
    tell(study, 0.5, 10.0)
    tell(study, 0.75, 20.0)
    running = study.claim("w")
    study.space.suggest(running)
    running.report(0.25, 0)
    running.report(0.125, 1)
    cells, caption = rows(study)
    assert cells[:2] == [["0", "complete", "0.500", "10", "0.1", "a"], ["1 *", "complete", "0.750", "20", "0.1", "b"]]
    assert cells[2][:3] + cells[2][4:] == ["2", "running", "0.125", "0.25", "a"]
    assert int(cells[2][3]) >= 0
    assert len(cells) == 3
    assert caption == "2 complete, 1 running, 1 waiting · about 0:00:30 left"


@pytest.mark.parametrize(("jobs", "left"), [(1, "0:00:30"), (2, "0:00:15"), (8, "0:00:10")])
def test_what_remains_is_shared_by_the_workers(study, jobs, left):
    tell(study, 0.5, 10.0)
    assert rows(study, jobs)[1] == f"1 complete, 3 waiting · about {left} left"


def test_before_the_first_trial_has_ended_nothing_is_guessed(study):
    study.claim("w")
    cells, caption = rows(study)
    assert (cells[0][:3], caption) == (["0", "running", "–"], "1 running, 3 waiting")


def test_only_the_latest_trials_and_the_best_are_shown(tmp_path):
    study = begin(tmp_path, {"model.lr": [*range(22)]})
    for number in range(20):
        tell(study, -float(number))
    assert [row[0] for row in rows(study)[0]] == ["0 *", *map(str, range(4, 20))]


def test_where_there_is_no_terminal_each_trial_that_ends_is_a_line(study, capsys):
    tell(study, 0.125)
    with ProgressTable(study, "try", 1) as board:
        board.refresh()
        tell(study, 0.5, 10.0)
        board.refresh()
        board.refresh()
        trial = study.claim("w")
        study.space.suggest(trial)
        study.fail(trial.number, "RuntimeError: out of memory")
        tell(study, None, state=TrialState.PRUNED)
        board.refresh()
    assert capsys.readouterr().out.splitlines() == [
        "trial 1 complete 0.500 (model.lr=0.1, model.head=b) · 2 complete, 2 waiting · about 0:00:20 left",
        "trial 2 failed (model.lr=0.25, model.head=a) RuntimeError: out of memory · 2 complete, 1 failed, 1 pruned",
        "trial 3 pruned (model.lr=0.25, model.head=b) · 2 complete, 1 failed, 1 pruned",
    ]


def test_on_a_terminal_the_table_is_drawn_again(study, monkeypatch):
    drawn = io.StringIO()
    monkeypatch.setattr(
        "hallmark.engine.search.progress_table.Console", lambda: Console(file=drawn, force_terminal=True, width=120)
    )
    with ProgressTable(study, "my sweep", 1) as board:
        tell(study, 0.5, 10.0)
        board.refresh()
        assert "0 *" in drawn.getvalue()
        tell(study, 0.75, 10.0)
    assert "1 *" in drawn.getvalue()
    assert "my sweep" in drawn.getvalue()
