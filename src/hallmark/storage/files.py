"""Files that are either whole or absent: written to a temporary name, flushed, renamed."""

import csv
import json
import math
import os
import re
import shutil
import uuid
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hallmark.checks import UserError

if TYPE_CHECKING:
    import pandas as pd

try:
    import fcntl
except ImportError:  # no such locks on Windows: what a killed process leaves there stays
    fcntl = None  # type: ignore[assignment]

_TEMPORARY = re.compile(r"\..*\.tmp[0-9a-f]{8}(\.\w+)?")
_swept: set[Path] = set()  # folders whose stale files this process has removed


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it to `path` if the block ends well, remove it if not.

    The temporary name keeps the suffix, because writers such as pandas and matplotlib choose the format by it. The
    first write of a process into a folder removes the temporary files that killed processes left there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.parent not in _swept:
        _swept.add(path.parent)
        remove_stale(path.parent.glob(".*"))
    temporary, descriptor = _create(path, lambda name: os.open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666))
    os.utime(temporary, (0, 0))  # so that a block that writes nothing can be told from one that writes an empty file
    try:
        yield temporary
        if temporary.stat().st_mtime == 0:
            raise FileNotFoundError(f"{path}: nothing was written")
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
        _flush(path.parent)
    except OSError as error:
        if error.errno is not None and error.filename is None:  # a full disk does not say which file it was
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)
        os.close(descriptor)


@contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """An empty folder beside `path`, to be filled and renamed to `path`; removed at the end if it was not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_stale(path.parent.glob(".*"))
    temporary, descriptor = _create(path, _open_new_folder)
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        os.close(descriptor)


def remove_stale(paths: Iterable[Path]) -> None:
    """Remove those of `paths` that are temporary files or folders of processes that no longer live."""
    for path in paths:
        if fcntl is None or not _TEMPORARY.fullmatch(path.name) or path.is_symlink():
            continue
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        except OSError:  # renamed by its writer in the meantime, or not ours to open
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        except OSError:  # its writer lives and holds the lock
            pass
        finally:
            os.close(descriptor)


def _create(path: Path, make: Callable[[Path], int]) -> tuple[Path, int]:
    """A new temporary name beside `path` and its open descriptor, locked for as long as this process lives."""
    while True:
        # A short stem, because a name that fits the file system must still fit with the ending.
        temporary = path.with_name(f".{path.stem[:40]}.tmp{uuid.uuid4().hex[:8]}{path.suffix}")
        descriptor = make(temporary)
        if fcntl is not None:
            with suppress(OSError):  # a file system without locks, where nothing is taken for stale either
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        if temporary.exists():  # else another process took it for stale before it was locked
            return temporary, descriptor
        os.close(descriptor)


def _open_new_folder(path: Path) -> int:
    path.mkdir()
    return os.open(path, os.O_RDONLY)


def _flush(folder: Path) -> None:
    """Let the renaming within `folder` outlive a loss of power."""
    if os.name != "nt":  # where folders cannot be opened
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write strict JSON: a NaN or infinity becomes null, so that any reader can parse the file."""
    write_text(path, json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """The content of `path`.

    Raises:
        UserError: it is not JSON in UTF-8.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: not valid JSON ({error})") from error


def read_parquet(path: Path) -> "pd.DataFrame":
    """A table that a command has written.

    Raises:
        UserError: it is damaged.
    """
    import pandas as pd  # by functions of tables alone: a finished run is found done without it

    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        # An OSError with a number is of the machine; pyarrow has one without for damage, too.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise UserError(f"{path}: damaged ({error})") from error


def write_csv(path: Path, frame: "pd.DataFrame", *, exact: bool = False) -> None:
    """Write a table that people may open: what a spreadsheet would execute is escaped, and `read_csv` gives it back.

    Args:
        exact: nothing is escaped, for a file whose reader is another program.
    """
    from hallmark.storage.spreadsheets import escaped, has_returns

    quoting: Literal[0, 2] = csv.QUOTE_NONNUMERIC if has_returns(frame) else csv.QUOTE_MINIMAL
    with atomic_path(path) as temporary:
        (frame if exact else escaped(frame)).to_csv(temporary, index=False, lineterminator="\n", quoting=quoting)


def read_csv(path: Path, **options: Any) -> "pd.DataFrame":
    """A table that `write_csv` wrote, with its cells as they were; `options` of `pandas.read_csv`.

    Raises:
        OSError: the file cannot be read.
        TableError: a row has not as many fields as the header.
    """
    from hallmark.storage.delimited import read_frame
    from hallmark.storage.spreadsheets import unescaped

    return unescaped(read_frame(path, **options))


def write_parquet(path: Path, frame: "pd.DataFrame") -> None:
    with atomic_path(path) as temporary:
        frame.to_parquet(temporary, index=False)


def zip_damage(path: Path) -> str | None:
    """What is wrong with the zip archive `path`, such as a checkpoint of torch; None where every checksum holds.

    `torch.load` reads the tensors of a damaged file without comparing their checksums.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        return f"{path.stat().st_size} bytes, {error}"
    return f"the checksum of {damaged} does not match" if damaged is not None else None


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(element) for key, element in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(element) for element in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
