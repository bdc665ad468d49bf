"""requirements.txt: what the environment is installed from, each distribution by version and hash."""

import re
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = "hallmark-experiments"
NOT_LOCKED = {"ray", "weights"}  # extras: a cluster of several machines, and downloads that no command needs
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


@pytest.fixture(scope="module")
def declared(project: Path) -> dict[str, Any]:
    return tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def locked(project: Path) -> dict[str, tuple[Requirement, list[str]]]:
    """By name: the requirement and its hashes."""
    text = (project / "requirements.txt").read_text(encoding="utf-8").replace("\\\n", " ")
    entries = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        requirement, *hashes = re.split(r"\s+(?=--)", line.strip())
        parsed = Requirement(requirement)
        assert canonicalize_name(parsed.name) not in entries, f"{parsed.name} stands twice"
        entries[canonicalize_name(parsed.name)] = (parsed, hashes)
    return entries


def test_each_entry_is_one_version_with_hashes_and_nothing_says_where_it_comes_from(project, locked) -> None:
    text = (project / "requirements.txt").read_text(encoding="utf-8")
    assert "://" not in text and " @ " not in text
    for name, (requirement, hashes) in locked.items():
        assert requirement.url is None
        assert re.fullmatch(r"==[^*,]+", str(requirement.specifier)), name
        assert hashes and all(HASH.fullmatch(value) for value in hashes), name


def test_each_declared_dependency_is_locked_within_its_range(declared, locked) -> None:
    extras = declared["optional-dependencies"]
    lines = [*declared["dependencies"], *(line for name in extras if name not in NOT_LOCKED for line in extras[name])]
    for wanted in map(Requirement, lines):
        if wanted.name == PROJECT:
            assert not NOT_LOCKED & wanted.extras
            continue
        requirement, _ = locked[canonicalize_name(wanted.name)]
        (version,) = (specifier.version for specifier in requirement.specifier)
        assert wanted.specifier.contains(version), f"{wanted} against {requirement}"


def test_each_installed_distribution_is_locked_at_its_version(locked) -> None:
    installed = {
        canonicalize_name(distribution.metadata["Name"]): distribution.version
        for distribution in metadata.distributions()
    }
    installed.pop(PROJECT)
    assert {name: str(locked[name][0].specifier) if name in locked else None for name in installed} == {
        name: f"=={version}" for name, version in installed.items()
    }


@pytest.mark.parametrize("name", ["lightning", "pytorch-lightning"])
@pytest.mark.parametrize("version", ["2.6.0", "2.6.1", "2.6.2", "2.6.3", "2.6.5"])
def test_malicious_and_vulnerable_releases_are_outside_the_range(declared, name: str, version: str) -> None:
    ranges = {(requirement := Requirement(line)).name: requirement.specifier for line in declared["dependencies"]}
    assert not ranges[name].contains(version, prereleases=True)
    assert ranges[name].contains("2.6.6")
