"""The fitted state of models that are not trained by steps: files in the run's folder, known by their hashes.

A checkpoint is what a fit by steps leaves. A calibration or a stacker is fitted at once; its record names the hash of
each of its files, so that what is read later, sealed and released is what was measured.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from hallmark.checks import UserError
from hallmark.runs.record import Record
from hallmark.storage.hashing import digest_file

FOLDER = "state"
SUFFIXES = frozenset({".json", ".csv", ".parquet", ".npy", ".npz", ".safetensors"})
"""Of files in which nothing can be executed when they are read."""


def fitted_hashes(directory: Path, names: Sequence[str]) -> dict[str, str]:
    """Hash of each of the files `names` below `directory` that is there.

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
            hashes[name] = digest_file(directory / name)
    return hashes


def changes(directory: Path, recorded: Mapping[str, str]) -> list[str]:
    """Which of the `recorded` files below `directory` are missing or not what they were; empty for none."""
    known = fitted_hashes(directory, list(recorded))
    missing = [f"{name} is missing" for name in recorded if name not in known]
    return missing + [f"{name} was changed" for name, hash_ in known.items() if hash_ != recorded[name]]


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
