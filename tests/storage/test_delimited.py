"""Tables as people bring them: read whole, or refused by file and line."""

import os
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hallmark.checks import SettingError
from hallmark.storage.delimited import DELIMITERS, TableError, read_numbers, read_table, read_table_of
from hallmark.storage.regular import MissingFileError, UnreadableFileError, read_regular


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "list.csv"


DRESSES = {
    "plain": b"guid,tag\n1,up\n007,down\n",
    "Windows lines": b"guid,tag\r\n1,up\r\n007,down",
    "old Macintosh lines": b"guid,tag\r1,up\r007,down\r",
    "byte-order mark": b"\xef\xbb\xbfguid,tag\n1,up\n007,down\n",
    "UTF-16": "guid,tag\n1,up\n007,down\n".encode("utf-16"),
    "UTF-16 without a mark": "guid,tag\n1,up\n007,down\n".encode("utf-16-le"),
    "spaces and capitals": b" GUID, Tag \n1 , up\n007,down\n",
    "quotes": b'guid,tag\n"1","up"\n007, "down"\n',
    "an end of nothing": b"guid,tag\n1,up\n007,down\n\n,\n  \n",
}


@pytest.mark.parametrize("raw", DRESSES.values(), ids=DRESSES)
def test_a_list_in_any_dress(path: Path, raw: bytes) -> None:
    path.write_bytes(raw)
    read = read_table(path, required=("guid", "tag"), tidy=True)
    assert read.cells.to_dict("list") == {"guid": ["1", "007"], "tag": ["up", "down"]}
    assert read.doubt == ""


def test_rows_know_their_lines_and_cells_keep_delimiters_and_lines(path: Path) -> None:
    path.write_bytes(b'id,text\na,"x, y\nz"\nb, w \n')
    read = read_table(path)
    assert read.cells.to_numpy().tolist() == [["a", "x, y\nz"], ["b", " w "]]
    assert read.lines == [2, 4]


FAULTS = {
    "a comma at the end of the rows": (b"t,x,y\n0,1,2,\n1,2,3,\n", r"line 2: expected 3 fields \(t, x, y\).*4.*line 3"),
    "a short row": (b"a,b\n1,2\n3\n4,5\n", "line 3: .*2 fields.* found 1"),
    "a long row after quoted lines": (b'a,b\n"1\n1",2\n3,4,5\n', "line 4: .*2 fields.* found 3"),
    "a blank line": (b"a,b\n1,2\n\n3,4\n", "line 3: .*found a blank line"),
    "a quote without end": (b'a,b\n1,2\n"3,4\n5,6\n', "line 3: "),
    "a column twice": (b"a,b,a\n1,2,3\n", "repeats a"),
    "nothing": (b"", "line 1: expected the names of the columns"),
    "no header": (b"\n1,2\n", "line 1: expected the names of the columns"),
    "a NUL": (b"a,b\n1,2\n3,\0\n", "line 3: .*NUL"),
    "bytes of no encoding": (b"a,b\n1,2\n3,\xff\xff\n", "line 3: not valid UTF-8"),
}


@pytest.mark.parametrize(("raw", "message"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_named_by_file_and_line(path: Path, raw: bytes, message: str) -> None:
    path.write_bytes(raw)
    with pytest.raises(TableError, match=f"^{path}.*{message}"):
        read_table(path)
    with pytest.raises(TableError, match=f"^{path}.*{message}"):
        read_numbers(raw, path, delimiters=DELIMITERS)


@pytest.mark.parametrize(("delimiter", "name"), [(";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")])
def test_other_delimiters_are_read_where_expected_and_named_elsewhere(path: Path, delimiter: str, name: str) -> None:
    path.write_text(f"guid{delimiter}tag\n1{delimiter}up\n")
    assert read_table(path, delimiters=DELIMITERS).cells.to_dict("list") == {"guid": ["1"], "tag": ["up"]}
    for required in ((), ("guid", "tag")):
        with pytest.raises(TableError, match=f"^{path}: expected fields separated by commas; found {name}"):
            read_table(path, required=required)


def test_an_encoding_that_is_a_guess_comes_with_its_doubt(path: Path) -> None:
    path.write_bytes("guid,tag\ncafé,up\n".encode("cp1252"))
    read = read_table(path)
    assert read.cells["guid"].tolist() == ["café"]
    assert read.doubt.startswith(f"{path}: ") and "cp1252" in read.doubt


def test_numbers_are_those_of_pandas(path: Path) -> None:
    raw = b"t,x\n0,1.5\n0.25,\n0.5,nan\n"
    expected = pd.DataFrame({"t": [0, 0.25, 0.5], "x": [1.5, None, None]})
    pd.testing.assert_frame_equal(read_numbers(raw, path, delimiters=","), expected)


_CELL = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Cn", "Co"]), max_size=6)


@given(st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(_CELL, min_size=width, max_size=width), min_size=1)))
def test_what_pandas_writes_is_read_back(tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]]) -> None:
    path = tmp_path_factory.getbasetemp() / "round.csv"
    table = pd.DataFrame(rows, columns=[f"c{number}" for number in range(len(rows[0]))])
    table["last"] = "x"  # rows without content at the end are left out
    table.to_csv(path, index=False)
    assert read_table(path).cells.to_numpy().tolist() == table.to_numpy().tolist()


def test_a_setting_that_names_a_table_is_named(path: Path) -> None:
    path.write_bytes(b"id,split\na\n")
    for unreadable in (path, path.with_name("none.csv"), path.parent):
        with pytest.raises(SettingError, match=str(unreadable)) as caught:
            read_table_of("split.path", unreadable, required=("id", "split"))
        assert caught.value.key == "split.path"


def test_only_regular_files_are_read_and_each_refusal_names_its_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    (tmp_path / "file").write_bytes(b"x")
    assert read_regular(tmp_path / "file") == b"x"
    for name, kind in {
        "pipe": "a pipe",
        "link": "no such file",
        "none": "no such file",
        "file/x": "no such file",
    }.items():
        with pytest.raises(UnreadableFileError, match=f"^{tmp_path / name}: .*{kind}"):
            read_regular(tmp_path / name)
    for irregular in (tmp_path, Path("/dev/zero"), tmp_path / ("n" * 300)):
        with pytest.raises(UnreadableFileError, match=f"^{irregular}: "):
            read_regular(irregular)
    with pytest.raises(MissingFileError):
        read_regular(tmp_path / "none")
