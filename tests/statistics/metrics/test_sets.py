"""Metrics of sets: their values against hand and references, and that leaving groups out does not shift them."""

import math

import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.stats import ttest_1samp, ttest_ind, ttest_rel

from hallmark.statistics import FrechetDistance, KernelDistance, Resampling, RowSet, SetMetric, set_interval
from hallmark.statistics.uncertainty import Range

RESAMPLING = Resampling(confidence_level=0.95, n_resamples=200, seed=0)
SQUARE = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]]) * math.sqrt(3 / 4)  # covariance: identity


class MeanDifference:
    """Of two sets the difference of their means, of one set its mean: numbers whose t intervals are known."""

    name = "mean_difference"
    range = Range()
    lower_is_better = False

    def __call__(self, *sets: np.ndarray) -> float:
        means = [float(rows.mean()) if len(rows) else math.nan for rows in sets]
        return means[0] - sum(means[1:])


def normal_rows(rng: np.random.Generator, n: int, *, shift: float = 0.0) -> np.ndarray:
    mixing = np.array([[1.0, 0.0, 0.0], [0.5, 1.0, 0.0], [-0.3, 0.2, 1.0]])
    return rng.normal(size=(n, 3)) @ mixing.T + shift


def test_frechet_distance_of_normal_distributions_by_hand() -> None:
    """Axes without correlation: squared difference of means plus that of standard deviations."""
    first, second = SQUARE * [1.0, 2.0], SQUARE * [3.0, 0.5] + [1.0, -2.0]
    assert FrechetDistance()(first, second) == pytest.approx(1 + 4 + (1 - 3) ** 2 + (2 - 0.5) ** 2)
    assert FrechetDistance()(first, first) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("n", [2, 3, 50])
def test_frechet_distance_equals_the_formula_with_a_matrix_root(n: int) -> None:
    rng = np.random.default_rng(0)
    first, second = normal_rows(rng, n), normal_rows(rng, 40, shift=0.5) * 1.5
    left, right = np.cov(first.T), np.cov(second.T)
    shift = first.mean(axis=0) - second.mean(axis=0)
    expected = shift @ shift + np.trace(left + right - 2 * sqrtm(left @ right).real)
    assert FrechetDistance()(first, second) == pytest.approx(expected, rel=1e-6)


def test_distances_equal_those_of_torchmetrics() -> None:
    torch = pytest.importorskip("torch")
    fid, kid = pytest.importorskip("torchmetrics.image.fid"), pytest.importorskip("torchmetrics.image.kid")
    rng = np.random.default_rng(1)
    first, second = normal_rows(rng, 60), normal_rows(rng, 60, shift=0.3)
    a, b = torch.tensor(first), torch.tensor(second)
    expected = fid._compute_fid(a.mean(0), torch.cov(a.T), b.mean(0), torch.cov(b.T))
    assert FrechetDistance()(first, second) == pytest.approx(float(expected), rel=1e-9)
    assert KernelDistance()(first, second) == pytest.approx(float(kid.poly_mmd(a, b)), rel=1e-9)


def test_kernel_distance_by_hand() -> None:
    """Kernel xy + 1. Pairs within: 0 · 1 + 1 = 1 and 2 · 3 + 1 = 7; across: 1, 1, 3 and 4, mean 9 / 4."""
    first, second = np.array([[0.0], [1.0]]), np.array([[2.0], [3.0]])
    assert KernelDistance(degree=1)(first, second) == pytest.approx(1 + 7 - 2 * 9 / 4)


def test_kernel_distance_does_not_depend_on_how_much_is_held_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    first, second = normal_rows(rng, 30), normal_rows(rng, 20)
    at_once = KernelDistance()(first, second)
    monkeypatch.setattr("hallmark.statistics.metrics.sets._CHUNK", 70)
    assert KernelDistance()(first, second) == pytest.approx(at_once, rel=1e-12)


def test_kernel_distance_is_unbiased_whatever_the_sizes() -> None:
    rng = np.random.default_rng(3)
    values = [KernelDistance()(normal_rows(rng, 5), normal_rows(rng, 8)) for _ in range(2000)]
    assert abs(np.mean(values)) < 3 * np.std(values) / math.sqrt(len(values))


@pytest.mark.parametrize("metric", [FrechetDistance(), KernelDistance()])
def test_a_single_row_has_no_distance(metric: SetMetric) -> None:
    assert math.isnan(metric(np.zeros((1, 2)), np.zeros((3, 2))))


def test_interval_of_one_set_is_that_of_students_t() -> None:
    rows = np.random.default_rng(4).normal(size=(12, 1))
    interval = set_interval(MeanDifference(), RowSet(rows), resampling=RESAMPLING)
    expected = ttest_1samp(rows.ravel(), 0).confidence_interval(0.95)
    assert (interval.estimate, interval.low, interval.high) == pytest.approx((rows.mean(), expected.low, expected.high))


def test_separate_groups_give_welchs_interval_and_shared_ones_the_paired() -> None:
    rng = np.random.default_rng(5)
    first, second = rng.normal(size=(9, 1)), 3 * rng.normal(size=(9, 1)) + 1
    apart = set_interval(MeanDifference(), RowSet(first), RowSet(second), resampling=RESAMPLING)
    welch = ttest_ind(first.ravel(), second.ravel(), equal_var=False).confidence_interval(0.95)
    assert (apart.low, apart.high) == pytest.approx((welch.low, welch.high))
    names = [f"person {i}" for i in range(9)]
    order = rng.permutation(9)
    shared = set_interval(
        MeanDifference(),
        RowSet(first, names),
        RowSet(second[order], [names[i] for i in order]),
        resampling=RESAMPLING,
    )
    paired = ttest_rel(first.ravel(), second.ravel()).confidence_interval(0.95)
    assert (shared.low, shared.high) == pytest.approx((paired.low, paired.high))


def test_rows_of_a_group_are_left_out_together() -> None:
    """Ten copies of a row say no more than the row."""
    rows = np.random.default_rng(6).normal(size=(8, 1))
    once = set_interval(MeanDifference(), RowSet(rows), resampling=RESAMPLING)
    copied = RowSet(np.repeat(rows, 10, axis=0), np.repeat(np.arange(8), 10))
    of_copies = set_interval(MeanDifference(), copied, resampling=RESAMPLING)
    assert (of_copies.low, of_copies.high) == pytest.approx((once.low, once.high))


def test_many_groups_are_left_out_in_blocks() -> None:
    calls = []

    class Counting(MeanDifference):
        def __call__(self, *sets: np.ndarray) -> float:
            calls.append(len(sets[0]))
            return super().__call__(*sets)

    rows = np.random.default_rng(7).normal(size=(2000, 1))
    interval = set_interval(Counting(), RowSet(rows), resampling=RESAMPLING)
    assert calls == [2000] + [1960] * 50
    expected = ttest_1samp(rows.ravel(), 0).confidence_interval(0.95)
    assert interval.high - interval.low == pytest.approx(expected.high - expected.low, rel=0.3)


@pytest.mark.parametrize("groups", [[0, 0, 1, 1, 2, 2], None])
def test_fewer_than_four_groups_have_no_interval(groups: list[int] | None) -> None:
    rows = normal_rows(np.random.default_rng(8), 6 if groups else 3)
    interval = set_interval(FrechetDistance(), RowSet(rows, groups), RowSet(rows + 1, groups), resampling=RESAMPLING)
    assert interval.estimate > 0 and math.isnan(interval.low) and math.isnan(interval.high)


def test_a_distance_of_at_least_0_has_an_interval_above_0() -> None:
    rng = np.random.default_rng(9)
    sets = RowSet(normal_rows(rng, 12)), RowSet(normal_rows(rng, 12))
    interval = set_interval(FrechetDistance(), *sets, resampling=RESAMPLING)
    assert 0 < interval.low < interval.estimate < interval.high


@pytest.mark.parametrize("metric", [FrechetDistance(), KernelDistance()])
def test_resampling_with_replacement_shifts_a_distance_and_leaving_out_does_not(metric: SetMetric) -> None:
    """Of 12 groups of 2 rows the middle 95 % of resampled distances lie too high; the jackknife holds its level."""
    rng = np.random.default_rng(10)
    values, shifts, intervals, percentiles = [], [], [], []
    for _ in range(120):
        sets = [grouped_rows(rng, shift) for shift in (0.0, 0.3)]
        labels = [np.repeat(np.arange(12), 2) + start for start in (0, 12)]
        intervals.append(set_interval(metric, *map(RowSet, map(flat, sets), labels), resampling=RESAMPLING))
        draws = rng.integers(12, size=(60, 2, 12))
        drawn = [metric(*(flat(rows[pick]) for rows, pick in zip(sets, draw, strict=True))) for draw in draws]
        values.append(intervals[-1].estimate)
        shifts.append(np.mean(drawn) - values[-1])
        percentiles.append(np.quantile(drawn, [0.025, 0.975]))
    expected = np.mean(values)
    assert np.mean(shifts) > 0.3 * expected
    low, high = np.array(percentiles).T
    assert np.mean((low <= expected) & (expected <= high)) < 0.8
    assert np.mean([interval.low <= expected <= interval.high for interval in intervals]) >= 0.93


def grouped_rows(rng: np.random.Generator, shift: float) -> np.ndarray:
    """[12 groups, 2 rows, 6 features], alike within groups."""
    return shift + 0.6 * rng.normal(size=(12, 1, 6)) + 0.8 * rng.normal(size=(12, 2, 6))


def flat(rows: np.ndarray) -> np.ndarray:
    return rows.reshape(-1, rows.shape[-1])


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ([RowSet(np.zeros((3, 2)))], r"two sets of rows .* got \(3, 2\)"),
        ([RowSet(np.zeros((3, 2))), RowSet(np.zeros((3, 4)))], r"got \(3, 2\) and \(3, 4\)"),
        ([RowSet(np.zeros(3)), RowSet(np.zeros((3, 2)))], r"shape \(3,\) must be finite"),
        ([RowSet(np.full((3, 2), np.nan))], "must be finite"),
        ([RowSet(np.zeros((3, 2)), [0, 1]), RowSet(np.zeros((3, 2)))], "2 groups for 3 rows"),
        ([RowSet(np.zeros((3, 2)), [0, None, 1]), RowSet(np.zeros((3, 2)))], "1 of 6 rows have no group"),
    ],
)
def test_what_fits_no_metric_is_refused(sets: list[RowSet], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        set_interval(FrechetDistance(), *sets, resampling=RESAMPLING)
