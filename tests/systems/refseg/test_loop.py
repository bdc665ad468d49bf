import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.systems.refseg.parts import outcome_of

from hallmark.checks import SettingError
from hallmark.systems.refseg.loop import ALWAYS, NEVER, Loop, Outcome, Step, Thresholds
from hallmark.systems.refseg.vlm.base import Request, Rewrite
from hallmark.systems.refseg.vlm.policies import Adversarial, Identity, TimeOut

EXPRESSION = "the crimson disc"
SETTINGS = {
    "max_iter": 3,
    "thresholds": ALWAYS,
    "temperature": 1.0,
    "combine": "replace",
    "weight": 0.5,
    "keep": "most_confident",
}


class Scripted:
    """Answers with one query after the other, for ever with the last one; keeps what it was asked."""

    def __init__(self, *answers: str | Rewrite) -> None:
        self.answers = answers
        self.asked: list[Request] = []

    def rewrite(self, request: Request) -> Rewrite:
        answer = self.answers[min(len(self.asked), len(self.answers) - 1)]
        self.asked.append(request)
        return answer if isinstance(answer, Rewrite) else Rewrite(answer)


class Numbered:
    """A new query each time."""

    def rewrite(self, request: Request) -> Rewrite:
        return Rewrite(f"query {len(request.history)}")


class Table:
    """Ranks from a table of logits by query; keeps what was ranked."""

    def __init__(self, table: dict[str, Sequence[float]]) -> None:
        self.table, self.ranked = table, []

    def __call__(self, query: str) -> np.ndarray:
        self.ranked.append(query)
        return np.array(self.table[query])


def ask(expression: str = EXPRESSION) -> Request:
    return Request(b"", "image", expression, expression, (), "image/1")


def run(rewriter, rank: Callable, proposals: int, **changes) -> Outcome:
    return outcome_of(Loop(rewriter, **(SETTINGS | changes)), ask(), rank, proposals)


def numbered(rows: Sequence[Sequence[float]]) -> Table:
    return Table({EXPRESSION: rows[0], **{f"query {at}": row for at, row in enumerate(rows) if at}})


def same(first: Step, second: Step) -> bool:
    arrays = all(
        np.array_equal(left, right)
        for left, right in ((first.logits, second.logits), (first.probabilities, second.probabilities))
    )
    return arrays and (first.query, first.top, first.confidence, first.gap) == (
        second.query, second.top, second.confidence, second.gap,
    )  # fmt: skip


finite = st.floats(-30, 30)
candidates = st.lists(finite, min_size=2, max_size=6)
shares = st.floats(0, 1)
thresholds = st.builds(Thresholds, shares, shares)
settings = st.fixed_dictionaries(
    {
        "max_iter": st.integers(0, 4),
        "thresholds": thresholds,
        "temperature": st.floats(0.05, 20),
        "combine": st.sampled_from(["replace", "fuse"]),
        "weight": st.floats(0, 2),
        "keep": st.sampled_from(["most_confident", "last"]),
    }
)
sequences = st.integers(2, 5).flatmap(
    lambda size: st.lists(st.lists(finite, min_size=size, max_size=size), min_size=5, max_size=5)
)


def test_a_step_by_hand():
    logits = np.log([1.0, 5.0, 2.0]) * 2
    step = run(None, lambda query: logits, 3, temperature=2.0).first
    np.testing.assert_allclose(step.probabilities, [1 / 8, 5 / 8, 2 / 8])
    assert step.query == EXPRESSION and step.top == 1
    assert step.confidence == pytest.approx(5 / 8) and step.gap == pytest.approx(3 / 8)
    assert np.array_equal(step.logits, logits)


@given(candidates, settings)
@pytest.mark.parametrize("rewriter", [None, Identity(), TimeOut()], ids=["none", "identity", "time-out"])
def test_where_the_query_stays_every_bit_is_the_one_shot_answer(rewriter, logits, changes):
    rank = Table({EXPRESSION: logits})
    outcome = run(rewriter, rank, len(logits), **changes)
    one_shot = run(None, Table({EXPRESSION: logits}), len(logits), **(changes | {"max_iter": 0}))
    assert rank.ranked == [EXPRESSION] and len(outcome.steps) == 1
    assert outcome.answer is outcome.first and same(outcome.answer, one_shot.answer)
    assert one_shot.stop == "one_shot" and not one_shot.rewrites
    assert outcome.stop in ("one_shot", "confident", "fallback" if isinstance(rewriter, TimeOut) else "unchanged")


@given(sequences, settings)
def test_zero_never_asks_and_one_always_does(rows, changes):
    size = len(rows[0])
    never = run(Numbered(), numbered(rows), size, **(changes | {"thresholds": NEVER}))
    assert not never.rewrites and never.stop == ("confident" if changes["max_iter"] else "one_shot")
    for always in (ALWAYS, Thresholds(1, 0), Thresholds(0, 1)):
        outcome = run(Numbered(), numbered(rows), size, **(changes | {"thresholds": always}))
        assert len(outcome.rewrites) == changes["max_iter"] == len(outcome.steps) - 1
        assert outcome.stop == ("max_iter" if changes["max_iter"] else "one_shot")


def test_one_asks_even_where_a_softmax_rounds_to_one():
    outcome = run(Numbered(), numbered([[900.0, 0.0]] * 4), 2)
    assert outcome.first.confidence == 1.0 and len(outcome.rewrites) == 3


@given(sequences, settings, thresholds)
def test_greater_thresholds_never_ask_less_and_no_more_than_max_iter(rows, changes, other):
    lower, upper = (
        Thresholds(
            *(of(pair) for pair in zip(*(vars(t).values() for t in (other, changes["thresholds"])), strict=True))
        )
        for of in (min, max)
    )
    few, many = (run(Numbered(), numbered(rows), len(rows[0]), **(changes | {"thresholds": t})) for t in (lower, upper))
    assert len(few.rewrites) <= len(many.rewrites) <= changes["max_iter"]
    assert all(same(first, second) for first, second in zip(few.steps, many.steps, strict=False))


@given(sequences, settings)
def test_the_answer_is_a_step_and_why_it_stopped_is_true(rows, changes):
    outcome = run(Numbered(), numbered(rows), len(rows[0]), **changes)
    reached = [changes["thresholds"].reached(step.confidence, step.gap) for step in outcome.steps]
    assert not any(reached[:-1]) or changes["max_iter"] == 0
    assert (outcome.stop == "confident") == (reached[-1] and changes["max_iter"] > 0)
    if outcome.stop == "confident" or changes["keep"] == "last":
        assert outcome.answer is outcome.steps[-1]
    else:
        assert outcome.answer.confidence == max(step.confidence for step in outcome.steps)


def test_it_stops_when_both_thresholds_are_reached():
    rows = [np.log([0.45, 0.45, 0.1]), np.log([0.5, 0.3, 0.2]), np.log([0.6, 0.2, 0.2])]
    cases = {(0.4, 0.0): 0, (0.4, 0.1): 1, (0.55, 0.0): 2, (0.4, 0.3): 2, (0.55, 0.3): 2}
    for pair, calls in cases.items():
        outcome = run(Numbered(), numbered(rows), 3, thresholds=Thresholds(*pair), max_iter=2)
        assert (len(outcome.rewrites), outcome.stop) == (calls, "confident")
        assert outcome.answer is outcome.steps[calls]


def test_the_step_that_reached_the_thresholds_is_the_answer_though_another_was_more_confident():
    rows = [np.log([0.5, 0.49, 0.01]), np.log([0.2, 0.48, 0.32])]
    outcome = run(Numbered(), numbered(rows), 3, thresholds=Thresholds(0.3, 0.1))
    assert outcome.stop == "confident" and outcome.answer is outcome.steps[1]


def test_the_rewriter_reads_the_last_query_and_all_that_were_ranked():
    rewriter = Scripted("a", "b", "c")
    rank = Table({query: [0.0, 1.0] for query in (EXPRESSION, "a", "b", "c")})
    outcome = run(rewriter, rank, 2)
    assert rank.ranked == [EXPRESSION, "a", "b", "c"] == [step.query for step in outcome.steps]
    assert [(request.query, tuple(request.history)) for request in rewriter.asked] == [
        (EXPRESSION, (EXPRESSION,)), ("a", (EXPRESSION, "a")), ("b", (EXPRESSION, "a", "b")),
    ]  # fmt: skip
    assert {(request.expression, request.image_digest, request.sample_id) for request in rewriter.asked} == {
        (EXPRESSION, "image", "image/1")
    }


@pytest.mark.parametrize("answers", [("a", "a"), ("a", EXPRESSION)], ids=["the last", "an earlier one"])
def test_a_query_that_was_ranked_stops_the_loop(answers):
    rewriter, rank = Scripted(*answers), Table({EXPRESSION: [0.0, 1.0], "a": [2.0, 0.0]})
    outcome = run(rewriter, rank, 2, max_iter=5)
    assert outcome.stop == "unchanged" and rank.ranked == [EXPRESSION, "a"]
    assert len(rewriter.asked) == len(outcome.rewrites) == 2


def test_a_fallback_stops_the_loop_and_keeps_the_answer_before():
    lost = Rewrite("a", "timeout", seconds=1.5)
    rewriter, rank = Scripted("a", lost), Table({EXPRESSION: [0.0, 1.0], "a": [2.0, 0.0]})
    outcome = run(rewriter, rank, 2, max_iter=5)
    assert outcome.stop == "fallback" and outcome.rewrites[-1] is lost and len(rewriter.asked) == 2
    assert outcome.answer is outcome.steps[1]


def test_a_fallback_is_no_new_query_whatever_it_holds():
    rank = Table({EXPRESSION: [0.0, 1.0]})
    assert run(Scripted(Rewrite("never rank this", "schema")), rank, 2).stop == "fallback"
    assert rank.ranked == [EXPRESSION]


def test_fuse_by_hand():
    rows = np.array([[2.0, 0.0, 1.0], [0.0, 3.0, 1.0], [0.0, 8.0, 0.0]])
    steps = run(Numbered(), numbered(rows), 3, combine="fuse", weight=0.5, max_iter=2).steps
    np.testing.assert_allclose(steps[1].logits, (rows[0] + 0.5 * rows[1]) / 1.5)
    np.testing.assert_allclose(steps[2].logits, (rows[0] + 0.5 * rows[1] + 0.25 * rows[2]) / 1.75)
    assert [step.top for step in steps] == [0, 0, 1]


@given(sequences, settings)
def test_fuse_with_weight_0_never_leaves_the_one_shot_answer(rows, changes):
    outcome = run(Numbered(), numbered(rows), len(rows[0]), **(changes | {"combine": "fuse", "weight": 0.0}))
    assert all(np.array_equal(step.logits, outcome.first.logits) for step in outcome.steps)


@given(st.lists(finite, min_size=2, max_size=6), st.floats(0, 2))
def test_fuse_keeps_the_confidence_of_queries_that_rank_alike(logits, weight):
    outcome = run(Numbered(), lambda query: np.array(logits), len(logits), combine="fuse", weight=weight)
    np.testing.assert_allclose([step.confidence for step in outcome.steps], outcome.first.confidence, rtol=1e-9)


def test_most_confident_protects_from_a_rewriter_that_destroys_and_last_does_not():
    def rank(query: str) -> np.ndarray:
        words = ("crimson", "disc", "square")
        return np.array([sum(word in query for word in group) for group in (words[:2], words[2:], ())], np.float64)

    drop = Adversarial("drop")
    protected, trusting = (run(drop, rank, 3, keep=keep) for keep in ("most_confident", "last"))
    assert protected.first.top == protected.answer.top == 0 and len(protected.steps) > 1
    assert trusting.answer.confidence < trusting.first.confidence and trusting.answer is trusting.steps[-1]
    assert np.ptp(trusting.answer.logits) == 0


def test_most_confident_takes_a_rewriting_that_helps_and_the_earliest_of_equals():
    rows = [[0.0, 0.5], [3.0, 0.0], [0.0, 3.0], [1.0, 0.0]]
    assert run(Numbered(), numbered(rows), 2).answer.query == "query 1"
    assert run(Numbered(), numbered([[1.0, 0.0], [0.0, 1.0]]), 2, max_iter=1).answer.query == EXPRESSION


def test_most_confident_goes_by_the_confidence_not_by_the_gap():
    rows = [np.log([0.5, 0.48, 0.02]), np.log([0.3, 0.4, 0.3])]
    assert run(Numbered(), numbered(rows), 3, max_iter=1).answer.query == EXPRESSION


@pytest.mark.parametrize("logits", [[], [2.5]], ids=["no candidate", "no such object only"])
@pytest.mark.parametrize("max_iter", [0, 3])
def test_nothing_proposed(logits, max_iter):
    rewriter = Scripted("a")
    outcome = run(rewriter, Table({EXPRESSION: logits}), 0, max_iter=max_iter)
    step = outcome.answer
    assert outcome.stop == "no_proposals" and not rewriter.asked and step is outcome.first
    assert (step.top, step.confidence, step.gap) == (-1, 0.0, 0.0)
    assert step.logits.shape == step.probabilities.shape == (len(logits),)


def test_one_proposal_is_certain_and_asks_for_nothing():
    rewriter = Scripted("a")
    outcome = run(rewriter, Table({EXPRESSION: [-4.0]}), 1)
    step = outcome.answer
    assert (step.top, step.confidence, step.gap) == (0, 1.0, 1.0)
    assert outcome.stop == "confident" and not rewriter.asked


def test_one_proposal_against_no_such_object():
    outcome = run(Numbered(), numbered([np.log([1.0, 3.0]), np.log([9.0, 1.0])]), 1, max_iter=1)
    first, second = outcome.steps
    assert (first.top, second.top) == (-1, 0) and len(first.probabilities) == 2
    assert first.confidence == pytest.approx(0.75) and first.gap == pytest.approx(0.5)


def test_equal_logits_give_the_first_proposal_and_no_gap():
    step = run(None, lambda query: np.zeros(4), 3).answer
    assert (step.top, step.confidence, step.gap) == (0, 0.25, 0.0)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("at", [0, 1])
def test_logits_that_are_not_finite_are_a_fault(value, at):
    rows = [[1.0, 2.0], [1.0, 2.0]]
    rows[at][0] = value
    with pytest.raises(AssertionError, match="finite"):
        run(Numbered(), numbered(rows), 2)


@pytest.mark.parametrize("shape", [(1,), (4,), (1, 3)])
def test_logits_of_another_shape_are_a_fault(shape):
    with pytest.raises(AssertionError, match="proposals"):
        run(None, lambda query: np.zeros(shape), 2)


@given(st.text(), st.text())
def test_a_query_reaches_the_ranker_as_it_was_written(expression, rewritten):
    ranked = []

    def rank(query: str) -> np.ndarray:
        ranked.append(query)
        return np.array([0.0, 1.0])

    outcome_of(Loop(Scripted(rewritten), **(SETTINGS | {"max_iter": 1})), ask(expression), rank, 2)
    assert ranked == list(dict.fromkeys((expression, rewritten)))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("max_iter", -1), ("temperature", 0.0), ("temperature", math.inf), ("temperature", math.nan),
        ("combine", "add"), ("weight", -0.1), ("weight", math.inf), ("keep", "first"),
    ],
)  # fmt: skip
def test_settings_that_are_not_right(key, value):
    with pytest.raises(SettingError, match=key):
        Loop(None, **(SETTINGS | {key: value}))


@pytest.mark.parametrize("key", ["confidence", "gap"])
@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
def test_thresholds_that_are_not_right(key, value):
    with pytest.raises(SettingError, match=key):
        Thresholds(**({"confidence": 0.5, "gap": 0.5} | {key: value}))
