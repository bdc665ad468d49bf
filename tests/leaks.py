"""Where secrets are found in what a command leaves: every file, and what is compressed in it."""

import io
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq


def readings(path: Path) -> Iterator[bytes]:
    """The bytes of a file, and what is compressed in them."""
    content = path.read_bytes()
    yield content
    if zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(path) as archive:
            yield from (archive.read(member) for member in archive.namelist())
    if path.suffix == ".parquet":
        yield str(pq.read_metadata(path).metadata).encode()
        yield pd.read_parquet(path).to_csv().encode()


def leaks(folder: Path, sentinels: Mapping[str, str]) -> list[tuple[str, str]]:
    """(file, name of the secret) of each that is found below `folder`."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [
        (str(path), name)
        for path in files
        for name, value in sentinels.items()
        if any(value.encode() in reading for reading in readings(path))
    ]
