from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hallmark.runs.predictions import COLUMNS, read_predictions, write_predictions


def table() -> pd.DataFrame:
    frame = pd.DataFrame({
        "id": ["a", "b"], "split": "val", "task": "main", "group": ["g", "h"], "target": ["negative", None],
        "prediction": ["negative", "positive"], "confidence": [0.75, 0.5],
        "probabilities": [np.array([0.75, 0.25]), np.array([0.5, 0.5])], "score": [1.0, np.nan],
        "slice_length": ["short", "long"], "info_text": ["ä 😀", ""],
    })  # fmt: skip
    frame.attrs = {"classes": {"main": ["negative", "positive"]}, "slices": {"slice_length": ["short", "long", "none"]}}
    return frame


def test_a_table_and_its_attributes_round_trip(tmp_path: Path) -> None:
    write_predictions(tmp_path / "predictions" / "val.parquet", table())
    back = read_predictions(tmp_path / "predictions" / "val.parquet")
    assert back.attrs == table().attrs
    np.testing.assert_array_equal(np.stack(back["probabilities"]), np.stack(table()["probabilities"]))
    pd.testing.assert_frame_equal(back.drop(columns="probabilities"), table().drop(columns="probabilities"))


@pytest.mark.parametrize("column", COLUMNS)
def test_a_table_that_lacks_a_column_is_neither_written_nor_read(tmp_path: Path, column: str) -> None:
    lacking = table().drop(columns=column)
    with pytest.raises(AssertionError, match=column):
        write_predictions(tmp_path / "val.parquet", lacking)
    lacking.to_parquet(tmp_path / "val.parquet")
    with pytest.raises(ValueError, match="not a predictions table"):
        read_predictions(tmp_path / "val.parquet")


def test_classes_must_travel_along(tmp_path: Path) -> None:
    frame = table()
    frame.attrs = {}
    with pytest.raises(AssertionError, match="classes"):
        write_predictions(tmp_path / "val.parquet", frame)


def test_an_unevaluated_split_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"test\.parquet: no predictions there; evaluate"):
        read_predictions(tmp_path / "test.parquet")
