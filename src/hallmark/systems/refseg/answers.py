"""From what the loop did with an expression to rows of the predictions table."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from hallmark.data.masks import Proposals, Rle, empty, measured, overlap, rle_text
from hallmark.runs.metrics import MAIN
from hallmark.statistics.tables import OVERLAP
from hallmark.systems.refseg.data import Expression
from hallmark.systems.refseg.loop import Outcome, Step

ONE_SHOT, ORACLE = "one_shot", "oracle"
MEASURED = ("score", *OVERLAP)


@dataclass(frozen=True)
class Kind:
    """Of a model: whether it `loops`, and whether it `abstains`, so that the best candidate may be no mask."""

    loops: bool
    abstains: bool


def answer_rows(
    expression: Expression, outcome: Outcome, proposals: Proposals, kind: Kind, seconds: float
) -> Iterator[dict[str, Any]]:
    """Rows of one expression in plain values: the answer, the one-shot answer of a loop, the best candidate.

    Args:
        seconds: of ranking and loop, without the rewriter's own time.
    """
    fallbacks = [rewrite.fallback for rewrite in outcome.rewrites if rewrite.fallback]
    shared = {
        "id": expression.id,
        "info_queries": json.dumps([step.query for step in outcome.steps], ensure_ascii=False),
        "info_stop": outcome.stop,
        "info_iterations": len(outcome.steps) - 1,
        "info_calls": len(outcome.rewrites),
        "info_cached": sum(rewrite.cached for rewrite in outcome.rewrites),
        "info_fallback": fallbacks[0] if fallbacks else "",
        "info_tokens_in": sum(rewrite.tokens_in for rewrite in outcome.rewrites),
        "info_tokens_out": sum(rewrite.tokens_out for rewrite in outcome.rewrites),
        "info_seconds": seconds,
        "info_vlm_seconds": sum(rewrite.seconds for rewrite in outcome.rewrites),
        "info_proposals": len(proposals),
    }
    yield {**shared, "task": MAIN, **_of_step(expression, outcome.answer, proposals)}
    if kind.loops:
        yield {**shared, "task": ONE_SHOT, **_of_step(expression, outcome.first, proposals)}
    if expression.truth is not None:
        position, _ = best_candidate(expression, proposals, abstains=kind.abstains)
        certain = {"confidence": 1.0, "info_gap": 1.0, "probabilities": []}
        yield {**shared, "task": ORACLE, **_masked(expression, proposals, position), **certain}


def overlap_of(expression: Expression, proposals: Proposals) -> Callable[[int], float]:
    """The IoU of the truth with the proposal at a position, or with no mask at −1."""
    assert expression.truth is not None, f"{expression.id} has no truth"
    truth = expression.truth
    return lambda top: overlap(_mask(proposals, top), truth).iou


def best_candidate(expression: Expression, proposals: Proposals, *, abstains: bool) -> tuple[int, float]:
    """What a perfect ranker would choose, −1 for no mask, and its IoU."""
    assert expression.truth is not None
    position, iou = proposals.best(expression.truth)
    nothing = overlap(None, expression.truth).iou
    if position is None or (abstains and nothing > iou):
        return -1, nothing
    return position, iou


def _of_step(expression: Expression, step: Step, proposals: Proposals) -> dict[str, Any]:
    return {
        **_masked(expression, proposals, step.top), "confidence": step.confidence, "info_gap": step.gap,
        "probabilities": step.probabilities.tolist(),
    }  # fmt: skip


def _masked(expression: Expression, proposals: Proposals, position: int) -> dict[str, Any]:
    mask, truth = _mask(proposals, position), expression.truth
    columns = dict.fromkeys(MEASURED) if truth is None else measured(mask, truth)
    return {"prediction": rle_text(mask or empty(proposals.size)), "info_chosen": position, **columns}


def _mask(proposals: Proposals, position: int) -> Rle | None:
    return proposals.rles[position] if position >= 0 else None
