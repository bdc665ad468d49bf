"""Files of signals and frames: formats, gaps, and what is wrong with those that cannot be used."""

import gzip
import os
from io import BytesIO

import numpy as np
import pandas as pd
import pytest

from hallmark.systems.touch import signals
from hallmark.systems.touch.signals import FileError, read_frames, read_signals


def table(samples: int = 8, rate: float = 4.0) -> pd.DataFrame:
    numbers = np.arange(samples)
    return pd.DataFrame({"t": 1000 + numbers / rate, "x": numbers + 0.5, "y": -numbers / 4, "label": "a"})


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.parquet"])
def test_tables_by_column(table_file, name):
    read = read_signals(table_file(name, table()), ["y", "x"], None)
    assert (read.clock.rate, read.missing, read.clock.starts.tolist(), read.clock.seconds.tolist()) == (
        4.0,
        [],
        [0],
        [0.0],
    )
    assert read.values.dtype == np.float32
    assert read.values.tolist() == [[-i / 4, i + 0.5] for i in range(8)]


def test_npz_by_channel(tmp_path):
    values = np.arange(6.0).reshape(3, 2)
    np.savez(tmp_path / "a.npz", signals=values, channels=np.array(["x", "y"]), rate=8)
    read = read_signals(tmp_path / "a.npz", ["y"], None)
    assert (read.clock.rate, read.values.tolist()) == (8.0, [[1], [3], [5]])


def test_a_channel_that_lacks_and_values_that_were_not_measured_are_nan(table_file):
    holes = table()
    holes.loc[2, "x"] = np.nan
    holes.loc[3, "x"] = np.inf
    read = read_signals(table_file("a.csv", holes), ["x", "z"], None)
    assert read.missing == ["z"]
    assert np.isnan(read.values[:, 1]).all()
    assert np.flatnonzero(np.isnan(read.values[:, 0])).tolist() == [2, 3]


def test_a_jump_in_time_starts_a_stretch(table_file):
    read = read_signals(table_file("a.csv", table(12).drop(index=[4, 8, 9])), ["x"], None)
    assert read.clock.starts.tolist() == [0, 4, 7]
    assert read.clock.seconds.tolist() == [0, 1.25, 2.5]
    jitter = table(12)
    jitter.loc[5, "t"] += 0.1
    assert read_signals(table_file("b.csv", jitter), ["x"], None).clock.starts.tolist() == [0]


def test_files_without_time_take_the_given_rate(table_file, tmp_path):
    bare = table_file("a.csv", table().drop(columns="t"))
    assert read_signals(bare, ["x"], 16.0).clock.rate == 16.0
    with pytest.raises(FileError, match=r"a\.csv: expected a column t in seconds, or else a rate: give data\.rate"):
        read_signals(bare, ["x"], None)
    assert read_signals(table_file("b.csv", table()), ["x"], 16.0).clock.rate == 4.0


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_rows_that_end_in_a_comma_under_a_header_that_does_not_are_refused(tmp_path, name):
    raw = b"t,x,y\n0,1,2,\n0.25,3,4,\n0.5,5,6,\n"
    (tmp_path / name).write_bytes(gzip.compress(raw) if name.endswith("gz") else raw)
    with pytest.raises(FileError, match=rf"{name}, line 2: expected 3 fields \(t, x, y\); found 4"):
        read_signals(tmp_path / name, ["x", "y"], None)


def test_a_pipe_or_a_folder_is_no_file_of_signals(tmp_path):
    os.mkfifo(tmp_path / "a.csv")
    (tmp_path / "b.npz").mkdir()
    for name in ("a.csv", "b.npz"):
        with pytest.raises(FileError, match=name):
            read_signals(tmp_path / name, ["x"], None)
        with pytest.raises(FileError, match=name):
            read_frames(tmp_path / name)


@pytest.mark.parametrize("name", ["a.csv.gz", "a.npz"])
def test_a_bomb_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch, name):
    monkeypatch.setattr(signals, "_LARGEST", 10_000)
    if name == "a.npz":
        np.savez_compressed(tmp_path / name, signals=np.zeros((10_000, 1)), channels=np.array(["x"]), rate=4.0)
    else:
        (tmp_path / name).write_bytes(gzip.compress(b"t,x\n" + b"0,0\n" * 10_000))
    with pytest.raises(FileError, match=f"{name}: expected at most 10,000 bytes"):
        read_signals(tmp_path / name, ["x"], None)


def _files() -> dict[str, bytes]:
    files = {"a.csv": table().to_csv(index=False).encode()}
    for name, write in {
        "a.npz": lambda file: np.savez(file, signals=np.zeros((8, 1)), channels=np.array(["x"]), rate=4.0),
        "b.npz": lambda file: np.savez_compressed(file, frames=np.zeros((4, 2, 2), np.uint8), rate=4.0),
        "a.parquet": lambda file: table().to_parquet(file, index=False),
    }.items():
        with BytesIO() as file:
            write(file)
            files[name] = file.getvalue()
    return {**files, "a.csv.gz": gzip.compress(files["a.csv"], mtime=0)}


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.npz", "b.npz", "a.parquet"])
def test_any_damage_is_a_fault_of_the_file(tmp_path, name):
    rng, content, path = np.random.default_rng(0), np.frombuffer(_files()[name], np.uint8), tmp_path / name
    refused = 0
    for _ in range(60):
        damaged = content.copy()
        damaged[rng.integers(len(content), size=rng.integers(1, 6))] = rng.integers(256)
        path.write_bytes(damaged[: rng.integers(1, len(content) + 1)] if rng.random() < 0.3 else damaged)
        try:
            read_frames(path) if name == "b.npz" else read_signals(path, ["x"], None)
        except FileError as error:
            refused += 1
            assert str(error).startswith(str(path))
    assert refused > 10


def test_semicolons_spaces_and_byte_order_marks(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("﻿t; x ;y\n0;1;2\n0.25;3;\n0.5;5;6\n".encode())
    read = read_signals(path, ["x", "y"], None)
    assert np.array_equal(read.values, [[1, 2], [3, np.nan], [5, 6]], equal_nan=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t[["t", "label"]], "expected one of the channels x, y; found t, label"),
        (lambda t: t.assign(x="a"), "numbers in the column x; found 'a'"),
        (lambda t: t.assign(t=[0, 1, 2, 2, 3, 4, 5, 6]), "t that rises; sample 4 does not"),
        (lambda t: t.assign(t=[0, 1, np.nan, 3, 4, 5, 6, 7]), "each with its time t"),
        (lambda t: t.iloc[:1], "two or more samples"),
    ],
)
def test_tables_that_cannot_be_used(table_file, change, message):
    path = table_file("a.csv", change(table()))
    with pytest.raises(FileError, match=message) as caught:
        read_signals(path, ["x", "y"], None)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.parquet", "a.npz"])
@pytest.mark.parametrize("content", [b"", b"\x00\xff no such thing", gzip.compress(b"t,x\n0,1\n", mtime=0)[:-9]])
def test_broken_files_are_named(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(FileError, match=name):
        read_signals(path, ["x"], None)


def test_npz_of_another_layout(tmp_path):
    np.savez(tmp_path / "a.npz", signals=np.zeros((3, 2)), channels=np.array(["x"]), rate=4)
    with pytest.raises(FileError, match=r"signals \[samples, 1\] for its channels; found \(3, 2\)"):
        read_signals(tmp_path / "a.npz", ["x"], None)
    np.savez(tmp_path / "b.npz", other=np.zeros(3))
    with pytest.raises(FileError, match="channels"):
        read_signals(tmp_path / "b.npz", ["x"], None)


def test_frames_are_bytes_or_shares(tmp_path):
    np.savez(tmp_path / "a.npz", frames=np.full((2, 3, 3), 255, np.uint8), rate=8)
    frames, rate = read_frames(tmp_path / "a.npz")
    assert (frames.dtype, frames.max(), rate) == (np.uint8, 255, 8.0)
    np.savez(tmp_path / "b.npz", frames=np.full((2, 3, 3), 0.25), rate=8)
    assert read_frames(tmp_path / "b.npz")[0].dtype == np.float32


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"frames": np.full((2, 3, 3), 2.0), "rate": 8}, r"float frames in \[0, 1\]; found 2 to 2"),
        ({"frames": np.full((2, 3, 3), np.nan), "rate": 8}, r"float frames in \[0, 1\]"),
        ({"frames": np.zeros((2, 3), np.uint8), "rate": 8}, r"\[N, H, W\]; found \(2, 3\)"),
        ({"frames": np.zeros((2, 3, 3), np.int64), "rate": 8}, "uint8 or float; found int64"),
        ({"frames": np.zeros((2, 3, 3), np.uint8), "rate": 0}, "a positive rate; found 0"),
        ({"frames": np.zeros((2, 3, 3), np.uint8)}, "rate"),
    ],
)
def test_frames_that_cannot_be_used(tmp_path, content, message):
    np.savez(tmp_path / "a.npz", **content)
    with pytest.raises(FileError, match=message):
        read_frames(tmp_path / "a.npz")


@pytest.mark.parametrize("suffix", [".npz", ".npy.npz"])
def test_pickled_objects_are_refused_without_advice_to_read_them(tmp_path, suffix):
    path, objects = tmp_path / f"a{suffix}", np.array([{}], dtype=object)
    if suffix == ".npz":
        np.savez(path, signals=objects, channels=objects, frames=objects, rate=1.0)
    else:
        path.write_bytes(b"\x80\x04K\x01.")  # no archive, but a pickle
    for read in (lambda: read_signals(path, ["x"], None), lambda: read_frames(path)):
        with pytest.raises(FileError, match=r"refused, because it holds pickled objects$"):
            read()
