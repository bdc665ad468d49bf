"""The list of recordings as people write it."""

import shutil
from pathlib import Path

import pytest

from hallmark.checks import SettingError
from hallmark.data.problems import Problems
from hallmark.systems.touch import manifest
from hallmark.systems.touch.corpus import KINDS, REPAIRABLE
from hallmark.systems.touch.manifest import read_manifest
from hostile import NAMES, OUTSIDE, readable
from systems.touch.conftest import CLASSES, POLICY


def read(path, **policy):
    problems = Problems({**POLICY, **policy}, repairable=REPAIRABLE)
    return read_manifest(path, CLASSES, problems), problems


def kinds(problems) -> list[tuple[str, str]]:
    return [(problem.id, problem.kind) for problem in problems.found]


def test_rows_with_labels_paths_and_digests(folder):
    folder.add("a", action="press", state="")
    folder.add("b", scene="")
    table, problems = read(folder.write())
    assert not problems.found
    assert table["target_action"].tolist() == ["press", "tap"]
    assert table["target_state"].tolist() == [None, "calm"]
    assert table["signals"].tolist() == [str(folder.path / "a.npz"), str(folder.path / "b.npz")]
    assert table["signals_digest"].nunique() == 2
    assert table["frames"].tolist() == table["frames_digest"].tolist() == ["", ""]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lists_of_any_program(folder, encoding, delimiter, end):
    folder.add("a")
    lines = [
        ["ID ", "Subject", "Action", "State", " signals"],
        ["a", "“李”", "tap", "calm", "a.npz"],
        ["", ""],
    ]
    text = end.join(delimiter.join(line) for line in lines) + end
    (folder.path / "recordings.csv").write_bytes(text.encode(encoding))
    table, problems = read(folder.path)
    assert not problems.found
    row = table.iloc[0]
    assert (row["id"], row["subject"], row["scene"], row["target_action"]) == ("a", "“李”", "", "tap")


def test_every_problem_is_listed_and_none_stops(folder):
    folder.add("good")
    folder.add("good")
    folder.rows.append(["", "A", "", "tap", "calm", "good.npz", ""])
    folder.add("odd", action="jump", state="sad", subject="")
    folder.rows.append(["gone", "A", "", "tap", "calm", "gone.npz", "gone-frames.npz"])
    folder.rows.append(["none", "A", "", "tap", "calm", "", ""])
    table, problems = read(folder.write())
    assert kinds(problems) == [
        ("", "empty_id"), ("good", "duplicate_id"), ("odd", "empty_subject"), ("odd", "unknown_action"),
        ("odd", "unknown_state"), ("gone", "missing_file"), ("gone", "missing_frames"), ("none", "missing_file"),
    ]  # fmt: skip
    assert {kind for _, kind in kinds(problems)} < set(KINDS)
    assert table["id"].tolist() == ["good", "odd"]
    assert table.iloc[1][["target_action", "target_state"]].tolist() == [None, None]
    assert "'jump'; known: tap, press" in problems.found[3].detail


def test_what_is_not_kept_is_left_out(folder):
    folder.add("good")
    folder.add("odd", action="jump")
    folder.add("whose", subject="")
    table, _ = read(folder.write(), unknown_action="skip", empty_subject="skip")
    assert table["id"].tolist() == ["good"]


def test_paths_of_another_system(folder):
    (folder.path / "sub").mkdir()
    folder.add("a")
    (folder.path / "a.npz").rename(folder.path / "sub" / "a.npz")
    folder.rows[0][5] = "sub\\a.npz"
    assert len(read(folder.write())[0]) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"recordings\.csv is missing"),
        ("name,file\na,b\n", r"has the columns name, file and needs id, subject, action, state, signals"),
        ("", r"recordings\.csv, line 1: expected the names of the columns"),
        ("id,subject,action,state,signals\na,b,c,d,e\n\nf,g,h,i,j,\n", r"line 3: expected 5 fields .* a blank line"),
        ("id,subject,action,state,signals\na,b,c,d\n", r"recordings\.csv, line 2: expected 5 fields"),
        ("id,subject,action,state,signals\n", "lists no recording"),
        ("id,subject,action,state,signals,id\na,b,c,d,e,f\n", "each column once; the header repeats id"),
    ],
)
def test_lists_of_another_layout(folder, content, message):
    if content is not None:
        (folder.path / "recordings.csv").write_text(content)
    with pytest.raises(SettingError, match=message) as caught:
        read(folder.path)
    assert caught.value.key == "folder"


def test_ids_paths_and_links_that_lead_out_of_the_folder_are_listed_and_not_read(folder, monkeypatch):
    folder.add("good")
    outside = folder.path.parent / OUTSIDE
    shutil.copy(folder.path / "good.npz", outside)
    for name in NAMES.values():
        folder.rows.append([name, "A", "lab", "tap", "calm", "good.npz", ""])
    for number, name in enumerate(NAMES.values()):
        folder.rows.append([f"signals {number}", "A", "lab", "tap", "calm", name, ""])
        folder.rows.append([f"frames {number}", "A", "lab", "tap", "calm", "good.npz", name])
    (folder.path / "link.npz").symlink_to(outside)
    folder.rows.append(["link", "A", "lab", "tap", "calm", "link.npz", ""])
    read_files: list[Path] = []
    monkeypatch.setattr(manifest, "read_regular", lambda path: read_files.append(path) or b"")
    table, problems = read(folder.write())
    assert table["id"].tolist() == ["good"] and read_files == [folder.path / "good.npz"]
    assert problems.counts() == {
        "unsafe_path": 3 * len(NAMES) + 1,
        "uncertain_encoding": 1,
    }  # of the list, with its NUL
    assert readable(problems.found)


def test_a_list_that_is_a_link_out_of_the_folder_is_not_read(folder):
    folder.add("a")
    folder.write()
    (folder.path / "recordings.csv").rename(folder.path.parent / OUTSIDE)
    (folder.path / "recordings.csv").symlink_to(folder.path.parent / OUTSIDE)
    with pytest.raises(SettingError, match="a link that leads out of"):
        read(folder.path)
