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


def test_what_only_a_pickle_could_hold_is_refused() -> None:
    features, target = rows(2)
    with pytest.raises(TypeError, match=r"RandomForestClassifier: .*pickle"):
        estimator_state(RandomForestClassifier(2).fit(features, target))
    categorical = HistGradientBoostingClassifier(max_iter=2, categorical_features=[1])
    features[:, 1] = features[:, 1].round().clip(0, 3)
    with pytest.raises(TypeError, match="categorical"):
        estimator_state(categorical.fit(features, target))
