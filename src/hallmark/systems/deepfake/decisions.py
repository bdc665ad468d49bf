"""Which video is decided by whom, and as what: thresholds of the cascade from the scores of calibration videos.

V videos. A score is a logit, higher for a fake. Of every threshold it is stated how many videos of a class end on its
wrong side: at most a share, with a confidence (`statistics.guarantee`).
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from hallmark.checks import require
from hallmark.statistics.guarantee import Guarantee, guaranteed_threshold, needed_scores

FILTER, STACK = "filter", "stack"
UNDECIDED = "undecided"


@dataclass(frozen=True)
class Rates:
    """What the thresholds promise, each a share of all videos of a class.

    The filter's and the stack's shares add up: fakes that are called real are `clear_miss` + `stack_miss` at most, with
    a confidence of 1 − 2 `risk`, and likewise reals that are called fake.

    Attributes:
        clear_miss: fakes that the filter clears as real.
        early_false_alarm: reals that the filter calls fake; 0 leaves all of those to the stack.
        stack_false_alarm: reals that the stack calls fake.
        stack_miss: fakes that the stack calls real.
        risk: the probability that a promise does not hold, of each.
    """

    clear_miss: float
    early_false_alarm: float
    stack_false_alarm: float
    stack_miss: float
    risk: float


OF_FAKES, OF_REALS = ("clear_miss", "stack_miss"), ("early_false_alarm", "stack_false_alarm")
"""The rates of `Rates` that are shares of the fake videos, and those that are shares of the real ones."""


def check_counts(n_real: int, n_fake: int, rates: Rates) -> None:
    """See that so many calibration videos of either class are enough for what is promised.

    Raises:
        SettingError: they are too few; the key is `model` and that of the rate.
    """
    for keys, n, share, noun in (
        (OF_FAKES, n_fake, "miss rate", "fake"),
        (OF_REALS, n_real, "false-positive rate", "real"),
    ):
        for key in keys:
            rate = getattr(rates, key)
            if rate == 0:
                continue
            needed = needed_scores(rate, rates.risk)
            least = math.ceil(1000 * (1 - rates.risk ** (1 / n))) / 1000 if n else 1
            none = ", or 0 for none" if key == "early_false_alarm" else ""
            expected = (
                f"{least:g} or more{none}: a {share} of at most {rate:g} with a confidence of {1 - rates.risk:g} needs "
                f"{needed} {noun} videos in the calibration split, and there are {n}"
            )
            require(n >= needed, f"model.{key}", rate, expected)


@dataclass(frozen=True)
class Platt:
    """P(fake) = sigmoid(slope · logit + intercept) (Platt 1999)."""

    slope: float
    intercept: float

    def logits(self, logits: NDArray) -> NDArray:
        return self.slope * logits + self.intercept


def fit_platt(logits: NDArray, fake: NDArray) -> Platt:
    """Of logits [N] with a slope of 0 or more, and with Platt's targets, which no finite slope can reach.

    These are (n₊ + 1) / (n₊ + 2) of a fake and 1 / (n₋ + 2) of a real row, so that rows that a threshold separates
    have finite parameters.
    """
    n_fake, n_real = int(fake.sum()), int((~fake).sum())
    target = np.where(fake, (n_fake + 1) / (n_fake + 2), 1 / (n_real + 2))
    scale = max(float(np.abs(logits).max()), 1e-12)
    scaled = logits / scale

    def loss(parameters: NDArray) -> tuple[float, NDArray]:
        z = parameters[0] * scaled + parameters[1]
        error = expit(z) - target
        return float((np.logaddexp(0, z) - target * z).mean()), np.array([(error * scaled).mean(), error.mean()])

    fitted = minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B", bounds=[(0, None), (None, None)], tol=1e-12)
    return Platt(float(fitted.x[0]) / scale, float(fitted.x[1]))


@dataclass(frozen=True)
class Thresholds:
    """Of the cascade, on the scale of the filter's pooled logit and of the stack's.

    Attributes:
        clear: videos with a filter score below are real.
        early_fake: videos with a filter score above are fake.
        fake: videos that the stack decides are fake with a stack score above.
        real: and real with one below; between the two they are undecided.
        guarantees: what each was computed from, by its name.
    """

    clear: float
    early_fake: float
    fake: float
    real: float
    guarantees: Mapping[str, Any]


def fit_thresholds(filter_scores: NDArray, stack_scores: NDArray, fake: NDArray, rates: Rates) -> Thresholds:
    """Thresholds from the pooled logits of both [V], of calibration videos of which `fake` [V].

    Raises:
        UserError: too few videos of a class for what is promised; the message gives the number.
    """

    def of_fakes(scores: NDArray, rate: float) -> Guarantee:
        return guaranteed_threshold(scores[fake], rate=rate, risk=rates.risk, noun="fake videos", share="miss rate")

    def of_reals(scores: NDArray, rate: float) -> Guarantee:
        negated, share = -scores[~fake], "false-positive rate"
        return guaranteed_threshold(negated, rate=rate, risk=rates.risk, noun="real videos", share=share)

    guarantees = {"clear": of_fakes(filter_scores, rates.clear_miss)}
    if rates.early_false_alarm > 0:
        guarantees["early_fake"] = of_reals(filter_scores, rates.early_false_alarm)
    early = -guarantees["early_fake"].threshold if "early_fake" in guarantees else math.inf
    clear = min(guarantees["clear"].threshold, early)
    # A threshold of the stack may know of those of the filter only what comes of the other class: its own rows would
    # decide both what it is shown and where it is put, and no promise would hold.
    not_cleared = np.where(filter_scores < guarantees["clear"].threshold, -np.inf, stack_scores)
    not_early = np.where(filter_scores > early, np.inf, stack_scores)
    guarantees["fake"] = of_reals(not_cleared, rates.stack_false_alarm)
    guarantees["real"] = of_fakes(not_early, rates.stack_miss)
    called_fake = -guarantees["fake"].threshold
    # Where the classes lie so far apart that both promises hold between the two, every threshold there keeps them.
    called_real = min(guarantees["real"].threshold, called_fake)
    return Thresholds(clear, early, called_fake, called_real, {name: asdict(g) for name, g in guarantees.items()})


def decided_by(filter_scores: NDArray, thresholds: Thresholds) -> NDArray:
    """`filter` or `stack` for each video, [V]."""
    by_filter = (filter_scores < thresholds.clear) | (filter_scores > thresholds.early_fake)
    return np.where(by_filter, FILTER, STACK).astype(object)


def verdicts(filter_scores: NDArray, stack_scores: NDArray, thresholds: Thresholds) -> NDArray:
    """`real`, `fake` or `undecided` for each video, [V]; of one that the filter decides the stack score is not read."""
    by_filter = decided_by(filter_scores, thresholds) == FILTER
    of_filter = np.where(filter_scores < thresholds.clear, "real", "fake")
    fake, real = stack_scores > thresholds.fake, stack_scores < thresholds.real
    of_stack = np.where(fake, "fake", np.where(real, "real", UNDECIDED))
    return np.where(by_filter, of_filter, of_stack).astype(object)


def negative_predictive_value(cleared_real: float, cleared_fake: float, prevalence: float) -> float:
    """Share of real videos among the cleared ones, where `prevalence` of all are fake (Bayes).

    Args:
        cleared_real, cleared_fake: share of the videos of either class that is cleared.

    Returns:
        nan where nothing is cleared.
    """
    real, fake = (1 - prevalence) * cleared_real, prevalence * cleared_fake
    return real / (real + fake) if real + fake > 0 else math.nan
