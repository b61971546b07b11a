"""Small, right values of the shared vocabulary, for tests of what is done with them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from random import Random
from types import MappingProxyType
from typing import Any, Final

from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from gateway.endpoints.catalogue import CHAT
from gateway.endpoints.openai_call import parse_call
from gateway.identity.tokens import Credential
from gateway.model import Call, Caller, CallFacts, Endpoint, FallbackPolicy, RetryPolicy, Target, Usage
from gateway.providers.headers import fixed_lines
from gateway.routing.priority import Priority
from gateway.routing.route import Candidate, Route
from gateway.wire.frames import SpanSegments
from tests.unit.doubles import FakeHeaders, FakeHealth

TOKEN: Final = "app-token"
KEY: Final = "sk-provider-key"

TARGET: Final = Target(
    name="acct/small",
    account="acct",
    model_id="small-1",
    provider="openai",
    peer="openai",
    base_url="https://api.test/v1",
    address="api.test",
    port=443,
    headers=(("authorization", f"Bearer {KEY}"),),
    propagate_trace=False,
    model_types=frozenset({"chat"}),
    retry=RetryPolicy(),
    lines=fixed_lines((("authorization", f"Bearer {KEY}"),)),
    has_responses=True,
)


FALLING_BACK: Final = FallbackPolicy(frozenset({401, 403, 404, 429, 500, 502, 503, 504}))


def make_target(name: str = "acct/small", **changes: Any) -> Target:
    """A target of this name."""
    return dataclasses.replace(TARGET, name=name, account=name.partition("/")[0], **changes)


def make_route(name: str, *targets: Target, health: FakeHealth | None = None) -> Route:
    """A virtual model that tries *targets* in this order, one that says nothing of it after most failures."""
    candidates = [
        Candidate(
            target
            if target.fallback != FallbackPolicy()
            else dataclasses.replace(target, fallback=FALLING_BACK),
            priority=number,
        )
        for number, target in enumerate(targets)
    ]
    return Route(name, candidates, Priority(Random(7)), health or FakeHealth())


def make_routes(*routes: Route, **others: Route) -> dict[str, Route]:
    """Virtual models by their names, and by those that are given beside."""
    return {route.name: route for route in routes} | others


class TokenPrice:
    """A price of 1 USD per million input tokens and 2 per million of output."""

    def cost_usd(self, usage: Usage) -> float | None:
        """None where input was not counted."""
        if usage.input_tokens is None:
            return None
        return self.tokens_usd(usage.input_tokens, usage.output_tokens or 0)

    def tokens_usd(self, input_tokens: int, output_tokens: int) -> float:
        """As the sum of these."""
        return (input_tokens + 2 * output_tokens) / 1_000_000

    def shown(self) -> dict[str, Any]:
        """As the list of models has it."""
        return {"currency": "USD", "input": 1, "output": 2}


def make_caller(*models: str, name: str = "app") -> Caller:
    """Who may use these."""
    return Caller(name, frozenset(models))


def make_facts(
    caller: Caller,
    *,
    endpoint: Endpoint = CHAT,
    headers: Mapping[str, str] = MappingProxyType({}),
    metadata: Mapping[str, str] = MappingProxyType({}),
    call: Call | None = None,
) -> CallFacts:
    """What a plan depends on."""
    return CallFacts(caller, endpoint, FakeHeaders(headers.items()), metadata, call)


def make_credential(token: str, caller: Caller, *, expires_at_s: float | None = None) -> Credential:
    """A token of this caller."""
    return Credential(hashlib.sha256(token.encode()).digest(), caller, expires_at_s)


def make_body(model: str = "acct/small", **more: Any) -> bytes:
    """A chat call."""
    return json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}], **more}).encode()


def make_call(endpoint: Endpoint = CHAT, **members: Any) -> Call:
    """A call with these members."""
    return parse_call(endpoint, make_body(**members), model=None, account=None)


def read_span(segments: SpanSegments) -> Span:
    """A span as protobuf's own classes read it."""
    return Span.FromString(segments.plain + segments.content)


def attributes_of(span: Span) -> dict[str, Any]:
    """A span's attributes; none may stand there twice."""
    found = {item.key: value_of(item.value) for item in span.attributes}
    assert len(found) == len(span.attributes), "an attribute stands there twice"
    return found


def value_of(value: AnyValue) -> Any:
    """A value with the Python type of its protobuf type."""
    kind = value.WhichOneof("value")
    assert kind is not None, "a value without a type"
    if kind == "array_value":
        return [value_of(item) for item in value.array_value.values]
    return getattr(value, kind)
