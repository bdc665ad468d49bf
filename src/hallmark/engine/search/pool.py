"""The workers of a sweep that one command has started."""

import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hallmark.engine.search.launchers import Launcher, Worker

STOP_SECONDS = 120
_POLL_SECONDS = 0.05


class Pool:
    """At most `size` workers on the sweep in `directory`, which end with the block.

    What they print goes to `workers/<number>.log`.

    Args:
        options: of each worker, after its log.
    """

    def __init__(self, launcher: Launcher, directory: Path, size: int, options: Sequence[str] = ()) -> None:
        self.launcher, self.directory, self.size, self.options = launcher, directory, size, options
        self._workers: dict[int, tuple[str, Worker]] = {}

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *error: Any) -> None:
        self.end()
        self.launcher.close()

    def keep(self, wanted: int) -> None:
        """Start workers until there are `wanted` of them, or as many as may be."""
        for number in range(1, self.size + 1):
            # A crash that nobody has heard of yet keeps its number, or it would be lost.
            free = number not in self._workers or self._workers[number][1].exit_status() == 0
            if free and len(self._running()) < min(wanted, self.size):
                name, log = uuid.uuid4().hex, self._log(number)
                command = [
                    sys.executable, "-m", "hallmark.engine.search.worker", str(self.directory), str(log),
                    f"--name={name}", *self.options,
                ]  # fmt: skip
                self._workers[number] = (name, self.launcher.start(command, log))

    @property
    def alive(self) -> int:
        return len(self._running())

    @property
    def names(self) -> set[str]:
        """Names of the workers in the study."""
        return {name for name, _ in self._workers.values()}

    def crashed(self) -> list[tuple[str, Path]]:
        """Name in the study and log of the workers that crashed since the last time."""
        ended = {number: name for number, (name, worker) in self._workers.items() if worker.exit_status()}
        for number in ended:
            del self._workers[number]
        return [(name, self._log(number)) for number, name in ended.items()]

    def cancel_queued(self) -> None:
        """Take back workers that still wait for a machine."""
        for _, worker in self._workers.values():
            worker.cancel_if_queued()

    def end(self) -> None:
        """Ask every worker to save a checkpoint and end; kill one that does not, or all when asked to stop again."""
        running = self._running()
        for worker in running.values():
            worker.stop()
        try:
            deadline = time.monotonic() + STOP_SECONDS
            while self._running() and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
        finally:
            for worker in self._running().values():
                worker.kill()

    def _running(self) -> dict[int, Worker]:
        return {number: worker for number, (_, worker) in self._workers.items() if worker.exit_status() is None}

    def _log(self, number: int) -> Path:
        return self.directory / "workers" / f"{number}.log"
