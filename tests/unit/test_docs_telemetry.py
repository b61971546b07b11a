"""docs/telemetry.md says what the code does: its tables against names, types and encoded spans."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from random import Random
from typing import Final, get_args

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from gateway.app.metrics_ledger import SHUTDOWN, SUPERSEDED
from gateway.delivery.ledger import REMOVED
from gateway.endpoints.catalogue import CHAT, EMBEDDING
from gateway.endpoints.openai_call import parse_call
from gateway.endpoints.openai_reply import ReplyFacts
from gateway.errors import ClientDisconnected, GatewayError, Overloaded
from gateway.model import (
    Caller,
    Endpoint,
    LimitNote,
    Plan,
    Reached,
    RetryPolicy,
    RouteFacts,
    SkipReason,
    Target,
    TraceContext,
    Usage,
    UsageSource,
)
from gateway.tally import REASONS
from gateway.telemetry import attributes
from gateway.telemetry.call_notes import read_notes
from gateway.telemetry.call_trace import HEDGE_LOST, CallTrace
from gateway.telemetry.plan import ContentRules, Redaction, TelemetryPlan
from gateway.telemetry.resource import worker_resource
from gateway.telemetry.span_encoding import SpanEncoder
from gateway.telemetry.tfy_names import OTHER_TYPE, REQUEST_TYPES
from gateway.wire.otlp import AttributeKey
from tests.rig.frame_reader import encode_call
from tests.unit.doubles import FakeHeaders, FakePermit
from tests.unit.makers import TokenPrice

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "telemetry.md"
SERVER: Final = "Attributes of the SERVER span"
CLIENT: Final = "Attributes of the CLIENT span"
RESOURCE: Final = "Resource attributes"

_SECTION: Final = re.compile(r"^## (.+)$", re.MULTILINE)
_ROW: Final = re.compile(r"^\| (`[^|]+`) \|(?: ([a-z]+(?:\[\])?) \|)?", re.MULTILINE)
_QUOTED: Final = re.compile(r"`([^`]+)`")
_TYPES: Final = {
    "string_value": "string",
    "bool_value": "bool",
    "int_value": "int",
    "double_value": "double",
    "array_value": "string[]",
}

TARGET: Final = Target(
    name="main/gpt",
    account="main",
    model_id="gpt-4o",
    provider="openai",
    peer="openai",
    base_url="https://api.example/v1",
    address="api.example",
    port=443,
    headers=(),
    propagate_trace=False,
    model_types=frozenset({"chat"}),
    retry=RetryPolicy(),
    price=TokenPrice(),
)
ROUTE: Final = RouteFacts("vm/chat", "complexity-based-routing", "simple", cause="classifier")
CHAT_BODY: Final = (
    b'{"model":"main/gpt","stream":true,"temperature":1,"top_p":0.5,"frequency_penalty":0,'
    b'"presence_penalty":0,"max_tokens":5,"seed":7,"top_k":3,"n":2,"stop":"x","reasoning_effort":"low",'
    b'"messages":[{"role":"user","content":"hi"}],"tools":[{"type":"function","function":{"name":"f"}}]}'
)
PLAN: Final = TelemetryPlan(
    has_old_names=True,
    has_tfy_names=True,
    captured_headers=("x-team",),
    captured_baggage=("tenant",),
    content=ContentRules(Redaction(), by_default=True, obeys_header=False, max_bytes=10_000),
)
HEADERS: Final = FakeHeaders(
    [
        ("x-team", "a"),
        ("baggage", "tenant=b"),
        ("x-tfy-metadata", '{"k":"v"}'),
        ("x-tfy-conversation-id", "c-1"),
    ]
)
# The ends of these names are the caller's or the operator's.
OPEN_NAMES: Final = {
    attributes.METADATA_PREFIX: "<key>",
    attributes.CAPTURED_HEADER_PREFIX: "<name>",
    attributes.BAGGAGE_PREFIX: "<key>",
}
EMBEDDING_BODY: Final = b'{"model":"main/gpt","input":"x","dimensions":64,"encoding_format":"float"}'


def section(title: str) -> str:
    """The text under one heading of the page."""
    parts = _SECTION.split(PAGE.read_text(encoding="utf-8"))
    return dict(zip(parts[1::2], parts[2::2], strict=True))[title]


def rows(title: str) -> dict[str, str]:
    """The quoted names in the first column of a section's table, with their type."""
    return {name: kind for cell, kind in _ROW.findall(section(title)) for name in _QUOTED.findall(cell)}


def names_in_code() -> Iterator[str]:
    """Every attribute name of `attributes.py`."""
    for value in vars(attributes).values():
        for key in value.values() if isinstance(value, dict) else [value]:
            if isinstance(key, AttributeKey):
                yield Span.FromString(key.text("")).attributes[0].key
    yield from (prefix + end for prefix, end in OPEN_NAMES.items())


def trace_of(endpoint: Endpoint, body: bytes) -> CallTrace:
    """A call that has been read and planned."""
    trace = CallTrace(
        trace_id=bytes(range(16)),
        span_id=bytes(range(8)),
        parent=TraceContext(bytes(range(16)), bytes(range(8)), 1),
        flags=1,
        request_id="r",
        config_version="abc",
        started_at_ns=1_700_000_000_000_000_000,
        start_ns=1,
        method="POST",
        path=endpoint.route,
        route=endpoint.route,
        scheme="http",
        server_address="127.0.0.1",
        server_port=8787,
        peer_address="127.0.0.1",
        user_agent="sdk/1",
        endpoint=endpoint,
        random=Random(1),
        headers=HEADERS,
        telemetry=PLAN,
    )
    trace.identified(Caller("app1", frozenset({TARGET.name}), teams=("ml",)))
    trace.asked(parse_call(endpoint, body, model=None, account=None))
    trace.noted(read_notes(HEADERS))
    trace.permit = FakePermit(
        *[LimitNote("r", "requests", one, "allowed", "", 1, 1, 1.0) for one in (True, False)]
    )
    trace.permit.reached = [Reached("r", "cost_per_day", 75.0)]
    trace.planned(Plan((TARGET,), (TARGET.name,), route=ROUTE))
    return trace


def answered() -> CallTrace:
    """A stream with everything a provider may report, after a try that failed, of a call that was judged."""
    trace = trace_of(CHAT, CHAT_BODY)
    assert trace.plan is not None
    assert trace.call is not None
    trace.judging(trace.plan, TARGET, trace.call).tier = "simple"
    trace.attempt(TARGET).failed("upstream_unreachable", "no connection")
    attempt = trace.attempt(TARGET)
    attempt.status_code = 200
    attempt.first_chunk()
    usage = Usage(
        9,
        5,
        "provider",
        cached_input_tokens=4,
        reasoning_output_tokens=2,
        cache_write_input_tokens=1,
        search_units=1,
    )
    assert trace.content is not None
    trace.content.keep(b'data: {"choices":[{"index":0,"delta":{"content":"' + b"x" * 20_000 + b'"}}]}\n\n')
    attempt.answered(ReplyFacts("id-1", "gpt-4o-2024", ("stop",), usage))
    trace.responded(200)
    trace.ended()
    return trace


def given_up() -> CallTrace:
    """A call whose content there was no room for."""
    trace = answered()
    assert trace.content is not None
    trace.content.give_up()
    return trace


def failed() -> CallTrace:
    """An embedding whose provider failed."""
    trace = trace_of(EMBEDDING, EMBEDDING_BODY)
    trace.attempt(TARGET).failed("upstream_bad_reply", "no reply", "<html>")
    trace.failed("upstream_timeout", "silent")
    trace.responded(504)
    trace.ended()
    return trace


def turned_away() -> CallTrace:
    """One for which there was no room."""
    trace = trace_of(CHAT, CHAT_BODY)
    trace.turned_away(Overloaded("Later.", reason="cpu", priority="low"))
    trace.failed(Overloaded.code, "Later.")
    trace.responded(503)
    trace.ended()
    return trace


@cache
def encoded() -> tuple[Span, ...]:
    """The spans of those calls, read by protobuf."""
    encoder = SpanEncoder()
    return tuple(
        Span.FromString(span.plain + span.content)
        for trace in (answered(), given_up(), failed(), turned_away())
        for span in encode_call(trace, encoder).spans
    )


def types_of(attributes_of_one: Iterable[KeyValue]) -> dict[str, str]:
    """Each attribute's type in the page's words."""
    return {_documented(pair.key): _type_of(pair.value) for pair in attributes_of_one}


def _documented(name: str) -> str:
    for prefix, end in OPEN_NAMES.items():
        if name.startswith(prefix):
            return prefix + end
    return name


def _type_of(value: AnyValue) -> str:
    kind = value.WhichOneof("value")
    assert kind is not None
    return _TYPES[kind]


def test_every_attribute_name_is_documented() -> None:
    """The two tables list what `attributes.py` names, and nothing else."""
    assert set(rows(SERVER)) | set(rows(CLIENT)) == set(names_in_code())


@pytest.mark.parametrize(
    ("title", "kind"),
    [(SERVER, Span.SPAN_KIND_SERVER), (CLIENT, Span.SPAN_KIND_CLIENT)],
    ids=["server", "client"],
)
def test_each_table_is_what_its_spans_carry(title: str, kind: int) -> None:
    """Each attribute is on the span it is listed under, with that type; no span carries another."""
    carried: dict[str, str] = {}
    for span in encoded():
        if span.kind == kind:
            carried |= types_of(span.attributes)
    assert carried == rows(title)


def test_resource_attributes_are_documented() -> None:
    """The resource table is what a worker sends."""
    resource = Resource.FromString(worker_resource("i", host="h", pid=1))
    assert types_of(resource.attributes) == rows(RESOURCE)


def test_words_of_truefoundrys_span_types_are_documented() -> None:
    """Each that a SERVER span may have, and no other."""
    (row,) = re.findall(r"^\| `tfy\.span_type` \| string \| (.+) \|$", section(SERVER), re.MULTILINE)
    assert set(_QUOTED.findall(row)) == {*REQUEST_TYPES.values(), OTHER_TYPE}


def test_usage_sources_are_documented() -> None:
    """Every source of a usage, and no other."""
    values = set(rows("Usage sources")) - {"gateway.usage.source"}
    assert values == set(get_args(UsageSource))


@pytest.mark.parametrize(
    ("where", "reasons"),
    [
        ("worker", [*REASONS, "worker_lost"]),
        ("destination of traces", [REMOVED]),
        ("destination of metrics", [SUPERSEDED, SHUTDOWN, REMOVED]),
    ],
)
def test_why_spans_and_points_are_dropped_is_documented(where: str, reasons: list[str]) -> None:
    """A number in the ledger that nobody can look up is no answer."""
    (row,) = re.findall(rf"^\| {where} \| (.*) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(reasons) <= set(re.findall(r"`(\w+)`", row))


def test_reasons_are_documented() -> None:
    """Every reason why a target is passed over, and no other."""
    assert set(rows("What was decided")) == set(get_args(SkipReason))


def test_error_types_are_documented() -> None:
    """Every code that an error of ours can have."""
    codes = {error.code for error in _all_errors()} | {ClientDisconnected.error_type, HEDGE_LOST}
    assert set(rows("error.type")) == codes


def _all_errors() -> set[type[GatewayError]]:
    found = {GatewayError}
    while more := {child for error in found for child in error.__subclasses__()} - found:
        found |= more
    return {error for error in found if error.__module__ == "gateway.errors"}
