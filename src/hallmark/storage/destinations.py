"""Where a command is asked to write: refused before its work, not after."""

import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path

from hallmark.checks import SettingError, require


def check_file(key: str, path: Path, *, suffixes: Sequence[str] = ()) -> None:
    """Raise `SettingError` unless a file can be written at `path`, whose parent folders need not exist.

    Args:
        key: the option that names it.
        suffixes: those that are written; any if empty.
    """
    if suffixes:
        require(path.suffix in suffixes, key, str(path), f"a file that ends in {', '.join(suffixes)}")
    _check_place(key, path, path.parent)
    require(not path.is_dir(), key, str(path), "a file; there is a folder of this name")


def check_folder(key: str, folder: Path) -> None:
    """Raise `SettingError` unless files can be written in `folder`, which need not exist."""
    _check_place(key, folder, folder)


def _check_place(key: str, path: Path, folder: Path) -> None:
    """See that `path` is a possible name, and that `folder` or the nearest one above it takes files."""
    value, nearest = str(path), path
    try:
        _is_there(path)
        nearest = next(each for each in (folder, *folder.absolute().parents) if _is_there(each))
        with tempfile.TemporaryFile(dir=nearest):  # what permissions say, not every file system does
            pass
    except NotADirectoryError:
        raise SettingError(key, value, f"a place in a folder; {nearest} is a file") from None
    except OSError as error:
        cause = f"no file can be made in {nearest} ({error.strerror})"
        raise SettingError(key, value, f"a place that can be written; {cause}") from None


def _is_there(path: Path) -> bool:
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def check_no_input(key: str, path: Path, inputs: Iterable[Path]) -> None:
    """Raise `SettingError` where `path` is one of `inputs` or a file in a folder of them, wherever links lead."""
    if not path.exists():
        return
    for source in inputs:
        expected = f"a new file, or one that is not read; this one is in the input {source}"
        with suppress(OSError):  # an input that cannot be opened is answered where it is read
            files = chain([source.expanduser()], source.expanduser().rglob("*"))
            require(not any(file.exists() and file.samefile(path) for file in files), key, str(path), expected)
