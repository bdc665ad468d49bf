"""From an outcome of the loop to rows: which there are, what they hold, and IoU at its edges."""

import json

import numpy as np
import pytest
from tests.systems.refseg.parts import BLUE, GREEN, RED, SIZE, rle_of

from hallmark.data.masks import Proposals, rle_from_text
from hallmark.systems.refseg.answers import MEASURED, Kind, answer_rows, best_candidate, overlap_of
from hallmark.systems.refseg.data import Expression
from hallmark.systems.refseg.loop import Outcome, Step
from hallmark.systems.refseg.vlm.base import Rewrite

BOXES = (RED, GREEN)
NOTHING = Proposals.of([], [], SIZE)
TWO = Proposals.of([rle_of(box) for box in BOXES], [1.0, 1.0], SIZE)
KIND = Kind(loops=True, abstains=False)
ABSTAINING = Kind(loops=True, abstains=True)


def expression(box) -> Expression:
    return Expression("a#0", "a thing", None if box is None else rle_of(box))


def step(query: str, top: int, confidence: float = 0.75) -> Step:
    return Step(query, np.zeros(2), np.array([confidence, 1 - confidence]), top, confidence, 2 * confidence - 1)


def outcome(*steps: Step, rewrites=(), answer: int = -1, stop="max_iter") -> Outcome:
    return Outcome(steps, rewrites, stop, steps[answer])


def rows(said: Expression, found: Outcome, proposals=TWO, kind=KIND) -> dict[str, dict]:
    return {row["task"]: row for row in answer_rows(said, found, proposals, kind, 0.5)}


def test_the_answer_the_first_ranking_and_the_best_candidate():
    by_task = rows(expression(GREEN), outcome(step("a", 0), step("b", 1, 0.875), answer=1))
    assert list(by_task) == ["main", "one_shot", "oracle"]
    assert {task: (row["info_chosen"], row["score"]) for task, row in by_task.items()} == {
        "main": (1, 1.0), "one_shot": (0, 0.0), "oracle": (1, 1.0),
    }  # fmt: skip
    assert [by_task[task]["confidence"] for task in by_task] == [0.875, 0.75, 1.0]
    assert [by_task[task]["info_gap"] for task in by_task] == [0.75, 0.5, 1.0]
    assert [by_task[task]["probabilities"] for task in by_task] == [[0.875, 0.125], [0.75, 0.25], []]
    assert [rle_from_text(by_task[task]["prediction"]) for task in by_task] == [
        rle_of(GREEN),
        rle_of(RED),
        rle_of(GREEN),
    ]


def test_an_answer_that_went_back_to_an_earlier_step():
    by_task = rows(expression(RED), outcome(step("a", 0, 0.75), step("b", 1, 0.5), answer=0))
    assert by_task["main"]["info_chosen"] == by_task["one_shot"]["info_chosen"] == 0
    assert json.loads(by_task["main"]["info_queries"]) == ["a", "b"] and by_task["main"]["info_iterations"] == 1


@pytest.mark.parametrize(("loops", "box"), [(False, RED), (True, None), (False, None)])
def test_rows_that_there_are_not(loops, box):
    by_task = rows(expression(box), outcome(step("a", 0)), kind=Kind(loops=loops, abstains=False))
    expected = {"main", *(["one_shot"] if loops else []), *(["oracle"] if box is not None else [])}
    assert set(by_task) == expected
    if box is None:
        assert {row[name] for row in by_task.values() for name in MEASURED} == {None}


def test_what_the_rewriter_did_stands_in_every_row():
    rewrites = [
        Rewrite("b", seconds=1.5, cached=True, tokens_in=10, tokens_out=2), Rewrite("b", "timeout", 2.0, tokens_in=5),
    ]  # fmt: skip
    for row in rows(expression(RED), outcome(step("é", 0), step("b", 0), rewrites=rewrites, stop="fallback")).values():
        assert row["info_queries"] == '["é", "b"]'
        values = [row[f"info_{name}"] for name in ("stop", "calls", "cached", "fallback", "tokens_in", "tokens_out")]
        assert values == ["fallback", 2, 1, "timeout", 15, 2]
        assert (row["info_seconds"], row["info_vlm_seconds"], row["info_proposals"]) == (0.5, 3.5, 2)


@pytest.mark.parametrize(
    ("box", "top", "proposals", "expected"),
    [
        (RED, 0, TWO, (1.0, 64, 64, 64)),
        (RED, 1, TWO, (0.0, 0, 80, 64)),
        (RED, -1, TWO, (0.0, 0, 64, 64)),  # an empty prediction
        (RED, -1, NOTHING, (0.0, 0, 64, 64)),
        ((), 0, TWO, (0.0, 0, 64, 0)),  # an empty truth
        ((), -1, TWO, (1.0, 0, 0, 0)),
        ((), -1, NOTHING, (1.0, 0, 0, 0)),
        ((0, 0, 4, 4), 0, TWO, (0.25, 16, 64, 16)),
        ((4, 4, 8, 8), 0, TWO, (16 / 112, 16, 112, 64)),
    ],
)
def test_overlaps_at_their_edges(box, top, proposals, expected):
    row = rows(expression(box), outcome(step("a", top)), proposals)["main"]
    assert tuple(row[name] for name in MEASURED) == expected
    assert overlap_of(expression(box), proposals)(top) == expected[0]


@pytest.mark.parametrize(
    ("box", "proposals", "abstains", "expected"),
    [
        (GREEN, TWO, False, (1, 1.0)),
        (GREEN, TWO, True, (1, 1.0)),
        ((0, 0, 8, 4), TWO, True, (0, 0.5)),
        (BLUE, TWO, True, (0, 0.0)),  # nothing is near: no mask is no better than any
        ((), TWO, False, (0, 0.0)),
        ((), TWO, True, (-1, 1.0)),
        ((), NOTHING, False, (-1, 1.0)),
        (RED, NOTHING, True, (-1, 0.0)),
    ],
)
def test_the_best_candidate(box, proposals, abstains, expected):
    assert best_candidate(expression(box), proposals, abstains=abstains) == expected
    kind = ABSTAINING if abstains else KIND
    oracle = rows(expression(box), outcome(step("a", -1)), proposals, kind)["oracle"]
    assert (oracle["info_chosen"], oracle["score"]) == expected
