import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.runs.accessing import METRICS, Maker, open_test_split

from hallmark.runs.record import Provenance, Record, RunState
from hallmark.runs.run import Run
from hallmark.runs.seal import Seal, SealedError, Subject, accesses_of, seal_of
from hallmark.runs.seal import TestAccess as Access
from hallmark.storage.hashing import digest_file


def test_an_access_leaves_a_record_with_what_was_looked_at(make_run: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["evaluate.py", "run=a b", "split=test"])
    run = make_run()
    assert accesses_of(run) == []
    open_test_split(run)
    (access,) = accesses_of(run)
    assert access.command == "evaluate.py 'run=a b' split=test"
    assert access.reason is None and access.host and access.completed is not None and access.opened <= access.completed
    assert access.runs == [
        Subject(
            str(run.directory), "aaaa", checkpoint=digest_file(run.best),
            config=digest_file(run.directory / "config.yaml"), data="d" * 32, split="split of aaaa", metrics=METRICS,
        )
    ]  # fmt: skip
    assert access.metrics == METRICS and access.covers([run])


def test_the_record_is_on_disk_before_the_look(make_run: Maker) -> None:
    run = make_run()
    with seal_of(run).opened([run], reason=None) as access:
        (written,) = accesses_of(run)
        assert written.runs[0].run_id == "aaaa" and written.completed is None and written.metrics == {}
        assert not written.covers([run])
        access.record(run, METRICS)
        assert accesses_of(run)[0].metrics == METRICS


@pytest.mark.parametrize("second", ["aaaa", "bbbb"])
def test_a_second_access_is_refused_with_the_record(make_run: Maker, second: str) -> None:
    run = make_run()
    open_test_split(run)
    again = run if second == "aaaa" else make_run(second)
    with pytest.raises(SealedError) as caught:
        open_test_split(again)
    (access,) = accesses_of(run)
    for part in (access.opened, access.host, str(run.directory), "run aaaa", access.runs[0].checkpoint[:12],
                 "accuracy 0.750", "macro_f1 0.500", "n 8", 'seal.reason="..."'):  # fmt: skip
        assert part in str(caught.value)
    assert accesses_of(run) == [access]


def test_deleting_the_run_and_training_again_does_not_open_it(make_run: Maker) -> None:
    open_test_split(make_run())
    run = seal_of(make_run("other"))
    directory = run.path.parents[2] / "clip_final"
    shutil.rmtree(directory)
    with pytest.raises(SealedError, match="run aaaa"):
        open_test_split(make_run())


def test_a_reason_opens_it_again_and_both_looks_stay(make_run: Maker) -> None:
    first, second = make_run(), make_run("bbbb")
    open_test_split(first)
    open_test_split(second, reason="a label was wrong")
    assert [(access.runs[0].run_id, access.reason) for access in accesses_of(first)] == [
        ("aaaa", None), ("bbbb", "a label was wrong")
    ]  # fmt: skip
    with pytest.raises(SealedError, match=r"run aaaa[\s\S]*run bbbb.*reason: a label was wrong"):
        open_test_split(second)


@pytest.mark.parametrize("reason", ["", "   "])
def test_an_empty_reason_is_none(make_run: Maker, reason: str) -> None:
    run = make_run()
    open_test_split(run)
    with pytest.raises(SealedError):
        open_test_split(run, reason=reason)


def test_other_data_and_other_experiments_have_seals_of_their_own(make_run: Maker, tmp_path: Path) -> None:
    open_test_split(make_run())
    open_test_split(make_run("bbbb", content="e" * 32))
    assert Seal(tmp_path / "outputs" / "seals", "sentiment_text", "c" * 32).accesses() == []


@pytest.mark.parametrize(("weights", "opened"), [("w" * 32, True), ("v" * 32, False)])
def test_a_parent_is_known_by_what_it_is_under_another_name(make_run: Maker, weights: str, opened: bool) -> None:
    runs = []
    for name, path, of_parent in (("one_name", "a/0123abcd", "w" * 32), ("another_name", "b/copy", weights)):
        settings = f"model: {{width: 4}}\ninit_from: {path}\nparents: {{}}\n"
        run = make_run(name=name, settings=settings, test=["x", "y"])
        run.record.parents = {"init_from": {"run_id": "0123abcd", "weights": of_parent, "source": path}}
        run.record.write(run.directory)
        runs.append(run)
    open_test_split(runs[0])
    assert bool(seal_of(runs[1]).accesses()) is opened


def test_an_access_that_was_cut_off_is_finished_by_its_run_alone(make_run: Maker) -> None:
    run, other = make_run(), make_run("bbbb")
    with pytest.raises(RuntimeError), seal_of(run).opened([run], reason=None):
        raise RuntimeError("killed")
    with pytest.raises(SealedError, match=r"no numbers so far\n[\s\S]*was cut off; its command finishes it: "):
        open_test_split(other)
    open_test_split(run)
    assert [access.metrics for access in accesses_of(run)] == [METRICS]
    with pytest.raises(SealedError):
        open_test_split(run)


def test_other_weights_do_not_finish_a_look(make_run: Maker) -> None:
    run = make_run()
    with pytest.raises(RuntimeError), seal_of(run).opened([run], reason=None):
        raise RuntimeError("killed")
    run.best.write_bytes(b"trained again")
    with pytest.raises(SealedError):
        open_test_split(run)


def test_numbers_that_were_seen_before_a_crash_are_a_look(make_run: Maker) -> None:
    run = make_run()
    with pytest.raises(RuntimeError), seal_of(run).opened([run], reason=None) as access:
        access.record(run, METRICS)
        raise RuntimeError("an analysis failed")
    with pytest.raises(SealedError, match=r"accuracy 0\.750"):
        open_test_split(run)


def test_one_access_covers_all_members_of_a_set(make_run: Maker) -> None:
    runs = [make_run(run_id) for run_id in ("aaaa", "bbbb", "cccc")]
    with pytest.raises(RuntimeError), seal_of(runs[0]).opened(runs, reason=None) as access:
        access.record(runs[0], METRICS)
        raise RuntimeError("killed")
    assert not accesses_of(runs[1])[0].covers(runs[:1])
    with pytest.raises(SealedError, match="and 2 more: numbers of 1 of 3 runs so far"):
        open_test_split(runs[0])
    with seal_of(runs[0]).opened(runs, reason=None) as access:
        for run, accuracy in zip(runs, (0.5, 0.75, 1.0), strict=True):
            access.record(run, {"main": {"accuracy": accuracy, "auroc": None, "n": 8}})
    (seen,) = accesses_of(runs[2])
    assert seen.metrics == {"main": {"accuracy": 0.75, "auroc": None, "n": 8}}
    assert seen.covers(runs) and seen.covers(runs[1:2]) and not seen.covers([make_run("dddd")])
    assert "and 2 more" in str(seen)


def test_a_run_that_is_not_in_the_access_cannot_be_recorded(make_run: Maker) -> None:
    run, other = make_run(), make_run("bbbb")
    with seal_of(run).opened([run], reason=None) as access, pytest.raises(AssertionError, match="bbbb"):
        access.record(other, METRICS)


def test_the_folder_of_seals_goes_with_the_outputs_and_not_with_the_working_folder(
    make_run: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = make_run()
    config = run.directory / "config.yaml"
    config.write_text("name: clip_final\npaths: {outputs: outputs, seals: outputs/seals, run_dir: null}\n")
    relative = Run(Path("outputs/clip_final/aaaa"))
    open_test_split(relative)
    monkeypatch.chdir(tmp_path / "outputs" / "clip_final")
    with pytest.raises(SealedError):
        open_test_split(Run(Path("aaaa")))


def test_a_folder_of_seals_elsewhere_is_used_as_it_is(make_run: Maker, tmp_path: Path) -> None:
    run = make_run(seals=str(tmp_path / "office"))
    open_test_split(run)
    (file,) = (tmp_path / "office").rglob("*.json")
    raw = json.loads(file.read_text())
    assert (raw["name"], raw["content"], len(raw["looks"])) == ("clip_final", "c" * 32, 1)


def test_a_damaged_file_of_records_does_not_open_the_seal(make_run: Maker) -> None:
    run = make_run()
    open_test_split(run)
    seal_of(run).path.write_text('{"looks": [{"opened"')
    with pytest.raises(ValueError, match=r"c{32}\.json: not a file of test access records"):
        open_test_split(run)


def test_a_run_of_an_earlier_version_says_so(make_run: Maker, make_record: Callable[..., Record]) -> None:
    run = make_run()
    make_record(state=RunState.DONE, provenance=Provenance("d" * 32, {})).write(run.directory)
    with pytest.raises(ValueError, match="does not name the content of its data"):
        accesses_of(Run(run.directory))


_RACER = """
import sys, time
from pathlib import Path
from hallmark.runs.run import Run
from hallmark.runs.seal import SealedError, seal_of
run, gate = Run(Path(sys.argv[1])), Path(sys.argv[2])
print("ready", flush=True)
while not gate.exists():
    time.sleep(0.001)
try:
    with seal_of(run).opened([run], reason=None) as access:
        time.sleep(float(sys.argv[3]))
        access.record(run, {"main": {"accuracy": 0.5, "n": 8}})
except SealedError as error:
    print("refused", error)
else:
    print("looked")
"""


@pytest.mark.parametrize("pause", ["0", "0.5"])
def test_of_processes_that_open_the_split_at_once_exactly_one_wins(make_run: Maker, tmp_path: Path, pause: str) -> None:
    runs, gate = [make_run(run_id) for run_id in ("aaaa", "bbbb", "cccc")], tmp_path / "gate"
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", _RACER, str(run.directory), str(gate), pause], stdout=subprocess.PIPE, text=True
        )
        for run in runs
    ]
    for racer in racers:
        assert racer.stdout is not None and racer.stdout.readline() == "ready\n"
    gate.touch()
    ends = [racer.communicate(timeout=60)[0].split()[0] for racer in racers]
    assert sorted(ends) == ["looked", "refused", "refused"]
    (access,) = accesses_of(runs[0])
    assert access.runs[0].run_id == runs[ends.index("looked")].record.run_id  # type: ignore[union-attr]


def test_an_access_whose_process_was_killed_is_finished_by_its_run_alone(make_run: Maker, tmp_path: Path) -> None:
    run, other = make_run(), make_run("bbbb")
    gate = tmp_path / "gate"
    gate.touch()
    with subprocess.Popen([sys.executable, "-c", _RACER, str(run.directory), str(gate), "60"]) as racer:
        while not accesses_of(run):
            assert racer.poll() is None
            time.sleep(0.01)
        with pytest.raises(SealedError, match=r"is open in another process:\n  .*run aaaa"):
            open_test_split(run)
        racer.kill()
    with pytest.raises(SealedError, match="That access was cut off"):
        open_test_split(other)
    open_test_split(run)
    assert [access.metrics for access in accesses_of(run)] == [METRICS]


def test_a_record_reads_back_as_it_was_written(make_run: Maker) -> None:
    run = make_run()
    open_test_split(run, metrics={"main": {"accuracy": 1 / 3, "n": 3}, "text": {"score": None, "n": 0}})
    (access,) = accesses_of(run)
    assert isinstance(access, Access) and access.metrics["main"]["accuracy"] == 1 / 3
    assert "main accuracy 0.333, n 3; text n 0" in str(access)
