"""The parents of a run: finished runs whose weights or predictions it uses, known by content and kept with it.

`parents/<role>/` in a run's folder holds what the run needs of a parent: record, configuration, splits, weights, and
likewise the parents of that parent. Whatever happens to the folder that a parent was read from, the run stays whole.
"""

import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from hallmark.checks import UserError, require
from hallmark.runs.configuration import FILE, load_plain
from hallmark.runs.fitted import changes
from hallmark.runs.record import Record
from hallmark.runs.rows import stored_rows
from hallmark.runs.run import Run
from hallmark.storage.files import temporary_folder
from hallmark.storage.hashing import digest, digest_file

INIT_FROM = "init_from"
"""The role of a run whose tensors are copied, where names and shapes agree, before the first step."""

FOLDER = "parents"

_ROLE = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_BEST = "checkpoints/best.ckpt"
_NEEDED = ("record.json", FILE, "splits.csv", _BEST)
_UNREAD = ("test", "predict")  # predictions that no child may learn from
_NOT_FITTED = frozenset({"test", "held_out", "predict"})  # splits that no run fits or selects on


class Use(StrEnum):
    """What a run takes of a parent, which decides what the parent may have been fitted on."""

    WEIGHTS = "weights"
    """It predicts by the parent: none of its evaluation rows may have been fitted or selected on."""
    PREDICTIONS = "predictions"
    """It is also trained on what the parent predicts: none of its training rows either."""
    OUT_OF_FOLD = "out_of_fold"
    """It is trained on the parent's predictions out of fold: both have the same split."""


@dataclass(frozen=True)
class Parent:
    """A finished run in a role of another one.

    Attributes:
        directory: where it is read: its own folder, or the copy in that of its child.
        weights: hash of the tensors of its selected checkpoint; data: fingerprint of its samples and their split.
        source: absolute path that the configuration names, which decides nothing.
        files: hash of every file of a copy by its name; {} for a run that is read where it was made.
    """

    role: str
    directory: Path
    name: str
    run_id: str
    weights: str
    data: str
    source: str
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def identity(self) -> dict[str, str]:
        """What it is, wherever it lies and whatever its folder is called."""
        return {"run_id": self.run_id, "weights": self.weights, "data": self.data}

    @property
    def best(self) -> Path:
        return self.directory / _BEST

    @property
    def record(self) -> Record:
        return Run(self.directory).record

    def kept_in(self, directory: Path) -> "Parent":
        """A copy of all that is needed of it, at `directory`/parents/<role>.

        Raises:
            UserError: it was changed while it was copied, or is not what it was found to be before.
        """
        target = directory / FOLDER / self.role
        if self.directory == target:
            self.verify()
            return self
        with temporary_folder(target) as temporary:
            for name in _needed(self.directory):
                (temporary / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(self.directory / name, temporary / name)
            record = Run(temporary).record
            if record.weights is None and (temporary / _BEST).is_file():  # of an earlier version
                record.weights = {"tensors": self.weights, "file": digest_file(temporary / _BEST)}
                record.write(temporary)
            files = _hashes(temporary)
            best = file_hash(self.best) if self.best.is_file() else None
            copied = Parent(**{**vars(self), "directory": temporary, "files": files})
            if (self.files and files != self.files) or files.get(_BEST) != best or not copied._is_as_recorded(files):
                raise UserError(f"{self.directory}: it was changed while it was copied; give the command again")
            shutil.rmtree(target, ignore_errors=True)
            temporary.replace(target)
        return replace(copied, directory=target)

    def verify(self) -> None:
        """See that a copy is what was copied.

        Raises:
            UserError: a file of it was changed, removed or added.
        """
        if not self.files:  # not copied yet
            return
        hashes = _hashes(self.directory)
        for name in sorted(hashes.keys() | self.files.keys()):
            if hashes.get(name) != self.files.get(name):
                what = "missing" if name not in hashes else "new" if name not in self.files else "damaged"
                raise UserError(
                    f"{self.directory / name}: {what}; the run was made with this parent as it was before. "
                    "Restore it, or train again with rerun=true"
                )
        if not self._is_as_recorded(hashes):
            raise UserError(f"{self.directory}: not the run {self.run_id} that the record of its child names")

    def _is_as_recorded(self, hashes: Mapping[str, str]) -> bool:
        """Whether its record names it, the weights among the files of these `hashes`, and its fitted state."""
        record = self.record
        if _BEST in hashes:
            weighed = record.weights == {"tensors": self.weights, "file": hashes[_BEST]}
        else:
            weighed = digest(record.fitted) == self.weights
        return record.run_id == self.run_id and weighed and not changes(self.directory, record.fitted)

    def entry(self, use: Use) -> dict[str, Any]:
        """What the record of a child says of it, the parents of this one included."""
        above = self.record.parents
        return {
            "run_id": self.run_id, "name": self.name, "weights": self.weights, "data": self.data, "use": str(use),
            "source": self.source, "files": dict(self.files), "parents": _brief(above),
        }  # fmt: skip


@dataclass(frozen=True)
class InheritedRows:
    """The rows that a parent, or a parent of one, had in its splits.

    Attributes:
        name: its role; of a parent's parent the roles on the way, such as `teacher/init_from`.
        use: what the run takes of it.
        fitted_on: names of the splits that it was fitted or selected on.
        comparable: whether the hash of a row's content is of the same as in the run, because one class reads both.
        rows: (id, content, split) of each row; None where that is not known.
        unread: splits of the run itself of which it reads nothing.
    """

    name: str
    use: Use
    fitted_on: frozenset[str]
    comparable: bool
    rows: list[tuple[str, str, str]] | None
    unread: frozenset[str] = frozenset()


def check_roles(roles: Iterable[str]) -> None:
    """Raise `SettingError` unless every role is a plain name, which a folder can have."""
    for role in roles:
        require(_ROLE.fullmatch(role) is not None, f"parents.{role}", role, "a role of letters, digits and underscores")


def kept_parents(directory: Path, record: Record) -> dict[str, Parent]:
    """The parents that are kept in a run's folder, as its record names them; a run of an earlier version kept none.

    Raises:
        UserError: the record does not describe them.
    """
    try:
        entries = {role: entry for role, entry in record.parents.items() if entry.keys() != {"source"}}
        check_roles(entries)
        if incomplete := [role for role, entry in entries.items() if FILE not in entry["files"]]:
            raise ValueError(f"no hash of the {FILE} of {', '.join(incomplete)}")
        return {
            role: Parent(
                role, directory / FOLDER / role, entry["name"], entry["run_id"], weights=entry["weights"],
                data=entry["data"], source=entry["source"], files=dict(entry["files"]),
            )
            for role, entry in entries.items()
        }  # fmt: skip
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        message = f"{directory}/record.json: parents: not of this version ({type(error).__name__}: {error})"
        raise UserError(message) from error


def inherited_rows(
    directory: Path, name: str, use: Use, *, is_comparable: Callable[[object], bool]
) -> Iterator[InheritedRows]:
    """The rows of the run in `directory`, then those of its parents, and so on upwards.

    Args:
        name: its role.
        is_comparable: whether the data module of this name knows rows by the same hashes as the rows that they are
            compared with.
    """
    data, record = load_plain(directory / FILE).get("data"), Run(directory).record
    read_by = data.get("_target_") if isinstance(data, dict) else None
    rows = _counted_rows(directory, record)
    yield InheritedRows(name, use, _fitted_on(record), is_comparable(read_by), rows)
    # Predictions out of fold are of models whose own parents were made again for each fold.
    above = Use.WEIGHTS if use is Use.OUT_OF_FOLD else use
    parents = kept_parents(directory, record)
    for role in record.parents:
        if role in parents and parents[role].directory.is_dir():
            yield from inherited_rows(parents[role].directory, f"{name}/{role}", above, is_comparable=is_comparable)
        else:
            yield InheritedRows(f"{name}/{role}", above, frozenset(), comparable=False, rows=None)


def file_hash(path: Path) -> str:
    """As `digest_file`, of a file that this process reads again only where it has changed."""
    status = path.stat()
    return _digest_of(path, (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino))


def _brief(parents: Mapping[str, Any]) -> dict[str, Any]:
    keys = ("run_id", "name", "weights", "data", "use", "parents")
    known = {role: entry for role, entry in parents.items() if "run_id" in entry}
    return {role: {key: entry[key] for key in keys if key in entry} for role, entry in known.items()}


def _needed(directory: Path) -> list[str]:
    """Names of the files that a child needs of the run in `directory`, or of a copy of it."""
    names = [name for name in _NEEDED if (directory / name).is_file()]
    names += [name for name in Run(directory).record.fitted if (directory / name).is_file()]
    tables = [path for path in directory.glob("predictions/*.parquet") if path.stem not in _UNREAD]
    above = [path for path in (directory / FOLDER).rglob("*") if path.is_file()]
    names += [path.relative_to(directory).as_posix() for path in (*tables, *above)]
    return sorted({name for name in names if not _is_hidden(name)})


def _hashes(directory: Path) -> dict[str, str]:
    paths = [path for path in directory.rglob("*") if path.is_file()]
    names = [path.relative_to(directory).as_posix() for path in paths]
    return {name: digest_file(directory / name) for name in sorted(names) if not _is_hidden(name)}


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def _fitted_on(record: Record) -> frozenset[str]:
    splits = frozenset(record.splits) - _NOT_FITTED
    if record.fitted_on is not None:
        return splits.intersection(record.fitted_on)
    # An earlier version did not note it; what is trained by steps reads two splits.
    return splits & {"train", "val"} if (record.selected or {}).get("checkpoint") else splits


def _counted_rows(directory: Path, record: Record) -> list[tuple[str, str, str]] | None:
    """As `stored_rows`; raises UserError where they are not those that `record` counts."""
    stored = stored_rows(directory)
    if stored is None:
        return None
    rows, counts = list(stored), {split: entry["n"] for split, entry in record.splits.items()}
    if Counter(split for _, _, split in rows) != Counter(counts):
        path = directory / "splits.csv"
        raise UserError(f"{path}: not the rows that the run was made on, of which record.json counts {counts}")
    return rows


@cache
def _digest_of(path: Path, _: tuple[int, ...]) -> str:
    return digest_file(path)
