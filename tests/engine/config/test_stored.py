"""A run folder is data from a stranger: nothing in it is executed."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf
from tests.engine.config.conftest import TFIDF, refused
from tests.engine.hostile import PAYLOADS

from hallmark.checks import SettingError
from hallmark.console import main
from hallmark.engine.config.stored import read_config
from hallmark.engine.config.trust import NO_TRUST
from hallmark.engine.distributed.ddp_worker import run_ddp_worker
from hallmark.engine.finished import FinishedRun
from hallmark.engine.loggers.tracking import track_release
from hallmark.engine.search.jobs import Search
from hallmark.runs.run import Run, RunDirectory

pytestmark = pytest.mark.e2e


OWN_CLASS = """
from hallmark.systems.sentiment.module import TfidfClassifier

class Own(TfidfClassifier):
    pass

def make(**settings):
    raise RuntimeError("a function was called")
"""


@pytest.mark.parametrize("target", PAYLOADS)
def test_a_run_of_a_stranger_executes_nothing(changed, run, evaluate, tmp_path, monkeypatch, target):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)  # as python puts the working folder there
    monkeypatch.syspath_prepend(run.directory)
    mark = tmp_path / "mark"
    node = {"_target_": target, **PAYLOADS[target](run.directory, mark)}
    (tmp_path / "outputs" / "sentiment_tfidf" / "payload.py").write_text(f"def f(): open({str(mark)!r}, 'w').close()")
    (run.directory / "payload.py").write_text(f"def f(): open({str(mark)!r}, 'w').close()")
    changed("data.augment", node)
    with pytest.raises(SettingError) as caught:
        evaluate(run, "split=train")
    assert caught.value.key.startswith("data.augment.") and caught.value.key.endswith(("._target_", "._args_"))
    assert not mark.exists() and not (run.directory / "predictions" / "train.parquet").exists()


PLACES = [
    "data", "model", "trainer", "logger.x", "callbacks.progress", "callbacks.x", "data.split.outer",
    "trainer.profiler", "model.options.deep", "monitor.second",
]  # fmt: skip


@pytest.mark.parametrize("key", PLACES)
def test_wherever_the_name_stands(changed, evaluate, tmp_path, key):
    mark = tmp_path / "mark"
    run = changed(key, {"_target_": "builtins.open", "file": str(mark), "mode": "w"})
    refused(f"{key}._target_", evaluate, run, "split=train")
    assert not mark.exists()


@pytest.mark.parametrize("key", ["data.augment", "data.sample.x", "callbacks.progress", "trainer.profiler"])
def test_a_class_of_hallmark_where_no_argument_takes_it(changed, evaluate, key):
    node = {"_target_": "hallmark.learning.optim.Optimizer", "lr": 0.1, "lr_scale": 1.0, "head_lr": 0.1,
            "weight_decay": 0.0, "schedule": "constant", "warmup": 0.0}  # fmt: skip
    assert refused(f"{key}._target_", evaluate, changed(key, node), "split=train").value == node["_target_"]


@pytest.mark.parametrize("extra", [{"_args_": ["/x"]}, {"_recursive_": False}])
def test_arguments_without_a_name(changed, evaluate, extra):
    node = {"_target_": "hallmark.data.augment.LightAugment", "crop": 0.5, "flip": 0.5, "color": 0.0, **extra}
    refused(f"data.augment.{next(iter(extra))}", evaluate, changed("data.augment", node), "split=train")


def commands(run: Run):
    """Every other way from a run folder to objects."""
    return {
        "out of fold": lambda: FinishedRun(run, folds=2).predictions("out_of_fold"),
        "a further rank": lambda: run_ddp_worker(run, None, NO_TRUST),
        "loggers at a release": lambda: track_release(run, Path("x.zip"), NO_TRUST),
        "release": lambda: main(["release", str(run.directory), "--waive", "git", "--waive", "repeats"]),
    }


@pytest.mark.parametrize("name", [*commands(None)])  # type: ignore[arg-type]
def test_every_way_to_objects_has_the_gate(changed, tmp_path, name, capsys):
    mark = tmp_path / "mark"
    run = changed("logger.x", {"_target_": "builtins.open", "file": str(mark), "mode": "w"})
    try:
        commands(run)[name]()
    except SettingError as error:
        assert error.key == "logger.x._target_"
    else:
        assert name == "release" and "logger.x._target_" in capsys.readouterr().err
    assert not mark.exists()


def test_a_set_of_repeats(compose, small, tmp_path, evaluate):
    from hallmark.engine.job import Job
    from hallmark.engine.repeats import train_repeats

    config = compose(TFIDF, *small, "repeat=seeds:2")
    train_repeats(config)
    repeats = RunDirectory(Job.of(config).directory)
    member = sorted(repeats.directory.parent.glob("*/record.json"))[1].parent
    stored = OmegaConf.load(member / "config.yaml")
    stored.data.augment = {"_target_": "builtins.open", "file": str(tmp_path / "mark"), "mode": "w"}
    OmegaConf.save(stored, member / "config.yaml")
    refused("data.augment._target_", evaluate, repeats, "split=train")
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("file", ["config.yaml", "jobs/one.yaml"])
def test_a_worker_takes_what_its_sweep_has_saved_and_nothing_else(typed, small, file):
    jobs = '{one: ["model.ngrams=1"], two: []}'
    plan = f"{{_target_: hallmark.engine.search.plans.JobList, jobs: {jobs}}}"
    search = Search.of(typed(TFIDF, *small, f"+sweep={{name: s, objectives: null, pruner: null, plan: {plan}}}"))
    search.save()
    assert [*Search.load(search.directory).listed] == ["one", "two"]
    path = search.directory / file
    path.write_text(path.read_text() + "more: 1\n")
    with pytest.raises(ValueError, match="not what the command of this sweep has saved"):
        Search.load(search.directory)


@pytest.fixture
def own(tmp_path, monkeypatch) -> str:
    (tmp_path / "ownclass.py").write_text(OWN_CLASS)
    monkeypatch.syspath_prepend(tmp_path)
    return "ownclass"


def test_an_own_class_is_trusted_each_time_by_who_types_it(own, compose, small, evaluate, fit):
    target = "model._target_=ownclass.Own"
    refused("model._target_", fit, TFIDF, target)
    run = fit(TFIDF, target, f"trusted_packages=[{own}]")
    stored = OmegaConf.load(run.directory / "config.yaml")
    assert "trusted_packages" not in stored and stored.model._target_ == "ownclass.Own"
    assert run.record.run_id == Run(run.directory).record.run_id
    refused("model._target_", evaluate, run, "split=train")
    evaluate(run, "split=train", f"trusted_packages=[{own}]")
    assert (run.directory / "predictions" / "train.parquet").exists()
    refused("model._target_", fit, TFIDF, "model._target_=ownclass.make", f"trusted_packages=[{own}]")


@pytest.mark.parametrize("key", ["trusted_packages", "trusted_paths", "trusted_hosts"])
def test_a_run_does_not_say_what_is_trusted(own, changed, evaluate, key):
    run = changed(key, [own])
    changed("model._target_", "ownclass.Own")
    refused(key, evaluate, run, "split=train")


def test_what_is_trusted_is_no_part_of_a_run(run_of):
    assert run_of(TFIDF).directory == run_of(TFIDF, "trusted_packages=[x]", "trusted_paths=[/a]").directory


def test_a_run_whose_builders_were_functions_is_read(changed):
    node = {"_target_": "hallmark.learning.encoders.clip.clip_towers", "name": "x"}
    config = read_config(changed("model.encoders", node).directory, NO_TRUST)
    assert config.model.encoders._target_ == "hallmark.learning.encoders.clip.ClipEncoders"


def test_a_run_whose_pictures_were_drawn_by_a_class_that_was_moved_is_read(changed):
    node = {"_target_": "hallmark.learning.pictures.EpochPictures", "every": 1}
    config = read_config(changed("callbacks.pictures", node).directory, NO_TRUST)
    assert config.callbacks.pictures._target_ == "hallmark.learning.callbacks.pictures.EpochPictures"


def test_a_run_whose_head_was_a_class_that_was_moved_is_read(changed):
    node = {"_target_": "hallmark.systems.sentiment.heads.GatedFusionHead", "_partial_": True}
    config = read_config(changed("model.head", node).directory, NO_TRUST)
    assert config.model.head._target_ == "hallmark.learning.heads.GatedFusionHead"
