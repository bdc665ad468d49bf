import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hallmark.statistics import (
    CLASSIFICATION_METRICS,
    class_order,
    labelled_rows,
    prediction_array,
    probability_array,
    table_metrics,
    target_array,
)
from hallmark.statistics.metrics.classification import classification_metrics

Maker = Callable[..., pd.DataFrame]
CLASSES = ["negative", "neutral", "positive"]


def test_arrays_follow_the_class_order(make_predictions: Maker) -> None:
    frame = make_predictions([2, 0], [1, 0], probabilities=np.array([[0.1, 0.7, 0.2], [0.6, 0.3, 0.1]]))
    assert target_array(frame, CLASSES).tolist() == [2, 0]
    assert prediction_array(frame, CLASSES).tolist() == [1, 0]
    assert probability_array(frame, CLASSES).tolist() == [[0.1, 0.7, 0.2], [0.6, 0.3, 0.1]]
    assert class_order(frame, "main") == CLASSES and class_order(frame, "other") is None


def test_metrics_are_those_of_the_labelled_rows(make_predictions: Maker) -> None:
    probabilities = np.array([[0.5, 0.3, 0.2], [0.2, 0.5, 0.3], [0.3, 0.1, 0.6], [0.8, 0.1, 0.1]])
    frame = make_predictions([0, 2, 2, None], [0, 1, 2, 0], probabilities=probabilities)
    values = table_metrics(frame)["main"]
    assert values.pop("n") == 3
    assert values == pytest.approx(classification_metrics(np.array([0, 2, 2]), probabilities[:3]))


def test_the_prediction_column_decides_not_the_argmax(make_predictions: Maker) -> None:
    frame = make_predictions([1], [1], probabilities=np.array([[0.6, 0.3, 0.1]]))
    assert table_metrics(frame)["main"]["accuracy"] == 1


def test_undefined_values_are_none_and_the_json_is_strict(make_predictions: Maker) -> None:
    metrics = table_metrics(make_predictions([1], [1]))
    assert metrics["main"]["auroc"] is None
    assert set(metrics["main"]) == {*CLASSIFICATION_METRICS, "n"}
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics


def test_tasks_keep_their_own_rows_and_classes(make_predictions: Maker) -> None:
    action = make_predictions([0, 1], [0, 0], task="action", classes=("walk", "run"))
    state = make_predictions([2, 2, None], [2, 2, 0], task="state")
    frame = pd.concat([state, action])
    frame.attrs["classes"] = action.attrs["classes"] | state.attrs["classes"]
    metrics = table_metrics(frame)
    assert list(metrics) == ["state", "action"]
    assert (metrics["action"]["accuracy"], metrics["action"]["n"]) == (0.5, 2)
    assert (metrics["state"]["accuracy"], metrics["state"]["n"]) == (1.0, 2)


def test_a_task_without_classes_has_the_mean_score_of_its_scored_rows() -> None:
    frame = pd.DataFrame({"task": "main", "target": None, "score": [0.2, 0.8, np.nan]})
    frame.attrs["classes"] = {}
    assert table_metrics(frame) == {"main": {"score": 0.5, "n": 2}}


def test_a_table_without_labels_has_no_metrics(make_predictions: Maker) -> None:
    assert table_metrics(make_predictions([None, None], [0, 1])) == {}
    assert table_metrics(make_predictions([0], [0]).iloc[:0]) == {}


def test_labelled_rows_keep_the_class_order(make_predictions: Maker) -> None:
    rows = labelled_rows(make_predictions([None, 1, None], [0, 1, 2]))
    assert rows["id"].tolist() == ["row1"]
    assert class_order(rows, "main") == CLASSES


def test_survives_parquet(make_predictions: Maker, tmp_path: Path) -> None:
    frame = make_predictions([0, 2, None, 1], [0, 1, 1, 1])
    frame.to_parquet(tmp_path / "val.parquet")
    assert table_metrics(pd.read_parquet(tmp_path / "val.parquet")) == table_metrics(frame)


def test_refuses_a_table_without_class_order(make_predictions: Maker) -> None:
    frame = make_predictions([0], [0])
    frame.attrs.clear()
    with pytest.raises(ValueError, match=r'attrs\["classes"\] is missing'):
        table_metrics(frame)


@pytest.mark.parametrize("column", ["target", "prediction"])
def test_refuses_an_unknown_class(make_predictions: Maker, column: str) -> None:
    frame = make_predictions([0, 1], [0, 1])
    frame.loc[1, column] = "joy"
    with pytest.raises(ValueError, match=rf"1 of 2 rows have a {column} \('joy'\)"):
        table_metrics(frame)


def test_refuses_probabilities_that_do_not_fit_the_classes(make_predictions: Maker) -> None:
    frame = make_predictions([0, 1], [0, 1])
    frame["probabilities"] = [[0.5, 0.5, 0.0], [0.5, 0.5]]
    with pytest.raises(ValueError, match="1 of 2 rows do not have 3 probabilities"):
        table_metrics(frame)
