import hashlib
import stat
from pathlib import Path
from zipfile import ZipFile, ZipInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hallmark.runs.archive import MANIFEST, ArchiveError, damage, unpack, write_archive

CONTENT = {"README.md": "what this is\n", "runs/a/config.yaml": "seed: 1\n" * 40, "runs/a/empty": "", "ü 😀.txt": "ä"}


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    (tmp_path / "weights").write_bytes(bytes(range(256)) * 4)
    path = tmp_path / "clip-0123.zip"
    write_archive(path, {**CONTENT, "runs/a/weights": tmp_path / "weights"})
    return path


def test_what_was_packed_is_unpacked(archive: Path, tmp_path: Path) -> None:
    root = unpack(archive, tmp_path / "there")
    assert root == tmp_path / "there" / "clip-0123"
    found = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    manifest = found.pop(MANIFEST).decode()
    assert found == {**{name: text.encode() for name, text in CONTENT.items()}, "runs/a/weights": bytes(range(256)) * 4}
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in found.items()}
    assert manifest == "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))


def test_the_same_files_give_the_same_bytes(archive: Path, tmp_path: Path) -> None:
    again = tmp_path / "again" / archive.name
    write_archive(again, {"runs/a/weights": tmp_path / "weights", **dict(reversed(CONTENT.items()))})
    assert again.read_bytes() == archive.read_bytes()


def test_every_flipped_byte_is_found(archive: Path, tmp_path: Path) -> None:
    whole = archive.read_bytes()
    for position in range(len(whole)):
        changed = bytearray(whole)
        changed[position] ^= 1 << position % 8
        archive.write_bytes(changed)
        with pytest.raises(ArchiveError):
            unpack(archive, tmp_path / "there")
    assert not (tmp_path / "there").exists()


@pytest.mark.parametrize("name", [*CONTENT, "runs/a/weights", MANIFEST])
def test_a_flipped_byte_names_its_file(archive: Path, name: str) -> None:
    with ZipFile(archive) as opened:
        entry = opened.getinfo(f"clip-0123/{name}")
    if not entry.file_size:
        return
    changed = bytearray(archive.read_bytes())
    changed[entry.header_offset + 30 + len(entry.filename.encode()) + entry.compress_size // 2] ^= 1
    archive.write_bytes(changed)
    (problem,) = damage(archive)
    assert problem.startswith(f"{name} is damaged")


@given(st.data())
def test_an_archive_that_was_cut_or_extended_is_found(tmp_path_factory: pytest.TempPathFactory, data) -> None:
    path = tmp_path_factory.mktemp("archives") / "a.zip"
    write_archive(path, CONTENT)
    whole = path.read_bytes()
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    path.write_bytes(cut if data.draw(st.booleans()) else whole + cut[:50] + b"x")
    with pytest.raises(ArchiveError):
        unpack(path, path.parent / "there")


def rewritten(archive: Path, changes: dict[str, str | None]) -> None:
    """Write the archive anew as somebody else would, with files replaced, added or (None) left out."""
    with ZipFile(archive) as opened:
        files = {name: opened.read(name) for name in opened.namelist()}
    with ZipFile(archive, "w") as opened:
        for name, content in {**files, **changes}.items():
            if content is not None:
                opened.writestr(name, content)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"clip-0123/README.md": "something else"}, "README.md is damaged"),
        ({"clip-0123/README.md": None}, "README.md is missing"),
        ({"clip-0123/more": "x"}, f"more is not in {MANIFEST}"),
        ({f"clip-0123/{MANIFEST}": None}, f"{MANIFEST} is damaged or missing"),
        ({}, "the archive was changed outside of its files"),
    ],
)
def test_a_rewritten_archive_is_found(archive: Path, changes: dict[str, str | None], problem: str) -> None:
    rewritten(archive, changes)
    assert damage(archive) == [problem]


HOSTILE = ["/etc/passwd", "../outside", "clip-0123/../../outside", "clip-0123/./x", "c:/x/y", "clip-0123\\..\\y",
           "clip-0123//x", "outside", "clip-0123/folder/"]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_that_leaves_the_folder_is_refused_unread(archive: Path, tmp_path: Path, name: str) -> None:
    rewritten(archive, {name: "x"})
    with pytest.raises(ArchiveError, match="refused, because it holds the name"):
        unpack(archive, tmp_path / "there")
    assert not (tmp_path / "there").exists()


def test_a_second_folder_or_a_name_twice_is_refused(archive: Path, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"), ZipFile(archive, "a") as opened:
        opened.writestr("clip-0123/README.md", "again")
    with pytest.raises(ArchiveError, match="holds a name twice"):
        unpack(archive, tmp_path / "there")
    rewritten(archive, {"other/file": "x"})
    with pytest.raises(ArchiveError, match="expected one folder in it; found clip-0123, other"):
        unpack(archive, tmp_path / "there")


def test_a_link_is_unpacked_as_the_text_that_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    write_archive(path, CONTENT)
    with ZipFile(path, "a") as opened:
        link = ZipInfo("a/link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        opened.writestr(link, "/etc/passwd")
    with pytest.raises(ArchiveError, match="link is not in"):
        unpack(path, tmp_path / "there")


def test_an_archive_that_says_it_is_larger_than_the_disk_is_refused(archive: Path, monkeypatch) -> None:
    monkeypatch.setattr("hallmark.runs.archive.shutil.disk_usage", lambda _: type("Usage", (), {"free": 10}))
    with pytest.raises(ArchiveError, match=r"says to unpack to 1,\d\d\d bytes; 10 are free"):
        damage(archive)


@pytest.mark.parametrize("content", [b"", b"not a zip file", b"PK\x05\x06" + b"\0" * 18])
def test_what_is_no_archive_says_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(ArchiveError, match=r"a\.zip: (not a readable archive|expected one folder in it; found none)"):
        damage(tmp_path / "a.zip")
    with pytest.raises(ArchiveError, match="no such archive"):
        damage(tmp_path / "b.zip")
