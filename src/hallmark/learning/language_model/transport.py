"""The HTTP client below the SDK: what one call may take in time, bytes, tokens and money."""

import asyncio
import time
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import httpx2
from openai import OpenAIError
from openai._base_client import BaseClient

from hallmark.learning.language_model.answer import FailureKind
from hallmark.learning.language_model.budget import Budget, TokenBucket


@dataclass
class Call:
    """One question on its way: the SDK's retries and the response formats that are tried share it.

    Attributes:
        deadline: by `time.monotonic`.
        last: how the latest attempt that ended failed.
        attempts: HTTP requests made.
        reserved: tokens in and out paid for the attempt on its way.
    """

    deadline: float
    last: FailureKind | None = None
    attempts: int = 0
    reserved: tuple[int, int] = (0, 0)

    def remaining(self) -> float:
        return self.deadline - time.monotonic()


class Failure(OpenAIError):
    """Ends a question. It is one of the SDK's errors because those are the ones that the SDK does not retry."""

    def __init__(self, kind: FailureKind, detail: str, status: int | None = None) -> None:
        super().__init__(detail)
        self.kind, self.status = kind, status


# The SDK stands between the question and this client and passes nothing along; both run in one task.
CALL: ContextVar[Call] = ContextVar("call")


def status_kind(status: int) -> FailureKind:
    if status == 429:
        return "rate_limited"
    if status == 408:
        return "timeout"
    if status in (401, 403):
        return "denied"
    return "server_error" if status >= 500 else "rejected"


class BoundedClient(httpx2.AsyncClient):
    """Sends what the SDK builds, each attempt within the limits; `Failure` where one is met.

    A reply is read in pieces up to `max_reply_bytes`; compressed ones, which a few bytes can make large, are refused.
    """

    def __init__(self, *, budget: Budget, bucket: TokenBucket, max_reply_bytes: int, timeout: float) -> None:
        # A redirect would carry picture and key to an address that nobody chose.
        super().__init__(timeout=timeout, follow_redirects=False, headers={"Accept-Encoding": "identity"})
        self._budget, self._bucket, self._most = budget, bucket, max_reply_bytes

    async def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        call = CALL.get()
        await self._admit(call)
        call.last, call.attempts = None, call.attempts + 1
        try:
            response = await super().send(request, **{**options, "stream": True})
            call.last = None if response.is_success else status_kind(response.status_code)
            try:
                body = await self._body(response)
            finally:
                await response.aclose()
        except httpx2.TransportError as error:
            call.last = "timeout" if isinstance(error, httpx2.TimeoutException) else "connection"
            if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout):
                await self._give_back(call)
            raise
        if 300 <= response.status_code < 500:  # not charged by anybody
            await self._give_back(call)
        headers = response.headers.copy()
        # As the SDK reads the header, which would wait for as long.
        wait = BaseClient._parse_retry_after_header(None, headers)  # type: ignore[arg-type]
        if wait is not None and wait >= call.remaining():
            headers["x-should-retry"] = "false"  # the SDK's own word for it
        return httpx2.Response(response.status_code, headers=headers, content=body, request=request)

    async def _admit(self, call: Call) -> None:
        if not await asyncio.to_thread(self._budget.reserve, *call.reserved):
            raise Failure("budget", "the budget of calls or cost is spent")
        wait = self._bucket.take(call.remaining())
        try:
            if wait is None:
                raise Failure("rate_limited", "no call is due before the deadline at the configured rate")
            await asyncio.sleep(wait)
        except BaseException:
            await self._give_back(call, calls=1)
            raise

    async def _give_back(self, call: Call, *, calls: int = 0) -> None:
        await asyncio.to_thread(self._budget.reconcile, -call.reserved[0], -call.reserved[1], calls=-calls)

    async def _body(self, response: httpx2.Response) -> bytes:
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise Failure("malformed", "the reply is compressed, though this was not asked for")
        body = bytearray()
        async for piece in response.aiter_raw():
            body += piece
            if len(body) > self._most:
                raise Failure("too_long", f"the reply is longer than max_reply_bytes={self._most}")
        return bytes(body)
