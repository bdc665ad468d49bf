import warnings
from math import nan

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tests.analysis.drawn import F1, LOSS, by_label, lines, points, sentence

from hallmark.analysis.plots.parallel_coordinates import parallel_coordinates
from hallmark.analysis.plots.studies import (
    importance_bars,
    optimization_history,
    pareto_front,
    trade_off,
)


def test_the_history_shows_values_and_the_best_so_far(trials):
    (ax,) = optimization_history(trials, F1, "max").axes
    artists = by_label(ax)
    assert points(artists["complete (4)"]) == [[0, 0.5], [1, 0.8], [4, 0.7], [7, 0.6]]
    so_far = artists["best so far"]
    assert so_far.get_xydata().tolist() == [[0, 0.5], [1, 0.8], [4, 0.8], [7, 0.8], [7, 0.8]]
    assert so_far.get_drawstyle() == "steps-post"
    assert points(artists["best: trial 1, 0.8"]) == [[1, 0.8]]
    assert ax.get_ylabel() == "validation macro F1\n(higher is better)"


def test_the_best_of_a_loss_is_the_lowest(trials):
    (ax,) = optimization_history(trials, LOSS, "min").axes
    assert by_label(ax)["best so far"].get_ydata().tolist() == [0.9, 0.5, 0.2, 0.2, 0.2]
    assert points(by_label(ax)["best: trial 4, 0.2"]) == [[4, 0.2]]


def test_pruned_and_failed_trials_lie_at_the_bottom_below_all_values(trials):
    trials.loc[trials["number"] == 5, "number"] = 9
    (ax,) = optimization_history(trials, F1, "max").axes
    artists = by_label(ax)
    for label, number in (("pruned (1)", 2), ("failed (1)", 9)):
        ((x, share),) = points(artists[label])
        assert x == number
        assert ax.get_ylim()[0] + share * np.ptp(ax.get_ylim()) < 0.5
    assert artists["best so far"].get_xdata()[-1] == 9


def test_only_a_loss_over_decades_has_a_logarithmic_axis(trials):
    trials[LOSS] = trials[LOSS].replace(0.9, 90.0)
    trials[F1] = trials[F1].replace(0.5, 0.01)
    assert optimization_history(trials, LOSS, "min").axes[0].get_yscale() == "log"
    assert optimization_history(trials, F1, "max").axes[0].get_yscale() == "linear"
    (ax,) = trade_off(trials, [LOSS, F1], ["min", "max"]).axes
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "linear")
    shares = np.log([90, 0.6, 0.5, 0.2]) - np.log(0.2)
    heights, _ = lines(parallel_coordinates(trials, ["model.clip"], LOSS, "min"))
    assert heights[:, -1] == pytest.approx(shares / shares[0])


def test_bars_from_the_most_important_key():
    (ax,) = importance_bars({"optim.lr": 0.25, "head.lr": nan, "data.batch_size": 0.75}).axes
    assert [patch.get_width() for patch in ax.patches] == [0.75, 0.25, 0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["batch size", "optim lr", "head lr"]
    assert [text.get_text() for text in ax.texts] == ["0.75", "0.25", "–"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]


def test_importances_of_nothing():
    assert sentence(importance_bars({})).startswith("No importances")


@pytest.mark.parametrize(
    ("modes", "expected"),
    [(("max", "max"), [1, 2, 3]), (("min", "min"), [0]), (("max", "min"), [0, 3]), (("min", "max"), [1])],
)
def test_the_front_by_hand(modes, expected):
    values = np.array([[0, 0], [0, 3], [2, 2], [3, 1], [1, 2], [2, 1]])
    assert np.flatnonzero(pareto_front(values, modes)).tolist() == expected


def test_equal_trials_are_both_on_the_front():
    assert pareto_front(np.array([[1.0, 2.0], [1.0, 2.0], [0.0, 2.0]]), ["max", "max"]).tolist() == [True, True, False]


@settings(max_examples=40, deadline=None)
@given(arrays(float, (7, 2), elements=st.integers(0, 4)))
def test_what_is_not_on_the_front_is_beaten_by_something_on_it(values):
    front = pareto_front(values, ["max", "min"])
    gain = values * [1, -1]
    for row in gain[~front]:
        assert any((other >= row).all() and (other > row).any() for other in gain[front])
    for row in gain[front]:
        assert not any((other >= row).all() and (other > row).any() for other in gain)


def test_the_trade_off_shows_the_front_and_its_trials(trials):
    trials.loc[trials["number"] == 7, [F1, LOSS]] = [0.75, 0.3]
    (ax,) = trade_off(trials, [F1, LOSS], ["max", "min"]).axes
    artists = by_label(ax)
    assert points(artists["dominated (1)"]) == [[0.5, 0.9]]
    assert sorted(points(artists["Pareto front (3)"])) == [[0.7, 0.2], [0.75, 0.3], [0.8, 0.5]]
    assert ax.lines[0].get_xydata().tolist() == [[0.7, 0.2], [0.75, 0.3], [0.8, 0.5]]
    assert [(text.get_text(), *text.xy) for text in ax.texts] == [("4", 0.7, 0.2), ("7", 0.75, 0.3), ("1", 0.8, 0.5)]
    assert ax.get_xlabel() == "validation macro F1 (higher is better)"
    assert ax.get_ylabel() == "validation loss (lower is better)"


@pytest.mark.parametrize(("mode", "style"), [("max", "steps-pre"), ("min", "steps-post")])
def test_the_front_encloses_what_it_dominates(trials, mode, style):
    (ax,) = trade_off(trials, [F1, LOSS], [mode, "min"]).axes
    assert ax.lines[0].get_drawstyle() == style


def test_numbers_on_the_front_do_not_cover_each_other():
    close = pd.DataFrame({"number": range(3), "state": "complete", "a": [0, 1, 1.001], "b": [1, 0.001, 0.0]})
    (ax,) = trade_off(close, ["a", "b"], ["max", "max"]).axes
    assert [text.get_text() for text in ax.texts] == ["0", "1"]


def test_the_first_of_equal_trials_is_the_best(trials):
    for mode in ("max", "min"):
        equal = trials.assign(**{F1: trials[F1] * 0 + 0.5})
        figure = parallel_coordinates(equal, ["model.head.dropout"], F1, mode)
        assert figure.legends[0].get_texts()[0].get_text().startswith("best of 4: trial 0 ")
        assert "best: trial 0, 0.5" in by_label(optimization_history(equal, F1, mode).axes[0])


TOO_FEW = {
    "nothing": (pd.DataFrame(), "no trials yet"),
    "none": (slice(3, 6), "No trial of this study has a value yet (1 pruned, 1 complete without a value, 1 failed)."),
    "one": (slice(2, 4), "Only trial 1 of this study has a value: validation macro F1 0.8 (1 pruned)."),
    "alone": (slice(2, 3), "Only trial 1 of this study has a value: validation macro F1 0.8."),
}


@pytest.mark.parametrize("case", TOO_FEW)
def test_a_study_without_two_values_says_so(trials, case):
    rows, expected = TOO_FEW[case]
    study = rows if isinstance(rows, pd.DataFrame) else trials.set_index(trials.index + 10)[rows]
    assert expected in sentence(optimization_history(study, F1, "max"))
    assert expected in sentence(parallel_coordinates(study, ["model.clip"], F1, "max"))
    first, _, last = expected.partition("F1 0.8")
    printed = sentence(trade_off(study, [F1, LOSS], ["max", "min"]))
    assert first in printed and printed.endswith(last) and ("validation loss 0.5" in printed) == ("F1 0.8" in expected)


def test_equal_values_and_constant_keys_are_drawn(trials):
    trials[F1], trials["model.clip"] = 0.5, 1.0
    assert (lines(parallel_coordinates(trials, ["model.clip"], F1, "max"))[0][:, -1] == 0.5).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        low, high = optimization_history(trials, F1, "max").axes[0].get_ylim()
    assert low < 0.5 < high
