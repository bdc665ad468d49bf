"""Files that people bring: only a regular file is read, and whatever goes wrong names it."""

import os
import re
import stat
import unicodedata
from io import BufferedReader
from pathlib import Path

from hallmark.storage.printing import shortened

_LONGEST_PART, _LONGEST_PATH = 255, 2048  # bytes of a file's name, and of a path below a folder
_BLANKS = "\u115f\u1160\u2800\u3164\uffa0"  # letters and symbols without ink


class UnreadableFileError(OSError):
    """A file that cannot be read; the message names it and says why."""


class MissingFileError(UnreadableFileError, FileNotFoundError):
    """There is no such file."""


class UnsafePathError(UnreadableFileError):
    """A name that is no path below its folder; the message shows it and says why."""


def path_below(folder: Path, name: str) -> Path:
    """`folder / name`, where `name` comes from a file that somebody else may have made.

    It need not exist. Links may lead to other places below `folder`, and `folder` itself may be one.

    Raises:
        UnsafePathError: as `check_name`, and for a link that leads out of `folder`.
    """
    check_name(name)
    path = folder / name
    below = path.parents[: len(path.parts) - len(folder.parts) - 1]
    if not any(map(os.path.islink, (path, *below))):
        return path  # no need to follow `folder` itself for each of its files
    try:
        inside = Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
    except OSError as error:
        raise UnsafePathError(f"{path}: {error.strerror}") from error
    if not inside:
        raise UnsafePathError(f"{path}: a link that leads out of {folder}")
    return path


def leads_out(folder: Path, name: str) -> bool:
    """Whether `path_below` refuses `name`."""
    try:
        path_below(folder, name)
    except UnsafePathError:
        return True
    return False


def check_name(name: str) -> None:
    """Raise `UnsafePathError` unless `name` is a path below some folder on any system, whatever lies there.

    It is none if it is absolute, has `..` in it, a part longer than file systems allow, or characters that no file
    name has: control characters, halves of surrogate pairs, and what stands for characters that could not be read.
    """
    parts = name.replace("\\", "/").split("/")
    size = len(name.encode(errors="replace"))
    if name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:[\\/]", name):
        reason = "is an absolute path"
    elif ".." in parts:
        reason = "leads out of its folder"
    elif "\ufffd" in name or (not name.isprintable() and any(unicodedata.category(c) in ("Cc", "Cs") for c in name)):
        reason = "has characters that no file name has"
    elif size > _LONGEST_PATH or any(len(part.encode()) > _LONGEST_PART for part in parts):
        reason = f"has {size:,} bytes; a file name has at most {_LONGEST_PART}"
    else:
        return
    raise UnsafePathError(f"'{shortened(name)}' {reason}")


def is_class_name(name: str) -> bool:
    """Whether a folder of this name can give its name to a class: no part of a path, with something to see, and what a
    configuration takes for text.
    """
    try:
        check_name(name)
    except UnsafePathError:
        return False
    return any(map(_is_visible, name)) and not {"/", "\\"} & set(name) and "${" not in name


def composed(name: str) -> str:
    """`name` as names of files and classes are compared: as Unicode composes it (NFC), because file systems write one
    name in two ways.
    """
    return unicodedata.normalize("NFC", name)


def stripped_name(name: str) -> str:
    """`name` as names of roles are compared: `composed`, without white space around it."""
    return composed(name).strip()


def _is_visible(char: str) -> bool:
    return unicodedata.category(char)[0] in "LNPS" and char not in _BLANKS


def read_regular(path: Path) -> bytes:
    """The content of a regular file.

    Raises:
        MissingFileError: there is none.
        UnreadableFileError: a folder, a pipe, a device, without permission, too large for memory.
    """
    with open_regular(path) as file:
        try:
            return file.read()
        except OSError as error:
            raise UnreadableFileError(f"{path}: {error.strerror or error}") from error
        except MemoryError as error:
            raise UnreadableFileError(f"{path}: larger than the memory that is left") from error


def open_regular(path: Path) -> BufferedReader:
    """A regular file, opened to be read.

    A pipe that nobody writes to would be waited for without end, and a device may have no end.

    Raises:
        MissingFileError: there is none.
        UnreadableFileError: a folder, a pipe, a device, without permission.
    """
    try:
        # Opened first and looked at afterwards, so that nothing can be exchanged in between.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MissingFileError(f"{path}: no such file") from error
    except (OSError, ValueError) as error:  # the latter for a name with a NUL
        raise UnreadableFileError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(descriptor, "rb")
    os.close(descriptor)
    raise UnreadableFileError(f"{path}: expected a regular file; found {_kind(mode)}")


def _kind(mode: int) -> str:
    kinds = {"a folder": stat.S_ISDIR, "a pipe": stat.S_ISFIFO, "a socket": stat.S_ISSOCK,
             "a device": lambda mode: stat.S_ISCHR(mode) or stat.S_ISBLK(mode)}  # fmt: skip
    return next((name for name, is_kind in kinds.items() if is_kind(mode)), "something else")
