"""What a stream of unknown kind used, by what passes of it."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.endpoints.passing_stream import PASSING, PassingStream
from gateway.model import Dialect, Usage
from gateway.wire.aws_event_stream import write_exception, write_message
from gateway.wire.sse import MAX_EVENT_BYTES

SSE = b"text/event-stream"
AWS = b"application/vnd.amazon.eventstream"
ASKED_BYTES = 400
GUESSED_INPUT = 100


def looking(kind: bytes = SSE, dialect: Dialect = "openai") -> PassingStream:
    return PASSING[kind](dialect, ASKED_BYTES)


def event(told: Any) -> bytes:
    return b"data: " + json.dumps(told).encode() + b"\n\n"


def named(name: str, **told: Any) -> bytes:
    return f"event: {name}\n".encode() + event({"type": name, **told})


def message(kind: str, told: Any) -> bytes:
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return write_message(headers, json.dumps(told).encode())


def chunk(told: Any) -> bytes:
    return message("chunk", {"bytes": base64.b64encode(json.dumps(told).encode()).decode()})


def part(data: bytes) -> bytes:
    headers = {":event-type": "PayloadPart", ":content-type": "application/octet-stream"}
    return write_message(headers | {":message-type": "event"}, data)


def say(text: str, **more: Any) -> bytes:
    return event({"id": "c-1", "model": "m-1", "choices": [{"index": 0, "delta": {"content": text}}], **more})


def delta(text: str) -> bytes:
    return named("content_block_delta", index=0, delta={"type": "text_delta", "text": text})


def candidate(text: str, **more: Any) -> bytes:
    answer = {"content": {"role": "model", "parts": [{"text": text}]}, "index": 0, **more}
    usage = {"promptTokenCount": 9, "candidatesTokenCount": 2, "thoughtsTokenCount": 3}
    return event({"candidates": [answer], "usageMetadata": usage, "responseId": "g-1", "modelVersion": "g-m"})


CHAT = (
    b": a comment\n\n",
    say("", usage=None),
    *(say(f"t{number}", usage=None) for number in range(30)),
    event({"id": "c-1", "model": "m-1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}),
    event(
        {"id": "c-1", "model": "m-1", "choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 5}}
    ),
    b"data: [DONE]\n\n",
)
GROQ = (
    event({"id": "c-1", "model": "m-1", "choices": []}),
    say("x", x_groq={"id": "r", "usage": {"prompt_tokens": 7, "completion_tokens": 5}}),
    b"data: [DONE]\n\n",
)
RESPONSE = (
    named("response.created", response={"id": "r-1", "model": "m-1", "status": "in_progress", "usage": None}),
    *(named("response.output_text.delta", delta="t") for _ in range(30)),
    named(
        "response.completed",
        response={
            "id": "r-1", "model": "m-1", "status": "completed", "error": None,
            "usage": {"input_tokens": 7, "output_tokens": 5, "input_tokens_details": {"cached_tokens": 2}},
        },
    ),
)  # fmt: skip
RUN = (
    b'event: thread.run.created\ndata: {"id":"run_1","object":"thread.run","model":"m-1","usage":null}\n\n',
    *(event({"id": "msg_1", "object": "thread.message.delta", "delta": {"content": []}}) for _ in range(30)),
    event({"id": "run_1", "object": "thread.run", "usage": {"prompt_tokens": 7, "completion_tokens": 5}}),
    b"event: done\ndata: [DONE]\n\n",
)
PICTURE = (
    named("image_generation.partial_image", b64_json="a" * 5000),
    named("image_generation.completed", b64_json="a" * 5000, usage={"input_tokens": 7, "output_tokens": 5}),
)
MESSAGE = (
    named(
        "message_start",
        message={
            "id": "msg_1", "model": "claude-x",
            "usage": {"input_tokens": 4, "cache_read_input_tokens": 3, "output_tokens": 1},
        },
    ),
    named("content_block_start", index=0, content_block={"type": "text", "text": ""}),
    b"event: ping\ndata: {}\n\n",
    *(delta(f"t{number}") for number in range(30)),
    named("content_block_stop", index=0),
    named("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 5}),
    named("message_stop"),
)  # fmt: skip
GENERATED = (candidate("a"), candidate("b" * 80), candidate("", finishReason="STOP"))
INTERACTION = (
    event({"event_type": "interaction.created", "interaction": {"id": "i-1", "model": "g-m"}}),
    event({"event_type": "step.delta", "delta": {"text": "t", "type": "text"}}),
    event(
        {
            "event_type": "interaction.completed",
            "interaction": {
                "id": "i-1", "model": "g-m", "usage": {"total_input_tokens": 7, "total_output_tokens": 5},
            },
        }
    ),
)  # fmt: skip
COHERE = (
    named("message-start", id="co-1"),
    *(named("content-delta", index=0, delta={"message": {"content": {"text": "t"}}}) for _ in range(20)),
    named(
        "message-end",
        delta={"finish_reason": "COMPLETE", "usage": {"tokens": {"input_tokens": 7, "output_tokens": 5}}},
    ),
)
OLDER_COHERE = (
    event({"event_type": "stream-start", "generation_id": "g"}),
    *(event({"event_type": "text-generation", "text": "t"}) for _ in range(20)),
    event(
        {
            "event_type": "stream-end",
            "response": {"text": "t" * 20, "meta": {"tokens": {"input_tokens": 7, "output_tokens": 5}}},
        }
    ),
)
CONVERSE = (
    message("messageStart", {"role": "assistant"}),
    *(message("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "t"}}) for _ in range(3)),
    message("messageStop", {"stopReason": "end_turn"}),
    message("metadata", {"usage": {"inputTokens": 7, "outputTokens": 5, "totalTokens": 12}}),
)
INVOKED = (
    chunk({"generation": "a"}),
    chunk({"generation": "b"}),
    chunk({"amazon-bedrock-invocationMetrics": {"inputTokenCount": 7, "outputTokenCount": 5}}),
)
CONTAINERS = tuple(part(each) for each in CHAT)
STREAMS: dict[str, tuple[bytes, Dialect, tuple[bytes, ...]]] = {
    "chat": (SSE, "openai", CHAT),
    "chat of Anthropic's": (SSE, "anthropic", CHAT),
    "groq": (SSE, "openai", GROQ),
    "response": (SSE, "openai", RESPONSE),
    "run": (SSE, "openai", RUN),
    "picture": (SSE, "openai", PICTURE),
    "message": (SSE, "anthropic", MESSAGE),
    "message of another's": (SSE, "openai", MESSAGE),
    "generated": (SSE, "gemini", GENERATED),
    "interaction": (SSE, "gemini", INTERACTION),
    "cohere": (SSE, "cohere", COHERE),
    "older chat of cohere": (SSE, "cohere", OLDER_COHERE),
    "converse": (AWS, "converse", CONVERSE),
    "invoked": (AWS, "converse", INVOKED),
    "of a container": (AWS, "openai", CONTAINERS),
}
ALL = pytest.mark.parametrize(("kind", "dialect", "events"), STREAMS.values(), ids=STREAMS)


def used(passing: PassingStream) -> Usage:
    usage = passing.facts().usage
    assert usage is not None
    return usage


@ALL
def test_whole(kind: bytes, dialect: Dialect, events: tuple[bytes, ...]) -> None:
    """What the provider counted, wherever its API tells that and whatever the account's own is."""
    passing = looking(kind, dialect)
    for each in events:
        passing.see(each)
    passing.end()
    usage = used(passing)
    is_generated = events is GENERATED
    assert (usage.input_tokens, usage.output_tokens) == ((9, 5) if is_generated else (7, 5))
    assert usage.source == "provider"


@ALL
@given(data=st.data())
def test_in_pieces(kind: bytes, dialect: Dialect, events: tuple[bytes, ...], data: st.DataObject) -> None:
    """However a stream is cut, and wherever it breaks off, it tells the same."""
    whole = b"".join(events)
    whole = whole[: data.draw(st.integers(0, len(whole)))]
    together, apart = looking(kind, dialect), looking(kind, dialect)
    together.see(whole)
    at = 0
    while at < len(whole):
        step = data.draw(st.sampled_from((1, 2, 3, 50, 500, 5000)))
        apart.see(whole[at : at + step])
        at += step
    assert apart.facts() == together.facts()
    together.end()
    apart.end()
    assert apart.facts() == together.facts()


@pytest.mark.parametrize(
    ("events", "response_id", "model", "reasons"),
    [
        (CHAT, "c-1", "m-1", ()),
        (RESPONSE, "r-1", "m-1", ("completed",)),
        (MESSAGE, "msg_1", "claude-x", ("end_turn",)),
        (GENERATED, "g-1", "g-m", ("STOP",)),
        (INTERACTION, "i-1", "g-m", ()),
    ],
)
def test_what_it_is_of(
    events: tuple[bytes, ...], response_id: str, model: str, reasons: tuple[str, ...]
) -> None:
    """Its id, and the model that is paid for, are known from its beginning."""
    passing = looking()
    passing.see(b"".join(events[:2]))
    assert (passing.facts().response_id, passing.facts().response_model) == (response_id, model)
    passing.see(b"".join(events[2:]))
    facts = passing.facts()
    assert (facts.response_id, facts.response_model, facts.finish_reasons) == (response_id, model, reasons)


@pytest.mark.parametrize(
    ("kind", "events", "input_tokens", "output_tokens"),
    [
        # A comment is no piece.
        (SSE, CHAT[:12], GUESSED_INPUT, 11),
        (SSE, CHAT[:32], GUESSED_INPUT, 31),
        (SSE, RESPONSE[:11], GUESSED_INPUT, 11),
        # Anthropic tells the input at the start.
        (SSE, MESSAGE[:13], 7, 13),
        (SSE, MESSAGE[:33], 7, 33),
        # Google counts until then; of output the larger of both is taken.
        (SSE, GENERATED[:1], 9, 5),
        (SSE, GENERATED[:2], 9, 20),
        (AWS, CONVERSE[:3], GUESSED_INPUT, 2),
        (AWS, INVOKED[:2], GUESSED_INPUT, 2),
        (SSE, (), GUESSED_INPUT, 0),
        (AWS, (), GUESSED_INPUT, 0),
    ],
)
def test_broken_off(kind: bytes, events: tuple[bytes, ...], input_tokens: int, output_tokens: int) -> None:
    """What was told until then, else what the call has for bytes and a token for each event."""
    passing = looking(kind)
    passing.see(b"".join(events) + b"data: {")
    assert used(passing) == Usage(
        input_tokens, output_tokens, "partial", 3 if events and events[0] == MESSAGE[0] else None,
        3 if events and events[0] == GENERATED[0] else None,
    )  # fmt: skip


LONG = "ab cd " * 20
SAID_TOKENS = len(LONG) // 4
BEGUN = (
    named("message_start", message={"id": "m", "usage": {"input_tokens": 7, "output_tokens": 1}}),
    named("content_block_start", index=0, content_block={"type": "thinking", "thinking": ""}),
)


def thread_text(text: str) -> list[dict[str, Any]]:
    return [{"index": 0, "type": "text", "text": {"value": text, "annotations": []}}]


def block_delta(**told: str) -> bytes:
    return named("content_block_delta", index=0, delta=told)


@pytest.mark.parametrize(
    ("kind", "events", "said"),
    [
        pytest.param(SSE, [say(LONG)], 1, id="chat"),
        pytest.param(SSE, [say("x"), say(LONG) + say(LONG), say(LONG)], 3, id="chat, several at once"),
        pytest.param(SSE, [event({"choices": [{"delta": {"reasoning_content": LONG}}]})], 1, id="reasoning"),
        pytest.param(SSE, [event({"choices": [{"text": LONG, "index": 0}]})], 1, id="completion"),
        pytest.param(SSE, [*BEGUN, block_delta(type="text_delta", text=LONG)], 1, id="messages"),
        pytest.param(SSE, [*BEGUN, block_delta(type="thinking_delta", thinking=LONG)], 1, id="thinking"),
        pytest.param(
            SSE, [*BEGUN, block_delta(type="input_json_delta", partial_json=LONG)], 1, id="tool of messages"
        ),
        pytest.param(
            SSE,
            [
                *BEGUN,
                block_delta(type="thinking_delta", thinking=LONG),
                block_delta(type="signature_delta", signature="s" * 5000),
            ],
            1,
            id="signature",
        ),
        pytest.param(
            SSE,
            [
                *RESPONSE[:1],
                named("response.output_text.delta", delta=LONG),
                named("response.output_text.done", text=LONG),
                named("response.content_part.done", part={"type": "output_text", "text": LONG}),
                named("response.output_item.done", item={"content": [{"text": LONG}]}),
            ],
            1,
            id="response",
        ),
        pytest.param(
            SSE,
            [
                named("response.function_call_arguments.delta", delta=LONG),
                named("response.function_call_arguments.done", arguments=LONG),
                named("response.output_item.done", item={"encrypted_content": LONG}),
            ],
            1,
            id="tool of a response",
        ),
        pytest.param(
            SSE,
            [
                named("response.output_text.delta", delta=LONG),
                named("response.audio.delta", delta="a" * 5000),
            ],
            1,
            id="sound",
        ),
        pytest.param(
            SSE,
            [
                event({"object": "thread.message", "status": "in_progress", "content": []}),
                event({"object": "thread.message.delta", "delta": {"content": thread_text(LONG)}}),
                event({"object": "thread.message", "status": "completed", "content": thread_text(LONG)}),
            ],
            1,
            id="message of a thread",
        ),
        pytest.param(
            SSE, [event({"event_type": "text-generation", "text": LONG})], 1, id="older chat of cohere"
        ),
        pytest.param(
            SSE, [named("content-delta", delta={"message": {"content": {"text": LONG}}})], 1, id="cohere"
        ),
        pytest.param(
            SSE, [event({"type": "message.output.delta", "content": LONG})], 1, id="mistral's agent"
        ),
        pytest.param(
            SSE,
            [event({"event_type": "step.delta", "delta": {"type": "text", "text": LONG}})],
            1,
            id="interaction",
        ),
        pytest.param(SSE, [b"id: 1\r\ndata: " + say(LONG)[6:-2] + b"\r\n\r\n"], 1, id="other line ends"),
        pytest.param(SSE, [say(LONG)[:-2] + b"\nid: 1\n\n"], 1, id="fields behind the data"),
        pytest.param(AWS, [message("contentBlockDelta", {"delta": {"text": LONG}})], 1, id="converse"),
        pytest.param(
            AWS,
            [
                message("contentBlockDelta", {"delta": {"reasoningContent": {"text": LONG}}}),
                message("contentBlockDelta", {"delta": {"reasoningContent": {"signature": "s" * 5000}}}),
                message("contentBlockDelta", {"delta": {"toolUse": {"input": LONG}}}),
            ],
            2,
            id="thoughts and a tool of converse",
        ),
        pytest.param(
            AWS, [chunk({"type": "content_block_delta", "delta": {"text": LONG}})], 1, id="claude, invoked"
        ),
        pytest.param(AWS, [chunk({"contentBlockDelta": {"delta": {"text": LONG}}})], 1, id="nova, invoked"),
        pytest.param(AWS, [chunk({"outputText": LONG})], 1, id="titan, invoked"),
        pytest.param(AWS, [chunk({"generation": LONG})], 1, id="llama, invoked"),
        pytest.param(AWS, [chunk({"outputs": [{"text": LONG}]})], 1, id="mistral, invoked"),
        pytest.param(AWS, [chunk({"choices": [{"delta": {"content": LONG}}]})], 1, id="chat, invoked"),
    ],
)
def test_text_of_what_breaks_off(kind: bytes, events: list[bytes], said: int) -> None:
    """Most tokens come several at a time: the text tells how many, of which each part counts once."""
    passing = looking(kind)
    for each in events:
        passing.see(each)
    usage = used(passing)
    assert usage.source == "partial"
    assert usage.output_tokens == pytest.approx(said * SAID_TOKENS, abs=1)


def test_text_by_its_bytes() -> None:
    """However its characters are written."""
    text = "\u00e4\u4f60" * 40
    for each in (say(text), say("x")[:-2].replace(b"x", text.encode()) + b"\n\n"):
        passing = looking()
        passing.see(each)
        assert used(passing).output_tokens == 5 * 40 // 4


def test_text_behind_a_count() -> None:
    """Of a stream that counts on the way and is left, what came since the last count is added to it."""
    passing = looking()
    passing.see(say(LONG, usage={"prompt_tokens": 7, "completion_tokens": 40}) + say(LONG))
    assert used(passing) == Usage(7, 40 + SAID_TOKENS, "partial")
    passing.end()
    assert used(passing) == Usage(7, 40, "provider")


def test_running_usage_of_an_interaction() -> None:
    """Google tells beside its pieces what was used so far, thoughts too."""
    counts = {"total_input_tokens": 7, "total_output_tokens": 2, "total_thought_tokens": 30}
    step = {"event_type": "step.delta", "delta": {"type": "text", "text": "x"}}
    passing = looking(dialect="gemini")
    passing.see(b"".join(INTERACTION[:2]) * 10 + event({**step, "metadata": {"usage": counts}}))
    assert used(passing) == Usage(7, 32, "partial", reasoning_output_tokens=30)


def test_running_usage() -> None:
    """Where each event counts what was used so far, the last that came stands."""
    passing = looking()
    for said in (1, 2):
        passing.see(say("x", usage={"prompt_tokens": 7, "completion_tokens": said}))
    assert used(passing) == Usage(7, 2, "partial")


@pytest.mark.parametrize(
    "failure",
    [
        event({"error": {"message": "overloaded"}}),
        named("error", message="overloaded"),
        named("response.failed", response={"id": "r", "error": {"code": "server_error"}}),
    ],
)
def test_failure(failure: bytes) -> None:
    """A reply with an error in it has not ended, even if its stream has."""
    passing = looking()
    passing.see(say("x") + failure)
    passing.end()
    assert used(passing) == Usage(GUESSED_INPUT, 2, "partial")


@pytest.mark.parametrize(
    ("data", "pieces"),
    [
        (b"data: no JSON\n\n" * 40, 40),
        (b"data: [1, 2]\n\ndata: null\n\ndata: {\ndata: }\n\n", 3),
        (b'data: {"usage": {"total": 1}, "response": 5, "delta": [], "x_groq": 1, "error": null}\n\n', 1),
        (event({"model": 1, "id": [], "usage": {"input_tokens": "7", "output_tokens": -1}}), 1),
        (b'data: {"a":' + b"[" * 100_000 + b"\n\n", 1),
        (b"\xff\x00" * 100, 0),
        (b"one\ntwo\n\n\n\r\n\r\n: three\n\n", 0),
        (b"data: a\r\rdata: b\r\n\r\ndata: c", 3),
    ],
)
def test_other_shapes(data: bytes, pieces: int) -> None:
    """Of what is not known an estimate counts: a token for each event with data."""
    passing = looking()
    passing.see(data)
    passing.end()
    assert used(passing) == Usage(GUESSED_INPUT, pieces, "estimated")


def test_lines_of_a_container() -> None:
    """SageMaker's containers may stream lines of JSON as well."""
    passing = looking(AWS)
    lines = (b'{"model":"m-1","text":"' + LONG.encode() + b'"}\n', b'{"usage":{"prompt_tokens":7,')
    passing.see(part(lines[0]) + part(lines[1]))
    assert used(passing) == Usage(GUESSED_INPUT, SAID_TOKENS, "partial")
    passing.see(part(b'"completion_tokens":5}}\n'))
    passing.end()
    assert used(passing) == Usage(7, 5, "provider")


def test_container_that_fails() -> None:
    """What had come until then counts."""
    passing = looking(AWS)
    passing.see(part(say(LONG)) + write_exception("ModelStreamError", b'{"Message":"no"}'))
    passing.end()
    assert used(passing) == Usage(GUESSED_INPUT, SAID_TOKENS, "partial")


def test_end_without_a_blank_line() -> None:
    """Some servers leave it out after the last event."""
    passing = looking()
    passing.see(b"".join(CHAT[:-2]) + CHAT[-2].strip())
    passing.end()
    assert used(passing) == Usage(7, 5, "provider")


HOSTILE = st.sampled_from(
    [b"\n", b"\r", b"data:", b"{", b"}", b'"usage":{', b'"message_start"', b'{"type":"message_start"}', b"[",
     b'"candidates":[', b"null", b"[DONE]", b"\xff", b",", b'{"candidates":[1],"usageMetadata":{}}', b"\n\n",
     *CHAT[-2:], MESSAGE[0], MESSAGE[-2], GENERATED[0], CONVERSE[0], INVOKED[0], CONVERSE[0][:20]]
)  # fmt: skip


@pytest.mark.parametrize("kind", [SSE, AWS])
@given(pieces=st.lists(st.one_of(HOSTILE, st.binary(max_size=20))), is_ended=st.booleans())
def test_nothing_is_raised(kind: bytes, pieces: list[bytes], *, is_ended: bool) -> None:
    """Whatever comes, there is a usage in the end."""
    passing = looking(kind)
    for piece in pieces:
        passing.see(piece)
    if is_ended:
        passing.end()
    assert used(passing).source in {"provider", "partial", "estimated"}


def test_no_event_stream_of_aws() -> None:
    """What is none tells nothing, from the first wrong byte on."""
    passing = looking(AWS)
    passing.see(b"no message at all")
    passing.see(b"".join(CONVERSE))
    passing.end()
    assert used(passing) == Usage(GUESSED_INPUT, 0, "partial")


def held_bytes(passing: Any) -> int:
    return len(passing._cutter._held)  # what is to be bounded has no other sign


@pytest.mark.parametrize("size", [1000, 65_536])
def test_too_long_an_event(size: int) -> None:
    """It is not held, and counts as media do; what follows it is looked at again."""
    passing = looking()
    passing.see(say("x"))
    passing.see(b"data: " + b"x" * (size - 6))
    for _ in range(MAX_EVENT_BYTES // size + 10):
        passing.see(b"x" * size)
        assert held_bytes(passing) <= MAX_EVENT_BYTES + size
    assert held_bytes(passing) <= size
    skipped_tokens = (MAX_EVENT_BYTES + 11 * size) // 500
    assert used(passing).output_tokens == pytest.approx(skipped_tokens, abs=2 * size / 500 + 2)
    passing.see(b"x\n")
    passing.see(b"\n" + say("y") + b"".join(CHAT[-2:]))
    passing.end()
    assert used(passing) == Usage(7, 5, "provider")


@pytest.mark.parametrize("events", [GENERATED, MESSAGE], ids=["generated", "message"])
def test_too_long_an_event_among_known_ones(events: tuple[bytes, ...]) -> None:
    """A picture of megabytes counts there too, until the provider's own count of the whole has come."""
    passing = looking()
    for each in events[:2]:
        passing.see(each)
    said = used(passing).output_tokens
    assert said is not None
    passing.see(b"data: ")
    for _ in range(9):
        passing.see(b"x" * (1024 * 1024))
    assert used(passing).source == "partial"
    assert used(passing).output_tokens == pytest.approx(said + 9 * 1024 * 1024 // 500, abs=2)
    passing.see(b"\n\n" + b"".join(events[2:]))
    passing.end()
    assert (used(passing).output_tokens, used(passing).source) == (5, "provider")


def test_too_long_an_event_of_what_counts_nothing() -> None:
    """It is part of the estimate also where the stream is whole."""
    passing = looking()
    passing.see(MESSAGE[0].replace(b'"usage"', b'"used"') + b"data: ")
    for _ in range(9):
        passing.see(b"x" * (1024 * 1024))
    passing.see(b"\n\n" + MESSAGE[-1])
    passing.end()
    assert used(passing) == Usage(GUESSED_INPUT, 2 + 9 * 1024 * 1024 // 500, "estimated")


def test_too_long_to_the_end() -> None:
    """What is never whole is not looked at when it ends."""
    passing = looking()
    for _ in range(9):
        passing.see(b"data: {" * (1024 * 1024 // 7))
    assert held_bytes(passing) < 2 * 1024 * 1024
    passing.end()
    assert used(passing).source == "estimated"
    assert used(passing).output_tokens == pytest.approx(9 * 1024 * 1024 / 500, abs=10)
