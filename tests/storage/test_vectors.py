"""A database of vectors grows by versions, each whole or not there, and knows its content by hash."""

import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.processes import Process
from tests.storage.growing import grow, vectors_of

from hallmark.checks import UserError
from hallmark.runs.fitted import changes, fitted_hashes
from hallmark.storage.vectors import VectorDatabase

ABOUT = {"backbone": "ab12", "preprocessing": {"size": 64}}


@pytest.fixture
def database(tmp_path: Path) -> VectorDatabase:
    return VectorDatabase.create(tmp_path / "state" / "roles.sqlite", dimension=8, about=ABOUT)


def writer(database: VectorDatabase, *arguments: str) -> Process:
    command = [sys.executable, "-m", "tests.storage.growing", str(database.path), *arguments]
    return Process(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def test_each_change_is_a_version_that_can_be_read_again(database) -> None:
    for name in ("fern", "alder"):
        grow(database, name)
    first, second = database.read(1), database.read()
    assert (first.labels, second.labels) == (["fern"] * 3, ["alder"] * 3 + ["fern"] * 3)
    assert second.contents == [f"{name}-{row}" for name in ("alder", "fern") for row in range(3)]
    np.testing.assert_array_equal(second.vectors, np.concatenate([vectors_of("alder"), vectors_of("fern")]))
    assert (first.state, second.state) == ({"classes": ["fern"]}, {"classes": ["alder", "fern"]})
    assert [version.note for version in database.versions()] == ["created", "add fern", "add alder"]
    assert database.read(0).vectors.shape == (0, 8) and database.head.number == 2
    with pytest.raises(UserError, match="no version 3"):
        database.read(3)


def test_classes_are_removed_renamed_and_merged(database) -> None:
    for name in ("fern", "alder", "moss"):
        grow(database, name)
    with database.change("tidy") as change:
        assert change.remove(["moss"]) == 3 and change.remove(contents=["fern-1"]) == 1
        change.rename("fern", "alder")
    content = database.read()
    assert content.labels == ["alder"] * 5 and "fern-1" not in content.contents
    np.testing.assert_array_equal(content.vectors[-1], vectors_of("fern")[2])
    assert set(database.read(3).labels) == {"fern", "alder", "moss"}
    grow(database, "moss")  # what was removed may come again


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("moss", vectors_of("moss"), ["a", "fern-2", "c"]), UserError),
        (("moss", vectors_of("moss"), ["a", "a", "c"]), UserError),
        (("moss", vectors_of("moss"), ["a", "b"]), ValueError),
        (("moss", vectors_of("moss", dimension=4), ["a", "b", "c"]), ValueError),
        (("moss", vectors_of("moss") * np.nan, ["a", "b", "c"]), ValueError),
    ],
)  # fmt: skip
def test_a_change_that_cannot_be_made_changes_nothing(database, arguments, error) -> None:
    grow(database, "fern")
    before = database.read()
    with pytest.raises(error, match="moss"), database.change("wrong") as change:
        change.add("alder", vectors_of("alder"), ["x", "y", "z"])
        change.remove(contents=["fern-0"])
        change.state = {"x": 1}
        change.add(*arguments)
    after = database.read()
    assert after.version == before.version and after.labels == before.labels and after.state == before.state
    with pytest.raises(UserError, match="no class alder"), database.change("wrong") as change:
        change.rename("alder", "fern")


names = st.lists(st.sampled_from(["fern", "alder", "moss", "rose"]), unique=True, max_size=4)


@settings(max_examples=15, deadline=None)
@given(names, st.randoms())
def test_equal_content_has_an_equal_hash_whatever_came_before(tmp_path_factory, labels, random) -> None:
    folder = tmp_path_factory.mktemp("databases")
    straight, winding = (VectorDatabase.create(folder / f"{n}.sqlite", dimension=8, about=ABOUT) for n in range(2))
    with straight.change("all") as change:
        for label in labels:
            change.add(label, vectors_of(label), [f"{label}-{row}" for row in range(3)])
    grow(winding, "weed")
    random.shuffle(labels)
    for label in labels:
        with winding.change(label) as change:
            for row in range(3):
                change.add(label, vectors_of(label)[[row]], [f"{label}-{row}"])
    with winding.change("weeded") as change:
        change.remove(["weed"])
        change.state = {}
    assert winding.head.digest == straight.head.digest
    other = VectorDatabase.create(folder / "other.sqlite", dimension=8, about={**ABOUT, "backbone": "cd"})
    assert other.head.digest != winding.read(0).version.digest


def test_going_back_makes_a_version_and_forgets_none(database) -> None:
    for name in ("fern", "alder"):
        grow(database, name)
    with database.change("worse") as change:
        change.remove(["fern"])
        change.rename("alder", "elder")
        change.add("moss", vectors_of("moss"), ["a", "b", "c"])
        change.state = {"classes": []}
    assert database.revert(2).digest == database.read(2).version.digest
    assert database.head.number == 4 and set(database.read(3).labels) == {"elder", "moss"}
    assert database.read().state == {"classes": ["alder", "fern"]}


def test_going_back_says_which_version_that_made_whoever_writes_after_it(database, monkeypatch) -> None:
    for name in ("fern", "alder"):
        grow(database, name)
    change = database.change

    @contextmanager
    def overtaken(note: str):
        with change(note) as changed:
            yield changed
        grow(VectorDatabase(database.path), "moss")

    monkeypatch.setattr(database, "change", overtaken)
    version = database.revert(1)
    assert (version.number, version.digest) == (3, database.read(1).version.digest) and database.head.number == 4


def test_killed_while_it_is_made_a_database_is_not_there(tmp_path) -> None:
    path = tmp_path / "roles.sqlite"
    code = (
        "import os, pathlib, signal, sys; from hallmark.storage import vectors;"
        "vectors.VectorDatabase.__init__ = lambda *_, **__: None;"
        "os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL);"
        f"vectors.VectorDatabase.create(pathlib.Path({str(path)!r}), dimension=8, about={{}})"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL
    assert not path.exists()
    assert VectorDatabase.create(path, dimension=8, about={}).head.number == 0
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_what_the_disk_refuses_is_said_with_the_file_and_is_no_damage(database, monkeypatch) -> None:
    grow(database, "fern")
    connect = sqlite3.connect

    def full(*arguments, **settings):
        connection = connect(*arguments, **settings)
        connection.execute("PRAGMA max_page_count = 1")
        return connection

    with monkeypatch.context() as patched, pytest.raises(UserError) as caught:
        patched.setattr(sqlite3, "connect", full)
        with database.change("too much") as change:
            change.add("moss", vectors_of("moss", 9000), [str(row) for row in range(9000)])
    assert str(database.path) in str(caught.value) and "damaged" not in str(caught.value)
    assert database.read().labels == ["fern"] * 3
    with pytest.raises(sqlite3.ProgrammingError), database.change("wrong") as change:
        change.add(np.str_, vectors_of("moss"), ["a", "b", "c"])


@pytest.mark.parametrize("name", ["a%20b", "is it?", "#1", "ü 50%"])
def test_a_name_is_taken_as_it_is(tmp_path, name) -> None:
    for each in (name, "a b"):
        VectorDatabase.create(tmp_path / each, dimension=2, about={"name": each})
    assert VectorDatabase(tmp_path / name).about == {"name": name}
    assert {path.name for path in tmp_path.iterdir()} == {name, "a b"}


def test_vectors_of_another_kind_are_refused(database) -> None:
    assert VectorDatabase(database.path, about=ABOUT).about == ABOUT
    with pytest.raises(UserError, match="backbone 'ab12' there, 'cd' here"):
        VectorDatabase(database.path, about={**ABOUT, "backbone": "cd"})
    with pytest.raises(UserError, match="there is a file already"):
        VectorDatabase.create(database.path, dimension=8, about=ABOUT)
    with pytest.raises(UserError, match="there is no database"):
        VectorDatabase(database.path.with_name("none.sqlite"))


@pytest.mark.parametrize("statement", [
    "UPDATE vectors SET vector = zeroblob(32) WHERE id = 2", "UPDATE vectors SET label = 'moss' WHERE id = 1",
    "DELETE FROM vectors WHERE id = 3", "UPDATE states SET packed = zeroblob(9)", "DELETE FROM states",
    "UPDATE vectors SET vector = zeroblob(5)", "UPDATE about SET dimension = 4", "UPDATE vectors SET vector = 'text'",
])  # fmt: skip
def test_what_is_not_what_was_written_is_refused(database, statement) -> None:
    grow(database, "fern")
    with sqlite3.connect(database.path) as connection:
        connection.execute(statement)
    connection.close()
    with pytest.raises(UserError, match="damaged"):
        VectorDatabase(database.path).read()


@pytest.mark.parametrize("statement", ["CREATE VIEW x AS SELECT 1", "PRAGMA user_version = 9", "DROP TABLE states"])
def test_a_file_of_another_form_is_refused(database, statement) -> None:
    with sqlite3.connect(database.path) as connection:
        connection.execute(statement)
    connection.close()
    with pytest.raises(UserError, match="not a database of vectors"):
        VectorDatabase(database.path)
    database.path.write_bytes(b"no database" * 100)
    with pytest.raises(UserError, match="damaged"):
        VectorDatabase(database.path)


def test_a_process_that_is_killed_within_a_change_leaves_the_version_before(tmp_path: Path) -> None:
    database = VectorDatabase.create(tmp_path / "roles.sqlite", dimension=1024, about={})
    grow(database, "fern")
    before, size = database.read(), database.path.stat().st_size
    process = writer(database, "weed", "1", "kill")
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert database.path.stat().st_size > size  # it had begun to write
    after = VectorDatabase(database.path).read()
    assert after.version == before.version and after.labels == before.labels
    np.testing.assert_array_equal(after.vectors, before.vectors)
    grow(database, "alder")
    assert database.head.number == 2


def test_killed_anywhere_every_version_there_is_whole(database) -> None:
    for attempt in range(4):
        process = writer(database, f"try{attempt}-", "1000")
        for _ in range(3):
            process.stdout.readline()
        time.sleep(0.001 * attempt)
        process.kill()
        process.communicate()
        for version in database.versions():
            assert len(database.read(version.number).labels) == 3 * version.number
    assert database.head.number >= 12


def test_two_writers_wait_for_each_other_and_lose_nothing(database) -> None:
    processes = [writer(database, name, "6") for name in ("fern", "moss")]
    assert all(process.communicate() and process.returncode == 0 for process in processes)
    assert database.head.number == 12
    assert set(database.read().labels) == {f"{name}{number}" for name in ("fern", "moss") for number in range(6)}


def test_a_writer_waits_no_longer_than_it_is_told(database) -> None:
    impatient = VectorDatabase(database.path, wait=0.01)
    with database.change("long") as change:
        change.add("fern", vectors_of("fern"), ["a", "b", "c"])
        assert impatient.read().labels == []  # readers see the version before
        with pytest.raises(UserError, match="another process writes"), impatient.change("late"):
            pass
    assert impatient.read().labels == ["fern"] * 3


def test_a_run_names_a_version_and_growth_does_not_change_it(database) -> None:
    grow(database, "fern")
    directory, name = database.path.parent.parent, "state/roles.sqlite"
    recorded = fitted_hashes(directory, [name])
    assert recorded == {name: f"1:{database.head.digest}"}
    grow(database, "alder")
    assert changes(directory, recorded) == [] and fitted_hashes(directory, [name])[name].startswith("2:")
    with sqlite3.connect(database.path) as connection:
        connection.execute("UPDATE vectors SET vector = zeroblob(32) WHERE id = 2")
    connection.close()
    assert changes(directory, recorded) == [f"{name} was changed"]
    database.path.write_bytes(b"")
    assert changes(directory, recorded) == [f"{name} was changed"]
