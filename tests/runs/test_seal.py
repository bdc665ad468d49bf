import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.runs.looking import METRICS, Maker, look_at

from hallmark.runs.record import Provenance, Record, RunState
from hallmark.runs.run import Run
from hallmark.runs.seal import Look, Seal, SealedError, Subject, receipts_of, seal_of
from hallmark.storage.hashing import digest_file


def test_a_look_leaves_a_receipt_with_what_was_looked_at(make_run: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["evaluate.py", "run=a b", "split=test"])
    run = make_run()
    assert receipts_of(run) == []
    look_at(run)
    (look,) = receipts_of(run)
    assert look.command == "evaluate.py 'run=a b' split=test"
    assert look.reason is None and look.host and look.completed is not None and look.opened <= look.completed
    assert look.runs == [
        Subject(
            str(run.directory), "aaaa", checkpoint=digest_file(run.best),
            config=digest_file(run.directory / "config.yaml"), data="d" * 32, split="split of aaaa", metrics=METRICS,
        )
    ]  # fmt: skip
    assert look.metrics == METRICS and look.covers([run])


def test_the_receipt_is_on_disk_before_the_look(make_run: Maker) -> None:
    run = make_run()
    with seal_of(run).opened([run], reason=None) as look:
        (written,) = receipts_of(run)
        assert written.runs[0].run_id == "aaaa" and written.completed is None and written.metrics == {}
        assert not written.covers([run])
        look.record(run, METRICS)
        assert receipts_of(run)[0].metrics == METRICS


@pytest.mark.parametrize("second", ["aaaa", "bbbb"])
def test_a_second_look_is_refused_with_the_receipt(make_run: Maker, second: str) -> None:
    run = make_run()
    look_at(run)
    again = run if second == "aaaa" else make_run(second)
    with pytest.raises(SealedError) as caught:
        look_at(again)
    (look,) = receipts_of(run)
    for part in (look.opened, look.host, str(run.directory), "run aaaa", look.runs[0].checkpoint[:12],
                 "accuracy 0.750", "macro_f1 0.500", "n 8", 'seal.reason="..."'):  # fmt: skip
        assert part in str(caught.value)
    assert receipts_of(run) == [look]


def test_deleting_the_run_and_training_again_does_not_open_it(make_run: Maker) -> None:
    look_at(make_run())
    run = seal_of(make_run("other"))
    directory = run.path.parents[2] / "clip_final"
    shutil.rmtree(directory)
    with pytest.raises(SealedError, match="run aaaa"):
        look_at(make_run())


def test_a_reason_opens_it_again_and_both_looks_stay(make_run: Maker) -> None:
    first, second = make_run(), make_run("bbbb")
    look_at(first)
    look_at(second, reason="a label was wrong")
    assert [(look.runs[0].run_id, look.reason) for look in receipts_of(first)] == [
        ("aaaa", None), ("bbbb", "a label was wrong")
    ]  # fmt: skip
    with pytest.raises(SealedError, match=r"run aaaa[\s\S]*run bbbb.*reason: a label was wrong"):
        look_at(second)


@pytest.mark.parametrize("reason", ["", "   "])
def test_an_empty_reason_is_none(make_run: Maker, reason: str) -> None:
    run = make_run()
    look_at(run)
    with pytest.raises(SealedError):
        look_at(run, reason=reason)


def test_other_data_and_other_experiments_have_seals_of_their_own(make_run: Maker, tmp_path: Path) -> None:
    look_at(make_run())
    look_at(make_run("bbbb", content="e" * 32))
    assert Seal(tmp_path / "outputs" / "seals", "sentiment_text", "c" * 32).looks() == []


def test_a_look_that_was_cut_off_is_finished_by_its_run_alone(make_run: Maker) -> None:
    run, other = make_run(), make_run("bbbb")
    with pytest.raises(RuntimeError), seal_of(run).opened([run], reason=None):
        raise RuntimeError("killed")
    with pytest.raises(SealedError, match=r"no numbers so far\n[\s\S]*was cut off; its command finishes it: "):
        look_at(other)
    look_at(run)
    assert [look.metrics for look in receipts_of(run)] == [METRICS]
    with pytest.raises(SealedError):
        look_at(run)


def test_other_weights_do_not_finish_a_look(make_run: Maker) -> None:
    run = make_run()
    with pytest.raises(RuntimeError), seal_of(run).opened([run], reason=None):
        raise RuntimeError("killed")
    run.best.write_bytes(b"trained again")
    with pytest.raises(SealedError):
        look_at(run)


def test_numbers_that_were_seen_before_a_crash_are_a_look(make_run: Maker) -> None:
    run = make_run()
    with pytest.raises(RuntimeError), seal_of(run).opened([run], reason=None) as look:
        look.record(run, METRICS)
        raise RuntimeError("an analysis failed")
    with pytest.raises(SealedError, match=r"accuracy 0\.750"):
        look_at(run)


def test_one_look_covers_all_members_of_a_set(make_run: Maker) -> None:
    runs = [make_run(run_id) for run_id in ("aaaa", "bbbb", "cccc")]
    with pytest.raises(RuntimeError), seal_of(runs[0]).opened(runs, reason=None) as look:
        look.record(runs[0], METRICS)
        raise RuntimeError("killed")
    assert not receipts_of(runs[1])[0].covers(runs[:1])
    with pytest.raises(SealedError, match="and 2 more: numbers of 1 of 3 runs so far"):
        look_at(runs[0])
    with seal_of(runs[0]).opened(runs, reason=None) as look:
        for run, accuracy in zip(runs, (0.5, 0.75, 1.0), strict=True):
            look.record(run, {"main": {"accuracy": accuracy, "auroc": None, "n": 8}})
    (seen,) = receipts_of(runs[2])
    assert seen.metrics == {"main": {"accuracy": 0.75, "auroc": None, "n": 8}}
    assert seen.covers(runs) and seen.covers(runs[1:2]) and not seen.covers([make_run("dddd")])
    assert "and 2 more" in str(seen)


def test_a_run_that_is_not_in_the_look_cannot_be_recorded(make_run: Maker) -> None:
    run, other = make_run(), make_run("bbbb")
    with seal_of(run).opened([run], reason=None) as look, pytest.raises(AssertionError, match="bbbb"):
        look.record(other, METRICS)


def test_the_folder_of_seals_goes_with_the_outputs_and_not_with_the_working_folder(
    make_run: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = make_run()
    config = run.directory / "config.yaml"
    config.write_text("name: clip_final\npaths: {outputs: outputs, seals: outputs/seals, run_dir: null}\n")
    relative = Run(Path("outputs/clip_final/aaaa"))
    look_at(relative)
    monkeypatch.chdir(tmp_path / "outputs" / "clip_final")
    with pytest.raises(SealedError):
        look_at(Run(Path("aaaa")))


def test_a_folder_of_seals_elsewhere_is_used_as_it_is(make_run: Maker, tmp_path: Path) -> None:
    run = make_run(seals=str(tmp_path / "office"))
    look_at(run)
    (file,) = (tmp_path / "office").rglob("*.json")
    raw = json.loads(file.read_text())
    assert (raw["name"], raw["content"], len(raw["looks"])) == ("clip_final", "c" * 32, 1)


def test_a_damaged_file_of_receipts_does_not_open_the_seal(make_run: Maker) -> None:
    run = make_run()
    look_at(run)
    seal_of(run).path.write_text('{"looks": [{"opened"')
    with pytest.raises(ValueError, match=r"c{32}\.json: not a file of test receipts"):
        look_at(run)


def test_a_run_of_an_earlier_version_says_so(make_run: Maker, make_record: Callable[..., Record]) -> None:
    run = make_run()
    make_record(state=RunState.DONE, provenance=Provenance("d" * 32, {})).write(run.directory)
    with pytest.raises(ValueError, match="does not name the content of its data"):
        receipts_of(Run(run.directory))


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
    with seal_of(run).opened([run], reason=None) as look:
        time.sleep(float(sys.argv[3]))
        look.record(run, {"main": {"accuracy": 0.5, "n": 8}})
except SealedError as error:
    print("refused", error)
else:
    print("looked")
"""


@pytest.mark.parametrize("pause", ["0", "0.5"])
def test_of_processes_that_look_at_once_exactly_one_wins(make_run: Maker, tmp_path: Path, pause: str) -> None:
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
    (look,) = receipts_of(runs[0])
    assert look.runs[0].run_id == runs[ends.index("looked")].record.run_id  # type: ignore[union-attr]


def test_a_look_whose_process_was_killed_is_finished_by_its_run_alone(make_run: Maker, tmp_path: Path) -> None:
    run, other = make_run(), make_run("bbbb")
    gate = tmp_path / "gate"
    gate.touch()
    with subprocess.Popen([sys.executable, "-c", _RACER, str(run.directory), str(gate), "60"]) as racer:
        while not receipts_of(run):
            assert racer.poll() is None
            time.sleep(0.01)
        with pytest.raises(SealedError, match=r"is open in another process:\n  .*run aaaa"):
            look_at(run)
        racer.kill()
    with pytest.raises(SealedError, match="That look was cut off"):
        look_at(other)
    look_at(run)
    assert [look.metrics for look in receipts_of(run)] == [METRICS]


def test_a_receipt_reads_back_as_it_was_written(make_run: Maker) -> None:
    run = make_run()
    look_at(run, metrics={"main": {"accuracy": 1 / 3, "n": 3}, "text": {"score": None, "n": 0}})
    (look,) = receipts_of(run)
    assert isinstance(look, Look) and look.metrics["main"]["accuracy"] == 1 / 3
    assert "main accuracy 0.333, n 3; text n 0" in str(look)
