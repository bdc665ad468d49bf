"""A release is refused with all reasons at once, before anything is looked at."""

import json
import shutil
from zipfile import ZipFile

import numpy as np
import pytest
from tests.engine.releasing import count, git, released

from hallmark.engine.release.readiness import CHECKS
from hallmark.engine.release.verify import verify
from hallmark.runs.record import Record
from hallmark.runs.run import Run
from hallmark.runs.seal import accesses_of

pytestmark = pytest.mark.e2e


def change(run: Run, **changes) -> None:
    record = Record.read(run.directory)
    assert record is not None
    for name, value in changes.items():
        setattr(record, name, value)
    record.write(run.directory)


def test_all_that_is_wrong_is_listed_at_once_and_nothing_was_looked_at(runs, repeats, place):
    shutil.rmtree(repeats.directory)
    (place / "clone" / "new.py").touch()
    leakage = {"checks": {"id": "clean", "group": "unknown", "duplicate text": "found"}}
    selected = {**runs[0].record.selected, "metric": "train/loss"}
    versions = {**runs[0].record.versions, "numpy": "1.0"}
    dirty = {"commit": "f" * 40, "dirty": True}
    change(runs[0], leakage=leakage, selected=selected, versions=versions, git=dirty)
    with pytest.raises(ValueError, match="cannot be released yet") as caught:
        released(runs[0])
    message = str(caught.value)
    for part in (
        "git: the working tree has uncommitted changes: commit or stash them",
        "it was trained with uncommitted changes: commit them and train again",
        "it was trained at commit ffffffffffff, and the tree is at",
        "leakage: splits share content (duplicate text; see leakage.csv)", "nothing is known of group",
        "repeats: there is one run and no spread: train with repeat=seeds:5",
        "selection: weights were selected on train/loss", "environment: packages changed",
        f"numpy 1.0 then, {np.__version__} now",
        "--waive git --waive leakage --waive repeats --waive selection --waive environment releases it",
    ):  # fmt: skip
        assert part in message, part
    assert accesses_of(runs[0]) == []
    archive = released(runs[0], *CHECKS)
    with ZipFile(archive) as opened:
        facts = json.loads(opened.read(f"{archive.stem}/release.json"))
    assert facts["checks"]["repeats"].startswith("waived: there is one run")
    assert facts["checks"]["selection"].startswith("waived: weights were selected on train/loss")
    assert verify(archive).metrics == count(runs[0])
    assert git(place / "clone", "tag") == ""


def test_one_waived_check_does_not_waive_another(runs, repeats):
    shutil.rmtree(repeats.directory)
    change(runs[0], leakage={})
    with pytest.raises(ValueError, match="its data was not checked") as caught:
        released(runs[0], "repeats")
    assert "there is one run" not in str(caught.value)


@pytest.mark.parametrize("state", ["interrupted", "failed", "running"])
def test_what_is_not_done_is_not_released(runs, state):
    change(runs[0], state=state)
    with pytest.raises(ValueError, match=f"the run is {state}"):
        released(runs[0], *CHECKS)


def test_outside_of_a_repository(repeats, runs, place, monkeypatch):
    monkeypatch.chdir(place)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(place.parent))
    with pytest.raises(ValueError, match="git: the working folder is in no git repository"):
        released(repeats)
    assert verify(released(repeats, "git")).metrics == count(*runs)
