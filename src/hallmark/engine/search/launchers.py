"""Where the workers of a sweep run: on this machine, or wherever a cluster puts them.

A launcher starts one and the same worker command, and knows when it has ended; which trial a worker takes is settled
in the study alone.
"""

import os
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import Any

from hallmark.checks import require


class Worker(ABC):
    """A worker that was started, wherever it is."""

    @abstractmethod
    def exit_status(self) -> int | None:
        """None as long as it runs or is queued, 0 where it ended on its own, another number where it crashed."""

    @abstractmethod
    def stop(self) -> None:
        """Ask it to save a checkpoint and end."""

    @abstractmethod
    def kill(self) -> None:
        """End it at once."""

    def cancel_if_queued(self) -> None:
        """Take it back where it waits for a machine."""
        return


class Launcher(ABC):
    """The shape of every launcher; constructor arguments come from `workers`."""

    def check(self, storage: str | None) -> None:
        """See that workers can be started.

        Args:
            storage: address of the study; None for a file in the sweep's folder.

        Raises:
            SettingError: they run where the study cannot be reached.
            ValueError: what starts them is not installed, or does not answer.
        """
        return

    @abstractmethod
    def start(self, command: Sequence[str], log: Path) -> Worker:
        """Start the worker `command`, whose output is appended to `log`."""

    def close(self) -> None:
        """Leave the cluster, once every worker has ended."""
        return


class LocalProcesses(Launcher):
    """Processes of this machine."""

    def start(self, command: Sequence[str], log: Path) -> Worker:
        return _LocalProcess(start_process(command, log))


class _LocalProcess(Worker):
    def __init__(self, process: subprocess.Popen) -> None:
        self.process = process

    def exit_status(self) -> int | None:
        return self.process.poll()

    def stop(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


class WorkerCommand:
    """The worker command as a cluster carries it out, which sends this object to the machine that it has chosen.

    The command is a process of its own there, so that a worker is the same whoever started it, and its log is as
    well. It ends when the process that carries it out does, however that happens.

    Args:
        environment: variables that the cluster does not bring along.
    """

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> None:
        self.command, self.log, self.environment = list(command), log, dict(environment or {})
        self.folder = Path.cwd()

    def __call__(self) -> int:
        """Gives the exit status of the command."""
        self.process = start_process(self.command, self.log, env={**os.environ, **self.environment}, cwd=self.folder)
        # In a thread, because `checkpoint` waits for the same process from within a signal handler.
        self.waiter = Thread(target=self.process.wait, daemon=True)
        self.waiter.start()
        try:
            self.waiter.join()
        finally:
            self.stop()
        return self.process.returncode

    def stop(self) -> None:
        """Let the worker save a checkpoint, and wait until it has ended."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.waiter.join()

    def checkpoint(self) -> Any:
        """What submitit queues again, when a job is out of time or has to make room for another one."""
        import submitit

        self.stop()
        return submitit.helpers.DelayedSubmission(WorkerCommand(self.command, self.log, self.environment))


def start_process(command: Sequence[str], log: Path, **options: Any) -> subprocess.Popen:
    """The worker command as a process whose standard input is a pipe that ends with this process."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        # A group of its own: Ctrl-C reaches the parent alone, which then closes the pipe.
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=file, stderr=subprocess.STDOUT, process_group=0, **options
        )


def require_installed(name: str, extra: str) -> None:
    """Raise ValueError where the module `name` is missing, which `extra` of this distribution brings."""
    if find_spec(name) is None:
        raise ValueError(f"workers={extra}: not installed; pip install 'hallmark-experiments[{extra}]'")


def require_shared_storage(storage: str | None) -> None:
    """Raise SettingError where workers on several machines would share one SQLite file."""
    expected = "the address of a database server: workers on other machines cannot share an SQLite file"
    require(storage is not None and not storage.startswith("sqlite"), "storage", storage, expected)
