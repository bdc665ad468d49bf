"""Content hashes (BLAKE2b, 128 bits, hexadecimal): the same content has the same name on any machine."""

import hashlib
import json
from io import BufferedReader
from pathlib import Path
from typing import Any


def digest_bytes(*blocks: bytes | memoryview) -> str:
    hasher = hashlib.blake2b(digest_size=16)
    for block in blocks:
        hasher.update(block)
    return hasher.hexdigest()


def digest(value: Any) -> str:
    """Hash of plain containers: independent of the order of a mapping's keys."""
    return digest_bytes(json.dumps(value, sort_keys=True, ensure_ascii=True, allow_nan=True).encode())


def digest_file(path: Path) -> str:
    with path.open("rb") as file:
        return digest_stream(file)


def digest_stream(file: BufferedReader) -> str:
    """Hash of what is left of an opened file, read in parts."""
    return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
