"""Tables that people bring, as text with a header: every row has as many fields as the header, or is named."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd

from hallmark.checks import SettingError
from hallmark.storage.decoding import decode_bytes
from hallmark.storage.regular import UnreadableFileError, read_regular

DELIMITERS = ",;\t|"
_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
_LONGEST = (1 << 31) - 1  # of a field; the default of 128 kB would be hit by a long text
_SHOWN = 5  # lines named in one message

Row = tuple[int, list[str]]  # the line of the file on which it starts, from 1, and its fields


class TableError(ValueError):
    """A file that is no table; the message names file and line and says what was found."""


@dataclass(frozen=True)
class TextTable:
    """The cells of a file.

    Attributes:
        cells: text cells, a column for each name of the header.
        lines: line of the file on which each row starts, from 1.
        doubt: what is in doubt about the encoding, "" for nothing.
    """

    cells: pd.DataFrame
    lines: list[int]
    doubt: str


def read_table(path: Path, *, required: Iterable[str] = (), delimiters: str = ",", tidy: bool = False) -> TextTable:
    """Read a table of text cells; a byte-order mark and any encoding that `decode` knows are fine.

    Rows without content at the end of the file are left out. The names of the columns are stripped.

    Args:
        required: columns that must be there.
        delimiters: what may separate fields; of several the header says which it is.
        tidy: for tables that people type: cells are stripped and names of columns made lower case.

    Raises:
        OSError: the file cannot be read.
        TableError: it is empty or damaged, has other delimiters, a blank line, a row of another number of fields than
            the header, a column twice, a quote without end, or lacks a required column.
    """
    text, doubt = _decoded(path, read_regular(path), tidy=tidy)
    delimiter = delimiter_of(text, delimiters)
    rows = _rows(path, text, delimiter, tidy=tidy)
    head = [name.lower() if tidy else name for name in _header(path, rows)]
    _check_header(path, head, list(required), text, delimiter)
    body = list(_body(path, rows, head))
    cells = [[cell.strip() for cell in row] if tidy else row for _, row in body]
    return TextTable(pd.DataFrame(cells, columns=head, dtype=object), [line for line, _ in body], doubt)


def read_table_of(key: str, path: Path, *, required: Iterable[str]) -> TextTable:
    """The table that the setting `key` names; raises `SettingError` where `read_table` raises."""
    try:
        return read_table(path, required=required)
    except (UnreadableFileError, TableError) as error:
        raise SettingError(key, str(path), f"a table; {error}") from error


def read_numbers(raw: bytes, path: Path, *, delimiters: str) -> pd.DataFrame:
    """The table in `raw`, the content of `path`, with the types that pandas sees in its columns.

    Raises:
        TableError: as `read_table`, and where the encoding is in doubt.
    """
    text, doubt = _decoded(path, raw)
    if doubt:
        raise TableError(doubt)
    return _frame(path, text, delimiter_of(text, delimiters), {})


def read_frame(path: Path, **options: Any) -> pd.DataFrame:
    """A table of commas with the types that pandas sees in its columns; `options` are of `pandas.read_csv`.

    Raises:
        OSError: the file cannot be read.
        TableError: as `read_table`.
    """
    text, _ = _decoded(path, read_regular(path), tidy=True)
    return _frame(path, text, ",", options)


def _frame(path: Path, text: str, delimiter: str, options: Mapping[str, Any]) -> pd.DataFrame:
    rows = _rows(path, text, delimiter, tidy=False)
    head = _header(path, rows)
    _check_header(path, head, [], text, delimiter)
    count = sum(1 for _ in _body(path, rows, head))
    # Never by position: where rows end in a delimiter, pandas would take the first column for an index.
    table = pd.read_csv(StringIO(text), sep=delimiter, index_col=False, nrows=count, **options)
    return table.set_axis(head, axis=1)


def delimiter_of(text: str, delimiters: str = DELIMITERS) -> str:
    """The one of `delimiters` that the first line has most of."""
    return max(delimiters, key=text.partition("\n")[0].count)


def _decoded(path: Path, raw: bytes, *, tidy: bool = False) -> tuple[str, str]:
    """The text of a file and what is in doubt about it; in a `tidy` one a NUL is a matter of its cell, as U+FFFD."""
    decoded = decode_bytes(raw)
    if tidy and decoded.doubt and b"\0" in raw and not decode_bytes(_without_nuls(raw)).doubt:
        return decode_bytes(_without_nuls(raw)).text, f"{path}: {decoded.doubt}"
    if decoded.doubt and "\ufffd" in decoded.text:
        line = decoded.text[: decoded.text.index("\ufffd")].count("\n") + 1
        raise TableError(f"{path}, line {line}: {decoded.doubt}")
    return decoded.text, f"{path}: {decoded.doubt}" if decoded.doubt else ""


def _without_nuls(raw: bytes) -> bytes:
    return raw.replace(b"\0", "\ufffd".encode())


def _rows(path: Path, text: str, delimiter: str, *, tidy: bool) -> Iterator[Row]:
    csv.field_size_limit(_LONGEST)
    reader = csv.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=tidy)
    line = 1
    try:
        for row in reader:
            yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        raise TableError(f"{path}, line {line}: {error}") from error


def _header(path: Path, rows: Iterator[Row]) -> list[str]:
    _, head = next(rows, (1, []))
    if not any(map(str.strip, head)):
        raise TableError(
            f"{path}, line 1: expected the names of the columns; found {'a blank line' if head else 'none'}"
        )
    return [name.strip() for name in head]


def _check_header(path: Path, head: list[str], required: list[str], text: str, delimiter: str) -> None:
    columns, likely = ", ".join(head), delimiter_of(text)
    lacking = [name for name in required if name not in head]
    if (lacking or len(head) == 1) and likely != delimiter and likely in text.partition("\n")[0]:
        raise TableError(f"{path}: expected fields separated by {_NAMES[delimiter]}; found {_NAMES[likely]}: {columns}")
    if lacking:
        raise TableError(f"{path}: needs the columns {' and '.join(required)}; found {columns}")
    repeated = sorted({name for name in head if name and head.count(name) > 1})
    if repeated:
        raise TableError(f"{path}: expected each column once; the header repeats {', '.join(repeated)}: {columns}")


def _body(path: Path, rows: Iterator[Row], head: list[str]) -> Iterator[Row]:
    """Rows less those without content at the end; raises TableError after the last one if any is of another width."""
    waiting: list[Row] = []
    wrong: list[Row] = []
    for line, row in rows:
        waiting.append((line, row))
        if any(map(str.strip, row)):
            wrong += [(number, fields) for number, fields in waiting if len(fields) != len(head)]
            yield from waiting
            waiting.clear()
    if not wrong:
        return
    line, row = wrong[0]
    content = f"{len(row)} ({', '.join(row)[:80]})" if any(map(str.strip, row)) else "a blank line"
    later = ", ".join(str(number) for number, _ in wrong[1 : _SHOWN + 1])
    more = f"; likewise in line {later}{' and others' if len(wrong) > _SHOWN + 1 else ''}" if later else ""
    raise TableError(
        f"{path}, line {line}: expected {len(head)} fields ({', '.join(head)[:120]}); found {content}{more}"
    )
