"""A set of runs that was released once."""

import shutil
from pathlib import Path

import pytest
from tests.engine.releasing import NAME, released, seal_under

from hallmark.runs.repeats import RepeatSet


@pytest.fixture(scope="session")
def _released(_trained_set, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("released")
    shutil.copytree(_trained_set, folder, dirs_exist_ok=True)
    for run in (folder / "outputs" / NAME).glob("*/record.json"):
        seal_under(run.parent, folder / "outputs" / "seals")
    (file,) = (folder / "outputs" / NAME).glob("*/repeats.json")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder / "clone")
        return released(RepeatSet(file.parent), tagged=False)


@pytest.fixture
def archive(_released, tmp_path) -> Path:
    """A released set of this test alone."""
    return Path(shutil.copy(_released, tmp_path))
