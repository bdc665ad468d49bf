"""The predictions table: one schema for all systems, from which every metric is computed."""

from pathlib import Path

import pandas as pd

from hallmark.storage.files import read_parquet, write_parquet

COLUMNS = ("id", "split", "task", "group", "target", "prediction", "confidence", "probabilities", "score")


def write_predictions(path: Path, frame: pd.DataFrame) -> None:
    """Write a table; `frame.attrs` (classes by task, categories by slice column) travels in the file."""
    missing = [column for column in COLUMNS if column not in frame]
    assert not missing, f"predictions lack {missing}"
    assert "classes" in frame.attrs, "predictions lack attrs['classes']"
    write_parquet(path, frame)


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
