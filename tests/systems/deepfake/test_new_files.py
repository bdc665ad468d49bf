"""Which frames and videos are meant by the files that are asked about, and what becomes of those without an answer."""

import os
from pathlib import Path

import pandas as pd
import pytest

from hallmark.data.problems import Problems
from hallmark.systems.deepfake.data import KINDS
from hallmark.systems.deepfake.new_files import left_out, list_new


@pytest.fixture
def problems() -> Problems:
    return Problems({**dict.fromkeys(KINDS, "skip"), "gray_image": "keep"}, repairable=["gray_image"])


@pytest.fixture
def files(tmp_path, monkeypatch) -> Path:
    """A folder with some, which is the working folder."""
    for name in ("alone.png", "clip/1.png", "clip/2.png", "clip/inner/1.jpg", "clip/more.mp4", "clip/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def videos(inputs, problems: Problems) -> dict[str, list[str]]:
    """The paths of the files of each video that is not refused."""
    table = list_new(list(map(Path, inputs)), problems)
    assert (table["label"] == "").all()
    used = table[~table["refused"].astype(bool)]
    assert all(Path(file).exists() for file in used["file"])
    return {str(video): rows["path"].tolist() for video, rows in used.groupby("video", sort=False)}


def test_a_picture_is_a_video_and_so_are_the_pictures_of_a_folder(files, problems):
    assert videos(["alone.png", "clip"], problems) == {
        "alone.png": ["alone.png"],
        "clip": ["clip/1.png", "clip/2.png"],
        "clip/inner": ["clip/inner/1.jpg"],
        "clip/more.mp4": ["clip/more.mp4"],
    }
    assert [(problem.id, problem.kind) for problem in problems.found] == [("clip/notes.txt", "unreadable_image")]


def test_what_a_folder_shows_is_asked_or_named_and_what_it_hides_is_neither(files, problems):
    for name in ("clip/.hidden.jpg", "clip/._1.png", "clip/.thumbs/1.jpg", "clip/1.gif", "clip/inner/more.mpg"):
        (files / name).parent.mkdir(exist_ok=True)
        (files / name).write_bytes(b"")
    listed = list_new([Path("clip")], problems)
    assert set(listed["path"]) == {"clip/1.png", "clip/2.png", "clip/inner/1.jpg", "clip/more.mp4"}
    named = {"clip/1.gif", "clip/notes.txt", "clip/inner/more.mpg"}
    assert {problem.id for problem in problems.found} == named
    assert set(left_out(listed, problems.table())["video"]) == named


def test_names_are_those_that_were_typed(files, problems):
    assert list(videos([files / "alone.png"], problems)) == [str(files / "alone.png")]
    assert videos(["clip/../alone.png"], problems) == {"clip/../alone.png": ["clip/../alone.png"]}
    assert videos([files / "clip" / "inner"], problems) == {
        str(files / "clip" / "inner"): [str(files / "clip" / "inner" / "1.jpg")]
    }


def test_a_file_that_is_named_twice_is_asked_once(files, problems):
    assert len(list_new([Path("clip"), files / "clip" / "1.png", Path("clip")], problems)) == 4


def test_a_folder_that_is_called_as_a_picture_is_a_folder(files, problems):
    (files / "clip.png").mkdir()
    (files / "clip").rename(files / "clip.png" / "clip.png")
    assert set(videos(["clip.png"], problems)) == {f"clip.png/clip.png{below}" for below in ("", "/inner", "/more.mp4")}
    assert [problem.id for problem in problems.found] == ["clip.png/clip.png/notes.txt"]


def test_a_name_that_cannot_be_printed_is_written_out_and_its_file_is_opened(files, problems):
    odd = os.fsdecode(b"bad\xff\n.png")
    try:
        (files / odd).write_bytes(b"")
    except OSError:
        pytest.skip("this file system has no such names")
    (row,) = list_new([Path(odd)], problems).to_dict("records")
    assert row["path"] == row["video"] == "bad\\udcff\\n.png" and row["file"] == odd


def test_a_list_names_files_beside_it_and_their_videos(files, problems):
    (files / "list.csv").write_text("path,video\nclip/1.png,one\n,\nclip/2.png,one\nalone.png,\n")
    assert videos(["list.csv"], problems) == {"list.csv/one": ["clip/1.png", "clip/2.png"], "alone.png": ["alone.png"]}
    assert [problem.kind for problem in problems.found] == ["empty_path"]


def test_videos_of_two_lists_are_two_videos_whatever_they_are_called(files, problems):
    (files / "a.csv").write_text("path,video\nclip/1.png,one\nclip/2.png,one\n")
    (files / "clip" / "b.tsv").write_text("path\tvideo\n1.png\tone\n")
    assert videos(["a.csv", "clip/b.tsv", "a.csv"], problems) == {
        "a.csv/one": ["clip/1.png", "clip/2.png"], "clip/b.tsv/one": ["clip/1.png"]
    }  # fmt: skip


def test_a_path_that_leads_out_of_the_folder_of_its_list_is_refused_by_name(files, problems):
    (files / "clip" / "link.png").symlink_to(files / "alone.png")
    lines = ["path,video", "../alone.png,one", "1.png,one", "/etc/passwd,two", "link.png,two"]
    (files / "clip" / "list.csv").write_text("\n".join(lines))
    assert videos(["clip/list.csv"], problems) == {"clip/list.csv/one": ["clip/1.png"]}
    assert [problem.kind for problem in problems.found] == ["unsafe_path"] * 3
    assert all(str(name) in problem.detail for name, problem in
               zip(("../alone.png", "/etc/passwd", "link.png"), problems.found, strict=True))  # fmt: skip


@pytest.mark.parametrize(
    ("name", "kind"),
    [("nowhere.png", "missing_file"), ("clip/notes.txt", "unreadable_image"), ("empty", "missing_file"),
     ("bad.csv", "unreadable_list"), ("header.tsv", "unreadable_list"), ("nowhere.csv", "missing_file"),
     ("n" * 300 + ".png", "missing_file"), ("alone.png/1.png", "missing_file")],
)  # fmt: skip
def test_what_cannot_be_asked_is_named(files, problems, name, kind):
    (files / "empty").mkdir()
    (files / "bad.csv").write_text("file\nclip/1.png\n")
    (files / "header.tsv").write_text("path\tvideo\n")
    assert list_new([Path(name)], problems).empty
    (problem,) = problems.found
    assert problem.kind == kind and problem.id == name and name in problem.detail


def test_what_is_left_out_is_told_by_video(files, problems):
    (files / "list.csv").write_text("path,video\nclip/1.png,one\nclip/1.png,two\n../x.png,two\n")
    listed = list_new([Path("alone.png"), Path("clip"), Path("list.csv"), Path("nowhere.png")], problems)
    problems.add("clip/1.png", "unreadable_image", "")
    problems.add("clip/2.png", "gray_image", "")
    problems.add("clip/more.mp4/000003", "no_face", "")
    lost = left_out(listed, problems.table())
    assert set(lost[["video", "id", "kind"]].itertuples(index=False, name=None)) == {
        ("list.csv/two", "../x.png", "unsafe_path"), ("nowhere.png", "nowhere.png", "missing_file"),
        ("clip", "clip/1.png", "unreadable_image"), ("clip/notes.txt", "clip/notes.txt", "unreadable_image"),
        ("list.csv/one", "clip/1.png", "unreadable_image"),
        ("list.csv/two", "clip/1.png", "unreadable_image"), ("clip/more.mp4", "clip/more.mp4/000003", "no_face"),
    }  # fmt: skip
    assert pd.Index(lost.columns).is_unique
