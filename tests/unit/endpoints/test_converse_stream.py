"""Streams of Converse: what is learned of them, however they are cut."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.endpoints.converse_stream import ConverseReading
from gateway.endpoints.openai_reply import ReplyFacts
from gateway.errors import UpstreamBadReply
from gateway.model import Usage
from gateway.wire.aws_event_stream import EventStreamParser, write_exception, write_message
from tests.rig.aws_events import write_event
from tests.rig.requires import requires
from tests.unit.recorded import read_recorded


def event(kind: str, **members: Any) -> bytes:
    return write_event(kind, json.dumps({**members, "p": "abc"}).encode())


def delta(**members: Any) -> bytes:
    return event("contentBlockDelta", contentBlockIndex=0, delta=members)


START = event("messageStart", role="assistant")
TEXT = delta(text="grün")
STOP = event("messageStop", stopReason="end_turn")
END = event("metadata", usage={"inputTokens": 3, "outputTokens": 9}, metrics={"latencyMs": 1})
WHOLE = START + delta(text="") + TEXT + TEXT + event("contentBlockStop", contentBlockIndex=0) + STOP + END


def read(pieces: list[bytes]) -> tuple[list[tuple[str, Any]], ConverseReading]:
    stream = ConverseReading(asked_bytes=400)
    return [found for piece in pieces for found in stream.read(piece)], stream


def test_a_whole_stream() -> None:
    """It is complete with its usage."""
    found, stream = read([WHOLE])
    assert [kind for kind, _ in found][-2:] == ["messageStop", "metadata"]
    assert (stream.is_complete, stream.has_ended, stream.failure) == (True, True, b"")
    assert stream.facts() == ReplyFacts("", "", ("end_turn",), Usage(3, 9, "provider"))


def test_the_last_word() -> None:
    """The usage comes after it."""
    _, stream = read([START + TEXT])
    states = [stream.is_said]
    assert list(stream.read(STOP))
    assert [*states, stream.is_said, stream.is_complete] == [False, True, False]


@pytest.mark.parametrize("depth", [2, 3, 900])
def test_a_deep_piece(depth: int) -> None:
    """However deeply a piece is nested, it is content and no failure of ours."""
    payload = b'{"delta":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"
    _, stream = read([write_event("contentBlockDelta", payload)])
    assert stream.has_content


@given(st.lists(st.integers(0, len(WHOLE))))
def test_any_cut(cuts: list[int]) -> None:
    """Wherever it is cut, the same is learned."""
    edges = [0, *sorted(cuts), len(WHOLE)]
    found, stream = read([WHOLE[a:b] for a, b in pairwise(edges)])
    assert found == read([WHOLE])[0]
    assert stream.is_complete


@pytest.mark.parametrize(
    ("data", "has_content"),
    [
        pytest.param(START, False, id="start"),
        pytest.param(START + delta(text=""), False, id="an empty text"),
        pytest.param(delta(toolUse={"input": ""}), False, id="empty arguments"),
        pytest.param(delta(reasoningContent={"text": "hm"}), True, id="a thought"),
        pytest.param(TEXT, True, id="a text"),
        pytest.param(event("contentBlockStart", start={"toolUse": {"name": "x"}}), True, id="a tool"),
        pytest.param(event("contentBlockStart", start={}), False, id="no tool"),
        pytest.param(STOP, True, id="the end"),
        pytest.param(event("initial-response"), False, id="what is not known"),
        pytest.param(event("metadata", usage=None), True, id="nothing but the end"),
    ],
)
def test_what_is_content(data: bytes, *, has_content: bool) -> None:
    """Until there is some, another target may still be asked."""
    _, stream = read([data])
    assert (stream.has_data, stream.has_content) == (True, has_content)


def test_half_a_stream() -> None:
    """Without its last message it is not complete, wherever it ends, and the usage is partial."""
    for at in range(len(WHOLE)):
        _, stream = read([WHOLE[:at]])
        assert not stream.is_complete
        assert stream.facts().usage.source == "partial"


def test_an_exception_inside() -> None:
    """Nothing is learned after it."""
    broken = write_exception("modelStreamErrorException", b'{"message":"broke","originalStatusCode":424}')
    found, stream = read([START + TEXT + broken + STOP + END])
    assert found[-1] == ("modelStreamErrorException", {"message": "broke", "originalStatusCode": 424})
    assert json.loads(stream.failure)["message"] == "broke"
    assert (stream.has_ended, stream.is_complete) == (True, False)
    assert stream.facts() == ReplyFacts("", "", (), Usage(100, 1, "partial"))


def test_an_error_inside() -> None:
    """What the service does not model says itself in its headers."""
    broken = write_message(
        {":message-type": "error", ":error-code": "InternalFailure", ":error-message": "broke"}, b""
    )
    found, stream = read([broken])
    assert found == [("InternalFailure", {"message": "broke"})]
    assert stream.failure == b'{"type":"InternalFailure","message":"broke"}'
    assert not stream.has_content


def test_a_router_names_its_model() -> None:
    """At the end, with the usage."""
    _, stream = read([START + STOP + event("metadata", trace={"promptRouter": {"invokedModelId": "x"}})])
    assert stream.facts() == ReplyFacts("", "x", ("end_turn",), Usage(100, 0, "estimated"))


def test_no_event_stream() -> None:
    """Is found out at once."""
    with pytest.raises(UpstreamBadReply):
        read([b"event: message_start\n\n"])


@given(
    st.sampled_from(["messageStart", "contentBlockStart", "contentBlockDelta", "messageStop", "metadata"]),
    st.binary(max_size=20) | st.sampled_from([b"[]", b'{"delta":[1]}', b'{"usage":7,"trace":[]}', b"{"]),
)
def test_any_payload(kind: str, payload: bytes) -> None:
    """Whatever a message holds, the stream goes on."""
    _, stream = read([write_event(kind, payload), STOP])
    stream.facts()
    assert stream.has_content


@requires("recordings")
def test_recorded_streams(recordings: Path) -> None:
    """Each is complete with the usage in it, and the same wherever it is cut."""
    count = 0
    for item in read_recorded(recordings, "bedrock-converse", is_stream=True):
        count += 1
        found, stream = read([item.body])
        last = json.loads(EventStreamParser().feed(item.body)[-1].payload)["usage"]
        assert stream.is_complete, item.name
        assert stream.facts().usage == Usage(last["inputTokens"], last["outputTokens"], "provider")
        bytewise = ConverseReading(asked_bytes=400)
        single: list[tuple[str, Any]] = []
        for at in range(len(item.body)):
            assert not bytewise.is_complete
            single += bytewise.read(item.body[at : at + 1])
        assert single == found
        for at in range(0, len(item.body), 499):
            assert read([item.body[:at], item.body[at:]])[0] == found
    assert count == 27
