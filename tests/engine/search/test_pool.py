"""Worker processes: as many as are wanted, told when they die, ended with their parent's pipe."""

import subprocess
import sys
import time

import pytest

from hallmark.engine.search.pool import Pool, pool

LIVES_UNTIL_ITS_PIPE_ENDS = "#!/bin/sh\necho started $*\ncat > /dev/null\necho ended\n"


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
    for _ in range(500):
        if condition():
            return
        time.sleep(0.02)
    pytest.fail("nothing happened for 10 s")


def test_it_keeps_as_many_as_are_wanted_and_ends_them_with_the_block(worker, tmp_path):
    worker(LIVES_UNTIL_ITS_PIPE_ENDS)
    with pool(tmp_path / "sweep", 2) as workers:
        assert workers.alive == 0
        workers.keep(1)
        assert workers.alive == 1
        workers.keep(5)
        assert workers.alive == 2
        workers.keep(0)
        assert workers.alive == 2
    assert workers.alive == 0
    assert workers.died() == []
    for number in (1, 2):
        log = tmp_path / "sweep" / "workers" / f"{number}.log"
        assert log.read_text() == f"started -m hallmark.engine.search.worker {tmp_path / 'sweep'} {log}\nended\n"


def test_one_that_dies_is_told_once_by_its_log_and_can_be_replaced(worker, tmp_path):
    worker("#!/bin/sh\necho last words >&2\nexit 3\n")
    workers = Pool(tmp_path, 1)
    workers.keep(1)
    until(lambda: workers.alive == 0)
    (log,) = workers.died()
    assert log.read_text() == "last words\n"
    assert workers.died() == []
    worker(LIVES_UNTIL_ITS_PIPE_ENDS)
    workers.keep(1)
    assert workers.alive == 1
    workers.end()
    assert log.read_text().startswith("last words\nstarted ")


def test_one_that_found_nothing_to_do_has_not_died(worker, tmp_path):
    worker("#!/bin/sh\nexit 0\n")
    workers = Pool(tmp_path, 1)
    workers.keep(1)
    until(lambda: workers.alive == 0)
    assert workers.died() == []


def test_they_end_when_the_block_raises(worker, tmp_path):
    worker(LIVES_UNTIL_ITS_PIPE_ENDS)
    with pytest.raises(RuntimeError), pool(tmp_path, 1) as workers:
        workers.keep(1)
        raise RuntimeError
    assert workers.alive == 0
    assert (tmp_path / "workers" / "1.log").read_text().endswith("ended\n")


def test_one_that_does_not_end_in_time_is_killed(worker, tmp_path, monkeypatch):
    monkeypatch.setattr("hallmark.engine.search.pool.FAREWELL_SECONDS", 0.1)
    worker("#!/bin/sh\nexec sleep 60\n")
    workers = Pool(tmp_path, 2)
    workers.keep(2)
    workers.end()
    assert workers.alive == 0


def test_all_are_killed_when_it_is_asked_again_to_stop(worker, tmp_path, monkeypatch):
    worker("#!/bin/sh\nexec sleep 60\n")
    workers = Pool(tmp_path, 2)
    workers.keep(2)

    def again(self, timeout=None) -> int:
        if timeout is not None:
            raise KeyboardInterrupt
        return wait(self)

    wait = subprocess.Popen.wait
    monkeypatch.setattr(subprocess.Popen, "wait", again)
    with pytest.raises(KeyboardInterrupt):
        workers.end()
    assert workers.alive == 0
