"""Versions of a database of vectors, within a connection to it: how they are read, and how the next is made."""

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hallmark.checks import UserError, require
from hallmark.storage import multiset
from hallmark.storage.hashing import digest_bytes
from hallmark.storage.state import pack_state, unpack_state

VERSION = "number, note, digest, classes, samples"
NEWEST = "ORDER BY number DESC LIMIT 1"
_ALIVE = "added <= :version AND (removed IS NULL OR removed > :version)"


class Version(NamedTuple):
    """One of the versions of a database; `digest` is the hash of the samples, so many of so many classes, it holds."""

    number: int
    note: str
    digest: str
    classes: int
    samples: int


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


class Sample(NamedTuple):
    """The float32 `vector` [D] of the sample with the hash `content`, of the class `label`."""

    label: str
    content: str
    vector: NDArray[np.float32]


class Changes(NamedTuple):
    """The newest version with its state, the samples that it has and an earlier one has not, and those that it lost."""

    version: Version
    state: dict[str, Any]
    added: list[Sample]
    removed: list[Sample]


class DamagedError(ValueError):
    """The file does not hold what was written into it."""


def read_version(connection: sqlite3.Connection, number: int | None) -> Content | None:
    """The version `number`, the newest if None, compared with its hash; None where there is no such version.

    Raises:
        ValueError, TypeError: it is not what was written.
    """
    if number is not None and abs(number) >= 2**63:  # more than SQLite has a number for
        return None
    newest = "(SELECT max(number) FROM versions)"
    query = f"SELECT {VERSION} FROM versions WHERE number = coalesce(?, {newest})"
    if (row := connection.execute(query, (number,)).fetchone()) is None:
        return None
    version = Version(*row)
    packed = _packed_state(connection, version.number)
    query = f"SELECT label, content, vector FROM vectors WHERE {_ALIVE}"
    rows = sorted(connection.execute(query, {"version": version.number}))  # SQLite would sort the vectors by copies
    labels, contents = [row[0] for row in rows], [row[1] for row in rows]
    product = multiset.changed(multiset.EMPTY, added=(_element(*row) for row in rows))
    if _digest(connection, len(set(labels)), len(labels), product, packed) != version.digest:
        raise ValueError(f"version {version.number} is not what was written")
    dimension = connection.execute("SELECT dimension FROM about").fetchone()[0]
    vectors = np.frombuffer(b"".join([row[2] for row in rows]), np.float32).reshape(-1, dimension)
    return Content(version, labels, contents, vectors, unpack_state(packed))


def read_changes(connection: sqlite3.Connection, before: Version) -> Changes | None:
    """What has changed since `before`, which is not compared with any hash; None where there is no such version.

    Raises:
        ValueError, TypeError: not what is written there.
    """
    query = f"SELECT {VERSION} FROM versions"
    if connection.execute(f"{query} WHERE number = ?", (before.number,)).fetchone() != before:
        return None
    version = Version(*connection.execute(f"{query} {NEWEST}").fetchone())
    state = unpack_state(_packed_state(connection, version.number))
    columns, since = "SELECT label, content, vector FROM vectors WHERE", {"since": before.number}
    came = set(connection.execute(f"{columns} added > :since AND removed IS NULL", since))
    went = set(connection.execute(f"{columns} removed > :since AND added <= :since", since))
    return Changes(version, state, samples_of(came - went), samples_of(went - came))


def write_first(connection: sqlite3.Connection) -> None:
    """Write version 0, which holds nothing."""
    packed = pack_state({})
    connection.execute("INSERT INTO states VALUES (0, ?)", (packed,))
    _write_version(connection, 0, "created", 0, 0, multiset.EMPTY, packed)


class Change:
    """A version that is being made, within `VectorDatabase.change`.

    Attributes:
        number: of the version to be.
        n_classes, n_samples: that there are now.
        state: what the new version holds of computed values, at first that of the version before.
        version: what was made, once the block has ended.
    """

    version: Version | None = None

    def __init__(self, connection: sqlite3.Connection, dimension: int) -> None:
        self._connection, self._dimension = connection, dimension
        query = f"SELECT number, classes, samples, product FROM versions {NEWEST}"
        try:
            before, self.n_classes, self.n_samples, self._product = connection.execute(query).fetchone()
            self._packed = _packed_state(connection, before)
            self.state: Mapping[str, Any] = unpack_state(self._packed)
        except (TypeError, ValueError) as error:
            raise DamagedError(error) from error
        self.number: int = before + 1

    @cached_property
    def content(self) -> Content:
        """What the version before holds."""
        try:
            content = read_version(self._connection, self.number - 1)
        except (TypeError, ValueError) as error:
            raise DamagedError(error) from error
        assert content is not None
        return content

    def labels(self, most: int) -> list[str]:
        """The first classes that there are now, in alphabetical order."""
        query = f"SELECT DISTINCT label FROM vectors WHERE {_ALIVE} ORDER BY label LIMIT :most"
        return [row[0] for row in self._connection.execute(query, {"version": self.number, "most": most})]

    def has(self, label: str) -> bool:
        """Whether there is the class `label` now."""
        query = f"SELECT 1 FROM vectors WHERE label = :label AND {_ALIVE} LIMIT 1"
        return self._connection.execute(query, {"label": label, "version": self.number}).fetchone() is not None

    def label_of(self, content: str) -> str | None:
        """The class of the sample with the hash `content`, if it is there now."""
        query = f"SELECT label FROM vectors WHERE content = :content AND {_ALIVE}"
        row = self._connection.execute(query, {"content": content, "version": self.number}).fetchone()
        return row and row[0]

    def add(self, label: str, vectors: NDArray, contents: Sequence[str]) -> None:
        """Add `vectors` [n, D] of the samples with the hashes `contents` to the class `label`, new or known.

        Raises:
            UserError: a sample is in the database already, or twice in `contents`.
            ValueError: vectors of another shape, or not finite.
        """
        values = np.ascontiguousarray(vectors, np.float32)
        if values.shape != (len(contents), self._dimension) or not np.isfinite(values).all():
            raise ValueError(f"{label}: expected finite vectors [{len(contents)}, {self._dimension}], one a "
                             f"sample; got {values.shape}")  # fmt: skip
        self.n_classes += len(contents) > 0 and not self.has(label)
        rows = []
        for content, vector in zip(contents, values, strict=True):
            if (known := self.label_of(content)) is not None:
                raise UserError(f"{label}: the sample {content} is in the database already, as {known}")
            rows.append((label, content, vector.tobytes()))
            self._connection.execute(
                "INSERT INTO vectors (label, content, vector, added) VALUES (?, ?, ?, ?)", (*rows[-1], self.number)
            )
        self.n_samples += len(rows)
        self._product = multiset.changed(self._product, added=(_element(*row) for row in rows))

    def remove(self, labels: Sequence[str] = (), *, contents: Sequence[str] = ()) -> int:
        """Remove all samples of the classes `labels`, and those of the hashes `contents`; gives how many there were."""
        for name, values in (("labels", labels), ("contents", contents)):
            require(not isinstance(values, str), name, values, "a list of texts")
        pairs = [*(("label", label) for label in labels), *(("content", content) for content in contents)]
        removed: list[tuple[str, str, bytes]] = []
        for column, value in pairs:
            where, parameters = f"{_ALIVE} AND {column} = :value", {"value": value, "version": self.number}
            query = f"SELECT label, content, vector FROM vectors WHERE {where}"
            removed += self._connection.execute(query, parameters).fetchall()
            self._connection.execute(f"UPDATE vectors SET removed = :version WHERE {where}", parameters)
        self.n_samples -= len(removed)
        self.n_classes -= sum(not self.has(label) for label in {label for label, _, _ in removed})
        self._product = multiset.changed(self._product, removed=(_element(*row) for row in removed))
        return len(removed)

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
            raise UserError(f"there is no class {label}")
        self.remove([label])
        vectors = np.stack([np.frombuffer(vector, np.float32) for _, vector in rows])
        self.add(name, vectors, [content for content, _ in rows])

    def write(self, note: str) -> Version:
        """Write the version, after which the transaction can end."""
        packed = pack_state(self.state)
        if packed != self._packed:
            self._connection.execute("INSERT INTO states VALUES (?, ?)", (self.number, packed))
        return _write_version(
            self._connection, self.number, note, self.n_classes, self.n_samples, self._product, packed
        )  # fmt: skip


def _write_version(
    connection: sqlite3.Connection, number: int, note: str, classes: int, samples: int, product: bytes, packed: bytes
) -> Version:  # fmt: skip
    digest = _digest(connection, classes, samples, product, packed)
    version = Version(number, note, digest, classes, samples)
    connection.execute("INSERT INTO versions VALUES (?, ?, ?, ?, ?, ?)", (*version, product))
    return version


def _packed_state(connection: sqlite3.Connection, number: int) -> bytes:
    query = "SELECT packed FROM states WHERE version <= ? ORDER BY version DESC LIMIT 1"
    packed: bytes = connection.execute(query, (number,)).fetchone()[0]
    return packed


def samples_of(rows: Iterable[tuple[str, str, bytes]]) -> list[Sample]:
    """Of rows of label, content and bytes, in an order that depends on nothing else."""
    return [Sample(label, content, np.frombuffer(vector, np.float32)) for label, content, vector in sorted(rows)]


def _element(label: str, content: str, vector: bytes) -> bytes:
    """A sample as an element of the collection whose hash is the product of a version."""
    return json.dumps([label, content]).encode() + vector


def _digest(connection: sqlite3.Connection, classes: int, samples: int, product: bytes, packed: bytes) -> str:
    about = connection.execute("SELECT dimension, content FROM about").fetchone()
    return digest_bytes(json.dumps([about, classes, samples]).encode(), product, packed)
