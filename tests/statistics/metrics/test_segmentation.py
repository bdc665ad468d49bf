"""Metrics of masks, against numbers by hand."""

import math

import numpy as np
import pandas as pd
import pytest

from hallmark.statistics import (
    SEGMENTATION_METRICS,
    Resampling,
    all_intervals,
    metric_names,
    paired_difference,
    table_metrics,
)
from hallmark.statistics.metrics.segmentation import segmentation_metrics

# IoU 1/3, 1, 0, 1 (both empty), 1/2
INTERSECTION, UNION = np.array([2.0, 4, 0, 0, 6]), np.array([6.0, 4, 4, 0, 12])
TARGET_AREA = np.array([4.0, 4, 0, 0, 8])  # the third and fourth have no target; the fourth is answered so
IOU = np.array([1 / 3, 1, 0, 1, 0.5])
EXPECTED = {
    "miou": (1 / 3 + 1 + 0 + 1 + 0.5) / 5, "target_miou": (1 / 3 + 1 + 0.5) / 3, "no_target_accuracy": 0.5,
    "oiou": 12 / 26,
    "p@0.5": 0.6, "p@0.6": 0.4, "p@0.7": 0.4, "p@0.8": 0.4, "p@0.9": 0.4,
}  # fmt: skip
RESAMPLING = Resampling(0.9, 200, 0)


@pytest.fixture
def table():
    """Five expressions about three images."""
    frame = pd.DataFrame({
        "id": list("abcde"), "split": "val", "task": "main", "group": [1, 1, 2, 3, 3], "target": "{}",
        "prediction": "{}", "confidence": 0.5, "probabilities": [[1.0]] * 5, "score": IOU,
        "intersection": INTERSECTION, "union": UNION, "target_area": TARGET_AREA,
    })  # fmt: skip
    frame.attrs = {"classes": {}}
    return frame


def test_metrics_by_hand():
    assert segmentation_metrics(IOU, INTERSECTION, UNION, TARGET_AREA) == pytest.approx(EXPECTED)


def test_metrics_of_nothing_and_of_empty_masks():
    nothing = np.zeros(0)
    assert all(math.isnan(value) for value in segmentation_metrics(*[nothing] * 4).values())
    assert segmentation_metrics(np.ones(1), *[np.zeros(1)] * 3)["oiou"] == 1


def test_the_metrics_of_a_table_with_overlaps(table):
    assert table_metrics(table) == {"main": pytest.approx({**EXPECTED, "n": 5})}
    assert metric_names(table, None) == SEGMENTATION_METRICS
    scores_only = table.drop(columns=["intersection", "union"])
    scores_only.attrs = table.attrs
    assert table_metrics(scores_only) == {"main": {"score": pytest.approx(EXPECTED["miou"]), "n": 5}}


def test_rows_without_truth_do_not_count(table):
    table.loc[2, ["score", "intersection", "union", "target"]] = None
    assert table_metrics(table)["main"]["n"] == 4
    assert table_metrics(table)["main"]["oiou"] == pytest.approx(12 / 22)


def test_intervals_resample_images_and_oiou_is_the_ratio_of_sums(table):
    twice = pd.concat(
        [table, table.assign(id=table["id"].astype(str) + "b", group=table["group"].astype(str) + "b")],
        ignore_index=True,
    )
    twice.attrs = table.attrs
    intervals = all_intervals(twice, SEGMENTATION_METRICS, resampling=RESAMPLING)
    assert {name: interval.estimate for name, interval in intervals.items()} == pytest.approx(EXPECTED)
    for interval in intervals.values():
        assert 0 < interval.low < interval.estimate < interval.high < 1
    assert all(math.isnan(interval.low) for interval in all_intervals(
        table, SEGMENTATION_METRICS, resampling=RESAMPLING).values())  # fmt: skip


def test_metrics_of_rows_with_a_target_and_of_rows_without_are_those_of_a_table_of_such_rows(table):
    intervals = all_intervals(table, SEGMENTATION_METRICS, resampling=RESAMPLING)
    has = table["target_area"] > 0
    for rows, name, missing in ((table[has], "target_miou", "no_target_accuracy"),
                                (table[~has], "no_target_accuracy", "target_miou")):  # fmt: skip
        rows.attrs = table.attrs
        alone = all_intervals(rows, ["miou", name, missing], resampling=RESAMPLING)
        assert alone[name] == alone["miou"] and alone["miou"].estimate == pytest.approx(intervals[name].estimate)
        assert math.isnan(alone[missing].estimate) and table_metrics(rows)["main"][missing] is None


def test_two_answers_are_compared_by_image(table):
    better = table.assign(score=[1.0, 1, 1, 1, 1], intersection=table["union"])
    better.attrs = table.attrs
    paired = paired_difference(table, better, "miou", resampling=RESAMPLING)
    assert paired.difference.estimate == pytest.approx(1 - EXPECTED["miou"])
    assert (paired.n_rows, paired.n_groups) == (5, 3)
    assert paired_difference(table, better, "oiou", resampling=RESAMPLING).difference.estimate == pytest.approx(14 / 26)


def test_a_metric_that_masks_do_not_have_is_refused(table):
    with pytest.raises(ValueError, match=r"accuracy: this task has score, miou, target_miou, no_target"):
        all_intervals(table, ["accuracy"], resampling=RESAMPLING)
