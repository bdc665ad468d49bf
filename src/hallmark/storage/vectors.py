"""A database of labelled vectors that grows: each transaction is a version, and any version can be read again.

One SQLite file holds all of it. A process that is killed within a transaction leaves the version before; a second
writer waits for the first. A version is known by the hash of what it holds, whatever the file looks like.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hallmark.checks import UserError, require
from hallmark.storage.files import atomic_path
from hallmark.storage.hashing import digest_bytes
from hallmark.storage.state import pack_state, unpack_state

_SCHEMA = (
    "CREATE TABLE about (dimension INTEGER NOT NULL, content TEXT NOT NULL)",
    "CREATE TABLE versions (number INTEGER PRIMARY KEY, note TEXT NOT NULL, digest TEXT NOT NULL)",
    "CREATE TABLE vectors (id INTEGER PRIMARY KEY, added INTEGER NOT NULL, removed INTEGER, label TEXT NOT NULL, "
    "content TEXT NOT NULL, vector BLOB NOT NULL)",
    "CREATE INDEX by_content ON vectors (content)",
    "CREATE TABLE states (version INTEGER PRIMARY KEY, packed BLOB NOT NULL)",
)
_FORMAT = 1
_PAGE = 32768  # bytes: several vectors each, where a page of the usual 4,096 would hold one
_WAIT = 60.0  # seconds for another writer
_NOT_DAMAGED = {
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_NOMEM,
}  # fmt: skip
_ALIVE = "added <= :version AND (removed IS NULL OR removed > :version)"


class Version(NamedTuple):
    """One of the versions of a database; `digest` is the hash of what it holds."""

    number: int
    note: str
    digest: str


class Content(NamedTuple):
    """What a version holds, in an order that depends on nothing else.

    Attributes:
        vectors: float32 [N, D], of the samples with the hashes `contents` and the `labels`.
        state: what was computed of them, such as a covariance or a threshold: arrays and plain values by name.
    """

    version: Version
    labels: list[str]
    contents: list[str]
    vectors: NDArray[np.float32]
    state: dict[str, Any]


class VectorDatabase:
    """The database in the file `path`, which `create` has made.

    Args:
        about: what its vectors are of, such as hashes of a network and its preprocessing; None to take what is there.
        wait: seconds to wait for another writer.

    Raises:
        UserError: no such database, a damaged one, or one of other vectors.
    """

    def __init__(self, path: Path, *, about: Mapping[str, Any] | None = None, wait: float = _WAIT) -> None:
        self.path, self._wait = path, wait
        with self._opened() as connection:
            try:
                known = connection.execute("PRAGMA user_version").fetchone() == (_FORMAT,)
                schema = connection.execute("SELECT sql FROM sqlite_master ORDER BY rowid").fetchall()
                if not known or [row[0] for row in schema] != list(_SCHEMA):  # no view or trigger of a stranger is run
                    raise UserError(f"{path}: not a database of vectors of this version")
                dimension, content = connection.execute("SELECT dimension, content FROM about").fetchone()
            except TypeError as error:
                raise self._damaged(error) from error
        self.dimension: int = dimension
        self.about: dict[str, Any] = json.loads(content)
        if about is not None and _text(about) != content:
            names = sorted(name for name in {*about, *self.about} if about.get(name) != self.about.get(name))
            listed = ", ".join(f"{name} {self.about.get(name)!r} there, {about.get(name)!r} here" for name in names)
            raise UserError(f"{path}: its vectors are of another kind: {listed}")

    @classmethod
    def create(cls, path: Path, *, dimension: int, about: Mapping[str, Any]) -> "VectorDatabase":
        """An empty database, which is version 0; a process that is killed here leaves none.

        Raises:
            UserError: there is a file already.
        """
        require(dimension >= 1, "dimension", dimension, "at least 1")
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
            connection.execute(f"PRAGMA page_size = {_PAGE}")
            for statement in _SCHEMA:
                connection.execute(statement)
            connection.execute("INSERT INTO about VALUES (?, ?)", (dimension, _text(about)))
            connection.execute(f"PRAGMA user_version = {_FORMAT}")
            _write_version(connection, 0, "created", pack_state({}))
            content = connection.serialize()
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)
            if path.exists():
                raise UserError(f"{path}: there is a file already")
        return cls(path, about=about)

    def versions(self) -> list[Version]:
        """All versions, oldest first."""
        with self._opened() as connection:
            return [Version(*row) for row in connection.execute("SELECT * FROM versions ORDER BY number")]

    @property
    def head(self) -> Version:
        """The newest version."""
        return self.versions()[-1]

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
                number = connection.execute("SELECT max(number) FROM versions").fetchone()[0] + 1
                change = Change(self, connection, number)
                yield change
                version = _write_version(connection, number, note, pack_state(change.state))
                connection.execute("COMMIT")
                change.version = version
            except BaseException:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
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
            newest = "(SELECT max(number) FROM versions)"
            row = connection.execute(
                f"SELECT * FROM versions WHERE number = coalesce(?, {newest})", (number,)
            ).fetchone()
            if row is None:
                raise UserError(f"{self.path}: there is no version {number}")
            version = Version(*row)
            packed = _packed_state(connection, version.number)
            labels, contents, blob = _alive(connection, version.number)
            if _digest(connection, labels, contents, blob, packed) != version.digest:
                raise ValueError(f"version {version.number} is not what was written")
            vectors = np.frombuffer(blob, np.float32).reshape(len(labels), self.dimension)
            return Content(version, labels, contents, vectors, unpack_state(packed))
        except (ValueError, TypeError) as error:
            if isinstance(error, UserError):
                raise
            raise self._damaged(error) from error

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        if not self.path.is_file():
            raise UserError(f"{self.path}: there is no database of vectors")
        address = f"{self.path.absolute().as_uri()}?mode=rw"
        try:
            with closing(sqlite3.connect(address, uri=True, timeout=self._wait, isolation_level=None)) as connection:
                connection.execute("PRAGMA trusted_schema = OFF")
                yield connection
        except sqlite3.DatabaseError as error:
            if not hasattr(error, "sqlite_errorcode"):  # a mistake in code, such as a label that is no text
                raise
            undamaged = error.sqlite_errorcode & 0xFF in _NOT_DAMAGED
            raise (UserError(f"{self.path}: {error}") if undamaged else self._damaged(error)) from error

    def _damaged(self, why: object) -> UserError:
        return UserError(f"{self.path}: damaged ({why}); restore it from a copy")


class Change:
    """A version that is being made, within `VectorDatabase.change`.

    Attributes:
        number: of the version to be.
        content: what the version before holds.
        state: what the new version holds of computed values, at first that of the version before.
        version: what was made, once the block has ended.
    """

    version: Version | None = None

    def __init__(self, database: VectorDatabase, connection: sqlite3.Connection, number: int) -> None:
        self._database, self._connection, self.number = database, connection, number
        self.content = database._read(connection, number - 1)
        self.state: Mapping[str, Any] = self.content.state

    def add(self, label: str, vectors: NDArray, contents: Sequence[str]) -> None:
        """Add `vectors` [n, D] of the samples with the hashes `contents` to the class `label`, new or known.

        Raises:
            UserError: a sample is in the database already, or twice in `contents`.
            ValueError: vectors of another shape, or not finite.
        """
        values = np.ascontiguousarray(vectors, np.float32)
        if values.shape != (len(contents), self._database.dimension) or not np.isfinite(values).all():
            raise ValueError(f"{label}: expected finite vectors [{len(contents)}, {self._database.dimension}], one a "
                             f"sample; got {values.shape}")  # fmt: skip
        for content, vector in zip(contents, values, strict=True):
            known = self._connection.execute(
                f"SELECT label FROM vectors WHERE content = :content AND {_ALIVE}",
                {"content": content, "version": self.number},
            ).fetchone()
            if known is not None:
                raise UserError(f"{label}: the sample {content} is in the database already, as {known[0]}")
            self._connection.execute(
                "INSERT INTO vectors (label, content, vector, added) VALUES (?, ?, ?, ?)",
                (label, content, vector.tobytes(), self.number),
            )

    def remove(self, labels: Sequence[str] = (), *, contents: Sequence[str] = ()) -> int:
        """Remove all samples of the classes `labels`, and those of the hashes `contents`; gives how many there were."""
        for name, values in (("labels", labels), ("contents", contents)):
            require(not isinstance(values, str), name, values, "a list of texts")
        update = f"UPDATE vectors SET removed = :version WHERE {_ALIVE} AND "
        pairs = [*(("label", label) for label in labels), *(("content", content) for content in contents)]
        return sum(
            self._connection.execute(f"{update} {column} = :value", {"value": value, "version": self.number}).rowcount
            for column, value in pairs
        )

    def rename(self, label: str, name: str) -> None:
        """Call the class `label` by `name`; where there is such a class, both become one.

        Raises:
            UserError: there is no class `label`.
        """
        rows = self._connection.execute(
            f"SELECT content, vector FROM vectors WHERE label = :label AND {_ALIVE}",
            {"label": label, "version": self.number},
        ).fetchall()
        if not rows:
            raise UserError(f"{self._database.path}: there is no class {label}")
        self.remove([label])
        vectors = np.stack([np.frombuffer(vector, np.float32) for _, vector in rows])
        self.add(name, vectors, [content for content, _ in rows])


def _write_version(connection: sqlite3.Connection, number: int, note: str, packed: bytes) -> Version:
    if number == 0 or packed != _packed_state(connection, number - 1):
        connection.execute("INSERT INTO states VALUES (?, ?)", (number, packed))
    version = Version(number, note, _digest(connection, *_alive(connection, number), packed))
    connection.execute("INSERT INTO versions VALUES (?, ?, ?)", version)
    return version


def _packed_state(connection: sqlite3.Connection, number: int) -> bytes:
    query = "SELECT packed FROM states WHERE version <= ? ORDER BY version DESC LIMIT 1"
    packed: bytes = connection.execute(query, (number,)).fetchone()[0]
    return packed


def _alive(connection: sqlite3.Connection, number: int) -> tuple[list[str], list[str], bytes]:
    """Labels, contents and all vectors of a version."""
    query = f"SELECT label, content, vector FROM vectors WHERE {_ALIVE}"
    rows = sorted(connection.execute(query, {"version": number}))  # SQLite would sort the vectors along, by copies
    return [row[0] for row in rows], [row[1] for row in rows], b"".join([row[2] for row in rows])


def _digest(
    connection: sqlite3.Connection, labels: list[str], contents: list[str], vectors: bytes, packed: bytes
) -> str:  # fmt: skip
    about = connection.execute("SELECT dimension, content FROM about").fetchone()
    return digest_bytes(json.dumps([about, labels, contents]).encode(), vectors, packed)


def _by_sample(content: Content) -> dict[tuple[str, str, bytes], int]:
    """The row of each (label, hash, vector)."""
    vectors = (vector.tobytes() for vector in content.vectors)
    return {key: row for row, key in enumerate(zip(content.labels, content.contents, vectors, strict=True))}


def _text(about: Mapping[str, Any]) -> str:
    return json.dumps(about, sort_keys=True)
