"""Delivery against an endpoint that answers as Elastic's: after each fault the ledger adds up.

Faults of the processes (kill -9 of control, of a worker) are in tests/e2e.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.delivery.batch import BatchLimits
from gateway.delivery.chain import Pacing
from gateway.delivery.destination import Destination
from gateway.delivery.selection import Selection
from gateway.delivery.service import Delivery, DeliverySettings
from gateway.wire.frames import CallSpans, SpanSegments
from gateway.wire.otlp import AttributeKey
from tests.rig.frame_maker import EVERYWHERE, make_call, make_payload, make_span, names_of
from tests.rig.managed_otlp import AUTHORIZATION, GARBAGE, KEY, Limits, ManagedOtlp
from tests.rig.otlp_sink import HANG, RESET, Answer, partial_success
from tests.rig.until import until
from tests.unit.delivery.test_service import NoJitter

SETTINGS = DeliverySettings(
    limits=BatchLimits(max_spans=4, max_delay_s=0.01), pacing=Pacing(random=NoJitter(), probe_s=0.02)
)


class Bench:
    """A delivery that is fed through its spool, and its endpoint."""

    def __init__(self, state_dir: Path, endpoint: ManagedOtlp) -> None:
        self.state_dir = state_dir
        self.endpoint = endpoint
        self.destination = Destination(
            "elastic", endpoint.traces_url, {"Authorization": AUTHORIZATION}, {}, 0, timeout_s=30.0
        )
        self.delivery = self.make()

    def make(self) -> Delivery:
        self.delivery = Delivery(self.state_dir, on_config=lambda *_: None, settings=SETTINGS)
        self.delivery.configure([self.destination])
        self.delivery._spool.reader("elastic")  # known before the first frame comes
        return self.delivery

    def spool(self, count: int, first: int = 1) -> None:
        for n in range(first, first + count):
            self.delivery._spool.append(make_payload(n))

    def ledger(self) -> dict[str, Any]:
        """The counts, after a look whether they add up."""
        (entry,) = self.delivery.telemetry()["destinations"]
        counts = entry["ledger"]
        parts = ["exported", "rejected", "filtered_out", "sampled_out", "queued", "in_flight", "spooled"]
        assert counts["created"] == sum(counts[part] for part in parts) + counts["dropped"]["total"]
        return dict(counts)

    def entry(self) -> dict[str, Any]:
        (entry,) = self.delivery.telemetry()["destinations"]
        return dict(entry)

    def run_until_settled(self) -> dict[str, Any]:
        """Run until every span has its fate, looking at the sums all the while."""

        def is_settled() -> bool:
            counts = self.ledger()
            return not (counts["queued"] or counts["in_flight"] or counts["spooled"])

        if not self.delivery.is_running:
            self.delivery.start()
        until(is_settled, what="every span's fate")
        return {name: value for name, value in self.ledger().items() if value}


@pytest.fixture
def endpoint() -> Iterator[ManagedOtlp]:
    with ManagedOtlp() as endpoint:
        yield endpoint


@pytest.fixture
def bench(tmp_path: Path, endpoint: ManagedOtlp) -> Iterator[Bench]:
    bench = Bench(tmp_path, endpoint)
    yield bench
    bench.delivery.stop(0.0)


def settled(**counts: int) -> dict[str, Any]:
    return {"dropped": {"total": 0, "by_reason": {}}, **counts}


ALL = [f"span-{n}" for n in range(1, 11)]


@pytest.mark.parametrize(
    "faults",
    [
        [Answer(503), Answer(502), Answer(504)],
        [Answer(429, {"Retry-After": "0"})] * 3,
        [RESET, RESET],
        [Answer(delay_s=0.1)] * 3,
    ],
    ids=["out of service", "busy", "reset", "slow"],
)
def test_what_passes_loses_nothing(bench: Bench, endpoint: ManagedOtlp, faults: list[Answer]) -> None:
    """Every span arrives, in order."""
    endpoint.answer(*faults)
    bench.spool(10)
    assert bench.run_until_settled() == settled(created=10, exported=10)
    assert names_of(endpoint.spans()) == ALL


def test_what_hangs_loses_nothing(bench: Bench, endpoint: ManagedOtlp) -> None:
    """Every span arrives, in order, when the time of the try is over."""
    endpoint.answer(HANG)
    bench.delivery.configure([replace(bench.destination, timeout_s=0.5)])
    bench.spool(10)
    bench.delivery.start()
    endpoint.wait_for_requests(1)
    # The next is not to be sent twice, however slow a busy machine makes its answer.
    bench.delivery.configure([bench.destination])
    assert bench.run_until_settled() == settled(created=10, exported=10)
    assert names_of(endpoint.spans()) == ALL


def test_a_success_that_says_nothing_readable_is_one(bench: Bench, endpoint: ManagedOtlp) -> None:
    """A proxy's own 200 is believed, and remarked."""
    endpoint.answer(GARBAGE)
    bench.spool(1)
    assert bench.run_until_settled() == settled(created=1, exported=1)


@pytest.mark.parametrize("protocol", ["http/protobuf", "http/json"])
def test_a_wrong_key_pauses_until_it_is_right(bench: Bench, endpoint: ManagedOtlp, protocol: Any) -> None:
    """Elastic's own words are shown with advice; the mended key is used without a restart."""
    wrong = replace(bench.destination, headers={"Authorization": KEY}, protocol=protocol)
    bench.delivery.configure([wrong])
    bench.spool(10)
    bench.delivery.start()
    until(lambda: bench.entry()["state"] == "paused", what="the pause")
    error = bench.entry()["last_error"]
    assert error["status"] == 401
    assert "ApiKey prefix not found, expected ApiKey" in error["message"]
    assert "ApiKey" in error["advice"]
    assert KEY not in str(bench.entry())
    assert bench.ledger()["exported"] == 0
    bench.delivery.configure([replace(wrong, headers={"Authorization": AUTHORIZATION})])
    assert bench.run_until_settled() == settled(created=10, exported=10)
    assert bench.entry()["state"] == "ok"


def test_a_key_that_becomes_good_at_the_endpoint_needs_nothing_here(
    bench: Bench, endpoint: ManagedOtlp
) -> None:
    """The slow probe finds out."""
    endpoint.key = "another"
    bench.spool(3)
    bench.delivery.start()
    until(lambda: bench.entry()["state"] == "paused", what="the pause")
    endpoint.key = KEY
    assert bench.run_until_settled() == settled(created=3, exported=3)


@pytest.mark.parametrize("status", [413, 400])
@pytest.mark.parametrize("protocol", ["http/protobuf", "http/json"])
def test_requests_too_large_are_halved(
    bench: Bench, endpoint: ManagedOtlp, status: int, protocol: Any
) -> None:
    """By either answer, in either form; a span that alone is too large goes without its content."""
    endpoint.limits = Limits(max_body_bytes=1200, too_large_status=status)
    bench.delivery.configure([replace(bench.destination, protocol=protocol)])
    content = AttributeKey("gen_ai.input.messages").text("x" * 2000)
    bench.spool(3)
    bench.delivery._spool.append(
        make_payload(4, CallSpans(EVERYWHERE, None, [make_span("span-4", content=content)]))
    )
    bench.delivery._spool.append(make_payload(5, make_call("never", size_bytes=3000)))
    bench.spool(5, first=6)
    counts = bench.run_until_settled()
    assert counts["exported"] == 9
    assert counts["dropped"] == {"total": 1, "by_reason": {"too_large": 1}}
    names = [f"span-{n}" for n in range(1, 11) if n != 5]
    assert names_of(endpoint.spans()) == names
    (marked,) = [span for span in endpoint.spans() if span.attributes]
    assert [item.key for item in marked.attributes] == ["gateway.content.dropped"]


def test_other_refusals_drop_and_count(bench: Bench, endpoint: ManagedOtlp) -> None:
    """The same bytes would be refused again."""
    endpoint.answer(Answer(500), Answer(415))
    bench.spool(10)
    counts = bench.run_until_settled()
    assert counts["exported"] == 2
    reasons = {"non_retryable_500": 4, "non_retryable_415": 4}
    assert counts["dropped"] == {"total": 8, "by_reason": reasons}


def test_a_span_that_cannot_become_json_goes_alone(bench: Bench, endpoint: ManagedOtlp) -> None:
    """Its neighbours in the batch are not dropped for it."""
    bench.delivery.configure([replace(bench.destination, protocol="http/json")])
    bench.spool(2)
    no_text = SpanSegments(
        make_span("x").plain + AttributeKey("k").text("abc").replace(b"abc", b"a\xffc"), b""
    )
    bench.delivery._spool.append(make_payload(3, CallSpans(EVERYWHERE, None, [no_text])))
    bench.spool(1, first=4)
    counts = bench.run_until_settled()
    assert counts["dropped"]["by_reason"] == {"unreadable": 1}
    assert names_of(endpoint.spans()) == ["span-1", "span-2", "span-4"]


def test_a_partial_success_is_never_sent_again(bench: Bench, endpoint: ManagedOtlp) -> None:
    """Rejected is rejected."""
    endpoint.answer(partial_success(3, "too old"))
    bench.spool(4)
    assert bench.run_until_settled() == settled(created=4, exported=1, rejected=3)
    assert len(endpoint.requests()) == 1


def test_a_new_configuration_with_spans_in_flight(bench: Bench, endpoint: ManagedOtlp) -> None:
    """The try under way ends; nothing is sent twice or lost."""
    endpoint.answer(Answer(delay_s=0.2))
    bench.spool(10)
    bench.delivery.start()
    endpoint.wait_for_requests(1)
    changed = replace(bench.destination, compression="none", selection=Selection(has_content=False))
    bench.delivery.configure([changed])
    assert bench.run_until_settled() == settled(created=10, exported=10)
    assert names_of(endpoint.spans()) == ALL
    assert "content-encoding" not in endpoint.requests()[-1].headers


def test_the_ledger_goes_on_after_an_orderly_end(bench: Bench, endpoint: ManagedOtlp) -> None:
    """Counts are those of the destination, not of the process."""
    endpoint.answer(partial_success(1, "too old"), Answer(500))
    bench.spool(8)
    bench.run_until_settled()
    bench.delivery.stop(5.0)
    bench.make()
    bench.spool(2, first=9)
    counts = bench.run_until_settled()
    assert (counts["created"], counts["exported"], counts["rejected"]) == (10, 5, 1)
    assert counts["dropped"]["by_reason"] == {"non_retryable_500": 4}
    assert bench.entry()["resent_total"] == 0


def test_a_crash_between_the_answer_and_our_note(bench: Bench, endpoint: ManagedOtlp, tmp_path: Path) -> None:
    """The disk as it was while the batch was on its way: sent again, exported once, counted as resent."""
    endpoint.answer(Answer(), HANG)
    bench.spool(10)
    bench.delivery.start()
    endpoint.wait_for_requests(2)
    until(lambda: bench.ledger()["exported"] == 4, what="the note of the first")
    crashed = tmp_path / "crashed"
    shutil.copytree(bench.state_dir / "spool", crashed / "spool")
    bench.delivery.stop(0.0)
    bench.state_dir = crashed
    bench.make()
    counts = bench.run_until_settled()
    assert counts == settled(created=10, exported=10)
    assert bench.entry()["resent_total"] == 4
    assert names_of(endpoint.spans()) == ALL


def test_a_full_disk_holds_the_frames_back(
    bench: Bench, endpoint: ManagedOtlp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is spooled goes out all the same, and the counts are kept in memory."""
    bench.spool(4)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gateway.delivery.journal.write_at", full)
    assert bench.run_until_settled() == settled(created=4, exported=4)
