"""Anthropic to Anthropic: nothing but the model's name changes."""

from __future__ import annotations

import json

from gateway.endpoints.anthropic_stream import MessageStreamReader
from gateway.endpoints.catalogue import COUNT_TOKENS, MESSAGES
from gateway.endpoints.openai_call import parse_call
from gateway.translate import anthropic_relay
from gateway.translate.pair import Refusal
from tests.unit.makers import make_target

TARGET = make_target(dialect="anthropic")
BODY = (
    b'{"model":"acct/small","max_tokens":5,"messages":[{"role":"oracle","content":"\\u00fc"}],'
    b'"n":"x","stream_options":7,"betas":[1.50],"stream":true}'
)
REPLY = b'{"id":"m","type":"message","content":[],"usage":{"input_tokens":1,"output_tokens":2}}'


def test_request() -> None:
    """Whatever a body holds stays as it is: fields, roles and numbers that we do not know, and OpenAI's."""
    call = parse_call(MESSAGES, BODY, model=None, account=None)
    assert call.is_stream
    assert anthropic_relay.path(call, TARGET) == "/messages"
    body, left_out = anthropic_relay.write(call, TARGET)
    assert body == BODY.replace(b"acct/small", b"small-1")
    assert left_out == ()


def test_counting() -> None:
    """The count comes back as it is."""
    call = parse_call(COUNT_TOKENS, b'{"model":"acct/small","messages":[]}', model=None, account=None)
    assert anthropic_relay.path(call, TARGET) == "/messages/count_tokens"
    body, facts = anthropic_relay.read(call, b'{"input_tokens":9}', started_at_ns=0)
    assert json.loads(body) == {"input_tokens": 9}
    assert facts.usage.input_tokens == 0


def test_reply() -> None:
    """The body as it came, with what it says of itself."""
    call = parse_call(MESSAGES, BODY, model=None, account=None)
    body, facts = anthropic_relay.read(call, REPLY, started_at_ns=0)
    assert body is REPLY
    assert facts.usage.output_tokens == 2
    assert isinstance(anthropic_relay.open_stream(call, started_at_ns=0), MessageStreamReader)


def test_error() -> None:
    """A JSON object passes as it is, anything else is no error for a caller."""
    assert anthropic_relay.read_error(529, b'{"type":"error"}') == Refusal(529, b'{"type":"error"}')
    assert anthropic_relay.read_error(502, b"<html>") is None
