import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hallmark.checks import Interrupted
from hallmark.runs.record import Provenance, Record, RunState
from hallmark.runs.run import Run, RunConflict, RunDirectory, open_run

Maker = Callable[..., Record]


def run_in(directory: Path, record: Record | None, *, checkpoint: bool = False) -> RunDirectory:
    directory.mkdir(parents=True, exist_ok=True)
    if record is not None:
        record.write(directory)
    if checkpoint:
        (directory / "checkpoints").mkdir()
        (directory / "checkpoints" / "last.ckpt").touch()
    return RunDirectory(directory)


def same(record: Record) -> Provenance:
    return Provenance(record.provenance.data, dict(record.provenance.code))


def test_there_is_nothing_to_resume_in_an_empty_directory(tmp_path: Path, make_record: Maker) -> None:
    assert run_in(tmp_path, None).resume_status(make_record().run_id, make_record().provenance, rerun=False) is None


@pytest.mark.parametrize(
    ("state", "checkpoint", "expected"),
    [
        (RunState.DONE, True, RunState.DONE),
        (RunState.DONE, False, RunState.DONE),
        (RunState.INTERRUPTED, True, RunState.INTERRUPTED),
        (RunState.INTERRUPTED, False, None),
        (RunState.RUNNING, True, RunState.INTERRUPTED),  # its process was killed
        (RunState.RUNNING, False, None),
        (RunState.FAILED, True, RunState.INTERRUPTED),
        (RunState.FAILED, False, None),
    ],
)
def test_resume_status(tmp_path: Path, make_record: Maker, state: RunState, checkpoint: bool, expected) -> None:
    record = make_record(state=state)
    run = run_in(tmp_path, record, checkpoint=checkpoint)
    assert run.resume_status(record.run_id, same(record), rerun=False) is expected
    assert run.resume_status(record.run_id, same(record), rerun=True) is None


@pytest.mark.parametrize("state", [RunState.DONE, RunState.INTERRUPTED, RunState.RUNNING, RunState.FAILED])
def test_a_run_of_another_making_is_a_conflict_that_names_what_differs(
    tmp_path: Path, make_record: Maker, state: RunState
) -> None:
    record = make_record(state=state)
    run = run_in(tmp_path, record, checkpoint=True)
    code = record.provenance.code | {"learning/optim.py": "cc"}
    with pytest.raises(RunConflict) as caught:
        run.resume_status("0123abcd", Provenance("e" * 32, code), rerun=False)
    message = str(caught.value)
    for part in (str(tmp_path), state, "learning/optim.py", "d" * 12, "e" * 12, "rerun=true"):
        assert part in message
    assert "data/splits.py" not in message
    assert run.resume_status("0123abcd", Provenance("e" * 32, code), rerun=True) is None


def test_a_directory_of_another_configuration_is_a_conflict(tmp_path: Path, make_record: Maker) -> None:
    record = make_record(state=RunState.DONE)
    run = run_in(tmp_path, record)
    with pytest.raises(RunConflict, match=r"configuration: 0123abcd there .*, ffffffff asked for"):
        run.resume_status("ffffffff", same(record), rerun=False)
    assert run.resume_status("ffffffff", same(record), rerun=True) is None


def test_a_failed_run_without_a_checkpoint_is_replaced(tmp_path: Path, make_record: Maker) -> None:
    run = run_in(tmp_path, make_record(state=RunState.FAILED))
    assert run.resume_status("0123abcd", Provenance("e" * 32, {}), rerun=False) is None


_HOLDER = """
import sys
from pathlib import Path
from hallmark.runs.run import RunDirectory
with RunDirectory(Path(sys.argv[1])).locked():
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def held_elsewhere(directory: Path) -> Iterator[subprocess.Popen]:
    command = [sys.executable, "-c", _HOLDER, str(directory)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_lock_refuses_a_second_process_and_dies_with_its_own(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    with held_elsewhere(run.directory) as process:
        with pytest.raises(RunConflict, match="another process is working on this run"), run.locked():
            pytest.fail("two processes hold the run")
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=10)
        with run.locked():
            pass


def test_the_lock_is_released_after_an_error_and_shows_what_was_written_meanwhile(tmp_path: Path, make_record) -> None:
    make_record(state=RunState.RUNNING).write(tmp_path)
    run, other = Run(tmp_path), Run(tmp_path)
    with pytest.raises(RuntimeError), run.locked():
        make_record(state=RunState.DONE).write(tmp_path)
        raise RuntimeError
    assert other.record.state is RunState.RUNNING
    with other.locked():
        assert other.record.state is RunState.DONE


def test_a_run_was_begun(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"there is no run; it has no record\.json"):
        Run(tmp_path)


def on_disk(directory: Path) -> Record:
    record = Record.read(directory)
    assert record is not None
    return record


def test_a_block_that_ends_well_is_recorded_as_running_then_done(tmp_path: Path, make_record: Maker) -> None:
    run = Run(tmp_path, make_record(state=RunState.FAILED, error="earlier"))
    with run.recorded():
        assert on_disk(tmp_path).state is RunState.RUNNING and on_disk(tmp_path).error is None
        run.record.selected = {"value": 0.5}
    assert on_disk(tmp_path).state is RunState.DONE
    assert on_disk(tmp_path).selected == {"value": 0.5}
    assert run.record == on_disk(tmp_path)


def test_a_crash_is_recorded_with_its_traceback(tmp_path: Path, make_record: Maker) -> None:
    with pytest.raises(ZeroDivisionError), Run(tmp_path, make_record()).recorded():
        _ = 1 / 0
    assert on_disk(tmp_path).state is RunState.FAILED
    error = on_disk(tmp_path).error or ""
    assert error.startswith("Traceback") and "_ = 1 / 0" in error and "ZeroDivisionError" in error


@pytest.mark.parametrize("stop", [Interrupted, KeyboardInterrupt])
def test_a_stop_is_recorded_as_interrupted(tmp_path: Path, make_record: Maker, stop: type[BaseException]) -> None:
    with pytest.raises(stop), Run(tmp_path, make_record()).recorded():
        raise stop
    assert on_disk(tmp_path).state is RunState.INTERRUPTED and on_disk(tmp_path).error is None


def test_wall_time_accumulates(tmp_path: Path, make_record: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 112.5, 1000.0, 1007.25])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    with pytest.raises(Interrupted), Run(tmp_path, make_record()).recorded():
        raise Interrupted
    assert on_disk(tmp_path).wall_seconds == 12.5
    with Run(tmp_path).recorded():
        pass
    assert on_disk(tmp_path).wall_seconds == 19.75


def test_metrics_are_added_by_split(tmp_path: Path, make_record: Maker) -> None:
    make_record().write(tmp_path)
    run = Run(tmp_path)
    assert run.metrics == {}
    run.add_metrics("val", {"main": {"accuracy": 0.5, "n": 4}})
    run.add_metrics("test", {"main": {"accuracy": 0.25, "n": 8}})
    run.add_metrics("val", {"main": {"accuracy": 1.0, "n": 4}})
    assert Run(tmp_path).metrics == {
        "val": {"main": {"accuracy": 1.0, "n": 4}},
        "test": {"main": {"accuracy": 0.25, "n": 8}},
    }


def test_clear_leaves_only_the_lock(tmp_path: Path, make_record: Maker) -> None:
    run = run_in(tmp_path, make_record(), checkpoint=True)
    with run.locked():
        run.clear()
        assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_open_run_takes_a_finished_run_or_the_only_one_below(tmp_path: Path, make_record: Maker) -> None:
    done = run_in(tmp_path / "clip" / "aaaa", make_record(state=RunState.DONE))
    run_in(tmp_path / "clip" / "bbbb", make_record(state=RunState.FAILED))
    assert open_run(str(done.directory)).directory == done.directory
    assert open_run(tmp_path / "clip").directory == done.directory
    run_in(tmp_path / "clip" / "cccc", make_record(state=RunState.DONE))
    with pytest.raises(ValueError, match=r"(?s)give one finished run.*aaaa.*cccc") as caught:
        open_run(tmp_path / "clip")
    assert "bbbb" not in str(caught.value)


def test_open_run_says_why_not(tmp_path: Path, make_record: Maker) -> None:
    with pytest.raises(ValueError, match=r"give one finished run.*found none"):
        open_run(tmp_path / "nowhere")
    run = run_in(tmp_path / "aaaa", make_record(state=RunState.INTERRUPTED))
    again = "is interrupted; repeat its command to finish it: python train.py experiment=clip_final"
    with pytest.raises(ValueError, match=again):
        open_run(run.directory)
