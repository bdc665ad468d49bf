"""One number has one text, wherever it is printed: terminal, files of analyses, report, W&B and release."""

from collections.abc import Callable

import pandas as pd
import pytest
from benchmarks.tables import difference_table
from tests.engine.offline import Offline, folders
from tests.engine.releasing import released
from tests.engine.test_ready import KNOWN, WORLD
from tests.systems.refseg.parts import preset, write_world

from hallmark.console import main
from hallmark.engine.config.trust import Trust
from hallmark.engine.evaluate import evaluate
from hallmark.engine.job import Job
from hallmark.engine.release.readiness import CHECKS
from hallmark.engine.repeats import train_repeats
from hallmark.runs.configuration import default_resampling
from hallmark.runs.predictions import read_predictions
from hallmark.runs.run import Run
from hallmark.statistics import metric_interval
from hallmark.statistics.text import NO_INTERVAL, interval_text, number_text, with_ends

pytestmark = pytest.mark.e2e

SYSTEMS = {
    "sentiment": ("main", "macro_f1", ["experiment=sentiment_tfidf"], "model.inverse_regularisation=0.01"),
    "touch": ("action", "macro_f1", ["experiment=touch_equal", "trainer.max_epochs=1"], "seed=1"),
    "refseg": ("main", "miou", [], "model.max_iter=0"),
}
TRUSTED = "trusted_packages=[tests]"


@pytest.fixture
def two_runs(compose, small_of, tmp_path) -> Callable[[str], list[Run]]:
    """A function from the name of a system to two of its runs on the same rows."""

    def two_runs(system: str) -> list[Run]:
        _, _, overrides, other = SYSTEMS[system]
        if system == "refseg":
            source = write_world(tmp_path / "world", WORLD)
            overrides = preset("refseg_loop", source, *KNOWN, f"paths.cache={tmp_path / 'cache'}")
        else:
            overrides = [*overrides, *small_of(overrides[0].removeprefix("experiment="))]
        configs = [compose(*overrides, "logger=wandb", *changes) for changes in ((), (other,))]
        for config in configs:
            train_repeats(config)
        return [Job.of(config).run for config in configs]

    return two_runs


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_number_has_one_text_on_every_page(system, two_runs, compose, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "200")
    task, metric, *_ = SYSTEMS[system]
    run, other = two_runs(system)
    pages = {"terminal": capsys.readouterr().out}
    rows = read_predictions(run.directory / "predictions" / "val.parquet")
    interval = metric_interval(rows[rows["task"] == task], metric, resampling=default_resampling())
    text = interval_text(interval)

    assert number_text(run.metrics["val"][task][metric]) == text.partition(" ")[0]
    logged = Offline.of(folders(run.directory)[-1]).summary
    assert logged[f"final/val/{task}/{metric}/text"] == text

    analyses = ["analysis=[compare]", f"analysis.compare.baseline={other.directory}"]
    analyses += ["analysis.compare.metrics=[macro_f1,accuracy]", TRUSTED, f"paths.cache={tmp_path / 'cache'}"]
    evaluate(compose(f"run={run.directory}", *analyses, command="evaluate"))
    compared = pd.read_csv(run.directory / "analysis" / "compare.csv").set_index(["task", "metric"]).loc[(task, metric)]
    assert with_ends(compared["value"], compared["value_low"], compared["value_high"]) == text
    pages["compare.md"] = (run.directory / "analysis" / "compare.md").read_text()

    assert main(["report", str(run.directory), str(other.directory), "--output", str(tmp_path / "report")]) == 0
    for name in ("report.md", "report.html"):
        pages[name] = (tmp_path / "report" / name).read_text()
    trust = Trust.of(compose(TRUSTED, f"paths.cache={tmp_path / 'cache'}", command="evaluate"))
    released(run, *CHECKS, tagged=False, trust=trust, into=tmp_path / "RESULTS.md")
    pages["release"] = (tmp_path / "RESULTS.md").read_text()
    for name, page in pages.items():
        assert text in page, f"{name} lacks {text}"
        if system == "refseg":  # whose world has two pictures to validate on
            assert NO_INTERVAL in " ".join(page.split()), f"{name} says nothing of the interval that is missing"

    difference = with_ends(*compared[["difference", "difference_low", "difference_high"]], sign="+")
    cells = [line.strip("| ").split(" | ") for line in pages["compare.md"].splitlines()]
    p_texts = next(row[6:8] for row in cells if row[0] == task and len(row) == 9 and row[5] == difference)
    assert f"| {' | '.join([difference, *p_texts])} |" in pages["report.md"]
    if system == "sentiment":  # whose only task has the comparisons that a benchmark makes
        tables = [read_predictions(result.directory / "predictions" / "val.parquet") for result in (run, other)]
        (cell,) = difference_table({"A − B": (tables[0], tables[1])})
        adjusted = p_texts[1] if p_texts[1].startswith("<") else f"= {p_texts[1]}"
        assert cell["macro F1"]["text"].startswith(f"{difference}, p {adjusted}, ")
