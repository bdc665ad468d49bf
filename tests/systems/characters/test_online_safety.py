import itertools
import multiprocessing
import os
import shutil
import signal
import sqlite3
from pathlib import Path

import pytest
from tests.systems.characters.faces import NAMES, pictures

from hallmark.checks import UserError
from hallmark.storage.vectors import Change, VectorDatabase
from hallmark.systems.characters import OnlineLearningSystem


def _killed_add(model: Path, database: Path, images: list[Path], point: int) -> None:
    """Add as a process that is killed before its statement or file operation of this number; -1 counts them."""
    passed = itertools.count(1)

    def pass_point(statement: str = "") -> None:
        if not statement.startswith(("SELECT", "PRAGMA")) and next(passed) == point:
            os.kill(os.getpid(), signal.SIGKILL)

    def stopping(call):
        def stopped(*arguments, **settings):
            pass_point()
            return call(*arguments, **settings)

        return stopped

    connect = sqlite3.connect

    def traced(*arguments, **settings):
        connection = connect(*arguments, **settings)
        connection.set_trace_callback(pass_point)
        return connection

    sqlite3.connect = traced
    for name in ("fsync", "replace", "rename", "link"):
        setattr(os, name, stopping(getattr(os, name)))
    OnlineLearningSystem(model, database).add_new_role("Emi", images)
    os._exit(next(passed) - 1 if point < 0 else 0)


def _ended(target, *arguments) -> int:
    process = multiprocessing.get_context("fork").Process(target=target, args=arguments)
    process.start()
    process.join(60)
    assert process.exitcode is not None
    return process.exitcode


@pytest.mark.parametrize("is_there", [False, True])
def test_killed_at_any_point_of_an_add_there_is_the_version_before_or_after(model, faces, tmp_path, is_there):
    start, images = tmp_path / "start.db", pictures(faces, "Emi", range(2))
    if is_there:
        OnlineLearningSystem(model, start).add_new_role("Ren", pictures(faces, "Ren", range(3)))

    def database(name: str) -> Path:
        return Path(shutil.copy(start, tmp_path / name)) if is_there else tmp_path / name

    points = _ended(_killed_add, model, database("complete.db"), images, -1)
    complete = VectorDatabase(tmp_path / "complete.db").versions()
    states = set()
    for point in range(1, points + 1):
        path = database(f"{point}.db")
        assert _ended(_killed_add, model, path, images, point) == -signal.SIGKILL
        versions = VectorDatabase(path).versions() if path.exists() else []
        assert versions == complete[: len(versions)] and len(versions) >= len(complete) - 1 - (not is_there)
        if versions:
            assert VectorDatabase(path).read().version == versions[-1]
        states.add(len(versions))
        if len(versions) < len(complete):
            OnlineLearningSystem(model, path).add_new_role("Emi", images)
        assert VectorDatabase(path).head == complete[-1]
    assert {len(complete) - 1 if is_there else 0, len(complete)} == states


def _add(model: Path, database: Path, name: str, images: list[Path]) -> None:
    OnlineLearningSystem(model, database).add_new_role(name, images)


def test_two_processes_that_add_at_once_both_have_added(system, model, faces):
    context = multiprocessing.get_context("fork")
    jobs = [("Emi", pictures(faces, "Emi", range(3))), ("Toma", pictures(faces, "Emi", range(3, 6)))]
    processes = [
        context.Process(target=_add, args=(model, system.database.path, name, images)) for name, images in jobs
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert system.roles() == {**dict.fromkeys(NAMES, 5), "Emi": 3, "Toma": 3}


def test_a_database_appears_with_its_first_role_and_is_never_written_over(model, faces, tmp_path):
    path = tmp_path / "new" / "roles.db"
    first, second = OnlineLearningSystem(model, path), OnlineLearningSystem(model, path)
    other = OnlineLearningSystem(model, path, method="ncm")
    with pytest.raises(UserError):
        first.add_new_role("Ren", [tmp_path / "missing.jpg"])
    with pytest.raises(UserError):
        first.update("Ren", pictures(faces, "Ren", range(1)))
    assert first.roles() == {} and not path.parent.exists()
    first.add_new_role("Ren", pictures(faces, "Ren", range(2)))
    second.add_new_role("Aoi", pictures(faces, "Aoi", range(2)))
    assert first.roles() == second.roles() == {"Aoi": 2, "Ren": 2}
    with pytest.raises(UserError, match="method"):
        other.add_new_role("Mika", pictures(faces, "Mika", range(2)))
    assert [version.number for version in VectorDatabase(path).versions()] == [0, 1, 2]


def test_who_adds_the_first_role_while_another_does_adds_the_second(model, faces, tmp_path, monkeypatch):
    path = tmp_path / "roles.db"
    late = OnlineLearningSystem(model, path)
    label_of, overtakers = Change.label_of, [("Aoi", pictures(faces, "Aoi", range(2)))]

    def overtaken(change, content):
        while overtakers:
            OnlineLearningSystem(model, path).add_new_role(*overtakers.pop())
        return label_of(change, content)

    monkeypatch.setattr(Change, "label_of", overtaken)
    late.add_new_role("Ren", pictures(faces, "Ren", range(2)))
    assert late.roles() == {"Aoi": 2, "Ren": 2} and [path] == list(tmp_path.iterdir())
