"""The commands as a user starts them, each in a process of its own (`tests.processes`)."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.processes import Process


@pytest.fixture
def start(project) -> Callable[..., subprocess.Popen]:
    """A function that starts `python <script> <arguments>` in the project's folder.

    With `kind=subprocess.Popen` the interpreter is a fresh one.
    """
    processes = []

    def start(
        script: str, *arguments: str, outputs: Path | None = None, kind: type[subprocess.Popen] = Process
    ) -> subprocess.Popen:  # fmt: skip
        environment = {**os.environ, **({"HALLMARK_OUTPUTS": str(outputs)} if outputs else {})}
        process = kind(
            [sys.executable, str(project / script), *arguments],
            env=environment, cwd=project, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()


@pytest.fixture
def command(start) -> Callable[..., str]:
    """As `start`, but to the end; gives what was printed."""

    def command(script: str, *arguments: str, **settings: Any) -> str:
        process = start(script, *arguments, **settings)
        printed = process.communicate()[0]
        assert process.returncode == 0, printed
        return printed

    return command
