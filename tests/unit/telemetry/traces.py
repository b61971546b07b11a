"""Finished calls, as the telemetry tests want them: every time and id fixed."""

from __future__ import annotations

from random import Random
from typing import Any, Final

from gateway.endpoints.catalogue import CHAT
from gateway.endpoints.openai_reply import ReplyFacts
from gateway.model import Endpoint, Plan, Target, TraceContext, Usage
from gateway.telemetry.call_trace import AttemptTrace, CallTrace
from tests.unit.makers import TARGET, TokenPrice, make_call, make_caller, make_target

START_NS: Final = 1_700_000_000_000_000_000
MS: Final = 1_000_000
"""A millisecond in nanoseconds."""
PRICED: Final = make_target(price=TokenPrice())
"""As `TARGET`, with a price."""
FACTS: Final = ReplyFacts("chat-1", "small-1-0125", ("stop",), Usage(3, 4, "provider", 2, 1))


def make_trace(
    *, parent: TraceContext | None = None, endpoint: Endpoint | None = CHAT, **changes: Any
) -> CallTrace:
    """A call that has just begun, at monotonic time 0."""
    fields: dict[str, Any] = {
        "trace_id": parent.trace_id if parent else b"T" * 16,
        "span_id": b"S" * 8,
        "parent": parent,
        "flags": parent.flags if parent else 1,
        "request_id": "r-1",
        "config_version": "v1",
        "started_at_ns": START_NS,
        "start_ns": 0,
        "method": "POST",
        "path": "/api/llm/chat/completions",
        "route": "/v1/chat/completions",
        "scheme": "http",
        "server_address": "127.0.0.1",
        "server_port": 8787,
        "peer_address": "192.0.2.7",
        "user_agent": "agent/1",
        "endpoint": endpoint,
        "random": Random(7),
    }
    return CallTrace(**{**fields, **changes})


def make_planned_trace(
    target: Target = TARGET, *, parent: TraceContext | None = None, **members: Any
) -> CallTrace:
    """A call that knows its caller and its one target."""
    trace = make_trace(parent=parent)
    trace.caller = make_caller(target.name)
    trace.call = make_call(**members)
    trace.plan = Plan((target,), (target.name,))
    return trace


def add_attempt(
    trace: CallTrace, target: Target = TARGET, *, at_ms: int = 10, took_ms: int = 50
) -> AttemptTrace:
    """An attempt that has ended, its outcome still to be noted."""
    number = len(trace.attempts) + 1
    attempt = AttemptTrace(target, number, bytes([number]) * 8, at_ms * MS, end_ns=(at_ms + took_ms) * MS)
    trace.attempts.append(attempt)
    return attempt


def make_answered_trace(
    target: Target = TARGET, *, parent: TraceContext | None = None, **members: Any
) -> CallTrace:
    """A call that was answered well, in 100 ms."""
    trace = make_planned_trace(target, parent=parent, **members)
    attempt = add_attempt(trace, target)
    attempt.status_code = 200
    attempt.answered(FACTS)
    trace.responded(200)
    trace.end_ns = 100 * MS
    return trace
