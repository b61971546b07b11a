"""Who gets an error in whose dialect."""

from __future__ import annotations

import dataclasses

import pytest

from gateway.endpoints.catalogue import CHAT, COMPLETION, IMAGE, MESSAGES, RESPONSE
from gateway.endpoints.gemini_catalogue import ARRAY, PASSED, STREAM
from gateway.endpoints.wording import OPENAI, TYPED, WORDINGS, dialect_of, wording_for
from gateway.model import Dialect, Endpoint
from tests.unit.doubles import FakeHeaders


def test_an_endpoint_decides() -> None:
    """What is asked for says what its client speaks, whatever headers it sends."""
    headers = FakeHeaders([("anthropic-version", "2023-06-01")])
    assert wording_for(CHAT, headers) is OPENAI
    messages = dataclasses.replace(CHAT, dialect="anthropic")
    assert wording_for(messages, FakeHeaders()) is WORDINGS["anthropic"]


def test_typed_events_end_with_a_typed_error() -> None:
    """A response is no chat: what reads its stream looks at the type of each event."""
    assert wording_for(RESPONSE, FakeHeaders()) is TYPED
    assert TYPED.body is OPENAI.body
    assert TYPED.refusal_event(b'{"error":{"message":"no"}}').startswith(b"event: error\n")


@pytest.mark.parametrize("endpoint", [CHAT, COMPLETION, RESPONSE, IMAGE, MESSAGES], ids=lambda one: one.name)
def test_what_streams_in_events_of_ours_can_be_kept_alive(endpoint: Endpoint) -> None:
    """A model that thinks for minutes is asked through any of them."""
    assert wording_for(endpoint, FakeHeaders()).ping.endswith(b"\n\n")


def test_an_array_gets_its_errors_inside() -> None:
    """Google's dialect has two forms of a stream, and an error in each."""
    words = {endpoint: wording_for(endpoint, FakeHeaders()) for endpoint in (STREAM, PASSED, ARRAY)}
    assert words[STREAM] is words[PASSED] is WORDINGS["gemini"]
    assert words[ARRAY] is not words[STREAM]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("anthropic-version", "anthropic"), ("x-api-key", "anthropic"), ("authorization", "openai")],
)
def test_headers_decide_elsewhere(name: str, expected: Dialect) -> None:
    """On a path that both have, or none, the SDK's own headers tell."""
    headers = FakeHeaders([(name, "x")])
    assert dialect_of(headers) == expected
    assert wording_for(None, headers) is WORDINGS[expected]
