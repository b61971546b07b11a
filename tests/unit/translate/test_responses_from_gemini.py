"""A reply of Gemini's, whole or streamed, read into a response object."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings

from gateway.errors import GatewayError, UpstreamBadReply
from gateway.translate import responses_to_gemini
from tests.golden.responses_cases import (
    STARTED_AT_NS,
    Case,
    all_cases,
    make_responses_call,
    read_events_of,
)
from tests.rig.examples import cuts, examples
from tests.rig.requires import requires
from tests.unit.makers import make_target
from tests.unit.recorded import GEMINI_SHAPED, recorded_answers, recorded_of_gemini
from tests.unit.translate.foreign_streams import (
    CALL,
    facts_of,
    json_of,
    outcome,
    run,
    spoilt,
    try_reply,
    try_stream,
)
from tests.unit.translate.test_messages_to_gemini import WORDS, whole_of

CASES: Final = [case for case in all_cases() if case.stream and case.pair_name == "responses_to_gemini"]
JSON: Final = json_of(*WORDS)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_every_cut_gives_the_same_events(case: Case) -> None:
    """Wherever a stream is cut on its way, the caller gets the same events and the trace the same facts."""
    body = case.stream_bytes()
    told, whole = run(responses_to_gemini, [body])
    for at in cuts(len(body)):
        again, stream = run(responses_to_gemini, [body[:at], body[at:]])
        assert again == told
        assert outcome(stream) == outcome(whole)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_half_a_stream_is_not_whole(case: Case) -> None:
    """Nothing says that it is completed before its last event has come."""
    body = case.stream_bytes().rstrip()
    for at in range(0, len(body), 7):
        told, stream = run(responses_to_gemini, [body[:at]])
        if not stream.failure:
            assert not stream.is_complete
            assert b"response.completed" not in told


@settings(max_examples=examples(300))
@given(spoilt([case.reply for case in CASES if case.reply]) | JSON)
def test_any_answer(value: Any) -> None:
    """Whatever a server sends is an answer, or an error of ours."""
    answered = try_reply(responses_to_gemini, value)
    assert isinstance(answered, GatewayError) or json.loads(answered)["object"] == "response"
    told = try_stream(responses_to_gemini, [value, value])
    assert isinstance(told, GatewayError) or read_events_of(told) is not None


def test_an_event_that_cannot_be_read() -> None:
    """Without it the answer would have a hole, so it ends there; an end marker of a proxy is none."""
    with pytest.raises(UpstreamBadReply):
        run(responses_to_gemini, [b"data: {\n\n"])
    assert run(responses_to_gemini, [b"data: [DONE]\n\n"])[0] == b""


def test_only_the_first_candidate() -> None:
    """A response has one answer."""
    said = {"content": {"parts": [{"text": "no"}]}, "index": 1, "finishReason": "STOP"}
    first = {"content": {"parts": [{"text": "yes"}]}, "index": 0, "finishReason": "STOP"}
    told = try_reply(responses_to_gemini, {"candidates": [said, first]})
    assert isinstance(told, bytes)
    assert json.loads(told)["output"][0]["content"][0]["text"] == "yes"


@requires("recordings")
@pytest.mark.parametrize("name", GEMINI_SHAPED)
def test_recorded_streams(recordings: Path, name: str) -> None:
    """Every recorded stream adds up to the response that it would have been whole."""
    for item in recorded_of_gemini(recordings, name, is_stream=True):
        told, stream = run(responses_to_gemini, [item.body])
        assert stream.is_complete, item.name
        last = read_events_of(told)[-1]
        body, facts = responses_to_gemini.read(CALL, whole_of(item.body), started_at_ns=STARTED_AT_NS)
        assert last["response"] == json.loads(body)
        assert facts_of(stream) == facts
        for at in range(0, len(item.body), 1 + len(item.body) // 100):
            assert run(responses_to_gemini, [item.body[:at], item.body[at:]])[0] == told


@requires("recordings")
@pytest.mark.parametrize("name", GEMINI_SHAPED)
def test_recorded_replies(recordings: Path, name: str) -> None:
    """Every recorded reply is a response with its texts, calls and tokens, which can be sent back."""
    for item in recorded_answers(recordings, name, is_stream=False):
        body, facts = responses_to_gemini.read(CALL, item.body, started_at_ns=STARTED_AT_NS)
        response = json.loads(body)
        counts = response["usage"]
        assert (counts["input_tokens"], counts["output_tokens"]) == (
            facts.usage.input_tokens or 0,
            facts.usage.output_tokens or 0,
        )
        found = json.loads(item.body)["candidates"][0].get("content", {}).get("parts", [])
        texts = [part["text"] for each in response["output"] for part in each.get("content", [])]
        assert "".join(texts) == "".join(part.get("text", "") for part in found if not part.get("thought"))
        calls = [each for each in response["output"] if each["type"] == "function_call"]
        asked = [part["functionCall"] for part in found if "functionCall" in part]
        assert [(call["name"], json.loads(call["arguments"])) for call in calls] == [
            (call["name"], call["args"]) for call in asked
        ]
        again = make_responses_call(
            model="a/b", input=[{"role": "user", "content": "x"}, *response["output"]]
        )
        target = make_target(
            model_id="gemini-3.5-flash",
            provider="gcp.vertex_ai" if name.startswith("vertex") else "gcp.gemini",
        )
        contents = json.loads(responses_to_gemini.write(again, target)[0])["contents"]
        said = [part for content in contents[1:] for part in content["parts"]]
        signatures = [
            part["thoughtSignature"]
            for part in found
            if "functionCall" in part and "thoughtSignature" in part
        ]
        given = [part["thoughtSignature"] for part in said if "thoughtSignature" in part]
        assert given == (signatures or ["skip_thought_signature_validator"] * bool(asked))
