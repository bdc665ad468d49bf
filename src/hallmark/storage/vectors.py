"""A database of labelled vectors that grows: each transaction is a version, and any version can be read again.

One SQLite file holds all of it. A process that is killed within a transaction leaves the version before; a second
writer waits for the first. A version is known by the hash of what it holds, whatever the file looks like. A change
costs what changes: all that is there is read, and compared with its hash, by `read` alone.
"""

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from hallmark.checks import UserError, require
from hallmark.storage.files import atomic_path
from hallmark.storage.vector_versions import (
    NEWEST,
    VERSION,
    Change,
    Changes,
    Content,
    DamagedError,
    Sample,
    Version,
    read_changes,
    read_version,
    samples_of,
    write_first,
)

__all__ = ["AppearedError", "Change", "Changes", "Content", "Sample", "VectorDatabase", "Version"]

_SCHEMA = (
    "CREATE TABLE about (dimension INTEGER NOT NULL, content TEXT NOT NULL)",
    "CREATE TABLE versions (number INTEGER PRIMARY KEY, note TEXT NOT NULL, digest TEXT NOT NULL, "
    "classes INTEGER NOT NULL, samples INTEGER NOT NULL, product BLOB NOT NULL)",
    "CREATE TABLE vectors (id INTEGER PRIMARY KEY, added INTEGER NOT NULL, removed INTEGER, label TEXT NOT NULL, "
    "content TEXT NOT NULL, vector BLOB NOT NULL)",
    "CREATE INDEX by_content ON vectors (content)",
    "CREATE INDEX by_label ON vectors (label)",
    "CREATE INDEX by_added ON vectors (added)",
    "CREATE INDEX by_removed ON vectors (removed) WHERE removed IS NOT NULL",
    "CREATE TABLE states (version INTEGER PRIMARY KEY, packed BLOB NOT NULL)",
)
_FORMAT = 2
_PAGE = 32768  # bytes: several vectors each, where a page of the usual 4,096 would hold one
_WAIT = 60.0  # seconds for another writer
_NOT_DAMAGED = {
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_NOMEM,
}  # fmt: skip


class AppearedError(UserError):
    """Where a database was to be made another process has made a file meanwhile."""


class VectorDatabase:
    """The database in the file `path`.

    Args:
        about: what its vectors are of, such as hashes of a network and its preprocessing; None to take what is there.
        dimension: of the vectors of a database whose file the first change makes; None where there must be a file.
        wait: seconds to wait for another writer.

    Raises:
        UserError: no such database, a damaged one, or one of other vectors.
    """

    def __init__(
        self, path: Path, *, about: Mapping[str, Any] | None = None, dimension: int | None = None, wait: float = _WAIT
    ) -> None:  # fmt: skip
        self.path, self._wait = path, wait
        self._empty: bytes | None = None  # the file to be, while nothing has been written
        self.dimension: int
        self.about: dict[str, Any]
        if dimension is not None and not path.exists():
            assert about is not None, "a new database says what it is of"
            self._empty, self.dimension, self.about = _empty(dimension, about), dimension, dict(about)
            return
        with self._opened() as connection:
            self.dimension, self.about = self._checked(connection, about)

    @classmethod
    def create(cls, path: Path, *, dimension: int, about: Mapping[str, Any]) -> "VectorDatabase":
        """An empty database, which is version 0; a process that is killed here leaves none.

        Raises:
            UserError: there is a file already.
        """
        _write_new(path, _empty(dimension, about))
        return cls(path, about=about)

    def versions(self) -> list[Version]:
        """All versions, oldest first."""
        with self._opened() as connection:
            return [Version(*row) for row in connection.execute(f"SELECT {VERSION} FROM versions ORDER BY number")]

    @property
    def head(self) -> Version:
        """The newest version."""
        with self._opened() as connection:
            return Version(*connection.execute(f"SELECT {VERSION} FROM versions {NEWEST}").fetchone())

    def counts(self) -> dict[str, int]:
        """Samples of each class of the newest version, by name."""
        with self._opened() as connection:
            query = "SELECT label, count(*) FROM vectors WHERE removed IS NULL GROUP BY label ORDER BY label"
            return dict(connection.execute(query).fetchall())

    def samples(self, labels: Sequence[str]) -> list[Sample]:
        """Those of the classes `labels` in the newest version, in an order that depends on nothing else."""
        with self._opened() as connection:
            marks = ", ".join("?" * len(labels))
            query = f"SELECT label, content, vector FROM vectors WHERE label IN ({marks}) AND removed IS NULL"
            return samples_of(connection.execute(query, list(labels)))

    def changes(self, before: Version) -> Changes | None:
        """What the newest version has that `before` has not, and the other way round.

        None if `before` is no version of this file, which another one has taken the place of.
        """
        with self._opened() as connection:
            connection.execute("BEGIN")  # so that all is of one version
            try:
                return read_changes(connection, before)
            except (ValueError, TypeError) as error:
                raise self._damaged(error) from error

    def read(self, number: int | None = None) -> Content:
        """What the version `number` holds, the newest one if None.

        Raises:
            UserError: there is no such version, or it is not what was written.
        """
        with self._opened() as connection:
            return self._read(connection, number)

    @contextmanager
    def change(self, note: str) -> Iterator["Change"]:
        """Make a new version by what the block does with the change; where it raises, nothing changes.

        Raises:
            AppearedError: the file was to be made by this change, and another process has made it within the block.
            UserError: another writer holds the database for longer than `wait`, or the file cannot be written.
        """
        with self._opened() as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                    raise
                raise UserError(f"{self.path}: another process writes to it ({error}); try again") from error
            try:
                change = Change(connection, self.dimension)
                yield change
                version = change.write(note)
                connection.execute("COMMIT")
                if self._empty is not None:
                    _write_new(self.path, connection.serialize())
                    self._empty = None
                change.version = version
            except BaseException as error:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                if isinstance(error, DamagedError):
                    raise self._damaged(error) from error
                raise

    def revert(self, number: int, note: str | None = None) -> Version:
        """Make a new version that holds what version `number` holds; those between them stay.

        Raises:
            UserError: as `read` and `change`.
        """
        earlier = self.read(number)
        with self.change(note or f"back to {number}") as change:
            before, after = (_by_sample(content) for content in (change.content, earlier))
            change.remove(contents=[content for _, content, _ in before.keys() - after.keys()])
            for key in after.keys() - before.keys():
                change.add(key[0], earlier.vectors[[after[key]]], [key[1]])
            change.state = earlier.state
        assert change.version is not None
        return change.version

    def _read(self, connection: sqlite3.Connection, number: int | None) -> Content:
        try:
            content = read_version(connection, number)
        except (ValueError, TypeError) as error:
            raise self._damaged(error) from error
        if content is None:
            raise UserError(f"{self.path}: there is no version {number}")
        return content

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        if self._empty is not None and not self.path.exists():
            with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
                connection.deserialize(self._empty)
                yield connection
            return
        if not self.path.is_file():
            raise UserError(f"{self.path}: there is no database of vectors")
        address = f"{self.path.absolute().as_uri()}?mode=rw"
        try:
            with closing(sqlite3.connect(address, uri=True, timeout=self._wait, isolation_level=None)) as connection:
                connection.execute("PRAGMA trusted_schema = OFF")
                if self._empty is not None:  # another process has made it
                    self._checked(connection, self.about)
                    self._empty = None
                yield connection
        except sqlite3.DatabaseError as error:
            if not hasattr(error, "sqlite_errorcode"):  # a mistake in code, such as a label that is no text
                raise
            undamaged = error.sqlite_errorcode & 0xFF in _NOT_DAMAGED
            raise (UserError(f"{self.path}: {error}") if undamaged else self._damaged(error)) from error

    def _checked(self, connection: sqlite3.Connection, about: Mapping[str, Any] | None) -> tuple[int, dict[str, Any]]:
        """Its dimension and what it is of, which must be `about` unless None."""
        try:
            known = connection.execute("PRAGMA user_version").fetchone() == (_FORMAT,)
            schema = connection.execute("SELECT sql FROM sqlite_master ORDER BY rowid").fetchall()
            if not known or [row[0] for row in schema] != list(_SCHEMA):  # no view or trigger of a stranger is run
                raise UserError(f"{self.path}: not a database of vectors of this version")
            dimension, content = connection.execute("SELECT dimension, content FROM about").fetchone()
        except TypeError as error:
            raise self._damaged(error) from error
        there = json.loads(content)
        if about is not None and _text(about) != content:
            names = sorted(name for name in {*about, *there} if about.get(name) != there.get(name))
            listed = ", ".join(f"{name} {there.get(name)!r} there, {about.get(name)!r} here" for name in names)
            raise UserError(f"{self.path}: its vectors are of another kind: {listed}")
        return dimension, there

    def _damaged(self, why: object) -> UserError:
        return UserError(f"{self.path}: damaged ({why}); restore it from a copy")


def _empty(dimension: int, about: Mapping[str, Any]) -> bytes:
    """The file of a database that holds nothing, which is version 0."""
    require(dimension >= 1, "dimension", dimension, "at least 1")
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute(f"PRAGMA page_size = {_PAGE}")
        for statement in _SCHEMA:
            connection.execute(statement)
        connection.execute("INSERT INTO about VALUES (?, ?)", (dimension, _text(about)))
        connection.execute(f"PRAGMA user_version = {_FORMAT}")
        write_first(connection)
        return connection.serialize()


def _write_new(path: Path, content: bytes) -> None:
    """Write a whole file, never over another one.

    Raises:
        AppearedError: there is a file.
    """
    with atomic_path(path) as temporary:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except OSError:  # also where a file system has no links
            if os.path.lexists(path):
                raise AppearedError(f"{path}: there is a file already") from None


def _by_sample(content: Content) -> dict[tuple[str, str, bytes], int]:
    """The row of each (label, hash, vector)."""
    vectors = (vector.tobytes() for vector in content.vectors)
    return {key: row for row, key in enumerate(zip(content.labels, content.contents, vectors, strict=True))}


def _text(about: Mapping[str, Any]) -> str:
    return json.dumps(about, sort_keys=True)
