import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from filelock import FileLock
from tests.runs.accessing import open_test_split

from hallmark.runs.record import Record, RunState
from hallmark.runs.registry import STATES, Entry, find_entries, in_use
from hallmark.runs.run import Run
from hallmark.storage.files import write_json

Maker = Callable[..., Record]
HOLD = """
import sys
from pathlib import Path
from hallmark.runs.run import RunDirectory
with RunDirectory(Path(sys.argv[1])).locked():
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def locked_elsewhere(directory: Path) -> Iterator[None]:
    """The lock of a run directory, in another process."""
    command = [sys.executable, "-c", HOLD, str(directory)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield
        process.stdin.close()


def only(folder: Path, metric: str | None = None) -> Entry:
    entries = find_entries([folder], metric)
    assert len(entries) == 1, entries
    return entries[0]


def test_states_are_those_of_a_record_and_one_more() -> None:
    assert set(STATES) == {*RunState, "unreadable"}


def test_a_run_is_what_its_record_says(tmp_path: Path, make_record: Maker) -> None:
    directory = tmp_path / "clip_final" / "0123abcd"
    selected = {"checkpoint": "checkpoints/best.ckpt", "metric": "val/macro_f1", "value": 0.75}
    make_record(
        state=RunState.DONE, selected=selected, wall_seconds=61.5, splits={"val": {"n": 3}, "test": {"n": 3}}
    ).write(directory)
    assert only(tmp_path) == Entry(
        kind="run", name="clip_final", id="0123abcd", state="done", metric="val/macro_f1", value=0.75, std=None, n=None,
        test="sealed", seed=1, repeat=None, started="2026-01-01T00:00:00+00:00", seconds=61.5,
        directory=str(directory), problem=None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("metric", "value"),
    [("accuracy", 0.5), ("val/accuracy", 0.5), ("val/main/accuracy", 0.5), ("val/touch/accuracy", 0.25),
     ("test/accuracy", 1.0), ("val/auroc", None), ("train/accuracy", None), ("val/none/accuracy", None)],
)  # fmt: skip
def test_another_metric_by_name(tmp_path: Path, make_record: Maker, metric: str, value: float | None) -> None:
    make_record(state=RunState.DONE, selected={"metric": "val/macro_f1", "value": 0.75}).write(tmp_path)
    val_metrics = {"main": {"accuracy": 0.5, "auroc": None}, "touch": {"accuracy": 0.25}}
    write_json(tmp_path / "metrics.json", {"val": val_metrics, "test": {"main": {"accuracy": 1}}})
    entry = only(tmp_path, metric)
    assert (entry.metric, entry.value) == (metric, value)


def test_a_running_record_is_interrupted_once_its_process_is_gone(tmp_path: Path, make_record: Maker) -> None:
    make_record(state=RunState.RUNNING).write(tmp_path)
    assert only(tmp_path).state == "interrupted"  # no lock at all
    with locked_elsewhere(tmp_path):
        assert in_use(tmp_path)
        assert only(tmp_path).state == "running"
    assert not in_use(tmp_path)
    assert only(tmp_path).state == "interrupted"


def test_listing_writes_nothing(tmp_path: Path, make_record: Maker) -> None:
    make_record(state=RunState.RUNNING).write(tmp_path)
    find_entries([tmp_path])
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]


@pytest.mark.parametrize(
    "text", ["{", "[]", "null", "{}", "", '{"state": "asleep"}', "\0", "RECORD-WITH-A-BAD-DATE", "\udc80"]
)
def test_a_damaged_record_is_named_and_the_others_are_listed(tmp_path: Path, make_record: Maker, text: str) -> None:
    for run_id in ("aaaaaaaa", "cccccccc"):
        make_record(state=RunState.DONE, run_id=run_id).write(tmp_path / "clip" / run_id)
    damaged = tmp_path / "clip" / "bbbbbbbb"
    make_record(state=RunState.DONE, started="yesterday").write(damaged)
    if text != "RECORD-WITH-A-BAD-DATE":
        (damaged / "record.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    first, second, third = find_entries([tmp_path])
    assert (first.state, second.state, third.state) == ("done", "unreadable", "done")
    assert (second.name, second.id, second.directory) == ("clip", "bbbbbbbb", str(damaged))
    assert second.problem is not None and second.problem.startswith(f"{damaged / 'record.json'}: not readable")


def test_a_failed_run_tells_its_error(tmp_path: Path, make_record: Maker) -> None:
    error = 'Traceback (most recent call last):\n  File "x"\nValueError: data.folder=None\n'
    make_record(state=RunState.FAILED, error=error).write(tmp_path)
    assert only(tmp_path).problem == "ValueError: data.folder=None"


def test_results_are_found_at_every_place_once(tmp_path: Path, make_record: Maker) -> None:
    folders = ["clip/a", "clip/b", "group/name/c", "fixed", "cache/sample/d", "seals/e", ".hidden/f",
              "clip/a/out_of_fold/1-of-3"]  # fmt: skip
    for folder in folders:
        make_record(state=RunState.DONE).write(tmp_path / folder)
    directories = [
        Path(entry.directory) for entry in find_entries([tmp_path, tmp_path / "clip", tmp_path / "clip" / "a"])
    ]
    assert directories == [tmp_path / folder for folder in ("clip/a", "clip/b", "fixed", "group/name/c")]
    with pytest.raises(ValueError, match="no such folder"):
        find_entries([tmp_path / "nowhere"])


@pytest.mark.parametrize("name", ["clip", "group/clip"])
def test_a_record_of_any_run_of_the_experiment_on_the_data_opens_its_test(
    tmp_path: Path, make_record: Maker, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HALLMARK_SEALS", raising=False)
    splits = {"val": {"n": 3}, "test": {"n": 3}}
    for run_id, content in (("a", "c0ffee"), ("b", "c0ffee"), ("c", "other")):
        make_record(state=RunState.DONE, name=name, splits=splits, data={"content": content}).write(
            tmp_path / name / run_id
        )
    make_record(state=RunState.DONE, name=name).write(tmp_path / name / "d")
    assert [entry.test for entry in find_entries([tmp_path])] == ["sealed", "sealed", "sealed", None]
    write_json(tmp_path / "seals" / name / "c0ffee.json", {"looks": []})
    assert [entry.test for entry in find_entries([tmp_path])] == ["opened", "opened", "sealed", None]
    shutil.move(tmp_path / "seals", tmp_path / "elsewhere")
    monkeypatch.setenv("HALLMARK_SEALS", str(tmp_path / "elsewhere"))
    assert [entry.test for entry in find_entries([tmp_path / name])] == ["opened", "opened", "sealed", None]


def test_an_access_to_the_rows_of_a_run_opens_its_test(make_run: Callable[..., Run], tmp_path: Path) -> None:
    rows = [f"row {number}" for number in range(40)]
    looked = make_run("a", test=rows[:20], train=rows[20:])
    make_run("b", content="e" * 32, test=[*rows[15:20], *rows[25:]], train=["kept now"])
    make_run("c", content="f" * 32, test=[f"new {number}" for number in range(20)], train=rows)
    assert [entry.test for entry in find_entries([tmp_path])] == ["sealed", "sealed", "sealed"]
    open_test_split(looked)
    assert [entry.test for entry in find_entries([tmp_path])] == ["opened", "opened", "sealed"]
    shutil.copytree(looked.directory.parent, tmp_path / "elsewhere" / "old" / "clip_final")
    shutil.rmtree(tmp_path / "outputs")
    assert [entry.test for entry in find_entries([tmp_path / "elsewhere"])] == ["opened", "opened", "sealed"]


def repeats(tmp_path: Path, make_record: Maker, *, state: str) -> Path:
    for seed, seconds in enumerate((10.0, 20.5, 30.0)):
        make_record(
            state=RunState.DONE, seed=seed, run_id=f"r{seed}", wall_seconds=seconds, splits={"test": {"n": 3}},
            started=f"2026-01-0{3 - seed}T00:00:00+00:00",
        ).write(tmp_path / "clip" / f"r{seed}")  # fmt: skip
    members = [{"note": f"seed {s}", "repetition": s, "directory": f"../r{s}"} for s in range(3)]
    directory = tmp_path / "clip" / "set00000"
    write_json(directory / "repeats.json", {
        "name": "clip", "set_id": "set00000", "repeat": "seeds:3", "state": state, "metric": "val/macro_f1",
        "mode": "max", "second": "val/accuracy", "command": [], "members": members,
    })  # fmt: skip
    return directory


def test_a_set_of_repeats_is_one_result(tmp_path: Path, make_record: Maker) -> None:
    directory = repeats(tmp_path, make_record, state="done")
    for seed, macro_f1 in enumerate((0.70, 0.75, 0.80)):
        accuracy = {"accuracy": 0.5} if seed == 1 else {}
        measured = {"val": {"main": {"macro_f1": macro_f1, **accuracy}}}
        write_json(tmp_path / "clip" / f"r{seed}" / "metrics.json", measured)
    write_json(directory / "metrics.json", {})
    *members, set_entry = find_entries([tmp_path])
    assert [member.kind for member in members] == ["run"] * 3
    assert set_entry == Entry(
        kind="set", name="clip", id="set00000", state="done", metric="val/macro_f1", value=pytest.approx(0.75),
        std=pytest.approx(0.05), n=3, test="sealed", seed=None, repeat="seeds:3",
        started="2026-01-01T00:00:00+00:00", seconds=60.5, directory=str(directory), problem=None,
    )  # fmt: skip
    other = find_entries([directory], "val/accuracy")[0]
    assert (other.value, other.std) == (0.5, None)


def test_a_set_runs_as_long_as_a_process_holds_it_or_a_member(tmp_path: Path, make_record: Maker) -> None:
    directory = repeats(tmp_path, make_record, state="running")
    assert only(directory).state == "interrupted"
    with locked_elsewhere(tmp_path / "clip" / "r1"):
        assert only(directory).state == "running"
    with locked_elsewhere(directory):
        assert only(directory).state == "running"


def test_a_set_whose_members_are_gone_is_listed(tmp_path: Path, make_record: Maker) -> None:
    directory = repeats(tmp_path, make_record, state="done")
    for seed in range(3):
        shutil.rmtree(tmp_path / "clip" / f"r{seed}")
    entry = only(directory)
    assert (entry.state, entry.n, entry.started, entry.seconds, entry.test) == ("done", 3, None, 0, None)


def test_a_sweep_shows_its_best_trial(tmp_path: Path) -> None:
    directory = tmp_path / "clip" / "sweeps" / "grid-0123"
    write_json(directory / "manifest.json", {"metric": "val/macro_f1", "started": "2026-01-01T00:00:00+00:00"})
    waiting = only(tmp_path)
    assert (waiting.kind, waiting.name, waiting.id, waiting.state) == ("sweep", "clip", "grid-0123", "interrupted")
    summary = {"state": "done", "metric": "val/macro_f1", "best": {"value": 0.75}, "n": 12, "seconds": 9.5}
    write_json(directory / "summary.json", summary)
    done = only(tmp_path)
    assert (done.state, done.metric, done.value, done.n, done.seconds) == ("done", "val/macro_f1", 0.75, 12, 9.5)
    assert only(tmp_path, "val/accuracy").value is None


def test_a_sweep_runs_as_long_as_one_of_its_workers(tmp_path: Path) -> None:
    directory = tmp_path / "clip" / "sweeps" / "grid-0123"
    write_json(directory / "manifest.json", {})
    worker = directory / "workers" / "one.lock"
    worker.parent.mkdir()
    worker.touch()
    assert only(tmp_path).state == "interrupted"
    with FileLock(worker):
        assert only(tmp_path).state == "running"


def test_other_manifests_are_no_sweeps(tmp_path: Path) -> None:
    write_json(tmp_path / "clip" / "somewhere" / "manifest.json", {})
    assert find_entries([tmp_path]) == []


def test_members_inside_of_a_set_are_listed_too(tmp_path: Path, make_record: Maker) -> None:
    directory = repeats(tmp_path, make_record, state="done")
    make_record(state=RunState.DONE, run_id="inside").write(directory / "seed-3")
    assert [entry.id for entry in find_entries([directory])] == ["set00000", "inside"]
