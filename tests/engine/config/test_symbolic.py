"""What is read from an environment variable stays an interpolation in all that is stored."""

import pytest
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf
from tests.leaks import leaks

from hallmark.engine.config.symbolic import plain, stored_form
from hallmark.engine.evaluate import evaluate
from hallmark.engine.job import Job
from hallmark.engine.launch import readable_errors
from hallmark.engine.repeats import train_repeats
from hallmark.storage.files import read_json
from hallmark.storage.secrets import SecretError

TFIDF = "experiment=sentiment_tfidf"
NOTE = "+note=${oc.env:TEAM}"
SENTINEL = "b51f6a0c9e7d4f2a8c3b"


@pytest.fixture(autouse=True)
def _team(monkeypatch) -> None:
    monkeypatch.setenv("TEAM", SENTINEL)
    monkeypatch.delenv("NOBODY", raising=False)


@pytest.mark.parametrize(
    ("settings", "stored"),
    [
        ({"a": "${oc.env:TEAM}"}, {"a": "${oc.env:TEAM}"}),
        ({"a": "/${oc.env:TEAM}", "b": ["${a}", {"c": "${b.0}"}]},
         {"a": "/${oc.env:TEAM}", "b": ["${a}", {"c": "${b.0}"}]}),
        ({"a": "${oc.decode:${oc.env:TEAM}}"}, {"a": "${oc.decode:${oc.env:TEAM}}"}),
        ({"a": {"b": "${oc.env:TEAM}"}, "c": "${a}"}, {"a": {"b": "${oc.env:TEAM}"}, "c": "${a}"}),
        ({"a": 3, "b": "${a}", "c": {"d": ["${b}"]}, "e": "${c}"}, {"a": 3, "b": 3, "c": {"d": [3]}, "e": {"d": [3]}}),
        ({"a": "${oc.env:NOBODY,5}"}, {"a": "5"}),
        ({"a": r"\${b}"}, {"a": r"\${b}"}),
        ({"paths": {"a": "/${oc.env:TEAM}"}, "b": "${paths.a}/x"},
         {"paths": {"a": f"/{SENTINEL}"}, "b": f"/{SENTINEL}/x"}),
    ],
)  # fmt: skip
def test_what_is_stored(settings, stored):
    config = OmegaConf.create(settings)
    assert OmegaConf.to_container(stored_form(config)) == stored
    assert plain(stored_form(config)) == plain(config)
    assert OmegaConf.to_container(config) == settings


def test_a_run_is_the_same_whether_a_value_is_typed_or_read(compose, small, monkeypatch):
    read, typed = Job.of(compose(TFIDF, *small, NOTE)), Job.of(compose(TFIDF, *small, f"+note={SENTINEL}"))
    assert read.id == typed.id
    assert (read.config.note, OmegaConf.to_container(read.stored)["note"]) == (SENTINEL, "${oc.env:TEAM}")
    monkeypatch.setenv("TEAM", "another")
    assert Job.of(compose(TFIDF, *small, NOTE)).id != typed.id


def test_no_file_of_a_set_and_its_evaluation_holds_the_value(compose, small, tmp_path, monkeypatch):
    config = compose(TFIDF, *small, NOTE, "logger=wandb", "repeat=seeds:2")
    train_repeats(config)
    directory = Job.of(config).directory
    first = Job.of(compose(TFIDF, *small, NOTE, "logger=wandb")).directory
    again = compose(f"run={first}", "split=out_of_fold", "out_of_fold.folds=2", command="evaluate")
    evaluate(again)
    stored = [OmegaConf.load(path) for path in tmp_path.glob("outputs/**/config.yaml") if "wandb" not in path.parts]
    assert len(stored) == 5  # the set, two seeds, two folds
    assert {OmegaConf.to_container(config)["note"] for config in stored} == {"${oc.env:TEAM}"}
    assert list(first.glob("wandb/offline-run-*/*.wandb")) and (directory / "repeats.json").exists()
    assert leaks(tmp_path, {"TEAM": SENTINEL}) == []
    monkeypatch.delenv("TEAM")
    (first / "predictions" / "out_of_fold.parquet").unlink()
    with pytest.raises(ValueError, match="note: the environment variable TEAM is not set"):
        evaluate(again)


@pytest.mark.e2e
def test_no_file_of_a_sweep_holds_the_value(swept, tmp_path):
    study = swept(NOTE, "sweep=grid", "sweep.space={model.inverse_regularisation: [0.1, 1.0]}")
    assert len(study.completed) == 2
    assert OmegaConf.to_container(OmegaConf.load(study.directory / "config.yaml"))["note"] == "${oc.env:TEAM}"
    assert leaks(tmp_path, {"TEAM": SENTINEL}) == []


@pytest.mark.e2e
def test_a_search_space_that_reads_a_variable_is_refused(swept):
    with pytest.raises(ValueError, match=r"^sweep\.space\.data\.folder=.*TEAM") as refusal:
        swept("sweep=grid", "sweep.space={data.folder: ['${oc.env:TEAM}']}")
    assert SENTINEL not in str(refusal.value)


def test_a_listed_job_with_a_key_is_refused_though_another_override_follows(typed):
    from hallmark.engine.search.jobs import Search

    jobs = "{a: ['model.key_variable=sk-hidden', '~model.key_variable']}"
    points = "sweep.plan._target_=hallmark.engine.search.plans.JobList"
    config = typed(TFIDF, "sweep=grid", points, f"+sweep.plan.jobs={jobs}")
    with pytest.raises(SecretError, match=r"^model\.key_variable: ") as refusal:
        Search.of(config)
    assert "hidden" not in str(refusal.value)


@pytest.mark.e2e
def test_the_record_of_a_failed_run_holds_no_secret_of_an_address(fit, run_of, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://me:pass%2Fword9@127.0.0.1:1")

    def fail(*_):
        raise RuntimeError("cannot reach http://me:pass%2Fword9@127.0.0.1:1 as me with pass/word9")

    monkeypatch.setattr("hallmark.learning.callbacks.training.History.on_train_epoch_end", fail)
    with pytest.raises(RuntimeError):
        fit(TFIDF)
    error = read_json(run_of(TFIDF).directory / "record.json")["error"]
    assert "cannot reach http://me:***@127.0.0.1:1 as me with ***" in error
    assert "word9" not in error


def test_a_failed_job_is_not_announced_with_what_was_typed(capfd):
    job = JobReturn(overrides=["note=typed"], status=JobStatus.FAILED)
    job.return_value = ValueError("wrong")
    with pytest.raises(SystemExit) as ended, readable_errors("train"):
        _ = job.return_value
    assert ended.value.code == 2
    assert capfd.readouterr().err == "error: wrong\n"
