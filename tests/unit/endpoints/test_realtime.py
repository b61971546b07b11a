"""What is read and made of the realtime API's events, and its subprotocols."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.endpoints.realtime import SessionUsage, added, error_event, provider_error_event, read_offer
from gateway.errors import UpstreamTimeout
from gateway.model import Usage


def said(kind: str, **members: Any) -> str:
    return json.dumps({"event_id": "e", "type": kind, **members})


def done(**usage: Any) -> str:
    return said("response.done", response={"id": "r", "usage": usage or None})


TRANSCRIBED = "conversation.item.input_audio_transcription.completed"


def test_usage_is_summed() -> None:
    """Over the responses and transcriptions of a session."""
    used = SessionUsage()
    for text in (
        said("session.created"),
        said("response.created", response={"id": "r"}),
        said("response.output_audio.delta", delta="response.done"),
        done(input_tokens=10, output_tokens=3, input_token_details={"audio_tokens": 4, "cached_tokens": 2}),
        said("response.created", response={"id": "r2"}),
        done(input_tokens=20, output_tokens=5),
        said(TRANSCRIBED, usage={"type": "tokens", "input_tokens": 7, "output_tokens": 1}),
        said(TRANSCRIBED, usage={"type": "duration", "seconds": 2.5}),
    ):
        used.see(text)
    assert used.responses == 2
    assert used.spoken == Usage(30, 8, "provider", 2, audio_input_tokens=4)
    assert used.transcribed == Usage(7, 1, "provider", audio_s=2.5)
    assert used.total() == Usage(37, 9, "provider", 2, audio_input_tokens=4, audio_s=2.5)


def test_usage_is_partial_within_a_response() -> None:
    """What a response that has not ended used, nobody has told."""
    used = SessionUsage()
    used.see(said("response.created"))
    assert (used.is_answering, used.total()) == (True, None)
    used.see(done(input_tokens=1, output_tokens=2))
    used.see(said("response.created"))
    assert used.total() == Usage(1, 2, "partial")


@pytest.mark.parametrize(
    "text",
    [
        "", "no JSON response.done", '{"type":"response.done"', '"response.done"', '["response.done"]',
        said("response.output_text.delta", delta='"response.done"'), said("x", delta="response.done"),
        done(), said("response.done", response=None), said("response.done", response=[1]), said(TRANSCRIBED),
        said("response.done", response={"usage": {"input_tokens": "many"}}),
        "[" * 100_000 + '"response.done"',
    ],
)  # fmt: skip
def test_what_tells_nothing(text: str) -> None:
    """Whatever passes, reading it harms nobody, and nothing is made up."""
    used = SessionUsage()
    assert not used.see(text)
    assert used.total() is None


def test_nothing_added() -> None:
    """None is no usage, not one of 0."""
    usage = Usage(1, None, "provider")
    assert (added(None, None), added(usage, None), added(None, usage)) == (None, usage, usage)
    assert added(usage, usage) == Usage(2, None, "provider")


def test_error_event() -> None:
    """An error of ours has the API's form, and what ours always have."""
    event = json.loads(error_event(UpstreamTimeout("slow"), request_id="q", trace_id="t"))
    assert (event["type"], event["event_id"]) == ("error", "event_q")
    assert event["error"]["code"] == "upstream_timeout"
    assert (event["error"]["request_id"], event["error"]["trace_id"]) == ("q", "t")


@pytest.mark.parametrize("body", [b"", b"x", b"[]", b"{}", b'{"error":"text"}', b'{"error":null}', b"\xff"])
def test_no_error_of_the_api(body: bytes) -> None:
    """Something else is not put into an event."""
    assert provider_error_event(body, request_id="q") is None


def test_providers_error_event() -> None:
    """The provider's error stays as it is."""
    event = provider_error_event(b'{"error":{"code":"c","more":1}}', request_id="q")
    assert json.loads(event or b"") == {
        "type": "error", "event_id": "event_q", "error": {"code": "c", "more": 1},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("values", "key", "passed", "answer"),
    [
        ([], "", (), ""),
        (["realtime"], "", ("realtime",), "realtime"),
        (["realtime, openai-insecure-api-key.k.1, openai-beta.realtime-v1"], "k.1",
         ("realtime", "openai-beta.realtime-v1"), "realtime"),
        (["openai-insecure-api-key.k", "other"], "k", ("other",), "other"),
        (["openai-insecure-api-key.k"], "k", (), ""),
        (["openai-insecure-api-key.a,openai-insecure-api-key.b"], "a", (), ""),
        (["OpenAI-Insecure-API-Key.k, realtime"], "", ("realtime",), "realtime"),
        (["openai-beta.x"], "", ("openai-beta.x",), ""),
    ],
)  # fmt: skip
def test_offer(values: list[str], key: str, passed: tuple[str, ...], answer: str) -> None:
    """Keys go no further, and are never the answer."""
    offer = read_offer(values)
    assert (offer.key, offer.passed, offer.answer) == (key, passed, answer)
