"""Calls of a rewriter, counted."""

import pytest

from hallmark.systems.refseg.vlm.base import Rewrite
from hallmark.systems.refseg.vlm.calls import CallCounts, TooManyFailures
from hallmark.systems.refseg.vlm.policies import Noisy, TimeOut


class Limited(TimeOut):
    """Allows a share of failures."""

    source = "http://h/v1"

    def __init__(self, max_failed: float) -> None:
        self.max_failed = max_failed


def counts(failed: int, answered: int, **kinds: int) -> CallCounts:
    return CallCounts(failed + answered + sum(kinds.values()), fallbacks={"timeout": failed, **kinds})


def test_rewrites_are_counted():
    rewrites = [
        Rewrite("a", cached=True, tokens_in=3, tokens_out=2),
        Rewrite("b", tokens_in=4),
        Rewrite("c", "timeout"),
    ]
    totals = CallCounts.of(rewrites)
    assert totals == CallCounts(3, 1, 7, 2, {"timeout": 1})
    assert totals + CallCounts(1, fallbacks={"timeout": 1}) == CallCounts(4, 1, 7, 2, {"timeout": 2})
    assert CallCounts.of([]) == CallCounts()


@pytest.mark.parametrize(
    ("found", "limit", "complete", "ends"),
    [
        (counts(0, 0), 0.0, True, False),
        (counts(1, 9), 0.1, True, False),
        (counts(2, 8), 0.1, True, True),
        (counts(1, 99), 0.0, True, True),
        (counts(5, 0), 1.0, True, False),
        (counts(5, 0), 0.1, False, False),  # few so far
        (counts(6, 0), 0.1, False, True),
        (counts(0, 5, budget=95), 0.0, True, False),
        (counts(1, 4, budget=95), 0.1, True, True),
    ],
)
def test_a_phase_ends_where_a_greater_share_failed(found, limit, complete, ends):
    if not ends:
        found.check(Limited(limit), complete=complete)
        return
    with pytest.raises(TooManyFailures) as failed:
        found.check(Limited(limit), complete=complete)
    assert failed.value.key == "model.rewriter.max_failed" and "http://h/v1" in str(failed.value)


def test_a_rewriter_without_a_limit_may_always_fail():
    for rewriter in (None, TimeOut()):
        counts(9, 0).check(rewriter, complete=True)


def test_noise_around_a_rewriter_keeps_its_limit():
    noisy = Noisy(Limited(0.1), p=0.5, seed=0, expressions={"a": "b", "c": "d"})
    with pytest.raises(TooManyFailures):
        counts(9, 0).check(noisy, complete=True)
