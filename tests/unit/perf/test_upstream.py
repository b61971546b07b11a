"""perf/upstream.py, without its socket."""

from __future__ import annotations

import orjson
import pytest

from perf.payloads import CHAT_PATH, REPLY, STATS_PATH, chat_request
from perf.upstream import Replies, stream_writes

_PATH = CHAT_PATH.encode()


def _status(writes: tuple[bytes, ...]) -> bytes:
    return writes[0].split(b" ", 2)[1]


def test_a_good_call_gets_the_fixed_reply() -> None:
    """The same bytes every time, and every call is counted."""
    replies = Replies(stream=())
    for _ in range(2):
        (answer,) = replies.reply_to(b"POST", _PATH, chat_request("perf-model"))
        assert answer.endswith(b"\r\n\r\n" + REPLY)
    assert replies.stats.served == 2


def test_a_stream_is_asked_for_by_the_body() -> None:
    """Only `"stream": true` streams."""
    call = orjson.loads(chat_request("perf-model")) | {"stream": True}
    replies = Replies(stream=stream_writes(2))
    assert replies.reply_to(b"POST", _PATH, orjson.dumps(call)) == stream_writes(2)


def test_a_probe_of_a_router_is_no_call() -> None:
    """It is answered well and counted nowhere."""
    replies = Replies(stream=())
    assert _status(replies.reply_to(b"GET", b"/health", b"")) == b"200"
    assert (replies.stats.served, replies.stats.refused) == (0, 0)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        pytest.param(b"GET", _PATH, b"", id="wrong method"),
        pytest.param(b"POST", b"/v1/chat", chat_request("perf-model"), id="wrong path"),
        pytest.param(b"POST", _PATH, b'{"model"', id="cut JSON"),
        pytest.param(b"POST", _PATH, b'{"model":"perf-model"}', id="no messages"),
        pytest.param(b"POST", _PATH, chat_request("perf/chat"), id="model not rewritten"),
    ],
)
def test_a_call_that_is_not_sane_is_refused_and_counted(method: bytes, path: bytes, body: bytes) -> None:
    """What a contender breaks must fail its round, also after good calls."""
    replies = Replies(stream=())
    replies.reply_to(b"POST", _PATH, chat_request("perf-model"))
    assert _status(replies.reply_to(method, path, body)) == b"400"
    assert (replies.stats.served, replies.stats.refused) == (1, 1)
    assert replies.stats.first_refusal


def test_stats_can_be_read_without_counting() -> None:
    """The runner compares them with what the load generator got."""
    replies = Replies(stream=())
    (answer,) = replies.reply_to(b"GET", STATS_PATH.encode(), b"")
    assert orjson.loads(answer.split(b"\r\n\r\n")[1]) == {"served": 0, "refused": 0, "first_refusal": ""}
