"""The numbers of a generator with a judge, from its fit to its report: all of them, wherever distances are."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hallmark.engine.evaluate import evaluate
from hallmark.engine.repeats import train_repeats
from hallmark.report.gather import gather
from hallmark.report.render import write
from hallmark.runs.repeats import RepeatSet
from hallmark.statistics.metrics.sets import COMPARED, SET_METRICS

pytestmark = pytest.mark.e2e

_JUDGE = "['model.width=4','trainer.max_epochs=1','trainer.limit_train_batches=8','callbacks.progress=null']"
GAN = [
    "experiment=digits_gan", "parents.classifier=null", "model.class_weight=0", f"++parents.judge.overrides={_JUDGE}",
    "model.width=2", "data.batch_size=32", "callbacks.progress=null", "callbacks.pictures=null", "trainer.max_epochs=1",
    "trainer.limit_train_batches=4",
]  # fmt: skip


@pytest.fixture(scope="module")
def repeats(compose, tmp_path_factory) -> RepeatSet:
    """Two seeds; nothing is printed."""
    outputs = tmp_path_factory.mktemp("outputs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hallmark.engine.train.print_result", lambda *_: [])
        train_repeats(compose(*GAN, f"paths.outputs={outputs}", "repeat=seeds:2"))
    (path,) = outputs.glob("digits_gan/*/repeats.json")
    return RepeatSet(path.parent)


def test_a_run_has_all_of_them_and_a_set_their_mean(repeats: RepeatSet) -> None:
    values = [member.run.metrics["val"]["main"] for member in repeats.members]
    assert all(set(metrics) == {*SET_METRICS, "n"} for metrics in values)
    summary = repeats.metrics()["val"]["main"]
    for name in ("frechet_ratio", "diversity", "nyquist_energy", "judge_accuracy_real", "fake_trained_accuracy"):
        assert summary[name]["mean"] == pytest.approx(np.mean([metrics[name] for metrics in values])), name


def test_the_terminal_shows_them_and_names_the_extractor(compose, repeats: RepeatSet, capsys) -> None:
    evaluate(compose(f"run={repeats.members[0].run.directory}", "split=val", command="evaluate"))
    printed = " ".join(capsys.readouterr().out.split())
    assert all(name in printed for name in SET_METRICS)
    assert "Features: DigitsClassifier of the judge." in printed and "fid" not in printed.lower()


def test_generators_are_compared_by_those_with_a_direction(compose, repeats: RepeatSet) -> None:
    first, second = (member.run.directory for member in repeats.members)
    overrides = ["analysis=compare", f"analysis.compare.baseline={second}", "statistics.n_resamples=100"]
    evaluate(compose(f"run={first}", *overrides, command="evaluate"))
    table = pd.read_csv(first / "analysis" / "compare.csv")
    assert set(table["metric"]) == set(COMPARED)
    assert table.loc[table["metric"] == "copies", "verdict"].notna().all()


def test_the_report_shows_them(repeats: RepeatSet, tmp_path: Path) -> None:
    markdown, _ = write(gather([repeats.members[0].run.directory]), tmp_path)
    text = markdown.read_text()
    assert "judge accuracy" in text and "copies (lower is better)" in text
    assert "Features: DigitsClassifier of the judge." in text
