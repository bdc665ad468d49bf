"""The predictions table: one schema for all systems, from which every metric is computed.

A system adds columns that its metrics need: masks `intersection`, `union` and `target_area`; a generative model `kind`
(`real` or `generated`) and `features` (list of D floats), a row for each sample of either kind, whose `prediction`,
`confidence`, `probabilities` and `score` are empty.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hallmark.storage.files import read_parquet, write_parquet

STAGE = "info_stage"
"""Column of a model that grows: the version of its database (`hallmark.storage.vectors`) at which a row was predicted.

The task `main` holds the answers of the last stage. Where earlier stages are measured too, each is a task of its own
(`stage_1`, `stage_2`, …), as all answers about one sample are, so that it has metrics, slices and intervals.
"""

SEEN = "info_seen"
"""Column of new files: the splits in which the run has a row of the same content, "" for a new one."""

COLUMNS = ("id", "split", "task", "group", "target", "prediction", "confidence", "probabilities", "score")


def write_predictions(path: Path, frame: pd.DataFrame) -> None:
    """Write a table; `frame.attrs` (classes by task, categories by slice column) travels in the file."""
    missing = [column for column in COLUMNS if column not in frame]
    assert not missing, f"predictions lack {missing}"
    assert "classes" in frame.attrs, "predictions lack attrs['classes']"
    assert STAGE not in frame or frame[STAGE].dtype.kind in "iu", "a stage is the number of a version"
    write_parquet(path, frame)


def same_predictions(first: pd.DataFrame, second: pd.DataFrame) -> bool:
    """Whether two tables have the same rows with the same answers; numbers may differ by rounding, 1e-6."""
    first, second = (table.sort_values(["task", "id"], ignore_index=True) for table in (first, second))
    if not all(first[name].equals(second[name]) for name in ("id", "task", "prediction")):
        return False
    for name in ("confidence", "score", "probabilities", "features"):
        if (name in first) != (name in second):
            return False
        if name not in first:
            continue
        numbers, again = _numbers(first[name]), _numbers(second[name])
        if len(numbers) != len(again) or not np.allclose(numbers, again, rtol=0, atol=1e-6, equal_nan=True):
            return False
    return True


def first_alike(tables: Sequence[pd.DataFrame]) -> list[int]:
    """For each table the position of the first one with the same predictions."""
    firsts: list[int] = []
    for position, table in enumerate(tables):
        earlier = (first for first in dict.fromkeys(firsts) if same_predictions(tables[first], table))
        firsts.append(next(earlier, position))
    return firsts


def _numbers(column: "pd.Series[Any]") -> NDArray[np.float64]:
    """All numbers of a column of numbers or of lists of them; nan for a missing one."""
    return np.concatenate([np.empty(0), *(np.atleast_1d(np.asarray(value, dtype=np.float64)) for value in column)])


def read_predictions(path: Path) -> pd.DataFrame:
    """Read a table.

    Raises:
        ValueError: no such file, or not a predictions table.
    """
    if not path.exists():
        raise ValueError(f"{path}: no predictions there; evaluate that split of the run first")
    frame = read_parquet(path)
    if any(column not in frame for column in COLUMNS):
        raise ValueError(f"{path}: not a predictions table; it needs the columns {', '.join(COLUMNS)}")
    return frame
