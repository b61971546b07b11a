"""Converse on both sides: nothing of it is touched, and what it says of itself is known."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.endpoints.bedrock_call import read_bedrock_call
from gateway.endpoints.bedrock_catalogue import CONVERSE, CONVERSE_STREAM, COUNT_TOKENS
from gateway.endpoints.openai_events import ObjectFacts
from gateway.errors import UpstreamBadReply
from gateway.model import Usage
from gateway.translate import converse_relay
from gateway.translate.registry import pair_of
from gateway.wire.aws_event_stream import write_exception
from tests.rig.bedrock_upstream import converse_body, converse_events
from tests.rig.requires import requires
from tests.unit.makers import make_target
from tests.unit.recorded import recorded_answers

TARGET = make_target(dialect="converse", model_id="arn:aws:bedrock:us-east-1:1:inference-profile/us.x-v1:0")
BODY = b'{ "messages": [] , "odd": 1.0 }'
CALL = read_bedrock_call(CONVERSE_STREAM, BODY, model="m")
STREAM = b"".join(converse_events())
USAGE = Usage(11, 5, "provider", cached_input_tokens=4, cache_write_input_tokens=0)


def test_what_is_sent() -> None:
    """The body as it came, at a path that is escaped as signatures need it."""
    pair = pair_of(CONVERSE, TARGET)
    assert pair.write(CALL, TARGET) == (BODY, ())
    escaped = "arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.x-v1%3A0"
    assert pair.path(CALL, TARGET) == f"/model/{escaped}/converse-stream"


def test_a_whole_reply() -> None:
    """As it came, with its usage."""
    body = json.dumps(converse_body()).encode()
    given_body, facts = converse_relay.read(CALL, body, started_at_ns=0)
    assert given_body is body
    assert (facts.usage, facts.finish_reasons) == (USAGE, ("end_turn",))
    with pytest.raises(UpstreamBadReply):
        converse_relay.read(CALL, b"{}", started_at_ns=0)


def test_a_count_of_tokens() -> None:
    """Costs nothing."""
    call = read_bedrock_call(COUNT_TOKENS, b"{}", model="m")
    assert pair_of(COUNT_TOKENS, TARGET).read(call, b'{"inputTokens":9}', started_at_ns=0) == (
        b'{"inputTokens":9}',
        ObjectFacts("", "", (), None),
    )
    with pytest.raises(UpstreamBadReply):
        converse_relay.read(call, b"<html>", started_at_ns=0)


@given(st.lists(st.integers(0, len(STREAM)), max_size=6))
def test_any_cut(cuts: list[int]) -> None:
    """Whole messages come out, the same whatever the pieces."""
    edges = [0, *sorted(cuts), len(STREAM)]
    stream = converse_relay.open_stream(CALL, started_at_ns=0)
    given_bytes = b"".join(stream.feed(STREAM[start:end]) for start, end in pairwise(edges))
    assert given_bytes + stream.finish() == STREAM
    assert stream.is_complete
    assert stream.has_ended
    assert stream.has_data
    assert stream.facts().usage == USAGE


def test_a_stream_begins_with_no_content() -> None:
    """Its first message announces it."""
    events = converse_events()
    stream = converse_relay.open_stream(CALL, started_at_ns=0)
    stream.feed(events[0])
    assert (stream.has_data, stream.has_content) == (True, False)
    stream.feed(events[1])
    assert stream.has_content


@pytest.mark.parametrize("count", range(len(converse_events())))
def test_a_stream_without_its_end(count: int) -> None:
    """Is never taken for a whole one."""
    stream = converse_relay.open_stream(CALL, started_at_ns=0)
    stream.feed(b"".join(converse_events()[:count]))
    assert stream.finish() == b""
    assert not stream.is_complete
    assert stream.facts().usage.source == "partial"


def test_an_error_within() -> None:
    """Passes as it came, and nothing after it."""
    failure = write_exception("throttlingException", b'{"message":"slow"}')
    events = converse_events()
    stream = converse_relay.open_stream(CALL, started_at_ns=0)
    assert stream.feed(b"".join(events[:2]) + failure + events[2]) == b"".join(events[:2]) + failure
    assert stream.feed(events[3]) == b""
    assert (stream.has_ended, stream.is_complete) == (True, False)
    assert stream.failure == b'{"type":"throttlingException","message":"slow"}'


@requires("recordings")
def test_recorded_streams(recordings: Path) -> None:
    """What Bedrock really sent comes out as it was."""
    count = 0
    for item in recorded_answers(recordings, "bedrock-converse", is_stream=True):
        stream = converse_relay.open_stream(CALL, started_at_ns=0)
        assert stream.feed(item.body) == item.body
        assert stream.is_complete
        assert stream.facts().usage.source == "provider"
        count += 1
    assert count > 20
