"""A rewriter that asks a vision-language model behind an OpenAI-compatible endpoint."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from hallmark.checks import require
from hallmark.learning.language_model.answer import Answer
from hallmark.learning.language_model.budget import Budget, CircuitBreaker, TokenBucket
from hallmark.learning.language_model.endpoint import Endpoint
from hallmark.learning.language_model.transport import Call, Failure
from hallmark.storage.requirements import Requirement, key_variable
from hallmark.storage.secrets import redacted
from hallmark.systems.refseg.vlm import prompt
from hallmark.systems.refseg.vlm.base import Fallback, Request, Rewrite
from hallmark.systems.refseg.vlm.cache import AnswerCache, answer_key
from hallmark.systems.refseg.vlm.picture import PictureEncoder
from hallmark.systems.refseg.vlm.reply import SCHEMA, as_rewrite, parse_answer

_log = logging.getLogger(__name__)
# What says that the endpoint is down, or will answer every question alike.
_UNHEALTHY = frozenset(
    {"rate_limited", "server_error", "timeout", "connection", "denied", "rejected", "malformed", "too_long"}
)


class OpenAIRewriter:
    """Asks once for each question: answers come from `cache` afterwards, in any process.

    Whatever goes wrong, `rewrite` returns the query it was given, with the reason, within `deadline` seconds; only
    the decoding of the picture comes on top. One object serves many threads.

    Args:
        base_url, model, key_variable, parameters, timeout, max_retries, max_reply_bytes: see `Endpoint`.
        deadline: seconds for a rewrite, with waiting for the bucket, retries and every response format.
        max_failed: share of the calls of a phase (calibration, a split, a perturbed split) that may fail; where more
            do, the run ends in an error. Answers are kept, so that the same command goes on.
        picture: how images are sent.
        budget: what may be spent; share the object among rewriters, or its ledger among processes.
        bucket: how fast.
        breaker: when to stop asking.
        cache: None to ask again each time.
    """

    @classmethod
    def requirements(cls, arguments: Mapping[str, Any]) -> list[Requirement]:
        """The key of the endpoint."""
        text = f"{arguments['model']} at {urlsplit(arguments['base_url']).hostname}"
        return [key_variable(arguments["key_variable"], text=text)]

    def __init__(
        self, *, base_url: str, model: str, key_variable: str | None, parameters: Mapping[str, Any], timeout: float,
        deadline: float, max_failed: float, max_retries: int, max_reply_bytes: int, picture: PictureEncoder,
        budget: Budget, bucket: TokenBucket, breaker: CircuitBreaker, cache: AnswerCache | None,
    ) -> None:  # fmt: skip
        require(deadline > 0, "deadline", deadline, "seconds, above 0")
        require(0 <= max_failed <= 1, "max_failed", max_failed, "a share of the calls, from 0 to 1")
        self._endpoint = Endpoint(
            base_url=base_url, model=model, key_variable=key_variable, schema=SCHEMA, parameters=parameters,
            timeout=timeout, max_retries=max_retries, max_reply_bytes=max_reply_bytes, budget=budget, bucket=bucket,
        )  # fmt: skip
        self.deadline, self.max_failed, self._picture, self._budget = deadline, max_failed, picture, budget
        self._breaker, self._cache = breaker, cache
        self._lock, self._counts, self._calls = threading.Lock(), Counter[str](), 0

    def rewrite(self, request: Request) -> Rewrite:
        """Another wording of `request.query`, or the query itself and the reason; never raises."""
        start = time.perf_counter()
        answer: Answer | None = None
        fallback: Fallback | None = None
        cached = False
        try:
            answer, cached = self._remembered(request)
        except Failure as failure:
            fallback = failure.kind
            self._warn_once(fallback, str(failure))
        except Exception as error:  # a run of hours shall not end for one query
            fallback = "unexpected"
            self._warn_once(fallback, f"{type(error).__name__}: {error}")
        rewrite = as_rewrite(request, answer, fallback, cached=cached, seconds=time.perf_counter() - start)
        with self._lock:
            self._counts.update([rewrite.fallback or "answered", *(["cached"] if cached else [])])
        return rewrite

    @property
    def source(self) -> str:
        """The endpoint's address."""
        return self._endpoint.source

    def settings(self) -> dict[str, Any]:
        return {
            "kind": "openai", "source": self.source, "model": self._endpoint.model, "prompt": prompt.FINGERPRINT,
            "parameters": self._endpoint.parameters, "picture": self._picture.settings(),
        }  # fmt: skip

    def counts(self) -> dict[str, int]:
        """`calls` (HTTP attempts of this object), `answered`, `cached`, and each kind of fallback that happened."""
        with self._lock:
            return {"calls": self._calls, "answered": 0, "cached": 0, **self._counts}

    def spent(self) -> dict[str, float]:
        """What the budget has paid; see `Budget.spent`."""
        return self._budget.spent()

    def close(self) -> None:
        self._endpoint.close()

    def _remembered(self, request: Request) -> tuple[Answer, bool]:
        parameters = {**self._endpoint.parameters, "picture": self._picture.settings()}
        key = answer_key(source=self.source, model=self._endpoint.model, request=request, parameters=parameters)
        if self._cache is not None and (answer := self._cache.get(key)) is not None:
            return answer, True
        answer = self._asked(request)
        if self._cache is not None:
            self._cache.put(key, answer)
        return answer, False

    def _asked(self, request: Request) -> Answer:
        ticket = self._breaker.enter()
        if ticket is None:
            raise Failure("circuit_open", "the endpoint failed several times in a row and is left alone for a while")
        healthy: bool | None = None
        call = None
        try:
            try:
                address = self._picture.data_uri(request.image)
            except OSError as error:
                raise Failure("unreadable_image", str(error)) from None
            messages = prompt.chat(request, {"type": "image_url", "image_url": {"url": address}})
            call = Call(deadline=time.monotonic() + self.deadline)
            answer = self._endpoint.ask(messages, call)
            healthy = parse_answer(answer).fallback != "empty"  # a model that answers says something
            return answer
        except Failure as failure:
            # Nothing was asked where the client itself held the call back.
            healthy = False if failure.kind in _UNHEALTHY and call is not None and call.attempts else None
            raise
        finally:
            self._breaker.leave(ticket, healthy)
            with self._lock:
                self._calls += call.attempts if call is not None else 0

    def _warn_once(self, kind: Fallback, detail: str) -> None:
        with self._lock:
            first = kind not in self._counts
        if first:
            text = redacted(" ".join(detail.split()))[:300]
            _log.warning("the query is kept (%s): %s; further ones of this kind are only counted", kind, text)
