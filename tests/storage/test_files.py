import json
import math
import multiprocessing
import os
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hallmark.storage.files import (
    atomic_path,
    read_json,
    remove_stale,
    temporary_folder,
    write_csv,
    write_json,
    write_parquet,
    write_text,
)


def test_an_exception_leaves_the_old_file_and_no_temporary(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    write_text(path, "old")
    with pytest.raises(RuntimeError), atomic_path(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_appears_only_at_the_end_under_its_suffix(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "figure.png"
    with atomic_path(path) as temporary:
        assert temporary.suffix == ".png" and temporary.parent == path.parent
        temporary.write_bytes(b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    assert list(path.parent.iterdir()) == [path]


def test_a_block_that_writes_nothing_is_an_error_and_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "kept.txt"
    write_text(path, "old")
    with pytest.raises(FileNotFoundError), atomic_path(path):
        pass
    assert path.read_text() == "old"


def test_two_writers_of_one_file_do_not_share_a_temporary(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with atomic_path(path) as first, atomic_path(path) as second:
        assert first != second
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first"


def write_and_die(path: Path) -> None:
    with atomic_path(path) as temporary:
        temporary.write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)


def fill_and_die(path: Path) -> None:
    with temporary_folder(path) as temporary:
        (temporary / "half.txt").write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("die", [write_and_die, fill_and_die])
def test_what_a_killed_writer_left_goes_with_the_next_write_and_what_a_living_one_writes_stays(tmp_path, die) -> None:
    process = multiprocessing.get_context("fork").Process(target=die, args=(tmp_path / "a.npy",))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    (left,) = tmp_path.iterdir()
    with atomic_path(tmp_path / "b.txt") as living:
        living.write_text("b")
        remove_stale(tmp_path.iterdir())
        assert living.exists() and not left.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["b.txt"]


def test_the_first_write_into_a_folder_removes_what_is_stale_and_nothing_else(tmp_path: Path) -> None:
    stale, others = tmp_path / ".best.tmp0123abcd.ckpt", [tmp_path / name for name in (".lock", ".x.tmp.csv", "c.tmp")]
    for path in (stale, *others):
        path.touch()
    write_text(tmp_path / "a.txt", "a")
    assert sorted(tmp_path.iterdir()) == sorted([*others, tmp_path / "a.txt"])


def test_a_name_as_long_as_the_file_system_takes_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / ("ä" * 125 + ".txt")
    write_text(path, "a")
    assert path.read_text() == "a"


def test_json_is_strict(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"f1": math.nan, "rows": [np.float64("inf"), (1.5, -math.inf)], 3: "ä"})
    assert "ä" in path.read_text(encoding="utf-8")

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    assert json.loads(path.read_text(), parse_constant=refuse) == {"f1": None, "rows": [None, [1.5, None]], "3": "ä"}


leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)


@given(values)
def test_json_round_trip(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    path = tmp_path_factory.getbasetemp() / "round_trip.json"
    write_json(path, value)
    assert read_json(path) == value


def test_tables_round_trip(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": ["a", "b,\n"], "x": [0.1, math.nan]})
    write_csv(tmp_path / "t.csv", frame)
    write_parquet(tmp_path / "t.parquet", frame)
    assert b"\r" not in (tmp_path / "t.csv").read_bytes()
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "t.csv"), frame)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "t.parquet"), frame)
