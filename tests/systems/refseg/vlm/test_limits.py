"""Budgets of calls and money, the rate, and the circuit breaker around real calls."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.systems.refseg.vlm.conftest import SENTINEL, VARIABLE, ask, failing, kept, only, reply

from hallmark.learning.language_model.budget import Budget, CircuitBreaker, TokenBucket


def test_the_budget_of_calls_holds_among_threads(endpoint, build):
    budget = Budget(calls=10, cost=None, price_in=0, price_out=0, image_tokens=0)
    rewriter = build(budget=budget)
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda at: rewriter.rewrite(ask(f"thing {at}")), range(40)))
    assert endpoint.calls == 10 == budget.spent()["calls"] == rewriter.counts()["calls"]
    assert sum(rewrite.query == "red circle" for rewrite in done) == 10
    assert rewriter.counts()["budget"] == 30


def test_retries_and_response_formats_are_paid_for(endpoint, build):
    endpoint.answer = failing(500, **{"retry-after-ms": "1"})
    rewriter = build(budget=Budget(calls=3, cost=None, price_in=0, price_out=0, image_tokens=0), max_retries=50)
    assert kept(rewriter.rewrite(ask()), "budget") and endpoint.calls == 3
    endpoint.answer = only(None)
    rewriter = build(budget=Budget(calls=2, cost=None, price_in=0, price_out=0, image_tokens=0))
    assert kept(rewriter.rewrite(ask()), "budget") and endpoint.calls == 5


def test_the_budget_of_cost_holds_among_threads(endpoint, build):
    usage = {"prompt_tokens": 1500, "completion_tokens": 64}
    endpoint.answer = lambda body: reply(usage=usage)
    charge = (1500 * 2.0 + 64 * 10.0) / 1e6
    budget = Budget(calls=1000, cost=0.03, price_in=2.0, price_out=10.0, image_tokens=1000)
    rewriter = build(budget=budget)
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda at: rewriter.rewrite(ask(f"thing {at}")), range(40)))
    assert {rewrite.fallback for rewrite in done} == {None, "budget"}
    assert endpoint.calls >= 2 and endpoint.calls * charge <= 0.03
    assert budget.spent()["cost"] == pytest.approx(endpoint.calls * charge)


def test_an_answer_without_a_count_is_charged_the_most(endpoint, build):
    budget = Budget(calls=9, cost=1.0, price_in=1.0, price_out=1.0, image_tokens=1000)
    for usage, least in ((None, 1000 + 64), ({"prompt_tokens": -9, "completion_tokens": None}, 2 * (1000 + 64))):
        endpoint.answer = lambda body, usage=usage: reply(usage=usage)
        assert build(budget=budget).rewrite(ask()).query == "red circle"
        assert least <= budget.spent()["tokens_in"] + budget.spent()["tokens_out"] < 12_000


def test_what_the_endpoint_refuses_costs_a_call_and_no_tokens(endpoint, build):
    budget = Budget(calls=9, cost=1.0, price_in=1.0, price_out=1.0, image_tokens=1000)
    endpoint.answer = failing(401)
    build(budget=budget).rewrite(ask())
    assert budget.spent() == {"calls": 1, "tokens_in": 0, "tokens_out": 0, "cost": 0}


def test_calls_keep_to_the_rate(endpoint, build):
    rewriter = build(bucket=TokenBucket(10, 1))
    start = time.perf_counter()
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda at: rewriter.rewrite(ask(f"thing {at}")), range(4)))
    assert all(rewrite.fallback is None for rewrite in done) and time.perf_counter() - start >= 0.3


def test_a_call_that_is_not_due_before_the_deadline_is_not_made(endpoint, build):
    budget = Budget(calls=9, cost=None, price_in=0, price_out=0, image_tokens=0)
    rewriter = build(bucket=TokenBucket(0.01, 1), deadline=2.0, budget=budget)
    assert rewriter.rewrite(ask()).query == "red circle"
    rewrite = rewriter.rewrite(ask())
    assert kept(rewrite, "rate_limited") and rewrite.seconds < 1
    assert endpoint.calls == 1 == budget.spent()["calls"]


def test_the_circuit_opens_and_closes(endpoint, build):
    endpoint.answer = failing(500)
    rewriter = build(breaker=CircuitBreaker(3, 0.5))
    kinds = [rewriter.rewrite(ask()).fallback for _ in range(5)]
    assert kinds == ["server_error"] * 3 + ["circuit_open"] * 2 and endpoint.calls == 3
    time.sleep(0.6)
    endpoint.answer = lambda body: reply()
    assert [rewriter.rewrite(ask()).fallback for _ in range(3)] == [None] * 3


@pytest.mark.parametrize("text", ["I'm sorry, I can't.", '{"text": 1}'])
def test_a_reply_of_no_use_does_not_open_the_circuit(endpoint, build, text):
    endpoint.answer = lambda body: reply(text)
    rewriter = build(breaker=CircuitBreaker(1, 60))
    assert "circuit_open" not in {rewriter.rewrite(ask()).fallback for _ in range(3)}


def test_what_never_reached_the_endpoint_does_not_open_the_circuit(endpoint, build, monkeypatch):
    rewriter = build(breaker=CircuitBreaker(1, 60), bucket=TokenBucket(0.01, 1), deadline=1.0)
    monkeypatch.delenv(VARIABLE)
    assert kept(rewriter.rewrite(ask()), "no_key")
    monkeypatch.setenv(VARIABLE, SENTINEL)
    assert kept(rewriter.rewrite(ask(image=b"no image")), "unreadable_image")
    assert rewriter.rewrite(ask()).query == "red circle"
    assert [rewriter.rewrite(ask()).fallback for _ in range(2)] == ["rate_limited"] * 2
