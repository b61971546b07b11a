"""What callers and the configuration say of a call's trace, from its headers to what is kept of it."""

from __future__ import annotations

import json
from random import Random
from typing import Any, Final

import pytest

from gateway.config import OtelConfig
from gateway.endpoints.catalogue import CHAT
from gateway.identity.tokens import Identity
from gateway.pipeline import CurrentSnapshot, Pipeline
from gateway.routing.direct import Routing
from gateway.snapshot import Snapshot
from gateway.telemetry.call_trace import CallTrace
from gateway.telemetry.plan import PLAIN, ContentRules, Redaction, TelemetryPlan
from gateway.telemetry.sampling import NO_DESTINATION, Sampling
from tests.unit.doubles import FakeClient, FakeReply, FakeUpstream
from tests.unit.makers import TOKEN, make_body, make_caller, make_credential, make_target

OWN: Final = make_target("lab/own", propagate_trace=True)
ANSWER: Final = b'{"id":"c","choices":[{"message":{"role":"assistant","content":"ho"}}]}'
BY_HEADER: Final = TelemetryPlan(
    content=ContentRules(Redaction(), by_default=False, obeys_header=True, max_bytes=1_000)
)


def sampled(**settings: Any) -> TelemetryPlan:
    exporter = {"type": "http", "endpoint": "https://h", "sampling": settings}
    config = {"type": "gateway-otel-config", "name": "n", "otel_traces_exporter_config": exporter}
    return TelemetryPlan(sampling=Sampling([OtelConfig.model_validate(config)]))


class Rig:
    """A pipeline with one target."""

    def __init__(self, telemetry: TelemetryPlan = PLAIN) -> None:
        answer = FakeReply(200, {"content-type": "application/json"}, ANSWER)
        self.upstream = FakeUpstream(answer)
        self.records: list[CallTrace] = []
        identity = Identity([make_credential(TOKEN, make_caller(OWN.name))])
        self.pipeline = Pipeline(
            CurrentSnapshot(Snapshot("v1", 1, identity, Routing([OWN]), telemetry)),
            self.upstream,
            self.records.append,
            max_body_bytes=10_000,
            random=Random(7),
        )

    async def call(self, *headers: tuple[str, str]) -> tuple[FakeClient, CallTrace]:
        bearer = ("authorization", f"Bearer {TOKEN}")
        client = FakeClient(bearer, *headers, body=make_body(OWN.name))
        await self.pipeline.call_model(client, CHAT)
        (trace,) = self.records
        return client, trace


@pytest.mark.parametrize("header", ["x-tfy-metadata", "x-tfy-logging-config"])
@pytest.mark.parametrize("telemetry", [PLAIN, BY_HEADER], ids=["off", "by header"])
async def test_malformed_header_is_refused(header: str, telemetry: TelemetryPlan) -> None:
    """With 400 and its name, before a provider is asked, whatever is recorded."""
    rig = Rig(telemetry)
    client, trace = await rig.call((header, "{"))
    assert (client.status, trace.error_type) == (400, "invalid_body")
    error = json.loads(client.received)["error"]
    assert error["param"] == header
    assert header in error["message"]
    assert rig.upstream.requests == []


async def test_headers_that_are_acted_on_are_not_called_ignored() -> None:
    """The caller can tell what had an effect."""
    client, trace = await Rig().call(
        ("x-tfy-metadata", '{"a":"b"}'),
        ("x-tfy-logging-config", '{"enabled":true}'),
        ("x-tfy-conversation-id", "c-1"),
        ("x-tfy-cache-config", "{}"),
    )
    assert client.header("x-tfy-ignored-headers") == "x-tfy-cache-config"
    assert (trace.notes.metadata, trace.notes.conversation_id) == ({"a": "b"}, "c-1")


@pytest.mark.parametrize(
    ("telemetry", "headers", "is_kept"),
    [
        pytest.param(PLAIN, [("x-tfy-logging-config", '{"enabled":true}')], False, id="off"),
        pytest.param(BY_HEADER, [], False, id="not wanted"),
        pytest.param(BY_HEADER, [("x-tfy-logging-config", '{"enabled":true}')], True, id="wanted"),
    ],
)
async def test_content_is_kept_where_it_may(
    telemetry: TelemetryPlan, headers: list[tuple[str, str]], *, is_kept: bool
) -> None:
    """Otherwise nothing of the reply stays."""
    _, trace = await Rig(telemetry).call(*headers)
    assert (trace.content is not None) is is_kept
    if trace.content is not None:
        assert trace.content.held_bytes == len(ANSWER)


@pytest.mark.parametrize(
    ("telemetry", "flags", "state", "is_exported"),
    [
        pytest.param(PLAIN, "03", None, True, id="without sampling"),
        pytest.param(sampled(ratio=0), "02", None, False, id="nothing"),
        pytest.param(sampled(ratio=1.0, keep_errors=True), "03", None, True, id="everything"),
        pytest.param(sampled(ratio=1.0, parent_based=False), "03", "ot=th:0", True, id="everything, stated"),
        pytest.param(
            sampled(ratio=0, keep_slower_than_ms=0), "02", None, True, id="kept afterwards, not told before"
        ),
    ],
)
async def test_head_decision_is_told(
    telemetry: TelemetryPlan, flags: str, state: str | None, *, is_exported: bool
) -> None:
    """To the caller and to a provider that takes part in the trace."""
    rig = Rig(telemetry)
    client, trace = await rig.call()
    assert (client.header("traceparent") or "").endswith(f"-{flags}")
    (request,) = rig.upstream.requests
    assert dict(request.headers)["traceparent"].endswith(f"-{flags}")
    assert dict(request.headers).get("tracestate") == state
    assert bool(trace.destinations & 1) is is_exported


async def test_caller_that_drops_its_trace_is_followed() -> None:
    """Its flag goes on, and no destination gets the call."""
    rig = Rig(sampled(ratio=0.5, keep_errors=True))
    client, trace = await rig.call(("traceparent", f"00-{'a' * 32}-{'b' * 16}-00"), ("baggage", "a=b"))
    assert (client.header("traceparent") or "").endswith("-00")
    assert trace.destinations & 1 == NO_DESTINATION
    assert "baggage" not in dict(rig.upstream.requests[0].headers)
