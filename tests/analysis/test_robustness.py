import logging
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from hallmark.analysis.plots.style import PALETTE
from hallmark.analysis.robustness import Robustness, robustness_figure, value_and_drop
from hallmark.statistics import Resampling, all_intervals, paired_difference
from hallmark.statistics.proportions import wilson

SETTINGS = Resampling(0.9, 60, 3)
N = 20


class Fake:
    """Turns a view into the words of it, which `predict` reads."""

    def __init__(self, name):
        self.name = name

    def at(self, strength):
        return self.name, strength


def robustness(**changes):
    return Robustness(
        **{
            "perturbations": None,
            "strengths": [1, 2, 5],
            "metrics": ["accuracy"],
            "by_class": False,
            "statistics": SETTINGS,
            **changes,
        }
    )


@pytest.fixture
def predicted(table):
    """A function from how many of 20 rows are wrong to their predictions, in 10 groups of two."""

    def predicted(wrong, task="main"):
        target = ["cat", "dog"] * (N // 2)
        sure = [0.2 if i < wrong else 0.8 for i in range(N)]
        shares = [[s, 1 - s] if t == "cat" else [1 - s, s] for s, t in zip(sure, target, strict=True)]
        return table(target, shares, groups=[f"g{i // 2}" for i in range(N)], task=task)

    return predicted


@pytest.fixture
def state(make_state, predicted):
    """A function from a table by view to the state of an analysis; by default noise breaks two rows a strength."""

    def state(predict=None, clean=None, offered=("noise", "blur")):
        def changed(view):
            name, strength = view
            return predicted(4 + 2 * strength if name == "noise" else 4)

        data = SimpleNamespace(perturbations=lambda: {name: Fake(name) for name in offered})
        return make_state(predicted(4) if clean is None else clean, data=data, predict=predict or changed)

    return state


def test_values_and_drops_by_strength(state, read_csv):
    analysis_state = state()
    robustness().run(analysis_state)
    written = pd.read_csv(analysis_state.directory / "analysis" / "robustness.csv")
    assert written["perturbation"].tolist() == ["clean"] + ["noise"] * 3 + ["blur"] * 3
    assert written["strength"].tolist() == [0, 1, 2, 5, 1, 2, 5]
    assert written["value"].tolist() == pytest.approx([0.8, 0.7, 0.6, 0.3, 0.8, 0.8, 0.8])
    assert written["drop"].tolist()[1:] == pytest.approx([0.1, 0.2, 0.5, 0, 0, 0], abs=1e-12)
    assert written["drop"].isna().tolist() == [True] + [False] * 6
    assert (written["n"] == N).all() and (written["n_groups"] == 10).all() and (written["split"] == "val").all()


def test_each_class_may_have_a_curve_of_its_own(state, predicted):
    def toward_dogs(view):
        rows = predicted(0)
        cats = rows["target"] == "cat"
        rows.loc[cats, "probabilities"] = pd.Series([[0.3, 0.7]] * N, index=rows.index)[cats]
        return rows.assign(prediction="dog").assign(score=(~cats).astype(float))

    table = robustness(by_class=True).table(state(clean=predicted(0)), [])
    assert table["metric"].tolist() == ["accuracy", "accuracy of cat", "accuracy of dog"]
    analysis = robustness(by_class=True, strengths=[1])
    table = analysis.table(state(predict=toward_dogs, clean=predicted(0), offered=("noise",)), [Fake("noise")])
    changed = table[table["perturbation"] == "noise"].set_index("metric")
    assert changed["value"].tolist() == pytest.approx([0.5, 0, 1])
    assert changed["drop"].tolist() == pytest.approx([0.5, 1, 0])
    assert changed["n"].tolist() == [N, N // 2, N // 2]


def test_a_perturbation_without_effect_on_these_groups_may_have_one_on_others(state):
    table = robustness(perturbations=["blur"]).table(state(), [Fake("blur")])
    of_blur = table[table["perturbation"] == "blur"]
    assert (of_blur["drop"] == 0).all()
    bound = wilson(0, int(of_blur["n_groups"].iloc[0]), SETTINGS.confidence_level).high
    assert of_blur["drop_low"].tolist() == pytest.approx([-bound] * len(of_blur))
    assert of_blur["drop_high"].tolist() == pytest.approx([bound] * len(of_blur))
    clean = table.iloc[0]
    assert (of_blur["value_low"] == clean["value_low"]).all() and clean["value_low"] < 0.8


def test_intervals_are_those_of_the_value_and_of_the_paired_difference(predicted):
    clean, changed = predicted(4), predicted(9)
    intervals = value_and_drop(clean, changed, ["accuracy", "log_loss"], resampling=SETTINGS)
    for metric, sign in (("accuracy", -1), ("log_loss", 1)):
        value, drop = intervals[metric]
        assert value == all_intervals(changed, [metric], resampling=SETTINGS)[metric]
        expected = paired_difference(clean, changed, metric, resampling=SETTINGS).difference
        ends = sorted([sign * expected.low, sign * expected.high])
        assert (drop.estimate, drop.low, drop.high) == pytest.approx((sign * expected.estimate, *ends))
        assert drop.estimate > 0


def test_rows_are_matched_by_id_whatever_their_order(predicted):
    clean, changed = predicted(4), predicted(9)
    expected = value_and_drop(clean, changed, ["accuracy"], resampling=SETTINGS)
    assert value_and_drop(clean, changed.sample(frac=1, random_state=0), ["accuracy"], resampling=SETTINGS) == expected


def test_a_set_of_repeats_is_measured_over_its_repetitions(state, predicted):
    def pooled(*wrong):
        parts = [
            predicted(n).assign(
                repetition=index, member=index, id=lambda rows, index=index: rows["id"] + f"@seed {index}"
            )
            for index, n in enumerate(wrong)
        ]
        both = pd.concat(parts, ignore_index=True)
        both.attrs = parts[0].attrs
        return both

    analysis_state = state(lambda view: pooled(6, 10), pooled(4, 6))
    table = robustness(perturbations=["noise"], strengths=[3]).table(analysis_state, [Fake("noise")])
    assert table["value"].tolist() == pytest.approx([0.75, 0.6])
    assert table["drop"].iloc[1] == pytest.approx(0.15)
    assert table["n"].tolist() == [N] * 2


def test_every_task_has_its_rows(state, predicted):
    def both(first, second):
        parts = [predicted(first, "action"), predicted(second, "state")]
        joined = pd.concat(parts, ignore_index=True)
        joined.attrs = {"classes": {task: ["cat", "dog"] for task in ("action", "state")}, "slices": {}}
        return joined

    analysis_state = state(lambda view: both(10, 4), both(4, 2), offered=["noise"])
    table = robustness(strengths=[2], metrics=["accuracy", "macro_f1"]).table(analysis_state, [Fake("noise")])
    drops = table.query("strength == 2").set_index(["task", "metric"])["drop"]
    assert drops["action", "accuracy"] == pytest.approx(0.3) and drops["state", "accuracy"] == pytest.approx(0.1)
    figure = robustness_figure(table)
    titles = [ax.get_title(loc="left") for ax in figure.axes if ax.axison]
    assert titles == ["action: accuracy", "action: macro F1", "state: accuracy", "state: macro F1"]


def test_an_unknown_perturbation_is_refused_with_the_nearest(state):
    with pytest.raises(ValueError, match=re.escape("perturbations='nois': expected out of noise, blur; did you mean")):
        robustness(perturbations=["nois"]).run(state())


def test_a_model_that_reads_nothing_of_the_kind_keeps_its_clean_scores(state, caplog):
    analysis_state = state(lambda view: pytest.fail("there is nothing to predict"), offered=())
    with caplog.at_level(logging.WARNING):
        robustness().run(analysis_state)
    assert "nothing that this model reads has a perturbation" in caplog.text
    written = pd.read_csv(analysis_state.directory / "analysis" / "robustness.csv")
    assert written[["perturbation", "value"]].to_numpy().tolist() == [["clean", 0.8]]
    assert not (analysis_state.directory / "figures").exists()
    with pytest.raises(ValueError, match="out of none: what this model reads has no perturbation"):
        robustness(perturbations=["noise"]).run(analysis_state)


def test_rows_without_labels_are_refused_before_anything_is_predicted(state, table):
    analysis_state = state(lambda view: pytest.fail("predicted"), table([None, None], [[0.5, 0.5]] * 2))
    with pytest.raises(ValueError, match=r"^split='val': expected a split with labelled rows"):
        robustness().run(analysis_state)


def test_curves_start_at_clean_and_bands_hold_the_change(state, assert_drawn):
    analysis_state = state()
    table = robustness().table(analysis_state, [Fake("noise"), Fake("blur")])
    (ax,) = robustness_figure(table).axes
    lines = {line.get_label(): line for line in ax.lines}
    assert lines["noise"].get_xdata().tolist() == [0, 1, 2, 5]
    assert lines["noise"].get_ydata().tolist() == pytest.approx([0.8, 0.7, 0.6, 0.3])
    assert to_hex(lines["blur"].get_color()).upper() == PALETTE[1]
    noise = table[table["perturbation"] == "noise"]
    heights = np.concatenate([path.vertices[:, 1] for path in ax.collections[-2].get_paths()])
    assert heights.min() == pytest.approx(0.8 - noise["drop_high"].max())
    robustness().run(analysis_state)
    assert_drawn(analysis_state.directory, "robustness", least=(400, 250))


@pytest.mark.parametrize(
    ("key", "value"),
    [("perturbations", []), ("strengths", []), ("strengths", [0]), ("strengths", [1, 1]), ("metrics", ["f2"])],
)
def test_nonsense_is_refused_by_name(key, value):
    with pytest.raises(ValueError, match=f"^{key}="):
        robustness(**{key: value})
