"""What is inside SageMaker's answers: streams however they are cut, errors of whomever."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import UpstreamBadReply
from gateway.upstream.sagemaker import FramedReply, is_framed, unwrapped
from gateway.wire.aws_event_stream import write_exception, write_message
from tests.unit.doubles import FakeReply

HEADERS = {
    "content-type": "application/vnd.amazon.eventstream",
    "x-amzn-sagemaker-content-type": "text/event-stream; charset=utf-8",
    "x-amzn-requestid": "r",
}
SSE = (b'data: {"a":1}\n\nda', b"", b'ta: {"b":2}\n\n', b"data: [DONE]\n\n")


def part(data: bytes) -> bytes:
    kinds = {":event-type": "PayloadPart", ":content-type": "application/octet-stream"}
    return write_message({**kinds, ":message-type": "event"}, data)


STREAM = b"".join(part(piece) for piece in SSE)


async def everything(*pieces: bytes) -> list[bytes]:
    reply = FramedReply(FakeReply(200, HEADERS, *pieces))
    found = []
    while data := await reply.read_chunk():
        found.append(data)
    return found


def test_which_replies_are_framed() -> None:
    """By their content type; an error is JSON."""
    assert is_framed([(b"content-type", b"application/vnd.amazon.eventstream")])
    assert not is_framed([(b"content-type", b"application/json")])
    assert not is_framed([])


async def test_the_head() -> None:
    """The content type is that of what is inside; a container that says none streams events."""
    reply = FramedReply(FakeReply(200, HEADERS, STREAM))
    assert dict(reply.headers)[b"content-type"] == b"text/event-stream; charset=utf-8"
    assert dict(reply.headers)[b"x-amzn-requestid"] == b"r"
    bare = FramedReply(FakeReply(200, {"content-type": HEADERS["content-type"]}, STREAM))
    assert dict(bare.headers)[b"content-type"] == b"text/event-stream"
    reply.close()


@given(st.lists(st.integers(1, len(STREAM) - 1), unique=True))
async def test_any_cut_gives_the_same_bytes(cuts: list[int]) -> None:
    """And no piece is empty, which would be the end."""
    edges = [0, *sorted(cuts), len(STREAM)]
    pieces = [STREAM[start:end] for start, end in pairwise(edges)]
    found = await everything(*pieces)
    assert b"".join(found) == b"".join(SSE)
    assert all(found)


async def test_read_whole() -> None:
    """Within its bound."""
    assert await FramedReply(FakeReply(200, HEADERS, STREAM)).read(100) == b"".join(SSE)
    with pytest.raises(UpstreamBadReply, match="longer than 10 bytes"):
        await FramedReply(FakeReply(200, HEADERS, STREAM)).read(10)
    await FramedReply(FakeReply(200, HEADERS)).finish()


@pytest.mark.parametrize(
    ("stream", "what"),
    [
        pytest.param(
            write_exception("ModelStreamError", b'{"Message":"oom"}'), "carried an error", id="error"
        ),
        pytest.param(STREAM[:-3], "before it was complete", id="cut short"),
        pytest.param(b"<html>no stream of any kind</html>", "checksum", id="no stream"),
    ],
)
async def test_streams_that_fail(stream: bytes, what: str) -> None:
    """Each is an error of the provider, whose own words are for the span."""
    with pytest.raises(UpstreamBadReply, match=what) as caught:
        await everything(stream)
    assert caught.value.excerpt in ("", 'ModelStreamError: {"Message":"oom"}')


async def test_other_messages_are_passed_over() -> None:
    """New kinds may come."""
    other = write_message({":message-type": "event", ":event-type": "Note"}, b"x")
    assert await everything(other, part(b"a")) == [b"a"]


@pytest.mark.parametrize(
    ("status", "body", "told", "said"),
    [
        pytest.param(
            424,
            {"OriginalStatusCode": 404, "OriginalMessage": '{"error": {"message": "no such model"}}'},
            404,
            {"error": {"message": "no such model"}},
            id="the container's own",
        ),
        pytest.param(
            424,
            {"OriginalStatusCode": 500, "OriginalMessage": "oom", "Message": "Received server error"},
            500,
            {"error": {"message": "oom", "type": "ModelError", "code": "ModelError"}},
            id="the container's words",
        ),
        pytest.param(
            429,
            {"message": "Rate exceeded"},
            429,
            {"error": {"message": "Rate exceeded", "type": "ModelError", "code": "ModelError"}},
            id="SageMaker's",
        ),
        pytest.param(
            424,
            {"OriginalStatusCode": 200, "OriginalMessage": 7},
            424,
            {"error": {"message": "", "type": "ModelError", "code": "ModelError"}},
            id="odd",
        ),
    ],
)
async def test_errors(status: int, body: dict[str, object], told: int, said: object) -> None:
    """With the status and in the words that an SDK of the container's API knows."""
    headers = {"content-type": "application/x-amz-json-1.1", "x-amzn-errortype": "ModelError:http://x"}
    given = FakeReply(status, headers, json.dumps(body).encode())
    reply = await unwrapped(given)
    assert given.is_closed
    assert reply.status == told
    assert json.loads(await reply.read(1000)) == said
    assert (b"content-type", b"application/json") in reply.headers
    with pytest.raises(UpstreamBadReply):
        await reply.read(1)
    assert json.loads(await reply.read_chunk()) == said
    assert await reply.read_chunk() == b""
    await reply.finish()
    reply.close()


async def test_what_is_no_error_that_can_be_read() -> None:
    """Is left as it is, for whoever judges answers; what is no error is not touched."""
    reply = await unwrapped(FakeReply(502, {}, b"<html>"))
    assert (reply.status, await reply.read(100)) == (502, b"<html>")
    good = FakeReply(200, {"content-type": "application/json"}, b"{}")
    assert await unwrapped(good) is good
    assert isinstance(await unwrapped(FakeReply(200, HEADERS, STREAM)), FramedReply)
