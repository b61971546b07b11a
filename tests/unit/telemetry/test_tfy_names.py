"""TrueFoundry's names, each for the fact it means there."""

from __future__ import annotations

from typing import Any, Final

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from gateway.endpoints import bedrock_catalogue
from gateway.endpoints.catalogue import MODEL_CALLS
from gateway.endpoints.gemini_catalogue import CALLS
from gateway.endpoints.openai_paths import PROXY
from gateway.endpoints.openai_reply import ReplyFacts
from gateway.model import Caller, LimitNote, Usage
from gateway.telemetry.plan import TelemetryPlan
from gateway.telemetry.tfy_names import REQUEST_TYPES
from tests.rig.frame_reader import encode_call
from tests.unit.doubles import FakePermit
from tests.unit.makers import attributes_of, read_span
from tests.unit.telemetry.traces import (
    MS,
    PRICED,
    add_attempt,
    make_answered_trace,
    make_planned_trace,
    make_trace,
)

TFY: Final = TelemetryPlan(has_tfy_names=True)


def tfy_names(span: Span) -> dict[str, Any]:
    return {name: value for name, value in attributes_of(span).items() if name.startswith("tfy.")}


def spans_of(trace: Any) -> list[dict[str, Any]]:
    trace.telemetry = TFY
    return [tfy_names(read_span(segments)) for segments in encode_call(trace).spans]


def test_words() -> None:
    """Their words are for endpoints that exist."""
    endpoints = (*MODEL_CALLS, *CALLS.values(), *bedrock_catalogue.MODEL_CALLS)
    assert set(REQUEST_TYPES) <= {endpoint.name for endpoint in endpoints}


def test_endpoint_without_a_word() -> None:
    """One that they have no word for has a common one."""
    trace = make_answered_trace()
    trace.endpoint = PROXY
    server, _ = spans_of(trace)
    assert server["tfy.span_type"] == "Passthrough"


def test_without_the_setting() -> None:
    """Nothing of it is there."""
    assert not [
        name
        for segments in encode_call(make_answered_trace()).spans
        for name in tfy_names(read_span(segments))
    ]


def test_stream() -> None:
    """Times in milliseconds, as doubles; the time per token leaves out the first."""
    trace = make_answered_trace(stream=True)
    trace.attempts[0].first_chunk_ns = 30 * MS
    trace.attempts[0].answered(ReplyFacts("i", "m", ("stop",), Usage(3, 4, "provider")))
    server, client = spans_of(trace)
    assert server == {
        "tfy.span_type": "ChatCompletion",
        "tfy.request.model_name": "acct/small",
        "tfy.request.created_by_subject": "virtualaccount:app",
    }
    assert client == {
        "tfy.span_type": "Model",
        "tfy.model.id": "small-1",
        "tfy.model.name": "small",
        "tfy.model.fqn": "acct/small",
        "tfy.model.request_url": "https://api.test/v1/chat/completions",
        "tfy.model.streaming": True,
        "tfy.model.request_type": "ChatCompletion",
        "tfy.model.metric.latency_in_ms": 50.0,
        "tfy.model.metric.time_to_first_token_in_ms": 20.0,
        "tfy.model.metric.inter_token_latency_in_ms": 10.0,
        "tfy.model.metric.input_tokens": 3,
        "tfy.model.metric.output_tokens": 4,
    }


def test_cost() -> None:
    """In USD, where it is known."""
    assert spans_of(make_answered_trace(PRICED))[1]["tfy.model.metric.cost_in_usd"] == 11e-6


@pytest.mark.parametrize("output_tokens", [None, 0, 1])
def test_no_time_between_tokens(output_tokens: int | None) -> None:
    """Of one token there is none, and nothing is divided by zero."""
    trace = make_answered_trace(stream=True)
    trace.attempts[0].first_chunk_ns = 30 * MS
    trace.attempts[0].answered(ReplyFacts("i", "m", (), Usage(3, output_tokens, "provider")))
    assert "tfy.model.metric.inter_token_latency_in_ms" not in spans_of(trace)[1]


def test_failure() -> None:
    """Both spans say what went wrong."""
    trace = make_planned_trace()
    add_attempt(trace).failed("upstream_timeout", "silent")
    trace.failed("upstream_timeout", "silent")
    trace.responded(504)
    for span in spans_of(trace):
        assert (span["tfy.error_type"], span["tfy.error_message"]) == ("upstream_timeout", "silent")


def test_refusal_is_no_error() -> None:
    """As `error.type`: a 4xx is the caller's."""
    trace = make_trace(endpoint=None, route="")
    trace.failed("path_not_found", "no such path")
    trace.responded(404)
    assert spans_of(trace) == [{}]


def test_limits() -> None:
    """Rules that held for a call, rate limits and budgets apart, each once."""
    trace = make_answered_trace()
    trace.telemetry = TFY
    held = [("a", False), ("a", False), ("b", True), ("c", False)]
    trace.permit = FakePermit(
        *[LimitNote(rule, "requests", is_budget, "allowed", "", 10, 3, 1.0) for rule, is_budget in held]
    )
    server = attributes_of(read_span(encode_call(trace).spans[0]))
    assert server["applied_ratelimit_rule_ids"] == ["a", "c"]
    assert server["applied_budget_rule_ids"] == ["b"]


def test_users() -> None:
    """Are named as such."""
    trace = make_answered_trace()
    trace.caller = Caller("a@x.io", frozenset(), kind="user")
    server, _ = spans_of(trace)
    assert server["tfy.request.created_by_subject"] == "user:a@x.io"
