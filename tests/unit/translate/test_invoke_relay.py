"""`InvokeModel` on both sides: nothing of it is touched, and what it says of itself is known."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.endpoints.bedrock_call import read_bedrock_call
from gateway.endpoints.bedrock_catalogue import INVOKE, INVOKE_STREAM
from gateway.errors import UpstreamBadReply
from gateway.model import Usage
from gateway.translate import invoke_relay
from gateway.translate.registry import pair_of
from gateway.wire.aws_event_stream import write_exception
from tests.rig.bedrock_upstream import claude_chunks
from tests.rig.requires import requires
from tests.unit.makers import make_target
from tests.unit.recorded import recorded_answers

TARGET = make_target(dialect="converse", model_id="amazon.nova-lite-v1:0")
CALL = read_bedrock_call(INVOKE_STREAM, b"no JSON", model="m")
STREAM = b"".join(claude_chunks())


def test_what_is_sent() -> None:
    """The body as it came, whatever it is."""
    pair = pair_of(INVOKE, TARGET)
    assert pair.write(CALL, TARGET) == (b"no JSON", ())
    assert pair.path(CALL, TARGET) == "/model/amazon.nova-lite-v1%3A0/invoke-with-response-stream"


def test_a_whole_reply() -> None:
    """As it came."""
    body = b'{"generation": "x", "stop_reason": "length"}'
    given_body, facts = invoke_relay.read(CALL, body, started_at_ns=0)
    assert given_body is body
    assert facts.finish_reasons == ("length",)
    with pytest.raises(UpstreamBadReply):
        invoke_relay.read(CALL, b"<html>", started_at_ns=0)


@given(st.lists(st.integers(0, len(STREAM)), max_size=6))
def test_any_cut(cuts: list[int]) -> None:
    """Whole messages come out, the same whatever the pieces."""
    edges = [0, *sorted(cuts), len(STREAM)]
    stream = invoke_relay.open_stream(CALL, started_at_ns=0)
    given_bytes = b"".join(stream.feed(STREAM[start:end]) for start, end in pairwise(edges))
    assert given_bytes + stream.finish() == STREAM
    assert stream.is_complete
    assert stream.has_content
    assert stream.has_data
    assert stream.facts().usage == Usage(11, 5, "provider", cached_input_tokens=4)


@pytest.mark.parametrize("count", range(len(claude_chunks())))
def test_a_stream_without_its_end(count: int) -> None:
    """Is never taken for a whole one."""
    stream = invoke_relay.open_stream(CALL, started_at_ns=0)
    stream.feed(b"".join(claude_chunks()[:count]))
    assert not stream.is_complete
    assert stream.has_content == (count > 2)


def test_an_error_within() -> None:
    """Passes as it came, and nothing after it."""
    failure = write_exception("throttlingException", b'{"message":"slow"}')
    chunks = claude_chunks()
    stream = invoke_relay.open_stream(CALL, started_at_ns=0)
    assert stream.feed(chunks[0] + failure + chunks[1]) == chunks[0] + failure
    assert stream.feed(chunks[2]) == b""
    assert (stream.has_ended, stream.is_complete) == (True, False)
    assert stream.failure == b'{"type":"throttlingException","message":"slow"}'


@requires("recordings")
def test_recorded_streams(recordings: Path) -> None:
    """What Bedrock really sent comes out as it was."""
    count = 0
    for item in recorded_answers(recordings, "bedrock-invoke", is_stream=True):
        stream = invoke_relay.open_stream(CALL, started_at_ns=0)
        assert stream.feed(item.body) == item.body
        assert stream.is_complete
        count += 1
    assert count > 20
