"""Places that cannot be written, or that hold what is read, are refused before anything is."""

import os
from pathlib import Path

import pytest

from hallmark.checks import SettingError
from hallmark.storage.destinations import check_file, check_folder, check_no_input


def refused(check, *arguments, **options) -> bool:
    try:
        check("--output", *arguments, **options)
    except SettingError as error:
        assert error.key == "--output"
        return True
    return False


def test_a_file_whose_folders_can_be_made_is_accepted_and_nothing_is_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in (tmp_path / "a.csv", tmp_path / "new" / "deep" / "a.csv", Path("a.csv"), Path("new/a.csv")):
        assert not refused(check_file, path, suffixes=[".csv"])
    assert not refused(check_folder, tmp_path / "new") and not refused(check_folder, Path())
    assert not list(tmp_path.iterdir())


LONG = "a" * 300


@pytest.mark.parametrize(
    "name", ["file/a.csv", "file/deep/a.csv", "folder.csv", "a.txt", f"{LONG}/a.csv", f"{LONG}.csv"]
)
def test_what_cannot_be_a_file_of_the_suffix_is_refused(tmp_path, name):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.csv").mkdir()
    assert refused(check_file, tmp_path / name, suffixes=[".csv", ".parquet"])
    assert refused(check_folder, tmp_path / "file")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no such file system here")
def test_a_file_system_that_takes_no_files_is_refused_whatever_permissions_say():
    assert refused(check_file, Path("/proc/a.csv"))


@pytest.mark.parametrize("source", ["list.csv", "folder"])
def test_an_input_is_not_written_over_wherever_links_lead(tmp_path, source):
    (tmp_path / "folder").mkdir()
    for name in ("list.csv", "folder/list.csv", "other.csv"):
        (tmp_path / name).write_text("")
    held = tmp_path / ("list.csv" if source == "list.csv" else "folder/list.csv")
    (tmp_path / "symbolic.csv").symlink_to(held)
    os.link(held, tmp_path / "hard.csv")
    for name in (held.name if source == "list.csv" else "folder/list.csv", "symbolic.csv", "hard.csv"):
        assert refused(check_no_input, tmp_path / name, [tmp_path / "nowhere", tmp_path / source])
    for name in ("other.csv", "folder/new.csv"):
        assert not refused(check_no_input, tmp_path / name, [tmp_path / source])
