"""What a class needs from outside its configuration: folders, files, weights of a hub, keys; and whether it is there.

A class that needs something has a class method `requirements(arguments)`, which is asked with its arguments as they are
composed, before anything is built.
"""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_WEIGHT_FILES = (
    "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json",
    "open_clip_model.safetensors", "open_clip_pytorch_model.bin",
)  # fmt: skip


@dataclass(frozen=True)
class Requirement:
    """One thing that a class needs.

    Attributes:
        text: what it is and where.
        problem: what is missing or wrong; "" where nothing is.
        advice: the ways to provide it.
    """

    text: str
    problem: str = ""
    advice: str = ""


def folder_with(names: Sequence[str], folder: str | Path, *, text: str) -> Requirement:
    """A readable `folder` that holds `names`; `text` says what such a folder is."""
    path = Path(folder).expanduser()
    text = f"{text} in {path}"
    if not path.is_dir():
        return Requirement(text, f"{path}: no such folder", "give the folder that holds the data")
    if not os.access(path, os.R_OK | os.X_OK):
        return Requirement(text, f"{path}: not readable for this user", f"chmod -R u+rX {path}")
    missing = [name for name in names if not (path / name).exists()]
    return Requirement(text, f"{path} has no {', '.join(missing)}" if missing else "")


def key_variable(name: str | None, *, text: str) -> Requirement:
    """A key in the environment variable `name`, None where none is wanted; its value is never shown."""
    if name is None:
        return Requirement(f"{text} without a key")
    if not re.fullmatch(r"[A-Z_][A-Z0-9_]{0,63}", name):
        # It may well be the key itself, so it is not repeated.
        return Requirement(text, "key_variable is not the name of an environment variable")
    problem = "" if os.environ.get(name) else f"{name} is not set"
    return Requirement(f"{text}: a key in {name}", problem, f"export {name}=… in the shell that starts the run")


def hub_files(repository: str, *names: str, kind: str = "model") -> bool:
    """Whether the local cache of the Hugging Face hub has every one of `names` and some weights of a model, or any
    snapshot of a data set; the network is not asked."""
    from huggingface_hub import snapshot_download, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        if kind == "dataset":
            snapshot_download(repository, repo_type=kind, local_files_only=True)
            return True
        cached = {
            name for name in (*names, *_WEIGHT_FILES) if isinstance(try_to_load_from_cache(repository, name), str)
        }
    except (OSError, HFValidationError):  # nothing in the cache, or no name of a repository
        return False
    return cached >= set(names) and not cached.isdisjoint(_WEIGHT_FILES)
