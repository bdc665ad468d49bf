"""Whether files are still as they were, without reading all of them again."""

import os
import stat
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from hallmark.storage.hashing import digest, digest_file

_TIMES, _CONTENTS = "times", "contents"
_SETTLED = 2.0  # seconds: within them a second change of a file may leave its times as they are


def state_of(paths: Iterable[Path], by: str | None = None) -> str:
    """A text that changes with the files at and below `paths`, links followed.

    Args:
        by: `times` compares size, inode, and the times of the last change of content and of metadata; `contents` reads
            every file. None chooses `times`, or `contents` where a file was changed a moment ago.
    """
    files = sorted(dict(pair for path in paths for pair in _files(path.absolute(), set())).items())
    if by is None:
        newest = max((max(status.st_mtime, status.st_ctime) for _, status in files if status), default=0.0)
        by = _TIMES if newest < time.time() - _SETTLED else _CONTENTS
    look = _times if by == _TIMES else _content
    return f"{by}:{digest([[path, look(path, status)] for path, status in files])}"


def is_unchanged(paths: Iterable[Path], state: str) -> bool:
    """Whether `state_of(paths)` would be `state` again."""
    return state_of(paths, state.partition(":")[0]) == state


def _files(path: Path, entered: set[tuple[int, int]]) -> Iterator[tuple[str, os.stat_result | None]]:
    """Path and status of `path`, or of every file below it; None where there is none, or none that can be asked."""
    try:
        status = path.stat()
        if not stat.S_ISDIR(status.st_mode):
            yield str(path), status
            return
        if (status.st_dev, status.st_ino) in entered:  # a link to a folder above
            return
        entered.add((status.st_dev, status.st_ino))
        below = list(path.iterdir())
    except OSError:
        yield str(path), None
        return
    for child in below:
        yield from _files(child, entered)


def _times(_: str, status: os.stat_result | None) -> list[int]:
    if status is None:
        return []
    return [status.st_mode, status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns]


def _content(path: str, status: os.stat_result | None) -> str:
    if status is None or not stat.S_ISREG(status.st_mode):  # to read a pipe would wait for its writer
        return ""
    try:
        return digest_file(Path(path))
    except OSError as error:
        return type(error).__name__
