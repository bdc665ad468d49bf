"""Ways round the seal that happen by themselves: copies, moves, other folders, other names, another policy."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.runs.accessing import METRICS, Maker, open_test_split

from hallmark.runs.access_folders import absolute_folder
from hallmark.runs.run import Run
from hallmark.runs.seal import SealedError, accesses_of, seal_of

ROWS = [f"row {number}" for number in range(100)]


@pytest.fixture
def run(make_run: Maker) -> Run:
    """A run on twenty test rows and eighty others."""
    return make_run(test=ROWS[:20], train=ROWS[20:])


@pytest.fixture
def again(make_run: Maker) -> Run:
    """Another run of that experiment on those rows."""
    return make_run("bbbb", test=ROWS[:20], train=ROWS[20:])


def refused(run: Run) -> list[str]:
    """That an access to `run` is a second one; gives the runs that were looked at before."""
    with pytest.raises(SealedError):
        open_test_split(run)
    return [access.runs[0].run_id for access in accesses_of(run)]


def test_another_policy_for_one_row_does_not_open_a_quarter_of_the_test_rows_again(make_run: Maker, run: Run) -> None:
    open_test_split(run)
    mixed = [*ROWS[15:20], *ROWS[80:95]]  # a quarter was seen; one row is kept that was skipped before
    changed = make_run("bbbb", content="e" * 32, test=mixed, train=["kept now"])
    with pytest.raises(SealedError, match=r"of its 20 different test rows 5 \(25\.0%\) were test rows"):
        open_test_split(changed)
    assert [access.runs[0].run_id for access in accesses_of(changed)] == ["aaaa"]
    open_test_split(changed, reason="a bad row")
    assert [access.reason for access in accesses_of(changed)] == [None, "a bad row"]
    assert [access.runs[0].run_id for access in accesses_of(run)] == ["aaaa", "bbbb"]


def test_another_policy_and_another_fold_do_not_open_the_data_again(make_run: Maker, run: Run) -> None:
    open_test_split(run)
    fold = make_run("bbbb", content="e" * 32, test=ROWS[20:40], train=[*ROWS[:20], *ROWS[40:99]])
    assert refused(fold) == ["aaaa"]


def test_new_rows_have_an_access_of_their_own(make_run: Maker, run: Run) -> None:
    open_test_split(run)
    new = [f"new {number}" for number in range(80)]
    grown = make_run("bbbb", content="e" * 32, test=[*new, *ROWS[:4]], train=ROWS[4:])
    open_test_split(grown)
    assert [access.runs[0].run_id for access in accesses_of(grown)] == ["bbbb"]


def test_the_rows_of_all_members_of_a_set_count(make_run: Maker, run: Run) -> None:
    folds = [make_run(f"f{fold}", content="e" * 32, test=[f"{fold} {row}" for row in range(10)]) for fold in range(2)]
    open_test_split(*folds)
    later = make_run("bbbb", content="f" * 32, test=[f"1 {row}" for row in range(10)])
    assert refused(later) == ["f0"]


@pytest.mark.parametrize("place", ["elsewhere/clip_final", "outputs/old/clip_final", "outputs/clip_final/old"])
@pytest.mark.parametrize("looked", ["its own copy", "another run that was copied", "another run that was not copied"])
@pytest.mark.parametrize("version", ["now", "before rows were stored"])
def test_a_copied_experiment_is_sealed(make_run: Maker, tmp_path: Path, place: str, looked: str, version: str) -> None:
    run, again = (make_run(run_id, test=ROWS[:20] if version == "now" else None) for run_id in ("aaaa", "bbbb"))
    open_test_split(run)
    target = tmp_path / place
    if looked == "another run that was not copied":
        shutil.copytree(again.directory, target / "bbbb")
    else:
        for source in (run, again):
            shutil.copytree(source.directory, target / source.directory.name)
    copied = Run(target / ("aaaa" if looked == "its own copy" else "bbbb"))
    assert refused(copied) == ["aaaa"]


@pytest.mark.parametrize("looked", ["aaaa", "bbbb"])
def test_a_copy_is_sealed_without_the_folder_that_it_was_made_under(
    run: Run, again: Run, tmp_path: Path, looked: str
) -> None:
    open_test_split(run)
    shutil.move(tmp_path / "outputs" / "clip_final", tmp_path / "mail" / "clip_final")
    shutil.rmtree(tmp_path / "outputs")
    assert refused(Run(tmp_path / "mail" / "clip_final" / looked)) == ["aaaa"]


def test_an_access_to_a_copy_is_known_where_the_run_was_made(run: Run, again: Run, tmp_path: Path) -> None:
    shutil.copytree(run.directory.parent, tmp_path / "elsewhere" / "clip_final")
    open_test_split(Run(tmp_path / "elsewhere" / "clip_final" / "aaaa"))
    assert refused(again) == ["aaaa"]
    assert [access.metrics for access in accesses_of(again)] == [METRICS]


def test_an_access_that_was_cut_off_goes_on_from_a_copy(run: Run, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), seal_of(run).opened([run], reason=None):
        raise RuntimeError("killed")
    copied = Run(Path(shutil.copytree(run.directory, tmp_path / "elsewhere" / "clip_final" / "aaaa")))
    open_test_split(copied)
    assert [access.metrics for access in accesses_of(run)] == [METRICS]


def test_a_run_made_again_keeps_the_records_that_it_carries(run: Run, tmp_path: Path, make_run: Maker) -> None:
    open_test_split(run)
    run.clear()
    shutil.rmtree(tmp_path / "outputs" / "seals")
    assert [path.name for path in run.directory.iterdir()] == ["looks.json"]
    assert refused(make_run("bbbb", test=ROWS[:20])) == ["aaaa"]


@pytest.mark.parametrize("seals", ["office", "outputs/office"])
def test_a_relative_folder_of_seals_is_one_folder_from_any_working_folder(
    make_run: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seals: str
) -> None:
    monkeypatch.setenv("HALLMARK_SEALS", seals)
    first, second = (make_run(run_id, seals=seals, test=ROWS[:20]) for run_id in ("aaaa", "bbbb"))
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path / "one")
    open_test_split(first)
    assert (tmp_path / seals / "clip_final" / f"{'c' * 32}.json").exists()
    shutil.rmtree(first.directory)
    monkeypatch.chdir(tmp_path / "two")
    assert refused(second) == ["aaaa"]
    assert not (tmp_path / "two" / "office").exists()


def test_a_relative_folder_that_an_earlier_version_took_from_the_working_folder_counts(
    make_run: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_test_split(run := make_run())
    (tmp_path / "work").mkdir()
    shutil.move(tmp_path / "outputs" / "seals", tmp_path / "work" / "office")
    shutil.rmtree(run.directory)
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("HALLMARK_SEALS", "office")
    assert refused(make_run("bbbb")) == ["aaaa"]


@pytest.mark.parametrize("version", ["now", "before rows were stored"])
def test_the_variable_is_heard_whatever_the_run_was_made_under(
    make_run: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    test = ROWS[:20] if version == "now" else None
    monkeypatch.setenv("HALLMARK_SEALS", str(tmp_path / "office"))
    open_test_split(run := make_run(test=test))
    shutil.rmtree(tmp_path / "outputs" / "seals")
    shutil.rmtree(run.directory)
    assert refused(make_run("bbbb", test=test)) == ["aaaa"]


def test_receipts_of_an_earlier_version_count(make_run: Maker, tmp_path: Path) -> None:
    run = make_run()
    open_test_split(run)
    (file,) = (tmp_path / "outputs" / "seals").rglob("*.json")
    raw = json.loads(file.read_text())
    new = ("id", "name", "recipe", "content", "test_rows", "other_rows")
    file.write_text(json.dumps({**raw, "looks": [
        {key: value for key, value in access.items() if key not in new} for access in raw["looks"]
    ]}))  # fmt: skip
    (run.directory / "looks.json").unlink()
    assert refused(make_run("bbbb", test=ROWS[:20])) == ["aaaa"]
    assert refused(run) == ["aaaa"]
    open_test_split(run, reason="once more")
    assert [access.reason for access in accesses_of(run)] == [None, "once more"]


@pytest.mark.parametrize(
    ("settings", "sealed"), [("model: {width: 8}\n", True), ("model: {width: 16}\n", False)], ids=["same", "tuned"]
)
def test_a_copy_of_an_experiment_under_another_name_is_sealed(make_run: Maker, settings: str, sealed: bool) -> None:
    open_test_split(
        make_run(test=ROWS[:20], settings="seed: 1\nmodel: {width: 8}\ndata: {folder: a, split: {seed: 1}}\n")
    )
    data = "seed: 2\ndata: {folder: b, split: {seed: 9}}\n"
    renamed = make_run("bbbb", name="mine/final", test=ROWS[:20], settings=settings + data)
    if sealed:
        assert refused(renamed) == ["aaaa"]
    else:
        open_test_split(renamed)
        assert [access.runs[0].run_id for access in accesses_of(renamed)] == ["bbbb"]


def test_a_process_that_is_killed_between_two_records_is_gone_on_with(run: Run, again: Run) -> None:
    seal = seal_of(run)
    with seal.opened([run], reason=None) as access:
        begun = seal.path.read_bytes()
        access.record(run, METRICS)
    seal.path.unlink()  # killed before the first one was written there
    assert refused(again) == ["aaaa"]
    seal.path.write_bytes(begun)  # killed before the last one was
    assert refused(again) == ["aaaa"]
    open_test_split(run)
    assert [access.metrics for access in accesses_of(run)] == [METRICS]
    assert refused(run) == ["aaaa"]


def test_a_damaged_copy_does_not_open_the_seal(run: Run, again: Run) -> None:
    open_test_split(run)
    (run.directory / "looks.json").write_text('{"looks": [{"opened"')
    with pytest.raises(ValueError, match=r"looks\.json: not a file of test access records"):
        open_test_split(again)


def test_a_foreign_folder_called_seals_is_let_be(run: Run, tmp_path: Path) -> None:
    (tmp_path / "seals" / "animals").mkdir(parents=True)
    (tmp_path / "seals" / "animals" / "grey.json").write_text("[1, 2]")
    open_test_split(run)
    assert len(accesses_of(run)) == 1


@pytest.mark.parametrize(
    ("outputs", "seals", "expected"),
    [
        ("outputs", "outputs/seals", "work/outputs/seals"),
        ("outputs", None, "work/outputs/seals"),
        ("outputs", "office", "work/office"),
        ("/data/outputs", "office", "/data/office"),
        ("/data/outputs", "/data/outputs/deep/seals", "/data/outputs/deep/seals"),
        ("outputs", "/office", "/office"),
        ("../outputs", "../outputs/seals", "outputs/seals"),
    ],
)
def test_the_folder_of_seals_is_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outputs: str, seals: str | None, expected: str
) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    folder = absolute_folder(Path(outputs), seals)
    assert folder.is_absolute()
    assert Path(os.path.normpath(folder)) == tmp_path / expected


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
        time.sleep(0.3)
        access.record(run, {"main": {"accuracy": 0.5, "n": 8}})
except SealedError as error:
    print("refused", error)
else:
    print("looked")
"""


def test_of_processes_at_different_data_with_the_same_rows_exactly_one_wins(make_run: Maker, tmp_path: Path) -> None:
    runs = [make_run(run_id, content=run_id * 8, test=[*ROWS[:20], run_id]) for run_id in ("aaaa", "bbbb", "cccc")]
    shutil.copytree(runs[2].directory, tmp_path / "elsewhere" / "clip_final" / "cccc")
    directories = [*(run.directory for run in runs[:2]), tmp_path / "elsewhere" / "clip_final" / "cccc"]
    gate = tmp_path / "gate"
    racers = [
        subprocess.Popen([sys.executable, "-c", _RACER, str(directory), str(gate)], stdout=subprocess.PIPE, text=True)
        for directory in directories
    ]
    for racer in racers:
        assert racer.stdout is not None and racer.stdout.readline() == "ready\n"
    gate.touch()
    printed = [racer.communicate(timeout=60)[0] for racer in racers]
    ends = [text.split()[0] for text in printed]
    assert sorted(ends) == ["looked", "refused", "refused"], printed
    (access,) = accesses_of(runs[0])
    assert access.runs[0].run_id == ("aaaa", "bbbb", "cccc")[ends.index("looked")]
