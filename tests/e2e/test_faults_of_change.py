"""Destinations that come, change and go while spans are on their way: what is meant for one arrives there."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.rig import behaviours
from tests.rig.fake_upstream import FakeUpstream
from tests.rig.gateway_process import Document, GatewayProcess, StartGateway
from tests.rig.managed_otlp import ManagedOtlp
from tests.rig.manifests import (
    SCRIPTED,
    bearer,
    chat_body,
    standard_documents,
    trace_id_of,
)
from tests.rig.otlp_sink import Answer
from tests.rig.raw_http import request_bytes
from tests.rig.span_audit import SPANS_PER_CALL, SpanAudit, arrived_at
from tests.rig.until import until

IN_FORCE_S = 60.0


@pytest.fixture
def first() -> Iterator[ManagedOtlp]:
    with ManagedOtlp() as endpoint:
        yield endpoint


@pytest.fixture
def second() -> Iterator[ManagedOtlp]:
    with ManagedOtlp() as endpoint:
        yield endpoint


def destination(name: str, endpoint: ManagedOtlp, **more: object) -> Document:
    return endpoint.destination(name, batch={"max_delay_ms": 100}, **more)


def none_for(name: str, endpoint: ManagedOtlp) -> Document:
    """A destination that samples every trace out, so that masks differ by destination."""
    return destination(name, endpoint, sampling={"ratio": 0.0, "parent_based": False})


def put_in_force(gateway: GatewayProcess, documents: list[Document]) -> None:
    """Change the configuration and wait until every process has it."""
    before = gateway.get("/api/config")["version"]
    gateway.write_config(documents)

    def is_in_force() -> bool:
        found = gateway.get("/api/config")
        versions = {worker["version"] for worker in found["workers"]}
        return found["version"] != before and versions == {found["version"]}

    until(is_in_force, what="the new configuration in force", timeout_s=IN_FORCE_S)


def test_destinations_come_change_and_go(
    start_gateway: StartGateway, upstream: FakeUpstream, first: ManagedOtlp, second: ManagedOtlp
) -> None:
    """One that stays loses and repeats nothing; one that comes gets what is new; one that goes, no more."""
    standard = standard_documents(upstream.base_url, 1)
    gateway = start_gateway([*standard, destination("first", first)])
    audit = SpanAudit(gateway, {"first": first})
    with audit.calls() as load:
        first.usual = Answer(delay_s=0.2)  # so that a batch is always on its way
        put_in_force(gateway, [*standard, destination("second", second), destination("first", first)])
        since_s = time.monotonic()
        load.go_on()
        changed = destination("first", first, encoding="json", compression="none")
        put_in_force(gateway, [*standard, destination("second", second), changed])
        load.go_on()
        # One that was under way while the change was made goes where it was meant to before.
        new = {trace_id for trace_id in load.trace_ids if load.began_at_s[trace_id] > since_s}
        until(lambda: new <= arrived_at(second).trace_ids, what="new calls at the second")
        counts = audit.ledgers()["second"]
        assert counts["created"] >= SPANS_PER_CALL * len(new)
        put_in_force(gateway, [*standard, changed])
        # What was sent before has been read by then.
        load.go_on()
        gone = len(second.requests())
        load.go_on()
        first.usual = Answer()
    ledgers = audit.check()
    assert ledgers.keys() == {"local", "first"}
    assert ledgers["first"]["exported"] == audit.made
    assert audit.arrived("first").repeats == audit.entry("first")["resent_total"] == 0
    assert len(second.requests()) == gone
    assert {"application/json", "application/x-protobuf"} == {
        received.headers["content-type"] for received in first.requests()
    }
    gateway.stop()


def test_a_call_that_outlives_a_change_goes_where_it_was_meant_to(
    start_gateway: StartGateway, upstream: FakeUpstream, first: ManagedOtlp, second: ManagedOtlp
) -> None:
    """Begun while there were two destinations, ended when the first of them was no more."""
    standard = standard_documents(upstream.base_url, 1)
    gateway = start_gateway([*standard, none_for("first", first), destination("second", second)])
    audit = SpanAudit(gateway, {"second": second})
    gate = upstream.gate()
    upstream.play(SCRIPTED, behaviours.stream(gate=gate))
    with gateway.connect() as connection:
        headers = [bearer(), ("content-type", "application/json")]
        body = chat_body("fake/scripted", stream=True)
        connection.send(request_bytes("POST", "/v1/chat/completions", headers, body))
        gate.step(2)
        head = connection.read_head()
        put_in_force(gateway, [*standard, destination("second", second)])
        gate.open()
        for _ in connection.read_pieces():
            pass
    audit.trace_ids.append(trace_id_of(head))
    assert audit.check()["second"]["exported"] == audit.made
    gateway.stop()


def test_prompts_that_wait_do_not_follow_once_they_are_left_out(
    start_gateway: StartGateway, upstream: FakeUpstream, first: ManagedOtlp
) -> None:
    """Those too that are in a batch already; every span arrives all the same, and is counted once."""
    recorded = {"type": "gateway-global-settings", "name": "g", "logging_settings": {"type": "always"}}
    standard = [*standard_documents(upstream.base_url, 1), recorded]
    gateway = start_gateway([*standard, destination("first", first)])
    audit = SpanAudit(gateway, {"first": first})
    first.usual = Answer(503)
    with audit.calls() as load:
        until(lambda: audit.entry("first")["state"] == "retrying", what="the outage to show")
        load.go_on()
    # So that nothing is on its way there while the change is made.
    first.go_down()
    put_in_force(gateway, [*standard, destination("first", first, exclude_request_data=True)])
    before = len(first.requests())
    first.usual = Answer()
    first.come_back()
    counts = audit.check()["first"]
    assert counts["exported"] == audit.made
    sent = [received.request.SerializeToString() for received in first.requests()]
    assert any(b"gen_ai.input.messages" in body for body in sent[:before])
    assert not any(b"gen_ai.input.messages" in body for body in sent[before:])
    gateway.stop()


@pytest.mark.long
def test_what_waits_keeps_its_destination_across_a_change_and_a_restart(
    start_gateway: StartGateway, upstream: FakeUpstream, first: ManagedOtlp, second: ManagedOtlp
) -> None:
    """Of two destinations the first is taken out while calls wait for the second, which gets all of them."""
    standard = standard_documents(upstream.base_url, 1)
    gateway = start_gateway([*standard, none_for("first", first), destination("second", second)])
    audit = SpanAudit(gateway, {"second": second})
    second.usual = Answer(503)
    with audit.calls():
        pass
    until(lambda: audit.ledgers()["second"]["created"] == audit.made, what="the spool to have every span")
    gateway.stop()
    gateway.write_config([*standard, destination("second", second)])
    second.usual = Answer()
    gateway.start()
    assert audit.check()["second"]["exported"] == audit.made
    gateway.stop()
