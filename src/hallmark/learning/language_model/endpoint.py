"""An OpenAI-compatible endpoint: one question, one answer or one failure, in bounded time."""

import asyncio
import json
import os
import re
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Annotated, Any

import httpx2
import openai
from openai import AsyncOpenAI
from pydantic import BaseModel, Field, NonNegativeInt, ValidationError

from hallmark.checks import require
from hallmark.learning.language_model.answer import MAX_TEXT, Answer
from hallmark.learning.language_model.budget import Budget, TokenBucket
from hallmark.learning.language_model.transport import CALL, BoundedClient, Call, Failure, status_kind

_LIMITS = ("max_tokens", "max_completion_tokens")
_RESERVED = frozenset({"model", "messages", "response_format", "stream", "n", "tools", "tool_choice", "functions"})
_NOT_SUPPORTED = (400, 422)
_TEMPLATE_TOKENS = 256  # what chat templates put around messages
_SHORTEST_KEY = 8  # shorter ones are no secrets, and would be found everywhere
_GRACE = 5.0


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Usage(BaseModel):
    prompt_tokens: NonNegativeInt
    completion_tokens: NonNegativeInt


class _Completion(BaseModel):
    """The part of a chat completion that is read; tools and all the rest are not."""

    choices: Annotated[list[_Choice], Field(min_length=1)]
    usage: Any = None


class Endpoint:
    """Asks `model` at `base_url`, with the SDK's own retries and no others.

    The first question finds out which output format the endpoint supports: a JSON schema, any JSON object, or
    plain text. One that it refuses costs one call more, once for each question that is on its way by then.
    Calls run in one event loop on a thread of their own, since only there a deadline can end them wherever they
    are: in a look-up of a name, between two bytes of a slow reply, or in the SDK's sleep before a retry.

    Args:
        base_url: such as https://api.siliconflow.cn/v1.
        model: the endpoint's name for it.
        key_variable: the environment variable that holds the key; None for an endpoint that wants none.
        schema: JSON schema of the answer, `name` and `schema` as in the SDK's response_format.
        parameters: of the request, such as max_tokens, temperature and seed, sent as they are.
        timeout: seconds for a connection, and between two pieces of a reply.
        max_retries: of the SDK, for 408, 409, 429, 5xx, time-outs and lost connections.
        max_reply_bytes: a longer reply is not read to its end.
        budget: every attempt is paid from it.
        bucket: every attempt waits for it.

    Attributes:
        source: the address in one spelling, which names the endpoint in caches and messages.

    Raises:
        ValueError: a setting that cannot work, or one that holds a secret; the secret is not repeated.
    """

    def __init__(
        self, *, base_url: str, model: str, key_variable: str | None, schema: Mapping[str, Any],
        parameters: Mapping[str, Any], timeout: float, max_retries: int, max_reply_bytes: int, budget: Budget,
        bucket: TokenBucket,
    ) -> None:  # fmt: skip
        source = _one_spelling(base_url)
        named = key_variable is None or re.fullmatch(r"[A-Z_][A-Z0-9_]{0,63}", key_variable)
        # A value that is no name may well be the key itself.
        require(bool(named), "key_variable", "***", "the name of an environment variable, such as SILICONFLOW_API_KEY")
        require(bool(model), "model", model, "the endpoint's name of a model")
        require(timeout > 0, "timeout", timeout, "seconds, above 0")
        require(max_retries >= 0, "max_retries", max_retries, "a number of retries, 0 or more")
        require(max_reply_bytes >= 1024, "max_reply_bytes", max_reply_bytes, "1024 bytes or more")
        self.base_url, self.model, self.key_variable = base_url, model, key_variable
        self.source = source
        self.parameters = dict(parameters)
        self._most_out = _most_tokens(self.parameters)
        self._timeout, self._max_retries, self._max_reply_bytes = timeout, max_retries, max_reply_bytes
        self._budget, self._bucket = budget, bucket
        self._formats: tuple[dict | None, ...] = (
            {"type": "json_schema", "json_schema": {"strict": True, **schema}}, {"type": "json_object"}, None,
        )  # fmt: skip
        self._format, self._confirmed = 0, False
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._client: AsyncOpenAI | None = None

    def ask(self, messages: Sequence[dict], call: Call) -> Answer:
        """The answer to `messages`.

        Raises:
            Failure: there is none; the attempts are counted in `call` all the same.
        """
        loop = self._running_loop(self._key())
        future = asyncio.run_coroutine_threadsafe(self._in_some_format(messages, call), loop)
        try:
            return future.result(max(0.0, call.remaining()) + _GRACE)
        except TimeoutError:  # the loop itself stands still, as after a fork
            raise Failure("timeout", "the client does not answer") from None
        finally:
            future.cancel()

    def close(self) -> None:
        """End the thread and its connections; the next question starts them anew."""
        with self._lock:
            loop, client, self._loop, self._client = self._loop, self._client, None, None
        if loop is not None and client is not None:
            with suppress(TimeoutError):
                asyncio.run_coroutine_threadsafe(client.close(), loop).result(_GRACE)
            loop.call_soon_threadsafe(loop.stop)

    def _without_key(self, text: str) -> str:
        # An endpoint may repeat what it was sent, in a message of an error or in an answer.
        key = os.environ.get(self.key_variable, "").strip() if self.key_variable else ""
        return text.replace(key, "***") if len(key) >= _SHORTEST_KEY else text

    def _key(self) -> str:
        if self.key_variable is None:
            return "none"
        key = os.environ.get(self.key_variable, "").strip()
        if not re.fullmatch(r"[\x21-\x7e]+", key):  # a header with anything else fails, and says its value
            state = "not set" if not key else "not a key (spaces or characters beyond ASCII)"
            raise Failure("no_key", f"the environment variable {self.key_variable} is {state}")
        return key

    def _running_loop(self, key: str) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=_run, args=(self._loop,), name="language model", daemon=True).start()
            if self._client is None or self._client.api_key != key:
                wire = BoundedClient(
                    budget=self._budget, bucket=self._bucket, max_reply_bytes=self._max_reply_bytes,
                    timeout=self._timeout,
                )  # fmt: skip
                self._client = AsyncOpenAI(
                    api_key=key, base_url=self.base_url, timeout=self._timeout, max_retries=self._max_retries,
                    http_client=wire,
                )  # fmt: skip
                # Read from OPENAI_ORG_ID and OPENAI_PROJECT_ID, which another provider has no business to see.
                self._client.organization = self._client.project = None
            return self._loop

    async def _in_some_format(self, messages: Sequence[dict], call: Call) -> Answer:
        """The answer in the first response format that the endpoint does not refuse, before the deadline."""
        CALL.set(call)
        try:
            async with asyncio.timeout(max(0.0, call.remaining())):
                for position in range(self._format, len(self._formats)):
                    try:
                        answer = await self._attempt(messages, self._formats[position], call)
                    except Failure as failure:
                        # Once an answer came in a format, a refusal is about the question.
                        confirmed = self._confirmed and position >= self._format
                        last = position + 1 == len(self._formats)
                        if confirmed or last or failure.status not in _NOT_SUPPORTED:
                            raise
                    else:
                        self._format, self._confirmed = position, True
                        return answer
        except TimeoutError:
            raise Failure(call.last or "timeout", "the deadline has passed") from None
        raise AssertionError("the last format returns or raises")

    async def _attempt(self, messages: Sequence[dict], response_format: dict | None, call: Call) -> Answer:
        assert self._client is not None
        body = self.parameters | ({"response_format": response_format} if response_format else {})
        text = json.dumps([body, [_without_image(message) for message in messages]], ensure_ascii=False)
        call.reserved = (len(text.encode()) + _TEMPLATE_TOKENS + self._budget.image_tokens, self._most_out)
        failure = None
        try:
            reply = await self._client.chat.completions.with_raw_response.create(
                model=self.model,
                messages=messages,  # type: ignore[arg-type]
                extra_body=body,
            )
        except Failure:
            raise
        except openai.OpenAIError as error:
            failure = self._failure(error)
        if failure is not None:
            raise failure  # out here, since the SDK's error, which holds the endpoint's words, would be its context
        try:
            completion: _Completion | None = _Completion.model_validate_json(reply.content)
        except ValidationError:
            completion = None
        if completion is None:  # out here for the same reason
            raise Failure("malformed", "the reply is not a chat completion")
        usage: _Usage | None = None
        with suppress(ValidationError):
            usage = _Usage.model_validate(completion.usage)
            reserved_in, reserved_out = call.reserved
            differences = usage.prompt_tokens - reserved_in, usage.completion_tokens - reserved_out
            await asyncio.to_thread(self._budget.reconcile, *differences)
        choice = completion.choices[0]
        text = self._without_key(choice.message.content or "")
        return Answer(
            text=text[:MAX_TEXT],
            refused=bool(choice.message.refusal) or choice.finish_reason == "content_filter",
            cut=choice.finish_reason == "length" or len(text) > MAX_TEXT,
            tokens_in=usage.prompt_tokens if usage else 0,
            tokens_out=usage.completion_tokens if usage else 0,
        )

    def _failure(self, error: openai.OpenAIError) -> Failure:
        text = self._without_key(str(error))
        if isinstance(error, openai.APIStatusError):
            return Failure(status_kind(error.status_code), text, error.status_code)
        if isinstance(error, openai.APITimeoutError):
            return Failure("timeout", text)
        return Failure("connection" if isinstance(error, openai.APIConnectionError) else "unexpected", text)


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.close()


def _one_spelling(base_url: str) -> str:
    """`base_url` without what makes no difference: capital letters of the host, the scheme's own port, a slash at the
    end; ValueError where it is no plain address."""
    # The other parts of an address are places where keys are put.
    bare = re.search("[@?#]", base_url) is None
    require(bare, "base_url", "***", "an address without user, password, ? and #; the key comes from key_variable")
    try:
        url = httpx2.URL(re.sub(r"^\w+", lambda scheme: scheme[0].lower(), base_url))
    except httpx2.InvalidURL:
        url = httpx2.URL()
    valid = url.scheme in ("http", "https") and bool(url.host) and (url.port is None or 0 < url.port < 1 << 16)
    require(valid, "base_url", base_url, "an address such as https://api.siliconflow.cn/v1")
    return str(url).rstrip("/")


def _most_tokens(parameters: Mapping[str, Any]) -> int:
    """The limit of a reply's tokens, without which no cost is bounded."""
    reserved = sorted(_RESERVED & parameters.keys())
    expected = f"none of {', '.join(sorted(_RESERVED))}, which are set by the client"
    require(not reserved, "parameters", reserved, expected)
    limits = [parameters[name] for name in _LIMITS if name in parameters]
    valid = len(limits) == 1 and type(limits[0]) is int and limits[0] >= 1
    require(valid, "parameters", dict(parameters), f"one of {' or '.join(_LIMITS)}, 1 or more")
    return limits[0]


def _without_image(message: dict) -> dict:
    if isinstance(message["content"], str):
        return message
    return {**message, "content": [part for part in message["content"] if part["type"] == "text"]}
