"""Archives that can be checked by themselves: a zip file with a checksum of every file and one of the whole."""

import hashlib
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import IO
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from hallmark.storage.files import atomic_path

MANIFEST = "MANIFEST.sha256"  # in the format of `sha256sum --check`
_WHOLE = 64  # the archive's comment, its last bytes: SHA-256 of all bytes before them, in hexadecimal
_CHUNK = 1 << 20
_FIRST_DAY = (1980, 1, 1, 0, 0, 0)  # no times: the same files give the same archive


class ArchiveError(ValueError):
    """Not an archive of this kind, an unsafe one, or one that was changed."""


def write_archive(path: Path, files: Mapping[str, Path | str]) -> None:
    """Write `files` (name: file on disk, or text) below one folder named after the archive, and check what was written.

    Raises:
        ArchiveError: what lies on disk is not what was to be written.
    """
    root = path.stem
    sums = {name: _digest(source) for name, source in sorted(files.items())}
    manifest = "".join(f"{digest}  {name}\n" for name, digest in sums.items())
    with atomic_path(path) as temporary:
        with ZipFile(temporary, "w", ZIP_DEFLATED) as archive:
            for name, source in sorted({**files, MANIFEST: manifest}.items()):
                _add(archive, f"{root}/{name}", source)
            archive.comment = b"0" * _WHOLE
        _sign(temporary)
        if problems := damage(temporary):
            raise ArchiveError(f"{path}: not written as it should be: {'; '.join(problems)}")


def damage(path: Path) -> list[str]:
    """What differs from the archive as it was written, a sentence for each file; empty if every byte is the same.

    Raises:
        ArchiveError: not an archive, or one with names that could leave the folder it is unpacked into.
    """
    with _opened(path) as archive:
        root, names = _names(archive, path)
        found = {name: _checksum(archive, f"{root}/{name}") for name in names}
        expected = _manifest(archive, root) if found.pop(MANIFEST, None) else None
    if expected is None:
        return [f"{MANIFEST} is damaged or missing"]
    problems = [f"{name} is missing" for name in expected if name not in found]
    problems += [f"{name} is not in {MANIFEST}" for name in found if name not in expected]
    problems += [f"{name} is damaged" for name, digest in found.items() if expected.get(name, digest) != digest]
    if not problems and not _signed(path):
        problems.append("the archive was changed outside of its files")
    return problems


def unpack(path: Path, folder: Path) -> Path:
    """Unpack an undamaged archive into `folder`, which holds nothing yet; gives the one folder that was in it.

    Raises:
        ArchiveError: damaged, unsafe, or larger than the disk; nothing was unpacked.
    """
    if problems := damage(path):
        raise ArchiveError(f"{path}: {'; '.join(problems)}")
    with _opened(path) as archive:
        root, names = _names(archive, path)
        for name in names:
            target = folder / root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(f"{root}/{name}") as source, target.open("xb") as written:
                shutil.copyfileobj(source, written, _CHUNK)
    return folder / root


def _add(archive: ZipFile, name: str, source: Path | str) -> None:
    entry = ZipInfo(name, _FIRST_DAY)
    entry.compress_type, entry.create_system = ZIP_DEFLATED, 3
    entry.external_attr = (stat.S_IFREG | 0o644) << 16
    if isinstance(source, str):
        archive.writestr(entry, source)
        return
    with source.open("rb") as file, archive.open(entry, "w", force_zip64=source.stat().st_size > 1 << 30) as target:
        shutil.copyfileobj(file, target, _CHUNK)


def _digest(source: Path | str) -> str:
    if isinstance(source, str):
        return hashlib.sha256(source.encode()).hexdigest()
    with source.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sign(path: Path) -> None:
    with path.open("r+b") as file:
        digest = _body_digest(file)
        file.seek(-_WHOLE, 2)
        file.write(digest)


def _signed(path: Path) -> bool:
    with path.open("rb") as file:
        digest = _body_digest(file)
        file.seek(-_WHOLE, 2)
        return file.read() == digest


def _body_digest(file: IO[bytes]) -> bytes:
    left = file.seek(0, 2) - _WHOLE
    file.seek(0)
    hasher = hashlib.sha256()
    while left > 0 and (block := file.read(min(left, _CHUNK))):
        hasher.update(block)
        left -= len(block)
    return hasher.hexdigest().encode()


def _opened(path: Path) -> ZipFile:
    try:
        return ZipFile(path)
    except FileNotFoundError:
        raise ArchiveError(f"{path}: no such archive") from None
    except Exception as error:  # a damaged directory of files can fail in any way
        raise ArchiveError(f"{path}: not a readable archive, or damaged at its end ({error})") from error


def _names(archive: ZipFile, path: Path) -> tuple[str, list[str]]:
    """The one top folder and the names below it, all of which stay below it when they are unpacked."""
    names = archive.namelist()
    for name in names:
        parts = PurePosixPath(name).parts
        odd = "\\" in name or ":" in name or "\0" in name or name != "/".join(parts)
        if odd or name.startswith("/") or len(parts) < 2 or {"..", "."} & set(parts):
            raise ArchiveError(f"{path}: refused, because it holds the name {name!r}")
    if len(set(names)) < len(names):
        raise ArchiveError(f"{path}: refused, because it holds a name twice")
    roots = {name.partition("/")[0] for name in names}
    if len(roots) != 1:
        raise ArchiveError(f"{path}: expected one folder in it; found {', '.join(sorted(roots)) or 'none'}")
    size, free = sum(entry.file_size for entry in archive.infolist()), shutil.disk_usage(path.parent).free
    if size > free:
        raise ArchiveError(f"{path}: refused, because it says to unpack to {size:,} bytes; {free:,} are free")
    (root,) = roots
    return root, [name.removeprefix(f"{root}/") for name in names]


def _manifest(archive: ZipFile, root: str) -> dict[str, str]:
    lines = archive.read(f"{root}/{MANIFEST}").decode(errors="replace").splitlines()
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def _checksum(archive: ZipFile, name: str) -> str:
    """SHA-256 of a file; empty where it cannot be read."""
    try:
        with archive.open(name) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    except Exception:  # a damaged file can fail in any way
        return ""
