import numpy as np
import pandas as pd
import pytest

from hallmark.analysis.slices import Slices, slice_figure
from hallmark.statistics import Resampling, all_intervals

RESAMPLING = Resampling(0.9, 200, 3)


def slices(columns=None, **changes):
    return Slices(columns, **{"statistics": RESAMPLING, **changes})


@pytest.fixture
def pets(table):
    """short: cat right, dog wrong; long: two cats right, unlabelled row; no row is `huge`."""
    return table(
        ["cat", "dog", "cat", "cat", None],
        [[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4], [0.5, 0.5]],
        slice_length=["short", "short", "long", "long", "long"],
        slice_sky=["x|y", "x|y", "x|y", "x|y", "$5"],
        slices={"slice_length": ["short", "long", "huge"], "slice_sky": ["x|y", "$5"]},
    )


def test_values_by_hand(pets):
    values = slices(["length"]).table(pets).set_index("category")
    assert values.index.tolist() == ["all", "short", "long", "huge"]
    assert values["n"].tolist() == [4, 2, 2, 0]
    assert values["accuracy"].tolist()[:3] == [0.75, 0.5, 1.0]
    # all: F1 of cat 6 / 7, of dog 0. short: F1 of cat 2 / 3, of dog 0. long: cat alone.
    assert values["macro_f1"].tolist()[:2] == pytest.approx([3 / 7, 1 / 3])
    assert values.loc["huge"].drop(["task", "slice", "n", "n_groups"]).isna().all()


def test_a_category_of_one_class_has_its_recall_and_no_macro_f1(table):
    """F1 of the one class would be 2 r / (1 + r) of its recall r = 2 / 3, as nothing can be taken for it wrongly."""
    dogs = ["dog"] * 3
    shares = [[0.9, 0.1], [0.2, 0.8], [0.2, 0.8], [0.2, 0.8], [0.9, 0.1]]
    rows = table([*dogs, "cat", "cat"], shares, slice_a=["x", "x", "x", "y", "y"])
    values = slices().table(rows).set_index("category")
    assert values["macro_f1"].isna().tolist() == [False, True, True]
    assert values["recall"].tolist()[1:] == pytest.approx([2 / 3, 1 / 2]) and np.isnan(values.loc["all", "recall"])
    assert values["only_class"].tolist()[1:] == ["dog", "cat"] and pd.isna(values.loc["all", "only_class"])
    assert values["recall_low"].tolist()[1:] == pytest.approx(values["accuracy_low"].tolist()[1:], nan_ok=True)


@pytest.mark.parametrize("groups", [range(40), [i // 4 for i in range(40)]])
def test_the_slice_of_all_rows_has_the_interval_of_every_other_page(table, groups):
    """Also where every row is a group of its own."""
    rows = table(["cat", "dog"] * 20, [[0.9, 0.1]] * 30 + [[0.2, 0.8]] * 10, slice_a=["x", "y"] * 20)
    rows["group"] = [str(name) for name in groups]
    row = slices().table(rows).set_index("category").loc["all"]
    for metric, interval in all_intervals(rows, ["accuracy", "macro_f1"], resampling=RESAMPLING).items():
        ends = row[[metric, f"{metric}_low", f"{metric}_high"]].tolist()
        assert ends == [interval.estimate, interval.low, interval.high]


def test_all_slice_columns_by_default_with_or_without_prefix(pets):
    assert slices().table(pets)["slice"].unique().tolist() == ["all", "length", "sky"]
    assert slices(["slice_sky"]).table(pets)["slice"].unique().tolist() == ["all", "sky"]


def test_undeclared_categories_and_missing_values_are_reported_too(table):
    predictions = table(["cat"] * 4, [[0.9, 0.1]] * 4, slice_a=["z", "b", None, "a"], slices={"slice_a": ["z"]})
    assert slices().table(predictions)["category"].tolist() == ["all", "z", "a", "b", "(missing)"]


def test_tasks_with_scores_only_have_their_mean(table):
    predictions = table(["cat"] * 4, [[0.9, 0.1]] * 4, slice_a=["x", "x", "y", "y"]).assign(
        target=None, score=[0.2, 0.4, 0.6, np.nan]
    )
    predictions.attrs["classes"] = {}
    values = slices().table(predictions).set_index("category")
    assert values["score"].tolist() == pytest.approx([0.4, 0.3, 0.6])
    assert values["n"].tolist() == [3, 2, 1]


def test_two_tasks_have_a_figure_each(table, make_state, assert_drawn):
    parts = [table(["cat", "dog"], [[0.9, 0.1]] * 2, slice_a=["x", "y"], task=name) for name in ("pet", "toy")]
    both = pd.concat(parts, ignore_index=True)
    both.attrs = {
        "classes": {"pet": ["cat", "dog"], "toy": ["cat", "dog"]},
        "slices": {"slice_a": ["x", "y"]},
    }
    state = make_state(both)
    slices().run(state)
    assert_drawn(state.directory, "slices_pet")
    assert_drawn(state.directory, "slices_toy")


def test_table_and_figure(pets, make_state, read_csv, assert_drawn, capsys):
    state = make_state(pets)
    slices().run(state)
    assert read_csv(state.directory, "slices")["n"].tolist() == [4, 2, 2, 0, 4, 0]
    assert_drawn(state.directory, "slices")
    printed = capsys.readouterr().out
    assert "0.750 [" in printed and "nan" not in printed and "main" not in printed


def test_the_figure_says_n_of_empty_categories_and_draws_no_dot_there(pets):
    figure = slice_figure(slices(["length"]).table(pets))
    (ax,) = figure.axes
    assert [text.get_text() for text in ax.texts] == ["n = 2", "n = 2", "n = 0"]
    assert "accuracy of all 4: 0.750" in [text.get_text() for text in figure.legends[0].get_texts()]
    dots = ax.containers[0].lines[0].get_xdata()
    assert np.isnan(dots).tolist() == [False, False, True]


def test_single_class_and_intervals_that_are_empty_everywhere(table, make_state, assert_drawn):
    rows = table(["cat"] * 3, [[0.9, 0.1]] * 3, slice_a=["x", "x", "y"], group=["g"] * 3)
    values = slices().table(rows)
    assert values["accuracy"].tolist() == values["recall"].tolist() == [1.0] * 3
    assert values["accuracy_low"].isna().all()
    state = make_state(rows)
    slices().run(state)
    assert_drawn(state.directory, "slices")


def test_nothing_labelled_is_refused(table, make_state):
    with pytest.raises(ValueError, match=r"split='val'.*labelled"):
        slices().run(make_state(table([None], [[0.5, 0.5]], slice_a=["x"])))


def test_unknown_columns_and_tables_without_slices_are_refused(pets, table):
    with pytest.raises(ValueError, match=r"columns=.*colour.*slice_length, slice_sky"):
        slices(["colour"]).table(pets)
    with pytest.raises(ValueError, match=r"columns=None.*no slices"):
        slices().table(table(["cat"], [[0.9, 0.1]]))


@pytest.mark.parametrize(("key", "value"), [("columns", [])])
def test_nonsense_is_refused_by_name(key, value):
    with pytest.raises(ValueError, match=f"^{key}="):
        slices(**{key: value})
