"""Distances between sets: their values against hand and references, also without blocks of rows."""

import math

import numpy as np
import pytest

from hallmark.statistics.metrics.sets import Distance, FrechetDistance, KernelDistance

METRICS: list[Distance] = [FrechetDistance(), KernelDistance()]
SQUARE = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]]) * math.sqrt(3 / 4)  # covariance: identity


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
    root = np.sqrt(np.linalg.eigvals(left @ right).astype(complex)).real.sum()  # its trace, also of a singular product
    expected = shift @ shift + np.trace(left + right) - 2 * root
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
    """Kernel (xy + 1)³. Pairs within: 1³ and 7³ = 343; across: 1³, 1³, 3³ and 4³, mean 93 / 4."""
    first, second = np.array([[0.0], [1.0]]), np.array([[2.0], [3.0]])
    assert KernelDistance()(first, second) == pytest.approx(1 + 343 - 2 * 93 / 4)


def test_kernel_distance_does_not_depend_on_how_much_is_held_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    first, second = normal_rows(rng, 30), normal_rows(rng, 20)
    at_once = KernelDistance()(first, second)
    monkeypatch.setattr("hallmark.statistics.metrics.sets.distances._CHUNK", 70)
    assert KernelDistance()(first, second) == pytest.approx(at_once, rel=1e-12)


def test_kernel_distance_is_unbiased_whatever_the_sizes() -> None:
    rng = np.random.default_rng(3)
    values = [KernelDistance()(normal_rows(rng, 5), normal_rows(rng, 8)) for _ in range(2000)]
    assert abs(np.mean(values)) < 3 * np.std(values) / math.sqrt(len(values))


@pytest.mark.parametrize("n", [100, 300])
def test_the_bias_of_the_frechet_distance_falls_with_the_rows_as_the_page_says(n: int) -> None:
    rng, width = np.random.default_rng(6), 6
    values = [FrechetDistance()(*(rng.normal(size=(n, width)) for _ in range(2))) for _ in range(100)]
    assert np.mean(values) == pytest.approx(width * (width + 5) / (2 * n), rel=0.1)


@pytest.mark.parametrize("metric", METRICS)
def test_a_single_row_has_no_distance(metric: Distance) -> None:
    assert math.isnan(metric(np.zeros((1, 2)), np.zeros((3, 2))))


@pytest.mark.parametrize("metric", METRICS)
def test_without_a_block_is_the_distance_of_what_is_left(metric: Distance) -> None:
    rng = np.random.default_rng(4)
    first, second = normal_rows(rng, 21), normal_rows(rng, 13, shift=0.4)
    blocks = rng.integers(4, size=21), rng.integers(1, 4, size=13)  # the second set has no row of the first block
    values = metric.without_blocks(first, second, blocks, 4)
    expected = [metric(first[blocks[0] != block], second[blocks[1] != block]) for block in range(4)]
    assert values == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("metric", METRICS)
def test_without_nearly_all_rows_there_is_no_distance(metric: Distance) -> None:
    rows, codes = normal_rows(np.random.default_rng(5), 4), np.array([0, 0, 0, 1])
    values = metric.without_blocks(rows, rows, (codes, codes), 2)
    assert math.isnan(values[0]) and not math.isnan(values[1])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("shapes", [((3, 2), (3, 4)), ((3,), (3, 2))])
def test_sets_that_do_not_fit_each_other_are_refused(metric: Distance, shapes: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(ValueError, match="sets of rows"):
        metric(*map(np.zeros, shapes))
