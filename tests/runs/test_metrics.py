import pytest

from hallmark.runs.metrics import find_metric

ONE = {"val": {"main": {"accuracy": 0.5, "macro_f1": None, "n": 4}}}
TWO = {"val": {"action": {"accuracy": 0.5, "auroc": None}, "state": {"accuracy": 0.8, "auroc": 0.9}}}


@pytest.mark.parametrize(
    ("metrics", "name", "expected"),
    [
        (ONE, "val/accuracy", 0.5),
        (ONE, "val/main/accuracy", 0.5),
        (ONE, "val/macro_f1", None),
        (ONE, "val/other", None),
        (ONE, "test/accuracy", None),
        (TWO, "val/accuracy", 0.65),
        (TWO, "val/state/accuracy", 0.8),
        (TWO, "val/auroc", None),
        (TWO, "val/touch/accuracy", None),
        ({}, "val/accuracy", None),
    ],
)
def test_a_name_is_of_a_task_or_of_all(metrics, name, expected):
    assert find_metric(metrics, name) == (None if expected is None else pytest.approx(expected))
