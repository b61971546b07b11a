"""One span, or an empty request of metrics, to a destination at once: would it be taken?

It goes past the spool through the same exchange as every batch, so protocol, TLS, proxy and headers are those
configured. It is not in the ledger, which counts calls.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from gateway import __version__
from gateway.delivery.advice import Try, explain
from gateway.delivery.batch import Batcher, BatchLimits, without_keys
from gateway.delivery.destination import Destination
from gateway.delivery.exchange import Exchange
from gateway.delivery.outcome import Outcome, Verdict
from gateway.elastic import authorization_in
from gateway.wire.frames import CallSpans, Frame, SpanSegments
from gateway.wire.otlp import HAS_IS_REMOTE, SpanKind, field, resource_attributes, span_head, span_name

SPAN_NAME: Final = "gateway otel test"
INSTANCE: Final = "gateway-otel-test"
"""The `service.instance.id` of what is sent."""
_SAMPLED: Final = 1


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What came of it, in the names of `POST /api/telemetry/test`.

    Attributes:
        status: HTTP status, None without an answer.
        latency_ms: Until the answer, or until it was clear that none comes; None when nothing was sent.
        what: What happened, without secrets.
        advice: What to do; "" when nothing is.
    """

    destination: str
    signal: str
    ok: bool
    status: int | None
    latency_ms: float | None
    what: str
    advice: str

    def to_dict(self) -> dict[str, Any]:
        """As the API shows it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Probe:
    """What to try.

    Attributes:
        signal: traces or metrics.
        resource: Encoded attributes of a `Resource`; the destination's own win over them.
        make_exchange: The way to the destination; called inside the event loop.
    """

    destination: Destination
    signal: str
    resource: bytes
    make_exchange: Callable[[Destination], Exchange]


async def probe_all(probes: Sequence[Probe]) -> list[ProbeResult]:
    """Try each, side by side, over connections of its own; results in the order given."""
    return await asyncio.gather(*[_probe(probe) for probe in probes])


async def _probe(probe: Probe) -> ProbeResult:
    destination = probe.destination
    name, signal = destination.name, probe.signal
    if destination.disabled:
        return ProbeResult(name, signal, False, None, None, destination.disabled, "Mend the configuration.")
    if signal == "metrics":
        body = metrics_request(destination, probe.resource)
    else:
        body = span_request(destination, probe.resource, time.time_ns(), secrets.token_bytes(24))
    exchange = probe.make_exchange(destination)
    start_s = time.perf_counter()
    try:
        outcome = await exchange.post(destination, body)
    finally:
        await exchange.close()
    latency_ms = round((time.perf_counter() - start_s) * 1000, 1)
    tried = _tried(destination, signal, outcome)
    is_ok = outcome.verdict is Verdict.DELIVERED and not outcome.rejected and not tried.is_for_another_signal
    words = explain(tried)
    return ProbeResult(name, signal, is_ok, outcome.status, latency_ms, words.what, words.advice)


def span_request(destination: Destination, resource: bytes, now_ns: int, ids: bytes) -> bytes:
    """An `ExportTraceServiceRequest` with the one span.

    Args:
        destination: Its resource attributes are added, as to every span.
        resource: As in `Probe`.
        now_ns: Unix time of the span's end.
        ids: 24 random bytes: trace id and span id.
    """
    plain = span_head(
        trace_id=ids[:16],
        span_id=ids[16:],
        parent_span_id=b"",
        trace_state="",
        flags=HAS_IS_REMOTE | _SAMPLED,
        named=span_name(SPAN_NAME, SpanKind.INTERNAL),
        start_ns=now_ns - 1_000_000,
        end_ns=now_ns,
    )
    call = CallSpans(1, None, [SpanSegments(plain, b"")])
    batcher = Batcher(__version__, BatchLimits(), destination.resource_attributes, 0)
    batcher.add(1, Frame(INSTANCE, now_ns, 1, "", resource, [call]))
    return batcher.take().body


def metrics_request(destination: Destination, resource: bytes) -> bytes:
    """An `ExportMetricsServiceRequest` of the resource, without a metric."""
    own = destination.resource_attributes
    rest = without_keys(resource, frozenset(key.encode() for key in own))
    return field(0x0A, field(0x0A, rest + resource_attributes(own)))


def _tried(destination: Destination, signal: str, outcome: Outcome) -> Try:
    return Try(
        endpoint=destination.endpoint,
        protocol=destination.protocol,
        signal=signal,
        authorization=authorization_in(destination.headers),
        is_proxied=outcome.is_proxied,
        status=outcome.status,
        message=outcome.message,
        rejected=outcome.rejected,
        clock_ahead_s=outcome.clock_ahead_s,
    )
