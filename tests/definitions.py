"""The numbers that docs/metrics.md defines, and those of a table that it does not."""

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pandas as pd

from hallmark.wording import readable

PAGE = Path(__file__).parents[1] / "docs" / "metrics.md"
_INTERVAL = re.compile(r" \[[\d.]+ % interval\]")


def definitions() -> dict[str, list[str]]:
    """The cells behind each name in the first column of a table of the page.

    Raises:
        AssertionError: a name is defined twice.
    """
    cells_by_name: dict[str, list[str]] = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if not line.startswith("| `"):
            continue
        first, *cells = (cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1])
        for name in re.findall(r"`([^`]+)`", first):
            assert name not in cells_by_name, f"{name} is defined twice"
            cells_by_name[name] = cells
    return cells_by_name


def undefined(columns: Iterable[str]) -> set[str]:
    """Those of the columns that the page does not define, as it would name them."""
    return {name for name in map(plain, columns) if name not in _known()}


def numeric_columns(table: pd.DataFrame) -> list[str]:
    """Columns of numbers, less settings such as `optimizer.lr` and truth values."""
    return [
        str(name)
        for name in table
        if pd.api.types.is_numeric_dtype(table[name]) and not pd.api.types.is_bool_dtype(table[name])
    ]


def plain(column: str) -> str:
    """`val/state/macro_f1_low` is a `macro_f1`, `baseline_value` a `value`, `p@0.5` and its heading P@0.5 a `p@t`."""
    name = _INTERVAL.sub("", column).rpartition("/")[2].removeprefix("baseline_").removeprefix("test ")
    name = re.sub(r"_(low|high)$", "", re.sub(r".+_(p_value|p_holm|p_floor)$", r"\1", name))
    if name not in _known():
        name = re.sub(r"_(mean|std)$", "", name)
    name = re.sub(r"^P@", "p@", re.sub(r"@0\.\d+", "@t", name))
    name = re.sub(r"(?<=standard deviation over ).*", "<set>", name)
    return re.sub(r"^always .*", "always <class>", name)


@cache
def _known() -> frozenset[str]:
    return frozenset(definitions()) | frozenset(map(readable, definitions()))
