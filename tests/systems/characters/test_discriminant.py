from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from hallmark.systems.characters.discriminant import Discriminant
from hallmark.systems.characters.nearest_mean import NearestMean
from hallmark.systems.characters.random_projection import RandomProjection
from hallmark.systems.characters.scatter import Scatter
from hallmark.systems.characters.unknown import unknown_threshold

CLASSES = ["a", "b", "c", "d"]


def sampled(counts, *, seed: int = 0, dimension: int = 6, spread: float = 3.0) -> tuple[np.ndarray, list[str]]:
    """Vectors of normal classes with one covariance, whose means do not depend on the counts."""
    rng = np.random.default_rng(seed)
    means = spread * rng.normal(size=(len(counts), dimension))
    mix = rng.normal(size=(dimension, dimension)) / 2
    parts = [mean + rng.normal(size=(count, dimension)) @ mix for mean, count in zip(means, counts, strict=True)]
    labels = [CLASSES[number] for number, count in enumerate(counts) for _ in range(count)]
    return np.concatenate(parts), labels


def exact(vectors: np.ndarray, labels: list[str], shrinkage: float) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Logits, scores [3, N] of the formulas as they stand, and the classes."""
    names = np.array(labels)
    classes = sorted(set(labels))
    means = np.stack([vectors[names == name].mean(axis=0) for name in classes])
    counts = np.array([(names == name).sum() for name in classes])

    def precision(deviations: np.ndarray) -> np.ndarray:
        covariance = deviations.T @ deviations / len(vectors)
        # The ridge is rounded on the scale of the sums, to a 32nd of a doubling.
        spread = np.trace(covariance) * len(vectors) / len(covariance)
        ridge = 2 ** (round(32 * np.log2(spread)) / 32) / len(vectors)
        return np.linalg.inv((1 - shrinkage) * covariance + shrinkage * ridge * np.eye(len(covariance)))

    centered = vectors - vectors.mean(axis=0)
    within = vectors - means[[classes.index(name) for name in labels]]
    within = within if within.any() else centered
    inverse, of_all = precision(within), precision(centered)
    noise = np.trace(inverse @ within.T @ within) / len(vectors)
    logits = vectors @ inverse @ means.T - 0.5 * np.diag(means @ inverse @ means.T) + 0.5 * noise / counts
    lengths, to_all = (np.einsum("nd,de,ne->n", x, p, x) for x, p in ((vectors, inverse), (centered, of_all)))
    root = np.linalg.cholesky(inverse)
    turned, axes = centered @ root, (means - vectors.mean(axis=0)) @ root
    cosines = turned @ axes.T / np.linalg.norm(turned, axis=1)[:, None] / np.linalg.norm(axes, axis=1)
    return logits, np.stack([cosines.max(axis=1), to_all, lengths - 2 * logits.max(axis=1)]), classes


def assert_exact(fitted: Discriminant, vectors: np.ndarray, labels: list[str], shrinkage: float) -> None:
    logits, scores, classes = exact(vectors, labels, shrinkage)
    assert sorted(fitted.classes) == classes
    order = [fitted.classes.index(name) for name in classes]
    np.testing.assert_allclose(fitted.logits(vectors)[:, order], logits, rtol=1e-7, atol=1e-7)
    logits = fitted.logits(vectors)
    computed = [fitted.cosines(vectors).max(axis=1), *fitted.distances(vectors, logits)]
    np.testing.assert_allclose(computed, scores, rtol=1e-6, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(CLASSES), st.integers(1, 3)), min_size=2, max_size=12), st.integers(0, 9),
       st.sampled_from([0.1, 0.5, 1.0]))  # fmt: skip
def test_what_comes_and_goes_leaves_what_is_fitted_to_the_rest(steps, seed, shrinkage):
    rng = np.random.default_rng(seed)
    vectors, labels = sampled([40, 30, 30, 30], seed=seed)
    fitted = Discriminant.fit(vectors[::4], labels[::4], shrinkage=shrinkage)
    held = list(range(0, len(labels), 4))
    for label, n in steps:
        free = [row for row in range(len(labels)) if labels[row] == label and row not in held]
        if rng.random() < 0.6 and len(free) >= n:
            fitted.add(label, vectors[free[:n]])
            held += free[:n]
        else:
            gone = [row for row in held if labels[row] == label][: 3 * n]
            if gone and len(held) - len(gone) >= 4:
                fitted.remove(label, vectors[gone])
                held = [row for row in held if row not in gone]
        fitted.logits(vectors[:1])  # so that what is computed once is there, and is brought up to date
    assert_exact(fitted, vectors[held], [labels[row] for row in held], shrinkage)


def test_classes_of_one_sample_come_and_go_as_others_do():
    vectors, labels = sampled([3, 3, 3])
    fitted = Discriminant(6, shrinkage=0.4)
    for rows in ([0], [3], [6], [1, 2]):
        fitted.add(labels[rows[0]], vectors[rows])
        fitted.logits(vectors)
    fitted.remove("a", vectors[[1, 2]])
    assert_exact(fitted, vectors[[0, 3, 6]], ["a", "b", "c"], 0.4)


@pytest.mark.parametrize("shrinkage", [0.1, 0.5, 1.0])
def test_without_the_correction_logits_are_those_of_scikit_learn(shrinkage):
    vectors, labels = sampled([30, 20, 25, 10])
    fitted = Discriminant.fit(vectors, labels, shrinkage=shrinkage)
    # What the rounded ridge is a share of, and how much larger all of the covariance is with that share.
    within = Scatter(6, shrinkage=shrinkage)
    for label in CLASSES:
        of_class = vectors[np.array(labels) == label]
        within.change(of_class - of_class.mean(axis=0), 1)
    assert np.isfinite(within.inverse).all()  # which rounds the ridge
    ridge = within.ridge * 6 / within.trace
    scale = 1 - shrinkage + ridge
    reference = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=ridge / scale).fit(vectors, labels)
    assert ridge == pytest.approx(shrinkage, rel=0.011)
    logits = scale * (fitted.logits(vectors) - fitted.corrections)
    expected = reference.decision_function(vectors) - np.log(reference.priors_)
    difference = (logits - expected) - (logits - expected).mean(axis=1, keepdims=True)
    np.testing.assert_allclose(difference, 0, atol=1e-8)


@given(seed=st.integers(0, 100))
def test_the_order_of_samples_decides_nothing(seed):
    vectors, labels = sampled([5, 1, 7, 3])
    order = np.random.default_rng(seed).permutation(len(labels))
    first = Discriminant.fit(vectors, labels, shrinkage=0.4)
    second = Discriminant.fit(vectors[order], [labels[row] for row in order], shrinkage=0.4)
    assert first.classes == second.classes == CLASSES
    np.testing.assert_allclose(first.logits(vectors), second.logits(vectors), atol=1e-9)


def test_a_frozen_covariance_leaves_the_logits_of_other_classes_as_they_are():
    vectors, labels = sampled([8, 8, 8, 8])
    fitted = Discriminant.fit(vectors[:17], labels[:17], shrinkage=0.4)
    fitted.freeze_covariance()
    before = fitted.logits(vectors)
    fitted.add("A", vectors[24:])
    fitted.add("c", vectors[17:24])
    after = fitted.logits(vectors)
    assert (after[:, :2] == before[:, :2]).all() and (after[:, 2] != before[:, 2]).all()
    assert after[24:].argmax(axis=1).tolist() == [fitted.classes.index("A")] * 8
    fitted.remove("a", vectors[:8])
    assert (fitted.logits(vectors)[:, 0] == before[:, 1]).all()


def test_a_new_class_of_two_samples_is_answered_because_of_the_correction():
    new, new_without, old, old_without = [], [], [], []
    for seed in range(30):
        vectors, labels = sampled([52, 60, 60, 60], seed=seed, dimension=64, spread=0.8)
        few = [0, 1, *range(52, len(labels))]
        fitted = Discriminant.fit(vectors[few], [labels[row] for row in few], shrinkage=0.4)
        logits = fitted.logits(vectors)
        for values, of_new, of_old in ((logits, new, old), (logits - fitted.corrections, new_without, old_without)):
            is_right = np.array(CLASSES)[values.argmax(axis=1)] == np.array(labels)
            of_new.append(is_right[2:52].mean())
            of_old.append(is_right[52:].mean())
    gained, lost = np.mean(new) - np.mean(new_without), np.mean(old_without) - np.mean(old)
    assert gained > 0.3 and lost < gained / 2


def test_classes_of_one_sample_each_are_told_apart():
    vectors, labels = sampled([1, 1, 1])
    fitted = Discriminant.fit(vectors, labels, shrinkage=0.4)
    assert fitted.logits(vectors).argmax(axis=1).tolist() == [0, 1, 2]


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.2])
@pytest.mark.parametrize("method", [NearestMean, RandomProjection, Discriminant])
def test_at_most_the_stated_share_of_left_out_classes_is_taken_for_known(method, rate):
    vectors, labels = sampled([40, 40, 40, 40], spread=1.0)
    fitted = {
        Discriminant: partial(Discriminant, shrinkage=0.4), RandomProjection: partial(RandomProjection, features=50),
        NearestMean: NearestMean,
    }[method](6)  # fmt: skip
    for name in CLASSES:
        fitted.add(name, vectors[np.array(labels) == name])
    before = fitted.logits(vectors)
    threshold = unknown_threshold(fitted, vectors, labels, false_accept_rate=rate)
    assert (fitted.logits(vectors) == before).all()
    accepted = 0
    for name in CLASSES:
        without = fitted.without(name, vectors[np.array(labels) == name])
        assert name not in without.classes
        of_class = vectors[np.array(labels) == name]
        accepted += int((without.known(of_class, without.logits(of_class)) >= threshold).sum())
    assert accepted == int(rate * len(labels))


@pytest.mark.parametrize("exact_up_to", [20, 2])
def test_leaving_a_class_out_is_fitting_without_it(exact_up_to, monkeypatch):
    monkeypatch.setattr("hallmark.systems.characters.discriminant._EXACT", exact_up_to)
    vectors, labels = sampled([40, 40, 40, 40], spread=1.0)
    is_left_out = np.array(labels) == "b"
    fitted = Discriminant.fit(vectors, labels, shrinkage=0.4)
    without = fitted.without("b", vectors[is_left_out])
    again = Discriminant.fit(vectors[~is_left_out], np.array(labels)[~is_left_out].tolist(), shrinkage=0.4)
    scores = [each.known(vectors, each.logits(vectors)) for each in (without, again)]
    if exact_up_to == 20:
        np.testing.assert_allclose(*scores, rtol=1e-7, atol=1e-7)
    assert np.corrcoef(*scores)[0, 1] > 0.99
    assert_exact(fitted, vectors, labels, 0.4)


def test_fewer_than_three_classes_have_no_threshold():
    vectors, labels = sampled([5, 5])
    fitted = Discriminant.fit(vectors, labels, shrinkage=0.4)
    assert unknown_threshold(fitted, vectors, labels, false_accept_rate=0.05) is None


def test_of_equal_samples_as_many_go_as_are_taken_away():
    vectors, _ = sampled((4, 3))
    expected, grown = (RandomProjection(6, features=20) for _ in range(2))
    expected.add("a", vectors[:4])
    expected.add("b", vectors[4:])
    grown.add("a", vectors[[0, 0, 1, 2, 3]])
    grown.add("b", vectors[4:])
    grown.remove("a", vectors[:1])
    np.testing.assert_allclose(grown.logits(vectors), expected.logits(vectors), rtol=1e-6, atol=1e-6)
    grown.add("c", vectors[[0, 0]])
    for _ in range(2):
        grown.remove("c", vectors[:1])
    assert grown.classes == ["a", "b"]


def test_the_only_class_has_no_direction():
    for seed in range(20):
        vectors, labels = sampled((5,), seed=seed)
        assert not Discriminant.fit(vectors, labels, shrinkage=0.5).cosines(vectors + 1).any()
