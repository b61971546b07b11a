"""No credential is on any span, whoever wrote it where."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Final

import pytest

from gateway.endpoints.openai_reply import ReplyFacts
from gateway.model import Usage
from gateway.telemetry.call_notes import CallNotes
from gateway.telemetry.content import ContentCapture
from gateway.telemetry.plan import TelemetryPlan
from gateway.telemetry.redactor import Redactor
from gateway.telemetry.secrets_in_spans import caller_secrets, mask_keys, target_secrets, without
from gateway.telemetry.span_encoding import SpanEncoder
from tests.unit.doubles import FakeHeaders
from tests.unit.makers import TARGET, make_call, make_caller, read_span
from tests.unit.telemetry.traces import add_attempt, make_answered_trace, make_planned_trace, make_trace

CANARY: Final = "canary-app-token"
PROVIDER_CANARY: Final = "canary-provider-key"
HEADERS: Final = FakeHeaders(
    [("authorization", f"Bearer {CANARY}"), ("x-api-key", CANARY), ("x-team", CANARY), ("x-other", "x")]
)
PLAN: Final = TelemetryPlan(
    captured_headers=("x-team",),
    has_tfy_names=True,
    has_old_names=True,
)
LEAKY: Final = dataclasses.replace(
    TARGET, headers=(("authorization", f"Bearer {PROVIDER_CANARY}"), ("x-tenant", "acme"))
)


def encoded(trace: Any) -> bytes:
    call = SpanEncoder().encode(trace)
    for segments in call.spans:
        read_span(segments)
    return b"".join([part for segments in call.spans for part in (segments.plain, segments.content)])


def failed(message: str, **changes: Any) -> Any:
    trace = make_planned_trace(LEAKY)
    for name, value in {"headers": HEADERS, **changes}.items():
        setattr(trace, name, value)
    attempt = add_attempt(trace, LEAKY)
    attempt.failed("upstream_bad_reply", message)
    trace.failed("upstream_bad_reply", message)
    trace.responded(502)
    return trace


def noted() -> Any:
    trace = make_answered_trace()
    trace.headers = HEADERS
    trace.notes = CallNotes(metadata={"key": CANARY, CANARY: "x"}, conversation_id=CANARY)
    return trace


def unknown_path() -> Any:
    trace = make_trace(endpoint=None, route="", path="/v1/sk-canaryapptoken1234/x", headers=HEADERS)
    trace.failed("path_not_found", "no such path")
    trace.responded(404)
    return trace


def unknown_model() -> Any:
    trace = make_trace(headers=HEADERS)
    trace.caller = make_caller()
    trace.call = make_call(model="sk-canaryapptoken1234")
    trace.failed("model_not_found", "no such model")
    trace.responded(404)
    return trace


def recorded(text: str) -> Any:
    messages = [{"role": "user", "content": text}]
    trace = make_answered_trace(messages=messages, tools=[{"function": {"name": "f", "description": text}}])
    trace.headers = HEADERS
    trace.telemetry = PLAN
    trace.content = ContentCapture(Redactor(), max_bytes=10_000)
    trace.attempts[0].target = LEAKY
    answer = {"choices": [{"message": {"role": "assistant", "content": text}}]}
    trace.content.keep(json.dumps(answer).encode())
    return trace


def echoed() -> Any:
    trace = make_planned_trace(LEAKY)
    attempt = add_attempt(trace, LEAKY)
    attempt.status_code = 200
    attempt.answered(
        ReplyFacts(PROVIDER_CANARY, PROVIDER_CANARY, (PROVIDER_CANARY,), Usage(1, 1, "provider"))
    )
    trace.responded(200)
    return trace


@pytest.mark.parametrize(
    "trace",
    [
        pytest.param(failed(f"it said {CANARY} and Bearer {CANARY}"), id="the caller's in an exception"),
        pytest.param(
            failed(f"it said {PROVIDER_CANARY}", telemetry=PLAN), id="the provider's in an exception"
        ),
        pytest.param(noted(), id="metadata and conversation"),
        pytest.param(failed("x", telemetry=PLAN), id="captured header"),
        pytest.param(recorded(f"my key is {CANARY}, yours {PROVIDER_CANARY}"), id="prompt, reply and tool"),
        pytest.param(echoed(), id="the provider's in its reply"),
        pytest.param(unknown_path(), id="path"),
        pytest.param(unknown_model(), id="model"),
    ],
)
def test_canaries(trace: Any) -> None:
    """Each span is still whole, and the canary on none; nor in the store's row."""
    assert b"canary" not in encoded(trace)
    assert "canary" not in str(SpanEncoder().encode(trace).row)


def test_masking_keeps_lengths() -> None:
    """What is masked is as long as before, so every length in the encoded bytes stays right."""
    assert without(b"a secret b secret", (b"secret",)) == b"a ****** b ******"
    assert without(b"abc", ()) == b"abc"


def test_secrets_of_a_request() -> None:
    """Values whole and without their scheme, the longest first; short ones are words."""
    headers = FakeHeaders(
        [("authorization", "Bearer abcdefgh"), ("x-api-key", "abc"), ("cookie", "a=b; c=defg")]
    )
    assert caller_secrets(headers) == (b"Bearer abcdefgh", b"a=b; c=defg", b"abcdefgh")
    assert caller_secrets(None) == ()


def test_secrets_of_a_target() -> None:
    """Its credentials; a header that is none (`x-tenant: acme`) may be a word of any reply."""
    assert target_secrets(LEAKY) == (f"Bearer {PROVIDER_CANARY}".encode(), PROVIDER_CANARY.encode())


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("/v1/chat/sk-abcdefghijklmnop1234", "/v1/chat/[REDACTED]"),
        ("/v1/" + "ghp_" + "a1" * 18, "/v1/[REDACTED]"),
        ("/v1/models/gpt-4o", "/v1/models/gpt-4o"),
    ],
)
def test_keys_by_their_form(text: str, masked: str) -> None:
    """Where a caller writes freely, what looks like a key is masked."""
    assert mask_keys(text) == masked
