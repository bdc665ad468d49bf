"""The rows of a run as its `splits.csv` has them. Without heavy imports."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hallmark.checks import UserError

_COLUMNS = {"id", "content", "split"}


def stored_rows(directory: Path) -> Iterator[tuple[str, str, str]] | None:
    """(id, content, split) of each row of a run; None where it has no `splits.csv`, or an earlier version wrote it.

    Raises:
        UserError: the file is no table, which may show while its rows are read.
    """
    path = directory / "splits.csv"
    if not path.exists():
        return None
    with _table(path) as table:
        return _rows(path) if set(table.fieldnames or ()) >= _COLUMNS else None


def _rows(path: Path) -> Iterator[tuple[str, str, str]]:
    with _table(path) as table:
        for row in table:
            yield row["id"] or "", row["content"] or "", row["split"] or ""


@contextmanager
def _table(path: Path) -> Iterator[csv.DictReader]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            yield csv.DictReader(file)
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not a table in UTF-8 ({error})") from error
