"""Splits from a file, by the ids of the rows."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.data.splits.table import rows

from hallmark.checks import SettingError
from hallmark.data.splits import FromFile, Holdout, InnerFold
from hallmark.storage.files import write_csv


def written(folder: Path, table: pd.DataFrame) -> FromFile:
    table.to_csv(folder / "splits.csv", index=False)
    return FromFile(str(folder / "splits.csv"))


def test_a_split_file_round_trips_in_any_order(tmp_path: Path) -> None:
    samples = rows(n=60).replace({"id": {"r0": "NA", "r1": "007"}})
    names = Holdout(0.2, 0.2, 0, calibration=0.1, meta=0.1).assign(samples)
    plan = written(tmp_path, samples.assign(split=names).sample(frac=1, random_state=0))
    np.testing.assert_array_equal(plan.assign(samples), names)


def test_a_split_file_whose_ids_a_spreadsheet_would_execute_round_trips(tmp_path: Path) -> None:
    table = rows(n=4).assign(id=["=1", "@user", "-1", "'+x"])
    write_csv(tmp_path / "splits.csv", table[["id"]].assign(split=["train", "val", "test", "train"]))
    assert "'@user," in (tmp_path / "splits.csv").read_text()
    assert FromFile(str(tmp_path / "splits.csv")).assign(table).tolist() == ["train", "val", "test", "train"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda table: table.drop(columns="split"), "columns id and split; found id"),
        (lambda table: table.iloc[2:], r"a split for every row; 2 lack one, e\.g\. \['a', 'b'\]"),
        (lambda table: table.assign(split=["train", "", "val", "test"]), "splits among .*found"),
        (lambda table: table.assign(split=["train", "tset", "val", "test"]), "splits among .*found.*tset"),
        (lambda table: pd.concat([table, table.iloc[:1]]), "each id once; found .*'a'"),
    ],
)
def test_a_split_file_that_is_not_right_is_named(tmp_path: Path, spoil, message: str) -> None:
    table = pd.DataFrame({"id": list("abcd"), "split": ["train", "train", "val", "test"]})
    samples = table.assign(group=table["id"], target="x")
    with pytest.raises(SettingError, match=f"path=.*splits.csv.*{message}"):
        written(tmp_path, spoil(table)).assign(samples)


def test_a_plan_names_the_files_that_it_reads(tmp_path: Path) -> None:
    plan = FromFile(str(tmp_path / "splits.csv"))
    assert InnerFold(plan, 3, 0, 0).files() == plan.files() == [tmp_path / "splits.csv"]
    assert Holdout(0.1, 0.1, 0).files() == []


def test_a_missing_split_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="an existing CSV file"):
        FromFile(str(tmp_path / "none.csv")).assign(rows(n=4))
