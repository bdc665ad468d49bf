"""A stack answers by what its members answer, and learns how from rows that these have not seen."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from hallmark.checks import SettingError
from hallmark.learning.stacking import StackedClassifier
from hallmark.runs.metrics import MAIN
from hallmark.runs.parents import Use

CLASSES = ["a", "b", "c"]
N = 90


def stack(**changes: Any) -> StackedClassifier:
    settings = {"classes": CLASSES, "members": ["good", "poor"], "rows": "out_of_fold",
                "estimator": "logistic_regression", "strength": 2.0}  # fmt: skip
    return StackedClassifier(**{**settings, **changes})


class Member:
    """Gives the probabilities that it is told for the rows of a batch, which its input `image` numbers."""

    def __init__(self, probabilities: np.ndarray, classes: list[str] = CLASSES) -> None:
        self.probabilities, self.classes = torch.tensor(probabilities, dtype=torch.float32), classes
        self.inputs = {"image": None}

    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Any]:
        return {"probabilities": {MAIN: self.probabilities[batch["image"]]}}


@pytest.fixture
def answers() -> dict[str, np.ndarray]:
    """By member the probabilities [N, 3] of rows whose class is their number modulo 3."""
    rng = np.random.default_rng(0)
    answers = {}
    for name, quality in (("good", 2.0), ("poor", 0.3)):
        logits = rng.normal(size=(N, 3)) + quality * np.eye(3)[np.arange(N) % 3]
        answers[name] = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return answers


def batch(rows: torch.Tensor) -> dict[str, Any]:
    return {"good.image": rows, "poor.image": rows, "target": rows % 3}


class Data:
    def __init__(self, split: str) -> None:
        ids, target = [f"r{row}" for row in range(N)], [CLASSES[row % 3] for row in range(N)]
        self.samples = pd.DataFrame({"id": ids, "target": target, "split": split})

    def rows(self, split: str) -> pd.DataFrame:
        assert (self.samples["split"] == split).all()
        return self.samples


def fitted(answers: dict[str, np.ndarray], **changes: Any) -> StackedClassifier:
    module = stack(**changes)
    module.attach_parents({name: Member(probabilities) for name, probabilities in answers.items()})
    module.out_of_fold = {
        name: pd.DataFrame({"id": [f"r{row}" for row in range(N)], "probabilities": list(values)}).sample(frac=1)
        for name, values in answers.items()
    }
    data = Data("meta" if changes.get("rows") == "meta" else "train")
    module.load(
        module.fit(lambda split: [module.predict_step(batch(part), 0) for part in torch.arange(N).split(40)], data)
    )
    return module


@pytest.mark.parametrize("rows", ["out_of_fold", "meta"])
@pytest.mark.parametrize(
    ("estimator", "expected"),
    [
        ("logistic_regression", LogisticRegression(C=0.5, max_iter=1000)),
        ("boosted_trees", HistGradientBoostingClassifier(
            l2_regularization=2.0, max_iter=50, max_leaf_nodes=8, early_stopping=False, random_state=0)),
    ],
)  # fmt: skip
def test_it_is_the_estimator_on_the_log_probabilities_of_its_members(answers, rows, estimator, expected) -> None:
    module = fitted(answers, rows=rows, estimator=estimator)
    features = np.log(np.clip(np.concatenate(list(answers.values()), axis=1), 1e-6, None))
    expected.fit(features, np.arange(N) % 3)
    output = module.predict_step(batch(torch.arange(N)), 0)
    np.testing.assert_allclose(output["features"], features, atol=1e-5)
    np.testing.assert_allclose(output["probabilities"][MAIN].numpy(), expected.predict_proba(features), atol=1e-4)


def test_it_weighs_the_member_that_is_right(answers) -> None:
    stacked = fitted(answers).predict_step(batch(torch.arange(N)), 0)["probabilities"][MAIN].numpy()
    mean = stack()
    mean.attach_parents({name: Member(values) for name, values in answers.items()})
    unfitted = mean.predict_step(batch(torch.arange(N)), 0)["probabilities"][MAIN].numpy()
    np.testing.assert_allclose(unfitted, np.mean(list(answers.values()), axis=0), atol=1e-6)

    def loss(probabilities: np.ndarray) -> float:
        return float(-np.log(probabilities[np.arange(N), np.arange(N) % 3]).mean())

    assert loss(stacked) < loss(unfitted)


class Recorder(Member):
    """Writes down what it sees."""

    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Any]:
        self.seen = batch
        return super().predict_step(batch, batch_idx)


def test_members_see_their_inputs_alone_and_what_all_models_see() -> None:
    members = {role: Recorder(np.full((4, 3), 1 / 3)) for role in ("good", "poor")}
    members["poor"].inputs = {"image": "its encoder"}
    inner, outer = stack(), stack(members=["stack", "other"])
    inner.attach_parents(members)
    other = Recorder(np.full((4, 3), 1 / 3))
    outer.attach_parents({"stack": inner, "other": other})
    assert outer.inputs == {"stack.good.image": None, "stack.poor.image": "its encoder", "other.image": None}
    rows = {"stack.good.image": [0], "stack.poor.image": [1], "other.image": [2], "target": [3], "index": [4]}
    outer.predict_step(rows, 0)
    shared = {"target": [3], "index": [4]}
    assert members["good"].seen == {**shared, "image": [0]}
    assert members["poor"].seen == {**shared, "image": [1]}
    assert other.seen == {**shared, "image": [2]}


def test_its_members_are_parents_by_what_it_is_fitted_on() -> None:
    roles = {rows: StackedClassifier.parent_roles({"members": ["x", "y"], "rows": rows})
             for rows in ("out_of_fold", "meta")}  # fmt: skip
    assert roles == {"out_of_fold": dict.fromkeys("xy", Use.OUT_OF_FOLD), "meta": dict.fromkeys("xy", Use.WEIGHTS)}


@pytest.mark.parametrize(
    ("changes", "key"),
    [({"members": ["x"]}, "members"), ({"members": ["x", "x"]}, "members"), ({"strength": 0}, "strength")],
)
def test_nonsense_names_its_key(changes, key) -> None:
    with pytest.raises(SettingError) as caught:
        stack(**changes)
    assert caught.value.key == key


def test_without_rows_of_its_own_it_says_what_gives_them() -> None:
    with pytest.raises(SettingError) as caught:
        stack(rows="meta").check_data(Data("train"))
    assert caught.value.key == "data.split.meta"


@pytest.mark.parametrize("member", [Member(np.ones((1, 3)), ["b", "a", "c"]), SimpleNamespace(inputs={})])
def test_a_member_of_other_classes_is_refused_by_its_role(member) -> None:
    with pytest.raises(SettingError, match=r"good=.*a classifier of a, b, c, in this order"):
        stack().attach_parents({"good": member})
