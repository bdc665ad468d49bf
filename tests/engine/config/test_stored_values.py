"""Nothing is read or written outside of a run folder because of what its configuration says."""

import os
import shutil
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from tests.engine.config.conftest import TFIDF, refused

from hallmark.engine.config.stored import read_config, reopen
from hallmark.engine.config.trust import NO_TRUST, Trust
from hallmark.engine.train import train
from hallmark.runs.run import Run

pytestmark = pytest.mark.e2e


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


@pytest.mark.parametrize("key", ["data.classes", "model.classes", "model.heads.classes.tag", "data.sample.characters"])
def test_a_name_of_a_class_is_no_path(changed, key):
    names = ["~", "~root", "~Miku~", "file:x", "..."]
    assert OmegaConf.select(read_config(changed(key, names).directory, NO_TRUST), key) == names
    assert read_config(changed("model.target_class", "~").directory, NO_TRUST).model.target_class == "~"
    for path in ("~/evil", "/evil", "file:///evil", "..", "\\evil"):
        refused(f"{key}[1]", read_config, changed(key, ["a", path]).directory, NO_TRUST)


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


def test_what_this_process_composed_is_as_it_was_typed(compose, small, corpus, evaluate, tmp_path):
    config = compose(TFIDF, *small, f"data.folder={corpus}", f"features.folder={tmp_path / 'elsewhere'}")
    train(config)
    (record,) = Path(os.environ["HALLMARK_OUTPUTS"]).glob("sentiment_tfidf/*/record.json")
    assert read_config(record.parent, NO_TRUST).features.folder == str(tmp_path / "elsewhere")
    path = record.parent / "config.yaml"
    path.write_text(path.read_text() + "\n")
    refused("features.folder", read_config, record.parent, NO_TRUST)
