"""From what a language model wrote to one bounded line of plain text, or to the reason why there is none."""

import json
import re
import unicodedata
from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from hallmark.learning.language_model.answer import MAX_TEXT, Answer
from hallmark.systems.refseg.vlm.base import Fallback, Request, Rewrite

MAX_QUERY = 200
# Without maxLength: strict modes of several endpoints refuse it, and the length is checked here anyway.
SCHEMA = {
    "name": "rewrite",
    "schema": {
        "type": "object",
        "properties": {"query": {"type": "string", "description": "the rewritten expression, one line"}},
        "required": ["query"],
        "additionalProperties": False,
    },
}

_PUNCTUATION = frozenset(" .,'\"!?()&%+°’‘“”–—-。、·")
_ADDRESS = re.compile(r"www\.|[^\W\d]\.[^\W\d]{2,}", re.IGNORECASE)
_THOUGHTS = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
_FENCE = re.compile(r"\A```[a-z]*\s*\n?(.*?)\n?\s*```\Z", re.DOTALL)
_LABEL = re.compile(
    r"\A(?:the )?(?:(?:new|rewritten|final|revised) )?(?:query|expression|answer)\s*(?:is)?\s*:\s*", re.I
)
_REFUSAL = re.compile(
    r"\A(?:i[’']?\s?a?m (?:so |very )?sorry|i apologi[sz]e|(?:i[’']m )?sorry[,.]|(?:unfortunately,? )?i "
    r"(?:can(?:[’']t|not| not)|won[’']t|will not|am (?:unable|not able))|i[’']m (?:unable|not able)|as an ai\b)",
    re.IGNORECASE,
)
_AROUND = " \"'“”‘’`*-"


def _tidy(text: Any) -> Any:
    # Compatibility forms first: a full-width '<' would otherwise pass for a letter's neighbor.
    return unicodedata.normalize("NFKC", text).strip() if isinstance(text, str) and len(text) <= MAX_TEXT else text


def _plain(text: str) -> str:
    if odd := [c for c in text if c not in _PUNCTUATION and unicodedata.category(c)[0] not in "LMN"]:
        raise ValueError(f"expected one line of words and plain punctuation, found {odd[0]!r}")
    if _ADDRESS.search(text):
        raise ValueError("expected words, found an address or a file's name")
    if not any(character.isalnum() for character in text):
        raise ValueError("expected words")
    return " ".join(text.split())


class QueryReply(BaseModel):
    """The only thing a reply can be: one printable line of words and plain punctuation.

    Markup, addresses, paths and code need characters or forms that are refused.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    query: Annotated[str, BeforeValidator(_tidy), Field(min_length=1, max_length=MAX_QUERY), AfterValidator(_plain)]


class ParsedReply(NamedTuple):
    """`query`, or the reason `fallback` why there is none; exactly one of them is None."""

    query: str | None
    fallback: Fallback | None


def parse_answer(answer: Answer) -> ParsedReply:
    """Read the text of `answer`, with regard to what the endpoint said about it."""
    if answer.refused:
        return ParsedReply(None, "refusal")
    if not answer.text.strip():
        return ParsedReply(None, "too_long" if answer.cut else "empty")
    parsed = parse_text(answer.text)
    return ParsedReply(None, "too_long") if answer.cut and parsed.fallback in ("malformed", "schema") else parsed


def as_rewrite(
    request: Request, answer: Answer | None, fallback: Fallback | None, *, cached: bool, seconds: float
) -> Rewrite:
    """What `answer` says, or the request's own query where there is none because of `fallback`."""
    if answer is None:
        return Rewrite(request.query, fallback, seconds)
    parsed, fallback = parse_answer(answer)
    query = request.query if parsed is None else parsed
    return Rewrite(query, fallback, seconds, cached, answer.tokens_in, answer.tokens_out)


def parse_text(text: str) -> ParsedReply:
    """Read JSON, JSON in a fence or among words, or one line of text, in this order; never raises."""
    if len(text) > MAX_TEXT:
        return ParsedReply(None, "too_long")
    text = _THOUGHTS.sub("", text).strip()
    if fenced := _FENCE.match(text):
        text = fenced[1].strip()
    values = list(_json_objects(text))
    if values:
        return _from_value(values[-1])
    if text[:1] in ("{", "["):
        return ParsedReply(None, "malformed")
    if _REFUSAL.match(text):
        return ParsedReply(None, "refusal")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if len(lines) == 2 and lines[0].endswith(":"):
        lines = lines[1:]
    if len(lines) != 1:
        return ParsedReply(None, "schema")
    query = _LABEL.sub("", lines[0].strip(_AROUND)).strip(_AROUND).removesuffix(".").rstrip(_AROUND)
    return _from_value({"query": query})


def _json_objects(text: str) -> Iterator[dict]:
    decoder, start = json.JSONDecoder(), text.find("{")
    while start >= 0:
        try:
            value, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            end = start + 1
        else:
            yield value
        start = text.find("{", end)


def _from_value(value: dict) -> ParsedReply:
    query = value.get("query")
    if isinstance(query, str) and _REFUSAL.match(query.strip()):
        return ParsedReply(None, "refusal")
    try:
        return ParsedReply(QueryReply.model_validate(value).query, None)
    except ValidationError as error:
        long = any(detail["type"].endswith("too_long") for detail in error.errors(include_input=False))
        return ParsedReply(None, "too_long" if long else "schema")
