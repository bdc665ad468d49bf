"""A chat endpoint on loopback, and rewriters that ask it."""

import io
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd
import pytest
from PIL import Image
from pytest_httpserver import HTTPServer
from tests.systems.refseg.parts import RED, Picture, preset, write_world
from werkzeug import Request as Received
from werkzeug import Response

from hallmark.engine.evaluate import evaluate
from hallmark.engine.job import Job
from hallmark.learning.language_model.budget import Budget, CircuitBreaker, TokenBucket
from hallmark.runs.predictions import read_predictions
from hallmark.runs.run import Run
from hallmark.storage.hashing import digest_bytes
from hallmark.systems.refseg.vlm.base import Request, Rewrite
from hallmark.systems.refseg.vlm.client import OpenAIRewriter
from hallmark.systems.refseg.vlm.picture import PictureEncoder

SENTINEL = "sk-0123456789abcdef-SENTINEL"
VARIABLE = "REFSEG_TEST_API_KEY"


def picture(size: tuple[int, int] = (24, 16), color: str = "red") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, color).save(buffer, format="png")
    return buffer.getvalue()


def ask(query: str = "the crimson thing", **changes: Any) -> Request:
    image = changes.pop("image", picture())
    content = image if isinstance(image, bytes) else b""
    settings = {"image_digest": digest_bytes(content), "expression": query, "history": (query,), "sample_id": "a/1"}
    return Request(image=image, query=query, **(settings | changes))


def completion(content: Any = '{"query": "red circle"}', **changes: Any) -> dict:
    """A chat completion; `message` and other keys replace its parts."""
    response = {
        "id": "1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}],
        "usage": {"prompt_tokens": 300, "completion_tokens": 8, "total_tokens": 308},
    }  # fmt: skip
    return response | changes


def reply(*args: Any, status: int = 200, **changes: Any) -> Response:
    return Response(json.dumps(completion(*args, **changes)), status, content_type="application/json")


def kept(rewrite: Rewrite, kind: str, query: str = "the crimson thing") -> bool:
    """Whether a rewriter kept `query` for the reason `kind`."""
    return (rewrite.query, rewrite.fallback, rewrite.cached) == (query, kind, False)


def failing(status: int, text: str = '{"error": {"message": "no"}}', **headers: str) -> Callable[[dict], Response]:
    """An answer with this status."""
    return lambda body: Response(text, status, headers, content_type="application/json")


def only(*formats: str | None) -> Callable[[dict], Response]:
    """An endpoint that supports these formats of output and no others."""

    def answer(body: dict) -> Response:
        wanted = body.get("response_format", {}).get("type")
        return reply() if wanted in formats else failing(400, '{"error": {"message": "unknown response_format"}}')(body)

    return answer


class Endpoint:
    """Answers POST /v1/chat/completions with `answer(request)`, and keeps what it received."""

    def __init__(self, server: HTTPServer) -> None:
        self.base_url = server.url_for("/v1")
        self.bodies: list[dict] = []
        self.headers: list[dict[str, str]] = []
        self.answer: Callable[[dict], Response] = lambda body: reply()
        self.over = threading.Event()
        self._lock = threading.Lock()
        server.expect_request("/v1/chat/completions", method="POST").respond_with_handler(self._handle)

    def _handle(self, received: Received) -> Response:
        body = json.loads(received.get_data())
        with self._lock:
            self.bodies.append(body)
            self.headers.append(dict(received.headers))
        return self.answer(body)

    @property
    def calls(self) -> int:
        return len(self.bodies)

    def hang(self, body: dict) -> Response:
        self.over.wait(10)
        return reply()


@pytest.fixture(scope="session")
def _server() -> Iterator[HTTPServer]:
    with HTTPServer(host="127.0.0.1", threaded=True) as server:
        yield server


@pytest.fixture
def endpoint(_server: HTTPServer) -> Iterator[Endpoint]:
    _server.clear()
    endpoint = Endpoint(_server)
    yield endpoint
    endpoint.over.set()


@pytest.fixture
def build(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., OpenAIRewriter]]:
    """A function from changed settings to a rewriter of the endpoint, closed after the test."""
    monkeypatch.setenv(VARIABLE, SENTINEL)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    built = []

    def build(**changes: Any) -> OpenAIRewriter:
        settings = {
            "base_url": endpoint.base_url,
            "model": "some/model",
            "key_variable": VARIABLE,
            "parameters": {"max_tokens": 64, "temperature": 0},
            "timeout": 5.0,
            "deadline": 5.0,
            "max_failed": 1.0,
            "max_retries": 0,
            "max_reply_bytes": 65536,
            "picture": PictureEncoder(max_pixels=65536, format="jpeg"),
            "budget": Budget(calls=1000, cost=None, price_in=0, price_out=0, image_tokens=1000),
            "bucket": TokenBucket(10_000, 1000),
            "breaker": CircuitBreaker(100, 60),
            "cache": None,
        }
        built.append(OpenAIRewriter(**(settings | changes)))
        return built[-1]

    yield build
    for rewriter in built:
        rewriter.close()


@pytest.fixture
def run(compose, endpoint, tmp_path, monkeypatch) -> Callable[..., Run]:
    """A function from sentences about one picture (or several pictures) and overrides to their run."""
    monkeypatch.setenv(VARIABLE, SENTINEL)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    always = "{_target_: hallmark.systems.refseg.loop.Thresholds, confidence: 1.0, gap: 1.0}"
    settings = {
        "base_url": endpoint.base_url, "key_variable": VARIABLE, "timeout": 0.4, "deadline": 1.0, "max_retries": 0,
        "bucket.per_second": 10000, "bucket.burst": 1000, "breaker.failures": 1000,
        "max_failed": 1,
    }  # fmt: skip

    def run(sentences, *overrides: str, pictures=()) -> Run:
        source = tmp_path / "world"
        if not source.exists():
            write_world(source, pictures or [Picture("v", "val", dict.fromkeys(sentences, RED))])
        typed = [
            *preset("refseg_vlm", str(source), f"paths.cache={tmp_path / 'cache'}"), "analysis=[]", "model.max_iter=1",
            "model.temperature=1", f"model.thresholds={always}",
            *(f"model.rewriter.{name}={value}" for name, value in settings.items()), *overrides,
        ]  # fmt: skip
        evaluate(compose(*typed, command="evaluate"))
        return Job.of(compose(*typed)).run

    return run


def asked(body: dict) -> str:
    """The expression that a request is about."""
    text = body["messages"][1]["content"][1]["text"]
    return json.loads(text.removeprefix("<data>").removesuffix("</data>"))["expression"]


def answers(run: Run, task: str = "main") -> pd.DataFrame:
    table = read_predictions(run.directory / "predictions" / "val.parquet")
    return table[table["task"] == task].set_index("info_sentence")


def vlm_cost(run: Run) -> dict:
    return json.loads((run.directory / "cost" / "val.json").read_text())["vlm"]
