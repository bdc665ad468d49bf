"""The closed loop: rank the query; while the ranker is unsure, let a rewriter say it in other words and rank again."""

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from hallmark.checks import require
from hallmark.systems.refseg.vlm.base import Request, Rewrite, Rewriter

StopReason = Literal[
    "confident",  # both thresholds reached, or one candidate only: no query could change the answer
    "max_iter",
    "unchanged",  # no rewriter, or a query that was ranked before
    "fallback",  # the rewriter had no answer
    "no_proposals",
    "one_shot",  # max_iter is 0
]


@dataclass(frozen=True)
class Thresholds:
    """What the best candidate must reach for the loop to stop; 0 is always reached, 1 never.

    (A softmax over two candidates or more gives 1 by rounding only, so 1 can mean "always rewrite".)

    Attributes:
        confidence: probability of the best candidate.
        gap: that probability less the second best one.
    """

    confidence: float
    gap: float

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            require(0 <= value <= 1, name, value, "a probability: 0 never rewrites, 1 always does")

    def reached(self, confidence: float, gap: float) -> bool:
        return self.confidence <= confidence and self.gap <= gap and max(self.confidence, self.gap) < 1


NEVER, ALWAYS = Thresholds(0, 0), Thresholds(1, 1)


@dataclass(frozen=True, eq=False)
class Step:
    """One ranking.

    Attributes:
        query: what was ranked.
        logits: float64 [N], or [N+1] where the ranker can abstain (the last is "no such object"); what the answer
            is taken from, so with `fuse` a mean over the queries so far.
        probabilities: softmax of `logits` / temperature, of the same shape; zeros where N = 0.
        top: position of the best candidate, the first of equals; -1 for "no such object" and where N = 0.
        confidence: its probability; 0 where N = 0.
        gap: `confidence` less the probability of the second best; the confidence itself where there is none.
    """

    query: str
    logits: NDArray
    probabilities: NDArray
    top: int
    confidence: float
    gap: float


@dataclass(frozen=True, eq=False)
class Outcome:
    """What the loop did with one expression.

    Attributes:
        steps: the rankings, the one-shot answer first.
        rewrites: what the rewriter said, one for each time it was asked.
        stop: why there are no more steps.
        answer: the step whose `top` is the final answer.
    """

    steps: Sequence[Step]
    rewrites: Sequence[Rewrite]
    stop: StopReason
    answer: Step

    @property
    def first(self) -> Step:
        """The one-shot answer."""
        return self.steps[0]


class Loop:
    """Ranks an expression, and its rewritings while the answer is unsure.

    A query is handed from the rewriter to the ranker and compared for equality; nothing else is done with it. No
    query is ranked twice: a rewriter that repeats one has nothing new to say, and the loop stops. Hence a loop
    without a rewriter, or with one that keeps the query, gives the bits of the one-shot answer.

    The answer is the step that reached the thresholds. Where none did, `keep` chooses. `most_confident` takes the
    surest step, of equals the earliest: the loop runs because the first ranking was unsure, and a rewriting that
    leaves the ranker less sure still is no reason to believe it. It bounds what a rewriter that drops or garbles
    the content can do, and keeps a rewriting that helps. `last` trusts the rewriter whatever it says.

    Args:
        rewriter: None for the loop without a language model.
        max_iter: rewritings ranked at most; 0 is the one-shot baseline.
        thresholds: when to stop.
        temperature: divides the logits.
        combine: `replace` ranks by the newest query alone. `fuse` ranks by S = S0 + w·S1 + w²·S2 + ..., as LGD
            adds the scores of generated descriptions to those of the expression (Li et al. 2025, arXiv:2504.14467:
            S = S_van + α·S_att + β·S_sur). S is divided by 1 + w + w² + ..., which keeps the order and the scale
            of one ranking: the temperature stays right and confidences compare across steps.
        weight: w of `fuse`.
        keep: `most_confident` or `last`.
    """

    def __init__(
        self, rewriter: Rewriter | None, *, max_iter: int, thresholds: Thresholds, temperature: float, combine: str,
        weight: float, keep: str,
    ) -> None:  # fmt: skip
        require(max_iter >= 0, "max_iter", max_iter, "0 (one-shot) or more")
        require(0 < temperature < math.inf, "temperature", temperature, "a positive number")
        require(combine in ("replace", "fuse"), "combine", combine, "replace or fuse")
        require(0 <= weight < math.inf, "weight", weight, "0 or more")
        require(keep in ("most_confident", "last"), "keep", keep, "most_confident or last")
        self._rewriter, self._max_iter, self.thresholds = rewriter, max_iter, thresholds
        self._temperature, self._keep = temperature, keep
        self._combine, self._weight = combine, weight

    def dialogue(self, request: Request, proposals: int) -> Generator[str, NDArray, Outcome]:
        """Rank `request.expression` and what becomes of it; the request's query and history are set here.

        It yields the query to rank and is sent the logits, [N] or [N+1], all finite, of one shape for all queries.

        Args:
            request: names the image and the expression for the rewriter.
            proposals: N.
        """
        ranked = [_checked((yield request.expression), proposals)]
        steps = [self._step(request.expression, ranked, proposals)]
        rewrites: list[Rewrite] = []
        while (stop := self._stop(steps, proposals)) is None:
            assert self._rewriter is not None
            # The rewriter sees every wording so far, so that it says something new.
            history = [step.query for step in steps]
            rewrite = self._rewriter.rewrite(replace(request, query=history[-1], history=history))
            rewrites.append(rewrite)
            if rewrite.fallback is not None or rewrite.query in history:
                stop = "unchanged" if rewrite.fallback is None else "fallback"
                break
            ranked.append(_checked((yield rewrite.query), proposals))
            steps.append(self._step(rewrite.query, ranked, proposals))
        trusted = stop == "confident" or self._keep == "last"
        answer = steps[-1] if trusted else max(steps, key=lambda step: step.confidence)
        return Outcome(steps, rewrites, stop, answer)

    def _step(self, query: str, ranked: Sequence[NDArray], proposals: int) -> Step:
        if self._combine == "replace":
            logits = ranked[-1]
        else:
            # The first query has weight 1, each later one w times that of the query before it.
            logits = np.average(ranked, axis=0, weights=self._weight ** np.arange(len(ranked)))
        if proposals == 0:
            return Step(query, logits, np.zeros_like(logits), -1, 0.0, 0.0)
        probabilities = softmax(logits / self._temperature)
        top = int(logits.argmax())
        confidence = float(probabilities[top])
        # With one candidate there is no second best: its confidence is 1, whatever its logit.
        second = float(np.partition(probabilities, -2)[-2]) if len(probabilities) > 1 else 0.0
        return Step(query, logits, probabilities, top if top < proposals else -1, confidence, confidence - second)

    def _stop(self, steps: Sequence[Step], proposals: int) -> StopReason | None:
        last = steps[-1]
        if proposals == 0:
            return "no_proposals"
        if self._max_iter == 0:
            return "one_shot"
        if len(last.logits) == 1 or self.thresholds.reached(last.confidence, last.gap):
            return "confident"
        if len(steps) > self._max_iter:
            return "max_iter"
        return "unchanged" if self._rewriter is None else None


def _checked(logits: NDArray, proposals: int) -> NDArray:
    logits = np.asarray(logits, np.float64)
    assert logits.shape in ((proposals,), (proposals + 1,)), f"{logits.shape} logits for {proposals} proposals"
    assert np.isfinite(logits).all(), f"logits that are not finite: {logits}"
    return logits
