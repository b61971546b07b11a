"""perf/upstream.py, without its socket."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from perf.payloads import (
    CHAT_PATH,
    REPLIES,
    REPLY,
    STATS_PATH,
    UPSTREAM_MODEL,
    Ask,
    Dialect,
    chat_request,
    stream_events,
)
from perf.upstream import Answer, EventWriter, Replies, stream_writes
from tests.rig.until import until_async

_PATH = CHAT_PATH.encode()


def _status(answer: Answer) -> bytes:
    return answer.writes[0].split(b" ", 2)[1]


def test_a_good_call_gets_the_fixed_reply() -> None:
    """The same bytes every time, and every call is counted."""
    replies = Replies()
    for _ in range(2):
        (answer,) = replies.reply_to(b"POST", _PATH, chat_request("perf-model")).writes
        assert answer.endswith(b"\r\n\r\n" + REPLY)
    assert replies.stats.served == 2


def test_a_stream_is_asked_for_by_the_body() -> None:
    """Only `"stream": true` streams."""
    call = orjson.loads(chat_request("perf-model")) | {"stream": True}
    replies = Replies(2)
    assert replies.reply_to(b"POST", _PATH, orjson.dumps(call)) == Answer(stream_writes(2))


def test_a_stream_has_the_pace_that_was_asked_for() -> None:
    """The upstream serves paced and unpaced streams without a restart."""
    replies = Replies(2)
    paced = Ask(is_stream=True, pace_ms=20).request(UPSTREAM_MODEL)
    assert replies.reply_to(b"POST", _PATH, paced).pace_s == 0.02
    assert replies.reply_to(b"POST", _PATH, Ask(is_stream=True).request(UPSTREAM_MODEL)).pace_s == 0.0


@pytest.mark.parametrize("dialect", Dialect)
def test_every_dialect_is_answered_in_its_own_words(dialect: Dialect) -> None:
    """By the path; a body that is good elsewhere is not good here."""
    replies, path = Replies(2), dialect.path.encode()
    (answer,) = replies.reply_to(b"POST", path, Ask(dialect=dialect).request(UPSTREAM_MODEL)).writes
    assert answer.endswith(b"\r\n\r\n" + REPLIES[dialect])
    stream = Ask(is_stream=True, dialect=dialect).request(UPSTREAM_MODEL)
    assert replies.reply_to(b"POST", path, stream) == Answer(stream_writes(2, dialect))
    for other in Dialect:
        if (other is Dialect.RESPONSES) is not (dialect is Dialect.RESPONSES):
            assert _status(replies.reply_to(b"POST", other.path.encode(), stream)) == b"400"


class Transport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.is_gone = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def is_closing(self) -> bool:
        return self.is_gone


def test_a_whole_answer_may_take_its_time() -> None:
    """As a provider's does."""
    replies = Replies()
    paced = Ask(pace_ms=200).request(UPSTREAM_MODEL)
    answer = replies.reply_to(b"POST", _PATH, paced)
    assert (len(answer.writes), answer.pace_s) == (1, 0.2)


@pytest.mark.parametrize("pace_s", [pytest.param(0.0, id="unpaced"), pytest.param(0.002, id="paced")])
async def test_events_are_written_one_by_one(pace_s: float) -> None:
    """Each in its own turn, the first at once; together they are the stream as HTTP."""
    transport, writes = Transport(), stream_writes(3)
    EventWriter(transport, Answer(writes, pace_s)).write_next()
    assert transport.writes == [writes[0]]
    await until_async(lambda: len(transport.writes) == len(writes), "all are written")
    assert tuple(transport.writes) == writes
    assert all(event in b"".join(writes) for event in stream_events(3))


async def test_a_reader_that_left_is_written_nothing() -> None:
    """An aborted stream costs no more."""
    transport = Transport()
    EventWriter(transport, Answer(stream_writes(3))).write_next()
    transport.is_gone = True
    await asyncio.sleep(0)
    assert len(transport.writes) == 1


def test_a_probe_of_a_router_is_no_call() -> None:
    """It is answered well and counted nowhere."""
    replies = Replies()
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
    replies = Replies()
    replies.reply_to(b"POST", _PATH, chat_request("perf-model"))
    assert _status(replies.reply_to(method, path, body)) == b"400"
    assert (replies.stats.served, replies.stats.refused) == (1, 1)
    assert replies.stats.first_refusal


def test_stats_can_be_read_without_counting() -> None:
    """The runner compares them with what the load generator got."""
    replies = Replies()
    (answer,) = replies.reply_to(b"GET", STATS_PATH.encode(), b"").writes
    assert orjson.loads(answer.split(b"\r\n\r\n")[1]) == {"served": 0, "refused": 0, "first_refusal": ""}
