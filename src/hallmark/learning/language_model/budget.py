"""What a run may spend on calls, how fast it may ask, and when it stops asking an endpoint that is down."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from hallmark.checks import require
from hallmark.storage.files import read_json, write_json

_PATIENCE = 5.0  # seconds for the ledger's lock, which is held for milliseconds


@dataclass
class Usage:
    """Calls made, and tokens charged or reserved for them."""

    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0


class Budget:
    """Calls and money of one run. Every HTTP attempt is a call, the client's own retries too.

    A call is paid for before it is made, at the highest price that it can have; the answer's own count then
    replaces that. So the limits hold among threads, whatever order answers come in, as long as the endpoint
    charges no more than `image_tokens`, one token for each byte of text, and the limit of tokens it was given.

    Args:
        calls: at most so many.
        cost: at most so much, in the currency of the prices; None for no limit.
        price_in: for a million tokens of prompt.
        price_out: for a million tokens of reply.
        image_tokens: the most that the endpoint charges for one image.
        ledger: file that holds what is spent. With it the limits hold for all processes that name the file, on one
            machine, and outlive them; without it they hold for the threads of one process.
    """

    def __init__(
        self, *, calls: int, cost: float | None, price_in: float, price_out: float, image_tokens: int,
        ledger: Path | str | None = None,
    ) -> None:  # fmt: skip
        require(calls >= 0, "calls", calls, "a number of calls, 0 or more")
        require(cost is None or cost >= 0, "cost", cost, "an amount of money, 0 or more, or null for no limit")
        require(price_in >= 0, "price_in", price_in, "the price of a million tokens, 0 or more")
        require(price_out >= 0, "price_out", price_out, "the price of a million tokens, 0 or more")
        require(image_tokens >= 0, "image_tokens", image_tokens, "the most tokens that an image is charged")
        priced = cost is None or price_in > 0 or price_out > 0
        require(priced, "cost", cost, "null where price_in and price_out are 0, as nothing would ever be charged")
        self.calls, self.cost, self.image_tokens = calls, cost, image_tokens
        self._price_in, self._price_out = price_in, price_out
        self._ledger = None if ledger is None else Path(ledger)
        self._lock, self._memory = threading.Lock(), Usage()

    def reserve(self, tokens_in: int, tokens_out: int) -> bool:
        """Pay for one call with at most these tokens; False, and nothing paid, if that could exceed a limit."""
        try:
            with self._account() as spent:
                after = Usage(spent.calls + 1, spent.tokens_in + tokens_in, spent.tokens_out + tokens_out)
                if after.calls > self.calls or (self.cost is not None and self._price(after) > self.cost):
                    return False
                vars(spent).update(vars(after))
                return True
        except (OSError, ValueError, TypeError, Timeout):  # what cannot be read or written cannot be kept to
            return False

    def reconcile(self, tokens_in: int, tokens_out: int, *, calls: int = 0) -> None:
        """Correct what was reserved by these differences."""
        try:
            with self._account() as spent:
                spent.calls += calls
                spent.tokens_in += tokens_in
                spent.tokens_out += tokens_out
        except (OSError, ValueError, TypeError, Timeout):
            return  # the reservation stands, which errs towards spending less

    def spent(self) -> dict[str, float]:
        """`calls`, `tokens_in`, `tokens_out` and `cost` so far, with what is reserved for calls on their way."""
        with self._account() as spent:
            return {**asdict(spent), "cost": self._price(spent)}

    def _price(self, spent: Usage) -> float:
        return (spent.tokens_in * self._price_in + spent.tokens_out * self._price_out) / 1e6

    @contextmanager
    def _account(self) -> Iterator[Usage]:
        with self._lock:
            if self._ledger is None:
                yield self._memory
                return
            self._ledger.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self._ledger.with_name(f".{self._ledger.name}.lock"), timeout=_PATIENCE):
                spent = Usage(**read_json(self._ledger)) if self._ledger.exists() else Usage()
                before = asdict(spent)
                yield spent
                if asdict(spent) != before:
                    write_json(self._ledger, asdict(spent))


class TokenBucket:
    """At most `burst` calls at once, and `per_second` calls a second in the long run.

    The generic cell rate algorithm (ITU-T I.371): one time stamp, the theoretical arrival of the next call.
    """

    def __init__(self, per_second: float, burst: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        require(per_second > 0, "per_second", per_second, "calls a second, above 0")
        require(burst >= 1, "burst", burst, "a number of calls, 1 or more")
        self._interval, self._slack = 1 / per_second, (burst - 1) / per_second
        self._clock, self._lock, self._next = clock, threading.Lock(), float("-inf")

    def take(self, patience: float) -> float | None:
        """Seconds to wait before the call; None, and nothing taken, if that is more than `patience`."""
        with self._lock:
            now = self._clock()
            wait = max(0.0, self._next - self._slack - now)
            if wait > patience:
                return None
            self._next = max(self._next, now) + self._interval
            return wait


class CircuitBreaker:
    """After `failures` in a row no call for `seconds`, then one on trial: it closes the circuit or opens it again."""

    def __init__(self, failures: int, seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        require(failures >= 1, "failures", failures, "a number of failures in a row, 1 or more")
        require(seconds > 0, "seconds", seconds, "seconds without calls, above 0")
        self._limit, self._seconds, self._clock = failures, seconds, clock
        self._lock = threading.Lock()
        self._row, self._trial, self._era = 0, False, 0
        self._opened: float | None = None

    def enter(self) -> int | None:
        """A ticket for `leave`, or None: no call now."""
        with self._lock:
            if self._opened is not None:
                if self._trial or self._clock() - self._opened < self._seconds:
                    return None
                self._trial = True
                self._era += 1
            return self._era

    def leave(self, ticket: int, healthy: bool | None) -> None:
        """Say how the call went; None if it says nothing about the endpoint."""
        with self._lock:
            if ticket != self._era:  # begun before the circuit opened: it says nothing about now
                return
            on_trial, self._trial = self._trial, False
            if healthy:
                self._row, self._opened = 0, None
            elif healthy is not None:
                self._row += 1
                if on_trial or self._row >= self._limit:
                    self._opened = self._clock()
                    self._era += 1
