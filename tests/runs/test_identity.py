import copy
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hallmark.runs.identity import git_state, installed_packages, package_versions, run_id

CONFIG: dict[str, Any] = {
    "name": "clip_final",
    "seed": 1,
    "rerun": False,
    "profile": "sample",
    "init_from": None,
    "paths": {"outputs": "<outputs>", "cache": "<cache>", "run_dir": None},
    "logger": {"csv": {"_target_": "a.Csv"}},
    "features": {"folder": "<cache>/features", "enabled": True},
    "callbacks": {"progress": {"_target_": "a.Progress"}, "early_stopping": {"patience": 3}},
    "data": {"batch_size": 16, "num_workers": 0, "cache": "<cache>", "split": {"val": 0.1, "seed": 0}},
    "trainer": {"max_epochs": 8, "enable_progress_bar": True},
    "model": {"encoders": {"image": {"name": "test_resnet", "options": {"pad_type": "same"}}}, "classes": ["a", "b"]},
}
IRRELEVANT = {
    ("rerun",), ("profile",), ("paths",), ("logger",), ("features",), ("callbacks", "progress"),
    ("data", "num_workers"), ("data", "cache"), ("trainer", "enable_progress_bar"),
}  # fmt: skip


def leaves(node: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if not isinstance(node, dict):
        return [path]
    return [leaf for key, value in node.items() for leaf in leaves(value, (*path, key))]


def edited(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    config = copy.deepcopy(CONFIG)
    node = config
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return config


values = st.integers(100, 200) | st.text(min_size=9) | st.lists(st.integers(), max_size=3) | st.just({"x": 1.5})


@given(st.sampled_from(leaves(CONFIG)), values)
def test_an_edit_changes_the_id_unless_it_cannot_change_the_result(path: tuple[str, ...], value: Any) -> None:
    irrelevant = any(path[: len(prefix)] == prefix for prefix in IRRELEVANT)
    assert (run_id(edited(path, value)) == run_id(CONFIG)) is irrelevant


@given(st.sampled_from(leaves(CONFIG)))
def test_so_does_a_new_key_beside_any_leaf(path: tuple[str, ...]) -> None:
    new_path = (*path[:-1], "brand_new")
    irrelevant = any(new_path[: len(prefix)] == prefix for prefix in IRRELEVANT)
    assert (run_id(edited(new_path, 1)) == run_id(CONFIG)) is irrelevant


def test_the_id_is_short_and_its_config_untouched() -> None:
    config = copy.deepcopy(CONFIG)
    assert len(run_id(config)) == 8 and int(run_id(config), 16) >= 0
    assert config == CONFIG


def test_the_order_of_keys_and_absent_parents_do_not_matter() -> None:
    assert run_id(dict(reversed(CONFIG.items()))) == run_id(CONFIG)
    assert run_id({"seed": 1, "callbacks": None}) == run_id({"seed": 1, "callbacks": None, "paths": {}})


def git(folder: Path, *arguments: str) -> str:
    settings = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *settings, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_git_state_inside_and_outside_of_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    folder = tmp_path / "repository"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert git_state() == {"commit": None, "dirty": None}
    git(folder, "init", "-q")
    git(folder, "commit", "-q", "--allow-empty", "-m", "first")
    assert git_state() == {"commit": git(folder, "rev-parse", "HEAD"), "dirty": False}
    (folder / "new").touch()
    assert git_state()["dirty"] is True


def test_package_versions_name_what_results_depend_on() -> None:
    versions = package_versions()
    assert versions["numpy"] == np.__version__
    assert {"lightning", "timm", "transformers", "open_clip_torch"} <= versions.keys()


def test_the_environment_is_names_and_versions_alone() -> None:
    lines = installed_packages().splitlines()
    assert lines[0].startswith("# Python 3.")
    assert f"numpy=={metadata.version('numpy')}" in lines
    assert all(line.count("==") == 1 and not {"/", "@", " ", ":"} & set(line) for line in lines[1:])
    assert not any(line.startswith("hallmark") for line in lines)
    assert lines[1:] == sorted(set(lines[1:]), key=str.lower)
