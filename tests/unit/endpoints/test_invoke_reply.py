"""What models of every maker say of a reply, whole and in pieces."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.endpoints.invoke_reply import InvokeFacts, piece_of, read_invoke, with_header_counts
from gateway.endpoints.openai_events import ObjectFacts
from gateway.errors import UpstreamBadReply
from gateway.model import HeaderPairs, Usage
from gateway.wire.aws_event_stream import EventMessage, EventStreamParser, write_exception
from tests.rig.bedrock_upstream import chunk, claude_chunks
from tests.rig.requires import requires

COUNTED: HeaderPairs = [
    (b"x-amzn-bedrock-input-token-count", b"7"),
    (b"x-amzn-bedrock-output-token-count", b"5"),
    (b"x-amzn-bedrock-cache-read-input-token-count", b"4"),
    (b"content-type", b"application/json"),
]


def learned(*pieces: bytes) -> InvokeFacts:
    facts = InvokeFacts(asked_bytes=400)
    for message in EventStreamParser().feed(b"".join(pieces)):
        facts.learn(message)
    return facts


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"stop_reason": "end_turn", "content": []}, "end_turn"),
        ({"stopReason": "tool_use", "output": {}}, "tool_use"),
        ({"results": [{"completionReason": "LENGTH"}]}, "LENGTH"),
        ({"outputs": [{"text": "x", "stop_reason": "length"}]}, "length"),
        ({"generations": [{"finish_reason": "MAX_TOKENS"}]}, "MAX_TOKENS"),
        ({"choices": [{"finish_reason": "stop"}]}, "stop"),
        ({"generation": "x", "stop_reason": "length"}, "length"),
        ({"embedding": [0.1]}, ""),
        ({"outputs": "x", "results": [7]}, ""),
    ],
)
def test_why_it_ended(body: dict[str, Any], reason: str) -> None:
    """Under each maker's name for it."""
    facts = read_invoke(json.dumps(body).encode(), asked_bytes=4)
    assert facts.finish_reasons == ((reason,) if reason else ())


def test_counts_of_a_whole_reply() -> None:
    """The body's where it has them; else Bedrock's own, beside it; else an estimate."""
    usage = {"input_tokens": 7, "output_tokens": 5, "cache_read_input_tokens": 4}
    body = json.dumps({"id": "msg_1", "model": "claude-x", "usage": usage}).encode()
    facts = read_invoke(body, asked_bytes=4)
    assert (facts.response_id, facts.response_model) == ("msg_1", "claude-x")
    assert (facts.usage.input_tokens, facts.usage.cached_input_tokens) == (11, 4)
    assert with_header_counts(facts, [(b"x-amzn-bedrock-input-token-count", b"99")]) is facts
    bare = read_invoke(b'{"generation":"x"}', asked_bytes=400)
    assert bare.usage.source == "estimated"
    counted = with_header_counts(bare, COUNTED).usage
    assert counted == Usage(11, 5, "provider", cached_input_tokens=4)
    assert with_header_counts(ObjectFacts("", "", (), None), COUNTED).usage == counted


@pytest.mark.parametrize(
    ("body", "is_text"),
    [
        ({"generation": "x" * 400}, True),
        ({"results": [{"outputText": "x" * 400}], "embedding": None, "images": "none"}, True),
        ({"embedding": [0.123456789] * 40}, False),
        ({"embeddings": [[0.123456789] * 40]}, False),
        ({"embeddingsByType": {"float": [0.123456789] * 40}}, False),
        ({"images": ["A" * 400]}, False),
        ({"artifacts": [{"base64": "A" * 400}]}, False),
    ],
)
def test_what_is_no_text_is_no_output(body: dict[str, Any], *, is_text: bool) -> None:
    """A picture in base64 would be hundreds of thousands of tokens by its bytes."""
    written = json.dumps(body).encode()
    usage = read_invoke(written, asked_bytes=400).usage
    assert usage == Usage(100, len(written) // 4 if is_text else 0, "estimated")


@pytest.mark.parametrize("value", [b"", b"-1", b"x", b"9" * 400])
def test_counts_that_are_none(value: bytes) -> None:
    """A header is foreign too."""
    facts = read_invoke(b"{}", asked_bytes=400)
    assert with_header_counts(facts, [(b"x-amzn-bedrock-input-token-count", value)]) is facts


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"7", b"\xff"])
def test_what_is_no_reply(body: bytes) -> None:
    """An error of the provider."""
    with pytest.raises(UpstreamBadReply):
        read_invoke(body, asked_bytes=4)


def test_a_stream_of_claude() -> None:
    """Its start announces, its pieces say, its end has the counts."""
    pieces = claude_chunks()
    assert not learned(*pieces[:2]).has_content
    assert learned(*pieces[:3]).has_content
    begun = learned(*pieces[:3]).facts()
    assert (begun.usage.source, begun.usage.input_tokens, begun.usage.output_tokens) == ("partial", 11, 3)
    facts = learned(*pieces)
    assert facts.is_done
    assert facts.facts().usage == Usage(11, 5, "provider", cached_input_tokens=4)
    assert (facts.facts().response_id, facts.facts().response_model) == ("msg_1", "claude-x")
    assert facts.facts().finish_reasons == ("end_turn",)


def test_a_stream_of_another() -> None:
    """Counts are Bedrock's own; the reason is where the model has it."""
    metrics = {"inputTokenCount": 7, "outputTokenCount": 5, "cacheReadInputTokenCount": 4}
    first = chunk(generation="a", stop_reason=None)
    assert learned(first).has_content
    facts = learned(
        first, chunk(generation="b", stop_reason="length", **{"amazon-bedrock-invocationMetrics": metrics})
    ).facts()
    assert facts.usage == Usage(11, 5, "provider", cached_input_tokens=4)
    assert facts.finish_reasons == ("length",)
    assert not learned(chunk(messageStart={"role": "assistant"})).has_content


def test_a_failure() -> None:
    """What was said stands, and the stream is none that is whole."""
    facts = learned(claude_chunks()[2], write_exception("throttlingException", b'{"message":"slow"}'))
    assert facts.failure == b'{"type":"throttlingException","message":"slow"}'
    assert facts.facts().usage.source == "partial"
    assert json.loads(learned(write_exception("x", b"")).failure) == {"type": "x", "message": ""}


@pytest.mark.parametrize("kind", [{}, [], 5, None])
def test_a_piece_of_no_kind(kind: Any) -> None:
    """What its maker puts in place of one breaks nothing."""
    assert learned(chunk(type=kind, generation="a")).has_content


@given(st.binary(max_size=60), st.booleans())
def test_any_payload(payload: bytes, is_held: bool) -> None:  # noqa: FBT001 - hypothesis gives it
    """Foreign bytes add nothing, and break nothing."""
    held = b'{"bytes":"' + base64.b64encode(payload) + b'"}' if is_held else payload
    message = EventMessage(headers={}, payload=held, raw=b"")
    facts = InvokeFacts(asked_bytes=4)
    facts.learn(message)
    assert facts.facts().usage is not None
    assert piece_of(message) is None or isinstance(piece_of(message), dict)


@requires("recordings")
def test_recorded_replies(recordings: Path) -> None:
    """Of each model that was recorded, whole and streamed: counts of Bedrock's, and a reason."""
    count = 0
    for line in (recordings / "bedrock-invoke.jsonl").read_text(encoding="utf-8").splitlines():
        item = json.loads(line)
        if item["status"] != 200:
            continue
        if item["stream"]:
            told = learned(base64.b64decode(item["body_base64"]))
            assert told.is_done
            facts: Any = told.facts()
        else:
            headers = [(name.encode(), value.encode()) for name, value in item["response_headers"].items()]
            facts = with_header_counts(read_invoke(item["body_text"].encode(), asked_bytes=4), headers)
        is_counted = item["stream"] or any("token-count" in name for name in item["response_headers"])
        if is_counted:
            assert facts.usage.source == "provider"
            assert facts.usage.input_tokens
            assert facts.finish_reasons
            count += 1
    assert count > 50
