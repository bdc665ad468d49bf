import numpy as np
import pandas as pd
import pytest
from tests.analysis.segmentation.scenes import overlaps

from hallmark.analysis.segmentation.bootstrap import Bootstrap, bootstrap_figure, bootstrap_texts
from hallmark.statistics import Resampling, all_intervals

RESAMPLING = Resampling(0.9, 200, 1)
PAIRS = {
    "one_shot": [(2, 4), (1, 4), (0, 5), (0, 3)],
    "main": [(3, 4), (1, 4), (0, 5), (0, 0)],
    "oracle": [(4, 4), (2, 4), (4, 5), (0, 0)],
}
TARGETS = [4, 4, 4, 0]  # the last has none


@pytest.fixture
def masks():
    return overlaps(PAIRS, groups=["a", "a", "b", "c"], target_area=TARGETS)


def table_of(predictions):
    table = Bootstrap(statistics=RESAMPLING).table(predictions)
    return table, table.set_index(["task", "minus", "metric"])["value"]


def test_values_by_hand(masks):
    table, value = table_of(masks)
    assert value["main", "", "miou"] == pytest.approx((0.75 + 0.25 + 0 + 1) / 4)
    assert value["main", "", "target_miou"] == pytest.approx((0.75 + 0.25 + 0) / 3)
    assert [value[task, "", "no_target_accuracy"] for task in PAIRS] == [0, 1, 1]
    assert value["main", "", "oiou"] == pytest.approx(4 / 13)
    assert [value["main", "", f"p@{t}"] for t in (0.5, 0.7, 0.8, 0.9)] == [0.5, 0.5, 0.25, 0.25]
    assert value["one_shot", "", "miou"] == pytest.approx(0.1875)
    assert value["one_shot", "", "oiou"] == pytest.approx(3 / 16)
    assert value["oracle", "", "miou"] == pytest.approx((1 + 0.5 + 0.8 + 1) / 4)
    assert (table["n"] == 4).all() and (table["n_groups"] == 3).all()


def test_a_difference_is_that_of_the_values_in_the_direction_it_says(masks):
    table, value = table_of(masks)
    differences = table[table["minus"] != ""]
    assert set(zip(differences["task"], differences["minus"], strict=True)) == {
        ("main", "one_shot"),
        ("oracle", "main"),
    }
    for row in differences.to_dict("records"):
        expected = value[row["task"], "", row["metric"]] - value[row["minus"], "", row["metric"]]
        assert row["value"] == pytest.approx(expected)
    assert value["main", "one_shot", "miou"] == pytest.approx(0.3125)


def test_intervals_resample_images(masks):
    table, _ = table_of(masks)
    main = masks[masks["task"] == "main"]
    expected = all_intervals(main, ["miou"], resampling=RESAMPLING)["miou"]
    row = table[(table["task"] == "main") & (table["minus"] == "") & (table["metric"] == "miou")].iloc[0]
    assert row["value"] == expected.estimate
    assert row[["value_low", "value_high"]].tolist() == pytest.approx([expected.low, expected.high], nan_ok=True)
    alone, _ = table_of(overlaps(PAIRS, groups=["a"] * 4))
    assert alone["value_low"].isna().all()


def test_only_loop_against_one_shot_is_tested(masks):
    table, _ = table_of(masks)
    tested = table["p_value"].notna()
    assert set(zip(table[tested]["task"], table[tested]["minus"], strict=True)) == {("main", "one_shot")}
    assert tested.sum() == 9 and (table[tested]["p_holm"] >= table[tested]["p_value"]).all()


def test_a_gain_in_every_image_is_found():
    one_shot, main = [(3, 10)] * 12, [(5, 10), (7, 10)] * 6
    groups = [f"g{i}" for i in range(12)]
    table, _ = table_of(overlaps({"main": main, "one_shot": one_shot}, groups=groups))
    row = table[table["minus"] == "one_shot"].iloc[0]
    assert row["value"] == pytest.approx(0.3) and 0.2 < row["value_low"] < 0.3 < row["value_high"] < 0.4
    assert row["p_value"] < 0.02
    assert bootstrap_texts(table).loc[0, "loop − one-shot"].startswith("+0.300 [+0.2")


def test_equal_answers_differ_by_nothing():
    table, _ = table_of(overlaps({"main": PAIRS["main"], "one_shot": PAIRS["main"]}))
    rows = table[table["minus"] == "one_shot"]
    assert (rows["value"] == 0).all() and not (rows["value_low"] == 0).any()
    assert (rows["p_value"] == 1).all()


def test_rows_without_truth_do_not_count(masks):
    more = {task: [*pairs, (None, None)] for task, pairs in PAIRS.items()}
    table, value = table_of(overlaps(more, groups=["a", "a", "b", "c", "d"], target_area=[*TARGETS, None]))
    pd.testing.assert_series_equal(value, table_of(masks)[1])
    assert (table["n"] == 4).all()


def test_a_metric_that_no_answer_has_is_left_out():
    table, _ = table_of(overlaps({"main": [(1, 2), (2, 4)], "one_shot": [(1, 2), (1, 4)]}))
    assert "target_miou" in set(table["metric"]) and "no_target_accuracy" not in set(table["metric"])
    assert table.index.tolist() == list(range(3 * 8))


def test_a_set_of_repeats_has_the_mean_over_its_runs(masks):
    worse = overlaps({task: [(0, 4)] * 4 for task in PAIRS}, groups=["a", "a", "b", "c"])
    runs = [
        part.assign(id=part["id"] + f"@seed {k}", repetition=k, member=k) for k, part in enumerate((masks, worse))
    ]  # fmt: skip
    both = pd.concat(runs, ignore_index=True)
    both.attrs = masks.attrs
    _, value = table_of(both)
    assert value["main", "", "miou"] == pytest.approx(0.5 / 2)
    assert value["main", "one_shot", "miou"] == pytest.approx(0.3125 / 2)


def test_a_run_that_never_rewrites_has_a_bound_but_no_gain(masks):
    alone = masks[masks["task"] != "one_shot"]
    table, _ = table_of(alone)
    assert set(table["minus"]) == {"", "main"}
    assert list(bootstrap_texts(table)) == ["metric", "one-shot", "best proposal", "best proposal − one-shot"]
    only, _ = table_of(masks[masks["task"] == "main"])
    assert len(bootstrap_figure(only).axes) == 1


def test_the_figure_has_a_dot_for_every_value(masks):
    table, _ = table_of(masks)
    left, gain, bound = bootstrap_figure(table).axes
    dots = np.concatenate([container.lines[0].get_xdata() for container in left.containers])
    assert dots.tolist() == table[table["minus"] == ""]["value"].tolist()
    assert gain.get_title(loc="left") == "loop − one-shot"
    assert gain.containers[0].lines[0].get_xdata()[0] == pytest.approx(0.3125)
    assert bound.get_title(loc="left") == "best proposal − loop"
    assert [label.get_text() for label in left.get_yticklabels()][:3] == ["mIoU", "target mIoU", "no target accuracy"]
