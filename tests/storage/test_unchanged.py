"""Whether files are still as they were: by their times, and by their contents where these were changed just now."""

import os
from pathlib import Path

import pytest

from hallmark.storage import unchanged
from hallmark.storage.unchanged import is_unchanged, state_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.txt", "below/b.txt"):
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("content")
    return tmp_path / "data"


@pytest.fixture
def by_times(monkeypatch) -> None:
    monkeypatch.setattr(unchanged, "_SETTLED", -1.0)


def test_what_was_changed_just_now_is_compared_by_its_contents(folder):
    assert state_of([folder]).startswith("contents:")


def test_untouched_files_are_unchanged(folder, by_times):
    state = state_of([folder])
    assert state.startswith("times:")
    assert is_unchanged([folder], state)


@pytest.mark.parametrize("by", ["times", "contents"])
@pytest.mark.parametrize("change", [
    lambda folder: (folder / "below" / "b.txt").write_text("CONTENT"),
    lambda folder: (folder / "below" / "b.txt").unlink(),
    lambda folder: (folder / "below" / "c.txt").write_text(""),
    lambda folder: (folder / "a.txt").rename(folder / "z.txt"),
])  # fmt: skip
def test_a_change_is_seen(folder, by, change):
    state = state_of([folder], by)
    change(folder)
    assert not is_unchanged([folder], state)


def test_a_change_is_seen_although_length_and_time_of_the_content_are_as_before(folder, by_times):
    path = folder / "a.txt"
    status, state = path.stat(), state_of([folder])
    path.write_text("CONTENT")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert not is_unchanged([folder], state)


def test_a_file_behind_a_link_is_one_of_the_folder(folder, tmp_path):
    (tmp_path / "far.txt").write_text("far")
    (folder / "link.txt").symlink_to(tmp_path / "far.txt")
    state = state_of([folder], "contents")
    (tmp_path / "far.txt").write_text("new")
    assert not is_unchanged([folder], state)


def test_links_in_circles_dead_links_and_pipes_are_passed_by(folder):
    (folder / "circle").symlink_to(folder)
    (folder / "dead").symlink_to(folder / "nowhere")
    os.mkfifo(folder / "pipe")
    assert is_unchanged([folder], state_of([folder], "contents"))


def test_a_file_that_is_not_there_is_missed_once_it_is(folder):
    state = state_of([folder / "split.csv"])
    (folder / "split.csv").write_text("")
    assert not is_unchanged([folder / "split.csv"], state)
