"""The fitted state of models that are not trained by steps: files in the run's folder, known by their hashes.

A checkpoint is what a fit by steps leaves. A calibration or a stacker is fitted at once; its record names the hash of
each of its files, so that what is read later, sealed and released is what was measured. Of a database that grows
(`storage/vectors.py`) it names a version, `3:<hash of its content>`: what is added later makes other versions.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from hallmark.checks import UserError
from hallmark.runs.record import Record
from hallmark.storage.hashing import digest_file

FOLDER = "state"
DATABASE = ".sqlite"
SUFFIXES = frozenset({".json", ".csv", ".parquet", ".npy", ".npz", ".safetensors", DATABASE})
"""Of files in which nothing can be executed when they are read."""


def fitted_hashes(directory: Path, names: Iterable[str]) -> dict[str, str]:
    """Hash of each of the files `names` below `directory` that is there.

    Args:
        names: of files; a mapping is of the hashes that were recorded, by which it is known which version of a
            database is asked for, in place of the newest.

    Raises:
        UserError: a name leads out of the folder, or is of a format that may hold code, such as a pickle.
    """
    hashes = {}
    for name in sorted(names):
        if not (directory / name).resolve().is_relative_to(directory.resolve()):
            raise UserError(f"{directory}: {name} is no file in this folder")
        if Path(name).suffix not in SUFFIXES:
            raise UserError(f"{directory / name}: fitted state is in files of {', '.join(sorted(SUFFIXES))}")
        if (directory / name).is_file():
            hashes[name] = _hash(directory / name, names[name] if isinstance(names, Mapping) else None)
    return hashes


def changes(directory: Path, recorded: Mapping[str, str]) -> list[str]:
    """Which of the `recorded` files below `directory` are missing or not what they were; empty for none."""
    known = fitted_hashes(directory, recorded)
    missing = [f"{name} is missing" for name in recorded if name not in known]
    return missing + [f"{name} was changed" for name, hash_ in known.items() if hash_ != recorded[name]]


def _hash(path: Path, recorded: str | None) -> str:
    if path.suffix != DATABASE:
        return digest_file(path)
    from hallmark.storage.vectors import VectorDatabase  # a finished run is found done without it

    number, colon, _ = (recorded or "").partition(":")
    try:
        version = VectorDatabase(path).read(int(number) if colon and number.isdecimal() else None).version
    except UserError:
        if recorded is None:
            raise
        return "damaged"
    return f"{version.number}:{version.digest}"


def check_fitted(directory: Path, record: Record) -> None:
    """See that the fitted state of a run is what it was measured with.

    Raises:
        UserError: it is not.
    """
    if problems := changes(directory, record.fitted):
        raise UserError(
            f"{directory}: the fitted state is not what the run was measured with: {'; '.join(problems)}. "
            "Restore it, or make the run again with rerun=true"
        )
