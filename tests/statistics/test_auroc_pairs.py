"""The AUROC of few groups of many rows equals that of the rows of every resample."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from hallmark.statistics.sample import task_sample
from hallmark.statistics.weighted import weighted_metrics


@pytest.mark.parametrize("tied", [False, True])
def test_equals_scikit_learn_on_the_repeated_rows(make_guesses, tied):
    rng = np.random.default_rng(0)
    target, groups = rng.integers(3, size=90), np.arange(90) % 6
    frame = make_guesses(rng, target, groups, 0.3, tied=tied)
    sample = task_sample(frame)
    assert sample.n_groups**2 <= len(target)
    weights = rng.integers(0, 3, size=(20, 6)).astype(float)
    weights[:, 0] += 1
    found = weighted_metrics(sample, ["auroc"])(weights)["auroc"]
    shares = np.array(frame["probabilities"].tolist())
    for row, value in zip(weights, found, strict=True):
        times = row[sample.group].astype(int)
        again, scores = np.repeat(target, times), np.repeat(shares, times, axis=0)
        areas = [roc_auc_score(again == c, scores[:, c]) for c in range(3)]
        assert value == pytest.approx(np.mean(areas), abs=1e-12)


def test_a_class_that_a_resample_lacks_is_left_out_of_the_mean(make_predictions):
    shares = np.array([[0.7, 0.2, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.3, 0.6, 0.1], [0.1, 0.1, 0.8]] * 2)
    target = [0, 1, 1, 0, 2] * 2
    frame = make_predictions(target, shares.argmax(1), groups=([0] * 4 + [1]) * 2, probabilities=shares)
    evaluate = weighted_metrics(task_sample(frame), ["auroc"])
    first_only, both, none = evaluate(np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]]))["auroc"]
    assert first_only == pytest.approx(0.75)
    assert both == pytest.approx(np.mean([10 / 12, 10 / 12, 1.0]))
    assert np.isnan(none)
