import json
import logging

import numpy as np
import pytest
from scipy.optimize import minimize

from hallmark.analysis.classification.calibration import (
    ReliabilityDiagram,
    fit_class_temperature,
    reliability_figure,
    scale,
)
from hallmark.statistics import Resampling, metric_interval, reliability_bins

RESAMPLING = Resampling(0.9, 100, 0)


def calibration(bins=5, folds=3, **changes):
    return ReliabilityDiagram(bins, folds, **{"statistics": RESAMPLING, **changes})


def summary(state):
    return json.loads((state.directory / "analysis" / "calibration.json").read_text())


def test_temperature_one_changes_nothing_and_higher_ones_flatten():
    shares = np.array([[0.7, 0.2, 0.1], [1.0, 0.0, 0.0]])
    np.testing.assert_allclose(scale(shares, 1.0), shares, atol=1e-12)
    # square roots, normalised
    np.testing.assert_allclose(scale(shares[:1], 2.0)[0], np.sqrt(shares[0]) / np.sqrt(shares[0]).sum())


def test_the_temperature_of_a_known_distortion_is_found():
    """Rows whose labels occur exactly as often as `honest` says; sharpened twofold they need T = 2."""
    honest = np.repeat([[0.8, 0.2], [0.6, 0.4]], 10, axis=0)
    target = np.array([0] * 8 + [1] * 2 + [0] * 6 + [1] * 4)
    assert fit_class_temperature(target, scale(honest, 0.5)) == pytest.approx(2.0, abs=1e-3)


def test_the_temperature_is_the_minimum_of_the_log_loss(random_table):
    shares = np.stack(random_table(60, seed=2)["probabilities"])
    target = np.arange(60) % 2

    def loss(temperature):
        return -np.log(scale(shares, temperature[0])[np.arange(60), target]).mean()

    reference = minimize(loss, [1.0], method="Nelder-Mead")
    assert fit_class_temperature(target, shares) == pytest.approx(reference.x[0], rel=1e-2)


def test_perfect_separation_stays_within_bounds():
    assert 0.05 <= fit_class_temperature(np.array([0, 1]), np.array([[0.9, 0.1], [0.1, 0.9]])) < 0.07


def test_summary_holds_intervals_before_and_after(random_table, make_state, assert_drawn):
    predictions = random_table(120, seed=0)
    sharp = predictions.assign(probabilities=[scale(p[None], 0.25)[0] for p in predictions["probabilities"]])
    state = make_state(sharp)
    calibration().run(state)
    metrics = summary(state)["main"]
    expected = metric_interval(sharp, "ece", resampling=RESAMPLING)
    assert metrics["n"] == metrics["n_groups"] == 120
    assert metrics["ece"] == pytest.approx(vars(expected))
    assert metrics["brier"]["low"] < metrics["brier"]["estimate"] < metrics["brier"]["high"]
    assert len(metrics["scaled"]["temperature_of_folds"]) == 3
    assert metrics["scaled"]["temperature"] == pytest.approx(np.mean(metrics["scaled"]["temperature_of_folds"]))
    assert metrics["scaled"]["temperature"] > 2
    assert metrics["scaled"]["ece"]["estimate"] < metrics["ece"]["estimate"]
    assert_drawn(state.directory, "calibration")


def test_the_labels_of_a_group_do_not_reach_its_own_temperature(random_table):
    """Turning round the labels of one group leaves the scaled probabilities of that group as they were."""
    groups = [f"g{i // 10}" for i in range(40)]
    predictions = random_table(40, seed=1).assign(group=groups)
    in_group = predictions["group"] == "g1"
    turned = predictions.copy()
    turned.loc[in_group, "target"] = predictions.loc[in_group, "target"].map({"cat": "dog", "dog": "cat"})
    scaled = [calibration(folds=4).cross_fitted(t, ["cat", "dog"])[0] for t in (predictions, turned)]
    first, second = (np.stack(t["probabilities"]) for t in scaled)
    np.testing.assert_array_equal(first[in_group], second[in_group])
    assert not np.allclose(first[~in_group], second[~in_group])


def test_one_group_has_no_temperature_and_undefined_intervals(random_table, make_state, caplog):
    state = make_state(random_table(10, seed=0).assign(group="g"))
    with caplog.at_level(logging.WARNING):
        calibration().run(state)
    metrics = summary(state)["main"]
    assert metrics["scaled"] is None and metrics["ece"]["low"] is None
    assert "one group" in caplog.text


def test_single_class_and_unlabelled_rows(table, make_state):
    state = make_state(table(["cat", "cat", "cat", None], [[0.9, 0.1]] * 3 + [[0.2, 0.8]]))
    calibration(folds=2).run(state)
    assert summary(state)["main"]["n"] == 3
    assert summary(state)["main"]["ece"]["estimate"] == pytest.approx(0.1)


def test_the_figure_leaves_out_empty_bins_and_tells_the_error(table):
    bins = reliability_bins([0.9, 0.95, 0.6], [1, 0, 1], 5, range(3), resampling=RESAMPLING)
    ece = metric_interval(table(["cat", "dog"], [[0.9, 0.1], [0.8, 0.2]]), "ece", resampling=RESAMPLING)
    figure = reliability_figure({"as predicted": bins}, {"as predicted": ece})
    top, _ = figure.axes
    assert top.containers[0].lines[0].get_ydata().tolist() == [1.0, 0.5]
    assert any("ECE 0." in text.get_text() for text in figure.legends[0].get_texts())


def test_nothing_labelled_is_refused(table, make_state):
    with pytest.raises(ValueError, match="split='val'"):
        calibration().run(make_state(table([None], [[0.5, 0.5]])))


@pytest.mark.parametrize(("key", "value"), [("bins", 0), ("folds", 1)])
def test_nonsense_is_refused_by_name(key, value):
    with pytest.raises(ValueError, match=f"^{key}="):
        calibration(**{key: value})
