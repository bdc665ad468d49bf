import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hallmark.learning.language_model.answer import MAX_TEXT, Answer
from hallmark.learning.language_model.transport import status_kind
from hallmark.systems.refseg.vlm.policies import HOSTILE
from hallmark.systems.refseg.vlm.reply import MAX_QUERY, parse_answer, parse_text

WRITTEN = (
    st.text()
    | st.builds(json.dumps, st.dictionaries(st.sampled_from(["query", "text"]), st.text() | st.integers() | st.none()))
    | st.builds("".join, st.lists(st.sampled_from(['{"query": ', '"', "red", "{", "}", "[", "\\u", "```", "\n", ":"])))
)


@given(WRITTEN)
@example("[" * MAX_TEXT)
@example('{"query":' * (MAX_TEXT // 9))
@example('{"a":' + "[" * 8000)
@example("{" * MAX_TEXT)
@example('{"query": "\\ud800"}')
@example('{"query": ' + "9" * 8000 + "}")
@example("\ufdfa" * MAX_TEXT)
@example("<think>" * 1000)
@example("x" * (MAX_TEXT + 1))
@example("\x00")
def test_any_text_gives_one_bounded_line_or_a_reason(text):
    query, fallback = parse_text(text)
    assert (query is None) != (fallback is None)
    if query is not None:
        assert 0 < len(query) <= MAX_QUERY and query.isprintable() and query == " ".join(query.split())
        assert not set("<>{}[]\\/`$=|@#*_:;\u202e\u200b") & set(query)
        query.encode("utf-8")
        assert parse_text(json.dumps({"query": query})).query == query or parse_text(query).fallback == "refusal"


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ('{"query": "red circle"}', "red circle"),
        ('  {"query": "  red   circle "}\n', "red circle"),
        ('```json\n{"query": "red circle"}\n```', "red circle"),
        ('Sure! Here it is: {"query": "red circle"} Anything else?', "red circle"),
        ('{"draft": "x"} and at last {"query": "red circle"}', "red circle"),
        ('<think>it says {"query": "no"}</think>{"query": "red circle"}', "red circle"),
        ("red circle", "red circle"),
        ("Red circle.", "Red circle"),
        ('"red circle"', "red circle"),
        ("Query: “the red circle.”", "the red circle"),
        ("Here is the rewritten query:\n- **red circle**", "red circle"),
        ("The man's 2nd cup, left (half full!)", "The man's 2nd cup, left (half full!)"),
        ("左边的红色圆", "左边的红色圆"),
        ("लाल गोला", "लाल गोला"),
        ('{"query": "\uff32ed circle"}', "Red circle"),
        ("the man who is sorry", "the man who is sorry"),
    ],
)
def test_what_models_write(text, query):
    assert parse_text(text) == (query, None)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", "schema"),
        ("...", "schema"),
        ("red\ncircle", "schema"),
        ('{"query": "red\\ncircle"}', "schema"),
        ('{"query": ""}', "schema"),
        ('{"query": null}', "schema"),
        ('{"query": "red", "tool": "shell"}', "schema"),
        ('{"query": {"query": 1}}', "schema"),
        ("<b>red</b>", "schema"),
        ('{"query": "\uff1cb\uff1ered"}', "schema"),
        ("/etc/passwd", "schema"),
        ("see www.evil", "schema"),
        ("see evil.com", "schema"),
        ("javascript:alert(1)", "schema"),
        ('{"query": "red', "malformed"),
        ("[1, 2", "malformed"),
        ('{"query": "' + "a" * 201 + '"}', "too_long"),
        ("a " * MAX_TEXT, "too_long"),
        ("I'm sorry, but I cannot help with that.", "refusal"),
        ("I can’t assist with this request", "refusal"),
        ("As an AI model I do not see images", "refusal"),
        ('{"query": "Sorry, I cannot see the image"}', "refusal"),
    ],
)
def test_what_is_no_query(text, kind):
    assert parse_text(text) == (None, kind)


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_hostile_becomes_a_query(text):
    assert parse_text(text).fallback in ("schema", "malformed", "too_long")


def test_what_the_endpoint_says_about_a_text_counts():
    assert parse_answer(Answer(text="red circle", refused=True)) == (None, "refusal")
    assert parse_answer(Answer(text='{"query": "red', cut=True)) == (None, "too_long")
    assert parse_answer(Answer(text='{"query": "red"}', cut=True)) == ("red", None)
    assert parse_answer(Answer(text="I'm sorry, I can", cut=True)) == (None, "refusal")


@pytest.mark.parametrize(
    ("status", "kind"),
    [(429, "rate_limited"), (408, "timeout"), (401, "denied"), (403, "denied"), (500, "server_error"),
     (529, "server_error"), (400, "rejected"), (404, "rejected"), (302, "rejected")],
)  # fmt: skip
def test_statuses(status, kind):
    assert status_kind(status) == kind
