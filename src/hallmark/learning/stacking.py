"""Stacking (Wolpert 1992): a classifier of what other classifiers answer."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hallmark.checks import SettingError, require
from hallmark.data.module import DataModule
from hallmark.learning.encoders.base import Encoder
from hallmark.learning.fitted.estimators import estimator_probabilities, estimator_state
from hallmark.learning.fitted.module import FittedModule
from hallmark.learning.module import PredictingModule
from hallmark.runs.metrics import MAIN
from hallmark.runs.parents import Use

_LEAST = 1e-6  # probability, before its logarithm


class StackedClassifier(FittedModule):
    """Answers by the log probabilities of its members, which are its parents; until it is fitted, by their mean.

    Args:
        classes: class names in the order of all members.
        members: roles of the parents.
        rows: what it is fitted on: `out_of_fold`, the training rows as refits of the members answer them that have not
            seen them, or `meta`, a split of its own, which costs the members these rows and no refit.
        estimator: `logistic_regression`, or `boosted_trees` (`HistGradientBoostingClassifier`).
        strength: of the regularization; of trees it is `l2_regularization`, of a regression 1 / C.
    """

    def __init__(
        self, *, classes: Sequence[str], members: Sequence[str], rows: Literal["out_of_fold", "meta"],
        estimator: Literal["logistic_regression", "boosted_trees"], strength: float,
    ) -> None:  # fmt: skip
        super().__init__()
        require(len(set(members)) == len(members) >= 2, "members", list(members), "two or more different roles")
        require(strength > 0, "strength", strength, "more than 0")
        self.classes, self.members = list(classes), list(members)
        self.fitted_on, self.estimator, self.strength = rows, estimator, strength
        self.stacker: Mapping[str, Any] | None = None

    @classmethod
    def parent_roles(cls, arguments: Mapping[str, Any]) -> Mapping[str, Use]:
        use = Use.OUT_OF_FOLD if arguments["rows"] == "out_of_fold" else Use.WEIGHTS
        return dict.fromkeys(arguments["members"], use)

    def attach_parents(self, parents: Mapping[str, PredictingModule]) -> None:
        for role, parent in parents.items():
            classes = getattr(parent, "classes", None)
            kind = f"of {', '.join(classes)}" if classes else f"a {type(parent).__name__}"
            expected = f"a classifier of {', '.join(self.classes)}, in this order; this one is {kind}"
            require(classes == self.classes, role, classes, expected)
        super().attach_parents(parents)

    @property
    def inputs(self) -> dict[str, Encoder | None]:
        return self.parent_inputs

    def check_data(self, data: DataModule) -> None:
        if self.fitted_on == "meta" and not (data.samples["split"] == "meta").any():
            raise SettingError("data.split.meta", 0, "a share of rows to fit the stacker on, or model.rows=out_of_fold")

    def fit(self, predict: Callable[[str], list[Any]], data: DataModule) -> Mapping[str, Any]:
        from sklearn.ensemble import HistGradientBoostingClassifier  # a run that was fitted does without them
        from sklearn.linear_model import LogisticRegression

        rows = data.rows("train" if self.fitted_on == "out_of_fold" else "meta")
        if self.fitted_on == "out_of_fold":
            tables = [self.out_of_fold[role].set_index("id").loc[rows["id"]] for role in self.members]
            features = _features([np.array(table["probabilities"].tolist()) for table in tables])
        else:
            features = np.concatenate([batch["features"] for batch in predict("meta")])
        target = np.array([self.classes.index(name) for name in rows["target"]])
        if self.estimator == "logistic_regression":
            fitted = LogisticRegression(C=1 / self.strength, max_iter=1000).fit(features, target)
        else:
            # Early stopping would select on rows of its own, drawn without regard to groups.
            fitted = HistGradientBoostingClassifier(
                l2_regularization=self.strength, max_iter=50, max_leaf_nodes=8, early_stopping=False, random_state=0
            ).fit(features, target)
        return estimator_state(fitted)

    def load(self, state: Mapping[str, Any]) -> None:
        assert state["classes"] == list(range(len(self.classes))), "a class without a row"
        self.stacker = state

    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Any]:
        """`probabilities` {main: [B, C]}, and the `features` [B, members · C] that they are of."""
        outputs = [self.parents[role].predict_step(self.parent_batch(role, batch), batch_idx) for role in self.members]
        probabilities = [cast(Tensor, output["probabilities"][MAIN]).double().cpu().numpy() for output in outputs]
        features = _features(probabilities)
        stacked = np.mean(probabilities, axis=0)
        if self.stacker is not None:
            stacked = estimator_probabilities(self.stacker, features)
        return {"features": features, "probabilities": {MAIN: torch.from_numpy(stacked)}}


def _features(probabilities: Sequence[NDArray]) -> NDArray:
    """Log probabilities [N, members · C] of each member's [N, C]."""
    return np.log(np.clip(np.concatenate(probabilities, axis=1), _LEAST, None))
