"""Streams of Cohere's chat, as far as everybody wants to know of them."""

from __future__ import annotations

import pytest

from gateway.endpoints.cohere_stream import CohereReading
from gateway.errors import UpstreamBadReply
from gateway.model import Usage
from tests.golden.cohere_replies import REPLIES, event, events

START = events(REPLIES["text"])[:2]
TEXT = events(REPLIES["text"])[2]
END = events(REPLIES["text"])[-1]


def read(*pieces: bytes) -> CohereReading:
    reading = CohereReading(40)
    for piece in pieces:
        list(reading.events(piece))
    list(reading.last_events())
    return reading


def test_announcements_are_no_content() -> None:
    """Until something is said another target may still be asked."""
    assert (read(*START).has_data, read(*START).has_content) == (True, False)
    assert read(*START, TEXT).has_content
    assert read(START[0], event("tool-plan-delta", delta={})).has_content
    assert read(START[0], event("debug", prompt="x")).has_content is False


def test_the_end() -> None:
    """It has the reason and both counts, and nothing after it counts."""
    reading = read(*START, TEXT, END, b"data: [DONE]\n\n", TEXT)
    assert (reading.is_complete, reading.is_said, reading.has_ended) == (True, True, True)
    facts = reading.facts()
    assert (facts.response_id, facts.finish_reasons) == ("c14c80c3", ("COMPLETE",))
    assert facts.usage.billed_output_tokens == 26
    assert facts.usage.source == "provider"


def test_without_its_end() -> None:
    """It is partial, and what came is counted."""
    reading = read(*START, TEXT, END[:-9])
    assert not reading.is_complete
    assert reading.facts().usage == Usage(10, 3, "partial")


@pytest.mark.parametrize(
    "failure",
    [
        b'data: {"id":"e","message":"overloaded"}\n\n',
        b'data: {"error":"x"}\n\n',
        event("message-end", delta={"finish_reason": "ERROR"}),
        event("message-end", delta={"error": "crashed", "finish_reason": "COMPLETE"}),
    ],
)
def test_failures(failure: bytes) -> None:
    """An error ends the stream, however it is told."""
    reading = read(*START, TEXT, failure, END)
    assert reading.failure
    assert (reading.has_ended, reading.is_complete) == (True, False)


def test_each_event_is_learned_when_it_is_taken() -> None:
    """So that who puts it into other words sees what was known then."""
    reading = CohereReading(40)
    failed = b"".join([*START, TEXT, b'data: {"message":"x"}\n\n'])
    seen = [bool(reading.failure) for _ in reading.events(failed)]
    assert seen == [False, False, False, True]


def test_what_is_no_event() -> None:
    """It says nothing; what is no JSON at all ends the stream."""
    with pytest.raises(UpstreamBadReply, match="not JSON"):
        read(b"data: {x\n\n")
    reading = read(b"data: [DONE]\n\ndata: 7\n\ndata: {}\n\n")
    assert (reading.has_data, reading.has_content, reading.failure) == (True, False, b"")
