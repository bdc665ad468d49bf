"""Values on disk by the hash of what they depend on: computed once, shared by processes."""

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hallmark.storage.files import atomic_path, read_json


class FileCache:
    """One file a value, `<folder>/<first two characters>/<key><suffix>`.

    A file is whole or absent, so processes may share the folder; two that miss the same value both compute it and
    write the same.

    Args:
        folder: made when the first value is written.
        suffix: `.json` for plain containers, `.npy` for arrays.
    """

    def __init__(self, folder: Path | str, suffix: Literal[".json", ".npy"]) -> None:
        self.folder, self.suffix = Path(folder), suffix

    def get(self, key: str) -> Any:
        """The value; None where there is none, or its file is damaged."""
        try:
            path = self._path(key)
            return read_json(path) if self.suffix == ".json" else np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None

    def put(self, key: str, value: Any) -> None:
        """Write a value; raises OSError where the disk does not take it."""
        with atomic_path(self._path(key)) as temporary:
            if self.suffix == ".npy":
                np.save(temporary, value, allow_pickle=False)
            else:
                temporary.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}{self.suffix}"
