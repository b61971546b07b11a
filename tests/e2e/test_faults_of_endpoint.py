"""An endpoint that fails in every way, with calls running: none of them notices, no span goes uncounted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.rig.fake_upstream import FakeUpstream
from tests.rig.gateway_process import GatewayProcess, StartGateway
from tests.rig.managed_otlp import AUTHORIZATION, GARBAGE, KEY, Limits, ManagedOtlp
from tests.rig.manifests import ENVIRONMENT, standard_documents
from tests.rig.otlp_sink import HANG, RESET, Answer, partial_success
from tests.rig.span_audit import SpanAudit
from tests.rig.until import until

NAME = "environment"
LONG_S = 60.0


@pytest.fixture(scope="module")
def endpoint() -> Iterator[ManagedOtlp]:
    with ManagedOtlp() as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def audit(
    upstream_server: FakeUpstream, endpoint: ManagedOtlp, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SpanAudit]:
    """One gateway for all faults, since each must leave it whole: its counts go on from test to test."""
    environment = {
        **ENVIRONMENT,
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": endpoint.traces_url,
        "OTEL_EXPORTER_OTLP_HEADERS": f"Authorization={quote(AUTHORIZATION)}",
        # A busy endpoint may take a second: only one that hangs is to run into it.
        "OTEL_EXPORTER_OTLP_TIMEOUT": "3000",
    }
    documents = standard_documents(upstream_server.base_url, 1)
    folder = tmp_path_factory.mktemp("faults-of-endpoint")
    with GatewayProcess(folder, documents, workers=2, environment=environment) as gateway:
        yield SpanAudit(gateway, {NAME: endpoint})


def is_over(endpoint: ManagedOtlp) -> Callable[[], bool]:
    """Whether all answers given to the endpoint were used."""
    return lambda: endpoint.unanswered() == 0


FAULTS = {
    "slow": [Answer(delay_s=0.3)],
    "hanging": [HANG],
    "resetting": [RESET] * 2,
    "garbage": [GARBAGE],
    "busy": [Answer(429, {"Retry-After": "1"})],
    "out of service": [Answer(503), Answer(504)],
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_passes_loses_nothing(audit: SpanAudit, endpoint: ManagedOtlp, fault: str) -> None:
    """Every span arrives, and those that an endpoint may have got twice are counted."""
    before = audit.ledgers()[NAME]["exported"]
    resent = audit.entry(NAME)["resent_total"]
    repeats = audit.arrived(NAME).repeats
    made = audit.made
    endpoint.answer(*FAULTS[fault])
    with audit.calls() as load:
        until(is_over(endpoint), what="the endpoint to have failed")
        load.go_on()
    counts = audit.check()[NAME]
    assert counts["exported"] - before == audit.made - made
    assert audit.entry(NAME)["resent_total"] - resent >= audit.arrived(NAME).repeats - repeats
    assert audit.entry(NAME)["state"] == "ok"


def test_what_is_refused_is_counted_and_not_repeated(audit: SpanAudit, endpoint: ManagedOtlp) -> None:
    """A part of a batch, and a whole one; what comes after goes on."""
    before, repeats = audit.ledgers()[NAME], audit.arrived(NAME).repeats
    endpoint.answer(partial_success(1, "too old"), Answer(400))
    with audit.calls() as load:
        until(is_over(endpoint), what="the endpoint to have refused")
        load.go_on()
    counts = audit.check()[NAME]
    assert counts["rejected"] - before["rejected"] == 1
    assert counts["dropped"]["by_reason"]["non_retryable_400"] > 0
    assert audit.arrived(NAME).repeats == repeats


def test_requests_too_large_are_halved_under_load(audit: SpanAudit, endpoint: ManagedOtlp) -> None:
    """None of the halves is lost or counted twice."""
    before, made = audit.ledgers()[NAME]["exported"], audit.made
    endpoint.limits = Limits(max_body_bytes=10_000)
    with audit.calls(threads=4, pause_s=0.0) as load:
        until(lambda: any(one.status == 413 for one in endpoint.requests()), what="a refusal")
        load.go_on()
    counts = audit.check()[NAME]
    endpoint.limits = Limits()
    assert counts["exported"] - before == audit.made - made


@pytest.mark.parametrize("down_s", [2.0, pytest.param(LONG_S, marks=pytest.mark.long)])
def test_down_and_back(audit: SpanAudit, endpoint: ManagedOtlp, down_s: float) -> None:
    """Within the bound of the spool nothing is lost, however long it is down; the ledger says what waits."""
    before, made = audit.ledgers()[NAME]["exported"], audit.made
    with audit.calls() as load:
        endpoint.go_down()
        back_at_s = time.monotonic() + down_s
        until(lambda: audit.entry(NAME)["state"] == "retrying", what="the outage to show")
        while time.monotonic() < back_at_s:
            load.go_on()
            audit.ledgers()
        endpoint.come_back()
        load.go_on()
    counts = audit.check()[NAME]
    assert counts["exported"] - before == audit.made - made


@pytest.mark.long
@pytest.mark.parametrize("fault", ["slow", "hanging", "resetting", "busy", "out of service"])
def test_a_fault_that_lasts(start_gateway: StartGateway, upstream: FakeUpstream, fault: str) -> None:
    """With the settings of an installation: a minute in which the endpoint answers in no other way."""
    with ManagedOtlp() as endpoint:
        gateway = start_gateway([*standard_documents(upstream.base_url, 1), endpoint.destination("elastic")])
        audit = SpanAudit(gateway, {"elastic": endpoint})
        with audit.calls() as load:
            endpoint.usual = FAULTS[fault][0]
            well_at_s = time.monotonic() + LONG_S
            while time.monotonic() < well_at_s:
                load.go_on()
                audit.ledgers()
            endpoint.usual = Answer()
            load.go_on()
        assert audit.check(timeout_s=120.0)["elastic"]["exported"] == audit.made
        gateway.stop()


def test_a_refused_key_is_mended_under_load(
    start_gateway: StartGateway, upstream: FakeUpstream, tmp_path: Path
) -> None:
    """Paused with nothing dropped; the key's file is changed, and all goes out without a restart."""
    key = tmp_path / "key"
    key.write_text("d3Jvbmc6a2V5")
    headers = {"Authorization": f"ApiKey file:{key}"}
    with ManagedOtlp() as endpoint:
        gateway = start_gateway(
            [*standard_documents(upstream.base_url, 1), endpoint.destination("elastic", headers=headers)]
        )
        audit = SpanAudit(gateway, {"elastic": endpoint})
        with audit.calls() as load:
            until(lambda: audit.entry("elastic")["state"] == "paused", what="the pause")
            load.go_on()
            assert audit.ledgers()["elastic"]["exported"] == 0
            key.write_text(KEY)
            until(lambda: audit.entry("elastic")["state"] == "ok", what="the mended key")
            load.go_on()
        assert audit.check()["elastic"]["exported"] == audit.made
        gateway.stop()
