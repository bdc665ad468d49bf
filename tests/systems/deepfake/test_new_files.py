"""Which frames and videos are meant by the files that are asked about."""

from pathlib import Path

import pytest

from hallmark.data.problems import Problems
from hallmark.systems.deepfake.new_files import list_new


@pytest.fixture
def problems() -> Problems:
    return Problems({"missing_file": "skip", "unreadable_image": "skip", "empty_path": "skip"}, repairable=[])


@pytest.fixture
def files(tmp_path) -> Path:
    for name in ("alone.png", "clip/1.png", "clip/2.png", "clip/inner/1.jpg", "clip/more.mp4", "clip/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    return tmp_path


def videos(inputs, problems: Problems) -> dict[str, list[str]]:
    """The names of the files of each video."""
    table = list_new(inputs, problems)
    assert all(Path(path).is_absolute() for path in table["path"]) and (table["label"] == "").all()
    return {str(video): [Path(path).name for path in rows["path"]] for video, rows in table.groupby("video")}


def test_a_picture_is_a_video_and_so_are_the_pictures_of_a_folder(files, problems):
    assert videos([files / "alone.png", files / "clip"], problems) == {
        str(files / "alone.png"): ["alone.png"],
        str(files / "clip"): ["1.png", "2.png"],
        str(files / "clip" / "inner"): ["1.jpg"],
        str(files / "clip" / "more.mp4"): ["more.mp4"],
    }
    assert not problems.found


def test_a_file_that_is_named_twice_is_asked_once(files, problems):
    assert len(list_new([files / "clip", files / "clip" / "1.png", files / "clip"], problems)) == 4


def test_a_list_names_files_beside_it_and_their_videos(files, problems):
    (files / "list.csv").write_text("path,video\nclip/1.png,one\n,\nclip/2.png,one\nalone.png,\n")
    assert videos([files / "list.csv"], problems) == {"one": ["1.png", "2.png"], "alone.png": ["alone.png"]}
    assert [problem.kind for problem in problems.found] == ["empty_path"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [("nowhere.png", "missing_file"), ("clip/notes.txt", "unreadable_image"), ("empty", "missing_file"),
     ("bad.csv", "missing_file")],
)  # fmt: skip
def test_what_cannot_be_asked_is_named(files, problems, name, kind):
    (files / "empty").mkdir()
    (files / "bad.csv").write_text("file\nclip/1.png\n")
    assert list_new([files / name], problems).empty
    (problem,) = problems.found
    assert problem.kind == kind and str(files / name) in problem.detail
