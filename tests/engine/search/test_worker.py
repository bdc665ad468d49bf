"""A worker: trains what waits, one after another, and leaves each trial as it ended."""

import math
import signal
from collections.abc import Callable
from types import SimpleNamespace

import optuna
import pandas as pd
import pytest
from filelock import FileLock
from optuna.trial import TrialState

from hallmark.checks import Interrupted
from hallmark.engine.search.study import worker_lock
from hallmark.engine.search.worker import measured_metric, work
from hallmark.runs.record import RunState
from hallmark.storage.files import write_json

STRENGTH = "model.inverse_regularisation"
THREE = ["sweep=grid", f"sweep.space={{{STRENGTH}: [1.0, 2.0, 4.0]}}"]
TWO_OBJECTIVES = "sweep.objectives=[{metric: val/macro_f1, mode: max}, {metric: val/accuracy, mode: max}]"
MEDIAN = "sweep.pruner={_target_: optuna.pruners.MedianPruner, n_startup_trials: 1}"


def strength(config, should_prune=None) -> float:
    return config.model.inverse_regularisation / 10


def states(study) -> list[str]:
    return [trial.state.name for trial in study.trials()]


def test_it_trains_all_that_waits_and_reports_value_time_and_directory(search_of, begin, training, run_of):
    training(strength)
    search = search_of(*THREE)
    study = begin(search)
    work(search, study)
    assert [(trial.params[STRENGTH], trial.value) for trial in study.completed] == [(1.0, 0.1), (2.0, 0.2), (4.0, 0.4)]
    expected = [str(run_of("experiment=sentiment_tfidf", f"{STRENGTH}={c}").directory) for c in (1.0, 2.0, 4.0)]
    assert [trial.user_attrs["directory"] for trial in study.completed] == expected
    assert all(trial.user_attrs["seconds"] >= 0 for trial in study.completed)
    assert list((search.directory / "workers").glob("*.lock")) == []


def test_the_progress_of_a_trial_is_not_drawn(search_of, begin, training):
    progress_bars = []
    training(lambda config, should_prune: progress_bars.append(config.callbacks.progress) or 0.5)
    search = search_of(*THREE)
    work(search, begin(search))
    assert progress_bars == [None] * 3


def ending_at_two(error: BaseException) -> Callable[..., float]:
    """A training that ends with `error` in the trial of strength 2."""

    def train(config, should_prune) -> float:
        if config.model.inverse_regularisation == 2:
            raise error
        return 0.5

    return train


def test_it_holds_its_lock_while_it_trains(search_of, begin, training):
    search = search_of(*THREE)
    study = begin(search)
    held = []

    def look(config, should_prune) -> float:
        worker = study.trials(TrialState.RUNNING)[0].user_attrs["worker"]
        held.append(worker_lock(study.directory, worker).exists() and study.requeue_stale({worker}) == [])
        return 0.5

    training(look)
    work(search, study)
    assert held == [True] * 3


def test_a_failed_trial_does_not_stop_the_others_and_keeps_its_error(search_of, begin, training):
    training(ending_at_two(RuntimeError("out of memory")))
    search = search_of(*THREE)
    study = begin(search)
    work(search, study)
    assert states(study) == ["COMPLETE", "FAIL", "COMPLETE"]
    assert study.trials(TrialState.FAIL)[0].user_attrs["error"] == "RuntimeError: out of memory"
    tried = []
    training(lambda config, should_prune: tried.append(config.model.inverse_regularisation) or 0.5)
    study.enqueue_pending()
    work(search, study)
    assert tried == [2.0]
    assert states(study) == ["COMPLETE"] * 3


def test_an_undefined_value_is_a_failure(search_of, begin, training):
    training(lambda config, should_prune: math.nan)
    search = search_of(*THREE)
    study = begin(search)
    work(search, study)
    assert [trial.user_attrs["error"] for trial in study.trials(TrialState.FAIL)] == [
        "val/macro_f1 is undefined for this trial"
    ] * 3


@pytest.mark.parametrize("kind", [Interrupted, KeyboardInterrupt])
def test_an_interrupted_trial_waits_again_and_goes_on_as_it_is(search_of, begin, training, kind):
    training(ending_at_two(kind("SIGTERM: stopped after step 3")))
    search = search_of(*THREE)
    study = begin(search)
    with pytest.raises(kind):
        work(search, study)
    assert states(study) == ["COMPLETE", "WAITING", "WAITING"]
    training(strength)
    work(search, study)
    assert [(trial.number, trial.value) for trial in study.completed] == [(0, 0.5), (1, 0.2), (2, 0.4)]


def by_epochs(config, should_prune) -> float:
    """Three epochs at the same value, stopped as a fit stops itself."""
    value = {1.0: 0.6, 2.0: 0.3, 4.0: 0.8}[config.model.inverse_regularisation]
    for epoch in range(3):
        if should_prune(epoch, value):
            raise Interrupted("pruned after epoch")
    return value


def test_a_trial_below_the_median_is_pruned_and_not_tried_again(search_of, begin, training):
    training(by_epochs)
    search = search_of(*THREE, MEDIAN)
    study = begin(search)
    work(search, study)
    assert states(study) == ["COMPLETE", "PRUNED", "COMPLETE"]
    assert [trial.intermediate_values for trial in study.trials()] == [dict.fromkeys(range(3), 0.6), {0: 0.3}, {
        0: 0.8, 1: 0.8, 2: 0.8
    }]  # fmt: skip
    study.enqueue_pending()
    assert study.unfinished == []
    assert study.best().params == {STRENGTH: 4.0}


def test_without_a_pruner_nothing_is_pruned(search_of, begin, training):
    training(by_epochs)
    search = search_of(*THREE)
    study = begin(search)
    work(search, study)
    assert states(study) == ["COMPLETE"] * 3


def test_a_pruned_fit_is_left_interrupted_after_its_epoch(search_of, begin, run_of):
    text = ["experiment=sentiment_text", "trainer.max_epochs=3", "trainer.limit_train_batches=1"]
    pruner = "sweep.pruner={_target_: optuna.pruners.ThresholdPruner, lower: 2.0}", "trusted_packages=[optuna]"
    search = search_of(*text, "sweep=grid", "sweep.space={seed: [5]}", *pruner)
    study = begin(search)
    work(search, study)
    assert states(study) == ["PRUNED"]
    run = run_of(*text, "seed=5")
    assert str(run.directory) == study.trials()[0].user_attrs["directory"]
    assert run.record.state is RunState.INTERRUPTED
    history = pd.read_csv(run.directory / "history.csv")
    assert history["epoch"].tolist() == [0]
    assert study.trials()[0].intermediate_values == {0: pytest.approx(history["val/macro_f1"][0])}


def test_several_objectives_are_several_values_of_the_finished_run(search_of, begin, run_of):
    search = search_of("sweep=grid", "sweep.space={model.ngrams: [1]}", TWO_OBJECTIVES)
    study = begin(search)
    work(search, study)
    metrics = run_of("experiment=sentiment_tfidf", "model.ngrams=1").metrics["val"]["main"]
    assert study.completed[0].values == pytest.approx([metrics["macro_f1"], metrics["accuracy"]], rel=1e-6)


def test_a_trial_of_several_objectives_is_not_pruned(search_of, begin, training, monkeypatch):
    training(lambda config, should_prune: 0.25 if should_prune is None else 0.0)
    monkeypatch.setattr("hallmark.engine.search.worker.measured_metric", lambda directory, metric: 0.75)
    search = search_of("sweep=grid", "sweep.space={model.ngrams: [1]}", TWO_OBJECTIVES)
    study = begin(search)
    work(search, study)
    assert study.completed[0].values == [0.25, 0.75]


def test_a_metric_is_that_of_a_run_or_the_mean_of_a_set(tmp_path):
    run, repeats = tmp_path / "run", tmp_path / "set"
    write_json(run / "metrics.json", {"val": {"main": {"accuracy": 0.5}, "image": {"accuracy": 0.25}}})
    members = []
    for number, value in enumerate((0.5, 1.0)):
        directory = tmp_path / f"member{number}"
        write_json(directory / "metrics.json", {"val": {"main": {"accuracy": value}}})
        members.append({"note": f"seed {number}", "repetition": number, "directory": f"../member{number}"})
    fields = {"name": "n", "set_id": "s", "repeat": "seeds:2", "state": "done", "metric": "val/accuracy"}
    write_json(repeats / "repeats.json", {**fields, "mode": "max", "second": None, "command": [], "members": members})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hallmark.runs.run.Record.read", lambda directory: SimpleNamespace(state=RunState.DONE))
        (run / "record.json").touch()
        assert measured_metric(run, "val/accuracy") == 0.5
        assert measured_metric(run, "val/image/accuracy") == 0.25
        with pytest.raises(ValueError, match=r"val/loss is not measured; there are accuracy"):
            measured_metric(run, "val/loss")
        assert measured_metric(repeats, "val/accuracy") == 0.75


def test_a_worker_goes_on_with_the_trial_that_another_one_left(search_of, begin, training):
    """The seconds that both spent are added."""
    search = search_of(*THREE)
    study = begin(search)
    lock = worker_lock(study.directory, "dead")
    lock.parent.mkdir()
    with FileLock(lock):
        trial = study.claim("dead")
        study.space.suggest(trial)
        trial.set_user_attr("seconds", 100.0)
    lock.touch()
    study.requeue_stale()
    training(strength)
    work(search, study)
    assert [trial.number for trial in study.completed] == [0, 1, 2]
    assert study.completed[0].user_attrs["seconds"] >= 100


def test_the_sampler_sees_what_other_workers_found(search_of, begin, training):
    training(lambda config, should_prune: -abs(config.model.inverse_regularisation - 9))
    space = f"sweep.space={{{STRENGTH}: {{low: 0.0, high: 10.0}}}}"
    search = search_of("sweep=tpe", "sweep.plan.trials=14", "sweep.plan.startup=6", space)
    begin(search)
    work(search, search.study())
    values = [trial.params[STRENGTH] for trial in search.study().completed]
    assert len(values) == 14
    assert sum(values[6:]) / 8 > sum(values[:6]) / 6
    assert isinstance(search.study().study.sampler, optuna.samplers.TPESampler)


def test_a_stop_that_comes_as_the_heartbeat_starts_ends_the_heartbeat(search_of, begin, training, monkeypatch):
    events = []

    class Heartbeat:
        def start(self):
            signal.raise_signal(signal.SIGTERM)
            events.append("started")

        def join(self):
            events.append("joined")

    def stop(number, frame):
        raise Interrupted("asked to stop")

    training(lambda config: events.append("trained"))
    monkeypatch.setattr("hallmark.engine.search.worker.get_heartbeat_thread", lambda *_: Heartbeat())
    search = search_of(*THREE)
    study = begin(search)
    before = signal.signal(signal.SIGTERM, stop)
    try:
        with pytest.raises(Interrupted):
            work(search, study)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert events == ["started", "joined"]
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
