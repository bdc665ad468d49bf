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
    packed = pack_state(state)
    with atomic_path(path) as temporary:
        temporary.write_bytes(packed)


def read_state(path: Path) -> dict[str, Any]:
    """What `write_state` was given; tuples have become lists.

    Raises:
        UserError: there is no such file, or it is damaged.
    """
    try:
        return unpack_state(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: no fitted state can be read there ({error})") from error


def pack_state(state: Mapping[str, Any]) -> bytes:
    """The bytes of the file of `write_state`: safetensors, plain values as JSON in its metadata.

    Raises:
        TypeError: as `write_state`.
    """
    from safetensors.numpy import save  # not where only a configuration is composed

    arrays = {name: np.asarray(value, order="C") for name, value in state.items() if isinstance(value, np.ndarray)}
    for name, value in arrays.items():
        if value.dtype.kind not in "biuf":
            raise TypeError(f"state {name}: an array of {value.dtype}; give numbers, and texts as a list")
    plain = {name: value for name, value in state.items() if name not in arrays}
    try:
        text = json.dumps(plain, sort_keys=True)
    except (TypeError, ValueError) as error:
        raise TypeError(f"state: {error}; give arrays of numbers and plain containers") from error
    packed: bytes = save(arrays, metadata={_PLAIN: text})
    return packed


def unpack_state(packed: bytes) -> dict[str, Any]:
    """What `pack_state` was given.

    Raises:
        ValueError: damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays: dict[str, Any] = load(packed)
        size = int.from_bytes(packed[:8], "little")  # of the header, which `load` has read
        plain: dict[str, Any] = json.loads(json.loads(packed[8 : 8 + size])["__metadata__"][_PLAIN])
    except (SafetensorError, KeyError, TypeError) as error:
        raise ValueError(f"not a state: {error}") from error
    return {**plain, **arrays}
