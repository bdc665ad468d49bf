"""Numbers of real and generated pictures: against references, by hand, and what always holds."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from hallmark.statistics.metrics.sets import DISTANCES, SET_METRICS
from hallmark.statistics.metrics.sets.classes import discriminant
from hallmark.statistics.metrics.sets.neighbors import nearest_distances, squared_distances
from hallmark.statistics.metrics.sets.rows import Rows

K = 5


def rows(features: np.ndarray, target: Sequence[int] | None = None, **columns: np.ndarray) -> Rows:
    """Rows of two classes by turns and of halves by turns of two, that the judge reads rightly."""
    n = len(features)
    codes = np.arange(n) % 2 if target is None else np.asarray(target)
    values = {"half": np.arange(n) // 2 % 2, "target": codes, "answer": codes, "energy": np.ones(n),
              "train_distance": np.linspace(1, 2, n)}  # fmt: skip
    return Rows(features=features, **{**values, **columns})


def drawn(seed: int, n: int, *, shift: float = 0.0, width: int = 3, **columns: np.ndarray) -> Rows:
    return rows(np.random.default_rng(seed).normal(size=(n, width)) + shift, **columns)


def value(name: str, real: Rows, generated: Rows) -> float:
    return SET_METRICS[name](real, generated)


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_density_and_coverage_equal_a_naive_count(shift: float) -> None:
    real, generated = drawn(0, 40), drawn(1, 25, shift=shift)
    inside = np.zeros((40, 25), dtype=bool)
    for i, center in enumerate(real.features):
        radius = sorted(math.dist(center, other) for j, other in enumerate(real.features) if j != i)[K - 1]
        for j, other in enumerate(generated.features):
            inside[i, j] = math.dist(center, other) < radius
    assert value("neighbor_density", real, generated) == pytest.approx(inside.sum() / (K * 25))
    assert value("neighbor_coverage", real, generated) == pytest.approx(inside.any(axis=1).mean())


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.integers(7, 30), st.booleans())
def test_a_set_covers_itself(seed: int, n: int, repeats_rows: bool) -> None:
    """Rounding tips no neighbor over a border, and equal rows, whose balls have no width, are in them."""
    features = np.random.default_rng(seed).normal(size=(n, 2)) * 10.0 ** (seed % 7 - 3) + 100 * (seed % 2)
    real = rows(np.repeat(features, 3, axis=0) if repeats_rows else features)
    assert value("neighbor_coverage", real, real) == 1
    assert repeats_rows or value("neighbor_density", real, real) == pytest.approx(1)
    assert value("neighbor_coverage", rows(np.zeros((n, 2))), rows(np.zeros((n, 2)))) == 1
    assert value("neighbor_coverage", real, rows(features + 1e6)) == 0


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10**6), st.floats(0.1, 100))
def test_what_counts_neighbors_depends_neither_on_scale_nor_on_place(seed: int, scale: float) -> None:
    pair = drawn(seed, 24), drawn(seed + 1, 24, shift=0.5)
    moved = [rows(scale * part.features + 3) for part in pair]
    for name in ("neighbor_density", "neighbor_coverage", "diversity", "frechet_ratio"):
        assert value(name, *moved) == pytest.approx(value(name, *pair), rel=1e-6), name


def test_distances_of_rows_are_those_of_scipy_and_of_equal_rows_0() -> None:
    rng = np.random.default_rng(2)
    first = 100 + rng.normal(size=(30, 8))
    second = np.concatenate([first[::2], 100 + rng.normal(size=(9, 8))])
    expected = cdist(first, second)
    assert np.sqrt(squared_distances(first, second)) == pytest.approx(expected, rel=1e-6)
    assert (squared_distances(first, second) == 0).tolist() == (expected == 0).tolist()
    assert nearest_distances(first, second) == pytest.approx(expected.min(axis=1), rel=1e-6)


def test_diversity_by_hand() -> None:
    """Real classes: pairs 4 apart, and 2, 2 and 4; generated: 1 apart, and equal. A class of one row is left out."""
    real = rows(np.array([[0.0], [4.0], [10.0], [12.0], [14.0], [50.0], [60.0]]), [0, 0, 1, 1, 1, 2, 2])
    generated = rows(np.array([[0.0], [1.0], [5.0], [5.0], [9.0]]), [0, 0, 1, 1, 2])
    assert value("diversity", real, generated) == pytest.approx((1 + 0) / (4 + 8 / 3))
    assert value("diversity", real, real) == pytest.approx(1)
    assert math.isnan(value("diversity", rows(np.zeros((4, 1))), generated))


def test_copies_by_hand() -> None:
    """The 1 % quantile of 1 .. 101 is 2; two of four generated rows are nearer."""
    real = rows(np.zeros((101, 1)), train_distance=np.arange(1.0, 102.0))
    generated = rows(np.zeros((4, 1)), train_distance=np.array([0.0, 1.9, 2.0, 30.0]))
    assert value("copies", real, generated) == 0.5
    assert math.isnan(value("copies", rows(np.zeros((2, 1)), train_distance=np.full(2, math.nan)), generated))


def test_energy_is_a_ratio_of_means() -> None:
    real, generated = (rows(np.zeros((2, 1)), energy=np.array(each)) for each in ([1.0, 3.0], [0.0, 1.0]))
    assert value("nyquist_energy", real, generated) == 0.25
    assert math.isnan(value("nyquist_energy", rows(np.zeros((2, 1)), energy=np.zeros(2)), generated))


def test_the_judge_is_right_where_it_reads_what_was_asked_for() -> None:
    generated = rows(np.zeros((4, 1)), [0, 1, 1, -1], answer=np.array([0, 1, 0, -1]))
    assert value("judge_accuracy", rows(np.zeros((3, 1))), generated) == 0.5
    assert value("judge_accuracy_real", rows(np.zeros((3, 1))), generated) == 1


@pytest.mark.parametrize("distance", DISTANCES)
def test_halves_are_of_other_groups(distance: str) -> None:
    real, generated = drawn(3, 40), drawn(4, 40, shift=0.4)
    sets = [[part.features[part.half == half] for half in (0, 1)] for part in (real, generated)]
    of = DISTANCES[distance]
    across = (of(sets[0][0], sets[1][1]) + of(sets[0][1], sets[1][0])) / 2
    assert value(f"{distance}_real", real, generated) == of(*sets[0])
    assert value(f"{distance}_halves", real, generated) == across
    if distance == "frechet_distance":
        assert value("frechet_ratio", real, generated) == across / of(*sets[0])


def test_of_equals_of_the_real_rows_the_ratio_is_1() -> None:
    real = drawn(5, 60)
    assert value("frechet_ratio", real, real) == pytest.approx(1)


def test_discriminant_analysis_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(6)
    target = np.repeat([0, 2, 5], 20)
    features, new = rng.normal(size=(60, 4)) + 0.8 * target[:, None] * [1, 0, -1, 0], 2 * rng.normal(size=(50, 4))
    # scikit-learn shrinks the covariance of features in units of their spread: here that is 1 within classes.
    within = features - np.stack([features[target == name].mean(axis=0) for name in target])
    unit = within.std(axis=0)
    reference = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.5, priors=[1 / 3] * 3).fit(
        features / unit, target
    )
    assert discriminant(features / unit, target, new / unit).tolist() == reference.predict(new / unit).tolist()


def test_of_more_features_than_rows_it_is_the_same() -> None:
    rng, target = np.random.default_rng(13), np.repeat([0, 1], 6)
    features, new = rng.normal(size=(12, 20)), rng.normal(size=(40, 20))
    twice = [np.concatenate([part, part]) for part in (features, target)]  # the same covariance, of more rows
    assert discriminant(features, target, new).tolist() == discriminant(twice[0], twice[1], new).tolist()
    assert len(set(discriminant(features, target, new))) == 2


def test_rows_that_do_not_differ_within_a_class_teach_the_nearest_mean() -> None:
    answers = discriminant(np.array([[0.0], [0.0], [4.0], [4.0]]), np.array([0, 0, 1, 1]), np.array([[1.9], [2.1]]))
    assert answers.tolist() == [0, 1]


def test_a_classifier_learns_from_what_is_right_alone() -> None:
    shift = 6.0 * (np.arange(40) % 2)[:, None]
    real, right = (rows(np.random.default_rng(seed).normal(size=(40, 3)) + shift) for seed in (7, 8))
    wrong = rows(right.features, 1 - right.target)
    assert value("real_trained_accuracy", real, right) == value("fake_trained_accuracy", real, right) == 1
    assert value("fake_trained_accuracy", real, wrong) == 0
    assert math.isnan(value("fake_trained_accuracy", real, rows(right.features, [0] * 40)))


@pytest.mark.parametrize("name", SET_METRICS)
def test_without_a_block_is_the_number_of_what_is_left(name: str) -> None:
    rng = np.random.default_rng(9)
    columns = [{"energy": rng.random(n), "train_distance": far * rng.random(n), "answer": rng.integers(2, size=n)}
               for n, far in ((48, 1.0), (36, 0.1))]  # fmt: skip
    real, generated = drawn(10, 48, **columns[0]), drawn(11, 36, shift=0.4, **columns[1])
    blocks = rng.integers(4, size=48), rng.integers(1, 4, size=36)  # no generated row is of the first block
    values = SET_METRICS[name].without_blocks(real, generated, blocks, 4)
    expected = [value(name, real.where(blocks[0] != b), generated.where(blocks[1] != b)) for b in range(4)]
    assert values == pytest.approx(expected, rel=1e-9)
    assert len(set(np.round(values, 12))) > 1 or name.startswith("judge")


@pytest.mark.parametrize("name", SET_METRICS)
def test_no_rows_no_number(name: str) -> None:
    real = drawn(12, 20)
    nothing = np.zeros(20, dtype=bool)
    assert math.isnan(value(name, real.where(nothing), real.where(nothing)))
