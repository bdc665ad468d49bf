"""A set of repeats on disk: its members, their pooled predictions, mean and spread."""

import shutil
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from hallmark.runs.predictions import read_predictions
from hallmark.runs.record import RunState
from hallmark.runs.repeats import RepeatRecord, RepeatSet, open_result
from hallmark.runs.run import Run
from hallmark.storage.files import read_json, write_json, write_parquet

ACCURACY, F1 = [0.5, 0.625, 0.875], [0.25, 0.5, 0.375]
SECONDS = [10.0, 20.0, 60.0]


def predictions(number: int) -> pd.DataFrame:
    table = pd.DataFrame({
        "id": ["1", "2"], "split": "val", "task": "main", "group": ["1", "2"], "target": ["a", "b"],
        "prediction": ["a", "a"], "confidence": [0.75, 0.5], "probabilities": [[0.75, 0.25], [0.5, 0.5]],
        "score": [0.5, number],
    })  # fmt: skip
    table.attrs = {"classes": {"main": ["a", "b"]}}
    return table


@pytest.fixture
def repeats(tmp_path, make_record):
    """A function from a number of finished members to the set of three that has them."""

    def repeats(done: int = 3, state: RunState = RunState.DONE) -> RepeatSet:
        members = []
        for number in range(3):
            directory = tmp_path / "outputs" / "try" / f"run{number}"
            members.append({"note": f"seed {number}", "repetition": number, "directory": f"../run{number}"})
            if number >= done:
                continue
            make_record(state=RunState.DONE, run_id=f"run{number}", wall_seconds=SECONDS[number]).write(directory)
            main = {"n": 2, "accuracy": ACCURACY[number], "macro_f1": F1[number], "auroc": None}
            write_json(directory / "metrics.json", {"val": {"main": main, "image": {"accuracy": 0.5}}})
            write_parquet(directory / "predictions" / "val.parquet", predictions(number))
        record = RepeatRecord(
            "try", "set00000", "seeds:3", state, "val/macro_f1", "max", "val/accuracy", ["python", "train.py"], members
        )
        return RepeatSet.create(tmp_path / "outputs" / "try" / "set00000", record)

    return repeats


def test_it_is_what_its_file_says(repeats):
    repeat_set = RepeatSet(repeats().directory)
    record = repeat_set.record
    assert (record.name, record.set_id, record.repeat, record.state) == ("try", "set00000", "seeds:3", RunState.DONE)
    assert [(member.note, member.repetition) for member in repeat_set.members] == [(f"seed {n}", n) for n in range(3)]
    assert [member.run.directory.name for member in repeat_set.members] == ["run0", "run1", "run2"]
    assert read_json(repeat_set.directory / "repeats.json") == asdict(record)


def test_the_table_has_a_row_for_each_run_then_mean_and_std(repeats):
    repeat_set = repeats()
    table = repeat_set.table()
    assert list(table) == ["run", "note", "val/macro_f1", "val/accuracy", "seconds", "checkpoint"]
    assert table["run"].tolist() == ["run0", "run1", "run2", "mean", "std"]
    assert table["note"].tolist()[:3] == ["seed 0", "seed 1", "seed 2"]
    for name, values in {"val/macro_f1": F1, "val/accuracy": ACCURACY, "seconds": SECONDS}.items():
        expected = [*values, np.mean(values), np.std(values, ddof=1)]
        assert table[name].tolist() == pytest.approx(expected)
    assert table["checkpoint"][1].endswith("run1/checkpoints/best.ckpt")


def test_metrics_are_mean_std_and_number_of_each(repeats):
    metrics = repeats().metrics()
    assert metrics["val"]["main"] == {
        "accuracy": {"mean": np.mean(ACCURACY), "std": pytest.approx(np.std(ACCURACY, ddof=1)), "n": 3},
        "macro_f1": {"mean": np.mean(F1), "std": pytest.approx(np.std(F1, ddof=1)), "n": 3},
    }
    assert metrics["val"]["image"] == {"accuracy": {"mean": 0.5, "std": 0.0, "n": 3}}


def test_only_finished_members_count_and_one_has_no_spread(repeats):
    two = repeats(2, RunState.RUNNING)
    assert two.table()["run"].tolist() == ["run0", "run1", "mean", "std"]
    assert two.metrics()["val"]["main"]["accuracy"]["n"] == 2
    shutil.rmtree(two.members[1].run.directory)
    single = RepeatSet(two.directory)
    assert single.metrics()["val"]["main"]["macro_f1"] == {"mean": 0.25, "std": None, "n": 1}
    assert np.isnan(single.table()["val/macro_f1"].iloc[-1])


def test_the_summary_on_disk_is_what_the_members_hold_now(repeats):
    repeat_set = repeats()
    repeat_set.write_summary()
    assert read_json(repeat_set.directory / "metrics.json") == repeat_set.metrics()
    pd.testing.assert_frame_equal(pd.read_csv(repeat_set.directory / "runs.csv"), repeat_set.table())


def test_pooled_predictions_say_which_repeat_a_row_is_of(repeats):
    repeat_set = repeats()
    pooled = repeat_set.predictions("val")
    assert pooled["id"].tolist() == [f"{row}@seed {n}" for n in range(3) for row in (1, 2)]
    assert pooled["repetition"].tolist() == [0, 0, 1, 1, 2, 2]
    assert pooled["member"].tolist() == [0, 0, 1, 1, 2, 2]
    assert pooled["score"].tolist() == [0.5, 0, 0.5, 1, 0.5, 2]
    assert pooled.attrs == read_predictions(repeat_set.members[0].run.directory / "predictions" / "val.parquet").attrs


def test_a_moved_outputs_folder_opens_with_its_members(repeats, tmp_path):
    repeat_set = repeats()
    expected = repeat_set.metrics()
    shutil.move(tmp_path / "outputs", tmp_path / "archive")
    moved = RepeatSet(tmp_path / "archive" / "try" / "set00000")
    assert moved.metrics() == expected
    assert len(moved.predictions("val")) == 6
    assert all(tmp_path / "archive" in member.run.directory.parents for member in moved.members)


def test_it_becomes_and_stays_what_it_was_said_to_be(repeats):
    repeat_set = repeats(state=RunState.RUNNING)
    repeat_set.set_state(RunState.FAILED)
    assert RepeatSet(repeat_set.directory).record.state is RunState.FAILED


def test_a_folder_that_holds_none_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"not a set of repeats; it has no repeats\.json"):
        RepeatSet(tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", '{"name": "try"}', '{"state": "halfway"}'])
def test_a_file_of_another_version_is_refused(tmp_path, content):
    (tmp_path / "repeats.json").write_text(content)
    with pytest.raises(ValueError, match=r"repeats\.json: not of this version"):
        RepeatSet(tmp_path)


def test_a_result_is_a_set_by_its_own_path_or_alone_in_its_experiment(repeats):
    repeat_set = repeats()
    for path in (repeat_set.directory, str(repeat_set.directory), repeat_set.directory.parent):
        result = open_result(path)
        assert isinstance(result, RepeatSet) and result.directory == repeat_set.directory


def test_a_result_is_a_run_by_its_own_path_or_alone_in_its_experiment(repeats, tmp_path, make_record):
    repeat_set = repeats()
    result = open_result(repeat_set.members[0].run.directory)
    assert isinstance(result, Run) and result.directory == repeat_set.members[0].run.directory
    make_record(state=RunState.DONE).write(tmp_path / "alone" / "0123abcd")
    assert open_result(tmp_path / "alone").directory.name == "0123abcd"


@pytest.mark.parametrize("state", [RunState.RUNNING, RunState.INTERRUPTED, RunState.FAILED])
def test_an_unfinished_set_is_refused_with_the_command_to_repeat(repeats, state):
    repeat_set = repeats(2, state)
    with pytest.raises(ValueError, match=f"the set is {state}; repeat its command: python train.py"):
        open_result(repeat_set.directory)


def test_several_sets_in_an_experiment_are_not_guessed_among(repeats):
    repeat_set = repeats()
    shutil.copytree(repeat_set.directory, repeat_set.directory.parent / "set11111")
    with pytest.raises(ValueError, match="give one finished"):
        open_result(repeat_set.directory.parent)
