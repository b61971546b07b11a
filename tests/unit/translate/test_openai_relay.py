"""OpenAI to OpenAI: nothing but the model's name changes."""

from __future__ import annotations

import json

from gateway.endpoints.catalogue import EMBEDDING
from gateway.translate import openai_relay
from gateway.translate.pair import Refusal
from tests.unit.makers import TARGET, make_call

REPLY = (
    b'{"id":"c","model":"m","choices":[{"message":{},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":1,"completion_tokens":2}}'
)


def test_request() -> None:
    """The endpoint's path, the bytes of the call under the target's name; nothing is left out."""
    call = make_call(seed=1)
    assert openai_relay.path(call, TARGET) == "/chat/completions"
    assert openai_relay.path(make_call(EMBEDDING), TARGET) == "/embeddings"
    body, left_out = openai_relay.write(call, TARGET)
    assert json.loads(body) == {
        "model": "small-1",
        "messages": [{"role": "user", "content": "hi"}],
        "seed": 1,
    }
    assert left_out == ()


def test_reply() -> None:
    """The body as it came, with what it says of itself."""
    body, facts = openai_relay.read(make_call(), REPLY, started_at_ns=0)
    assert body is REPLY
    assert (facts.response_id, facts.finish_reasons, facts.usage.output_tokens) == ("c", ("stop",), 2)


def test_stream() -> None:
    """Usage that nobody asked for is kept back, and the number of choices is the call's."""
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\n'
    first = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}\n\n'
    stream = openai_relay.open_stream(make_call(stream=True, n=2), started_at_ns=0)
    assert stream.feed(first + usage) == first
    assert not stream.is_complete
    asked = make_call(stream=True, stream_options={"include_usage": True})
    stream = openai_relay.open_stream(asked, started_at_ns=0)
    assert stream.feed(first + usage) == first + usage
    assert stream.is_complete


def test_error() -> None:
    """A JSON object passes as it is, anything else is no error for a caller."""
    assert openai_relay.read_error(429, b'{"error":{}}') == Refusal(429, b'{"error":{}}')
    assert openai_relay.read_error(502, b"<html>") is None
