"""A run folder is data from a stranger: nothing in it is executed, and nothing is read or written outside."""

import os
import shutil
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from tests.engine.hostile import PAYLOADS

from hallmark.checks import SettingError
from hallmark.console import main
from hallmark.engine.config.stored import read_config, reopen
from hallmark.engine.config.trust import NO_TRUST, Trust
from hallmark.engine.distributed.ddp_worker import run_ddp_worker
from hallmark.engine.finished import FinishedRun
from hallmark.engine.loggers.tracking import track_release
from hallmark.engine.search.jobs import Search
from hallmark.engine.train import train
from hallmark.runs.run import Run, RunDirectory

pytestmark = pytest.mark.e2e

TFIDF = "experiment=sentiment_tfidf"
OWN_CLASS = """
from hallmark.systems.sentiment.module import TfidfClassifier

class Own(TfidfClassifier):
    pass

def make(**settings):
    raise RuntimeError("a function was called")
"""


@pytest.fixture
def run(fitted) -> Run:
    return fitted(TFIDF)


@pytest.fixture
def changed(run):
    """A function that writes a value into the run's configuration, as a stranger may."""

    def changed(key: str, value) -> Run:
        path = run.directory / "config.yaml"
        config = OmegaConf.load(path)
        OmegaConf.update(config, key, value, merge=False, force_add=True)
        path.write_text(OmegaConf.to_yaml(config))
        return run

    return changed


def refused(key: str, command, *arguments) -> SettingError:
    with pytest.raises(SettingError) as caught:
        command(*arguments)
    assert caught.value.key == key
    return caught.value


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


OUTSIDE = {
    "features.folder": "/evil", "data.cache": "/evil", "callbacks.x.path": "/evil", "data.folder": "/evil",
    "data.extra[0]": "/evil/table.csv", "data.split.path": "../../evil.csv", "init_from": "/evil",
    "trainer.default_root_dir": "evil", "model.adapter.ledger": "~/evil", "model.x.options.checkpoint_path": "/evil",
    "data.sample.y": "a/../../evil", "model.weights": "package:os/../../evil", "model.name": "package:evilpackage/x",
    "model.path": "evil.csv", "data.source": "~root/x",
}  # fmt: skip


@pytest.mark.parametrize(("key", "value"), OUTSIDE.items(), ids=OUTSIDE)
def test_a_path_outside_is_refused(changed, key, value):
    name, index, _ = key.partition("[0]")
    run = changed(name, [value] if index else value)
    error = refused(key, read_config, run.directory, NO_TRUST)
    assert error.value == value


def test_what_lay_below_the_places_of_the_run_lies_below_those_of_the_command(changed, run, tmp_path):
    for name, value in {"outputs": "/far/out", "cache": "/far/fast", "seals": "/far/out/seals"}.items():
        changed(f"paths.{name}", value)
    changed("features.folder", "/far/fast/features")
    changed("data.cache", "/far/fast")
    changed("init_from", "/far/out/clip/0123")
    roots = {name: str(tmp_path / name) for name in ("outputs", "cache", "seals")}
    config = read_config(run.directory, Trust(roots=roots))
    assert config.paths == {**roots, "run_dir": str(run.directory)}
    assert config.features.folder == f"{tmp_path}/cache/features" and config.data.cache == f"{tmp_path}/cache"
    assert config.init_from == f"{tmp_path}/outputs/clip/0123"
    changed("features.folder", "/far/fast/../features")
    refused("features.folder", read_config, run.directory, Trust(roots=roots))
    inside = read_config(changed("features.folder", "/far/fast/features").directory, NO_TRUST)
    assert inside.features.folder == str(run.directory / "cache" / "features")


def test_files_that_are_read(changed, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for value in ("openai/clip-vit-base-patch32", "checkpoints/sam.pth", "package:hallmark/assets/x",
                  str(run.directory / "weights.pt")):  # fmt: skip
        assert read_config(changed("model.weights", value).directory, NO_TRUST).model.weights == value
    changed("model.weights", "/models/clip.pt")
    assert refused("model.weights", read_config, run.directory, NO_TRUST).expected.count(
        "trusted_paths=[/models/clip.pt]"
    )
    refused("model.weights", read_config, run.directory, Trust(paths=("/model",)))
    assert read_config(run.directory, Trust(paths=("/models",))).model.weights == "/models/clip.pt"


@pytest.mark.parametrize(
    ("key", "value"),
    [("name", "../evil"), ("name", "/evil"), ("run_id", "a/b"), ("content", "../../evil"), ("content", 3)],
)
def test_a_record_whose_names_are_paths(changed, run, key, value):
    if key == "content":
        run.record.data[key] = value
    else:
        setattr(run.record, key, value)
    run.record.write(run.directory)
    refused(f"record.json: {'data.' * (key == 'content')}{key}", read_config, changed("seed", 0).directory, NO_TRUST)


def test_the_data_folder_is_the_one_of_the_record(changed, run, tmp_path):
    changed("data.folder", str(tmp_path / "corpus"))
    refused("data.folder", read_config, run.directory, NO_TRUST)
    run.record.data["source"] = str(tmp_path / "corpus")
    run.record.write(run.directory)
    assert read_config(run.directory, NO_TRUST).data.folder == str(tmp_path / "corpus")
    changed("data.cache", str(tmp_path / "corpus"))  # it is read, and never written
    refused("data.cache", read_config, run.directory, NO_TRUST)


@pytest.mark.parametrize("link", ["predictions/link.parquet", "analysis", "wandb", ".lock", "checkpoints/last.ckpt"])
def test_a_link_out_of_the_run(run, evaluate, tmp_path, link):
    target = tmp_path / "precious"
    target.mkdir()
    path = run.directory / link
    shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    path.symlink_to(target)
    with pytest.raises(ValueError, match="a link out of the run folder"):
        evaluate(run, "analysis=[slices]")
    assert list(target.iterdir()) == []


def test_a_link_inside_of_the_run(run, evaluate):
    (run.directory / "newest.parquet").symlink_to(Path("predictions") / "val.parquet")
    evaluate(run, "split=train")
    assert "train" in Run(run.directory).metrics


ELSEWHERE = [
    "https://evil.example/v1", "file:///etc/passwd", "postgresql://evil.example/x", "http://127.0.0.1.evil.example",
    "ftp://localhost/x", "http://evil.example\\.localhost", "//x://y", "http://[::2]/", "x http://localhost",
    "http://localhost\t.evil.example", "HTTP://evil.example",
]  # fmt: skip
DECORATED = ["http://localhost@evil.example", "http://evil.example\\@localhost", "http://evil.example#@localhost"]


@pytest.mark.parametrize("value", DECORATED)
def test_an_address_that_is_read_in_two_ways(changed, value):
    with pytest.raises(ValueError, match=r"model\.base_url"):
        read_config(changed("model.base_url", value).directory, NO_TRUST)


@pytest.mark.parametrize("value", ELSEWHERE)
def test_an_address_elsewhere(changed, value):
    refused("model.base_url", read_config, changed("model.base_url", value).directory, NO_TRUST)


@pytest.mark.parametrize(
    ("value", "hosts"),
    [("http://localhost:8000/v1", ()), ("http://127.0.0.1/v1", ()), ("http://[::1]:80", ()),
     ("https://api.example.com/v1", ("api.example.com",)), ("https://API.example.com", ("api.example.com",))],
)  # fmt: skip
def test_an_address_that_may_be_asked(changed, value, hosts):
    assert read_config(changed("model.base_url", value).directory, Trust(hosts=hosts)).model.base_url == value


@pytest.mark.parametrize(
    ("value", "context"),
    [("${oc.env:API_KEY}", {}), ("${oc.env:SERVICE_URL}", {}), ("${oc.decode:x}", {}), ("${ oc.decode : x}", {}),
     ("${oc.env:NOT_THERE,${oc.env:API_KEY}}", {}), ("${hydra:runtime.cwd}", {}), ("${oc.create:{a: 1}}", {}),
     ("$${more.text}", {"more": {"text": "{oc.env:PLAIN}"}}), ("${more.text}", {"more": {"text": "${oc.env:API_KEY}"}}),
     ("${value}", {}), ("${nowhere.at.all}", {}), ("${oc.env:${name}_KEY}", {"name": "API"}), ("\\${seed}", {})],
)  # fmt: skip
def test_an_interpolation_that_reads_more_than_the_file(changed, monkeypatch, value, context):
    monkeypatch.setenv("API_KEY", "sk-1234567890abcdef")
    monkeypatch.setenv("SERVICE_URL", "https://me:pa55word@example.com")
    monkeypatch.setenv("PLAIN", "plain")
    for key, text in context.items():
        changed(key, text)
    with pytest.raises(ValueError) as caught:
        read_config(changed("value", value).directory, NO_TRUST)
    assert "sk-1234567890abcdef" not in str(caught.value) and "pa55word" not in str(caught.value)


def test_interpolations_of_its_own(changed, monkeypatch):
    monkeypatch.setenv("PLAIN", "plain")
    values = {
        "a": "${seed}",
        "b": "${oc.env:PLAIN}",
        "c": "${oc.env:NOT_THERE,otherwise}",
        "d": "v${seed}",
        "e": "x${oc.env:PLAIN}",
    }
    config = read_config(changed("more", values).directory, NO_TRUST)
    assert config.more == {"a": 0, "b": "plain", "c": "otherwise", "d": "v0", "e": "xplain"}
    stored = reopen(Path(config.paths.run_dir), NO_TRUST).stored
    assert OmegaConf.to_container(stored)["more"]["b"] == "${oc.env:PLAIN}" and stored.more.a == 0


@pytest.mark.parametrize(
    "text",
    ["a: [", "- 1\n- 2\n", "a: &x {b: 1}\nc: *x\n", "a: !!python/object/apply:os.system ['true']",
     "[" * 3000, "a: 1\n" * 1_000_000],
    ids=["syntax", "list", "alias", "python", "deep", "large"],
)  # fmt: skip
def test_what_is_no_configuration(run, text):
    (run.directory / "config.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"config\.yaml: "):
        read_config(run.directory, NO_TRUST)


def test_a_configuration_of_another_encoding(run):
    (run.directory / "config.yaml").write_bytes("name: ä".encode("utf-16"))
    with pytest.raises(ValueError, match=r"config\.yaml: not a configuration"):
        read_config(run.directory, NO_TRUST)


def test_a_run_whose_builders_were_functions_is_read(changed):
    node = {"_target_": "hallmark.learning.encoders.clip.clip_towers", "name": "x"}
    config = read_config(changed("model.encoders", node).directory, NO_TRUST)
    assert config.model.encoders._target_ == "hallmark.learning.encoders.clip.ClipEncoders"


def test_a_run_whose_pictures_were_drawn_by_a_class_that_was_moved_is_read(changed):
    node = {"_target_": "hallmark.learning.pictures.EpochPictures", "every": 1}
    config = read_config(changed("callbacks.pictures", node).directory, NO_TRUST)
    assert config.callbacks.pictures._target_ == "hallmark.learning.callbacks.pictures.EpochPictures"


def test_what_this_process_composed_is_as_it_was_typed(compose, small, corpus, evaluate, tmp_path):
    config = compose(TFIDF, *small, f"data.folder={corpus}", f"features.folder={tmp_path / 'elsewhere'}")
    train(config)
    (record,) = Path(os.environ["HALLMARK_OUTPUTS"]).glob("sentiment_tfidf/*/record.json")
    assert read_config(record.parent, NO_TRUST).features.folder == str(tmp_path / "elsewhere")
    path = record.parent / "config.yaml"
    path.write_text(path.read_text() + "\n")
    refused("features.folder", read_config, record.parent, NO_TRUST)
