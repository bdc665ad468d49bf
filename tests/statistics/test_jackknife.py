"""Intervals, differences and repeats of distances between real and generated rows."""

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_1samp, ttest_ind, ttest_rel

from hallmark.statistics import (
    Interval,
    Resampling,
    all_intervals,
    labelled_rows,
    metric_names,
    paired_difference,
    size_text,
    table_metrics,
    two_sets_note,
)
from hallmark.statistics.metrics.sets import DISTANCES, SET_METRICS, FrechetDistance, KernelDistance
from hallmark.statistics.metrics.sets.distances import OfFeatures

Maker = Callable[..., pd.DataFrame]
RESAMPLING = Resampling(confidence_level=0.95, n_resamples=200, seed=0)
NAMES = tuple(DISTANCES)


class MeanDifference:
    """The difference of two means: a number whose t intervals are known."""

    name, low = "mean_difference", -math.inf

    def __call__(self, first: np.ndarray, second: np.ndarray) -> float:
        return float(first.mean() - second.mean())

    def without_blocks(self, first: np.ndarray, second: np.ndarray, blocks: tuple, n_blocks: int) -> np.ndarray:
        return np.array([self(first[blocks[0] != b], second[blocks[1] != b]) for b in range(n_blocks)])


@pytest.fixture
def mean_interval(monkeypatch: pytest.MonkeyPatch) -> Callable[[pd.DataFrame], Interval]:
    metrics = dict(SET_METRICS) | {"mean_difference": OfFeatures(MeanDifference())}
    monkeypatch.setattr("hallmark.statistics.jackknife.SET_METRICS", metrics)
    return lambda table: all_intervals(table, ["mean_difference"], resampling=RESAMPLING)["mean_difference"]


def features(rng: np.random.Generator, n: int, *, shift: float = 0.0, width: int = 4) -> np.ndarray:
    return np.maximum(rng.normal(size=(n, width)) + shift, 0)


def test_groups_of_one_kind_give_welchs_interval_and_shared_ones_the_paired(
    make_two_sets: Maker, mean_interval: Callable[[pd.DataFrame], Interval]
) -> None:
    rng = np.random.default_rng(5)
    real, generated = rng.normal(size=(9, 1)), 3 * rng.normal(size=(9, 1)) + 1
    apart = mean_interval(make_two_sets(real, generated))
    welch = ttest_ind(real.ravel(), generated.ravel(), equal_var=False).confidence_interval(0.95)
    assert (apart.low, apart.high) == pytest.approx((welch.low, welch.high))
    order = rng.permutation(9)
    shared = mean_interval(make_two_sets(real, generated[order], groups=range(9), generated_groups=order))
    paired = ttest_rel(real.ravel(), generated.ravel()).confidence_interval(0.95)
    assert (shared.low, shared.high) == pytest.approx((paired.low, paired.high))


def test_rows_of_a_group_are_left_out_together(
    make_two_sets: Maker, mean_interval: Callable[[pd.DataFrame], Interval]
) -> None:
    """Ten copies of a row say no more than the row."""
    rng = np.random.default_rng(6)
    real, generated = rng.normal(size=(8, 1)), rng.normal(size=(8, 1))
    once = mean_interval(make_two_sets(real, generated))
    copied, labels = (np.repeat(part, 10, axis=0) for part in (real, np.arange(8)))
    copies = mean_interval(make_two_sets(copied, generated, groups=labels))
    assert (copies.low, copies.high) == pytest.approx((once.low, once.high))


def test_many_groups_are_left_out_in_blocks(
    make_two_sets: Maker, mean_interval: Callable[[pd.DataFrame], Interval]
) -> None:
    real = np.random.default_rng(7).normal(size=(2000, 1))
    interval = mean_interval(make_two_sets(real, np.zeros((2000, 1))))
    expected = ttest_1samp(real.ravel(), 0).confidence_interval(0.95)
    assert interval.high - interval.low == pytest.approx(expected.high - expected.low, rel=0.3)


def test_metrics_of_a_table_are_the_distances_of_its_features(make_two_sets: Maker) -> None:
    rng = np.random.default_rng(8)
    real, generated = features(rng, 12), features(rng, 10, shift=0.5)
    table = make_two_sets(real, generated)
    expected = {metric.name: metric(real, generated) for metric in (KernelDistance(), FrechetDistance())}
    assert metric_names(table, None) == tuple(expected)
    assert table_metrics(table)["main"] == pytest.approx({**expected, "n": 22})
    intervals = all_intervals(table, NAMES, resampling=RESAMPLING)
    assert {name: intervals[name].estimate for name in NAMES} == pytest.approx(expected)
    assert all(interval.low < interval.estimate < interval.high for interval in intervals.values())
    assert intervals["frechet_distance"].low > 0
    assert size_text(table) == "22 rows (12 real, 10 generated)"
    assert all_intervals(table, NAMES, resampling=RESAMPLING) == intervals


def test_the_order_of_rows_changes_nothing(make_two_sets: Maker) -> None:
    table = make_two_sets(*(features(np.random.default_rng(seed), 30) for seed in (0, 1)))
    shuffled = table.sample(frac=1, random_state=0)
    assert table_metrics(shuffled)["main"] == pytest.approx(table_metrics(table)["main"])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda table: table.drop(columns="features"), "have no features"),
        (lambda table: table.assign(features=None), "have no features"),
        (lambda table: table.assign(features=table["features"].where(table["id"] != "real 3")), "1 of 20 rows have no"),
        (lambda table: table.assign(features=[row[: 3 + i % 2] for i, row in enumerate(table["features"])]), "lengths"),
        (
            lambda table: table.assign(features=[np.full(4, math.nan), *table["features"][1:]]),
            "1 of 20 rows have features",
        ),
        (lambda table: table[:11], "10 real and 1 generated"),
        (lambda table: table[10:], "0 real and 10 generated"),
    ],
)
def test_rows_without_a_distance_say_why(
    make_two_sets: Maker, change: Callable[[pd.DataFrame], pd.DataFrame], reason: str
) -> None:
    table = change(make_two_sets(*(features(np.random.default_rng(seed), 10) + 1 for seed in (0, 1))))
    table.attrs = {"classes": {}}
    assert reason in two_sets_note(table)
    assert table_metrics(table)["main"] == {"kernel_distance": None, "frechet_distance": None, "n": len(table)}
    assert all(math.isnan(value.low) for value in all_intervals(table, NAMES, resampling=RESAMPLING).values())
    assert math.isnan(paired_difference(table, table, "kernel_distance", resampling=RESAMPLING).p_value)


@pytest.mark.parametrize("scale", [1e-3, 1e20, 1e40])
def test_the_scale_of_the_features_is_that_of_the_interval(make_two_sets: Maker, scale: float) -> None:
    rng = np.random.default_rng(3)
    real, generated = features(rng, 12), features(rng, 12, shift=0.5)
    once, scaled = (
        all_intervals(make_two_sets(factor * real, factor * generated), NAMES, resampling=RESAMPLING)
        for factor in (1.0, scale)
    )
    plain, times = once["frechet_distance"], scaled["frechet_distance"]
    expected = [scale**2 * end for end in (plain.estimate, plain.low, plain.high)]
    assert (times.estimate, times.low, times.high) == pytest.approx(expected)
    kernel = scaled["kernel_distance"]
    assert -math.inf < kernel.low < kernel.estimate < kernel.high < math.inf


def test_features_whose_distance_is_no_number_say_so(make_two_sets: Maker) -> None:
    rng = np.random.default_rng(3)
    table = make_two_sets(1e160 * features(rng, 12), 1e160 * features(rng, 12))
    metrics = table_metrics(table)["main"]
    assert [metrics[name] for name in NAMES] == [None, None]
    assert "too large" in two_sets_note(table)
    assert all(math.isnan(each.low) for each in all_intervals(table, NAMES, resampling=RESAMPLING).values())


def test_a_kind_is_real_or_generated(make_two_sets: Maker) -> None:
    table = make_two_sets(np.eye(4), np.eye(4))
    with pytest.raises(ValueError, match="kind fake"):
        table_metrics(table.replace({"kind": {"generated": "fake"}}))


def test_fewer_than_four_groups_have_no_interval(make_two_sets: Maker) -> None:
    rows = features(np.random.default_rng(8), 6)
    table = make_two_sets(rows, rows + 1, groups=[0, 0, 1, 1, 2, 2])
    interval = all_intervals(table, NAMES, resampling=RESAMPLING)["frechet_distance"]
    assert interval.estimate > 0 and math.isnan(interval.low) and math.isnan(interval.high)


@pytest.mark.parametrize("metric", NAMES)
def test_resampling_with_replacement_shifts_a_distance_and_leaving_out_does_not(
    make_two_sets: Maker, metric: str
) -> None:
    """Of 12 groups of 2 rows the middle 95 % of resampled distances lie too high; the jackknife holds its level."""
    rng = np.random.default_rng(10)
    values, shifts, intervals, percentiles = [], [], [], []
    labels = np.repeat(np.arange(12), 2)
    for _ in range(120):
        sets = [shift + 0.6 * rng.normal(size=(12, 1, 6)) + 0.8 * rng.normal(size=(12, 2, 6)) for shift in (0.0, 0.3)]
        table = make_two_sets(*(rows.reshape(24, 6) for rows in sets), groups=labels, generated_groups=labels + 12)
        intervals.append(all_intervals(table, [metric], resampling=RESAMPLING)[metric])
        draws = rng.integers(12, size=(60, 2, 12))
        drawn = [
            DISTANCES[metric](*(rows[pick].reshape(-1, 6) for rows, pick in zip(sets, draw, strict=True)))
            for draw in draws
        ]
        values.append(intervals[-1].estimate)
        shifts.append(np.mean(drawn) - values[-1])
        percentiles.append(np.quantile(drawn, [0.025, 0.975]))
    expected = np.mean(values)
    assert np.mean(shifts) > 0.3 * expected
    low, high = np.array(percentiles).T
    assert np.mean((low <= expected) & (expected <= high)) < 0.8
    assert np.mean([interval.low <= expected <= interval.high for interval in intervals]) >= 0.93


@pytest.mark.parametrize("shift", [0.0, 0.4])
def test_intervals_hold_their_level_and_equal_generators_seldom_differ_significantly(
    make_two_sets: Maker, shift: float
) -> None:
    rng, n, n_studies, level, claims = np.random.default_rng(11), 100, 60, 0.93, 0
    intervals: dict[str, list[Interval]] = {name: [] for name in NAMES}
    for _ in range(n_studies):
        real = features(rng, n, width=3)
        groups = {"groups": range(n), "generated_groups": range(n)}
        tables = [make_two_sets(real, features(rng, n, shift=shift, width=3), **groups) for _ in range(2)]
        for name, interval in all_intervals(tables[0], NAMES, resampling=RESAMPLING).items():
            intervals[name].append(interval)
        claims += paired_difference(*tables, "kernel_distance", resampling=RESAMPLING).is_significant
    for name, of_name in intervals.items():
        expected = np.mean([interval.estimate for interval in of_name])
        covered = np.mean([interval.low <= expected <= interval.high for interval in of_name])
        assert covered >= level - 2 * math.sqrt(level * (1 - level) / n_studies), name
    assert claims / n_studies <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / n_studies)


def test_a_difference_is_that_of_the_distances_and_less_is_better(make_two_sets: Maker) -> None:
    rng = np.random.default_rng(12)
    real = features(rng, 80)
    near, far = (make_two_sets(real, features(rng, 80, shift=shift)) for shift in (0.0, 1.0))
    paired = paired_difference(far, near, "kernel_distance", resampling=RESAMPLING)
    values = [table_metrics(table)["main"]["kernel_distance"] for table in (far, near)]
    assert paired.difference.estimate == pytest.approx(values[1] - values[0])
    assert paired.difference.high < 0 and paired.p_value < 0.001
    assert paired.finding("far", "near") == "near is better than far"
    assert "lower by" in paired.sentence("far", "near", "kernel distance")
    assert paired.n_groups == 160 and paired.n_models == 1


def test_what_both_generate_from_one_group_is_paired(make_two_sets: Maker) -> None:
    """Two generators that add their own little noise to the same draws differ by less than either is uncertain."""
    rng = np.random.default_rng(13)
    real, drawn = features(rng, 60), features(rng, 60, shift=0.5)
    first, second = (
        make_two_sets(real, drawn + 0.02 * rng.normal(size=drawn.shape), generated_groups=range(60)) for _ in range(2)
    )
    paired = paired_difference(first, second, "frechet_distance", resampling=RESAMPLING).difference
    alone = all_intervals(first, ["frechet_distance"], resampling=RESAMPLING)["frechet_distance"]
    assert paired.high - paired.low < 0.5 * (alone.high - alone.low)


def test_features_of_another_network_are_not_compared(make_two_sets: Maker) -> None:
    rng = np.random.default_rng(14)
    real, generated = features(rng, 20), features(rng, 20)
    with pytest.raises(ValueError, match="one network"):
        paired_difference(
            make_two_sets(real, generated), make_two_sets(2 * real, generated), "kernel_distance", resampling=RESAMPLING
        )


def test_a_metric_of_rows_is_refused(make_two_sets: Maker) -> None:
    with pytest.raises(ValueError, match="metric accuracy: real and generated rows have kernel_distance"):
        all_intervals(make_two_sets(np.eye(4), np.eye(4)), ["accuracy"], resampling=RESAMPLING)


def pooled(tables: list[pd.DataFrame], repetitions: list[int]) -> pd.DataFrame:
    parts = [
        table.assign(id=table["id"] + f"@seed {member}", repetition=repetition, member=member)
        for member, (table, repetition) in enumerate(zip(tables, repetitions, strict=True))
    ]
    together = pd.concat(parts, ignore_index=True)
    together.attrs = tables[0].attrs
    return together


@pytest.mark.parametrize("is_folds", [False, True])
def test_of_a_set_of_repeats_the_value_is_the_mean_over_models(make_two_sets: Maker, is_folds: bool) -> None:
    """Rows of several models are never one set, not even those of the folds of one repetition."""
    rng = np.random.default_rng(15)
    tables = [make_two_sets(features(rng, 20), features(rng, 20, shift=shift)) for shift in (0.2, 0.6, 1.0)]
    table = pooled(tables, [0, 0, 0] if is_folds else [0, 1, 2])
    alone = [table_metrics(part)["main"] for part in tables]
    intervals = all_intervals(table, NAMES, resampling=RESAMPLING)
    for name in NAMES:
        mean = np.mean([values[name] for values in alone])
        assert table_metrics(table)["main"][name] == pytest.approx(mean)
        assert intervals[name].estimate == pytest.approx(mean)
        assert intervals[name].low < mean < intervals[name].high


def test_the_luck_of_training_widens_the_interval_of_seeds(make_two_sets: Maker) -> None:
    rng = np.random.default_rng(16)
    real = features(rng, 100)
    lucky, alike = (
        pooled([make_two_sets(real, features(rng, 100, shift=shift)) for shift in shifts], [0, 1, 2, 3])
        for shifts in ((0.2, 0.5, 0.8, 1.1), (0.65,) * 4)
    )
    widths = []
    for table in (lucky, alike):
        interval = all_intervals(table, ["kernel_distance"], resampling=RESAMPLING)["kernel_distance"]
        widths.append(interval.high - interval.low)
    assert widths[0] > 2 * widths[1]
    paired = paired_difference(lucky, alike, "kernel_distance", resampling=RESAMPLING)
    assert paired.n_models == 4 and paired.n_rows == 200 and not paired.is_significant


def test_sets_stand_beside_tasks_with_classes(make_two_sets: Maker, make_predictions: Maker) -> None:
    """As where a judge says of each generated row which class it is of."""
    sets = make_two_sets(*(features(np.random.default_rng(seed), 10) for seed in (0, 1)))
    judged = make_predictions([0, 1, 2, 2], [0, 1, 2, 1], task="judge")
    table = pd.concat([sets, judged], ignore_index=True)
    table.attrs = {"classes": judged.attrs["classes"]}
    assert len(labelled_rows(table)) == 24
    metrics = table_metrics(table)
    assert set(metrics["main"]) == {*NAMES, "n"} and metrics["judge"]["accuracy"] == 0.75
    judge = table[table["task"] == "judge"]
    assert all_intervals(judge, ["accuracy"], resampling=RESAMPLING)["accuracy"].estimate == 0.75
