"""The workers of a sweep on this machine: processes that end with the one that started them."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

FAREWELL_SECONDS = 120


class Pool:
    """At most `size` workers on the sweep in `directory`; what they print goes to `workers/<number>.log`.

    Args:
        options: of each worker, after the folder.
    """

    def __init__(self, directory: Path, size: int, options: Sequence[str] = ()) -> None:
        self.directory, self.size, self.options = directory, size, options
        self._processes: dict[int, subprocess.Popen] = {}

    def keep(self, wanted: int) -> None:
        """Start workers until there are `wanted` of them, or as many as may be."""
        for number in range(1, self.size + 1):
            if self.alive < min(wanted, self.size) and number not in self._running():
                self._start(number)

    @property
    def alive(self) -> int:
        return len(self._running())

    def died(self) -> list[Path]:
        """Logs of workers that ended otherwise than on their own, each told once."""
        dead = [number for number, process in self._processes.items() if process.poll()]
        for number in dead:
            del self._processes[number]
        return [self._log(number) for number in dead]

    def _running(self) -> list[int]:
        return [number for number, process in self._processes.items() if process.poll() is None]

    def _start(self, number: int) -> None:
        self._log(number).parent.mkdir(parents=True, exist_ok=True)
        with self._log(number).open("ab") as log:
            # A group of its own: Ctrl-C reaches the parent alone, which then closes the pipe.
            self._processes[number] = subprocess.Popen(
                [
                    sys.executable, "-m", "hallmark.engine.search.worker", str(self.directory), str(self._log(number)),
                    *self.options,
                ],
                stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT, process_group=0,
            )  # fmt: skip

    def _log(self, number: int) -> Path:
        return self.directory / "workers" / f"{number}.log"

    def end(self) -> None:
        """Ask every worker to save a checkpoint and end; kill one that does not, or all when asked to stop again."""
        for process in self._processes.values():
            if process.stdin is not None:
                process.stdin.close()
        try:
            with suppress(subprocess.TimeoutExpired):
                for process in self._processes.values():
                    process.wait(FAREWELL_SECONDS)
        finally:
            for process in self._processes.values():
                process.kill()
                process.wait()


@contextmanager
def pool(directory: Path, size: int, options: Sequence[str] = ()) -> Iterator[Pool]:
    """A pool that is ended with the block."""
    workers = Pool(directory, size, options)
    try:
        yield workers
    finally:
        workers.end()
