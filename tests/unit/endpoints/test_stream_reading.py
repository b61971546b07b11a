"""What the pipeline asks of a stream, by what its events have said."""

from __future__ import annotations

import math

import pytest

from gateway.endpoints.openai_reply import ReplyFacts
from gateway.endpoints.stream_reading import (
    StreamReading,
    count_objects,
    is_one_object,
    may_be_broken,
    read_event,
)
from gateway.errors import UpstreamBadReply
from gateway.model import Usage
from gateway.wire.sse import DONE, count_data_lines

FACTS = ReplyFacts("r-1", "m", ("stop",), Usage(1, 2, "provider"))


class Said:
    def __init__(self, *, is_done: bool, failure: bytes) -> None:
        self.has_content = True
        self.is_done = is_done
        self.failure = failure

    def facts(self) -> ReplyFacts:
        return FACTS


@pytest.mark.parametrize(
    ("is_done", "failure", "has_ended", "is_complete"),
    [
        pytest.param(False, b"", False, False, id="goes on"),
        pytest.param(True, b"", True, True, id="whole"),
        pytest.param(False, b"{}", True, False, id="failed"),
        pytest.param(True, b"{}", True, False, id="failed at its end"),
    ],
)
def test_end(failure: bytes, *, is_done: bool, has_ended: bool, is_complete: bool) -> None:
    """An error ends a stream, and one with an error is never whole."""
    reading = StreamReading(Said(is_done=is_done, failure=failure))
    assert (reading.has_ended, reading.is_complete) == (has_ended, is_complete)
    assert (reading.failure, reading.has_content, reading.has_data) == (failure, True, False)
    assert reading.facts() is FACTS


@pytest.mark.parametrize(
    ("data", "said"),
    [(b'{"a": 1}', {"a": 1}), (b"[1]", [1]), (b'{"a": Infinity}', {"a": math.inf}), (b"[DONE]", None)],
    ids=["object", "list", "as lenient parsers read it", "OpenAI's end marker"],
)
def test_event_that_can_be_read(data: bytes, said: object) -> None:
    """What it says, whatever that is."""
    assert read_event(data) == said


@pytest.mark.parametrize("data", [b"{", b"", b"\xff", b"[" * 100_000], ids=["cut", "empty", "bytes", "deep"])
def test_event_that_cannot_be_read(data: bytes) -> None:
    """The reply has a hole there; what was said is for the operator."""
    with pytest.raises(UpstreamBadReply, match="not JSON"):
        read_event(data)


@pytest.mark.parametrize(
    ("events", "may_be", "objects"),
    [
        (b'data: {"a":1}\n\n' * 3, False, 3),
        (b'event: x\ndata: {"a":1}\n\n', False, 1),
        (b'data: {"a":1}\n\ndata: {"a":\n\n', True, 0),
        (b": comment\n\n", True, 0),
        (b'data: {"a":1}\r\n\r\n', True, 0),
        (b"", False, 0),
    ],
    ids=["whole", "named", "cut", "comment", "other line ends", "nothing"],
)
def test_what_may_be_broken(events: bytes, objects: int, *, may_be: bool) -> None:
    """Every event that does not end with a brace is looked at, never the many that do, which are counted."""
    assert may_be_broken(events) is may_be
    assert count_objects(events) == objects


@pytest.mark.parametrize(
    ("events", "is_one"),
    [
        (b'data: {"a":1}\n\n', True),
        (b'data:{"a":"[DONE]"}\n\n', True),
        (b'data: {"a":1}\n\ndata: {"a":2}\n\n', False),
        (b'data: {"a":\ndata: 1}\n\n', False),
        (b'data: {"a":\rdata: 1}\n\n', False),
        (b'data: {"a":1}\r\n\r\n', False),
        (b'event: x\ndata: {"a":1}\n\n', True),
        (b'event: x\nid: {"a":1}\n\n', False),
        (b'id: x\ndata: {"a":1}\n\n', False),
        (b'event: x\ndata: {"a":\ndata: 1}\n\n', False),
        (b'data: x\ndata: {"a":1}\n\n', False),
        (b': {"a":1}\n\n', False),
        (b'data: {"a"\n\n', False),
        (b"data: [DONE]\n\n", False),
        (b"", False),
    ],
)
def test_one_object(events: bytes, *, is_one: bool) -> None:
    """What is said to be one holds one line of data, whole, and no end of the stream."""
    assert is_one_object(events) is is_one
    if is_one:
        assert not may_be_broken(events)
        assert count_data_lines(events) == 1
        assert not events.startswith(b"data: " + DONE)
