"""Streams: relayed as they arrive, whatever their cuts, with usage counted and hidden where nobody asked."""

from __future__ import annotations

import json

import pytest

from tests.rig import behaviours
from tests.rig.behaviours import COMPLETION_TOKENS, DONE, PROMPT_TOKENS, TEXT, WORDS
from tests.rig.fake_upstream import FakeUpstream
from tests.rig.gateway_process import GatewayProcess
from tests.rig.manifests import SCRIPTED, bearer, chat, chat_body, trace_id_of
from tests.rig.raw_http import events, request_bytes

CHAT = "/v1/chat/completions"
HEADERS = [bearer(), ("content-type", "application/json")]


def text_of(body: bytes) -> str:
    """The content of a stream, put together."""
    deltas = [json.loads(event)["choices"] for event in events(body) if event != "[DONE]"]
    return "".join(choices[0]["delta"].get("content") or "" for choices in deltas if choices)


def test_each_event_passes_at_once(gateway: GatewayProcess, upstream: FakeUpstream) -> None:
    """No buffering: the client has each event before the provider sends the next."""
    gate = upstream.gate()
    upstream.play(SCRIPTED, behaviours.stream(gate=gate))
    with gateway.connect() as connection:
        connection.send(request_bytes("POST", CHAT, HEADERS, chat_body("fake/scripted", stream=True)))
        # The role alone is held back until there is content: a failure so far can still have a status.
        gate.step(2)
        assert connection.read_head().status == 200
        seen = b""
        for word in WORDS[:-1]:
            while word.encode() not in seen:
                seen += connection.read_piece()
            gate.step()
        gate.open()
        rest = seen + b"".join(connection.read_pieces())
    assert events(rest)[-1] == "[DONE]"


def test_stream_bytes_are_the_providers(gateway: GatewayProcess, upstream: FakeUpstream) -> None:
    """A client that asked for usage itself gets the provider's bytes, one for one."""
    reply = chat(gateway, "fake/normal", stream=True, stream_options={"include_usage": True})
    assert reply.body == b"".join(behaviours.stream_events(upstream.exchanges[-1]))


def test_usage_is_asked_for_and_hidden(gateway: GatewayProcess, upstream: FakeUpstream) -> None:
    """A client that did not ask gets no usage chunk; the trace has the tokens all the same."""
    reply = chat(gateway, "fake/normal", stream=True)
    sent = upstream.exchanges[-1]
    assert sent.json["stream_options"] == {"include_usage": True}
    expected = [event for event in behaviours.stream_events(sent) if b'"usage"' not in event]
    assert reply.body == b"".join(expected)
    usage = gateway.row(trace_id_of(reply))["usage"]
    assert usage == {"input_tokens": PROMPT_TOKENS, "output_tokens": COMPLETION_TOKENS, "source": "provider"}


def test_other_stream_options_are_kept(gateway: GatewayProcess, upstream: FakeUpstream) -> None:
    """Asking for usage leaves what the client wrote beside it."""
    chat(gateway, "fake/normal", stream=True, stream_options={"include_obfuscation": False})
    assert upstream.exchanges[-1].json["stream_options"] == {
        "include_obfuscation": False,
        "include_usage": True,
    }


def test_client_that_refused_usage_gets_none(gateway: GatewayProcess, upstream: FakeUpstream) -> None:
    """`include_usage: false` is an answer to the client, not an order to count nothing."""
    reply = chat(gateway, "fake/normal", stream=True, stream_options={"include_usage": False})
    assert b'"usage"' not in reply.body
    assert gateway.row(trace_id_of(reply))["usage"]["source"] == "provider"


def test_completion_stream_hides_usage_too(gateway: GatewayProcess, upstream: FakeUpstream) -> None:
    """The old endpoint follows the same rule."""
    body = json.dumps({"model": "fake/normal", "prompt": "x", "stream": True}).encode()
    with gateway.connect() as connection:
        reply = connection.exchange("POST", "/v1/completions", HEADERS, body)
    assert upstream.exchanges[-1].json["stream_options"] == {"include_usage": True}
    assert b'"usage"' not in reply.body
    assert events(reply.body)[-1] == "[DONE]"


def test_whole_reply_needs_no_stream_options(gateway: GatewayProcess, upstream: FakeUpstream) -> None:
    """`stream_options` without `stream` is refused by providers, so it is never added."""
    chat(gateway, "fake/normal")
    assert "stream_options" not in upstream.exchanges[-1].json


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000, 100_000])
def test_any_split_gives_the_same_events(gateway: GatewayProcess, upstream: FakeUpstream, size: int) -> None:
    """Cuts inside UTF-8, JSON, lines; many events per read: the client gets the same events, usage hidden."""
    upstream.play(SCRIPTED, behaviours.chopped(behaviours.every(size)))
    reply = chat(gateway, "fake/scripted", stream=True)
    assert text_of(reply.body) == TEXT
    assert events(reply.body)[-1] == "[DONE]"
    assert b'"usage"' not in reply.body
    assert gateway.row(trace_id_of(reply))["usage"]["output_tokens"] == COMPLETION_TOKENS


@pytest.mark.long
def test_any_one_cut_gives_the_same_bytes(gateway: GatewayProcess, upstream: FakeUpstream) -> None:
    """The stream cut in two at every offset."""
    length = len(chat(gateway, "fake/normal", stream=True, stream_options={"include_usage": True}).body)
    whole = chat(gateway, "fake/scripted", stream=True).body
    for offset in range(1, length):
        upstream.play(SCRIPTED, behaviours.chopped(behaviours.at_each([offset])))
        assert chat(gateway, "fake/scripted", stream=True).body == whole, f"cut at {offset}"


def test_crlf_comments_and_field_lines_pass(gateway: GatewayProcess) -> None:
    """Everything SSE allows."""
    reply = chat(gateway, "fake/crlf", stream=True)
    assert text_of(reply.body) == TEXT
    assert events(reply.body)[-1] == "[DONE]"
    assert b'"usage"' not in reply.body


def test_malformed_event_is_a_failure(gateway: GatewayProcess) -> None:
    """An event that is not JSON is no part of an answer: a status where nothing went out, else an error."""
    reply = chat(gateway, "fake/malformed-event", stream=True)
    assert reply.status in (200, 502)
    assert b"upstream_bad_reply" in reply.body
    assert b"[DONE]" not in reply.body
    assert chat(gateway, "fake/normal", stream=True).status == 200


def test_tool_call_deltas_pass(gateway: GatewayProcess) -> None:
    """Two parallel calls, their arguments letter by letter."""
    reply = chat(gateway, "fake/tools", stream=True)
    arguments = {0: "", 1: ""}
    for event in events(reply.body)[:-1]:
        for choice in json.loads(event)["choices"]:
            for call in choice["delta"].get("tool_calls", []):
                arguments[call["index"]] += call["function"].get("arguments", "")
    assert arguments == {0: '{"city":"Köln"}', 1: "{}"}


def test_stream_ends_with_the_provider(gateway: GatewayProcess, upstream: FakeUpstream) -> None:
    """After the provider's end the body ends; nothing is added to a stream that was whole."""
    reply = chat(gateway, "fake/normal", stream=True)
    assert reply.body.endswith(DONE)
    assert reply.body.count(DONE) == 1


def test_end_marker_ends_the_reply(gateway: GatewayProcess, upstream: FakeUpstream) -> None:
    """A provider that keeps its connection open after `[DONE]` does not keep the client waiting."""
    whole = [behaviours.chunk("scripted", {"content": "a"}), behaviours.chunk("scripted", {}, "stop"), DONE]
    upstream.play(SCRIPTED, behaviours.stream_of(*whole, ends=False))
    reply = chat(gateway, "fake/scripted", stream=True)
    assert events(reply.body)[-1] == "[DONE]"
    assert gateway.row(trace_id_of(reply))["status"] == "ok"
