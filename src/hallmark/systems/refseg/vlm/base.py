"""What a rewriter is: an image and a query in, another query out, and never an exception."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from hallmark.learning.language_model.answer import FailureKind

Fallback = Literal[
    FailureKind,
    "empty",  # a chat completion without a text
    "refusal",
    "schema",  # readable, but not one query and nothing else
    "unknown_sample",
    "model",  # a local model failed
]


@dataclass(frozen=True)
class Request:
    """One query to rewrite.

    Attributes:
        image: file, or its encoded bytes.
        image_digest: hash of the content, which names the image in caches.
        expression: what the user typed.
        query: what was ranked last; it is kept if the rewriter fails.
        history: the queries ranked so far, the oldest first.
        sample_id: names the (image, expression) pair.
    """

    image: Path | bytes
    image_digest: str
    expression: str
    query: str
    history: Sequence[str]
    sample_id: str


@dataclass(frozen=True)
class Rewrite:
    """The query to rank next.

    Attributes:
        query: the request's own where `fallback` is set.
        fallback: why there is no new query; None after a success.
        seconds: wall time of this call.
        cached: answered from disk; the tokens were spent when the answer was first asked for.
    """

    query: str
    fallback: Fallback | None = None
    seconds: float = 0.0
    cached: bool = False
    tokens_in: int = 0
    tokens_out: int = 0


class Rewriter(Protocol):
    """Rewrites queries.

    One that can fail for reasons outside of this process also has `source`, which names whom it asks, and
    `max_failed`, the share of its calls that may fail before a run ends in an error.
    """

    def rewrite(self, request: Request) -> Rewrite: ...

    def settings(self) -> dict[str, Any]:
        """All that its answers depend on beside the request, in plain containers."""
