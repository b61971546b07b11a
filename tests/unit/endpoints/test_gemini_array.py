"""A stream that comes as one JSON array, relayed as it is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.endpoints.gemini_array import GeneratedArrayReader
from gateway.endpoints.gemini_stream import GeneratedStreamReader
from gateway.errors import UpstreamBadReply

USAGE = {"promptTokenCount": 7, "candidatesTokenCount": 5, "thoughtsTokenCount": 3, "totalTokenCount": 15}
FAILURE = {"error": {"code": 503, "message": "overloaded }]", "status": "UNAVAILABLE"}}


def piece(text: str, **more: Any) -> dict[str, Any]:
    reason = {"finishReason": more.pop("reason")} if "reason" in more else {}
    candidate = {"content": {"role": "model", "parts": [{"text": text}]}, **reason}
    return {"candidates": [candidate], "modelVersion": "m-1", "responseId": "r", **more}


PIECES = [piece('a "b" ]'), piece("空"), piece("", reason="STOP", usageMetadata=USAGE)]


def array(*pieces: dict[str, Any]) -> bytes:
    texts = [json.dumps(each, indent=2, ensure_ascii=False) for each in pieces]
    return b"[" + ",\r\n".join(texts).encode() + b"\n]\n"


def events(*pieces: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + json.dumps(each).encode() + b"\r\n\r\n" for each in pieces)


def read(*data: bytes) -> tuple[bytes, GeneratedArrayReader]:
    reader = GeneratedArrayReader(asked_bytes=40)
    given = b"".join([reader.feed(each) for each in data])
    return given + reader.finish(), reader


@pytest.mark.parametrize("place", range(0, len(array(*PIECES)), 3))
def test_bytes(place: int) -> None:
    """Wherever it is cut it passes byte for byte, and tells what the same events tell."""
    body = array(*PIECES)
    given, reader = read(body[:place], body[place:])
    assert (given, reader.is_complete, reader.has_ended, reader.failure) == (body, True, True, b"")
    other = GeneratedStreamReader(asked_bytes=40)
    other.feed(events(*PIECES))
    other.finish()
    assert reader.facts() == other.facts()
    assert reader.facts().finish_reasons == ("STOP",)


def test_content() -> None:
    """A piece that says nothing yet is none, and half a one is not given."""
    reader = GeneratedArrayReader(asked_bytes=40)
    body = array(piece(""), piece("a"))
    end = body.index(b",\r\n")
    assert reader.feed(body[:end]) == body[:end]
    assert (reader.has_data, reader.has_content) == (True, False)
    assert reader.feed(body[end : end + 20]) == b""
    assert reader.feed(body[end + 20 :]) == body[end:].removesuffix(b"\n]\n")
    assert reader.has_content


def test_error() -> None:
    """An error is the last that passes, and the array is closed behind it."""
    given, reader = read(array(PIECES[0], FAILURE, PIECES[1]))
    assert json.loads(given) == [PIECES[0], FAILURE]
    assert (json.loads(reader.failure), reader.is_complete, reader.has_ended) == (FAILURE, False, True)


@pytest.mark.parametrize("body", [array(*PIECES)[:-3], array(*PIECES[:2])], ids=["open", "unfinished"])
def test_cut(body: bytes) -> None:
    """One that breaks off stays open for the error that is to follow."""
    given, reader = read(body)
    assert (reader.is_complete, reader.facts().usage.source) == (False, "partial")
    json.loads(given + b"]")


def test_what_cannot_be_read() -> None:
    """It ends the stream: the reply has a hole there."""
    reader = GeneratedArrayReader(asked_bytes=40)
    with pytest.raises(UpstreamBadReply, match="not JSON"):
        reader.feed(b'[{"candidates": [{"x": nothing}]}]')


def test_no_array() -> None:
    """Something else is no stream of this form."""
    with pytest.raises(UpstreamBadReply):
        read(b'{"candidates": []}')
