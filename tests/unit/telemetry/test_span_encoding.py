"""The spans of a call, decoded by protobuf's own classes: what operators and Elastic see."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Literal, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from gateway.endpoints.catalogue import CHAT, COMPACTION, COMPLETION, EMBEDDING, MESSAGES, RESPONSE
from gateway.endpoints.gemini_call import read_gemini_call
from gateway.endpoints.gemini_catalogue import GENERATE
from gateway.endpoints.openai_call import parse_call
from gateway.endpoints.openai_paths import find_openai_path
from gateway.endpoints.openai_reply import ReplyFacts
from gateway.errors import UpstreamBadReply
from gateway.model import Endpoint, LimitNote, Plan, Reached, RouteFacts, Skipped, Tier, TraceContext, Usage
from gateway.telemetry.call_notes import CallNotes
from gateway.telemetry.call_trace import CallTrace
from gateway.telemetry.content import ContentCapture
from gateway.telemetry.plan import TelemetryPlan, compile_telemetry
from gateway.telemetry.redactor import Redactor
from gateway.telemetry.sampling import ALL_DESTINATIONS, NO_DESTINATION
from gateway.telemetry.span_encoding import SpanEncoder
from gateway.wire.frames import StoreRow
from tests.rig.frame_reader import encode_call
from tests.unit.config.writing import ACCOUNT, CALLER, accepted_config, check_text
from tests.unit.doubles import FakeHeaders, FakePermit
from tests.unit.makers import (
    TARGET,
    TokenPrice,
    attributes_of,
    make_call,
    make_caller,
    make_target,
    read_span,
)
from tests.unit.telemetry.traces import (
    MS,
    PRICED,
    START_NS,
    add_attempt,
    make_answered_trace,
    make_planned_trace,
    make_trace,
)

PARENT: Final = TraceContext(b"P" * 16, b"Q" * 8, 1, "vendor=1")


def spans_of(trace: CallTrace) -> list[Span]:
    return [read_span(segments) for segments in encode_call(trace).spans]


def row_of(trace: CallTrace) -> StoreRow:
    row = encode_call(trace).row
    assert row is not None
    return row


def golden(span: Span) -> dict[str, Any]:
    """A span as a reader sees it."""
    return {
        "name": span.name,
        "kind": Span.SpanKind.Name(span.kind),
        "flags": hex(span.flags),
        "parent": span.parent_span_id,
        "times_ms": [(at - START_NS) / MS for at in (span.start_time_unix_nano, span.end_time_unix_nano)],
        "attributes": attributes_of(span),
        "events": [
            (event.name, {item.key: item.value.string_value for item in event.attributes})
            for event in span.events
        ],
        "status": (Status.StatusCode.Name(span.status.code), span.status.message),
    }


SERVER_ATTRIBUTES: Final[dict[str, Any]] = {
    "http.request.method": "POST",
    "url.path": "/api/llm/chat/completions",
    "url.scheme": "http",
    "gateway.config.version": "v1",
    "http.route": "/v1/chat/completions",
    "server.address": "127.0.0.1",
    "server.port": 8787,
    "gateway.caller": "app",
    "gateway.model.asked": "acct/small",
    "gateway.routing.candidates": ["acct/small"],
    "gateway.routing.skipped": "[]",
    "http.response.status_code": 200,
    "gateway.overhead_ms": 50.0,
    "client.address": "192.0.2.7",
    "user_agent.original": "agent/1",
    "gateway.attempts": 1,
    "gateway.model.resolved": "acct/small",
}
CLIENT_ATTRIBUTES: Final[dict[str, Any]] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "small-1",
    "server.address": "api.test",
    "server.port": 443,
    "service.peer.name": "openai",
    "peer.service": "openai",
    "gateway.target": "acct/small",
    "openai.api.type": "chat_completions",
    "gateway.attempt": 1,
}
REPLY_ATTRIBUTES: Final[dict[str, Any]] = {
    "gen_ai.response.id": "chat-1",
    "gen_ai.response.model": "small-1-0125",
    "gen_ai.response.finish_reasons": ["stop"],
    "gateway.usage.source": "provider",
    "gen_ai.usage.input_tokens": 3,
    "gen_ai.usage.output_tokens": 4,
    "gen_ai.usage.cache_read.input_tokens": 2,
    "gen_ai.usage.reasoning.output_tokens": 1,
}
SERVER_SPAN: Final[dict[str, Any]] = {
    "name": "POST /v1/chat/completions",
    "kind": "SPAN_KIND_SERVER",
    "flags": "0x101",
    "parent": b"",
    "times_ms": [0, 100],
    "attributes": SERVER_ATTRIBUTES,
    "events": [],
    "status": ("STATUS_CODE_UNSET", ""),
}
CLIENT_SPAN: Final[dict[str, Any]] = {
    "name": "chat small-1",
    "kind": "SPAN_KIND_CLIENT",
    "flags": "0x101",
    "parent": b"S" * 8,
    "times_ms": [10, 60],
    "attributes": CLIENT_ATTRIBUTES | REPLY_ATTRIBUTES,
    "events": [],
    "status": ("STATUS_CODE_UNSET", ""),
}


def without(attributes: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if name not in names}


# -- golden spans


def test_plain_chat() -> None:
    """A chat call is one SERVER span, a root, and one CLIENT span below it."""
    assert list(map(golden, spans_of(make_answered_trace()))) == [SERVER_SPAN, CLIENT_SPAN]


def test_stream() -> None:
    """A streamed call says so, and when its first chunk came, in seconds."""
    trace = make_answered_trace(stream=True)
    trace.attempts[0].first_chunk_ns = 35 * MS
    more = {"gen_ai.request.stream": True, "gen_ai.response.time_to_first_chunk": 0.025}
    assert list(map(golden, spans_of(trace))) == [
        SERVER_SPAN,
        CLIENT_SPAN | {"attributes": CLIENT_ATTRIBUTES | REPLY_ATTRIBUTES | more},
    ]


def test_failure() -> None:
    """A failed attempt has the one exception; the SERVER span is an error with the same type."""
    trace = make_planned_trace()
    attempt = add_attempt(trace)
    error = UpstreamBadReply("It is no reply.", detail="<html>")
    attempt.failed(error.code, error.for_operator, error.excerpt)
    trace.failed(error.code, error.for_operator)
    trace.responded(502)
    trace.end_ns = 100 * MS
    status = ("STATUS_CODE_ERROR", "It is no reply. <html>")
    exception = {"exception.type": "upstream_bad_reply", "exception.message": "It is no reply. <html>"}
    failed = {"error.type": "upstream_bad_reply"}
    assert list(map(golden, spans_of(trace))) == [
        SERVER_SPAN
        | {
            "attributes": without(SERVER_ATTRIBUTES, "gateway.model.resolved")
            | {"http.response.status_code": 502}
            | failed,
            "status": status,
        },
        CLIENT_SPAN
        | {"attributes": CLIENT_ATTRIBUTES | failed, "events": [("exception", exception)], "status": status},
    ]


def test_caller_that_left() -> None:
    """A caller that leaves is an error of nobody: its type is noted, no status is set, usage is partial."""
    trace = make_planned_trace(stream=True)
    attempt = add_attempt(trace)
    attempt.status_code = 200
    attempt.end_ns = 0
    attempt.answered(ReplyFacts("chat-1", "", (), Usage(25, 2, "partial")))
    trace.responded(200)
    trace.disconnected()
    attempt.end_ns = 60 * MS
    trace.end_ns = 100 * MS
    left = {"error.type": "client_disconnected"}
    partial = {
        "gen_ai.request.stream": True,
        "gen_ai.response.id": "chat-1",
        "gateway.usage.source": "partial",
        "gen_ai.usage.input_tokens": 25,
        "gen_ai.usage.output_tokens": 2,
    }
    assert list(map(golden, spans_of(trace))) == [
        SERVER_SPAN | {"attributes": SERVER_ATTRIBUTES | left},
        CLIENT_SPAN | {"attributes": CLIENT_ATTRIBUTES | partial | left},
    ]


# -- SERVER spans


def test_span_that_continues_a_trace() -> None:
    """A SERVER span joined to its caller has flags that say so: else Elastic sees no transaction."""
    server, client = spans_of(make_answered_trace(parent=PARENT))
    assert (server.trace_id, server.parent_span_id, server.trace_state) == (b"P" * 16, b"Q" * 8, "vendor=1")
    assert server.flags == 0x100 | 0x200 | 1
    assert (client.trace_id, client.parent_span_id, client.trace_state) == (b"P" * 16, b"S" * 8, "vendor=1")
    assert client.flags == 0x100 | 1


@pytest.mark.parametrize(
    ("status", "is_cut", "is_error", "has_type"),
    [
        pytest.param(200, False, False, False, id="good"),
        pytest.param(404, False, False, False, id="the caller's mistake"),
        pytest.param(429, False, False, False, id="the provider's refusal"),
        pytest.param(500, False, True, True, id="ours"),
        pytest.param(503, False, True, True, id="not available"),
        pytest.param(200, True, True, True, id="cut after it had begun"),
    ],
)
def test_server_status(status: int, *, is_cut: bool, is_error: bool, has_type: bool) -> None:
    """A SERVER span is an error from 500 on or when the reply was cut; a 4xx leaves it unset."""
    trace = make_trace()
    if status != 200:
        trace.failed("some_code", "what was wrong")
    if is_cut:
        trace.cut("some_code", "what was wrong")
    trace.responded(status)
    (span,) = spans_of(trace)
    assert (span.status.code == Status.STATUS_CODE_ERROR) is is_error
    assert (attributes_of(span).get("error.type") == "some_code") is has_type
    assert len(span.events) == is_error


def test_refusal_without_model() -> None:
    """What was never learned of a call is absent, not empty."""
    trace = make_trace(
        endpoint=None, route="", server_address="", server_port=None, peer_address="", user_agent=""
    )
    trace.failed("path_not_found", "nothing here")
    trace.responded(404)
    trace.end_ns = MS
    (span,) = spans_of(trace)
    assert span.name == "POST"
    assert attributes_of(span) == {
        "http.request.method": "POST",
        "url.path": "/api/llm/chat/completions",
        "url.scheme": "http",
        "gateway.config.version": "v1",
        "http.response.status_code": 404,
        "gateway.overhead_ms": 1.0,
    }


def test_skipped_targets_are_told() -> None:
    """Why a candidate was passed over stands there as JSON."""
    trace = make_answered_trace()
    trace.plan = Plan((TARGET,), ("a/b", "acct/small"), (Skipped("a/b", "circuit"),))
    attributes = attributes_of(spans_of(trace)[0])
    assert attributes["gateway.routing.candidates"] == ["a/b", "acct/small"]
    assert json.loads(attributes["gateway.routing.skipped"]) == [{"target": "a/b", "reason": "circuit"}]


def test_route_is_told() -> None:
    """By which route targets were found, and all that were passed over, when planning and when in turn."""
    trace = make_answered_trace()
    trace.plan = Plan(
        (make_target("a/c"), TARGET),
        ("a/b", "a/c", "acct/small"),
        (Skipped("a/b", "tier"),),
        route=RouteFacts("vm/chat", "complexity-based-routing", "simple"),
    )
    trace.skipped("a/c", "circuit")
    attributes = attributes_of(spans_of(trace)[0])
    assert attributes["gateway.routing.candidates"] == ["a/b", "a/c", "acct/small"]
    assert json.loads(attributes["gateway.routing.skipped"]) == [
        {"target": "a/b", "reason": "tier"},
        {"target": "a/c", "reason": "circuit"},
    ]
    told = {name: attributes[f"gateway.routing.{name}"] for name in ("route", "strategy", "tier")}
    assert told == {"route": "vm/chat", "strategy": "complexity-based-routing", "tier": "simple"}


def test_one_name_with_and_without_a_route() -> None:
    """A rule may take some calls of a model alone; each call has its own decision."""
    encoder = SpanEncoder()
    found = []
    for route in (None, RouteFacts("rule-1", "weight-based-routing", is_rule=True), None):
        trace = make_answered_trace()
        # Retried, so that no shape helps.
        add_attempt(trace)
        trace.plan = Plan((TARGET,), ("acct/small",) if route is None else ("acct/small", "a/b"), route=route)
        attributes = attributes_of(read_span(encode_call(trace, encoder).spans[0]))
        found.append((attributes.get("gateway.routing.route"), attributes["gateway.routing.candidates"]))
    assert found == [(None, ["acct/small"]), ("rule-1", ["acct/small", "a/b"]), (None, ["acct/small"])]


def test_refusal_before_it_was_planned_tells_of_no_targets() -> None:
    """Whatever calls of the same model were told before."""
    encoder = SpanEncoder()
    answered = make_answered_trace()
    # Retried, so that no shape helps.
    add_attempt(answered)
    encode_call(answered, encoder)
    refused = make_trace()
    refused.caller, refused.call = answered.caller, answered.call
    refused.failed("invalid_request", "no such metadata")
    refused.responded(400)
    refused.end_ns = MS
    (span,) = encode_call(refused, encoder).spans
    assert "gateway.routing.candidates" not in attributes_of(read_span(span))
    assert encode_call(refused, encoder) == encode_call(refused)


def test_long_lists_of_targets_are_cut() -> None:
    """A route of very many targets has a span that fits a batch."""
    trace = make_answered_trace()
    names = tuple(f"acct/{number}-{'x' * 200}" for number in range(1000))
    skipped = tuple(Skipped(name, "circuit") for name in names)
    trace.plan = Plan((TARGET,), names, skipped, route=RouteFacts("vm/chat", "weight-based-routing"))
    attributes = attributes_of(spans_of(trace)[0])
    assert attributes["gateway.routing.candidates"] == list(names[:64])
    assert len(json.loads(attributes["gateway.routing.skipped"])) == 64


def test_long_texts_are_cut() -> None:
    """What a caller or provider makes long stays short on a span, so that a span always fits a batch."""
    trace = make_answered_trace(model="m" * 9000, stop=["s" * 9000] * 99, reasoning_effort="r" * 9000)
    trace.path = "/" + "p" * 9000
    trace.user_agent = "u" * 9000
    trace.attempts[0].answered(
        ReplyFacts("i" * 9000, "m" * 9000, ("f" * 9000,) * 99, Usage(1, 1, "provider"))
    )
    trace.attempts[0].failed("500", "e" * 9000)
    trace.responded(500)
    trace.failed("500", "e" * 9000)
    sizes = [len(segments.plain) for segments in encode_call(trace).spans]
    assert max(sizes) < 16_000


# -- CLIENT spans


def test_client_span_has_nothing_of_http() -> None:
    """One `http.*` or `url.*` on a CLIENT span and Elastic takes it for a plain HTTP call."""
    trace = make_answered_trace(stream=True, temperature=1, n=2)
    trace.attempts[0].failed("502", "x")
    _, client = spans_of(trace)
    assert not [name for name in attributes_of(client) if name.startswith(("http.", "url.", "rpc."))]
    assert {"service.peer.name", "gen_ai.provider.name"} <= attributes_of(client).keys()


def test_each_retry_is_a_span() -> None:
    """Attempts are spans of their own, numbered from 1, in order; a good end makes the call good."""
    trace = make_planned_trace()
    first = add_attempt(trace, at_ms=10, took_ms=5)
    first.failed("upstream_unreachable", "gone")
    second = add_attempt(trace, at_ms=20)
    second.status_code = 200
    trace.responded(200)
    trace.end_ns = 100 * MS
    server, *clients = spans_of(trace)
    assert [attributes_of(span)["gateway.attempt"] for span in clients] == [1, 2]
    assert [span.status.code for span in clients] == [Status.STATUS_CODE_ERROR, Status.STATUS_CODE_UNSET]
    assert server.status.code == Status.STATUS_CODE_UNSET
    assert attributes_of(server)["gateway.attempts"] == 2
    assert "error.type" not in attributes_of(server)


def make_judged_trace(tier: Tier | Literal[""] = "complex") -> CallTrace:
    """A call that was answered after a model had been asked how hard it is."""
    trace = make_answered_trace(PRICED)
    judge = make_target(
        "acct/judge", model_id="judge-1", price=TokenPrice(), headers=(("api-key", "k" * 20),)
    )
    assert trace.plan is not None
    asked = trace.judging(trace.plan, judge, make_call(max_completion_tokens=5))
    asked.span_id = b"J" * 8
    asked.start_ns, asked.end_ns = 2 * MS, 8 * MS
    asked.answered(ReplyFacts("j-1", "judge-1-0125", ("stop",), Usage(100, 1, "provider")))
    asked.tier = tier
    route = RouteFacts("vm/auto", "complexity-based-routing", "complex", cause="classifier")
    trace.plan = Plan((PRICED,), (PRICED.name,), route=route)
    return trace


def test_question_to_a_model_that_judges() -> None:
    """It is a span beside the attempts and none of them, with its own model, tokens and cost."""
    server, judged, answered = spans_of(make_judged_trace())
    assert (judged.name, judged.kind, judged.span_id) == ("chat judge-1", Span.SPAN_KIND_CLIENT, b"J" * 8)
    assert judged.parent_span_id == server.span_id
    told = attributes_of(judged)
    assert told["gateway.purpose"] == "classification"
    assert told["gateway.classified_as"] == "complex"
    assert "gateway.attempt" not in told
    assert (told["gateway.target"], told["gen_ai.request.max_tokens"]) == ("acct/judge", 5)
    assert (told["gen_ai.usage.input_tokens"], told["gen_ai.usage.cost"]) == (100, 102e-6)
    assert attributes_of(answered)["gateway.attempt"] == 1
    assert "gateway.purpose" not in attributes_of(answered)
    told = attributes_of(server)
    assert (told["gateway.attempts"], told["gateway.cost_usd"]) == (1, 102e-6 + 11e-6)
    assert (told["gateway.routing.tier"], told["gateway.routing.tier_cause"]) == ("complex", "classifier")
    assert told["gateway.overhead_ms"] == 44


def test_model_that_says_nothing_of_use() -> None:
    """There is no tier then."""
    assert "gateway.classified_as" not in attributes_of(spans_of(make_judged_trace(""))[1])


def test_failure_of_a_model_that_judges() -> None:
    """An error of its own span alone, without the key that its provider quotes."""
    trace = make_judged_trace("")
    assert trace.judgement is not None
    trace.judgement.failed("500", "The key " + "k" * 20 + " is wrong.")
    server, judged, _ = spans_of(trace)
    assert judged.status.code == Status.STATUS_CODE_ERROR
    assert "k" * 20 not in str(judged)
    assert server.status.code == Status.STATUS_CODE_UNSET
    assert "error.type" not in attributes_of(server)


def test_attempt_that_lost_is_no_failure() -> None:
    """Of two targets asked beside each other one answers; what the other cost stands on its span."""
    trace = make_planned_trace(PRICED)
    first, second = add_attempt(trace, PRICED, at_ms=10), add_attempt(trace, PRICED, at_ms=30)
    first.status_code = 200
    first.answered(ReplyFacts("chat-1", "", (), Usage(3, 4, "provider")))
    first.first_chunk_ns = 35 * MS
    trace.call = make_call(stream=True)
    trace.answered_by(first)
    second.used(Usage(5, 0, "partial"))
    second.lost()
    trace.responded(200)
    trace.end_ns = 100 * MS
    server, winner, loser = spans_of(trace)
    assert attributes_of(loser)["error.type"] == "hedge_lost"
    assert (loser.status.code, len(loser.events)) == (Status.STATUS_CODE_UNSET, 0)
    assert server.status.code == Status.STATUS_CODE_UNSET
    assert attributes_of(server)["gateway.attempts"] == 2
    costs = [attributes_of(span)["gen_ai.usage.cost"] for span in (winner, loser)]
    assert costs == [11e-6, 5e-6]
    assert attributes_of(server)["gateway.cost_usd"] == sum(costs)
    row = row_of(trace)
    assert (row.cost_usd, row.input_tokens, row.first_chunk_ms) == (sum(costs), 3, 35.0)


@pytest.mark.parametrize("answering", [1, 2])
def test_content_stands_on_the_answer(answering: int) -> None:
    """Which of the attempts it was that the caller heard is where its words are."""
    trace = make_planned_trace(stream=True)
    for _ in range(2):
        add_attempt(trace)
    trace.answered_by(trace.attempts[answering - 1])
    trace.content = ContentCapture(Redactor([], rules=[], are_bounded=True), max_bytes=1000)
    trace.content.keep(b'data: {"choices":[{"index":0,"delta":{"content":"Hello"}}]}\n\n')
    _, *clients = spans_of(trace)
    found = ["gen_ai.output.messages" in attributes_of(span) for span in clients]
    assert found == [answering == 1, answering == 2]


def test_error_of_an_earlier_attempt_is_told_once() -> None:
    """What the caller got may be the failure of another attempt than the last."""
    trace = make_planned_trace()
    add_attempt(trace).failed("upstream_timeout", "silent")
    add_attempt(trace).lost()
    trace.failed("upstream_timeout", "silent")
    trace.responded(504)
    server, *clients = spans_of(trace)
    assert (server.status.code, len(server.events)) == (Status.STATUS_CODE_ERROR, 0)
    assert [len(span.events) for span in clients] == [1, 0]


FETCH: Final = cast("Endpoint", find_openai_path("/responses/resp_1"))


@pytest.mark.parametrize(
    ("endpoint", "changes", "expected"),
    [
        pytest.param(CHAT, {}, "chat_completions", id="chat"),
        pytest.param(RESPONSE, {}, "responses", id="responses"),
        pytest.param(RESPONSE, {"has_responses": False}, "chat_completions", id="responses put into chat"),
        pytest.param(MESSAGES, {}, "chat_completions", id="messages put into chat"),
        pytest.param(COMPACTION, {}, "responses", id="compaction"),
        pytest.param(COMPACTION, {"has_responses": False}, None, id="compaction that nobody does"),
        pytest.param(FETCH, {"has_responses": False}, "responses", id="a response fetched"),
        pytest.param(CHAT, {"dialect": "anthropic"}, None, id="chat put into messages"),
        pytest.param(
            RESPONSE, {"dialect": "anthropic", "has_responses": False}, None, id="responses put into messages"
        ),
        pytest.param(MESSAGES, {"dialect": "anthropic"}, None, id="messages"),
        pytest.param(COMPLETION, {}, None, id="completion"),
    ],
)
def test_api_type(endpoint: Endpoint, changes: dict[str, Any], expected: str | None) -> None:
    """It is that of the call upstream, and of OpenAI's APIs alone."""
    trace = make_answered_trace(make_target(**changes))
    trace.call = make_call(endpoint)
    _, client = spans_of(trace)
    assert attributes_of(client).get("openai.api.type") == expected


def test_most_tokens_of_a_response() -> None:
    """The Responses API's word for it is the same attribute."""
    trace = make_answered_trace()
    trace.call = make_call(RESPONSE, max_output_tokens=7)
    _, client = spans_of(trace)
    assert attributes_of(client)["gen_ai.request.max_tokens"] == 7


def test_embedding_span() -> None:
    """An embedding is named by its operation and says what was asked for."""
    trace = make_answered_trace()
    trace.call = make_call(EMBEDDING, dimensions=256, encoding_format="base64")
    _, client = spans_of(trace)
    attributes = attributes_of(client)
    assert client.name == "embeddings small-1"
    assert attributes["gen_ai.operation.name"] == "embeddings"
    assert attributes["gen_ai.embeddings.dimension.count"] == 256
    assert attributes["gen_ai.request.encoding_formats"] == ["base64"]
    assert "openai.api.type" not in attributes


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        pytest.param({}, {}, id="none"),
        pytest.param(
            {"temperature": 1}, {"temperature": 1.0}, id="a double is one, written as integer or not"
        ),
        pytest.param({"top_p": 0.25}, {"top_p": 0.25}, id="double"),
        pytest.param(
            {"frequency_penalty": -2, "presence_penalty": 0},
            {"frequency_penalty": -2.0, "presence_penalty": 0.0},
            id="penalties",
        ),
        pytest.param({"max_tokens": 7}, {"max_tokens": 7}, id="integer"),
        pytest.param(
            {"max_tokens": 7, "max_completion_tokens": 8}, {"max_tokens": 8}, id="the newer name wins"
        ),
        pytest.param(
            {"max_tokens": 7, "max_completion_tokens": None}, {"max_tokens": 7}, id="null is absent"
        ),
        pytest.param({"max_tokens": 7.5}, {}, id="no integer"),
        pytest.param({"seed": -(2**62)}, {"seed": -(2**62)}, id="negative"),
        pytest.param({"seed": 2**63}, {}, id="beyond int64"),
        pytest.param({"top_k": 40}, {"top_k": 40}, id="top_k is an integer"),
        pytest.param({"temperature": "hot", "seed": True, "top_p": [1]}, {}, id="other types"),
        pytest.param({"n": 3}, {"choice.count": 3}, id="choices"),
        pytest.param({"n": 1}, {}, id="one choice is the default"),
        pytest.param({"n": 2**70}, {}, id="choices beyond int64"),
        pytest.param({"stop": "a"}, {}, id="stop sequences are content"),
        pytest.param({"seed": -(2**63)}, {"seed": -(2**63)}, id="the least int64"),
        pytest.param({"seed": 2**63 - 1}, {"seed": 2**63 - 1}, id="the greatest int64"),
        pytest.param({"seed": -(2**63) - 1}, {}, id="below int64"),
        pytest.param({"reasoning_effort": "low"}, {"reasoning.level": "low"}, id="reasoning"),
        pytest.param({"reasoning_effort": 1}, {}, id="reasoning of another type"),
    ],
)
def test_request_parameters(members: dict[str, Any], expected: dict[str, Any]) -> None:
    """A parameter has the one type of its name or is left out: Elastic keeps the type seen first."""
    _, client = spans_of(make_answered_trace(**members))
    prefix = "gen_ai.request."
    found = {
        name.removeprefix(prefix): value
        for name, value in attributes_of(client).items()
        if name.startswith(prefix) and name != prefix + "model"
    }
    assert found == expected
    assert {name: type(value) for name, value in found.items()} == {
        name: type(value) for name, value in expected.items()
    }


@pytest.mark.parametrize("error_type", ["", "500"])
def test_parameters_are_those_that_were_sent(error_type: str) -> None:
    """A route may put others over the caller's, also in a call that has the shape of many."""
    trace = make_answered_trace(temperature=1, seed=3)
    trace.attempts[0].sent = make_call(temperature=0.5, seed=3)
    trace.attempts[0].error_type = error_type
    told = attributes_of(spans_of(trace)[1])
    assert told["gen_ai.request.temperature"] == 0.5
    assert told["gen_ai.request.seed"] == 3


def test_parameters_of_google_s_dialect() -> None:
    """They have the same names, wherever a call has them, and the call is named as the conventions say."""
    config = (
        b'{"temperature": 1, "topK": 40.0, "maxOutputTokens": 7, "candidateCount": 2, "stopSequences": ["x"]}'
    )
    trace = make_answered_trace()
    trace.call = read_gemini_call(GENERATE, b'{"generationConfig": ' + config + b"}", model="acct/small")
    _, client = spans_of(trace)
    attributes = attributes_of(client)
    assert (client.name, attributes["gen_ai.operation.name"]) == (
        "generate_content small-1",
        "generate_content",
    )
    assert {name: value for name, value in attributes.items() if name.startswith("gen_ai.request.")} == {
        "gen_ai.request.model": "small-1",
        "gen_ai.request.temperature": 1.0,
        "gen_ai.request.top_k": 40,
        "gen_ai.request.max_tokens": 7,
        "gen_ai.request.choice.count": 2,
    }


@given(
    st.dictionaries(
        st.sampled_from(
            ["temperature", "top_p", "max_tokens", "seed", "stop", "encoding_format", "reasoning_effort"]
        ),
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats(allow_nan=False, allow_infinity=False)
            | st.text(),
            lambda inner: st.lists(inner, max_size=3),
            max_leaves=4,
        ),
    )
)
def test_any_parameters_can_be_encoded(members: dict[str, Any]) -> None:
    """No value that a body may hold breaks the encoding."""
    trace = make_answered_trace()
    trace.call = make_call(EMBEDDING, **members)
    assert len(spans_of(trace)) == 2


# -- what repeats is kept


def test_repeated_calls_have_the_same_spans() -> None:
    """The parts that are kept between calls give the same bytes as those made anew."""
    encoder = SpanEncoder()
    first, second = (encode_call(make_answered_trace(stream=True), encoder) for _ in range(2))
    assert first == second == encode_call(make_answered_trace(stream=True))


def test_what_differs_is_never_mixed_up() -> None:
    """Calls that differ in anything that repeats get their own parts."""
    encoder = SpanEncoder()
    traces = []
    for changes in (
        {},
        {"method": "PUT"},
        {"path": "/v1/chat/completions"},
        {"config_version": "v2"},
        {"server_port": 80},
        {"caller": make_caller(name="other")},
        {"caller": replace(make_caller(), teams=("ml",))},
        {"caller": replace(make_caller(), teams=("ml", "ops"))},
        {"call": make_call(model="acct/other")},
        {"scheme": "https"},
    ):
        trace = make_answered_trace()
        for name, value in changes.items():
            setattr(trace, name, value)
        traces.append(trace)
    other = make_answered_trace()
    other.attempts[0].target = make_target("acct/small", model_id="small-2")
    other.config_version = "v3"
    traces.append(other)
    for model in ("unlisted-1", "unlisted-2"):  # of an account, by whose name they are called
        for error_type in ("", "404"):
            target = replace(TARGET, name="acct", model_id=model)
            trace = make_answered_trace(target, model=f"acct/{model}")
            trace.attempts[0].error_type = error_type
            traces.append(trace)
    for port in (8000, 8001):  # of the same, a server of its own
        server = replace(TARGET, name="acct", model_id="", base_url=f"http://host:{port}/v1", port=port)
        traces.append(make_answered_trace(server, model="acct"))
    for kind in ("virtualaccount", "user"):
        trace = make_answered_trace()
        trace.attempts[0].error_type = "404"
        trace.telemetry = TelemetryPlan(has_tfy_names=True)
        trace.caller, trace.config_version = replace(make_caller(), kind=kind), "v4"
        traces.append(trace)
    for trace in (*traces, *traces):
        assert encode_call(trace, encoder) == encode_call(trace)


def test_teams_of_the_caller() -> None:
    """They are told by name, the first of many; who is in none has nothing of it."""
    teams = tuple(f"t{number}" for number in range(70))
    trace = make_answered_trace()
    trace.caller = replace(make_caller(), teams=teams)
    server, *others = spans_of(trace)
    assert attributes_of(server)["gateway.team"] == list(teams[:64])
    assert not any("gateway.team" in attributes_of(span) for span in others)


def test_kept_parts_are_bounded() -> None:
    """A caller cannot fill the memory with names: only what exists is kept, and that to a limit."""
    encoder = SpanEncoder()
    for number in range(5000):
        unknown = make_trace()
        unknown.call = make_call(model=f"no/{number}")
        encode_call(unknown, encoder)
    assert len(encoder._servers) == 0
    for number in range(5000):
        trace = make_answered_trace(model=f"acct/{number}", seed=number)
        trace.user_agent = f"agent/{number}"
        trace.attempts[0].response_model = f"model-{number}"
        encode_call(trace, encoder)
    kept = (encoder._servers, encoder._outcomes, encoder._parameters, encoder._replies)
    assert all(0 < len(parts) <= 4096 for parts in kept)


def test_long_credentials_are_not_kept() -> None:
    """Whoever has no key can send headers of any length, and each time others."""
    encoder = SpanEncoder()
    for length in (100, 5_000, 300_000):
        trace = make_trace()
        trace.headers = FakeHeaders([("authorization", f"Bearer {'x' * length}")])
        encode_call(trace, encoder)
    assert len(encoder._secrets) == 1


def test_long_parts_are_not_kept() -> None:
    """What a caller or a provider writes at length is encoded each time, and takes no memory afterwards."""
    encoder = SpanEncoder()
    trace = make_answered_trace(reasoning_effort="x" * 1000)
    trace.attempts[0].response_model = "m" * 1000
    trace.user_agent = "a" * 1000
    assert encode_call(trace, encoder) == encode_call(trace, encoder)
    assert (len(encoder._parameters), len(encoder._replies)) == (0, 0)
    assert len(str(list(encoder._outcomes))) < 1000
    kept = len(encoder._targets)
    for model_id, base_url in (("m" * 1000, TARGET.base_url), ("m", "http://host/" + "p" * 1000)):
        trace.attempts[0].target = replace(TARGET, name="acct", model_id=model_id, base_url=base_url)
        assert encode_call(trace, encoder) == encode_call(trace, encoder)
    assert len(encoder._targets) == kept


# -- what a provider sent instead of a reply


def refused(excerpt: str, **changes: Any) -> CallTrace:
    trace = make_planned_trace()
    attempt = add_attempt(trace)
    attempt.failed("upstream_bad_reply", "It is no reply.", excerpt)
    trace.failed("upstream_bad_reply", "It is no reply.")
    trace.responded(502)
    for name, value in changes.items():
        setattr(trace, name, value)
    return trace


def excerpt_of(trace: CallTrace) -> str | None:
    server, client = encode_call(trace).spans
    assert (server.content, b"excerpt" in client.plain) == (b"", False)
    found = attributes_of(read_span(client)).get("gateway.reply.excerpt")
    assert found is None or isinstance(found, str)
    return found


def test_excerpt_stands_beside_the_content() -> None:
    """It may quote the call, so it is no part of what every destination gets, the message least of all."""
    assert excerpt_of(refused("<html>busy</html>")) == "<html>busy</html>"
    _, client = encode_call(refused("<html>busy</html>")).spans
    assert b"busy" not in client.plain
    trace = refused("<html>")
    trace.content = ContentCapture(Redactor(), max_bytes=1_000)
    assert excerpt_of(trace) == "<html>"
    assert {"gen_ai.input.messages"} <= attributes_of(spans_of(trace)[1]).keys()


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        pytest.param("redact_with: {presets: [email]}", "user [REDACTED] " + "x" * 184, id="masked"),
        pytest.param("log: false", None, id="forbidden"),
        pytest.param(
            "when: {models: {in: [x/y]}}\nlog: false", "user ann@example.org " + "x" * 200, id="another rule"
        ),
        pytest.param("redact_with: {custom_patterns: [{pattern: '(x+)+y'}]}", None, id="endless pattern"),
    ],
)
def test_excerpt_obeys_the_rules_of_content(tmp_path: Path, rules: str, expected: str | None) -> None:
    """Whether or not content is recorded; masked before it is cut."""
    log = "" if "log:" in rules else "log: true\n"
    rule = f"type: gateway-logging-config\nname: rule\n{log}{rules}\n"
    plan = compile_telemetry(accepted_config(check_text(tmp_path, ACCOUNT, CALLER, rule)))
    assert plan.content is None
    found = excerpt_of(refused("user ann@example.org " + "x" * 500, telemetry=plan))
    assert found == (expected and expected[:200])


def test_excerpt_has_no_credentials() -> None:
    """Nor the half of one at its end."""
    headers = FakeHeaders([("authorization", "Bearer canary-app-token")])
    found = excerpt_of(refused("x" * 190 + "canary-app-token sk-provider-key", headers=headers))
    assert found == "x" * 190 + "*** ***"


# -- where it goes, and the store's row


@pytest.mark.parametrize(("flags", "mask"), [(1, ALL_DESTINATIONS), (0, NO_DESTINATION)])
def test_destinations_follow_the_callers_decision(flags: int, mask: int) -> None:
    """What a caller does not sample is not exported; the local store has it all the same."""
    calls = encode_call(make_answered_trace(parent=TraceContext(b"P" * 16, b"Q" * 8, flags)))
    assert calls.destination_mask == mask
    assert calls.row is not None


def test_captured_words_of_the_caller() -> None:
    """Listed members of its baggage on each span, listed headers on the first; none that looks like a key."""
    trace = make_answered_trace()
    key = "sk-proj-abcdefghijklmnop1234"
    trace.headers = FakeHeaders(
        [
            ("authorization", "Bearer canary-token"),
            ("baggage", f"tenant=a%20b,other=no,key_of={key},long={'x' * 300}"),
            ("baggage", "user=canary-token"),
            ("x-team", key),
        ]
    )
    trace.telemetry = TelemetryPlan(
        captured_headers=("x-team",), captured_baggage=("tenant", "user", "absent", "key_of", "long")
    )
    server, client = (attributes_of(span) for span in spans_of(trace))
    expected = {
        "baggage.tenant": "a b",
        "baggage.user": "***",
        "baggage.key_of": "[REDACTED]",
        "baggage.long": "x" * 256,
    }
    for found in (server, client):
        assert {name: value for name, value in found.items() if name.startswith("baggage.")} == expected
    assert server["http.request.header.x-team"] == ["[REDACTED]"]


def test_content_is_apart() -> None:
    """Content is off: the segment for it is empty, and no prompt is in the other."""
    for segments in encode_call(make_answered_trace(prompt="canary")).spans:
        assert segments.content == b""
        assert b"canary" not in segments.plain


def test_row_of_an_answer() -> None:
    """The store's row says of a call what the list of traces shows."""
    trace = make_answered_trace(stream=True)
    trace.attempts[0].first_chunk_ns = 35 * MS
    assert row_of(trace) == StoreRow(
        trace_id=b"T" * 16,
        span_id=b"S" * 8,
        name="POST /v1/chat/completions",
        start_ns=START_NS,
        end_ns=START_NS + 100 * MS,
        status_code=200,
        is_error=False,
        error_type="",
        model="acct/small",
        resolved_model="acct/small",
        caller="app",
        attempts=1,
        is_stream=True,
        first_chunk_ms=35.0,
        input_tokens=3,
        output_tokens=4,
        usage_source="provider",
        cost_usd=None,
        caller_kind="virtualaccount",
        cached_input_tokens=2,
    )


def test_row_has_metadata_without_what_is_secret() -> None:
    """As the spans have it, by either way of making them."""
    for stream in (True, False):
        trace = make_answered_trace(stream=stream)
        trace.headers = FakeHeaders([("authorization", "Bearer canary-key-1234567890")])
        trace.noted(CallNotes(metadata={"env": "prod", "sent": "Bearer canary-key-1234567890"}))
        row = row_of(trace)
        assert row.metadata["env"] == "prod"
        assert "canary" not in row.metadata["sent"]


def test_cost() -> None:
    """It stands on the CLIENT span as a double, and in the row; an unknown one on neither."""
    server, client = spans_of(make_answered_trace(PRICED))
    assert attributes_of(client)["gen_ai.usage.cost"] == 11e-6
    assert "gen_ai.usage.cost" not in attributes_of(server), "Elastic would add it up twice"
    assert attributes_of(server)["gateway.cost_usd"] == 11e-6
    assert "gateway.cost_usd" not in attributes_of(spans_of(make_answered_trace())[0])
    assert row_of(make_answered_trace(PRICED)).cost_usd == 11e-6
    assert "gen_ai.usage.cost" not in attributes_of(spans_of(make_answered_trace())[1])
    assert row_of(make_answered_trace()).cost_usd is None


def test_row_has_the_cost_of_all_that_was_asked() -> None:
    """What the list and the sums of calls tell is what the SERVER span tells, and what budgets count."""
    trace = make_judged_trace()
    row = row_of(trace)
    assert row.cost_usd == attributes_of(spans_of(trace)[0])["gateway.cost_usd"] == 102e-6 + 11e-6
    assert row.input_tokens == 3, "tokens are those of the answer"


def test_row_of_a_refusal() -> None:
    """What a refused call never had is empty or absent in its row."""
    trace = make_trace()
    trace.failed("invalid_api_key", "no key")
    trace.responded(401)
    row = row_of(trace)
    assert (row.status_code, row.is_error, row.error_type) == (401, True, "invalid_api_key")
    assert (row.model, row.resolved_model, row.caller, row.attempts) == ("", "", "", 0)
    assert (row.input_tokens, row.usage_source, row.first_chunk_ms, row.is_stream) == (None, "", None, False)
    assert not row.is_model_known


@pytest.mark.parametrize(
    ("plan", "is_known"),
    [
        pytest.param(Plan((TARGET,), (TARGET.name,)), True, id="a limit refused it"),
        pytest.param(Plan((), (), route=RouteFacts("vm/chat", "weight-based-routing")), True, id="none left"),
        pytest.param(Plan((), ()), False, id="nothing was found"),
        pytest.param(None, False, id="never planned"),
    ],
)
def test_row_says_whether_there_is_such_a_model(plan: Plan | None, *, is_known: bool) -> None:
    """What was refused before any target was asked is a call of its model all the same."""
    trace = make_trace()
    if plan is not None:
        trace.planned(plan)
    trace.failed("rate_limit_exceeded", "no more")
    trace.responded(429)
    assert row_of(trace).is_model_known is is_known


@given(st.text(st.characters()), st.text(st.characters()))
def test_any_text_can_be_encoded(path: str, agent: str) -> None:
    """No path or header breaks the encoding, nor an answer's words."""
    trace = make_answered_trace()
    trace.path, trace.user_agent = path, agent
    trace.attempts[0].answered(ReplyFacts(path, agent, (path, agent), Usage(0, 0, "provider")))
    trace.attempts[0].failed(agent[:40] or "x", path)
    server, client = spans_of(trace)
    assert attributes_of(server)["url.path"] == path[:1024].encode(errors="replace").decode()
    assert client.events[0].name == "exception"


# -- what must not cost a span


HUGE: Final = b"1" + b"0" * 400


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(HUGE, id="1 and 400 zeros"),
        pytest.param(b"-" + HUGE, id="negative"),
        pytest.param(b"1" + b"0" * 5000, id="1 and 5,000 zeros"),
        pytest.param(b"1e400", id="beyond a double"),
        pytest.param(b"0." + b"1" * 1_000_000, id="a megabyte of digits"),
        pytest.param(b"9223372036854775808", id="beyond int64"),
        pytest.param(b"[" * 500 + b"]" * 500, id="nested"),
        pytest.param(b'"' + b"x" * 1_000_000 + b'"', id="a megabyte of text"),
        pytest.param(b"[" + b'"x",' * 250_000 + b'"x"]', id="a megabyte of texts"),
        pytest.param(b'"\\ud83d\\ude00"', id="escapes"),
        pytest.param(b'[["a"],{"b":[null]}]', id="mixed"),
    ],
)
@pytest.mark.parametrize(
    "name", ["temperature", "max_tokens", "seed", "stop", "reasoning_effort", "logit_bias"]
)
def test_no_parameter_costs_a_span(name: str, value: bytes) -> None:
    """A parameter of any size or shape is left out or cut; the call is told of all the same."""
    trace = make_answered_trace()
    body = b'{"model":"acct/small","%s":%s}' % (name.encode(), value)
    trace.call = parse_call(CHAT, body, model=None, account=None)
    encoded = encode_call(trace)
    assert [len(segments.plain) < 10_000 for segments in encoded.spans] == [True, True]
    _, client = map(read_span, encoded.spans)
    assert client.name == "chat small-1"
    for found in attributes_of(client).values():
        assert not isinstance(found, float) or math.isfinite(found)


@pytest.mark.parametrize("choices", [10**400, -(10**400), 2**63])
def test_no_count_of_choices_costs_a_span(choices: int) -> None:
    """A count that no int64 holds is left out."""
    trace = make_answered_trace()
    assert trace.call is not None
    trace.call = msgspec.structs.replace(trace.call, choices=choices)
    _, client = spans_of(trace)
    assert "gen_ai.request.choice.count" not in attributes_of(client)


def test_earlier_failures_keep_their_error_when_the_caller_leaves() -> None:
    """Who leaves in a later attempt does not make the provider's earlier failures good."""
    trace = make_planned_trace()
    add_attempt(trace, at_ms=10, took_ms=5).failed("upstream_unreachable", "gone")
    add_attempt(trace, at_ms=20).end_ns = 0
    trace.disconnected()
    trace.ended()
    server, first, second = spans_of(trace)
    assert (first.status.code, first.events[0].name) == (Status.STATUS_CODE_ERROR, "exception")
    assert attributes_of(first)["error.type"] == "upstream_unreachable"
    assert (second.status.code, len(second.events)) == (Status.STATUS_CODE_UNSET, 0)
    assert attributes_of(second)["error.type"] == "client_disconnected"
    assert server.status.code == Status.STATUS_CODE_UNSET


@pytest.mark.parametrize("has_failed_before", [False, True], ids=["first attempt", "after a retry"])
def test_bug_after_a_good_attempt_is_the_servers(*, has_failed_before: bool) -> None:
    """What no attempt's span tells is told on the SERVER span."""
    trace = make_planned_trace()
    if has_failed_before:
        add_attempt(trace, at_ms=1, took_ms=5).failed("upstream_unreachable", "gone")
    add_attempt(trace).status_code = 200
    trace.responded(200)
    trace.cut("internal_error", "KeyError: the request was ended before its reply was")
    trace.ended()
    server, *_, last = spans_of(trace)
    (event,) = server.events
    assert {item.key: item.value.string_value for item in event.attributes}[
        "exception.type"
    ] == "internal_error"
    assert server.status.code == Status.STATUS_CODE_ERROR
    assert (last.status.code, len(last.events)) == (Status.STATUS_CODE_UNSET, 0)


def test_call_that_was_cut_by_us_fails_its_attempt_and_has_no_status_that_was_never_sent() -> None:
    """A dependency did not answer well because we ended the call; an HTTP status of 0 does not exist."""
    trace = make_planned_trace()
    trace.attempt(TARGET)
    trace.cut("gateway_shutdown", "the gateway ended before the reply did")
    trace.ended()
    server, client = spans_of(trace)
    assert "http.response.status_code" not in attributes_of(server)
    assert attributes_of(client)["error.type"] == "gateway_shutdown"
    assert (server.status.code, client.status.code) == (Status.STATUS_CODE_ERROR, Status.STATUS_CODE_ERROR)
    assert [len(server.events), len(client.events)] == [0, 1], "one error, where it happened"


def test_failure_after_another_failure_is_told_too() -> None:
    """A retry's pause that a shutdown ends: the attempt keeps its error, the request has its own."""
    trace = make_planned_trace()
    attempt = add_attempt(trace)
    attempt.failed("upstream_unreachable", "gone")
    trace.cut("gateway_shutdown", "the gateway ended before the reply did")
    trace.ended()
    server, client = spans_of(trace)
    told = [
        item.value.string_value
        for event in (*server.events, *client.events)
        for item in event.attributes
        if item.key == "exception.type"
    ]
    assert told == ["gateway_shutdown", "upstream_unreachable"]


def test_limits_of_a_call() -> None:
    """Which rules held for it, and what each said; of a call that none holds for nothing."""
    trace = make_answered_trace()
    trace.permit = FakePermit(
        LimitNote("a", "requests", False, "allowed", "", 10, 3, 1.0),
        LimitNote("b", "cost", True, "exceeded", "acct/small", 10, 30, 1.0),
    )
    server, client = spans_of(trace)
    assert json.loads(attributes_of(server)["gateway.limits"]) == [
        {"rule": "a", "kind": "requests", "outcome": "allowed"},
        {"rule": "b", "kind": "cost", "outcome": "exceeded", "target": "acct/small"},
    ]
    assert "gateway.limits" not in attributes_of(client)
    unlimited = make_answered_trace()
    unlimited.permit = FakePermit()
    assert "gateway.limits" not in attributes_of(spans_of(unlimited)[0])


def test_budgets_that_are_nearly_spent() -> None:
    """The call that reaches a threshold says so, and calls like it that reach none do not."""
    note = LimitNote("b", "cost", True, "allowed", "", 10, 8, 1.0)
    trace, other = make_answered_trace(), make_answered_trace()
    trace.permit, other.permit = FakePermit(note), FakePermit(note)
    trace.permit.reached = [Reached("b", "cost_per_month", 75.0)]
    encoder = SpanEncoder()
    for one in (other, trace, other):
        server = read_span(encode_call(one, encoder).spans[0])
        told = json.loads(attributes_of(server).get("gateway.budget.reached", "[]"))
        assert told == ([] if one is other else [{"rule": "b", "limit": "cost_per_month", "percent": 75.0}])
