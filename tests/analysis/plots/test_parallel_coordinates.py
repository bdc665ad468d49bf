import warnings

import numpy as np
import pandas as pd
import pytest
from tests.analysis.drawn import F1, LOSS, lines

from hallmark.analysis.plots.parallel_coordinates import parallel_coordinates


def ticks(figure, index):
    """Heights of the tick labels between an axis and the next, by text."""
    texts = [(*text.get_position(), text.get_text()) for text in figure.axes[0].texts]
    return {text: height for x, height, text in texts if index < x < index + 1 and 0 <= height <= 1}


def above_and_below(figure):
    texts = [(text.get_position()[1], text.get_text()) for text in figure.axes[0].texts]
    return [text for y, text in texts if y > 1], [text for y, text in texts if y < 0]


def test_lines_go_from_the_worst_trial_to_the_best_with_the_metric_as_color(trials):
    heights, shades = lines(parallel_coordinates(trials, ["model.head.dropout"], F1, "max"))
    assert heights[:, -1] == pytest.approx([0, 1 / 3, 2 / 3, 1])  # 0.5, 0.6, 0.7, 0.8
    assert shades == pytest.approx([0, 1 / 3, 2 / 3])
    assert heights[:, 0] == pytest.approx(0.06 + 0.88 * np.array([1, 2, 0, 3]) / 3)


def test_the_best_of_a_loss_is_the_lowest_line_and_shaded_as_best(trials):
    heights, shades = lines(parallel_coordinates(trials, ["model.head.dropout"], LOSS, "min"))
    assert heights[:, -1] == pytest.approx([1, 4 / 7, 3 / 7, 0])  # 0.9, 0.6, 0.5, 0.2
    assert shades == pytest.approx([0, 3 / 7, 4 / 7])


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
    positions = ticks(parallel_coordinates(trials, ["clip"], F1, "max"), 0)
    assert sorted(positions, key=positions.__getitem__) == ["none", "2.5", "10", "3", "auto"]


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
    labels = list(ticks(figure, 0))
    assert len(labels) == 12
    assert all(len(text) <= 12 and "…" in text and text.startswith("twit") for text in labels)
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
