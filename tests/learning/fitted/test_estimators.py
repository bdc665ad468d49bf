"""Classifiers of scikit-learn kept as arrays predict as they did."""

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from hallmark.learning.fitted.estimators import estimator_probabilities, estimator_state
from hallmark.storage.state import read_state, write_state


def rows(n_classes: int, *, missing: bool = False) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(200, 5))
    target = (features[:, 0] * n_classes / 2 + rng.normal(size=200)).round().astype(int) % n_classes
    if missing:
        features[rng.random(features.shape) < 0.2] = np.nan
    return features, np.array(["a", "b", "c"])[target]


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize(
    "estimator", [LogisticRegression(C=0.5), HistGradientBoostingClassifier(max_iter=8, min_samples_leaf=5)]
)
def test_its_probabilities_are_those_of_the_estimator(tmp_path, estimator, n_classes) -> None:
    features, target = rows(n_classes, missing=isinstance(estimator, HistGradientBoostingClassifier))
    estimator.fit(features, target)
    write_state(tmp_path / "state.safetensors", estimator_state(estimator))
    state = read_state(tmp_path / "state.safetensors")
    assert state["classes"] == sorted(set(target))
    expected = estimator.predict_proba(features)
    np.testing.assert_allclose(estimator_probabilities(state, features), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("rounds", [1, 12])
def test_trees_of_lightgbm_are_kept_likewise(n_classes, rounds) -> None:
    lightgbm = pytest.importorskip("lightgbm")
    features, target = rows(n_classes)
    estimator = lightgbm.LGBMClassifier(n_estimators=rounds, num_leaves=6, n_jobs=1, verbose=-1).fit(features, target)
    expected = estimator.predict_proba(features)
    np.testing.assert_allclose(estimator_probabilities(estimator_state(estimator), features), expected, atol=1e-12)
    constant = lightgbm.LGBMClassifier(n_estimators=2, min_child_samples=500, n_jobs=1, verbose=-1).fit(
        features, target
    )
    expected = constant.predict_proba(features)
    np.testing.assert_allclose(estimator_probabilities(estimator_state(constant), features), expected, atol=1e-12)


def test_what_only_a_pickle_could_hold_is_refused() -> None:
    features, target = rows(2)
    with pytest.raises(TypeError, match=r"RandomForestClassifier: .*pickle"):
        estimator_state(RandomForestClassifier(2).fit(features, target))
    categorical = HistGradientBoostingClassifier(max_iter=2, categorical_features=[1])
    features[:, 1] = features[:, 1].round().clip(0, 3)
    with pytest.raises(TypeError, match="categorical"):
        estimator_state(categorical.fit(features, target))
