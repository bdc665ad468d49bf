"""The mean of calibrated logits, and what has to beat it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from hallmark.statistics import Resampling
from hallmark.systems.deepfake.stackers import (
    MEAN,
    STACKERS,
    Features,
    choose_stacker,
    fake_probability,
    fit_slope,
    fit_stacker,
    logits_of,
)

SETTINGS = Resampling(0.95, 200, 0)


def world(n: int = 600, seed: int = 0, quality: tuple[float, ...] = (2.0, 2.0)) -> tuple[np.ndarray, np.ndarray]:
    """Logits [N, M] of members that are right in odds, each by its quality, and what is fake [N]."""
    rng = np.random.default_rng(seed)
    fake = rng.random(n) < 0.5
    shifts = np.where(fake, 1.0, -1.0)[:, None] * np.array(quality) ** 2 / 2
    return shifts + rng.normal(size=(n, len(quality))) * np.array(quality), fake


def loss(fake: np.ndarray, probability: np.ndarray) -> float:
    return float(-np.log(np.where(fake, probability, 1 - probability)).mean())


def chosen(names: list[str], logits: np.ndarray, fake: np.ndarray, embedding: np.ndarray | None = None):
    return choose_stacker(
        names, Features(logits, embedding), fake, np.arange(len(fake)) // 2, strength=1.0, resampling=SETTINGS
    )


@given(st.integers(0, 30), st.floats(0.1, 8))
@settings(max_examples=15)
def test_the_slope_is_that_of_the_least_log_loss(seed, temperature) -> None:
    logits, fake = world(n=200, seed=seed, quality=(1.5,))
    sharp = logits[:, 0] * temperature
    slope = fit_slope(sharp, fake)
    reference = minimize(
        lambda a: np.logaddexp(0, -np.exp(a[0]) * np.where(fake, sharp, -sharp)).mean(),
        [0.0],
        method="L-BFGS-B",
        tol=1e-12,
    )
    assert slope == pytest.approx(np.exp(reference.x[0]), rel=1e-2)
    assert loss(fake, expit(slope * sharp)) <= loss(fake, expit(sharp)) + 1e-9
    assert fit_slope(-sharp, fake) == 0


def test_logits_of_certain_answers_are_finite() -> None:
    logits = logits_of(np.array([[0.0, 1.0], [1.0, 0.0], [0.25, 0.75]]))
    assert np.isfinite(logits).all() and logits[0] > 700 and logits[1] < -700
    assert logits[2] == pytest.approx(logit(0.75))


def test_members_of_different_temperatures_count_alike_in_the_mean() -> None:
    logits, fake = world()
    plain = fit_stacker(MEAN, Features(logits), fake, 1.0)
    heated = fit_stacker(MEAN, Features(logits * [0.2, 5]), fake, 1.0)
    np.testing.assert_allclose(
        fake_probability(plain, Features(logits)), fake_probability(heated, Features(logits * [0.2, 5])), atol=1e-3
    )


@pytest.mark.parametrize("name", STACKERS)
def test_a_stacker_is_what_scikit_learn_fits_on_calibrated_logits(name) -> None:
    if name == "lightgbm":
        pytest.importorskip("lightgbm")
    logits, fake = world()
    features = Features(logits, logits @ np.array([[1.0, 2, 0], [0, 1, 1]]))
    state = fit_stacker(name, features, fake, 2.0)
    answers = fake_probability(state, features)
    if name == "logistic_regression":
        inputs = logits * [fit_slope(member, fake) for member in logits.T]
        reference = LogisticRegression(C=0.5).fit(inputs, fake).predict_proba(inputs)[:, 1]
        np.testing.assert_allclose(answers, reference, atol=1e-3)
    assert loss(fake, answers) < loss(fake, np.full(len(fake), fake.mean())) - 0.3


def test_where_the_mean_is_right_it_is_used() -> None:
    """Two members of equal quality and independent errors: their mean is the true model."""
    logits, fake = world()
    state, comparisons = chosen(["logistic_regression", "boosted_trees"], logits, fake)
    assert state["stacker"] == MEAN and [c.is_used for c in comparisons] == [False, False]
    assert [c.against for c in comparisons] == [MEAN, MEAN]
    assert comparisons[1].log_loss_difference > 0 and "does not beat mean" in comparisons[1].sentence


def test_what_beats_the_mean_takes_its_place_and_is_what_the_next_has_to_beat() -> None:
    logits, fake = world(quality=(1.0, 2.0))
    alike = logits[:, [0, 0, 0, 0, 1]]  # in the mean the weaker one counts four times
    state, comparisons = chosen(["logistic_regression", "boosted_trees"], alike, fake)
    assert state["stacker"] == "logistic_regression" and [c.is_used for c in comparisons] == [True, False]
    assert comparisons[1].against == "logistic_regression"
    assert comparisons[0].log_loss_difference_high < 0


def test_an_interaction_is_for_trees() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(800, 2)) * 2
    fake = logits[:, 0] * logits[:, 1] > 0
    state, _ = chosen(["logistic_regression", "boosted_trees"], logits, fake)
    assert state["stacker"] == "boosted_trees"


def test_an_embedding_that_knows_more_than_the_logits_is_used() -> None:
    logits, fake = world(quality=(0.5, 0.5))
    embedding = np.random.default_rng(1).normal(size=(len(fake), 5))
    embedding[:, 3] += 4 * fake
    state, _ = chosen(["logistic_regression", "embedding"], logits, fake, embedding)
    assert state["stacker"] == "embedding"


def test_a_member_that_memorized_its_training_rows_counts_nothing() -> None:
    """On rows that it has not seen it is certain, and right by chance."""
    logits, fake = world(n=1200)
    memorized = np.random.default_rng(7).choice([-15.0, 15.0], size=len(fake))
    fit, held_out = np.arange(600), np.arange(600, 1200)
    for name in (MEAN, "logistic_regression"):
        with_it = np.column_stack([logits, memorized])
        losses = {
            kind: loss(fake[held_out], fake_probability(
                fit_stacker(name, Features(columns[fit]), fake[fit], 1.0), Features(columns[held_out])))
            for kind, columns in (("with", with_it), ("without", logits))
        }  # fmt: skip
        assert losses["with"] == pytest.approx(losses["without"], abs=0.01)
    state = fit_stacker("logistic_regression", Features(with_it[fit]), fake[fit], 1.0)
    effects = np.abs(state["coefficients"][0] * state["slopes"]) * with_it.std(axis=0)
    assert effects[2] < 0.1 * effects[:2].min()


def test_on_shuffled_labels_nothing_is_learned() -> None:
    """Of 20 shuffles the log loss of held-out rows is that of the prior, or above."""
    logits, _ = world(n=300)
    excess = []
    for seed in range(20):
        fake = np.random.default_rng(100 + seed).random(300) < 0.5
        state, _ = chosen(["logistic_regression"], logits[:150], fake[:150])
        answers = fake_probability(state, Features(logits[150:]))
        excess.append(loss(fake[150:], answers) - np.log(2))
    assert np.mean(excess) >= 0 and min(excess) > -0.02
