"""The test split: nothing reads it but one evaluation, which leaves an access record."""

import json
import os
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from hallmark.console import main
from hallmark.engine import finished as engine
from hallmark.engine.evaluate import evaluate as evaluate_config
from hallmark.engine.finished import sealed_tables
from hallmark.engine.repeats import train_repeats
from hallmark.engine.search.sweep import sweep
from hallmark.runs.access import LabelledRows
from hallmark.runs.run import Run
from hallmark.runs.seal import SealedError, accesses_of

pytestmark = pytest.mark.e2e

TFIDF = "experiment=sentiment_tfidf"
TRUSTED = "trusted_packages=[tests]"
ANALYSES = ["slices", "calibration", "curves", "bad_cases", "augment_text", "augment_images"]


@pytest.fixture
def run(fitted) -> Run:
    return fitted(TFIDF)


@pytest.fixture
def untouchable(project, monkeypatch) -> list[str]:
    """Overrides for a data set that raises when its test rows are touched, in this process and in others."""
    monkeypatch.setenv("PYTHONPATH", str(project), prepend=os.pathsep)
    return [TFIDF, "data._target_=tests.engine.untouchable.Untouchable", TRUSTED]


def test_training_sweeping_repeating_evaluating_and_reporting_do_not_read_the_test_split(
    fit, evaluate, compose, small, untouchable
):
    run, other = fit(*untouchable), fit(*untouchable, "seed=1")
    grid = ["sweep=grid", "sweep.space={model.ngrams: [1, 2]}"]
    sweep(compose(*untouchable, *small, *grid, command="sweep"))
    train_repeats(compose(*untouchable, *small, "repeat=seeds:2"))
    few = ["statistics.n_resamples=50"]
    baseline = f"analysis.compare.baseline={other.directory}"
    evaluate(run, f"analysis=[{','.join([*ANALYSES, 'compare'])}]", baseline, "out_of_fold.folds=2", TRUSTED, *few)
    evaluate(run, "split=train", TRUSTED)
    evaluate(run, "split=predict", TRUSTED)
    assert main(["report", str(run.directory)]) == 0
    assert accesses_of(run) == []
    with pytest.raises(AssertionError, match="a test row was read"):
        evaluate(run, "split=test", TRUSTED)


@pytest.mark.parametrize("stored", [True, False])
def test_an_analysis_does_not_get_the_test_split_from_another(fitted, evaluate, untouchable, stored):
    run = fitted(*untouchable)
    if stored:
        validation = run.directory / "predictions" / "val.parquet"
        shutil.copy(validation, validation.with_name("test.parquet"))
    with pytest.raises(SealedError, match=r"the test split is sealed; only evaluate\.py run=\.\.\. split=test opens"):
        evaluate(run, "analysis=[bad_cases]", "analysis.bad_cases.source=test", TRUSTED)
    assert accesses_of(run) == []


def test_the_first_access_gives_metrics_analyses_and_a_record(evaluate, run):
    evaluate(run, "split=test", "analysis=[slices,bad_cases]", "analysis.bad_cases.source=test")
    (access,) = accesses_of(run)
    assert access.metrics == run.metrics["test"]
    assert access.metrics["main"]["n"] == run.record.splits["test"]["n"]
    assert access.runs[0].split == run.record.splits["test"]["hash"]
    assert set(pd.read_csv(run.directory / "analysis" / "bad_cases.csv")["mined_from"]) == {"test"}


def test_the_same_run_is_refused_a_second_time(evaluate, run):
    evaluate(run, "split=test")
    accuracy = f"accuracy {run.metrics['test']['main']['accuracy']:.3f}"
    with pytest.raises(SealedError, match=re.escape(accuracy)):
        evaluate(run, "split=test")
    evaluate(run, "split=test", "seal.reason=a figure was missing", "analysis=[slices]")
    assert [access.reason for access in accesses_of(run)] == [None, "a figure was missing"]


OTHERS = {"training seed": ["seed=1"], "settings": ["model.ngrams=1"], "split": ["data.split.seed=1"],
          "shares": ["data.split.test=0.2"], "folds": ["data/split=kfold", "data.split.fold=1"]}  # fmt: skip


@pytest.mark.parametrize("change", OTHERS.values(), ids=OTHERS)
def test_another_run_of_the_same_experiment_and_data_is_refused(fitted, evaluate, run, change):
    evaluate(run, "split=test")
    with pytest.raises(SealedError, match=run.record.run_id):
        evaluate(fitted(TFIDF, *change), "split=test")


def test_a_run_that_is_deleted_and_trained_again_is_refused(fit, evaluate, run):
    evaluate(run, "split=test")
    shutil.rmtree(run.directory)
    with pytest.raises(SealedError, match="sealed"):
        evaluate(fit(TFIDF), "split=test")


def test_more_training_rows_do_not_open_the_seal(fit, evaluate, run):
    evaluate(run, "analysis=[bad_cases,augment_text]", "analysis.bad_cases.source=val")
    evaluate(run, "split=test")
    more = [f"data.extra={run.directory / 'analysis' / 'augment_text.csv'}", "data.leakage=report"]
    with pytest.raises(SealedError):
        evaluate(fit(TFIDF, *more), "split=test")


def test_other_experiments_and_other_data_have_an_access_of_their_own(fitted, evaluate, run):
    evaluate(run, "split=test")
    evaluate(fitted("experiment=sentiment_text", "debug=fast"), "split=test")
    evaluate(fitted(TFIDF, "data.sample.seed=8"), "split=test")
    assert len(accesses_of(run)) == 1


def test_an_access_that_was_cut_off_is_finished_by_the_same_command(fitted, evaluate, run, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(engine, "predict_split", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            evaluate(run, "split=test")
    with pytest.raises(SealedError, match="cut off"):
        evaluate(fitted(TFIDF, "seed=1"), "split=test")
    evaluate(run, "split=test")
    assert [access.metrics for access in accesses_of(run)] == [run.metrics["test"]]


UNREAD = {"no test rows": (["data.split.test=0"], "the data has no such rows"), "a bad checkpoint": ([], "damaged")}


@pytest.mark.parametrize(("overrides", "message"), UNREAD.values(), ids=UNREAD)
def test_what_fails_before_anything_is_read_is_no_look(fitted, evaluate, overrides, message):
    run = fitted(TFIDF, *overrides)
    if not overrides:
        run.best.write_bytes(b"nonsense")
    with pytest.raises(ValueError, match=message):
        evaluate(run, "split=test")
    assert accesses_of(run) == []


def test_a_script_reads_the_folds_of_a_model_in_one_recorded_look(fitted):
    runs = [fitted(TFIDF, "data/split=kfold", "data.split.folds=3", f"data.split.fold={fold}") for fold in range(3)]
    tables = sealed_tables(runs, reason="a row of a table")
    (access,) = accesses_of(runs[0])
    assert access.reason == "a row of a table" and [subject.run_id for subject in access.runs] == [
        r.record.run_id for r in runs
    ]
    assert len(pd.concat(tables)["id"].unique()) == sum(len(table) for table in tables)
    again = sealed_tables(runs)
    assert [list(table["id"]) for table in again] == [list(table["id"]) for table in tables]
    with pytest.raises(SealedError):
        sealed_tables([fitted(TFIDF)])
    assert len(accesses_of(runs[0])) == 1


def test_the_seal_is_kept_where_it_is_told(fit, compose, tmp_path, monkeypatch):
    monkeypatch.setenv("HALLMARK_SEALS", str(tmp_path / "office"))
    run = fit(TFIDF)
    evaluate_config(compose(f"run={run.directory}", "split=test", command="evaluate"))
    shutil.rmtree(tmp_path / "outputs")
    with pytest.raises(SealedError):
        evaluate_config(compose(f"run={fit(TFIDF).directory}", "split=test", command="evaluate"))
    (file,) = Path(tmp_path / "office").rglob("*.json")
    assert len(json.loads(file.read_text())["looks"]) == 1


def test_another_policy_for_one_bad_row_does_not_open_a_corpus_again(fit, evaluate, corpus):
    guid = pd.read_csv(corpus / "train.txt", dtype=str)["guid"][0]
    (corpus / "data" / f"{guid}.txt").write_text("")
    runs = [fit(TFIDF, f"data.folder={corpus}", f"data.on_problem.empty_text={policy}") for policy in ("skip", "keep")]
    assert runs[0].record.data["content"] != runs[1].record.data["content"]
    evaluate(runs[0], "split=test")
    tests = [pd.read_csv(run.directory / "splits.csv").query("split == 'test'")["content"] for run in runs]
    seen = len(set(tests[0]) & set(tests[1]))
    with pytest.raises(SealedError, match=rf"of its {len(set(tests[1]))} different test rows {seen} \("):
        evaluate(runs[1], "split=test")
    assert [access.runs[0].run_id for access in accesses_of(runs[1])] == [runs[0].record.run_id]
    evaluate(runs[1], "split=test", "seal.reason=a bad row")
    assert [access.reason for access in accesses_of(runs[0])] == [None, "a bad row"]


def test_a_run_that_did_not_store_its_rows_is_known_by_them_once_it_was_looked_at(run, evaluate):
    splits = run.directory / "splits.csv"
    table = pd.read_csv(splits, dtype=str)
    table.drop(columns="content").to_csv(splits, index=False)
    evaluate(run, "split=test")
    assert pd.read_csv(splits, dtype=str).equals(table)
    (access,) = accesses_of(run)
    assert access.rows == LabelledRows.of(table[["content", "split"]].itertuples(index=False, name=None))
    assert len(access.rows.test) == table[table["split"] == "test"]["content"].nunique()
