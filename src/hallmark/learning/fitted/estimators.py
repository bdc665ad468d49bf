"""What fitted classifiers of scikit-learn have learned, as arrays: kept without a pickle, and predicted from."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

if TYPE_CHECKING:
    from sklearn.base import ClassifierMixin

_LINEAR, _BOOSTED = "logistic regression", "boosted trees"
_NODE = ("left", "right", "feature_idx", "num_threshold", "missing_go_to_left", "is_leaf", "value")


def estimator_state(estimator: "ClassifierMixin") -> dict[str, Any]:
    """The state of a fitted `LogisticRegression`, `HistGradientBoostingClassifier` or LightGBM's `LGBMClassifier`, for
    `write_state`.

    Raises:
        TypeError: another estimator, which a pickle alone could hold, or trees with categorical features.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression

    if isinstance(estimator, LogisticRegression):
        learned = {"kind": _LINEAR, "coefficients": estimator.coef_, "intercept": estimator.intercept_}
    elif isinstance(estimator, HistGradientBoostingClassifier) and not np.any(estimator.is_categorical_):
        trees = [tree.nodes for iteration in estimator._predictors for tree in iteration]
        nodes = {name: np.concatenate([tree[name] for tree in trees]) for name in _NODE}
        learned = {
            "kind": _BOOSTED, "baseline": estimator._baseline_prediction.reshape(-1),
            "starts": np.cumsum([0, *(len(tree) for tree in trees[:-1])]), **nodes,
        }  # fmt: skip
    elif type(estimator).__module__.partition(".")[0] == "lightgbm":
        learned = {"kind": _BOOSTED, **_lightgbm_trees(estimator)}
    else:
        kinds = "LogisticRegression, or HistGradientBoostingClassifier or LGBMClassifier without categorical features"
        raise TypeError(f"{type(estimator).__name__}: only a pickle could hold it, and none is ever read; take {kinds}")
    return {**learned, "classes": estimator.classes_.tolist()}


def estimator_probabilities(state: Mapping[str, Any], features: NDArray) -> NDArray:
    """Probabilities [N, C] of the classes, in the order of `state["classes"]`, of `features` [N, F].

    As `predict_proba` of the estimator that `estimator_state` was given, to rounding.
    """
    features = np.asarray(features, np.float64)
    if state["kind"] == _LINEAR:
        logits = features @ state["coefficients"].T + state["intercept"]
    else:
        logits = _tree_sums(state, features)
    if logits.shape[1] == 1:
        positive = expit(logits)
        return np.hstack([1 - positive, positive])
    probabilities: NDArray = softmax(logits, axis=1)
    return probabilities


def _lightgbm_trees(estimator: Any) -> dict[str, NDArray]:
    """The trees of an `LGBMClassifier` in the form of those of scikit-learn, which has the same rule at a node."""
    model = estimator.booster_.dump_model()
    nodes: list[dict[str, Any]] = []
    starts = []

    def add(tree: Mapping[str, Any], start: int) -> int:
        """Append a tree and all below it; gives the position of its root behind `start`."""
        position = len(nodes)
        node = dict.fromkeys(_NODE, 0)
        nodes.append(node)
        if "split_feature" not in tree:
            node |= {"is_leaf": 1, "value": tree["leaf_value"]}
        elif tree["decision_type"] != "<=":
            raise TypeError("LGBMClassifier: its categorical features only a pickle could hold, and none is ever read")
        else:
            node |= {"feature_idx": tree["split_feature"], "num_threshold": tree["threshold"],
                     "missing_go_to_left": int(tree["default_left"]), "left": add(tree["left_child"], start),
                     "right": add(tree["right_child"], start)}  # fmt: skip
        nodes[position] = node
        return position - start

    for tree in model["tree_info"]:
        starts.append(len(nodes))
        add(tree["tree_structure"], len(nodes))
    columns = {name: np.array([node[name] for node in nodes]) for name in _NODE}
    return {"baseline": np.zeros(model["num_tree_per_iteration"]), "starts": np.array(starts), **columns}


def _tree_sums(state: Mapping[str, Any], features: NDArray) -> NDArray:
    """Sum of the leaves [N, K] that each row reaches in the trees, which come by iteration and class."""
    rows = np.arange(len(features))
    sums = np.tile(state["baseline"], (len(features), 1))
    for number, start in enumerate(state["starts"]):
        node = np.full(len(features), start)
        while not (at_leaf := state["is_leaf"][node].astype(bool)).all():
            values = features[rows, state["feature_idx"][node]]
            missing = state["missing_go_to_left"][node].astype(bool) & np.isnan(values)
            to_left = (values <= state["num_threshold"][node]) | missing
            below = start + np.where(to_left, state["left"][node], state["right"][node]).astype(np.int64)
            node = np.where(at_leaf, node, below)
        sums[:, number % sums.shape[1]] += state["value"][node]
    return sums
