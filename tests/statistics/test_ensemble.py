"""The mean of several models' predictions."""

import pandas as pd
import pytest

from hallmark.statistics.ensemble import has_probabilities, mean_predictions

CLASSES = {"main": ["a", "b", "c"]}


def table(rows: dict[str, list[float]], classes=CLASSES) -> pd.DataFrame:
    frame = pd.DataFrame({
        "id": list(rows), "task": "main", "prediction": "?", "confidence": 0.0, "probabilities": list(rows.values()),
    })  # fmt: skip
    frame.attrs = {"classes": classes}
    return frame


def test_the_highest_mean_wins_and_of_equals_the_first_class():
    first = table({"x": [0.6, 0.4, 0.0], "y": [0.5, 0.5, 0.0]})
    second = table({"y": [0.5, 0.5, 0.0], "x": [0.1, 0.7, 0.2]})
    mean = mean_predictions([first, second])
    assert mean["id"].tolist() == ["x", "y"]
    assert mean["prediction"].tolist() == ["b", "a"]
    assert mean["confidence"].tolist() == pytest.approx([0.55, 0.5])
    assert mean["probabilities"][0].tolist() == pytest.approx([0.35, 0.55, 0.1])
    assert mean.attrs == {"classes": CLASSES}


def test_other_rows_have_no_mean():
    with pytest.raises(ValueError, match="different rows"):
        mean_predictions([table({"x": [1.0, 0.0, 0.0]}), table({"y": [1.0, 0.0, 0.0]})])


def test_tasks_without_classes_have_no_mean():
    masks = table({"x": []}, classes={})
    assert not has_probabilities(masks) and has_probabilities(table({"x": [1.0, 0.0, 0.0]}))
    with pytest.raises(ValueError, match="no mean"):
        mean_predictions([masks, masks])
