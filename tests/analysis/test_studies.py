import warnings
from math import nan

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.collections import LineCollection

from hallmark.analysis.parallel import parallel_coordinates
from hallmark.analysis.studies import (
    importance_bars,
    optimisation_history,
    pareto_front,
    short_names,
    trade_off,
)

F1, LOSS = "val/macro_f1", "val/loss"


@pytest.fixture
def trials():
    """Out of order, as a resumed search may write them; trial 3 is complete without a value."""
    return pd.DataFrame(
        {
            "number": [4, 0, 1, 2, 3, 5, 6, 7],
            "state": ["complete", "complete", "complete", "pruned", "complete", "failed", "running", "complete"],
            F1: [0.7, 0.5, 0.8, nan, nan, nan, nan, 0.6],
            LOSS: [0.2, 0.9, 0.5, nan, nan, nan, nan, 0.6],
            "seconds": 1.0,
            "model.optimizer.lr": [1e-3, 1e-5, 1e-4, 1e-4, 1e-4, 1e-4, 1e-4, 1e-2],
            "model.head.dropout": [0.1, 0.2, 0.4, 0.1, 0.1, 0.1, 0.1, 0.3],
            "model.encoder": ["b/large", "a/small", "a/small", "x", "x", "x", "x", "b/base"],
            "model.frozen": [True, False, False, True, True, True, True, True],
            "model.clip": [nan, 1.0, 5.0, 1.0, 1.0, 1.0, 1.0, 1.0],
        }
    )


def by_label(ax):
    handles, labels = ax.get_legend_handles_labels()
    return dict(zip(labels, handles, strict=True))


def points(collection):
    return np.asarray(collection.get_offsets()).tolist()


def sentence(figure):
    (ax,) = figure.axes
    assert not ax.lines and not ax.collections
    return ax.texts[0].get_text().replace("\n", " ")


def lines(figure):
    """[N, axes] heights from the worst trial to the best, and the values that are coloured."""
    (ax,) = figure.axes
    (collection,) = [artist for artist in ax.collections if isinstance(artist, LineCollection)]
    best = next(line for line in ax.lines if line.get_label().startswith("best of"))
    rest = [segment[:, 1] for segment in collection.get_segments()]
    return np.array([*rest, best.get_ydata()]), np.asarray(collection.get_array())


def ticks(figure, index):
    """Heights of the tick labels between an axis and the next, by text."""
    texts = [(*text.get_position(), text.get_text()) for text in figure.axes[0].texts]
    return {text: height for x, height, text in texts if index < x < index + 1 and 0 <= height <= 1}


def above_and_below(figure):
    texts = [(text.get_position()[1], text.get_text()) for text in figure.axes[0].texts]
    return [text for y, text in texts if y > 1], [text for y, text in texts if y < 0]


def test_the_history_shows_values_and_the_best_so_far(trials):
    (ax,) = optimisation_history(trials, F1, "max").axes
    found = by_label(ax)
    assert points(found["complete (4)"]) == [[0, 0.5], [1, 0.8], [4, 0.7], [7, 0.6]]
    so_far = found["best so far"]
    assert so_far.get_xydata().tolist() == [[0, 0.5], [1, 0.8], [4, 0.8], [7, 0.8], [7, 0.8]]
    assert so_far.get_drawstyle() == "steps-post"
    assert points(found["best: trial 1, 0.8"]) == [[1, 0.8]]
    assert ax.get_ylabel() == "validation macro F1\n(higher is better)"


def test_the_best_of_a_loss_is_the_lowest(trials):
    (ax,) = optimisation_history(trials, LOSS, "min").axes
    assert by_label(ax)["best so far"].get_ydata().tolist() == [0.9, 0.5, 0.2, 0.2, 0.2]
    assert points(by_label(ax)["best: trial 4, 0.2"]) == [[4, 0.2]]


def test_pruned_and_failed_trials_lie_at_the_bottom_below_all_values(trials):
    trials.loc[trials["number"] == 5, "number"] = 9
    (ax,) = optimisation_history(trials, F1, "max").axes
    found = by_label(ax)
    for label, number in (("pruned (1)", 2), ("failed (1)", 9)):
        ((x, share),) = points(found[label])
        assert x == number
        assert ax.get_ylim()[0] + share * np.ptp(ax.get_ylim()) < 0.5
    assert found["best so far"].get_xdata()[-1] == 9


def test_only_a_loss_over_decades_has_a_logarithmic_axis(trials):
    trials[LOSS] = trials[LOSS].replace(0.9, 90.0)
    trials[F1] = trials[F1].replace(0.5, 0.01)
    assert optimisation_history(trials, LOSS, "min").axes[0].get_yscale() == "log"
    assert optimisation_history(trials, F1, "max").axes[0].get_yscale() == "linear"
    (ax,) = trade_off(trials, [LOSS, F1], ["min", "max"]).axes
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "linear")
    shares = np.log([90, 0.6, 0.5, 0.2]) - np.log(0.2)
    heights, _ = lines(parallel_coordinates(trials, ["model.clip"], LOSS, "min"))
    assert heights[:, -1] == pytest.approx(shares / shares[0])


def test_bars_from_the_most_important_key():
    (ax,) = importance_bars({"optim.lr": 0.25, "head.lr": nan, "data.batch_size": 0.75}).axes
    assert [bar.get_width() for bar in ax.patches] == [0.75, 0.25, 0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["batch size", "optim lr", "head lr"]
    assert [text.get_text() for text in ax.texts] == ["0.75", "0.25", "–"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]


def test_importances_of_nothing():
    assert sentence(importance_bars({})).startswith("No importances")


def test_short_names_are_the_last_parts_unless_that_is_ambiguous():
    keys = ["model.optimizer.lr", "model.head.lr", "data.batch_size", "seed", "model.seed"]
    assert list(short_names(keys).values()) == ["optimizer.lr", "head.lr", "batch_size", "seed", "model.seed"]


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
    found = by_label(ax)
    assert points(found["dominated (1)"]) == [[0.5, 0.9]]
    assert sorted(points(found["Pareto front (3)"])) == [[0.7, 0.2], [0.75, 0.3], [0.8, 0.5]]
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


def test_lines_go_from_the_worst_trial_to_the_best_with_the_metric_as_colour(trials):
    heights, shades = lines(parallel_coordinates(trials, ["model.head.dropout"], F1, "max"))
    assert heights[:, -1] == pytest.approx([0, 1 / 3, 2 / 3, 1])  # 0.5, 0.6, 0.7, 0.8
    assert shades == pytest.approx([0, 1 / 3, 2 / 3])
    assert heights[:, 0] == pytest.approx(0.06 + 0.88 * np.array([1, 2, 0, 3]) / 3)


def test_the_best_of_a_loss_is_the_lowest_line_and_shaded_as_best(trials):
    heights, shades = lines(parallel_coordinates(trials, ["model.head.dropout"], LOSS, "min"))
    assert heights[:, -1] == pytest.approx([1, 4 / 7, 3 / 7, 0])  # 0.9, 0.6, 0.5, 0.2
    assert shades == pytest.approx([0, 3 / 7, 4 / 7])


def test_the_first_of_equal_trials_is_the_best(trials):
    for mode in ("max", "min"):
        equal = trials.assign(**{F1: trials[F1] * 0 + 0.5})
        figure = parallel_coordinates(equal, ["model.head.dropout"], F1, mode)
        assert figure.legends[0].get_texts()[0].get_text().startswith("best of 4: trial 0 ")
        assert "best: trial 0, 0.5" in by_label(optimisation_history(equal, F1, mode).axes[0])


def test_numbers_over_decades_are_logarithmic_with_readable_ticks(trials):
    figure = parallel_coordinates(trials, ["model.optimizer.lr"], F1, "max")
    places = 0.06 + 0.88 * np.arange(4) / 3
    assert lines(figure)[0][:, 0] == pytest.approx(places[[0, 3, 2, 1]])
    assert ticks(figure, 0) == pytest.approx(dict(zip(["1e-5", "1e-4", "0.001", "0.01"], places, strict=True)))


@pytest.mark.parametrize(("top", "middle"), [(31, 15 / 30), (33, np.log(16) / np.log(33))])
def test_the_logarithm_begins_at_one_and_a_half_decades(top, middle):
    trials = pd.DataFrame({"number": range(3), "state": "complete", F1: [0.1, 0.2, 0.3], "n": [1, 16, top]})
    assert lines(parallel_coordinates(trials, ["n"], F1, "max"))[0][1, 0] == pytest.approx(0.06 + 0.88 * middle)


def test_many_numbers_have_round_ticks_inside_their_range():
    trials = pd.DataFrame({"number": range(9), "state": "complete", F1: np.linspace(0.1, 0.9, 9)})
    trials["width"], trials["lr"] = np.linspace(0.17, 0.53, 9), np.logspace(-5.2, -1.8, 9)
    figure = parallel_coordinates(trials, ["width", "lr"], F1, "max")
    assert ticks(figure, 0) == pytest.approx({t: (float(t) - 0.17) / 0.36 for t in ("0.2", "0.3", "0.4", "0.5")})
    powers = {text: (np.log10(float(text)) + 5.2) / 3.4 for text in ("1e-5", "1e-4", "0.001", "0.01")}
    assert ticks(figure, 1) == pytest.approx(powers)


def test_categories_have_their_names_as_ticks_and_spread_lines(trials):
    figure = parallel_coordinates(trials, ["model.encoder", "model.frozen"], F1, "max")
    assert ticks(figure, 0) == pytest.approx({"small": 1 / 6, "base": 1 / 2, "large": 5 / 6})
    assert ticks(figure, 1) == pytest.approx({"false": 1 / 4, "true": 3 / 4})
    heights = lines(figure)[0]
    assert heights[:, 0] == pytest.approx([1 / 6 - 0.06, 1 / 2, 5 / 6, 1 / 6 + 0.06])
    assert heights[:, 1] == pytest.approx([1 / 4 - 0.06, 3 / 4 - 0.06, 3 / 4 + 0.06, 1 / 4 + 0.06])


def test_what_was_not_set_is_below_the_numbers(trials):
    figure = parallel_coordinates(trials, ["model.clip"], F1, "max")
    assert ticks(figure, 0) == pytest.approx({"none": 0.06, "1": 0.2, "5": 0.94})
    assert lines(figure)[0][[2, 3], 0] == pytest.approx([0.06, 0.94])


def test_mixed_values_are_categories_in_the_order_none_numbers_names():
    mixed = pd.Series(["auto", 10, None, 2.5, "3"], dtype=object)
    trials = pd.DataFrame({"number": range(5), "state": "complete", F1: np.arange(5) / 10, "clip": mixed})
    found = ticks(parallel_coordinates(trials, ["clip"], F1, "max"), 0)
    assert sorted(found, key=found.__getitem__) == ["none", "2.5", "10", "3", "auto"]


def test_titles_and_the_settings_of_the_best_trial(trials):
    keys = ["model.optimizer.lr", "model.encoder", "model.frozen", "model.clip"]
    figure = parallel_coordinates(trials, keys, F1, "max")
    titles, settings_ = above_and_below(figure)
    assert [title.replace("\n", " ") for title in titles] == ["lr", "encoder", "frozen", "clip", "validation macro F1"]
    assert settings_ == ["1e-4", "small", "false", "5", "0.8"]


def test_long_names_are_wrapped_at_their_separators_and_lose_only_their_middle():
    names = [f"owner/twitter-roberta-{size}-sentiment-latest-{i}" for i, size in enumerate(["base", "large"] * 6)]
    trials = pd.DataFrame({"number": range(12), "state": "complete", F1: np.arange(12) / 20, "encoder": names})
    keys = [f"k{i}" for i in range(7)]
    figure = parallel_coordinates(trials.assign(**dict.fromkeys(keys, 1)), ["encoder", *keys], F1, "max")
    shown = list(ticks(figure, 0))
    assert len(shown) == 12
    assert all(len(text) <= 12 and "…" in text and text.startswith("twit") for text in shown)
    few = parallel_coordinates(trials[:2], ["encoder"], F1, "max")
    assert [text.replace("\n", "") for text in ticks(few, 0)] == [name.removeprefix("owner/") for name in names[:2]]


@pytest.mark.parametrize(("n", "n_keys"), [(3, 8), (300, 2), (100, 8)])
def test_text_stays_apart_whatever_the_size(n, n_keys, tmp_path):
    rng = np.random.default_rng(n)
    trials = pd.DataFrame({"number": range(n), "state": "complete", F1: rng.uniform(size=n)})
    keys = [f"model.part.setting_{i}" for i in range(n_keys)]
    for i, key in enumerate(keys):
        trials[key] = 10.0 ** rng.uniform(-6, -1, n) if i % 2 else rng.choice(["openai/clip-vit-base-patch32", "b"], n)
    figure = parallel_coordinates(trials, keys, F1, "max")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(tmp_path / "parallel.png")
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    overlaps = [(a, b) for i, a in enumerate(boxes) for b in boxes[:i] if a.overlaps(b)]
    assert not overlaps
    assert figure.get_figwidth() <= 7.01


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
    assert expected in sentence(optimisation_history(study, F1, "max"))
    assert expected in sentence(parallel_coordinates(study, ["model.clip"], F1, "max"))
    first, _, rest = expected.partition("F1 0.8")
    told = sentence(trade_off(study, [F1, LOSS], ["max", "min"]))
    assert first in told and told.endswith(rest) and ("validation loss 0.5" in told) == ("F1 0.8" in expected)


def test_equal_values_and_constant_keys_are_drawn(trials):
    trials[F1], trials["model.clip"] = 0.5, 1.0
    assert (lines(parallel_coordinates(trials, ["model.clip"], F1, "max"))[0][:, -1] == 0.5).all()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        low, high = optimisation_history(trials, F1, "max").axes[0].get_ylim()
    assert low < 0.5 < high


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda t: optimisation_history(t, F1, "maximise"), "mode='maximise': expected max or min"),
        (lambda t: optimisation_history(t, "val/auroc", "max"), "expected a column val/auroc"),
        (lambda t: parallel_coordinates(t, ["lr"], F1, "max"), "expected a column lr"),
        (lambda t: parallel_coordinates(t, [], F1, "max"), "expected one searched key or more"),
        (lambda t: trade_off(t, [F1], ["max"]), "expected two names, with two modes"),
    ],
)
def test_mistakes_are_refused_by_name(trials, draw, message):
    with pytest.raises(ValueError, match=message):
        draw(trials)
