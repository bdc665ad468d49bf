"""What the rewriter makes of an endpoint's answers and failures, over real HTTP on loopback."""

import base64
import io
import json
from pathlib import Path

import pytest
from PIL import Image
from tests.systems.refseg.vlm.conftest import VARIABLE, ask, completion, failing, kept, only, picture, reply
from werkzeug import Response

from hallmark.systems.refseg.vlm.base import Rewrite
from hallmark.systems.refseg.vlm.cache import AnswerCache
from hallmark.systems.refseg.vlm.picture import PictureEncoder


def test_an_answer_is_the_new_query(endpoint, build):
    rewriter = build()
    rewrite = rewriter.rewrite(ask())
    assert (rewrite.query, rewrite.fallback, rewrite.cached) == ("red circle", None, False)
    assert (rewrite.tokens_in, rewrite.tokens_out) == (300, 8) and rewrite.seconds > 0
    assert rewriter.counts() == {"calls": 1, "answered": 1, "cached": 0}
    (body,) = endpoint.bodies
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("some/model", 64, 0)
    assert body["response_format"]["type"] == "json_schema" and not {"tools", "stream", "functions"} & body.keys()


def test_the_picture_is_sent_small_and_always_as_the_same_bytes(endpoint, build):
    rewriter = build(picture=PictureEncoder(max_pixels=1024, format="png"))
    for _ in range(2):
        rewriter.rewrite(ask(image=picture((400, 100))))
    first, second = (body["messages"][1]["content"] for body in endpoint.bodies)
    assert first == second
    address = next(part["image_url"]["url"] for part in first if part["type"] == "image_url")
    head, data = address.split(",")
    assert head == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        assert image.size == (64, 16)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (failing(429), "rate_limited"),
        (failing(500), "server_error"),
        (failing(503, "<html>down</html>"), "server_error"),
        (failing(401), "denied"),
        (failing(403), "denied"),
        (failing(404), "rejected"),
        (failing(302, "", Location="http://127.0.0.1:1/"), "rejected"),
        (lambda body: Response("{not json", content_type="application/json"), "malformed"),
        (lambda body: Response("<html>", content_type="text/html"), "malformed"),
        (lambda body: Response(b"\xff\xfe\x00", content_type="application/json"), "malformed"),
        (lambda body: Response("[" * 20_000, content_type="application/json"), "malformed"),
        (lambda body: Response("", content_type="application/json"), "malformed"),
        (lambda body: reply(choices=[]), "malformed"),
        (lambda body: reply(["a", "list"]), "malformed"),
        (lambda body: reply('{"query": "red'), "malformed"),
        (lambda body: reply("I'm sorry, but I can't help with that."), "refusal"),
        (lambda body: reply(choices=[{"message": {"refusal": "no", "content": None}}]), "refusal"),
        (lambda body: reply(choices=[{"message": {"content": "red"}, "finish_reason": "content_filter"}]), "refusal"),
        (lambda body: reply('{"text": "red circle"}'), "schema"),
        (lambda body: reply('{"query": 7}'), "schema"),
        (lambda body: reply('{"query": ["red"]}'), "schema"),
        (lambda body: reply('{"query": "<b>red</b>"}'), "schema"),
        (lambda body: reply(None), "empty"),
        (lambda body: reply(""), "empty"),
        (lambda body: reply(" \n"), "empty"),
        (lambda body: reply(json.dumps({"query": "red " * 200})), "too_long"),
        (lambda body: reply("x" * 20_000), "too_long"),
        (lambda body: reply('{"query": "red and', choices=[
            {"message": {"content": '{"query": "red and'}, "finish_reason": "length"}]), "too_long"),
    ],
)  # fmt: skip
def test_a_failure_keeps_the_query_and_is_counted(endpoint, build, answer, kind):
    endpoint.answer = answer
    rewriter = build(cache=None)
    assert kept(rewriter.rewrite(ask()), kind)
    assert rewriter.counts() == {"calls": 1, "answered": 0, "cached": 0, kind: 1}


def test_the_tools_of_a_reply_are_not_called(endpoint, build):
    tool = {"id": "1", "type": "function", "function": {"name": "shell", "arguments": '{"query": "red"}'}}
    endpoint.answer = lambda body: reply(choices=[{"message": {"content": None, "tool_calls": [tool]}}])
    assert kept(build().rewrite(ask()), "empty")


@pytest.mark.parametrize(("formats", "calls"), [(("json_schema", None), 3), (("json_object", None), 4), ((None,), 5)])
def test_a_format_that_the_endpoint_lacks_costs_one_call_once(endpoint, build, formats, calls):
    endpoint.answer = only(*formats)
    rewriter = build()
    assert [rewriter.rewrite(ask(f"thing {at}")).query for at in range(3)] == ["red circle"] * 3
    assert endpoint.calls == calls
    assert {body.get("response_format", {}).get("type") for body in endpoint.bodies[-2:]} == {formats[0]}


def test_a_request_that_is_refused_in_every_format_teaches_nothing(endpoint, build):
    endpoint.answer = failing(400)
    rewriter = build()
    assert kept(rewriter.rewrite(ask()), "rejected") and endpoint.calls == 3
    endpoint.answer = only("json_schema")
    assert rewriter.rewrite(ask()).query == "red circle" and endpoint.calls == 4
    endpoint.answer = failing(400)
    assert kept(rewriter.rewrite(ask()), "rejected") and endpoint.calls == 5


def test_a_warm_second_run_makes_no_call_and_needs_no_key(endpoint, build, tmp_path, monkeypatch):
    texts = ['{"query": "red circle"}', "Blue square."]
    endpoint.answer = lambda body: reply(texts[endpoint.calls - 1])
    requests = [ask(f"thing {at}") for at in range(2)]
    rewriter = build(cache=AnswerCache(tmp_path))
    cold = [rewriter.rewrite(request) for request in requests]
    assert [rewrite.query for rewrite in cold] == ["red circle", "Blue square"] and endpoint.calls == 2
    monkeypatch.delenv(VARIABLE)
    rewriter = build(cache=AnswerCache(tmp_path))
    warm = [rewriter.rewrite(request) for request in requests]
    assert endpoint.calls == 2
    assert [(rewrite.query, rewrite.tokens_in) for rewrite in warm] == [
        (rewrite.query, rewrite.tokens_in) for rewrite in cold
    ]
    assert all(rewrite.cached for rewrite in warm)
    assert rewriter.counts() == {"calls": 0, "answered": 2, "cached": 2}


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (lambda body: reply(None), "empty"),
        (lambda body: reply(""), "empty"),
        (lambda body: reply("I'm sorry, I can't."), "refusal"),
        (lambda body: reply('{"query": ""}'), "schema"),
        (lambda body: reply('{"query": "<b>"}'), "schema"),
        (lambda body: reply('{"query": "red'), "malformed"),
        (lambda body: reply("x" * 20_000), "too_long"),
    ],
)
def test_only_a_query_is_kept_on_disk(endpoint, build, tmp_path, answer, kind):
    endpoint.answer = answer
    assert kept(build(cache=AnswerCache(tmp_path)).rewrite(ask()), kind)
    assert list(tmp_path.rglob("*.json")) == []
    endpoint.answer = lambda body: reply()
    again = build(cache=AnswerCache(tmp_path)).rewrite(ask())
    assert (again.query, again.cached) == ("red circle", False) and endpoint.calls == 2


def test_another_address_is_asked_for_itself(endpoint, build, tmp_path):
    build(cache=AnswerCache(tmp_path)).rewrite(ask())
    dead = build(cache=AnswerCache(tmp_path), base_url="http://127.0.0.1:1/v1")
    assert kept(dead.rewrite(ask()), "connection")
    same = build(cache=AnswerCache(tmp_path), base_url=endpoint.base_url.replace("http", "HTTP") + "/")
    assert same.rewrite(ask()).cached and endpoint.calls == 1


def test_what_failed_is_asked_again(endpoint, build, tmp_path):
    endpoint.answer = failing(500)
    rewriter = build(cache=AnswerCache(tmp_path))
    assert kept(rewriter.rewrite(ask()), "server_error")
    endpoint.answer = lambda body: reply()
    assert rewriter.rewrite(ask()).query == "red circle"


def test_the_parameters_and_the_picture_are_part_of_the_question(endpoint, build, tmp_path):
    cache = AnswerCache(tmp_path)
    build(cache=cache).rewrite(ask())
    for change in (
        {"model": "other/model"},
        {"parameters": {"max_tokens": 64, "temperature": 1}},
        {"picture": PictureEncoder(max_pixels=65537, format="jpeg")},
        {"picture": PictureEncoder(max_pixels=65536, format="png")},
    ):
        before = endpoint.calls
        assert not build(cache=cache, **change).rewrite(ask()).cached
        assert endpoint.calls == before + 1


@pytest.mark.parametrize("image", [b"", b"no image", Path("/none/such.png"), picture()[:40]])
def test_a_picture_that_cannot_be_read(endpoint, build, image):
    assert kept(build().rewrite(ask(image=image)), "unreadable_image") and endpoint.calls == 0


@pytest.mark.parametrize("query", ["", "\ud800 alone", "红色的圆", "a\x00b\nc", "{data} {0} %s", "🙂" * 3000])
def test_any_expression_can_be_asked_for(endpoint, build, tmp_path, query):
    assert build(cache=AnswerCache(tmp_path)).rewrite(ask(query)).query == "red circle"


def test_a_defect_of_our_own_ends_no_run(endpoint, build, monkeypatch):
    monkeypatch.setattr(PictureEncoder, "data_uri", lambda *_: 1 / 0)
    rewriter = build()
    assert kept(rewriter.rewrite(ask()), "unexpected")
    assert rewriter.counts()["unexpected"] == 1


def test_a_closed_rewriter_starts_anew(endpoint, build):
    rewriter = build()
    rewriter.rewrite(ask())
    rewriter.close()
    rewriter.close()
    assert rewriter.rewrite(ask()).query == "red circle"


def test_it_answers_inside_a_running_event_loop(endpoint, build):
    import asyncio

    async def cell() -> Rewrite:
        return build().rewrite(ask())

    assert asyncio.run(cell()).query == "red circle"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("base_url", "api.siliconflow.cn/v1"),
        ("base_url", "ftp://host/v1"),
        ("base_url", "https://host/v1?key=1"),
        ("base_url", "https://host:99999/v1"),
        ("model", ""),
        ("key_variable", "sk-abc"),
        ("parameters", {"temperature": 0}),
        ("parameters", {"max_tokens": 0}),
        ("parameters", {"max_tokens": "64"}),
        ("parameters", {"max_tokens": True}),
        ("parameters", {"max_tokens": 64, "max_completion_tokens": 64}),
        ("parameters", {"max_tokens": 64, "tools": []}),
        ("parameters", {"max_tokens": 64, "messages": []}),
        ("timeout", 0),
        ("deadline", 0),
        ("max_failed", -0.1),
        ("max_failed", 1.1),
        ("max_retries", -1),
        ("max_reply_bytes", 10),
    ],
)
def test_settings_that_cannot_work_are_named(build, key, value):
    with pytest.raises(ValueError, match=rf"^{key}=.*expected "):
        build(**{key: value})


def test_the_fixture_is_what_the_sdk_reads():
    from openai.types.chat import ChatCompletion

    assert ChatCompletion.model_validate(completion()).choices[0].message.content == '{"query": "red circle"}'
