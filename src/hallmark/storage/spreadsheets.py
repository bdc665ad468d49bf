"""CSV cells that a spreadsheet would execute, made text by an apostrophe before them, and read again without it.

A cell that begins with `=`, `+`, `-`, `@`, a tab or an end of line is a formula to Excel, LibreOffice and Google Sheets
(OWASP, "CSV Injection"; full-width forms are formulas in East Asian locales), and what a corpus holds is text of
strangers: "@user" begins many a tweet. Numbers stay numbers, negative ones too.
"""

import re
from collections.abc import Callable
from typing import Any

import pandas as pd

_FORMULA = re.compile(r"'*\s*[=+\-@\t\r\n＝＋－＠]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s?%?", re.IGNORECASE)


def escaped(frame: pd.DataFrame) -> pd.DataFrame:
    """`frame` with an apostrophe before each text cell and name of a column that is a formula."""
    return _changed(frame, lambda cell: f"'{cell}")


def unescaped(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame that `escaped` was given; a table that nobody escaped stays as it is."""
    return _changed(frame, lambda cell: cell.removeprefix("'"))


def has_returns(frame: pd.DataFrame) -> bool:
    """Whether a text cell holds a carriage return: it ends a row for most readers, and `csv` does not quote it."""
    columns = [frame.iloc[:, position] for position in range(frame.shape[1])]  # by position: a name may stand twice
    texts = [value for column in columns if _holds_text(column) for value in column if isinstance(value, str)]
    return any("\r" in text for text in texts)


def _holds_text(column: pd.Series) -> bool:
    return isinstance(column.dtype, pd.CategoricalDtype | pd.StringDtype) or column.dtype == object


def _changed(frame: pd.DataFrame, change: Callable[[str], str]) -> pd.DataFrame:
    def cell(value: Any) -> Any:
        return change(value) if isinstance(value, str) and _is_formula(value) else value

    columns = [frame.iloc[:, position] for position in range(frame.shape[1])]
    parts = [
        column.astype(object).map(cell)
        if _holds_text(column) and any(isinstance(value, str) and _is_formula(value) for value in column)
        else column
        for column in columns
    ]
    names = [cell(name) for name in frame.columns]
    if names == list(frame.columns) and all(part is column for part, column in zip(parts, columns, strict=True)):
        return frame
    return pd.concat(parts, axis=1).set_axis(names, axis=1)


def _is_formula(cell: str) -> bool:
    return _FORMULA.match(cell) is not None and _NUMBER.fullmatch(cell.lstrip("'")) is None
