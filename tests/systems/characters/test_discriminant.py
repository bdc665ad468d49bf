import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from hallmark.systems.characters.discriminant import Discriminant, unknown_threshold

CLASSES = ["a", "b", "c", "d"]


def sampled(counts, *, seed: int = 0, dimension: int = 6, spread: float = 3.0) -> tuple[np.ndarray, list[str]]:
    """Vectors of normal classes with one covariance, whose means do not depend on the counts."""
    rng = np.random.default_rng(seed)
    means = spread * rng.normal(size=(len(counts), dimension))
    mix = rng.normal(size=(dimension, dimension)) / 2
    parts = [mean + rng.normal(size=(count, dimension)) @ mix for mean, count in zip(means, counts, strict=True)]
    labels = [CLASSES[number] for number, count in enumerate(counts) for _ in range(count)]
    return np.concatenate(parts), labels


@pytest.mark.parametrize("shrinkage", [0.1, 0.5, 1.0])
def test_without_the_correction_logits_are_those_of_scikit_learn(shrinkage):
    vectors, labels = sampled([30, 20, 25, 10])
    fitted = Discriminant.fit(vectors, labels, shrinkage=shrinkage)
    reference = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage).fit(vectors, labels)
    corrections = fitted.biases + 0.5 * (fitted.weights * fitted.means).sum(axis=1)
    expected = reference.decision_function(vectors) - np.log(reference.priors_)
    logits = fitted.logits(vectors) - corrections
    difference = (logits - expected) - (logits - expected).mean(axis=1, keepdims=True)
    np.testing.assert_allclose(difference, 0, atol=1e-8)
    # ½ tr(S⁻¹S_w) / n: in the ratio of the counts, and half the dimension where nothing is shrunk.
    np.testing.assert_allclose(corrections * fitted.counts, corrections[0] * fitted.counts[0])
    assert 0 < corrections[0] * fitted.counts[0] <= 3 / (1 - shrinkage + 1e-9)


@given(seed=st.integers(0, 100))
def test_the_order_of_samples_decides_nothing(seed):
    vectors, labels = sampled([5, 1, 7, 3])
    order = np.random.default_rng(seed).permutation(len(labels))
    first = Discriminant.fit(vectors, labels, shrinkage=0.4)
    second = Discriminant.fit(vectors[order], [labels[row] for row in order], shrinkage=0.4)
    assert first.classes == second.classes == CLASSES
    np.testing.assert_allclose(first.logits(vectors), second.logits(vectors), atol=1e-9)


def test_a_new_class_of_two_samples_is_answered_because_of_the_correction():
    new, new_without, old, old_without = [], [], [], []
    for seed in range(30):
        vectors, labels = sampled([52, 60, 60, 60], seed=seed, dimension=64, spread=0.8)
        few = [0, 1, *range(52, len(labels))]
        fitted = Discriminant.fit(vectors[few], [labels[row] for row in few], shrinkage=0.4)
        logits = fitted.logits(vectors)
        corrections = fitted.biases + 0.5 * (fitted.weights * fitted.means).sum(axis=1)
        for values, of_new, of_old in ((logits, new, old), (logits - corrections, new_without, old_without)):
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
def test_at_most_the_stated_share_of_left_out_classes_is_taken_for_known(rate):
    vectors, labels = sampled([40, 40, 40, 40], spread=1.0)
    threshold = unknown_threshold(vectors, labels, shrinkage=0.4, false_accept_rate=rate)
    accepted = 0
    for name in CLASSES:
        remaining = np.array(labels) != name
        fitted = Discriminant.fit(vectors[remaining], np.array(labels)[remaining].tolist(), shrinkage=0.4)
        accepted += int((fitted.known(vectors[~remaining]) >= threshold).sum())
    assert accepted == int(rate * len(labels))


def test_fewer_than_three_classes_have_no_threshold():
    vectors, labels = sampled([5, 5])
    assert unknown_threshold(vectors, labels, shrinkage=0.4, false_accept_rate=0.05) is None
