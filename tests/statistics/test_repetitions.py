"""Tables of repeats: a column `repetition`, ids that carry the member's note, groups that recur."""

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from hallmark.statistics import (
    CLASSIFICATION_METRICS,
    Resampling,
    all_intervals,
    metric_interval,
    paired_difference,
    table_metrics,
)
from hallmark.statistics.metrics.weighted import weighted_metrics
from hallmark.statistics.sample import task_sample

Maker = Callable[..., pd.DataFrame]
SETTINGS = Resampling(0.9, 300, 7)


def seeds(make: Maker, n_seeds: int, *, skill: float = 0.5, n: int = 60, groups: int = 12) -> pd.DataFrame:
    """The same rows, predicted by a model of each seed."""
    target, unit = np.arange(n) % 3, np.arange(n) % groups
    tables = []
    for seed in range(n_seeds):
        rng = np.random.default_rng([seed, int(10 * skill)])
        table = make(rng, target, unit, skill + 0.1 * seed)
        tables.append(table.assign(id=table["id"] + f"@seed {seed}", repetition=seed))
    pooled = pd.concat(tables, ignore_index=True)
    pooled.attrs = tables[0].attrs
    return pooled


def once(table: pd.DataFrame, repetition: int) -> pd.DataFrame:
    return table[table["repetition"] == repetition]


def test_a_metric_is_the_mean_over_repetitions(make_guesses: Maker) -> None:
    table = seeds(make_guesses, 3)
    alone = [table_metrics(once(table, repetition))["main"] for repetition in range(3)]
    together = table_metrics(table)["main"]
    intervals = all_intervals(table, CLASSIFICATION_METRICS, resampling=SETTINGS)
    assert together["n"] == 60
    for name in CLASSIFICATION_METRICS:
        mean = np.mean([values[name] for values in alone])
        assert together[name] == pytest.approx(mean)
        assert intervals[name].estimate == pytest.approx(mean)
        assert intervals[name].low < intervals[name].high
    pooled = table_metrics(table.drop(columns="repetition"))["main"]
    assert pooled["auroc"] != pytest.approx(together["auroc"], abs=1e-6)


def test_one_repetition_equals_a_table_without_the_column(make_guesses: Maker) -> None:
    first, second = seeds(make_guesses, 1), seeds(make_guesses, 1, skill=0.8)
    plain = [table.drop(columns="repetition") for table in (first, second)]
    assert table_metrics(first) == table_metrics(plain[0])
    names = [*CLASSIFICATION_METRICS, "score"]
    assert all_intervals(first, names, resampling=SETTINGS) == all_intervals(plain[0], names, resampling=SETTINGS)
    for name in names:
        assert paired_difference(first, second, name, resampling=SETTINGS) == paired_difference(
            *plain, name, resampling=SETTINGS
        )


def test_weights_of_cells_act_as_repeated_rows_of_each_repetition(make_guesses: Maker) -> None:
    table = seeds(make_guesses, 3, n=24, groups=6)
    sample = task_sample(table)
    weights = np.random.default_rng(0).integers(1, 4, size=(4, 6, 3)).astype(float)
    values = weighted_metrics(sample, ["macro_f1"])(weights)["macro_f1"]
    for resample, value in zip(weights, values, strict=True):
        times = resample[sample.group, sample.model].astype(int)
        repeated = table.loc[table.index.repeat(times)]
        each = [table_metrics(once(repeated, t))["main"]["macro_f1"] for t in range(3)]
        assert value == pytest.approx(np.average(each, weights=resample.mean(axis=0)))


def test_seeds_that_agree_add_nothing(make_guesses: Maker) -> None:
    single = seeds(make_guesses, 1)
    copies = pd.concat([single.assign(id=single["id"] + str(t), repetition=t) for t in range(4)])
    interval, expected = (metric_interval(table, "macro_f1", resampling=SETTINGS) for table in (copies, single))
    assert vars(interval) == pytest.approx(vars(expected))


def test_seeds_that_differ_widen_the_interval(make_guesses: Maker) -> None:
    table = seeds(make_guesses, 4)
    shifted = table.assign(score=table["score"] + table["repetition"])
    narrow, wide = (metric_interval(rows, "score", resampling=SETTINGS) for rows in (table, shifted))
    assert narrow.high - narrow.low < 0.4 and wide.high - wide.low > 1
    assert wide.estimate == pytest.approx(narrow.estimate + 1.5)


def test_the_order_of_rows_does_not_matter(make_guesses: Maker) -> None:
    table = seeds(make_guesses, 3).sort_values("group", kind="stable")
    backwards = table.sort_values("repetition", ascending=False, kind="stable")
    assert table["group"].unique().tolist() == backwards["group"].unique().tolist()
    assert metric_interval(backwards, "macro_f1", resampling=SETTINGS) == metric_interval(
        table, "macro_f1", resampling=SETTINGS
    )


def test_paired_difference_is_that_of_the_means(make_guesses: Maker) -> None:
    first, second = seeds(make_guesses, 3), seeds(make_guesses, 3, skill=0.9)
    for name in ("macro_f1", "auroc", "ece"):
        paired = paired_difference(first, second, name, resampling=SETTINGS)
        expected = table_metrics(second)["main"][name] - table_metrics(first)["main"][name]
        assert paired.difference.estimate == pytest.approx(expected)
        assert paired.difference.low < expected < paired.difference.high
        assert (paired.n_rows, paired.n_groups, paired.n_models) == (60, 12, 3)
        assert "60 rows in 12 groups, 3 models each" in paired.sentence("B", "A", name)


def test_a_repetition_is_drawn_for_both_systems_at_once(make_guesses: Maker) -> None:
    """A luck of the seed that both share leaves no trace in their difference."""
    first, second = seeds(make_guesses, 4), seeds(make_guesses, 4, skill=0.9)
    plain = paired_difference(first, second, "score", resampling=SETTINGS)
    lucky = [table.assign(score=table["score"] + table["repetition"]) for table in (first, second)]
    paired = paired_difference(*lucky, "score", resampling=SETTINGS)
    assert vars(paired.difference) == pytest.approx(vars(plain.difference))
    assert paired.p_value == pytest.approx(plain.p_value)


def test_a_metric_undefined_in_a_repetition_is_undefined(make_guesses: Maker) -> None:
    table = seeds(make_guesses, 2)
    one_class = table.assign(target=table["target"].where(table["repetition"] == 0, "neutral"))
    assert table_metrics(one_class)["main"]["auroc"] is None
    assert math.isnan(metric_interval(one_class, "auroc", resampling=SETTINGS).estimate)
    assert not math.isnan(metric_interval(one_class, "accuracy", resampling=SETTINGS).low)


def test_groups_may_be_missing_in_a_repetition(make_guesses: Maker) -> None:
    table = seeds(make_guesses, 2)
    uneven = table[(table["repetition"] == 0) | (table["group"] != "3")]
    intervals = all_intervals(uneven, CLASSIFICATION_METRICS, resampling=SETTINGS)
    expected = table_metrics(uneven)["main"]
    for name, interval in intervals.items():
        assert interval.estimate == pytest.approx(expected[name]) and interval.low < interval.high


def test_refuses_a_row_without_repetition_and_tables_that_disagree(make_guesses: Maker) -> None:
    table = seeds(make_guesses, 2)
    with pytest.raises(ValueError, match="60 of 120 rows have no repetition"):
        table_metrics(table.assign(repetition=table["repetition"].where(table["repetition"] > 0)))
    with pytest.raises(ValueError, match="60 of 120 rows differ in repetition"):
        paired_difference(table, table.assign(repetition=1), "accuracy", resampling=SETTINGS)
    with pytest.raises(ValueError, match="120 of 120 rows differ in repetition"):
        paired_difference(table, table.drop(columns="repetition"), "accuracy", resampling=SETTINGS)
