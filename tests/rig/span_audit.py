"""An audit of spans: what was made, what the ledgers say became of it, and what an endpoint really got.

The callers' side is counted by `Load`, the endpoint's by decoding what it received; the gateway's own word
for both is `GET /api/telemetry`. Nothing here trusts one of the three without another.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from tests.rig.gateway_process import GatewayProcess
from tests.rig.load import Load
from tests.rig.otlp_sink import OtlpSink
from tests.rig.until import until

SPANS_PER_CALL: Final = 2
LOCAL: Final = "local"
SETTLE_TIMEOUT_S: Final = 60.0
_WAITING: Final = ("queued", "in_flight", "spooled")
_ENDED: Final = ("exported", "rejected", "filtered_out", "sampled_out")
# Answered with success, or taken in and then cut off or left without an answer.
_TAKEN: Final = (200, 0)

Ledger = dict[str, Any]


@dataclass(frozen=True)
class Arrived:
    """What an endpoint took in, by span id.

    Attributes:
        trace_ids: Of the distinct spans.
        distinct: How many different spans.
        repeats: How many came again, each time counted.
    """

    trace_ids: frozenset[str]
    distinct: int
    repeats: int


class SpanAudit:
    """One gateway, the endpoints that it sends to, and the calls made of it.

    Args:
        gateway: May be stopped and started again meanwhile.
        endpoints: By the name of their destination.

    Attributes:
        trace_ids: Of all good calls.
    """

    def __init__(self, gateway: GatewayProcess, endpoints: Mapping[str, OtlpSink]) -> None:
        self.gateway = gateway
        self.endpoints = dict(endpoints)
        self.trace_ids: list[str] = []

    @property
    def made(self) -> int:
        """Spans of the good calls."""
        return SPANS_PER_CALL * len(self.trace_ids)

    @contextmanager
    def calls(self, *, threads: int = 2, pause_s: float = 0.01) -> Iterator[Load]:
        """Call steadily within the block; none of these calls may fail."""
        load = Load(self.gateway, threads=threads, pause_s=pause_s)
        with self.counted(load):
            yield load
        assert load.failures == [], load.failures[:3]

    @contextmanager
    def counted(self, load: Load) -> Iterator[Load]:
        """Call steadily within the block; what fails is for the test to judge."""
        with load:
            load.go_on()
            yield load
        self.trace_ids += load.trace_ids

    def ledgers(self) -> dict[str, Ledger]:
        """Every destination's, after a look whether it adds up."""
        found = {
            entry["name"]: entry["ledger"]
            for entry in self.gateway.get("/api/telemetry")["destinations"]
            if entry["signal"] == "traces"
        }
        for name, counts in found.items():
            parts = {**counts, "dropped": counts["dropped"]["total"]}
            assert min(parts.values()) >= 0, f"{name}: {counts}"
            created = parts.pop("created")
            assert created == sum(parts.values()), f"{name}: {counts}"
            assert counts["dropped"]["total"] == sum(counts["dropped"]["by_reason"].values())
        return found

    def is_control_back(self) -> bool:
        """Whether control answers, and has met as many workers as there are."""
        try:
            return len(self.gateway.get("/api/config")["workers"]) == len(self.gateway.worker_pids()) > 0
        except OSError:
            return False

    def entry(self, name: str) -> dict[str, Any]:
        """A destination as the API shows it."""
        entries: list[dict[str, Any]] = self.gateway.get("/api/telemetry")["destinations"]
        return next(entry for entry in entries if entry["name"] == name)

    def dropped_by_workers(self) -> Counter[str]:
        """Spans that never came to any destination, by reason."""
        total: Counter[str] = Counter()
        for worker in self.gateway.get("/api/telemetry")["workers"]:
            total.update(worker["dropped"]["by_reason"])
        return total

    def arrived(self, name: str) -> Arrived:
        """What the endpoint of a destination took in."""
        return arrived_at(self.endpoints[name])

    def settle(self, timeout_s: float = SETTLE_TIMEOUT_S, uncounted: int = 0) -> dict[str, Ledger]:
        """The ledgers once nothing waits any more and every span made is in them, looked at all the while.

        Spans made = created + given up by workers, for every destination; but for *uncounted*.
        """

        def settled() -> dict[str, Ledger] | None:
            ledgers, given_up = self.ledgers(), self.dropped_by_workers().total()
            is_over = all(
                counts["created"] + given_up >= self.made - uncounted
                and not any(counts[name] for name in _WAITING)
                for counts in ledgers.values()
            )
            return ledgers if is_over else None

        try:
            ledgers = until(settled, what="every span's fate", timeout_s=timeout_s)
        except AssertionError as error:
            report = f"{self.ledgers()}, by workers {self.dropped_by_workers()}, made {self.made}"
            raise AssertionError(f"{error}: {report}\n{self.gateway.log[-4000:]}") from error
        assert ledgers is not None
        return ledgers

    def check(self, *, timeout_s: float = SETTLE_TIMEOUT_S) -> dict[str, Ledger]:
        """Settle, and compare all three sides for every destination.

        Returns:
            The ledgers.
        """
        ledgers = self.settle(timeout_s)
        given_up = self.dropped_by_workers().total()
        for name, counts in ledgers.items():
            assert counts["created"] + given_up == self.made, f"{name}: {counts}, by workers {given_up}"
        for name in self.endpoints:
            self.check_endpoint(name)
        return ledgers

    def check_endpoint(self, name: str) -> None:
        """Compare what a ledger says was exported with what the endpoint took in."""

        def agrees() -> bool:
            counts = self.ledgers()[name]
            # An endpoint that takes a part of a batch was sent all of it.
            return self.arrived(name).distinct == int(counts["exported"]) + int(counts["rejected"])

        # Of calls that a test could not count, some may still be on their way.
        until(agrees, what=f"the ledger of {name} to agree with its endpoint")
        arrived = self.arrived(name)
        assert arrived.repeats <= self.entry(name)["resent_total"], name
        if arrived.distinct == self.made:
            assert arrived.trace_ids == frozenset(self.trace_ids)


def arrived_at(endpoint: OtlpSink) -> Arrived:
    """What an endpoint took in, answered or not."""
    seen: Counter[bytes] = Counter()
    trace_ids = set()
    for received in endpoint.requests():
        if received.status not in _TAKEN:
            continue
        for group in received.request.resource_spans:
            for scope in group.scope_spans:
                for span in scope.spans:
                    seen[span.span_id] += 1
                    trace_ids.add(span.trace_id.hex())
    return Arrived(frozenset(trace_ids), len(seen), seen.total() - len(seen))


def stored(ledgers: Mapping[str, Ledger]) -> int:
    """Spans that the local store has, or has left out since the machine was busy."""
    return int(ledgers[LOCAL]["exported"] + ledgers[LOCAL]["sampled_out"])
