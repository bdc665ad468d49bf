import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hallmark.learning.language_model.budget import Budget, CircuitBreaker, TokenBucket


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def budget(calls: int = 1000, cost: float | None = None, ledger: Path | None = None) -> Budget:
    return Budget(calls=calls, cost=cost, price_in=2.0, price_out=10.0, image_tokens=0, ledger=ledger)


@pytest.mark.parametrize("shared", [False, True])
def test_calls_among_threads(tmp_path: Path, shared: bool):
    account = budget(calls=25, ledger=tmp_path / "ledger.json" if shared else None)
    with ThreadPoolExecutor(8) as pool:
        allowed = list(pool.map(lambda _: account.reserve(10, 1), range(60)))
    assert sum(allowed) == 25
    assert account.spent() == pytest.approx({"calls": 25, "tokens_in": 250, "tokens_out": 25, "cost": 0.00075})


def _spend(ledger: Path, allowed) -> None:
    account = budget(calls=30, ledger=ledger)
    allowed.put(sum(account.reserve(10, 1) for _ in range(20)))


def test_calls_among_processes_that_share_a_ledger(tmp_path: Path):
    context = multiprocessing.get_context("fork")
    allowed = context.Queue()
    processes = [context.Process(target=_spend, args=(tmp_path / "ledger.json", allowed)) for _ in range(3)]
    for process in processes:
        process.start()
    total = sum(allowed.get(timeout=20) for _ in processes)
    for process in processes:
        process.join()
    assert total == 30 == budget(ledger=tmp_path / "ledger.json").spent()["calls"]


@given(st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 500), st.floats(0, 1)), max_size=60))
def test_the_cost_is_never_exceeded_in_any_order_of_replies(calls):
    account, charged, waiting = budget(cost=0.02), 0.0, []
    for most_in, most_out, share in calls:
        if account.reserve(most_in, most_out):
            waiting.append((int(most_in * share), int(most_out * share), most_in, most_out))
        if share < 0.5 and waiting:
            tokens_in, tokens_out, most_in, most_out = waiting.pop()
            account.reconcile(tokens_in - most_in, tokens_out - most_out)
            charged += (2 * tokens_in + 10 * tokens_out) / 1e6
        assert charged <= account.spent()["cost"] + 1e-12 <= 0.02 + 1e-9
    assert account.spent()["calls"] <= len(calls)


def test_what_was_refused_costs_nothing():
    account = budget(cost=0.001)
    assert not account.reserve(501, 0)
    assert account.reserve(500, 0) and not account.reserve(1, 0) and account.reserve(0, 0)
    account.reconcile(-500, 0, calls=-1)
    assert account.spent() == {"calls": 1, "tokens_in": 0, "tokens_out": 0, "cost": 0}


def test_a_ledger_outlives_its_run(tmp_path: Path):
    budget(ledger=tmp_path / "runs" / "ledger.json").reserve(100, 10)
    account = budget(calls=2, ledger=tmp_path / "runs" / "ledger.json")
    assert account.reserve(0, 0) and not account.reserve(0, 0)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"calls": "many"}', '{"coins": 1}'])
def test_nothing_is_spent_on_a_ledger_that_cannot_be_read(tmp_path: Path, text: str):
    (tmp_path / "ledger.json").write_text(text)
    account = budget(ledger=tmp_path / "ledger.json")
    assert not account.reserve(0, 0)
    account.reconcile(-1, -1)
    assert (tmp_path / "ledger.json").read_text() == text


@pytest.mark.parametrize(
    "change",
    [{"calls": -1}, {"cost": -0.1}, {"price_in": -1}, {"price_out": -1}, {"image_tokens": -1}, {"cost": 1.0}],
)
def test_settings_of_a_budget(change):
    settings = {"calls": 1, "cost": None, "price_in": 0.0, "price_out": 0.0, "image_tokens": 0}
    with pytest.raises(ValueError, match=f"^{next(iter(change))}="):
        Budget(**(settings | change))


def test_a_bucket_gives_a_burst_and_then_the_rate():
    clock = Clock()
    bucket = TokenBucket(2, 3, clock=clock)
    assert [bucket.take(10) for _ in range(5)] == pytest.approx([0, 0, 0, 0.5, 1.0])
    clock.now += 1.0
    assert bucket.take(10) == pytest.approx(0.5)
    clock.now += 100
    assert [bucket.take(10) for _ in range(4)] == pytest.approx([0, 0, 0, 0.5])


def test_a_bucket_takes_nothing_from_the_impatient():
    bucket = TokenBucket(1, 1, clock=Clock())
    assert bucket.take(0) == 0
    assert [bucket.take(0.5) for _ in range(3)] == [None] * 3
    assert bucket.take(1) == 1


@given(st.lists(st.floats(0, 3), max_size=40), st.integers(1, 5))
def test_no_window_holds_more_than_burst_and_rate(pauses, burst):
    clock, starts = Clock(), []
    bucket = TokenBucket(2, burst, clock=clock)
    for pause in pauses:
        clock.now += pause
        wait = bucket.take(1e9)
        assert wait is not None
        starts.append(clock.now + wait)
    for first in range(len(starts)):
        for last in range(first, len(starts)):
            assert last - first + 1 <= burst + 2 * (starts[last] - starts[first]) + 1e-6


@pytest.mark.parametrize(
    ("kind", "values", "key"),
    [
        (TokenBucket, (0, 1), "per_second"),
        (TokenBucket, (1, 0), "burst"),
        (CircuitBreaker, (0, 1), "failures"),
        (CircuitBreaker, (1, 0), "seconds"),
    ],
)
def test_settings_of_a_bucket_and_a_breaker(kind, values, key):
    with pytest.raises(ValueError, match=f"^{key}="):
        kind(*values)


def call(breaker: CircuitBreaker, healthy: bool | None) -> bool:
    ticket = breaker.enter()
    if ticket is not None:
        breaker.leave(ticket, healthy)
    return ticket is not None


def test_a_breaker_opens_after_failures_in_a_row_only():
    breaker = CircuitBreaker(3, 10, clock=Clock())
    for healthy in (False, False, True, False, None, False):
        assert call(breaker, healthy)
    assert call(breaker, False) and not call(breaker, True)


def test_a_breaker_lets_one_call_try():
    clock = Clock()
    breaker = CircuitBreaker(1, 10, clock=clock)
    call(breaker, False)
    clock.now += 9
    assert breaker.enter() is None
    clock.now += 1
    trial = breaker.enter()
    assert trial is not None and breaker.enter() is None
    breaker.leave(trial, False)
    assert not call(breaker, True)
    clock.now += 10
    assert call(breaker, None), "a trial that says nothing leaves the next one free"
    assert call(breaker, True) and call(breaker, False) and not call(breaker, True)


def test_what_began_before_the_circuit_opened_says_nothing():
    clock = Clock()
    breaker = CircuitBreaker(1, 10, clock=clock)
    late = [breaker.enter(), breaker.enter()]
    call(breaker, False)
    assert late[0] is not None and late[1] is not None
    breaker.leave(late[0], True)
    assert not call(breaker, True)
    clock.now += 10
    trial = breaker.enter()
    breaker.leave(late[1], False)
    assert trial is not None and breaker.enter() is None
    breaker.leave(trial, True)
    assert call(breaker, True)
