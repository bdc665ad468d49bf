"""Files that one process at a time holds locked, for as long as it lives."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def locked_file(path: Path, refusal: Callable[[], Exception], *, seconds: float = 0) -> Iterator[None]:
    """Hold the lock file `path`; raise `refusal()` where another process holds it for more than `seconds`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file_lock = FileLock(path, timeout=seconds)
    try:
        file_lock.acquire()
    except Timeout:
        raise refusal() from None
    try:
        yield
    finally:
        file_lock.release()


def is_locked(lock: Path) -> bool:
    """Whether a process holds `lock`; True also where that cannot be found out, such as without permission."""
    if not lock.exists():  # and is not created by asking
        return False
    try:
        with FileLock(lock, timeout=0):
            return False
    except (Timeout, OSError):
        return True
