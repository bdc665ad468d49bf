"""What a language model said, or why it said nothing."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt

MAX_TEXT = 8192  # characters of a message that are kept
FailureKind = Literal[
    "rate_limited",  # 429, or no token of the client's own bucket before the deadline
    "server_error",
    "timeout",
    "connection",
    "denied",  # 401 or 403
    "rejected",  # any other status that is not a success
    "malformed",  # no chat completion, or text that begins as JSON and is none
    "too_long",
    "budget",
    "circuit_open",
    "no_key",
    "unreadable_image",
    "unexpected",
]


class Answer(BaseModel):
    """What a model said, unread; this is what caches keep.

    Attributes:
        text: the message, empty if there was none.
        refused: the endpoint itself marked it as a refusal.
        cut: it ended at the limit of tokens, or was longer than is kept.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    text: Annotated[str, Field(max_length=MAX_TEXT)]
    refused: bool = False
    cut: bool = False
    tokens_in: NonNegativeInt = 0
    tokens_out: NonNegativeInt = 0
