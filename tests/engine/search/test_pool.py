"""Workers: as many as are wanted, told when they crash, ended with their parent's pipe."""

import sys
import time

import pytest

from hallmark.engine.search.launchers import LocalProcesses
from hallmark.engine.search.pool import Pool

UNTIL_ITS_PIPE_ENDS = "#!/bin/sh\necho started $*\ncat > /dev/null\necho ended\n"


@pytest.fixture
def worker(tmp_path, monkeypatch):
    """A function that puts a shell script in the place of the worker's interpreter."""

    def worker(script: str) -> None:
        path = tmp_path / "worker.sh"
        path.write_text(script)
        path.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(path))

    return worker


def until(condition) -> None:
    for _ in range(1500):
        if condition():
            return
        time.sleep(0.02)
    pytest.fail("nothing happened for 30 s")


def test_it_keeps_as_many_as_are_wanted_and_ends_them_with_the_block(worker, tmp_path):
    worker(UNTIL_ITS_PIPE_ENDS)
    with Pool(LocalProcesses(), tmp_path / "sweep", 2) as workers:
        assert workers.alive == 0
        workers.keep(1)
        assert workers.alive == 1
        workers.keep(5)
        assert workers.alive == 2
        workers.keep(0)
        assert workers.alive == 2
        assert len(workers.names) == 2
    assert workers.alive == 0
    assert workers.crashed() == []
    names = set()
    for number in (1, 2):
        log = tmp_path / "sweep" / "workers" / f"{number}.log"
        command, _, name = log.read_text().removesuffix("\nended\n").partition(" --name=")
        assert command == f"started -m hallmark.engine.search.worker {tmp_path / 'sweep'} {log}"
        names.add(name)
    assert names == workers.names


def test_one_that_crashes_is_told_once_by_name_and_log_and_can_be_replaced(worker, tmp_path):
    worker("#!/bin/sh\necho out of memory >&2\nexit 3\n")
    workers = Pool(LocalProcesses(), tmp_path, 1)
    workers.keep(1)
    names = workers.names
    until(lambda: workers.alive == 0)
    [(name, log)] = workers.crashed()
    assert {name} == names
    assert log.read_text() == "out of memory\n"
    assert workers.crashed() == []
    worker(UNTIL_ITS_PIPE_ENDS)
    workers.keep(1)
    assert workers.alive == 1
    workers.end()
    assert log.read_text().startswith("out of memory\nstarted ")


def test_one_that_found_nothing_to_do_has_not_crashed(worker, tmp_path):
    worker("#!/bin/sh\nexit 0\n")
    workers = Pool(LocalProcesses(), tmp_path, 1)
    workers.keep(1)
    until(lambda: workers.alive == 0)
    assert workers.crashed() == []


def test_they_end_when_the_block_raises(worker, tmp_path):
    worker(UNTIL_ITS_PIPE_ENDS)
    with pytest.raises(RuntimeError), Pool(LocalProcesses(), tmp_path, 1) as workers:
        workers.keep(1)
        raise RuntimeError
    assert workers.alive == 0
    assert (tmp_path / "workers" / "1.log").read_text().endswith("ended\n")


def test_one_that_does_not_end_in_time_is_killed(worker, tmp_path, monkeypatch):
    monkeypatch.setattr("hallmark.engine.search.pool.STOP_SECONDS", 0.1)
    worker("#!/bin/sh\nexec sleep 60\n")
    workers = Pool(LocalProcesses(), tmp_path, 2)
    workers.keep(2)
    workers.end()
    assert workers.alive == 0


def test_all_are_killed_when_it_is_asked_again_to_stop(worker, tmp_path, monkeypatch):
    worker("#!/bin/sh\nexec sleep 60\n")
    workers = Pool(LocalProcesses(), tmp_path, 2)
    workers.keep(2)

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("hallmark.engine.search.pool.time.sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        workers.end()
    assert workers.alive == 0


def test_a_crash_between_two_looks_is_told_before_its_number_is_used_again(worker, tmp_path):
    worker("#!/bin/sh\nexit 3\n")
    with Pool(LocalProcesses(), tmp_path, 1) as pool:
        pool.keep(1)
        until(lambda: not pool.alive)
        pool.keep(1)
        assert [log.name for _, log in pool.crashed()] == ["1.log"]
        assert pool.crashed() == [] and pool.alive == 0
