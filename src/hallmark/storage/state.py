"""Fitted state in one file: arrays and plain values, by name. Nothing in such a file can be executed."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hallmark.checks import UserError
from hallmark.storage.files import atomic_path

_PLAIN = "plain"


def write_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write `state`, whose values are arrays of numbers or plain containers; equal states are equal bytes.

    Raises:
        TypeError: a value is neither, such as an estimator: what it has learned are its arrays.
    """
    from safetensors.numpy import save_file  # not where only a configuration is composed

    arrays = {name: np.ascontiguousarray(value) for name, value in state.items() if isinstance(value, np.ndarray)}
    if objects := [name for name, value in arrays.items() if value.dtype.kind not in "biuf"]:
        raise TypeError(
            f"state {objects[0]}: an array of {arrays[objects[0]].dtype}; give numbers, and texts as a list"
        )
    plain = {name: value for name, value in state.items() if name not in arrays}
    try:
        text = json.dumps(plain, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise TypeError(f"state: {error}; give arrays of numbers and plain containers") from error
    with atomic_path(path) as temporary:
        save_file(arrays, temporary, metadata={_PLAIN: text})


def read_state(path: Path) -> dict[str, Any]:
    """What `write_state` was given; tuples have become lists.

    Raises:
        UserError: there is no such file, or it is damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            plain: dict[str, Any] = json.loads((file.metadata() or {})[_PLAIN])
            names: list[str] = file.keys()
            return {**plain, **{name: file.get_tensor(name) for name in names}}
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise UserError(f"{path}: no fitted state can be read there ({error})") from error
