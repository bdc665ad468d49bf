"""Thresholds of the cascade and what they promise."""

import math

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from hallmark.checks import UserError
from hallmark.systems.deepfake.decisions import (
    Rates,
    Thresholds,
    decided_by,
    fit_platt,
    fit_thresholds,
    negative_predictive_value,
    verdicts,
)

RATES = Rates(clear_miss=0.05, early_false_alarm=0.05, stack_false_alarm=0.08, stack_miss=0.10, risk=0.05)


def videos(seed: int, n: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Filter scores, stack scores (better ones) and what is fake."""
    rng = np.random.default_rng(seed)
    fake = np.arange(n) % 2 == 0
    shift = np.where(fake, 1.0, -1.0)
    return shift + rng.normal(size=n), 1.6 * shift + rng.normal(size=n), fake


def test_who_decides_and_how_by_hand() -> None:
    thresholds = Thresholds(clear=-1, early_fake=2, fake=0.5, real=-0.5, guarantees={})
    filter_scores = np.array([-2, -1, 0, 0, 0, 2, 3.0])
    stack_scores = np.array([9, 0.6, 0.5, -0.5, -0.6, 0, -9.0])
    assert decided_by(filter_scores, thresholds).tolist() == ["filter", *["stack"] * 5, "filter"]
    expected = ["real", "fake", "undecided", "undecided", "real", "undecided", "fake"]
    assert verdicts(filter_scores, stack_scores, thresholds).tolist() == expected


def test_each_promise_is_broken_as_seldom_as_it_says() -> None:
    """On a large second draw, in a share of first draws that is the risk or less."""
    *unseen, unseen_fake = videos(10_000, n=20_000)
    n_draws, broken = 150, dict.fromkeys(("clear_miss", "early_false_alarm", "stack_false_alarm", "stack_miss"), 0)
    for seed in range(n_draws):
        thresholds = fit_thresholds(*videos(seed), RATES)
        answers = verdicts(*unseen, thresholds)
        by_filter = decided_by(unseen[0], thresholds) == "filter"
        rates = {
            "clear_miss": (by_filter & (answers == "real"))[unseen_fake].mean(),
            "early_false_alarm": (by_filter & (answers == "fake"))[~unseen_fake].mean(),
            "stack_false_alarm": (~by_filter & (answers == "fake"))[~unseen_fake].mean(),
            "stack_miss": (~by_filter & (answers == "real"))[unseen_fake].mean(),
        }
        for name, rate in rates.items():
            broken[name] += rate > getattr(RATES, name)
    most = RATES.risk + 2.5 * math.sqrt(RATES.risk * (1 - RATES.risk) / n_draws)
    assert all(count / n_draws <= most for count in broken.values()), broken
    assert broken["clear_miss"] > 0  # it is no looser than it may be


def test_without_an_early_exit_for_fakes_the_stack_decides_them() -> None:
    rates = Rates(clear_miss=0.05, early_false_alarm=0, stack_false_alarm=0.1, stack_miss=0.15, risk=0.05)
    thresholds = fit_thresholds(*videos(0), rates)
    assert thresholds.early_fake == math.inf and set(thresholds.guarantees) == {"clear", "fake", "real"}


def test_where_the_classes_lie_apart_nothing_is_undecided() -> None:
    filter_scores, _, fake = videos(0)
    stack_scores = np.where(fake, 5.0, -5.0) + np.linspace(-1, 1, len(fake))
    thresholds = fit_thresholds(filter_scores, stack_scores, fake, RATES)
    assert thresholds.real <= thresholds.fake
    answers = verdicts(np.zeros(50), np.linspace(-6, 6, 50), thresholds)
    assert {"real", "fake"} <= set(answers) and (answers == "undecided").sum() <= 1


@pytest.mark.parametrize(("clear_miss", "needed"), [(0.02, 149), (0.01, 299)])
def test_too_few_videos_are_refused_with_the_number_that_is_needed(clear_miss, needed) -> None:
    rates = Rates(clear_miss=clear_miss, early_false_alarm=0.05, stack_false_alarm=0.1, stack_miss=0.15, risk=0.05)
    with pytest.raises(UserError, match=rf"^a miss rate .*\b{needed} fake videos, and there are 100\b"):
        fit_thresholds(*videos(0, n=200), rates)
    with pytest.raises(UserError, match=r"^a false-positive rate .*\b299 real videos, and there are 200\b"):
        fit_thresholds(*videos(0), Rates(0.05, 0.01, 0.1, 0.15, 0.05))


def test_platt_is_a_logistic_regression_on_softened_targets() -> None:
    logits, _, fake = videos(3)
    platt = fit_platt(logits, fake)
    n = int(fake.sum())
    soft = np.where(fake, (n + 1) / (n + 2), 1 / (n + 2))
    twice, labels = np.concatenate([logits, logits]), np.repeat([1, 0], len(logits))
    reference = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
    reference.fit(twice[:, None], labels, sample_weight=np.concatenate([soft, 1 - soft]))
    assert platt.slope == pytest.approx(reference.coef_[0, 0], rel=1e-3)
    assert platt.intercept == pytest.approx(reference.intercept_[0], abs=1e-3)
    assert expit(platt.logits(np.array([0.0])))[0] == pytest.approx(expit(platt.intercept))


def test_platt_of_separated_and_of_huge_logits_is_finite() -> None:
    fake = np.arange(20) % 2 == 0
    platt = fit_platt(np.where(fake, 700.0, -700.0), fake)
    assert 0 < platt.slope < 1 and expit(platt.logits(np.array([700.0])))[0] == pytest.approx(11 / 12, abs=1e-3)
    assert fit_platt(np.where(fake, -1.0, 1.0), fake).slope == 0


def test_the_share_of_reals_among_the_cleared_by_hand() -> None:
    # Of 1,000 videos 10 are fake: 495 of 990 reals and half a fake are cleared.
    assert negative_predictive_value(0.5, 0.05, 0.01) == pytest.approx(495 / 495.5)
    assert math.isnan(negative_predictive_value(0, 0, 0.01))
