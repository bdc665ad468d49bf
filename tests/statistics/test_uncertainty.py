"""Standard errors, degrees of freedom and the intervals made of them, against formulas for means."""

import math
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logit
from scipy.stats import t as student
from scipy.stats import ttest_1samp

from hallmark.statistics import Resampling, all_intervals, metric_interval, paired_difference
from hallmark.statistics.metrics.weighted import weighted_metrics
from hallmark.statistics.proportions import wilson
from hallmark.statistics.sample import task_sample
from hallmark.statistics.uncertainty import UNIT, Estimate, Range, Units, estimates

Maker = Callable[..., pd.DataFrame]
MANY = Resampling(0.95, 20_000, 0)
FEW = Resampling(0.95, 400, 0)


def score_table(
    scores: np.ndarray, member: np.ndarray | None = None, repetition: np.ndarray | None = None
) -> pd.DataFrame:
    """Scores [M, G] of a row a cell; folds where `member` says which model a group [G] had, of scores [1, G]."""
    models, groups = np.divmod(np.arange(scores.size), scores.shape[1])
    table = pd.DataFrame({
        "id": [f"{g}@{m}" for m, g in zip(models, groups, strict=True)], "task": "main",
        "group": groups.astype(str), "target": None, "score": scores.ravel(),
        "member": models if member is None else member,
        "repetition": models if repetition is None else repetition,
    })  # fmt: skip
    table.attrs["classes"] = {}
    return table


def estimate_of(table: pd.DataFrame, resampling: Resampling = MANY) -> Estimate:
    sample = task_sample(table)
    return estimates(weighted_metrics(sample, ["score"]), Units.of(sample), {"score": Range()}, resampling=resampling)[
        "score"
    ]


@pytest.mark.parametrize("n_groups", [4, 6, 25])
def test_the_interval_of_a_mean_of_groups_is_that_of_the_t_test(n_groups: int, make_scores: Maker) -> None:
    values = np.random.default_rng(n_groups).normal(3, 2, n_groups)
    interval = metric_interval(make_scores(values), "score", resampling=MANY)
    expected = ttest_1samp(values, 0).confidence_interval(0.95)
    width = expected.high - expected.low
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=0.03 * width)


def test_between_0_and_1_the_interval_is_symmetric_on_the_logit_scale(make_scores: Maker) -> None:
    values = np.random.default_rng(0).beta(8, 1, 12)
    interval = metric_interval(make_scores(values), "score", resampling=FEW)
    assert 0 < interval.low < interval.estimate < interval.high < 1
    ends = logit([interval.low, interval.estimate, interval.high])
    assert ends[2] - ends[1] == pytest.approx(ends[1] - ends[0])
    assert interval.estimate - interval.low > interval.high - interval.estimate


def test_above_0_the_interval_is_symmetric_on_the_log_scale() -> None:
    interval = Estimate(2.0, 0.5, 9, 10).interval(Range(0.0), 0.95)
    factor = math.exp(student.ppf(0.975, 9) * 0.5 / 2)
    assert (interval.low, interval.high) == pytest.approx((2 / factor, 2 * factor))


def test_seeds_have_the_variance_of_groups_and_of_models_less_that_of_cells() -> None:
    rng = np.random.default_rng(1)
    scores = 5 + rng.normal(0, 1, (1, 20)) + rng.normal(0, 0.5, (5, 1)) + rng.normal(0, 0.3, (5, 20))
    of_groups = scores.mean(0).var(ddof=1) / 20
    of_models = scores.mean(1).var(ddof=1) / 5
    of_cells = scores.var(ddof=1) / 100
    variance = of_groups + of_models - of_cells
    estimate = estimate_of(score_table(scores))
    assert estimate.standard_error**2 == pytest.approx(variance, rel=0.05)
    satterthwaite = variance**2 / (of_groups**2 / 19 + of_models**2 / 4)
    assert estimate.df == pytest.approx(max(4, satterthwaite * 4 / 6), rel=0.05)


def test_folds_have_the_variance_between_their_models_where_that_is_more_than_the_groups_have() -> None:
    rng = np.random.default_rng(2)
    fold = np.arange(30) % 5
    scores = (5 + rng.normal(0, 0.2, 30) + rng.normal(0, 1, 5)[fold])[None]
    estimate = estimate_of(score_table(scores, member=fold, repetition=np.zeros(30, dtype=int)))
    means = np.array([scores[0, fold == f].mean() for f in range(5)])
    assert estimate.standard_error**2 == pytest.approx(means.var(ddof=1) / 5, rel=0.06)
    assert estimate.df == pytest.approx(4, abs=0.2)
    alike = (5 + rng.normal(0, 1, 30))[None]
    alike += (alike.mean() - np.array([alike[0, fold == f].mean() for f in range(5)]))[fold]
    estimate = estimate_of(score_table(alike, member=fold, repetition=np.zeros(30, dtype=int)))
    assert estimate.standard_error**2 == pytest.approx(alike.var(ddof=1) / 30, rel=0.05)


def test_models_that_agree_leave_the_variance_of_the_groups() -> None:
    scores = np.repeat(np.random.default_rng(3).normal(0, 1, (1, 12)), 4, axis=0)
    estimate, alone = (estimate_of(score_table(values)) for values in (scores, scores[:1]))
    assert estimate.standard_error == pytest.approx(alone.standard_error)


def test_below_four_groups_there_is_no_interval(make_predictions: Maker) -> None:
    for n_groups, defined in ((3, False), (4, True)):
        table = make_predictions([0, 1] * n_groups, [0, 0] * n_groups, groups=np.repeat(range(n_groups), 2))
        interval = metric_interval(table, "accuracy", resampling=FEW)
        assert interval.estimate == 0.5
        assert math.isnan(interval.low) is math.isnan(interval.high) is not defined


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "auroc"])
def test_at_the_edge_groups_bound_the_interval(make_predictions: Maker, metric: str) -> None:
    table = make_predictions([0, 1, 2] * 8, [0, 1, 2] * 8, groups=np.repeat(range(8), 3))
    interval = metric_interval(table, metric, resampling=FEW)
    z2 = 1.959963985**2
    assert (interval.estimate, interval.high) == (1, 1)
    assert interval.low == pytest.approx(8 / (8 + z2))
    twice = pd.concat([table.assign(id=table["id"] + f"@{m}", repetition=m, member=m) for m in range(2)])
    twice.attrs = table.attrs
    assert metric_interval(twice, metric, resampling=FEW) == interval


def test_groups_that_all_score_the_same_bound_the_interval(make_predictions: Maker, make_scores: Maker) -> None:
    table = make_predictions([0, 1] * 9, [0, 0] * 9, groups=np.repeat(range(9), 2))
    interval = metric_interval(table, "accuracy", resampling=FEW)
    expected = wilson(4.5, 9, 0.95)
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))
    unbounded = metric_interval(make_scores([7.0] * 9), "score", resampling=FEW)
    assert unbounded.estimate == 7 and math.isnan(unbounded.low)


def test_two_systems_that_never_differ_may_differ_on_other_groups(make_predictions: Maker) -> None:
    table = make_predictions([0, 1] * 20, [0, 0] * 20)
    compared = paired_difference(table, table, "accuracy", resampling=FEW)
    bound = wilson(0, 40, 0.95).high
    assert (compared.difference.estimate, compared.p_value, compared.is_significant) == (0, 1, False)
    assert (compared.difference.low, compared.difference.high) == pytest.approx((-bound, bound))


def test_the_p_of_sets_is_that_of_the_t_test_and_agrees_with_the_interval() -> None:
    rng = np.random.default_rng(4)
    first = score_table(5 + rng.normal(0, 1, (3, 10)))
    for shift in (0.0, 0.4, 0.8, 1.2, 1.6, 3.0):
        second = first.assign(score=first["score"] + shift + rng.normal(0, 0.8, 30))
        second.attrs = first.attrs
        compared = paired_difference(first, second, "score", resampling=FEW)
        excluded = not compared.difference.low < 0 < compared.difference.high
        assert excluded == (compared.p_value <= 0.05) == compared.is_significant
        assert compared.p_value >= compared.p_floor == 1 / 401


def test_luck_that_both_sets_share_leaves_no_trace_in_their_difference() -> None:
    rng = np.random.default_rng(5)
    first, second = (score_table(5 + rng.normal(0, 1, (4, 12))) for _ in range(2))
    lucky = [table.assign(score=table["score"] + 3.0 * table["member"]) for table in (first, second)]
    for table, plain in zip(lucky, (first, second), strict=True):
        table.attrs = plain.attrs
    plain, shifted = (paired_difference(*pair, "score", resampling=FEW) for pair in ((first, second), lucky))
    assert vars(shifted.difference) == pytest.approx(vars(plain.difference))


@given(st.integers(0, 10_000), st.integers(4, 12), st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_intervals_hold_their_estimate_within_the_range_of_the_metric(
    make_guesses: Maker, seed: int, n_groups: int, n_models: int
) -> None:
    rng = np.random.default_rng(seed)
    target, group = np.arange(36) % 3, np.repeat(np.arange(n_groups), 9)[:36] % n_groups
    tables = [
        make_guesses(rng, target, group, rng.uniform(0, 3)).assign(repetition=m, member=m) for m in range(n_models)
    ]
    table = pd.concat([part.assign(id=part["id"] + f"@{m}") for m, part in enumerate(tables)])
    table.attrs = tables[0].attrs
    for name, interval in all_intervals(table, ["accuracy", "macro_f1", "auroc", "log_loss", "brier", "ece"],
                                        resampling=Resampling(0.9, 60, seed)).items():  # fmt: skip
        if not math.isnan(interval.low):
            top = {"log_loss": math.inf, "brier": 2}.get(name, 1)
            assert 0 <= interval.low <= interval.estimate <= interval.high <= top
            assert interval.low < interval.high


def test_unit_range_of_differences() -> None:
    assert UNIT.of_differences == Range(-1, 1, is_difference=True)
    wide = Estimate(0.9, 0.5, 5, 6).interval(UNIT.of_differences, 0.95)
    assert wide.high == 1 and wide.low == pytest.approx(0.9 - 0.5 * student.ppf(0.975, 5))


def test_no_result_is_surer_than_a_perfect_one(make_predictions: Maker) -> None:
    score = np.linspace(0, 1, 160)
    target = (score > 0.5).astype(int)
    swapped = target.copy()
    swapped[[79, 80]] = target[[80, 79]]
    intervals = []
    for labels in (target, swapped):
        probabilities = np.stack([1 - score, score], axis=1)
        table = make_predictions(labels, (score > 0.5).astype(int), probabilities=probabilities, classes=("no", "yes"))
        intervals.append(metric_interval(table, "auroc", resampling=FEW))
    perfect, nearly = intervals
    assert perfect.estimate == 1 > nearly.estimate > 0.9998
    assert nearly.low <= perfect.low < 0.98


def test_a_metric_of_some_rows_counts_the_groups_that_have_them() -> None:
    n = 12
    rows = pd.DataFrame({
        "id": [str(i) for i in range(2 * n)], "task": "main", "group": np.repeat([f"g{i}" for i in range(n)], 2),
        "target": None, "score": 1.0, "intersection": 5, "union": 5, "target_area": [5, 5] * n,
    })  # fmt: skip
    rows.attrs["classes"] = {}
    for n_empty, defined in ((3, False), (5, True)):
        table = rows.assign(target_area=[5 * (i >= n_empty) for i in np.arange(2 * n) // 2])
        table.attrs = rows.attrs
        interval = metric_interval(table, "no_target_accuracy", resampling=FEW)
        assert interval.estimate == 1 and math.isnan(interval.low) is not defined
        if defined:
            assert interval.low == pytest.approx(wilson(n_empty, n_empty, 0.95).low)
        assert metric_interval(table, "miou", resampling=FEW).low == pytest.approx(wilson(n, n, 0.95).low)


def test_a_distance_that_may_be_0_has_an_interval_that_begins_there() -> None:
    interval = Estimate(1e-16, 0.3, 9, 10).interval(Range(0.0), 0.95)
    assert interval.low == 0 and interval.high == pytest.approx(0.3 * student.ppf(0.975, 9))
