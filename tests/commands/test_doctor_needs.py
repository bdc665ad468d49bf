"""What `hallmark doctor` says of the data, weights and keys that presets need; nothing is built for it."""

import sys
from pathlib import Path

import pandas as pd
import pytest

from hallmark.commands.diagnosis import needs
from hallmark.learning.encoders.clip import ClipEncoders
from hallmark.learning.encoders.hf_text import HFTextEncoder
from hallmark.learning.encoders.timm_image import TimmImageEncoder
from hallmark.systems.refseg.data import ExpressionDataModule
from hallmark.systems.refseg.proposers.sam import PublishedSam
from hallmark.systems.refseg.vlm.client import OpenAIRewriter
from hallmark.systems.sentiment.data import PairDataModule
from hallmark.systems.touch.data import WindowDataModule

SECRET = "sk-0123456789-do-not-print"
PRESETS = ("sentiment_text", "touch_balanced", "refseg_loop")


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """An empty cache of the hub, and a function that puts files of a repository into it."""
    cache = tmp_path / "hub"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))

    def put(repository: str, *names: str) -> None:
        folder = cache / f"models--{repository.replace('/', '--')}"
        (folder / "refs").mkdir(parents=True)
        (folder / "refs" / "main").write_text("abc")
        (folder / "snapshots" / "abc").mkdir(parents=True)
        for name in names:
            (folder / "snapshots" / "abc" / name).touch()

    return put


@pytest.fixture
def presets(project, tmp_path):
    """The project's conf/ with a preset of each system."""
    conf = tmp_path / "conf"
    conf.mkdir()
    for path in (project / "conf").iterdir():
        if path.name != "experiment":
            (conf / path.name).symlink_to(path)
    (conf / "experiment").mkdir()
    for name in ("base", *(f"{preset}.yaml" for preset in PRESETS)):
        (conf / "experiment" / name).symlink_to(project / "conf" / "experiment" / name)
    needs.preset_classes.cache_clear()
    yield conf
    needs.preset_classes.cache_clear()


def problem(requirements) -> str:
    return requirements[0].problem


def test_every_system_with_either_profile(presets, hub, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # where no checkpoints lie
    lines = [(str(finding.level), finding.text) for finding in needs.needs(presets)]
    for start in ("PairDataModule of", "WindowDataModule of", "ExpressionDataModule of"):
        assert {level for level, text in lines if text.startswith(start)} == {"ok", "warning"}
    missing = " ".join(text for level, text in lines if level == "warning")
    assert "touch_balanced (full)" in missing and "(sample)" not in missing
    assert "no folder is given" in missing and "data set not found without network" in missing
    assert "no such file" in missing and "weights not found without network" in missing
    assert sum(text.startswith("Three ways to provide weights") for _, text in lines) == 1


def test_a_folder_that_one_system_reads(presets, tmp_path):
    folder = tmp_path / "mine"
    [(level, text)] = [(str(f.level), f.text) for f in needs.folder_readers(presets, folder)]
    assert level == "failed" and "no such folder" in text
    folder.mkdir()
    findings = list(needs.folder_readers(presets, folder))
    assert {str(finding.level) for finding in findings} == {"warning"} and len(findings) == 3
    assert any("has no train.txt, data" in finding.text for finding in findings)
    (folder / "recordings.csv").touch()
    [finding] = needs.folder_readers(presets, folder)
    assert str(finding.level) == "ok" and finding.text.startswith("WindowDataModule of touch_balanced")


def test_without_presets():
    [finding] = needs.needs(None)
    assert str(finding.level) == "warning" and "no conf/" in finding.text


def test_layouts_of_the_data(tmp_path):
    arguments = {"folder": str(tmp_path), "sample": None, "extra": None}
    assert problem(PairDataModule.requirements(arguments)) == f"{tmp_path} has no train.txt, data"
    assert problem(WindowDataModule.requirements(arguments)) == f"{tmp_path} has no recordings.csv"
    pd.DataFrame({"t": [0.0]}).to_parquet(tmp_path / "signals.parquet")
    assert "has no annotations.jsonl" in problem(ExpressionDataModule.requirements({"source": str(tmp_path)}))
    (tmp_path / "train.txt").touch()
    (tmp_path / "data").mkdir()
    (tmp_path / "expressions.csv").touch()
    assert problem(PairDataModule.requirements(arguments)) == ""
    assert problem(ExpressionDataModule.requirements({"source": str(tmp_path)})) == ""
    [_, extra] = PairDataModule.requirements({**arguments, "extra": "no.csv"})
    assert extra.problem == "no.csv: no such file"
    missing = str(tmp_path / "nowhere")
    assert problem(WindowDataModule.requirements({**arguments, "folder": missing})) == f"{missing}: no such folder"
    assert problem(WindowDataModule.requirements({**arguments, "folder": None, "sample": {"seed": 1}})) == ""
    assert problem(ExpressionDataModule.requirements({"source": missing})) == f"{missing}: no such folder"


def test_weights_in_the_cache_of_the_hub(hub, tmp_path):
    text = {"name": "sentence-transformers/all-MiniLM-L6-v2", "weights": "pretrained"}
    image = {"name": "resnet50", "weights": "pretrained"}
    clip = {"name": "openai/clip-vit-base-patch32", "weights": "openai"}
    encoders = ((HFTextEncoder, text), (TimmImageEncoder, image), (ClipEncoders, clip))
    assert {problem(owner.requirements(arguments)) for owner, arguments in encoders} == {
        "weights not found without network"
    }
    hub(text["name"], "config.json", "tokenizer_config.json", "model.safetensors")
    hub("timm/resnet50.a1_in1k", "model.safetensors")
    hub("timm/vit_base_patch32_clip_224.openai", "open_clip_model.safetensors")
    assert {problem(owner.requirements(arguments)) for owner, arguments in encoders} == {""}


def test_weights_in_a_file_or_none(tmp_path):
    file = tmp_path / "mine.safetensors"
    arguments = {"name": "resnet50", "weights": str(file)}
    assert "no such file or folder" in problem(TimmImageEncoder.requirements(arguments))
    file.touch()
    assert problem(TimmImageEncoder.requirements(arguments)) == ""
    assert TimmImageEncoder.requirements({"name": "resnet50", "weights": "random"}) == []
    assert problem(ClipEncoders.requirements({"name": "ViT-B-32", "weights": "random"})) == ""
    sam = {"model_type": "vit_b", "checkpoint": str(tmp_path / "sam.pth")}
    assert problem(PublishedSam.requirements(sam)).endswith("sam.pth: no such file")


def test_a_key_is_named_and_never_shown(monkeypatch):
    arguments = {"base_url": "https://api.example.com/v1", "model": "m", "key_variable": "EXAMPLE_API_KEY"}
    monkeypatch.delenv("EXAMPLE_API_KEY", raising=False)
    assert problem(OpenAIRewriter.requirements(arguments)) == "EXAMPLE_API_KEY is not set"
    monkeypatch.setenv("EXAMPLE_API_KEY", SECRET)
    [requirement] = OpenAIRewriter.requirements(arguments)
    assert requirement.problem == "" and SECRET not in str(requirement)
    assert problem(OpenAIRewriter.requirements({**arguments, "key_variable": None})) == ""
    [requirement] = OpenAIRewriter.requirements({**arguments, "key_variable": SECRET})
    assert requirement.problem and SECRET not in str(requirement)


def test_classes_of_a_trusted_package(presets, tmp_path, monkeypatch):
    (tmp_path / "doctored.py").write_text(
        "from hallmark.storage.requirements import Requirement\n"
        "class Data:\n"
        "    @classmethod\n"
        "    def requirements(cls, arguments):\n"
        "        return [Requirement('a lake', 'no water')]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for path in list((presets / "experiment").glob("*.yaml")):
        path.unlink()
    preset = presets / "experiment" / "lake.yaml"
    base = "# @package _global_\ndefaults:\n  - override /data: sentiment\n  - override /model: tfidf\n"
    preset.write_text(f"{base}name: lake\ndata:\n  _target_: doctored.Data\n")
    assert "trusted_packages=[doctored]" in next(iter(needs.needs(presets))).text
    assert "doctored" not in sys.modules
    preset.write_text(f"{base}name: lake\ntrusted_packages: [doctored]\ndata:\n  _target_: doctored.Data\n")
    needs.preset_classes.cache_clear()
    assert "Data of lake (sample), lake (full): a lake: no water" in [f.text for f in needs.needs(presets)]
    assert Path(sys.modules["doctored"].__file__) == tmp_path / "doctored.py"
