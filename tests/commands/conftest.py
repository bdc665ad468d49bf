from collections.abc import Callable
from pathlib import Path

import pytest
from tests.runs.conftest import make_record

from hallmark.console import main
from hallmark.runs.record import Record
from hallmark.storage.files import write_json

__all__ = ["make_record"]


@pytest.fixture
def make_run(tmp_path: Path, make_record: Callable[..., Record]) -> Callable[..., Path]:
    """A function that writes a run below the outputs root, and gives its directory."""

    def make(name: str, run_id: str, *, metrics: dict | None = None, value: float | None = None, **changes) -> Path:
        directory = tmp_path / "outputs" / name / run_id
        selected = None if value is None else {"metric": "val/macro_f1", "value": value}
        make_record(**{"state": "done", "selected": selected, **changes, "name": name, "run_id": run_id}).write(
            directory
        )
        if metrics:
            write_json(directory / "metrics.json", metrics)
        return directory

    return make


@pytest.fixture
def hallmark(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """A function from arguments to exit code, stdout and stderr."""

    def hallmark(*arguments: str) -> tuple[int, str, str]:
        code = main(arguments)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return hallmark
