"""Processes that are killed at one of their changes of the file system, or whose disk is full.

A point is a renaming, a removal or the middle of a checkpoint's writing below the watched folder, in the order in
which a process comes to them. Every process is forked from this one, so that it imports nothing.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

_CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.truncate", "shutil.rmtree", "shutil.move"}
_CONTEXT = multiprocessing.get_context("fork")
_NEW_NAMESPACE, _PRIVATE, _RECURSIVE, _REMOUNT = 0x20000, 1 << 18, 1 << 14, 1 << 5


class Points:
    """Counts the points of this process below `folder`, and kills it at number `last`; None kills it at none."""

    def __init__(self, folder: Path, last: int | None) -> None:
        self.folder, self.last, self.count = str(folder), last, 0
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in _CHANGES and any(self.folder in os.fsdecode(a) for a in arguments if isinstance(a, str | bytes)):
            self.reach()

    def reach(self) -> None:
        self.count += 1
        if self.count == self.last:
            os.kill(os.getpid(), signal.SIGKILL)

    def save(self, value: Any, file: Any) -> None:
        """`torch.save` with a point in the middle."""
        buffer = BytesIO()
        torch.serialization.save(value, buffer)
        content = buffer.getvalue()
        file.write(content[: len(content) // 2])
        file.flush()
        self.reach()
        file.write(content[len(content) // 2 :])


def _carry_out(work: Callable[[], object], folder: Path, last: int | None, counted: Any) -> None:
    points = Points(folder, last)
    torch.save = points.save
    sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - for the rest of this process
    try:
        work()
    finally:
        counted.value = points.count


def killed_at(point: int, work: Callable[[], object], folder: Path) -> bool:
    """Run `work` in a process of its own and kill it at `point`; False where it ended before."""
    process = _CONTEXT.Process(target=_carry_out, args=(work, folder, point, _CONTEXT.Value("i", 0)))
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL), f"point {point}: exit status {process.exitcode}"
    return process.exitcode != 0


def carried_out(work: Callable[[], object], folder: Path) -> int:
    """Run `work` to its end in a process of its own; gives the number of its points."""
    counted = _CONTEXT.Value("i", 0)
    process = _CONTEXT.Process(target=_carry_out, args=(work, folder, None, counted))
    process.start()
    process.join()
    assert process.exitcode == 0, f"exit status {process.exitcode}"
    return counted.value


def on_small_disk(size: int, mount: Path, work: Callable[[], object], then: Callable[[], object]) -> tuple[str, str]:
    """Run `work` with a file system of `size` kB at `mount` until it fails or ends, and again with room enough.

    Args:
        then: called at the end, where the files are still to be seen.

    Returns:
        The type of the first run's error, "" where it had room; and what `then` gave.
    """
    here, there = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(target=_in_namespace, args=(size, mount, work, then, there))
    process.start()
    process.join()
    assert process.exitcode == 0, f"{size} kB: exit status {process.exitcode}"
    return here.recv()


def small_disks_are_allowed() -> bool:
    """Whether this process may make a mount namespace."""
    process = _CONTEXT.Process(target=_mount_or_die, args=(100, Path("/mnt")))
    process.start()
    process.join()
    return process.exitcode == 0


def _mount_or_die(size: int, mount: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEW_NAMESPACE) or libc.mount(None, b"/", None, _PRIVATE | _RECURSIVE, None):
        os._exit(2)
    if libc.mount(b"tmpfs", bytes(mount), b"tmpfs", 0, f"size={size}k".encode()):
        os._exit(3)


def _in_namespace(size: int, mount: Path, work: Callable, then: Callable, answer: Any) -> None:
    sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115 - for the rest of this process
    _mount_or_die(size, mount)
    error = ""
    try:
        work()
    except Exception as raised:
        error = type(raised).__name__
    libc = ctypes.CDLL(None)
    assert libc.mount(b"tmpfs", bytes(mount), b"tmpfs", _REMOUNT, b"size=1000m") == 0
    work()
    answer.send((error, then()))


def differences(expected: Mapping[str, Any], actual: Mapping[str, Any]) -> list[str]:
    """Names of what two end states do not agree in."""
    return sorted(name for name in expected.keys() | actual.keys() if expected.get(name) != actual.get(name))
