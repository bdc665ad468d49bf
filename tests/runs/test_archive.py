import hashlib
import stat
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import IO
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hallmark.runs.archive import MANIFEST, ArchiveError, damage, unpack, write_archive
from hostile import mutate

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
    contents = {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    manifest = contents.pop(MANIFEST).decode()
    assert contents == {
        **{name: text.encode() for name, text in CONTENT.items()},
        "runs/a/weights": bytes(range(256)) * 4,
    }
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    assert manifest == "".join(f"{sums[name]}  {name}\n" for name in sorted(sums))


def test_the_same_files_give_the_same_bytes(archive: Path, tmp_path: Path) -> None:
    again = tmp_path / "again" / archive.name
    write_archive(again, {"runs/a/weights": tmp_path / "weights", **dict(reversed(CONTENT.items()))})
    assert again.read_bytes() == archive.read_bytes()


def test_every_flipped_byte_is_found(archive: Path, tmp_path: Path) -> None:
    original = archive.read_bytes()
    for position in range(len(original)):
        changed = bytearray(original)
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
    original = path.read_bytes()
    cut = original[: data.draw(st.integers(0, len(original) - 1))]
    path.write_bytes(cut if data.draw(st.booleans()) else original + cut[:50] + b"x")
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


def test_a_link_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    write_archive(path, CONTENT)
    with ZipFile(path, "a") as opened:
        link = ZipInfo("a/link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        opened.writestr(link, "/etc/passwd")
    with pytest.raises(ArchiveError, match="'a/link' is a link"):
        unpack(path, tmp_path / "there")
    assert not (tmp_path / "there").exists()


UNPACKABLE = {
    "a long part": ("clip-0123/" + "n" * 256, "longer than 255 bytes"),
    "a part of many bytes": ("clip-0123/" + "ü" * 128, "longer than 255 bytes"),
    "a long path": ("clip-0123" + f"/{'n' * 200}" * 6, "1024 in all"),
    "many levels": ("clip-0123" + "/d" * 3000, "3,001 levels deep, where at most 32"),
    "a file beside a folder of its name": ("clip-0123/README.md/more", "both a file and a folder"),
    "a folder beside a file of its name": ("clip-0123/runs", "both a file and a folder"),
    "an end of line": ("clip-0123/a\nb", "characters that no file name should have"),
    "an escape sequence": ("clip-0123/\x1b[31m", "characters that no file name should have"),
}


@pytest.mark.parametrize(("name", "reason"), UNPACKABLE.values(), ids=UNPACKABLE)
def test_a_name_that_cannot_be_unpacked_is_refused_when_it_is_read_and_before_it_is_written(
    archive: Path, tmp_path: Path, name: str, reason: str
) -> None:
    before = archive.read_bytes()
    with pytest.raises(ArchiveError, match=reason):
        write_archive(archive, {**CONTENT, name.removeprefix("clip-0123/"): "x"})
    assert archive.read_bytes() == before
    rewritten(archive, {name: "x"})
    with pytest.raises(ArchiveError, match=reason) as refused:
        unpack(archive, tmp_path / "there")
    assert not (tmp_path / "there").exists() and len(str(refused.value)) < 500 and "\x1b" not in str(refused.value)


def test_an_archive_that_is_larger_than_the_disk_is_refused(archive: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("hallmark.runs.archive.shutil.disk_usage", lambda _: type("Usage", (), {"free": 10}))
    with pytest.raises(ArchiveError, match=r"unpacks to 1,\d\d\d bytes; 10 are free"):
        unpack(archive, tmp_path / "there")
    assert damage(archive) == []  # nothing is unpacked for that


def rewritten_entry(archive: Path, name: str, edit: Callable[[bytearray, int, int], None]) -> None:
    """Change the two headers of a file: `edit` gets all bytes, and where its central and its local header stand."""
    content = bytearray(archive.read_bytes())
    with ZipFile(archive) as opened:
        local = opened.getinfo(f"{archive.stem}/{name}").header_offset
    central = content.rindex(b"PK\1\2", 0, content.rindex(f"{archive.stem}/{name}".encode()))
    edit(content, central, local)
    archive.write_bytes(content)


@pytest.mark.parametrize(
    ("offset", "value", "reason"),
    [(8, 1, "is encrypted"), (10, 12, "is packed by method 12"), (10, 99, "is packed by method 99")],
)
def test_what_only_others_pack_is_refused(archive: Path, offset: int, value: int, reason: str) -> None:
    def edit(content: bytearray, central: int, local: int) -> None:
        content[central + offset] = content[local + offset - 2] = value

    rewritten_entry(archive, "README.md", edit)
    with pytest.raises(ArchiveError, match=f"README.md' {reason}"):
        damage(archive)


def bomb(archive: Path, size: int) -> None:
    """Add zeros to an archive, packed."""
    with ZipFile(archive, "a", ZIP_DEFLATED) as opened, opened.open(f"{archive.stem}/zeros", "w") as zeros:
        for _ in range(size >> 20):
            zeros.write(bytes(1 << 20))


def test_a_decompression_bomb_is_refused_unread(archive: Path, monkeypatch) -> None:
    bomb(archive, 257 << 20)
    monkeypatch.setattr(ZipFile, "open", lambda *_, **__: pytest.fail("a file of it was read"))
    with pytest.raises(ArchiveError, match=r"zeros' is a decompression bomb: \S+ bytes that unpack to 269,484,032"):
        damage(archive)


def test_many_files_that_are_a_bomb_together_are_refused_unread(archive: Path, monkeypatch) -> None:
    monkeypatch.setattr("hallmark.runs.archive._UNPACKED_BYTES", 3 << 20)
    with ZipFile(archive, "a", ZIP_DEFLATED) as opened:
        for number in range(4):
            opened.writestr(f"{archive.stem}/zeros-{number}", bytes(1 << 20))
    monkeypatch.setattr(ZipFile, "open", lambda *_, **__: pytest.fail("a file of it was read"))
    with pytest.raises(ArchiveError, match="refused as a decompression bomb"):
        damage(archive)


def test_no_more_is_read_of_a_file_than_it_declares(archive: Path, monkeypatch) -> None:
    bomb(archive, 64 << 20)

    def edit(content: bytearray, central: int, local: int) -> None:
        content[central + 24 : central + 28] = content[local + 22 : local + 26] = (1000).to_bytes(4, "little")

    rewritten_entry(archive, "zeros", edit)
    read: list[int] = []
    digest = hashlib.file_digest

    def counted(file: IO[bytes], name: str) -> object:
        try:
            return digest(file, name)
        finally:
            read.append(file.tell())

    monkeypatch.setattr(hashlib, "file_digest", counted)
    assert damage(archive)
    assert len(read) == 7 and max(read) < 10_000


@pytest.mark.parametrize("entries", [0xFFFF, 0xFFFFFFFF])
def test_a_huge_declared_directory_is_refused_unread(archive: Path, entries: int) -> None:
    content = bytearray(archive.read_bytes())
    end = content.rindex(b"PK\5\6")
    content[end + 12 : end + 16] = (17 << 20).to_bytes(4, "little")
    if entries > 0xFFFF:  # in the 64-bit records, which stand before the last one
        large = b"PK\6\6" + bytes(36) + (1 << 50).to_bytes(8, "little") + bytes(8) + b"PK\6\7" + bytes(16)
        content[end:end] = large
    archive.write_bytes(content)
    with pytest.raises(ArchiveError, match=r"its directory of files has \S+ bytes, expected at most 16,777,216"):
        damage(archive)


def test_a_thousand_problems_are_a_short_message(archive: Path, tmp_path: Path) -> None:
    rewritten(archive, {f"clip-0123/more-{number}": "x" for number in range(1000)})
    with pytest.raises(ArchiveError, match="and 980 more") as refused:
        unpack(archive, tmp_path / "there")
    assert len(str(refused.value)) < 1500


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_changed_in_an_archive_is_refused(archive: Path, tmp_path: Path, seed: int) -> None:
    draw, original = Random(seed), archive.read_bytes()
    for _ in range(100):
        changed = bytearray(original)
        for _ in range(draw.randint(1, 4)):
            mutate(changed, draw)
        archive.write_bytes(changed)
        if bytes(changed) != original:
            with pytest.raises(ArchiveError):
                unpack(archive, tmp_path / "there")
    assert not (tmp_path / "there").exists()


@pytest.mark.parametrize("content", [b"", b"not a zip file", b"PK\x05\x06" + b"\0" * 18])
def test_what_is_no_archive_says_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(ArchiveError, match=r"a\.zip: (not a readable archive|expected one folder in it; found none)"):
        damage(tmp_path / "a.zip")
    with pytest.raises(ArchiveError, match="no such archive"):
        damage(tmp_path / "b.zip")
    with pytest.raises(ArchiveError, match="expected a file"):
        damage(tmp_path)
