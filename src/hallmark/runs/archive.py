"""Archives that can be checked by themselves: a zip file with a checksum of every file and one of the whole."""

import hashlib
import io
import shutil
import stat
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import IO
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from hallmark.storage.files import atomic_path
from hallmark.storage.printing import printable, shortened

MANIFEST = "MANIFEST.sha256"  # in the format of `sha256sum --check`
_CHECKSUM = 64  # the archive's comment, its last bytes: SHA-256 of all bytes before them, in hexadecimal
_CHUNK = 1 << 20
_FIRST_DAY = (1980, 1, 1, 0, 0, 0)  # no times: the same files give the same archive

# What file systems can hold (names are joined to a folder of their own), and what no release comes near.
_PART_BYTES, _NAME_BYTES, _LEVELS = 255, 1024, 32
_DIRECTORY_BYTES = 16 << 20  # of the zip's own directory of files: more than a hundred thousand of them
# An archive or file that unpacks to more than so many bytes, and to more than so many times itself, is a bomb. What a
# release holds is packed to a half or a tenth; deflate reaches a thousandth.
_UNPACKED_BYTES, _UNPACKED_RATIO = 256 << 20, 20
_ENCRYPTED = 1  # bit of a file's flags
_SHOWN = 20  # problems in one message


class ArchiveError(ValueError):
    """Not an archive of this kind, an unsafe one, or one that was changed."""


def write_archive(path: Path, files: Mapping[str, Path | str], *, folder: str | None = None) -> None:
    """Write `files` (name: file on disk, or text) below one folder, and check what was written.

    Args:
        folder: name of that folder; the archive's own name if None.

    Raises:
        ArchiveError: a name that could not be unpacked, or what lies on disk is not what was to be written.
    """
    root = path.stem if folder is None else folder
    check_names([f"{root}/{name}" for name in (*files, MANIFEST)])
    manifest = ""
    for name, source in sorted(files.items()):
        with io.BytesIO(source.encode()) if isinstance(source, str) else source.open("rb") as file:
            manifest += f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {name}\n"
    with atomic_path(path) as temporary:
        with ZipFile(temporary, "w", ZIP_DEFLATED) as archive:
            for name, source in sorted({**files, MANIFEST: manifest}.items()):
                entry = ZipInfo(f"{root}/{name}", _FIRST_DAY)
                entry.compress_type, entry.create_system = ZIP_DEFLATED, 3
                entry.external_attr = (stat.S_IFREG | 0o644) << 16
                if isinstance(source, str):
                    archive.writestr(entry, source)
                    continue
                large = source.stat().st_size > 1 << 30
                with source.open("rb") as file, archive.open(entry, "w", force_zip64=large) as target:
                    shutil.copyfileobj(file, target, _CHUNK)
            archive.comment = b"0" * _CHECKSUM
        with temporary.open("r+b") as file:
            checksum = _body_digest(file)
            file.seek(-_CHECKSUM, 2)
            file.write(checksum)
        if problems := damage(temporary):
            raise ArchiveError(f"{path}: not written as it should be: {first_problems(problems)}")


def damage(path: Path) -> list[str]:
    """What differs from the archive as it was written, a sentence for each file; empty if every byte is the same.

    Raises:
        ArchiveError: not an archive, one that cannot be unpacked safely, or a decompression bomb; no file of it was
            read.
    """
    with _opened(path) as archive:
        root, names = _checked(archive, path)
        if MANIFEST not in names:
            return [f"{MANIFEST} is damaged or missing"]
        digests = {name: _checksum(archive, f"{root}/{name}") for name in names}
        if not digests.pop(MANIFEST):
            return [f"{MANIFEST} is damaged or missing"]
        lines = archive.read(f"{root}/{MANIFEST}").decode(errors="replace").splitlines()
    expected = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    problems = [f"{name} is missing" for name in expected if name not in digests]
    problems += [f"{name} is not in {MANIFEST}" for name in digests if name not in expected]
    problems += [f"{name} is damaged" for name, digest in digests.items() if expected.get(name, digest) != digest]
    with path.open("rb") as file:
        checksum = _body_digest(file)
        file.seek(-_CHECKSUM, 2)
        if not problems and file.read() != checksum:
            problems.append("the archive was changed outside of its files")
    return problems


def unpack(path: Path, folder: Path) -> Path:
    """Unpack an undamaged archive into `folder`, which holds nothing yet; gives the one folder that was in it.

    Raises:
        ArchiveError: damaged, unsafe, or larger than the disk; nothing was unpacked.
    """
    if problems := damage(path):
        raise ArchiveError(f"{path}: {first_problems(problems)}")
    with _opened(path) as archive:
        root, names = _checked(archive, path)
        existing = next(parent for parent in (folder, *folder.resolve().parents) if parent.exists())
        size, free = sum(entry.file_size for entry in archive.infolist()), shutil.disk_usage(existing).free
        if size > free:
            limit = f"{free:,} are free in {existing}"
            raise ArchiveError(f"{path}: refused, because it unpacks to {size:,} bytes; {limit}")
        try:
            for name in names:
                target = folder / root / name
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(f"{root}/{name}") as source, target.open("xb") as written:
                    shutil.copyfileobj(source, written, _CHUNK)
        except (OSError, UnicodeEncodeError) as error:
            raise ArchiveError(f"{path}: cannot be unpacked into {folder} ({error})") from error
    return folder / root


def check_names(names: Iterable[str]) -> None:
    """Raise `ArchiveError` unless files of all `names` can be unpacked, and stay below the folder they are put in."""
    every = list(names)
    folders = {"/".join(parts[:level]) for parts in (name.split("/") for name in every if name.count("/") < _LEVELS)
               for level in range(1, len(parts))}  # fmt: skip
    for name in every:
        if reason := _objection(name, folders):
            raise ArchiveError(f"refused, because it holds the name '{shortened(name)}': {reason}")
    if len(set(every)) < len(every):
        raise ArchiveError("refused, because it holds a name twice")


def first_problems(problems: Sequence[str], separator: str = "; ") -> str:
    """The first of `problems`, in characters that a terminal can print."""
    more = [f"and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
    return printable(separator.join([*problems[:_SHOWN], *more]))


def _objection(name: str, folders: set[str]) -> str | None:
    """Why `name` cannot be unpacked; None if it can."""
    parts = PurePosixPath(name).parts
    if len(parts) > _LEVELS:
        return f"{len(parts):,} levels deep, where at most {_LEVELS} are unpacked"
    if "\\" in name or ":" in name or name != "/".join(parts) or name.startswith("/") or {"..", "."} & set(parts):
        return "not a plain path below a folder"
    if len(parts) < 2:
        return "not below the one folder that all files are in"
    if any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in name):
        return "it has characters that no file name should have"
    if len(name.encode()) > _NAME_BYTES or any(len(part.encode()) > _PART_BYTES for part in parts):
        return f"longer than {_PART_BYTES} bytes in one part, or {_NAME_BYTES} in all"
    return "both a file and a folder" if name in folders else None


def _body_digest(file: IO[bytes]) -> bytes:
    """The checksum of all but the last bytes, which hold it."""
    left = file.seek(0, 2) - _CHECKSUM
    file.seek(0)
    hasher = hashlib.sha256()
    while left > 0 and (block := file.read(min(left, _CHUNK))):
        hasher.update(block)
        left -= len(block)
    return hasher.hexdigest().encode()


def _opened(path: Path) -> ZipFile:
    try:
        if path.exists() and not path.is_file():
            raise ArchiveError(f"{path}: not an archive: expected a file")
        if (size := _directory_bytes(path)) > _DIRECTORY_BYTES:
            limit = f"at most {_DIRECTORY_BYTES:,}"
            raise ArchiveError(f"{path}: refused, because its directory of files has {size:,} bytes, expected {limit}")
        return ZipFile(path)
    except ArchiveError:
        raise
    except FileNotFoundError:
        raise ArchiveError(f"{path}: no such archive") from None
    except Exception as error:  # a damaged directory of files can fail in any way
        raise ArchiveError(f"{path}: not a readable archive, or damaged at its end ({error})") from error


def _directory_bytes(path: Path) -> int:
    """Size of the zip's directory of files as its last record declares it, 0 without one.

    `ZipFile` reads it at once, an object a file. Records by PKWARE's APPNOTE 6.3.10, 4.3.14 to 4.3.16: the last
    one, 20 bytes before it a locator where there is a 64-bit one, and 56 bytes before that the 64-bit one.
    """
    with path.open("rb") as file:
        file.seek(-min(file.seek(0, 2), (1 << 16) + 22 + 76), 2)  # with the longest comment
        tail = file.read()
    at = tail.rfind(b"PK\5\6")
    large = tail[at - 76 : at] if at >= 76 else b""
    if large[:4] == b"PK\6\6" and large[56:60] == b"PK\6\7":
        return int.from_bytes(large[40:48], "little")
    return int.from_bytes(tail[at + 12 : at + 16], "little") if at >= 0 else 0


def _checked(archive: ZipFile, path: Path) -> tuple[str, list[str]]:
    """The one top folder and the names below it, of files that can be read within bounds and unpacked below it.

    What the archive declares can be trusted as bounds: no more is read of a file than its declared size.
    """
    try:
        check_names(archive.namelist())
    except ArchiveError as error:
        raise ArchiveError(f"{path}: {error}") from None
    for entry in archive.infolist():
        if reason := _unreadable(entry):
            raise ArchiveError(f"{path}: refused, because '{shortened(entry.filename)}' {reason}")
    size, packed = sum(entry.file_size for entry in archive.infolist()), path.stat().st_size
    if size > max(_UNPACKED_BYTES, _UNPACKED_RATIO * packed):
        raise ArchiveError(f"{path}: refused as a decompression bomb: {packed:,} bytes that unpack to {size:,}")
    roots = {name.partition("/")[0] for name in archive.namelist()}
    if len(roots) != 1:
        raise ArchiveError(f"{path}: expected one folder in it; found {first_problems(sorted(roots), ', ') or 'none'}")
    (root,) = roots
    return root, [name.removeprefix(f"{root}/") for name in archive.namelist()]


def _unreadable(entry: ZipInfo) -> str | None:
    """Why a file of the archive is not read; None if it is."""
    if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG):
        return "is a link or another thing than a file"
    if entry.flag_bits & _ENCRYPTED:
        return "is encrypted"
    if entry.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        return f"is packed by method {entry.compress_type}, where only deflate is read"
    if entry.file_size > max(_UNPACKED_BYTES, _UNPACKED_RATIO * entry.compress_size):
        return f"is a decompression bomb: {entry.compress_size:,} bytes that unpack to {entry.file_size:,}"
    return None


def _checksum(archive: ZipFile, name: str) -> str:
    """SHA-256 of a file; empty where it cannot be read."""
    try:
        with archive.open(name) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    except Exception:  # a damaged file can fail in any way
        return ""
