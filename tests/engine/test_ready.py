"""Runs of models in which nothing is fitted: made, measured, gone on with, looked at."""

import json
import signal
from collections.abc import Callable

import pandas as pd
import pytest
from tests.systems.refseg.parts import BLUE, GREEN, LAYOUT, RED, Picture, preset, write_world

from hallmark.checks import Interrupted, SettingError, UserError
from hallmark.console import main
from hallmark.engine.evaluate import evaluate, train_and_analyze
from hallmark.engine.job import Job
from hallmark.engine.train import train
from hallmark.report.sources import open_results
from hallmark.runs.predictions import read_predictions
from hallmark.runs.record import RunState
from hallmark.runs.registry import find_entries
from hallmark.runs.run import Run
from hallmark.runs.seal import SealedError, accesses_of
from hallmark.systems.refseg.module import LoopModule

NAME = "refseg_loop"
NORMALISER = "{_target_: hallmark.systems.refseg.vlm.policies.RuleNormaliser, synonyms: {crimson: red, azure: blue}}"
KNOWN = ["~model.rewriter", f"+model.rewriter={NORMALISER}", "analysis=[]"]
SAID = {"crimson": RED, "red": RED, "green": GREEN}
WORLD = [
    Picture("k", "calibration", {**SAID, "azure": BLUE}),
    Picture("l", "calibration", {"blue": BLUE, "azure": BLUE}, drawn={"red": (2, 18, 8, 8), "blue": BLUE}),
    Picture("v", "val", {**SAID, "azure": BLUE}, drawn={**LAYOUT, "yellow": (14, 24, 4, 4)}),
    Picture("w", "val", {"red": (0, 0, 4, 8), "blue": RED, "nothing": ()}, drawn={"red": RED}),
    Picture("t", "test", {"azure": BLUE}, drawn={"blue": BLUE, "red": (10, 18, 8, 8)}),
]
OWN = [Picture("own", "", {"crimson": None, "the blue": None}), Picture("bare", "", {"green": None}, drawn={})]


@pytest.fixture
def ready(compose, tmp_path) -> Callable[..., list[str]]:
    """A function from pictures and overrides to the overrides of a run on their world."""

    def ready(*overrides: str, pictures=WORLD, name: str = NAME) -> list[str]:
        source = tmp_path / "world"
        if not source.exists():
            write_world(source, pictures)
        return [*preset(name, str(source), *KNOWN, f"paths.cache={tmp_path / 'cache'}"), *overrides]

    return ready


@pytest.fixture
def command(compose) -> Callable[..., Run]:
    """A function from overrides to what `evaluate.py` makes of them: the run."""

    def command(*overrides: str) -> Run:
        evaluate(compose(*overrides, command="evaluate"))
        typed = [override for override in overrides if not override.startswith(("split=", "seal."))]
        return Job.of(compose(*typed)).run

    return command


def answers(run: Run, split: str = "val") -> pd.DataFrame:
    table = read_predictions(run.directory / "predictions" / f"{split}.parquet")
    return table[table["task"] == "main"].set_index("id")


def cost(run: Run, split: str = "val") -> dict:
    return json.loads((run.directory / "cost" / f"{split}.json").read_text())


def test_evaluate_makes_the_run_of_a_preset_measures_it_and_finds_it_again(ready, command, files, capsys):
    run = command(*ready())
    printed = capsys.readouterr().out
    assert "val/miou = " in printed and "one shot" in printed and "oracle" in printed
    assert run.record.state is RunState.DONE and run.record.selected["checkpoint"] is None
    # crimson, red, green, azure; half of the red square, the red square for blue, red for nothing.
    expected = {"miou": (4 + 0.5 + 1 + 0) / 7, "oiou": (64 + 64 + 16 + 36 + 32 + 64) / (180 + 64 + 64 + 64), "n": 7}
    assert {name: run.metrics["val"]["main"][name] for name in expected} == pytest.approx(expected)
    assert run.metrics["val"]["main"]["p@0.5"] == pytest.approx(6 / 7)
    assert run.metrics["val"]["main"]["p@0.6"] == pytest.approx(5 / 7)
    assert run.metrics["val"]["one_shot"]["miou"] == pytest.approx((2 + 0.5 + 1) / 7)
    assert run.record.selected["value"] == pytest.approx(expected["miou"])
    before = files(run)
    command(*ready())
    assert files(run) == before
    assert "is done" in capsys.readouterr().out


def test_train_makes_the_same_run(ready, compose, command):
    value = train_and_analyze(compose(*ready()))
    run = command(*ready())
    assert value == run.record.selected["value"] == run.metrics["val"]["main"]["miou"]
    assert run.record.resumed == 0


def test_a_rerun_computes_nothing_anew(ready, command):
    first = command(*ready())
    spent, rows = cost(first), answers(first)
    again = command(*ready("rerun=true"))
    assert again.record.started >= first.record.started
    assert spent["proposer"] == {"requested": 2, "computed": 2} and spent["regions"] == {"requested": 5, "computed": 5}
    assert cost(again)["proposer"] == {"requested": 2, "computed": 0}
    assert cost(again)["regions"] == {"requested": 5, "computed": 0}
    assert cost(again)["scores"] == spent["scores"]
    timed = ["info_seconds", "info_vlm_seconds"]
    pd.testing.assert_frame_equal(rows.drop(columns=timed), answers(again).drop(columns=timed), check_exact=True)


def test_the_calibration_is_read_again_for_another_split(ready, command, compose):
    run = command(*ready())
    path = run.directory / "calibration.json"
    fitted = json.loads(path.read_text())
    assert fitted["split"] == "calibration" and fitted["n"] == 6
    assert answers(run).loc["v-0#0", "info_calls"] == 1 and answers(run).loc["v-1#0", "info_calls"] == 0
    path.write_text(json.dumps({**fitted, "thresholds": {"confidence": 0.0, "gap": 0.0}}))
    evaluation = compose(f"run={run.directory}", "split=test", "trusted_packages=[tests]", command="evaluate")
    with pytest.raises(UserError, match=r"calibration\.json was changed"):
        evaluate(evaluation)
    assert accesses_of(run) == []
    # A run of a version that recorded no hash of it goes by the file as it is.
    run.record.fitted = {}
    run.record.write(run.directory)
    evaluate(evaluation)
    assert answers(run, "test")["info_calls"].tolist() == [0]  # as the file says, though one call would be due
    assert json.loads(path.read_text())["thresholds"] == {"confidence": 0.0, "gap": 0.0}


def test_the_test_split_is_sealed_and_opened_once(ready, command, compose):
    run = command(*ready())
    assert "test" not in run.metrics and not (run.directory / "predictions" / "test.parquet").exists()
    assert accesses_of(run) == []
    command(*ready("split=test"))
    assert run.metrics["test"]["main"]["miou"] == 1 and answers(run, "test")["info_calls"].tolist() == [1]
    (access,) = accesses_of(run)
    assert access.covers([run]) and access.metrics["main"]["miou"] == 1
    (result,) = open_results([run.directory])
    assert result.main["test"].interval.estimate == 1
    other = ready("model.max_iter=1")
    with pytest.raises(SealedError):
        command(*other, "split=test")
    command(*other, "split=test", "seal.reason=to compare")
    assert len(accesses_of(run)) == 2


def test_without_rows_to_calibrate_on(ready, command):
    measured_rows = [picture for picture in WORLD if picture.split != "calibration"]
    with pytest.raises(SettingError, match=r"data\.split\.calibration=0"):
        command(*ready(pictures=measured_rows))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_the_run_interrupted_and_the_command_goes_on(ready, command, compose, monkeypatch, number):
    overrides = ready("data.batch_size=1", "model.temperature=1", "model.thresholds={"
                      "_target_: hallmark.systems.refseg.loop.Thresholds, confidence: 0.9, gap: 0.5}")  # fmt: skip
    handlers = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    original = LoopModule.predict_step

    def stopping(self, batch, batch_idx):
        if batch_idx == 1:
            signal.raise_signal(number)
        return original(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(LoopModule, "predict_step", stopping)
        with pytest.raises(Interrupted, match=f"{number.name}: stopped within a prediction"):
            command(*overrides)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == handlers
    run = Job.of(compose(*overrides)).run
    assert run.record.state is RunState.INTERRUPTED
    (part,) = run.partial.iterdir()
    written = part.stat().st_mtime_ns
    monkeypatch.setattr("hallmark.systems.refseg.module.rmtree", lambda *_, **__: None)
    run = command(*overrides)
    assert (run.record.state, run.record.resumed) == (RunState.DONE, 1)
    assert part.stat().st_mtime_ns == written and len(list(run.partial.iterdir())) == 2
    assert cost(run)["proposer"]["requested"] == 2 and len(answers(run)) == 7


def test_an_access_to_the_test_split_that_was_cut_off_is_finished(ready, command, monkeypatch):
    run, original = command(*ready()), LoopModule.table

    def stopping(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(LoopModule, "table", stopping)
        with pytest.raises(KeyboardInterrupt):
            command(*ready("split=test"))
    assert "test" not in run.metrics and len(accesses_of(run)) == 1 and LoopModule.table is original
    (part,) = run.partial.iterdir()
    monkeypatch.setattr(LoopModule, "_answered", lambda *_: pytest.fail("what was kept is asked again"))
    command(*ready("split=test"))
    (access,) = accesses_of(run)
    assert access.covers([run]) and run.metrics["test"]["main"]["miou"] == 1 and not part.exists()


def test_a_failed_run_goes_on_with_what_was_answered(ready, command, compose, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(LoopModule, "table", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            command(*ready())
    assert Job.of(compose(*ready())).run.record.state is RunState.FAILED
    monkeypatch.setattr(LoopModule, "_answered", lambda *_: pytest.fail("what was kept is asked again"))
    run = command(*ready())
    assert (run.record.state, run.record.resumed, run.record.error) == (RunState.DONE, 1, None)


def test_repeats_over_seeds_are_a_set(ready, compose):
    value = train_and_analyze(compose(*ready("repeat=seeds:2")))
    (entry,) = find_entries([Job.of(compose(*ready("repeat=seeds:2"))).directory])
    assert (entry.kind, entry.state) == ("set", "done") and entry.value == pytest.approx(value)
    assert (entry.n, entry.identical, entry.std) == (1, 1, None)  # nothing is fitted, so the seed changes nothing


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([], "run: give a finished run, such as run=outputs/"),
        (["experiment=sentiment_tfidf"], r"experiment=sentiment_tfidf: this model is fitted first: python train\.py "
         r"experiment=sentiment_tfidf; then give run="),
    ],
)  # fmt: skip
def test_what_evaluate_cannot_make(compose, overrides, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        evaluate(compose(*overrides, command="evaluate"))
    assert not (tmp_path / "outputs").exists()


def test_a_metric_that_the_model_does_not_have_is_refused_before_it_predicts(ready, command, tmp_path):
    with pytest.raises(
        SettingError, match=r"monitor\.metric='val/accuracy': expected .*val/miou.* val/oiou"
    ) as refusal:
        command(*ready("monitor.metric=val/accuracy"))
    assert refusal.value.key == "monitor.metric"
    assert not list((tmp_path / "outputs").glob("refseg*"))


def test_another_calibration_asks_for_another_run(ready, compose):
    first, second = (Job.of(compose(*ready(change))) for change in ("model.budget=1", "model.budget=2"))
    assert first.id != second.id


@pytest.mark.e2e
def test_training_is_followed_by_the_analyses_it_names(fit, compose, small, capsys):
    typed = compose("experiment=sentiment_tfidf", *small, "analysis=[slices]", "statistics.n_resamples=50")
    train_and_analyze(typed)
    run = Job.of(typed).run
    assert (run.directory / "analysis" / "slices.csv").exists()
    assert capsys.readouterr().out.count("sentiment_tfidf · val") == 1
    assert Job.of(compose("experiment=sentiment_tfidf", *small)).id == Job.of(typed).id  # they change no result


@pytest.fixture
def own(ready) -> list[str]:
    """Overrides of a run on own pictures, without a truth."""
    return ready("model.thresholds.confidence=0.95", pictures=OWN, name="refseg_own")


def test_own_pictures_are_answered_and_not_measured(own, command, capsys):
    run = command(*own, "split=predict")
    printed = capsys.readouterr().out
    assert run.record.state is RunState.DONE and run.record.selected is None and run.metrics == {}
    rows = answers(run, "predict")
    assert rows["score"].isna().all() and rows.loc["own-0#0", "info_chosen"] == 0  # red, for crimson
    assert rows["info_stop"].tolist() == ["confident", "confident", "no_proposals"]
    assert "3 unlabelled rows: nothing is measured" in printed
    assert f"3 unlabelled rows: {run.directory / 'answers.csv'}" in printed
    written = pd.read_csv(run.directory / "answers.csv")
    assert written["info_sentence"].tolist() == ["crimson", "the blue", "green"]
    assert json.loads(written["info_queries"][0]) == ["crimson", "red"]
    assert cost(run, "predict")["expressions"] == 3
    assert main(["report", str(run.directory)]) == 0 and main(["runs", str(run.directory)]) == 0
    (entry,) = find_entries([run.directory])
    assert (entry.state, entry.metric, entry.value, entry.problem) == ("done", None, None, None)


def test_own_pictures_are_not_answered_twice(own, command, files, compose):
    run = command(*own, "split=predict")
    before = files(run)
    command(*own, "split=predict")
    after = files(run)
    names = {name for name in before if not name.endswith("answers.csv")}
    assert {name: after[name] for name in names} == {name: before[name] for name in names}
    assert pd.isna(train(compose(*own)))
    with pytest.raises(ValueError, match="split=val: the data has no such rows; it has predict"):
        command(*own)


def test_train_analyses_own_pictures(own, compose):
    train_and_analyze(compose(*own, "analysis=[cost]", "statistics.n_resamples=50"))
    assert (Job.of(compose(*own)).directory / "analysis" / "cost.csv").exists()
