"""The scripts of the project, run in this process as a user types them."""

import logging
import runpy
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig


@dataclass
class Ended:
    """How a command ended: its exit status and what it printed."""

    code: int
    out: str
    err: str

    @property
    def is_traceback(self) -> bool:
        return "Traceback" in self.err


Entry = Callable[..., Ended]


@pytest.fixture
def entry(project: Path, monkeypatch, capsys) -> Iterator[Entry]:
    """A function from a script and its arguments to how it ended."""
    handlers, level = logging.root.handlers[:], logging.root.level

    def entry(script: str, *arguments: str, folder: Path = project) -> Ended:
        monkeypatch.setattr(sys, "argv", [str(folder / script), *arguments])
        GlobalHydra.instance().clear()
        capsys.readouterr()
        code = 0
        try:
            runpy.run_path(str(folder / script), run_name="__main__")
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        finally:
            GlobalHydra.instance().clear()
            HydraConfig.instance().cfg = None
        printed = capsys.readouterr()
        return Ended(code, printed.out, printed.err)

    yield entry
    logging.root.handlers[:], logging.root.level = handlers, level
