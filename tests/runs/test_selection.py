"""Which result a folder means, and what tells its results apart where that is a question."""

from pathlib import Path

import pytest

from hallmark.runs.record import RunState
from hallmark.runs.repeats import RepeatRecord, RepeatSet, open_result
from hallmark.runs.run import Run, open_run
from hallmark.storage.files import write_json, write_text

DAY = "2026-01-{:02}T00:00:00+00:00"


@pytest.fixture
def outputs(tmp_path) -> Path:
    return tmp_path / "outputs" / "clip"


@pytest.fixture
def made(outputs, make_record):
    """A function that makes the run `name`: finished on a day of January, or not finished."""

    def made(name: str, day: int | None = None, *, config: str = "", **changes) -> Run:
        finished = DAY.format(day) if day else None
        state = RunState.DONE if day else RunState.INTERRUPTED
        selected = {"checkpoint": None, "metric": "val/macro_f1", "value": 0.5}
        fields = {"state": state, "finished": finished, "run_id": name, "selected": selected, **changes}
        make_record(**fields).write(outputs / name)
        write_text(outputs / name / "config.yaml", config)
        return Run(outputs / name)

    return made


@pytest.fixture
def set_of(outputs):
    """A function that makes a set of the runs that it names."""

    def set_of(name: str, *members: str, day: int | None) -> RepeatSet:
        state, finished = (RunState.DONE, DAY.format(day)) if day else (RunState.INTERRUPTED, None)
        listed = [{"note": member, "repetition": 0, "directory": f"../{member}"} for member in members]
        record = RepeatRecord(
            "clip", name, "seeds:2", state, "val/macro_f1", "max", None, ["python", "train.py"], listed, finished
        )
        write_text(outputs / name / "config.yaml", "repeat: seeds:2\nmodel: {width: 1}\n")
        return RepeatSet.create(outputs / name, record)

    return set_of


def name_of(path: Path) -> str:
    return open_result(path).directory.name


def test_latest_is_the_run_that_finished_last_whatever_started_last(made, outputs):
    made("aaaa", 3, started=DAY.format(1))
    made("bbbb", 2, started=DAY.format(2))
    made("cccc")
    assert name_of(outputs / "latest") == "aaaa"
    assert open_run(outputs / "latest").directory.name == "aaaa"


def test_runs_that_do_not_say_when_they_finished_are_taken_by_start_and_duration(made, outputs):
    made("aaaa", 1, finished=None, started=DAY.format(1), wall_seconds=3 * 86400.0)
    made("bbbb", 1, finished=None, started=DAY.format(2), wall_seconds=3600.0)
    assert name_of(outputs / "latest") == "aaaa"
    made("cccc", 5)
    assert name_of(outputs / "latest") == "cccc"


def test_the_runs_of_a_set_count_as_the_set(made, set_of, outputs):
    made("aaaa", 1)
    made("bbbb", 2)
    set_of("zzzz", "aaaa", "bbbb", day=4)
    assert name_of(outputs) == "zzzz"
    assert name_of(outputs / "latest") == "zzzz"
    made("cccc", 3)
    assert name_of(outputs / "latest") == "zzzz"
    made("dddd", 5)
    assert name_of(outputs / "latest") == "dddd"
    assert open_run(outputs / "latest").directory.name == "dddd"
    with pytest.raises(ValueError, match=r"(?s)give one finished.*cccc.*dddd") as question:
        open_result(outputs)
    assert "zzzz: seeds:2, done" in str(question.value)
    assert "aaaa" not in str(question.value)


def test_a_folder_of_that_name_is_that_folder(made, outputs):
    made("latest", 1)
    made("bbbb", 2)
    assert open_result(outputs / "latest").record.run_id == "latest"


def test_nothing_there_or_nothing_finished(made, set_of, outputs):
    with pytest.raises(ValueError, match=r"give one finished run or set of repeats.*found none"):
        open_result(outputs / "latest")
    made("aaaa")
    for path in (outputs, outputs / "latest"):
        with pytest.raises(ValueError, match="aaaa: the run is interrupted; repeat its command"):
            open_result(path)
    made("bbbb")
    with pytest.raises(ValueError, match=r"(?s)aaaa: interrupted.*bbbb: interrupted"):
        open_result(outputs / "latest")
    set_of("zzzz", "aaaa", "bbbb", day=None)
    with pytest.raises(ValueError, match="the set is interrupted"):
        open_result(outputs)


def test_the_question_shows_what_tells_them_apart(made, outputs):
    made("aaaa", 1, config="name: clip\nmodel: {width: 1, depth: 4}\npaths: {outputs: a}\nseed: 0\n")
    made("bbbb", 2, config="name: clip\nmodel: {width: 2, depth: 4}\npaths: {outputs: b}\nseed: 0\n")
    (outputs / "dddd").mkdir()
    write_json(outputs / "dddd" / "record.json", {"not": "a record"})
    with pytest.raises(ValueError, match="give one finished") as question:
        open_result(outputs)
    lines = str(question.value).splitlines()
    assert f"{outputs / 'latest'} for the one that finished last" in lines[0]
    assert lines[1:] == [
        f"  {outputs / name}: done, started 2026-01-01 00:00, val/macro_f1 0.500, model.width={width}"
        for name, width in (("aaaa", 1), ("bbbb", 2))
    ]


def test_a_run_and_a_set_say_when_they_finish(tmp_path, make_record, set_of, made):
    (tmp_path / "run").mkdir()
    run = Run(tmp_path / "run", make_record())
    with run.recorded():
        assert run.record.finished is None
    first = Run(tmp_path / "run").record.finished
    assert first is not None
    with Run(run.directory, make_record()).recorded():
        pass
    assert Run(tmp_path / "run").record.finished > first
    made("aaaa", 1)
    repeats = set_of("zzzz", "aaaa", day=None)
    repeats.set_state(RunState.DONE)
    assert RepeatSet(repeats.directory).record.finished > first
