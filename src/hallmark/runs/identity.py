"""Which run a configuration is, and the commit and packages that it is made with."""

import copy
import platform
import subprocess
from importlib import metadata
from typing import Any

from hallmark.runs.declarations import without_declared
from hallmark.storage.hashing import digest

# Nothing below these keys can change a result.
_IRRELEVANT = (
    "paths",
    "logger",
    "rerun",
    "on_code_change",
    "profile",
    "features",
    "analysis",
    "statistics",
    "out_of_fold",
    "callbacks.progress",
    "callbacks.pictures",
    "monitor.second",
    "data.num_workers",
    "data.cache",
    "trainer.enable_progress_bar",
)


def run_id(config: dict[str, Any]) -> str:
    """Eight characters that name a resolved configuration less what cannot change the result.

    `config` must be resolved with symbolic `paths`, so that a moved project keeps its ids.
    """
    return digest(relevant_settings(config))[:8]


def relevant_settings(config: dict[str, Any]) -> dict[str, Any]:
    """A copy of a resolved configuration less what cannot change the result, by its keys or by what classes declare."""
    relevant = copy.deepcopy(config)
    for dotted in _IRRELEVANT:
        *parents, last = dotted.split(".")
        node: Any = relevant
        for parent in parents:
            node = node.get(parent) or {}
        node.pop(last, None)
    settings: dict[str, Any] = without_declared(relevant)
    if not settings.get("parents"):  # the key is younger than the ids of most runs
        settings.pop("parents", None)
    return settings


def git_state() -> dict[str, Any]:
    """Commit and dirty flag of the working folder's repository; both None outside of one."""

    def git(*arguments: str) -> str:
        command = ["git", "--no-optional-locks", *arguments]  # a process that is killed leaves no lock of the index
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return {"commit": None, "dirty": None}


def package_versions() -> dict[str, str]:
    names = ("torch", "lightning", "hydra-core", "timm", "transformers", "open_clip_torch", "numpy", "scikit-learn")
    return {name: metadata.version(name) for name in names}


def installed_packages() -> str:
    """Every installed package as `name==version`, sorted, but for this one; Python and platform in a comment."""
    versions = {(distribution.metadata["Name"], distribution.version) for distribution in metadata.distributions()}
    lines = sorted({f"{name}=={version}" for name, version in versions if name}, key=str.lower)
    lines = [line for line in lines if not line.startswith("hallmark-experiments==")]
    return "\n".join([f"# Python {platform.python_version()}, {platform.system()} {platform.machine()}", *lines, ""])
