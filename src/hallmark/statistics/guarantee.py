"""A threshold below which at most a stated share of some class lies, with a stated confidence.

Of n independent scores of the class, s(1) ≤ … ≤ s(n), the share of the class that lies below s(k) exceeds ε with the
probability P(Bin(n, ε) ≤ k − 1), whatever the distribution; of one with ties with no more than that. The threshold is
s(k) for the largest k for which this is at most δ: the one-sided distribution-free tolerance limit of Wilks (1941). The
quantile that leaves a share of at most ε of the n scores below it, k = ⌊ε n⌋ + 1, promises nothing: more than ε lies
below it in about half of all draws.
"""

import math
from dataclasses import dataclass

import numpy as np

from hallmark.checks import UserError
from hallmark.statistics.metrics.classification import Floats


@dataclass(frozen=True)
class Guarantee:
    """A threshold t for which P(score < t) ≤ `rate` with a confidence of 1 − `risk`.

    Attributes:
        threshold: s(k).
        n, k: the number of scores, and the rank of the one that is the threshold.
        violation: the exact probability, over draws of the n scores, that the share below exceeds `rate`.
    """

    threshold: float
    n: int
    k: int
    rate: float
    risk: float
    violation: float


def guaranteed_threshold(
    scores: Floats, *, rate: float, risk: float, noun: str = "rows", share: str = "share"
) -> Guarantee:
    """The highest threshold that the scores [N] guarantee.

    Args:
        scores: independent ones of the class, which were used for nothing else.
        rate: ε, the largest share of the class that may lie below.
        risk: δ, the largest probability that more does.
        noun: what the scores are of, and share: what `rate` is called for them, for the message.

    Raises:
        UserError: fewer scores than `needed_scores`; the message gives that number.
    """
    n = len(scores)
    needed = needed_scores(rate, risk)
    if n < needed:
        promise = f"a {share} of at most {rate:g} with a confidence of {1 - risk:g}"
        raise UserError(f"{promise} needs {needed} {noun}, and there are {n}")
    k = guaranteed_rank(n, rate, risk)
    threshold = float(np.partition(scores, k - 1)[k - 1])
    violation = violation_probability(n, k, rate)
    return Guarantee(threshold=threshold, n=n, k=k, rate=rate, risk=risk, violation=violation)


def needed_scores(rate: float, risk: float) -> int:
    """The fewest scores for which the lowest of them is guaranteed: (1 − ε)^n ≤ δ."""
    n = max(1, math.ceil(math.log(risk) / math.log1p(-rate)) - 1)  # the quotient may be rounded up
    return n if violation_probability(n, 1, rate) <= risk else n + 1


def guaranteed_rank(n: int, rate: float, risk: float) -> int:
    """The largest k with P(Bin(n, ε) ≤ k − 1) ≤ δ; 0 where there is none."""
    from scipy.stats import binom

    return int(np.searchsorted(binom.cdf(np.arange(n), n, rate), risk, side="right"))


def violation_probability(n: int, k: int, rate: float) -> float:
    """P(Bin(n, ε) ≤ k − 1): how often more than ε of a continuous distribution lies below the k-th lowest of n."""
    from scipy.stats import binom

    return float(binom.cdf(k - 1, n, rate))
