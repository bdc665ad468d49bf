"""The table of what the listed jobs of a sweep reach on every task."""

import pandas as pd
import pytest
from tests.engine.sweeping import InProcess

from hallmark.checks import SettingError
from hallmark.engine.search.job_comparison import job_table
from hallmark.engine.search.jobs import Search
from hallmark.engine.search.sweep import sweep
from hallmark.report.gather import gather
from hallmark.runs.repeats import open_result

pytestmark = pytest.mark.e2e

JOBS = '{plain: ["model.ngrams=1"], pairs: ["model.ngrams=2"], weak: ["model.inverse_regularisation=0.01"]}'
LISTED = f"{{_target_: hallmark.engine.search.plans.JobList, jobs: {JOBS}}}"
GRID = "{_target_: hallmark.engine.search.plans.Grid}, space: {model.ngrams: [1]}"
TABLE = (
    "{_target_: hallmark.analysis.multitask.task_table.TaskTable, single: {main: plain}, metrics: [macro_f1], "
    "statistics: {_target_: hallmark.statistics.Resampling, confidence_level: 0.9, n_resamples: 40, seed: 0}}"
)


def listed(table: str = TABLE, plan: str = LISTED) -> str:
    return f"+sweep={{name: listed, objectives: null, pruner: null, plan: {plan}, table: {table}}}"


@pytest.fixture
def carry_out(typed, small, monkeypatch):
    """A function from overrides to the search of their sweep, carried out in this process."""

    monkeypatch.setattr("hallmark.engine.search.sweep.Pool", InProcess)
    monkeypatch.setattr("hallmark.engine.search.sweep._POLL_SECONDS", 0)

    def carry_out(*overrides) -> Search:
        config = typed("experiment=sentiment_tfidf", *small, *overrides)
        sweep(config)
        return Search.of(config)

    return carry_out


def test_all_jobs_stand_side_by_side_and_again_without_training_and_never_on_test(carry_out, monkeypatch, capsys):
    search = carry_out(listed())
    folder = search.directory
    table = pd.read_csv(folder / "tasks.csv")
    assert table["method"].tolist() == ["single-task", "pairs", "weak"]
    runs = {row["job"]: open_result(row["directory"]) for row in pd.read_csv(folder / "trials.csv").to_dict("records")}
    measured = [runs[name].metrics["val"]["main"]["macro_f1"] for name in ("plain", "pairs", "weak")]
    assert table["main/macro_f1"].tolist() == pytest.approx(measured)
    assert table["delta_m"].iloc[2] == pytest.approx(100 * (measured[2] / measured[0] - 1))
    assert (table["seconds"] > 0).all()
    assert (folder / "figures" / "tasks.png").exists()
    assert "in all" in capsys.readouterr().out
    files = {name: (folder / name).read_bytes() for name in ("tasks.csv", "tasks.md")}
    monkeypatch.setattr("lightning.Trainer.fit", lambda *_, **__: pytest.fail("a finished job was fitted again"))
    carry_out(listed())
    assert {name: (folder / name).read_bytes() for name in files} == files
    with pytest.raises(ValueError, match=r"sweep\.table\.split=test: job plain .* no such predictions; those of the"):
        carry_out(listed(TABLE[:-1] + ", split: test}"))
    (section,) = [candidate for candidate in gather([folder]).sections if candidate.title == f"Sweep {folder.name}"]
    comparison = next(block for block in section.blocks if "Δm %" in getattr(block, "columns", ()))
    assert [row[0] for row in comparison.rows] == ["single-task", "pairs", "weak"] and "Split `val`" in comparison.note


@pytest.mark.parametrize(
    ("sweep", "message"),
    [
        (listed(TABLE.replace("plain}", "plane}")), r"^sweep\.table\.single\.main='plane': expected one of the jobs"),
        (listed(TABLE.replace("macro_f1", "f2")), r"^sweep\.table\.metrics=\['f2'\]"),
        (listed(plan=GRID), r"^sweep\.table=.*expected null, or a plan that lists its jobs"),
    ],
)
def test_a_mistake_is_refused_before_the_first_job(search_of, sweep, message):
    with pytest.raises(SettingError, match=message):
        job_table(search_of(sweep))


def test_most_sweeps_have_no_such_table(search_of):
    assert job_table(search_of("sweep=grid", "sweep.space={model.ngrams: [1]}")) is None
