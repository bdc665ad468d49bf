"""Which classes a configuration may name."""

import re
import sys

import pytest
import yaml
from omegaconf import OmegaConf
from tests.engine.hostile import NAMES, PAYLOADS

from hallmark.checks import SettingError
from hallmark.engine.config.targets import FOREIGN, admitted_class, check_targets, trusted_packages


def named(node) -> set[str]:
    """Every `_target_` in plain containers, and in overrides that a list of jobs holds."""
    if isinstance(node, dict):
        targets = {node["_target_"]} if "_target_" in node else set()
        return targets.union(*map(named, node.values()))
    if isinstance(node, list):
        return set().union(*map(named, node))
    return set(re.findall(r"_target_[:=] *([\w.]+)", node)) if isinstance(node, str) else set()


@pytest.fixture(scope="session")
def in_presets(project) -> set[str]:
    files = sorted((project / "conf").rglob("*.yaml"))
    return set().union(*(named(yaml.safe_load(file.read_text(encoding="utf-8"))) for file in files))


def test_every_class_that_presets_name_is_admitted(in_presets):
    assert len(in_presets) > 70
    for target in in_presets:
        admitted = admitted_class(target, "model")
        assert admitted.__name__ == target.rpartition(".")[2]


def test_every_admitted_class_of_another_package_is_used_by_a_preset(in_presets):
    assert in_presets >= FOREIGN and all(not target.startswith("hallmark.") for target in FOREIGN)


# `SweepStudy` is a public class, but of no kind that a configuration builds.
OTHERS = [*NAMES, *(name for name in PAYLOADS if not name.endswith(".SweepStudy")), None, 3, ["os.system"]]


@pytest.mark.parametrize("target", OTHERS, ids=repr)
def test_nothing_else_is_admitted(target):
    before = set(sys.modules)
    with pytest.raises(SettingError) as caught:
        admitted_class(target, "model.head")
    assert caught.value.key == "model.head._target_" and caught.value.value == target
    imported = {name for name in set(sys.modules) - before if not name.startswith("hallmark")}
    if not str(target).startswith("hallmark."):
        assert imported == set()


def test_what_is_not_admitted_is_not_imported(tmp_path, monkeypatch):
    (tmp_path / "payload.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'w').close()\nclass Model: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SettingError, match=r"trusted_packages=\[payload\]"):
        admitted_class("payload.Model", "model")
    assert not (tmp_path / "mark").exists() and "payload" not in sys.modules


@pytest.fixture
def own_package(tmp_path, monkeypatch):
    """A package of the user's."""
    folder = tmp_path / "ownpackage"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    text = "import os\nfrom pathlib import Path\nclass Model: pass\nclass _Hidden: pass\ndef make(): pass\n"
    (folder / "models.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield "ownpackage"
    for name in [name for name in sys.modules if name.partition(".")[0] == "ownpackage"]:
        del sys.modules[name]


def test_a_trusted_package_gives_its_own_classes_alone(own_package):
    assert admitted_class("ownpackage.models.Model", "model", [own_package]).__name__ == "Model"
    assert admitted_class("ownpackage.models.Model", "model", ["ownpackage.models"]).__name__ == "Model"
    for name in ("make", "os.system", "Path", "_Hidden", "Nothing", "os.PathLike"):
        with pytest.raises(SettingError) as caught:
            admitted_class(f"ownpackage.models.{name}", "model", [own_package])
        assert caught.value.key == "model._target_"
    for other in ([], ["own"], ["ownpackage.other"], ["models"]):
        with pytest.raises(SettingError):
            admitted_class("ownpackage.models.Model", "model", other)


@pytest.mark.parametrize(
    "value", ["mypackage", [1], [""], ["a b"], ["os"], ["os.path"], ["builtins"], ["hallmark"], ["./outputs"], {"a": 1}]
)
def test_what_is_no_list_of_packages_of_ones_own(value):
    with pytest.raises(SettingError) as caught:
        trusted_packages(OmegaConf.create({"trusted_packages": value}))
    assert caught.value.key == "trusted_packages"


@pytest.mark.parametrize(("value", "packages"), [(None, ()), ([], ()), (["mypackage", "a.b"], ("mypackage", "a.b"))])
def test_a_list_of_packages(value, packages):
    assert trusted_packages(OmegaConf.create({"trusted_packages": value})) == packages


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({"model": {"_target_": "os.system"}}, "model._target_"),
        ({"a": {"b": {"c": {"_target_": "os.system"}}}}, "a.b.c._target_"),
        ({"a": [{"b": [[{"_target_": "os.system"}]]}]}, "a[0].b[0][0]._target_"),
        ({"a": {"_target_": "lightning.Trainer", "profiler": {"_target_": "os.system"}}}, "a.profiler._target_"),
        ({"a": {"_target_": "${b}"}, "b": "os.system"}, "a._target_"),
    ],
)
def test_a_target_is_found_however_deep_it_lies(config, key):
    with pytest.raises(SettingError) as caught:
        check_targets(OmegaConf.create(config))
    assert caught.value.key == key and caught.value.value == "os.system"
