"""Weighted areas, of few groups and of many, equal those of the rows of every resample."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import average_precision_score, roc_auc_score

from hallmark.statistics import table_metrics
from hallmark.statistics.metrics.weighted import weighted_metrics
from hallmark.statistics.sample import task_sample


@pytest.mark.parametrize("n_groups", [6, 45])
@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize(("metric", "plain"), [("auroc", roc_auc_score), ("auprc", average_precision_score)])
def test_equals_scikit_learn_on_the_repeated_rows(make_guesses, metric, plain, tied, n_groups):
    rng = np.random.default_rng(0)
    target, groups = rng.integers(3, size=90), np.arange(90) % n_groups
    frame = make_guesses(rng, target, groups, 0.3, tied=tied)
    sample = task_sample(frame)
    assert (sample.n_groups**2 <= len(target)) == (n_groups == 6)  # of few groups, tables of pairs are smaller
    weights = rng.integers(0, 3, size=(20, n_groups)).astype(float)
    weights[:, 0] += 1
    values = weighted_metrics(sample, [metric])(weights[:, :, None])[metric]
    shares = np.array(frame["probabilities"].tolist())
    for row, value in zip(weights, values, strict=True):
        times = row[sample.group].astype(int)
        again, scores = np.repeat(target, times), np.repeat(shares, times, axis=0)
        areas = [plain(again == c, scores[:, c]) for c in range(3)]
        assert value == pytest.approx(np.mean(areas), abs=1e-12)


def test_a_class_that_a_resample_lacks_is_left_out_of_the_mean(make_predictions):
    shares = np.array([[0.7, 0.2, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.3, 0.6, 0.1], [0.1, 0.1, 0.8]] * 2)
    target = [0, 1, 1, 0, 2] * 2
    frame = make_predictions(target, shares.argmax(1), groups=([0] * 4 + [1]) * 2, probabilities=shares)
    evaluate = weighted_metrics(task_sample(frame), ["auroc"])
    first_only, both, none = evaluate(np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 0.0]])[:, :, None])["auroc"]
    assert first_only == pytest.approx(0.75)
    assert both == pytest.approx(np.mean([10 / 12, 10 / 12, 1.0]))
    assert np.isnan(none)


@pytest.mark.parametrize("n_groups", [6, 200])
def test_two_classes_have_one_area_everywhere_where_float32_saturates(make_predictions, n_groups):
    """Of the first class's probability, 1 - p in float32, the rows below 6e-8 are all tied at 1."""
    rng = np.random.default_rng(1)
    target = rng.integers(2, size=200)
    second = expit(rng.normal(-16 + 4 * target, 4, size=200)).astype(np.float32)
    shares = np.stack([np.float32(1) - second, second], axis=1)
    frame = make_predictions(
        target, shares.argmax(1), groups=np.arange(200) % n_groups, probabilities=shares, classes=("no", "yes")
    )
    expected = roc_auc_score(target, second)
    assert roc_auc_score(target == 0, shares[:, 0]) != pytest.approx(expected, abs=1e-3)
    sample = task_sample(frame)
    areas = [
        table_metrics(frame)["main"]["auroc"],
        weighted_metrics(sample, ["auroc"])(np.ones((1, n_groups, 1)))["auroc"][0],
    ]
    assert areas == pytest.approx([expected] * 2, abs=1e-12)
