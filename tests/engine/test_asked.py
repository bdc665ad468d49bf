"""What was asked is what was done: settings without effect are refused, label files name each row once."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from hydra.core.hydra_config import HydraConfig

from hallmark.checks import SettingError
from hallmark.engine.evaluate import evaluate as evaluate_config
from hallmark.engine.evaluate import train_and_analyze
from hallmark.engine.job import Job
from hallmark.engine.repeats import train_repeats
from hallmark.engine.search.jobs import Search
from hallmark.runs.predictions import read_predictions
from hallmark.runs.repeats import RepeatSet

TFIDF = "experiment=sentiment_tfidf"
GRID = ("sweep=grid", "sweep.space={model.ngrams: [1, 2]}")


@pytest.fixture
def asked(compose) -> Iterator:
    """A function from a command and its overrides to their configuration, as under `hydra.main`."""
    import hydra
    from tests.conftest import PROJECT

    def asked(command, *overrides):
        with hydra.initialize_config_dir(str(PROJECT / "conf"), version_base="1.3"):
            HydraConfig.instance().set_config(hydra.compose(command, list(overrides), return_hydra_config=True))
        return compose(*overrides, command=command)

    yield asked
    HydraConfig.instance().cfg = None


@pytest.mark.parametrize(
    ("overrides", "keys"),
    [
        ([TFIDF, "data.folder=/other", "seed=99"], "experiment, data.folder, seed"),
        (["split=test", "trainer.max_epochs=3"], "trainer.max_epochs"),
        (["profile=full"], "profile"),
        (["+note=1", "analysis=[slices]", "features.enabled=false"], "note, features.enabled"),
        (["logger=wandb", "rerun=true"], "logger, rerun"),
        (["paths.outputs=elsewhere"], "paths.outputs"),
        (["seal.reason=because"], "seal.reason"),
        (["analysis=[slices]", "out_of_fold.folds=5"], "out_of_fold.folds"),
    ],
)
def test_what_an_evaluation_of_a_run_would_ignore_is_refused(asked, tmp_path, overrides, keys):
    config = asked("evaluate", f"run={tmp_path}", *overrides)
    with pytest.raises(ValueError, match=f"^{keys}: no effect"):
        evaluate_config(config)


@pytest.mark.e2e
def test_what_an_evaluation_reads_is_not_refused(asked, fitted):
    run = fitted(TFIDF)
    bad = ["analysis=[bad_cases]", "analysis.bad_cases.source=val", "analysis.bad_cases.limit=3"]
    evaluate_config(asked("evaluate", f"run={run.directory}", "split=train", *bad))
    assert (run.directory / "predictions" / "train.parquet").exists()


@pytest.mark.e2e
def test_folds_are_refused_where_nothing_reads_them_and_where_others_are_stored(asked, fitted):
    with pytest.raises(ValueError, match=r"^out_of_fold\.folds: no effect"):
        train_and_analyze(asked("train", TFIDF, "out_of_fold.folds=2"))
    asking = (f"run={fitted(TFIDF).directory}", "split=out_of_fold")
    evaluate_config(asked("evaluate", *asking, "out_of_fold.folds=2"))
    with pytest.raises(ValueError, match=r"^out_of_fold\.folds=4: expected 2, as "):
        evaluate_config(asked("evaluate", *asking, "out_of_fold.folds=4"))


@pytest.mark.parametrize("typed", [[TFIDF], ["experiment=deepfake_cascade", "repeat=seeds:2"]], ids=["other", "set"])
def test_an_analysis_of_one_module_is_refused_before_others_or_several_are_made(asked, tmp_path, monkeypatch, typed):
    monkeypatch.setenv("HALLMARK_OUTPUTS", str(tmp_path))
    with pytest.raises(SettingError) as refused:
        train_and_analyze(asked("train", *typed, "analysis=[cascade]"))
    assert refused.value.key == "analysis" and not any(tmp_path.iterdir())


@pytest.mark.parametrize("key", ["trainer.max_epochs", "trainer.accumulate_grad_batches"])
def test_settings_of_a_fit_are_refused_where_nothing_is_fitted(asked, key):
    for command, what in (("train", train_and_analyze), ("evaluate", evaluate_config)):
        with pytest.raises(ValueError, match=f"^{key}: no effect"):
            what(asked(command, "experiment=refseg_loop", f"{key}=3"))


@pytest.mark.parametrize(
    ("overrides", "keys"),
    [
        ([*GRID, "analysis=[slices]"], "analysis"),
        ([*GRID, "model.ngrams=2"], "model.ngrams"),
        (["sweep.plan._target_=hallmark.engine.search.plans.JobList", "sweep=grid", "seed=3", "model.ngrams=1",
          "+sweep.plan.jobs={a: ['model.ngrams=1'], b: ['model.ngrams=2', 'seed=4']}"], "model.ngrams"),
    ],
)  # fmt: skip
def test_what_a_sweep_would_ignore_is_refused(typed, overrides, keys):
    with pytest.raises(ValueError, match=f"^{keys}: no effect"):
        Search.of(typed(TFIDF, *overrides))


@pytest.mark.e2e
def test_a_logger_that_a_finished_run_was_made_without_is_named(fit, capsys):
    fit(TFIDF)
    fit(TFIDF)
    assert "logger=" not in capsys.readouterr().out
    fit(TFIDF, "logger=wandb")
    assert "logger=wandb: no effect" in capsys.readouterr().out


def test_a_set_answers_unlabelled_rows_by_the_mean_of_its_runs(compose, small):
    config = compose(TFIDF, *small, "repeat=folds:2")
    train_repeats(config)
    repeats = RepeatSet(Job.of(config).directory)
    evaluate_config(compose(f"run={repeats.directory}", "split=predict", command="evaluate"))
    lines = pd.read_csv(repeats.directory / "test_with_label.txt", dtype=str)
    tables = [read_predictions(member.run.directory / "predictions" / "predict.parquet") for member in repeats.members]
    stacked = [np.stack(table.set_index("id")["probabilities"].loc[lines["guid"]]) for table in tables]
    classes = np.array(tables[0].attrs["classes"]["main"])
    assert lines["guid"].is_unique and len(lines) == 20
    assert lines["tag"].tolist() == classes[np.mean(stacked, axis=0).argmax(axis=1)].tolist()


def test_the_label_file_of_two_tasks_names_each_row_once(compose, small_of):
    overrides = ("experiment=touch_balanced", *small_of("touch_balanced"), "trainer.max_epochs=1")
    config = compose(*overrides)
    train_and_analyze(config)
    run = Job.of(config).run
    evaluate_config(compose(f"run={run.directory}", "split=predict", command="evaluate"))
    labels = pd.read_csv(run.directory / "labels.csv", dtype=str)
    table = read_predictions(run.directory / "predictions" / "predict.parquet")
    assert list(labels) == ["id", "action", "state"] and labels["id"].is_unique
    for task in ("action", "state"):
        rows = table[table["task"] == task].set_index("id")
        assert labels[task].tolist() == rows.loc[labels["id"], "prediction"].tolist()


@pytest.mark.e2e
def test_a_start_from_the_latest_run_names_that_run(fitted, compose, small):
    run = fitted(TFIDF)
    job = Job.of(compose(TFIDF, *small, f"init_from={run.directory.parent / 'latest'}"))
    named = Job.of(compose(TFIDF, *small, f"init_from={run.directory}"))
    assert job.config.init_from == str(run.directory)
    assert job.id == named.id
