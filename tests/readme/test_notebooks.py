"""Each cell of the notebooks, in an empty folder; the commands that they call are cut as those of the pages are."""

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import IPython.display
import pytest
from tests.conftest import PROJECT
from tests.readme.cut import cut, forked, start

pytestmark = pytest.mark.e2e


def execute(notebook: Path, small_of) -> None:
    """Carry out the cells of code as a kernel does, in this process."""

    genuine = subprocess.run

    def run(words: list[str], **settings: Any) -> subprocess.CompletedProcess:
        if words[0] != sys.executable:
            return genuine(words, **settings)
        log = settings["cwd"] / "log"
        status = start(cut(shlex.join(["python", *words[1:]]), small_of), settings["cwd"], log)
        return subprocess.CompletedProcess(words, status, log.read_text(), log.read_text())

    def picture(path: Path, **settings: Any) -> object:
        """A picture that must be there; IPython takes the path for content otherwise."""
        return image(path.read_bytes(), **settings)

    image = IPython.display.Image
    IPython.display.Image = picture  # type: ignore[assignment, misc]
    subprocess.run = run  # type: ignore[assignment]
    names: dict[str, Any] = {}
    for number, cell in enumerate(json.loads(notebook.read_text())["cells"]):
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), f"{notebook.name}, cell {number}", "exec"), names)


@pytest.mark.parametrize("notebook", sorted((PROJECT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_the_cells_of_a_notebook_run_in_order(notebook, small_of, tmp_path, project):
    for name in ("conf", "train.py", "evaluate.py", "sweep.py"):
        (tmp_path / name).symlink_to(project / name)
    log = tmp_path / "notebook.log"
    status = forked(lambda: execute(notebook, small_of), tmp_path, log)
    assert status == 0, log.read_text()
