"""Which run a configuration is: its id, and the code and data that its result depends on."""

import copy
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

import hallmark
from hallmark.storage.hashing import digest, digest_file

# Nothing below these keys can change a result.
_IRRELEVANT = (
    "paths",
    "logger",
    "rerun",
    "profile",
    "features",
    "analysis",
    "statistics",
    "out_of_fold",
    "callbacks.progress",
    "monitor.second",
    "data.num_workers",
    "data.cache",
    "trainer.enable_progress_bar",
)

_ENGINE = ("engine/setup.py", "engine/train.py", "engine/predict.py", "engine/distributed")
_SHARED_LAYERS = ("storage", "data", "features", "learning", "statistics", *_ENGINE)


def run_id(config: dict[str, Any]) -> str:
    """Eight characters that name a resolved configuration less what cannot change the result.

    `config` must be resolved with symbolic `paths`, so that a moved project keeps its ids.
    """
    return digest(relevant_settings(config))[:8]


def relevant_settings(config: dict[str, Any]) -> dict[str, Any]:
    """A copy of a resolved configuration less what cannot change the result."""
    relevant = copy.deepcopy(config)
    for dotted in _IRRELEVANT:
        *parents, last = dotted.split(".")
        node: Any = relevant
        for parent in parents:
            node = node.get(parent) or {}
        node.pop(last, None)
    return relevant


def code_hashes(target: str) -> dict[str, str]:
    """Hash of every source file that the training of `target` (a dotted class path) can run.

    Other systems, analyses and reports are left out: a change there does not make a result stale.
    """
    package = Path(hallmark.__file__).parent
    parts = target.split(".")
    layers = [*_SHARED_LAYERS, f"systems/{parts[2]}"] if parts[:2] == ["hallmark", "systems"] else _SHARED_LAYERS
    files = [
        file
        for layer in layers
        for file in ([package / layer] if layer.endswith(".py") else (package / layer).rglob("*.py"))
    ]
    return {file.relative_to(package).as_posix(): digest_file(file)[:12] for file in sorted(files)}


def git_state() -> dict[str, Any]:
    """Commit and dirty flag of the working folder's repository; both None outside of one."""

    def git(*arguments: str) -> str:
        command = ["git", *arguments]
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
