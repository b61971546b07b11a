"""Reading a Responses stream while it is relayed: any cut of the bytes gives the same bytes and facts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.endpoints.openai_reply import ReplyFacts
from gateway.endpoints.responses_stream import ResponsesReader
from gateway.errors import UpstreamBadReply
from gateway.model import Usage
from gateway.wire.sse import MAX_EVENT_BYTES
from tests.rig.requires import requires
from tests.unit.recorded import read_recorded

USAGE: Final = {"input_tokens": 12, "output_tokens": 34}
RESPONSE: Final[dict[str, Any]] = {
    "id": "resp_1",
    "model": "small-1",
    "status": "in_progress",
    "error": None,
    "output": [],
}


def event(kind: str, **more: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **more})}\n\n".encode()


def response(kind: str, **more: Any) -> bytes:
    return event(f"response.{kind}", response={**RESPONSE, **more})


def added(**item: Any) -> bytes:
    return event("response.output_item.added", item=item)


CREATED: Final = response("created")
DELTA: Final = event("response.output_text.delta", delta="word", item_id="msg_1")
COMPLETED: Final = response("completed", status="completed", usage=USAGE)
INCOMPLETE: Final = response(
    "incomplete", status="incomplete", incomplete_details={"reason": "max_output_tokens"}, usage=USAGE
)
FAILED: Final = response("failed", status="failed", error={"code": "server_error", "message": "busy"})
ERROR: Final = event("error", code="server_error", message="busy", param=None, sequence_number=2)
WHOLE: Final = CREATED + DELTA + COMPLETED


def reader() -> ResponsesReader:
    return ResponsesReader(asked_bytes=400)


def feed_all(stream: ResponsesReader, pieces: Iterable[bytes]) -> bytes:
    return b"".join([stream.feed(piece) for piece in pieces])


def cut(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    return [data[start:end] for start, end in pairwise([0, *sorted(cuts), len(data)])]


def outcome(stream: ResponsesReader) -> tuple[ReplyFacts, bool, bool, bool, bytes]:
    return stream.facts(), stream.is_complete, stream.has_data, stream.has_content, stream.failure


EVENTS = st.sampled_from(
    [
        CREATED,
        DELTA,
        COMPLETED,
        INCOMPLETE,
        FAILED,
        ERROR,
        added(type="message", content=[]),
        event("response.output_text.delta", delta='"error": {"response.completed'),
        b'data: {"error": {"message": "busy"}}\n\n',
        b": keep-alive\n\n",
        b"data: {malformed\n\n",
        b"data: [DONE]\n\n",
        b'data: {"type":\ndata: "response.created"}\n\n',
        b'data: {"type": ["x"], "response": 7}\n\n',
    ]
)


@settings(max_examples=300)
@given(st.lists(EVENTS, max_size=8), st.sampled_from([b"\n", b"\r\n", b"\r"]), st.data())
def test_any_cut_gives_the_same_bytes_and_facts(events: list[bytes], end: bytes, data: st.DataObject) -> None:
    """However a stream is cut on its way, the client gets the same bytes and the trace the same facts."""
    body = b"".join(events).replace(b"\n", end)
    whole = reader()
    expected = whole.feed(body) + whole.finish()
    if not whole.failure:
        assert expected == body
    pieces = cut(body, data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    for split in (pieces, [body[at : at + 1] for at in range(len(body))]):
        stream = reader()
        assert feed_all(stream, split) + stream.finish() == expected
        assert outcome(stream) == outcome(whole)


@pytest.mark.parametrize(
    ("body", "facts"),
    [
        pytest.param(
            WHOLE, ReplyFacts("resp_1", "small-1", ("completed",), Usage(12, 34, "provider")), id="whole"
        ),
        pytest.param(
            CREATED + INCOMPLETE,
            ReplyFacts("resp_1", "small-1", ("max_output_tokens",), Usage(12, 34, "provider")),
            id="incomplete",
        ),
        pytest.param(
            CREATED + DELTA, ReplyFacts("resp_1", "small-1", (), Usage(100, 2, "partial")), id="cut"
        ),
        pytest.param(FAILED, ReplyFacts("resp_1", "small-1", (), Usage(100, 1, "partial")), id="failed"),
    ],
)
def test_facts(body: bytes, facts: ReplyFacts) -> None:
    """Usage and the reason of the end come from the last event; a cut stream has neither."""
    stream = reader()
    stream.feed(body)
    assert stream.facts() == facts


@pytest.mark.parametrize(
    ("body", "is_complete", "has_ended"),
    [
        pytest.param(WHOLE, True, True, id="completed"),
        pytest.param(INCOMPLETE, True, True, id="incomplete"),
        pytest.param(WHOLE + b"data: [DONE]\n\n", True, True, id="an end marker more"),
        pytest.param(CREATED + DELTA + b"data: [DONE]\n\n", False, False, id="an end marker only"),
        pytest.param(CREATED + DELTA, False, False, id="cut"),
        pytest.param(WHOLE[:-1], False, False, id="cut before the last blank line"),
        pytest.param(b"", False, False, id="nothing"),
        pytest.param(CREATED + FAILED, False, True, id="failed"),
        pytest.param(CREATED + ERROR, False, True, id="error"),
    ],
)
def test_what_is_complete(body: bytes, *, is_complete: bool, has_ended: bool) -> None:
    """Only the response's own last event makes a stream whole."""
    stream = reader()
    stream.feed(body)
    assert (stream.is_complete, stream.has_ended) == (is_complete, has_ended)


@pytest.mark.parametrize(
    ("body", "has_content"),
    [
        pytest.param(CREATED + response("queued") + response("in_progress"), False, id="lifecycle"),
        pytest.param(b": wait\n\n" + event("keepalive"), False, id="keep-alive"),
        pytest.param(added(type="message", content=[]), False, id="empty message"),
        pytest.param(added(type="reasoning", summary=[]), False, id="empty reasoning"),
        pytest.param(
            event("response.content_part.added", part={"type": "output_text", "text": ""}),
            False,
            id="empty part",
        ),
        pytest.param(event("response.reasoning_summary_part.added"), False, id="empty summary"),
        pytest.param(ERROR, False, id="error"),
        pytest.param(FAILED, False, id="failed"),
        pytest.param(added(type="function_call", name="f"), True, id="tool call"),
        pytest.param(added(type="reasoning", encrypted_content="x"), True, id="encrypted reasoning"),
        pytest.param(event("response.reasoning_summary_text.delta", delta="a"), True, id="reasoning"),
        pytest.param(DELTA, True, id="text"),
        pytest.param(event("response.refusal.delta", delta="no"), True, id="refusal"),
        pytest.param(COMPLETED, True, id="the end"),
        pytest.param(b"data: {malformed\n\n", True, id="what cannot be read"),
        pytest.param(event("response.of.tomorrow"), True, id="an event that is new"),
    ],
)
def test_when_the_reply_has_begun(body: bytes, *, has_content: bool) -> None:
    """A stream is held until there is something to lose; what tells of lifecycle only is nothing."""
    stream = reader()
    stream.feed(body)
    assert stream.has_content is has_content


@pytest.mark.parametrize("separate", [True, False], ids=["in reads of its own", "in one read"])
def test_nothing_follows_an_error_but_the_failed_response(*, separate: bool) -> None:
    """OpenAI says `error`, then `response.failed`; no end that makes the reply look whole may follow."""
    events = [CREATED, DELTA, ERROR, DELTA, FAILED, b": comment\n\n", COMPLETED]
    stream = reader()
    passed = feed_all(stream, events if separate else [b"".join(events)])
    assert passed == CREATED + DELTA + ERROR + FAILED
    assert json.loads(stream.failure)["message"] == "busy"
    assert not stream.is_complete


def test_failure_of_a_failed_response_is_its_error_alone() -> None:
    """A failed response repeats the prompt, which is nobody's but the caller's."""
    stream = reader()
    stream.feed(FAILED)
    assert json.loads(stream.failure) == {"error": {"code": "server_error", "message": "busy"}}


def test_error_of_another_shape_is_a_failure() -> None:
    """Gateways and proxies on the way write errors as chat streams have them."""
    stream = reader()
    body = CREATED + b'data: {"error": {"message": "busy"}}\n\n'
    assert stream.feed(body) == body
    assert json.loads(stream.failure) == {"error": {"message": "busy"}}


def test_end_without_the_last_blank_line() -> None:
    """A whole line is given with the blank line that is missing, half a line never."""
    stream = reader()
    passed = stream.feed(WHOLE[:-1])
    assert passed + stream.finish() == WHOLE[:-1] + b"\n\n"
    assert stream.is_complete
    half = reader()
    half.feed(WHOLE[:-3])
    assert (half.finish(), half.is_complete) == (b"", False)


def test_oversize_event_ends_the_stream() -> None:
    """An event without end is refused when it passes the limit, not gathered."""
    stream = reader()
    stream.feed(CREATED + b"data: ")
    stream.feed(b"x" * (MAX_EVENT_BYTES - 6))
    with pytest.raises(UpstreamBadReply):
        stream.feed(b"x")


@requires("recordings")
def test_recorded_streams(recordings: Path) -> None:
    """Real streams pass unchanged however they are cut, with the provider's own count."""
    count = 0
    for item in read_recorded(recordings, "openai-responses"):
        if not item.is_stream:
            continue
        step = max(1, len(item.body) // 500)
        splits = [[item.body], [item.body[at : at + 7] for at in range(0, len(item.body), 7)]]
        splits += [cut(item.body, [at]) for at in range(0, len(item.body), step)]
        facts = set()
        for split in splits:
            stream = reader()
            assert feed_all(stream, split) + stream.finish() == item.body, item.name
            assert stream.is_complete, item.name
            facts.add(stream.facts())
        assert len(facts) == 1
        assert facts.pop().usage.source == "provider"
        count += 1
    assert count > 10


@requires("recordings")
def test_recorded_streams_cut_short_are_not_complete(recordings: Path) -> None:
    """Without its last event a real stream is not whole."""
    for item in read_recorded(recordings, "openai-responses"):
        if not item.is_stream:
            continue
        end = item.body.index(b"event: response.completed")
        for at in range(0, len(item.body.rstrip()), max(1, len(item.body) // 500)):
            stream = reader()
            passed = stream.feed(item.body[:at])
            assert item.body.startswith(passed)
            assert not stream.is_complete, item.name
            assert stream.facts().usage.source == "partial"
            assert at < end or stream.has_content
