"""Files that people bring: only a regular file is read, and whatever goes wrong names it."""

import os
import stat
from pathlib import Path


class UnreadableFileError(OSError):
    """A file that cannot be read; the message names it and says why."""


class MissingFileError(UnreadableFileError, FileNotFoundError):
    """There is no such file."""


def read_regular(path: Path) -> bytes:
    """The content of a regular file.

    A pipe that nobody writes to would be waited for without end, and a device may have no end.

    Raises:
        MissingFileError: there is none.
        UnreadableFileError: a folder, a pipe, a device, without permission, too large for memory.
    """
    try:
        # Opened first and looked at afterwards, so that nothing can be exchanged in between.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        try:
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode):
                raise UnreadableFileError(f"{path}: expected a regular file; found {_kind(mode)}")
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                return file.read()
        finally:
            os.close(descriptor)
    except UnreadableFileError:
        raise
    except (FileNotFoundError, NotADirectoryError) as error:
        raise MissingFileError(f"{path}: no such file") from error
    except (OSError, ValueError) as error:  # the latter for a name with a NUL
        raise UnreadableFileError(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    except MemoryError as error:
        raise UnreadableFileError(f"{path}: larger than the memory that is left") from error


def _kind(mode: int) -> str:
    kinds = {"a folder": stat.S_ISDIR, "a pipe": stat.S_ISFIFO, "a socket": stat.S_ISSOCK,
             "a device": lambda mode: stat.S_ISCHR(mode) or stat.S_ISBLK(mode)}  # fmt: skip
    return next((name for name, is_kind in kinds.items() if is_kind(mode)), "something else")
