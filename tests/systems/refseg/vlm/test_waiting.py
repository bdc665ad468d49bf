"""Retries, deadlines, and replies that are slow, endless or never come."""

import gzip
import socket
import threading
import time
from email.utils import formatdate

import pytest
from tests.systems.refseg.vlm.conftest import ask, failing, kept, reply
from werkzeug import Response

PATIENCE = 10.0  # seconds


def test_a_short_retry_after_is_waited_for(endpoint, build):
    answers = iter([failing(429, **{"Retry-After": "0.3"}), lambda body: reply()])
    endpoint.answer = lambda body: next(answers)(body)
    rewriter = build(max_retries=2)
    rewrite = rewriter.rewrite(ask())
    assert rewrite.query == "red circle" and rewrite.seconds >= 0.3
    assert rewriter.counts() == {"calls": 2, "answered": 1, "cached": 0}


@pytest.mark.parametrize("value", ["30", "5.1", "in an hour"])
def test_a_retry_after_beyond_the_deadline_is_not_waited_for(endpoint, build, value):
    until = formatdate(time.time() + 3600, usegmt=True) if value == "in an hour" else value
    endpoint.answer = failing(429, **{"Retry-After": until})
    rewrite = build(max_retries=5, deadline=5.0).rewrite(ask())
    assert kept(rewrite, "rate_limited") and rewrite.seconds < 3
    assert endpoint.calls == 1


@pytest.mark.parametrize("value", ["nan", "soon"])
def test_a_retry_after_that_makes_no_sense_changes_nothing(endpoint, build, value):
    answers = iter([failing(500, **{"Retry-After": value}), lambda body: reply()])
    endpoint.answer = lambda body: next(answers)(body)
    assert build(max_retries=1).rewrite(ask()).query == "red circle"


def test_retries_end_at_the_deadline_and_keep_the_reason(endpoint, build):
    endpoint.answer = failing(500)
    rewrite = build(max_retries=50, deadline=1.0).rewrite(ask())
    assert kept(rewrite, "server_error") and 0.9 < rewrite.seconds < 3
    assert 1 < endpoint.calls < 5


def test_the_sdk_retries_as_often_as_it_is_told_and_nobody_else_does(endpoint, build):
    endpoint.answer = failing(500, **{"retry-after-ms": "10"})
    rewriter = build(max_retries=3)
    assert kept(rewriter.rewrite(ask()), "server_error")
    assert endpoint.calls == rewriter.counts()["calls"] == 4


def test_an_endpoint_that_hangs(endpoint, build):
    endpoint.answer = endpoint.hang
    for settings in ({"timeout": 0.2, "deadline": 5.0}, {"timeout": 60.0, "deadline": 0.3}):
        rewrite = build(**settings).rewrite(ask())
        assert kept(rewrite, "timeout") and rewrite.seconds < 3


def test_a_stream_that_is_slow_but_never_silent(endpoint, build):
    def drip():
        while not endpoint.over.wait(0.05):
            yield b" "

    endpoint.answer = lambda body: Response(drip(), content_type="application/json")
    rewrite = build(timeout=5.0, deadline=0.5).rewrite(ask())
    assert kept(rewrite, "timeout") and rewrite.seconds < 3


def test_headers_that_are_slow_but_never_silent(build):
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE)  # the deadline may pass before a connection is made

        def drip() -> None:
            try:
                connection, _ = server.accept()
            except TimeoutError:
                return
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nX-Slow: ")
                while not over.wait(0.05):
                    try:
                        connection.sendall(b"x")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        rewrite = build(base_url=f"http://127.0.0.1:{server.getsockname()[1]}/v1", deadline=0.5).rewrite(ask())
        over.set()
        thread.join()
    assert kept(rewrite, "timeout") and rewrite.seconds < 3


@pytest.mark.parametrize("retries", [0, 50])
def test_nobody_listens(build, retries):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    rewriter = build(base_url=f"http://127.0.0.1:{port}/v1", max_retries=retries, deadline=1.0)
    rewrite = rewriter.rewrite(ask())
    assert kept(rewrite, "connection") and rewrite.seconds < 3
    assert rewriter.spent()["calls"] == rewriter.counts()["calls"] >= 1 and rewriter.spent()["tokens_in"] == 0


def test_a_connection_that_is_cut(build):
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE)

        def cut() -> None:
            connection, _ = server.accept()
            connection.recv(1024)
            connection.close()

        thread = threading.Thread(target=cut)
        thread.start()
        rewrite = build(base_url=f"http://127.0.0.1:{server.getsockname()[1]}/v1").rewrite(ask())
        thread.join()
    assert kept(rewrite, "connection")


@pytest.mark.parametrize("status", [200, 500])
def test_an_endless_reply_is_not_read_to_its_end(endpoint, build, status):
    sent = []

    def endless():
        while not endpoint.over.is_set():
            sent.append(65536)
            yield b" " * 65536

    endpoint.answer = lambda body: Response(endless(), status, content_type="application/json")
    rewrite = build(max_reply_bytes=100_000).rewrite(ask())
    assert kept(rewrite, "too_long") and rewrite.seconds < 3
    assert sum(sent) < 50e6  # what was on its way: buffers of the loopback


def test_a_compressed_reply_is_not_unpacked(endpoint, build):
    bomb = gzip.compress(b" " * 5_000_000)
    endpoint.answer = lambda body: Response(bomb, headers={"Content-Encoding": "gzip"}, content_type="application/json")
    assert kept(build(max_reply_bytes=10**9).rewrite(ask()), "malformed")
    assert endpoint.headers[0]["Accept-Encoding"] == "identity"
