"""docs/guide.md: its system is built from the page, outside of the tree, and does what the page says."""

import shlex
import time
from pathlib import Path

import pytest
from tests.readme.commands import bring_own_files, commands, guide_files
from tests.readme.outputs import missing
from tests.readme.test_readme import start

from hallmark.storage.files import read_json

pytestmark = pytest.mark.e2e

SAME = {
    "mydigits/data.py": "src/hallmark/systems/digits/data.py",
    "mydigits/module.py": "src/hallmark/systems/digits/module.py",
    "mydigits/conf/data/mydigits.yaml": "conf/data/digits.yaml",
    "mydigits/conf/model/mydigits.yaml": "conf/model/digits.yaml",
}


@pytest.fixture
def tree(tmp_path, project) -> Path:
    """A folder with the scripts and settings of the project, and the files of the page."""
    for name in ("conf", "train.py", "evaluate.py", "sweep.py"):
        (tmp_path / name).symlink_to(project / name)
    bring_own_files(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("name", "twin"), SAME.items())
def test_the_page_shows_the_files_of_the_tree(project, name, twin):
    text = (project / twin).read_text()
    assert guide_files()[name] == text.replace("hallmark.systems.digits", "mydigits")


def test_the_commands_of_the_page_do_what_it_says(tree):
    printed = []
    typed = [command.text for command in commands() if command.page == "docs/guide.md"]
    for number, text in enumerate(typed):
        began, log, words = time.time(), tree / f"{number}.log", shlex.split(text)
        if words[0] == "python":
            words += ["statistics.n_resamples=50", *(["trainer.max_epochs=1"] if "repeat=seeds:2" in words else [])]
        assert start(words, tree, log) == 0, f"{text}\n{log.read_text()}"
        lacking = missing(text, tree / "outputs", since=began)
        assert not lacking, f"{text} leaves no {', '.join(lacking)}"
        printed.append(log.read_text())
        if number == 0:
            (metrics,) = (tree / "outputs" / "mydigits").glob("*/metrics.json")
            assert read_json(metrics)["val"]["main"]["accuracy"] > 0.9
    assert "mydigits starts: " in printed[0]
    assert "mydigits starts: " not in printed[1] and " is done (rerun=true would replace it)" in printed[1]
