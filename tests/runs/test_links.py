"""Runs at fixed places: listed by a link named after their id, which is followed to that run and nowhere else."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hallmark.runs.links import is_stale, linked_run, list_run, remove_stale_link
from hallmark.runs.record import RunState
from hallmark.runs.registry import find_entries
from hallmark.runs.run import Run, open_run

RUN_ID = "0123abcd"


@pytest.fixture
def fixed(tmp_path: Path, make_record: Callable) -> Run:
    directory = tmp_path / "output" / "fixed"
    directory.mkdir(parents=True)
    make_record(state=RunState.DONE, run_id=RUN_ID).write(directory)
    return Run(directory)


@pytest.fixture
def link(tmp_path: Path) -> Path:
    return tmp_path / "outputs" / "clip_final" / RUN_ID


def test_a_run_is_listed_among_those_of_its_name_once(fixed, link, tmp_path):
    for _ in range(2):
        list_run(fixed.directory, link)
        assert linked_run(link) == fixed.directory
    for folders in ([tmp_path / "outputs"], [tmp_path], [tmp_path / "outputs", tmp_path / "output"]):
        assert [entry.id for entry in find_entries(folders)] == [RUN_ID]
    for path in (link, link.parent, link.parent / "latest"):
        assert open_run(path).directory.resolve() == fixed.directory


def test_a_link_in_a_folder_with_its_run_makes_no_second_one(fixed):
    list_run(fixed.directory, fixed.directory.parent / RUN_ID)
    assert open_run(fixed.directory.parent).record.run_id == RUN_ID


def test_both_folders_can_be_moved_together(fixed, link, tmp_path, monkeypatch):
    list_run(fixed.directory, link)
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("output", "outputs"):
        shutil.move(tmp_path / name, moved / name)
    monkeypatch.chdir(moved)
    assert linked_run(Path("outputs/clip_final") / RUN_ID) == Path("output/fixed")


@pytest.mark.parametrize("state", ["another run", "no run", "damaged", "nowhere"])
def test_a_link_to_anything_else_is_no_run_and_makes_room_for_one(fixed, link, make_record, tmp_path, state):
    list_run(fixed.directory, link)
    record = fixed.directory / "record.json"
    if state == "another run":
        make_record(run_id="ffffffff").write(fixed.directory)
    elif state == "no run":
        record.unlink()
    elif state == "damaged":
        record.write_text("{")
    else:
        shutil.rmtree(fixed.directory)
    left = sorted(tmp_path.joinpath("output").rglob("*"))
    assert linked_run(link) is None and find_entries([tmp_path / "outputs"]) == []
    with pytest.raises(ValueError, match="found none"):
        open_run(link.parent)
    remove_stale_link(link)
    link.mkdir()
    assert sorted(tmp_path.joinpath("output").rglob("*")) == left


def test_folders_and_links_of_other_names_are_left_alone(fixed, link, tmp_path):
    another = tmp_path / "my-link"
    another.symlink_to(fixed.directory)
    link.mkdir(parents=True)
    for path in (another, link):
        remove_stale_link(path)
        assert path.exists() and not is_stale(path)
    list_run(fixed.directory, link)  # a run of its id lies there already
    assert not link.is_symlink()
