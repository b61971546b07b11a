"""A reply of Converse, whole or streamed, read into a response object."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings

from gateway.errors import GatewayError, UpstreamBadReply
from gateway.translate import responses_to_converse
from tests.golden.converse_replies import REPLIES, converse_events, event, exception
from tests.golden.responses_cases import (
    STARTED_AT_NS,
    Case,
    all_cases,
    make_responses_call,
    read_events_of,
)
from tests.rig.aws_events import write_event
from tests.rig.examples import cuts, examples
from tests.rig.requires import requires
from tests.unit.makers import make_target
from tests.unit.recorded import recorded_answers
from tests.unit.translate import reassembly
from tests.unit.translate.foreign_streams import (
    CALL,
    facts_of,
    outcome,
    run,
    spoilt,
    try_reply,
)
from tests.unit.translate.test_chat_to_converse import ANY

CASES: Final = [case for case in all_cases() if case.stream and case.pair_name == "responses_to_converse"]
END: Final = event("metadata", usage={"inputTokens": 1, "outputTokens": 2})
CLAUDE: Final = make_target(dialect="converse", model_id="anthropic.claude-sonnet-4-6")


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_every_cut_gives_the_same_events(case: Case) -> None:
    """Wherever a stream is cut on its way, the caller gets the same events and the trace the same facts."""
    body = case.stream_bytes()
    told, whole = run(responses_to_converse, [body])
    for at in cuts(len(body)):
        again, stream = run(responses_to_converse, [body[:at], body[at:]])
        assert again == told
        assert outcome(stream) == outcome(whole)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_half_a_stream_is_not_whole(case: Case) -> None:
    """Nothing says that it is completed before its last message has come."""
    body = case.stream_bytes()
    for at in cuts(len(body)):
        told, stream = run(responses_to_converse, [body[:at]])
        assert not stream.is_complete
        assert b"response.completed" not in told
        assert b"response.incomplete" not in told


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("throttlingException", "rate_limit_exceeded"),
        ("modelStreamErrorException", "server_error"),
        ("serviceUnavailableException", "server_error"),
        ("validationException", "server_error"),
    ],
)
def test_an_exception_ends_it(kind: str, code: str) -> None:
    """It is told in OpenAI's words, and nothing follows."""
    events = converse_events(REPLIES["text"])
    told, stream = run(responses_to_converse, [b"".join([*events[:3], exception(kind, "no"), *events[3:]])])
    error, last = read_events_of(told)[-2:]
    assert (error["type"], error["code"], error["message"]) == ("error", code, "no")
    assert last["type"] == "response.failed"
    assert stream.failure
    assert not stream.is_complete


def test_what_is_hidden_comes_in_pieces() -> None:
    """A signature and a hidden thought are put together again."""
    pieces = [
        event("contentBlockDelta", contentBlockIndex=0, delta={"reasoningContent": {"text": "hm"}}),
        event("contentBlockDelta", contentBlockIndex=0, delta={"reasoningContent": {"signature": "si"}}),
        event("contentBlockDelta", contentBlockIndex=0, delta={"reasoningContent": {"signature": "g"}}),
        event("contentBlockStop", contentBlockIndex=0),
        event(
            "contentBlockDelta", contentBlockIndex=1, delta={"reasoningContent": {"redactedContent": "eHl6"}}
        ),
        event("contentBlockStop", contentBlockIndex=1),
        END,
    ]
    told, _ = run(responses_to_converse, pieces)
    output = read_events_of(told)[-1]["response"]["output"]
    assert [item["encrypted_content"] for item in output] == [
        "anthropic-thinking:sig",
        "anthropic-redacted:xyz",
    ]


def test_blocks_of_text_are_parts() -> None:
    """Of one message, whole and streamed."""
    reply = {
        "output": {"message": {"content": [{"text": "a"}, {"text": "b"}]}},
        "stopReason": "end_turn",
        "usage": {},
    }
    whole = try_reply(responses_to_converse, reply)
    assert isinstance(whole, bytes)
    told, _ = run(responses_to_converse, converse_events(reply))
    for response in (json.loads(whole), read_events_of(told)[-1]["response"]):
        [message] = response["output"]
        assert [part["text"] for part in message["content"]] == ["a", "b"]


def test_no_tokens_counted() -> None:
    """A usage that Bedrock did not give is null, not made up."""
    reply = {"output": {"message": {"content": [{"text": "a"}]}}, "stopReason": "end_turn"}
    whole = try_reply(responses_to_converse, reply)
    assert isinstance(whole, bytes)
    assert json.loads(whole)["usage"] is None


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"", b'{"message":"no"}'])
def test_no_reply(body: bytes) -> None:
    """A page or an error is no reply."""
    with pytest.raises(UpstreamBadReply):
        responses_to_converse.read(CALL, body, started_at_ns=0)


@settings(max_examples=examples(300))
@given(spoilt(list(REPLIES.values())) | ANY)
def test_any_answer(value: Any) -> None:
    """Whatever a server sends is an answer, or an error of ours."""
    answered = try_reply(responses_to_converse, value)
    assert isinstance(answered, GatewayError) or json.loads(answered)["object"] == "response"


@settings(max_examples=examples(300))
@given(spoilt([case.stream for case in CASES]))
def test_any_stream(messages: Any) -> None:
    """So is whatever it streams; sequence numbers have no hole."""
    found = messages if isinstance(messages, list) else []
    kinds = [item for item in found if isinstance(item, dict) and item]
    body = b"".join(
        [
            write_event(kind.encode(errors="replace").decode(), json.dumps(said).encode())
            for item in kinds
            for kind, said in item.items()
        ]
    )
    events = read_events_of(run(responses_to_converse, [body])[0])
    assert [each["sequence_number"] for each in events] == list(range(len(events)))


@requires("recordings")
def test_recorded_streams(recordings: Path) -> None:
    """Every recorded stream adds up to the response that it would have been whole, with its own usage."""
    for item in recorded_answers(recordings, "bedrock-converse", is_stream=True):
        told, stream = run(responses_to_converse, [item.body])
        assert stream.is_complete, item.name
        reply = reassembly.converse_reply(item.body)
        body, facts = responses_to_converse.read(
            CALL, json.dumps(reply).encode(), started_at_ns=STARTED_AT_NS
        )
        assert _comparable(read_events_of(told)[-1]["response"]) == _comparable(json.loads(body)), item.name
        assert facts_of(stream) == facts
        assert run(responses_to_converse, [bytes([byte]) for byte in item.body])[0] == told


@requires("recordings")
def test_recorded_replies(recordings: Path) -> None:
    """Every recorded reply is a response with its texts, calls and tokens, which can be sent back."""
    for item in recorded_answers(recordings, "bedrock-converse", is_stream=False):
        body, facts = responses_to_converse.read(CALL, item.body, started_at_ns=STARTED_AT_NS)
        response = json.loads(body)
        found = json.loads(item.body)
        counts = response["usage"] and (response["usage"]["input_tokens"], response["usage"]["output_tokens"])
        assert counts == _counts_in(found), item.name
        if counts:
            assert counts == (facts.usage.input_tokens or 0, facts.usage.output_tokens)
        content = found["output"]["message"]["content"]
        texts = [
            part["text"]
            for each in response["output"]
            if each["type"] == "message"
            for part in each["content"]
        ]
        assert "".join(texts) == "".join(block.get("text", "") for block in content)
        calls = [each for each in response["output"] if each["type"] == "function_call"]
        asked = [block["toolUse"] for block in content if "toolUse" in block]
        assert [(call["call_id"], call["name"], json.loads(call["arguments"])) for call in calls] == [
            (used["toolUseId"], used["name"], used["input"]) for used in asked
        ]
        again = make_responses_call(
            model="a/b", input=[{"role": "user", "content": "x"}, *response["output"]]
        )
        _, *turns = json.loads(responses_to_converse.write(again, CLAUDE)[0])["messages"]
        said = [block for turn in turns for block in turn["content"]]
        signed = [block for block in content if _is_signed(block)]
        assert [block for block in said if "reasoningContent" in block] == signed
        assert [block["toolUse"] for block in said if "toolUse" in block] == [_plain(used) for used in asked]


def _counts_in(reply: dict[str, Any]) -> tuple[int, int] | None:
    """Input and output, as OpenAI counts; one recording has none, and one no input."""
    usage = reply.get("usage")
    if usage is None:
        return None
    cached = usage.get("cacheReadInputTokens", 0) + usage.get("cacheWriteInputTokens", 0)
    return usage.get("inputTokens", 0) + cached, usage["outputTokens"]


def _is_signed(block: dict[str, Any]) -> bool:
    reasoning = block.get("reasoningContent", {})
    return "redactedContent" in reasoning or "signature" in reasoning.get("reasoningText", {})


def _plain(used: dict[str, Any]) -> dict[str, Any]:
    return {name: used[name] for name in ("toolUseId", "name", "input")}


def _comparable(response: dict[str, Any]) -> dict[str, Any]:
    """*response* with arguments as what they mean: a stream has them as the model wrote them."""
    output = [
        {**item, "arguments": json.loads(item["arguments"])} if "arguments" in item else item
        for item in response["output"]
    ]
    return {**response, "output": output}
