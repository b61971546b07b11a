"""Delivery as a whole: a worker's socket on one side, real endpoints on the other."""

from __future__ import annotations

import logging
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any, Self

import pytest

from gateway.delivery.batch import BatchLimits
from gateway.delivery.chain import Pacing
from gateway.delivery.destination import Destination
from gateway.delivery.journal import Journal
from gateway.delivery.service import Delivery, DeliverySettings
from gateway.delivery.spool import Keeping, Reader, Spool
from gateway.socket_path import control_address
from gateway.wire.frames import (
    Ack,
    CallSpans,
    ConfigState,
    Counts,
    Hello,
    MessageKind,
    MessageReader,
    MetricKind,
    MetricPoint,
    MetricPoints,
    decode_payload,
    encode_message,
    encode_payload,
)
from tests.rig.frame_maker import INSTANCE, STARTED_NS, make_call, make_payload, names_of
from tests.rig.otlp_sink import HANG, OtlpSink
from tests.rig.until import until


class NoJitter(Random):
    def uniform(self, a: float, b: float) -> float:
        return a


# Batches go when there is a moment's pause, and failed ones are tried again at once.
QUICK = DeliverySettings(limits=BatchLimits(max_delay_s=0.01), pacing=Pacing(random=NoJitter()))


class Worker:
    """A worker's end, in plain blocking calls."""

    def __init__(self, state_dir: Path, instance_id: str = INSTANCE) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(60)
        with control_address(state_dir) as address:
            self._socket.connect(address)
        self._messages = MessageReader()
        self._heard: list[tuple[MessageKind, bytes]] = []
        self._instance_id = instance_id
        self.send(MessageKind.HELLO, encode_payload(Hello(instance_id, 42, STARTED_NS, "v1")))

    def send(self, kind: MessageKind, payload: bytes) -> None:
        self._socket.sendall(encode_message(kind, payload))

    def hand_over(self, sequence: int, *calls: CallSpans) -> None:
        """Send a frame and wait until it is acknowledged."""
        self.send(MessageKind.FRAME, make_payload(sequence, *calls, instance_id=self._instance_id))
        while decode_payload(self.hear(MessageKind.ACK), Ack).sequence < sequence:
            pass

    def hear(self, kind: MessageKind) -> bytes:
        """The next message of this kind; others are passed over."""
        while True:
            while not self._heard:
                data = self._socket.recv(65536)
                assert data, "the connection ended"
                self._heard += self._messages.feed(data)
            heard, payload = self._heard.pop(0)
            if heard is kind:
                return payload

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()


class Bench:
    """Deliveries in one state folder, one after another, and endpoints."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self.configs: list[tuple[str, ConfigState]] = []
        self.running: list[Delivery] = []

    def make(self, settings: DeliverySettings = QUICK) -> Delivery:
        delivery = Delivery(
            self.state_dir, on_config=lambda *told: self.configs.append(told), settings=settings
        )
        self.running.append(delivery)
        return delivery

    def start(self, *destinations: Destination) -> Delivery:
        delivery = self.make()
        delivery.configure(destinations)
        delivery.start()
        return delivery


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    for delivery in bench.running:
        delivery.stop(0.0)


@pytest.fixture
def sink() -> Iterator[OtlpSink]:
    with OtlpSink() as sink:
        yield sink


def to(sink: OtlpSink, name: str = "sink", bit: int = 0, **attributes: str) -> Destination:
    return Destination(name, sink.traces_url, {"Authorization": "key"}, attributes, bit)


def entry(delivery: Delivery, name: str = "sink") -> dict[str, Any]:
    """A destination of the telemetry, after a look whether its counts add up."""
    (found,) = [one for one in delivery.telemetry()["destinations"] if one["name"] == name]
    counts = found["ledger"]
    parts = ["exported", "rejected", "filtered_out", "sampled_out", "queued", "in_flight", "spooled"]
    assert counts["created"] == sum(counts[part] for part in parts) + counts["dropped"]["total"]
    return dict(found)


def exported(delivery: Delivery, name: str = "sink") -> int:
    return int(entry(delivery, name)["ledger"]["exported"])


def test_a_call_goes_from_the_worker_to_every_destination(bench: Bench, sink: OtlpSink) -> None:
    """Each destination gets its calls with its own attributes; the counts say so."""
    with OtlpSink() as other:
        delivery = bench.start(to(sink, team="a"), to(other, "other", bit=1))
        with Worker(bench.state_dir) as worker:
            worker.hand_over(1, make_call("both"), make_call("first", mask=0b01))
            sink.wait_for_spans(2)
            other.wait_for_spans(1)
            until(lambda: exported(delivery) == 2, what="the counts")
            until(lambda: exported(delivery, "other") == 1, what="the other counts")
        assert names_of(sink.spans()) == ["both", "first"]
        assert names_of(other.spans()) == ["both"]
        assert sink.spans_with_resource()[0][0]["team"] == "a"
        assert entry(delivery, "other")["ledger"]["sampled_out"] == 1


def test_telemetry_has_the_shape_of_the_api(bench: Bench, sink: OtlpSink) -> None:
    """Names and nesting are those of GET /api/telemetry."""
    delivery = bench.start(to(sink))
    with Worker(bench.state_dir) as worker:
        worker.send(MessageKind.COUNTS, encode_payload(Counts(5, 3, {"queue_full": 2}, 1)))
        worker.hand_over(1)
        until(lambda: exported(delivery) == 1, what="the export")
        shown = delivery.telemetry()
    last_success_at = shown["destinations"][0].pop("last_success_at")
    assert last_success_at.endswith("Z")
    assert shown == {
        "destinations": [
            {
                "name": "sink",
                "signal": "traces",
                "endpoint": sink.traces_url,
                "protocol": "http/protobuf",
                "state": "ok",
                "ledger": {
                    "created": 1,
                    "exported": 1,
                    "rejected": 0,
                    "filtered_out": 0,
                    "sampled_out": 0,
                    "dropped": {"total": 0, "by_reason": {}},
                    "queued": 0,
                    "in_flight": 0,
                    "spooled": 0,
                },
                "resent_total": 0,
                "kept_unsampled_total": 0,
                "last_error": None,
            }
        ],
        "removed": [],
        "workers": [
            {
                "instance_id": INSTANCE,
                "pid": 42,
                "handed_over": 3,
                "dropped": {"total": 2, "by_reason": {"queue_full": 2}},
            }
        ],
    }


def test_an_endpoint_that_is_down_gets_everything_later(bench: Bench, sink: OtlpSink) -> None:
    """Nothing is lost while it is away."""
    sink.answer_status(503, 3, Retry_After="0")
    delivery = bench.start(to(sink))
    with Worker(bench.state_dir) as worker:
        for sequence in range(1, 21):
            worker.hand_over(sequence)
    sink.wait_for_spans(20)
    until(lambda: exported(delivery) == 20, what="the counts")
    assert sorted(names_of(sink.spans())) == sorted(f"span-{n}" for n in range(1, 21))
    assert entry(delivery)["last_error"]["status"] == 503


def test_what_could_not_be_sent_goes_out_after_the_next_start(bench: Bench, sink: OtlpSink) -> None:
    """A stop with a dead endpoint ends in time and loses nothing."""
    down = Destination("sink", "http://127.0.0.1:1/", {}, {}, 0)
    delivery = bench.start(down)
    with Worker(bench.state_dir) as worker:
        worker.hand_over(1)
        worker.hand_over(2)
        until(lambda: entry(delivery)["state"] == "retrying", what="a failed try")
    delivery.stop(5.0)
    assert not delivery.is_running
    delivery = bench.start(to(sink))
    sink.wait_for_spans(2)
    until(lambda: exported(delivery) == 2, what="the counts")
    delivery.stop(5.0)
    delivery = bench.start(to(sink))
    assert entry(delivery)["ledger"]["exported"] == 2  # delivered is delivered, and the counts go on


def test_a_killed_process_sends_again_at_most_what_it_had_not_noted(bench: Bench, sink: OtlpSink) -> None:
    """At least once: after a crash nothing is missing, and a frame sent again is not there twice."""
    delivery = bench.make()
    delivery._spool.reader("sink")
    delivery._spool.append(make_payload(1))
    delivery._spool.keep_cursors()  # the process ends here: no close
    again = bench.start(to(sink))
    with Worker(bench.state_dir) as worker:
        worker.hand_over(1)
        worker.hand_over(2)
    sink.wait_for_spans(2)
    again.stop(5.0)
    assert names_of(sink.spans()) == ["span-1", "span-2"]


def test_stopping_sends_what_waits(bench: Bench, sink: OtlpSink) -> None:
    """The batch delay does not hold up the end, nor does the end lose the batch."""
    settings = DeliverySettings(limits=BatchLimits(max_delay_s=3600.0))
    delivery = bench.make(settings)
    delivery.configure([to(sink)])
    delivery.start()
    with Worker(bench.state_dir) as worker:
        for sequence in range(1, 4):
            worker.hand_over(sequence)
    delivery.stop(10.0)
    assert names_of(sink.spans()) == ["span-1", "span-2", "span-3"]


def test_stopping_does_not_wait_for_a_hanging_endpoint(bench: Bench, sink: OtlpSink) -> None:
    """The deadline holds; the batch stays."""
    sink.answer(HANG)
    delivery = bench.start(to(sink))
    with Worker(bench.state_dir) as worker:
        worker.hand_over(1)
        sink.wait_for_requests(1)
    delivery.stop(0.1)
    assert not delivery.is_running
    bench.start(to(sink))
    assert names_of(sink.wait_for_spans(1)) == ["span-1"]


def test_destinations_change_while_running(bench: Bench, sink: OtlpSink) -> None:
    """One unchanged keeps its queue, one changed goes on at once, a new one begins, a removed one ends."""
    down = Destination("mended", "http://127.0.0.1:1/", {}, {}, 0)
    with OtlpSink() as late:
        delivery = bench.start(to(sink), down)
        with Worker(bench.state_dir) as worker:
            worker.hand_over(1)
            sink.wait_for_spans(1)
            until(lambda: entry(delivery, "mended")["state"] == "retrying", what="a failed try")
            delivery.configure([to(sink), to(late, "mended"), to(late, "new", x="new")], "v2")
            late.wait_for_spans(1)
            worker.hand_over(2)
            sink.wait_for_spans(2)
            late.wait_for_spans(3)
            until(lambda: exported(delivery, "new") == 1, what="the counts")
            until(lambda: exported(delivery, "mended") == 2, what="the counts")
            delivery.configure([to(sink)], "v3")
            worker.hand_over(3)
            sink.wait_for_spans(3)
        news = [span.name for resource, span in late.spans_with_resource() if "x" in resource]
        assert news == ["span-2"]
        assert names_of(sink.spans()) == ["span-1", "span-2", "span-3"]
        assert [one["name"] for one in delivery.telemetry()["destinations"]] == ["sink"]
        delivery.stop(5.0)
        assert len(late.spans()) == 3


def test_an_endless_series_of_changes_leaks_nothing(bench: Bench, sink: OtlpSink) -> None:
    """Removed destinations take their tasks and connections with them."""
    delivery = bench.start()
    for _ in range(30):
        delivery.configure([to(sink, "a"), to(sink, "b")])
        delivery.configure([])
    until(lambda: not delivery._closers, what="the senders to end")
    assert delivery._senders == {}
    assert delivery._tasks == {}
    assert delivery._spool.consumers() == frozenset()
    assert delivery.telemetry()["removed"][0]["ledger"]["created"] == 0


def test_what_a_removed_destination_had_not_got_is_counted(
    bench: Bench, sink: OtlpSink, caplog: pytest.LogCaptureFixture
) -> None:
    """Also when it was taken out while control was not there; and its counts go on when it comes back."""
    sink.answer(*[HANG] * 100)
    delivery = bench.start(to(sink, "a"), to(sink, "b"))
    with Worker(bench.state_dir) as worker:
        worker.hand_over(1, make_call("x"), make_call("y"))
        until(lambda: entry(delivery, "a")["ledger"]["in_flight"], what="a try")
    delivery.configure([to(sink, "b")])
    assert "destination a is no more; dropped, as it had not got them: 2 spans" in caplog.text
    delivery.stop(0.0)
    delivery = bench.start()
    removed = {one["name"]: one["ledger"] for one in delivery.telemetry()["removed"]}
    assert {name: ledger["dropped"]["by_reason"] for name, ledger in removed.items()} == {
        "a": {"destination_removed": 2},
        "b": {"destination_removed": 2},
    }
    delivery.configure([to(sink, "a")])
    assert [one["name"] for one in delivery.telemetry()["removed"]] == ["b"]
    ledger = entry(delivery, "a")["ledger"]
    assert (ledger["created"], ledger["dropped"]["total"]) == (2, 2)


def test_of_a_destination_removed_again_only_the_new_loss_is_told(
    bench: Bench, sink: OtlpSink, caplog: pytest.LogCaptureFixture
) -> None:
    """What it lost when it was taken out before is in the ledger, and was told then; running or not."""
    caplog.set_level(logging.INFO)
    sink.answer(*[HANG] * 100)
    delivery = bench.start(to(sink, "a"))
    with Worker(bench.state_dir) as worker:
        worker.hand_over(1, make_call("x"), make_call("y"))
        until(lambda: entry(delivery, "a")["ledger"]["in_flight"], what="a try")
    for lost in (2, 0):
        caplog.clear()
        delivery.configure([])
        assert f"destination a is no more; dropped, as it had not got them: {lost} spans" in caplog.text
        delivery.configure([to(sink, "a")])
    delivery.stop(0.0)
    caplog.clear()
    bench.start()
    assert "destination a is no more; dropped, as it had not got them: 0 spans" in caplog.text


def test_a_version_goes_to_the_workers_and_what_they_say_comes_back(bench: Bench) -> None:
    """announce_config reaches them; their state is told and shown."""
    delivery = bench.start()
    with Worker(bench.state_dir) as worker:
        delivery.announce_config("v2")
        assert decode_payload(worker.hear(MessageKind.CONFIG), ConfigState).version == "v2"
        worker.send(MessageKind.CONFIG_LOADED, encode_payload(ConfigState("v2")))
        until(lambda: bench.configs, what="the answer")
        (state,) = delivery.workers()
        assert (state.instance_id, state.config_version, state.is_connected) == (INSTANCE, "v2", True)
    until(lambda: not delivery.workers()[0].is_connected, what="the worker to be gone")


def test_metrics_of_the_workers_are_summed_and_kept(bench: Bench) -> None:
    """Also in the next process, which begins where this one ended."""
    delivery = bench.start()
    point = MetricPoint("n", (), MetricKind.SUM, [2])
    with Worker(bench.state_dir) as worker:
        worker.send(MessageKind.METRICS, encode_payload(MetricPoints(True, [point])))
        until(lambda: delivery.metrics().points, what="the metrics")
        first = delivery.metrics()
        assert (first.points, first.workers) == ([point], 1)
    delivery.stop(0.0)
    again = bench.start().metrics()
    assert (again.points, again.started_ns, again.workers) == ([point], first.started_ns, 0)


def test_the_store_reads_beside_the_senders_to_the_end(bench: Bench, sink: OtlpSink) -> None:
    """Its thread gets every frame, also those that come last before the stop."""
    delivery = bench.make()
    reader = delivery.local_reader(None)
    delivery.configure([to(sink)])
    delivery.start()
    stored: list[int] = []

    def store() -> None:
        while found := reader.read(1 << 20, 100, timeout_s=30.0):
            for position, _payload in found:
                stored.append(position)
                reader.advance(position)

    thread = threading.Thread(target=store)
    thread.start()
    with Worker(bench.state_dir) as worker:
        for sequence in range(1, 31):
            worker.hand_over(sequence)
    delivery.stop(10.0)
    thread.join(60.0)
    assert stored == list(range(1, 31))
    assert len(sink.spans()) == 30
    assert reader.counts().passed == 30


def test_the_store_goes_on_at_its_own_cursor(bench: Bench) -> None:
    """A restart gives it what it has not yet."""
    delivery = bench.make()
    delivery.local_reader(None)
    for sequence in (1, 2, 3):
        delivery._spool.append(make_payload(sequence))
    delivery.stop(0.0)
    reader = bench.make().local_reader(2, 2)
    assert reader.read(1 << 20, 100) == [(3, make_payload(3))]
    assert reader.taken(3).spans_before == 3


def test_a_sender_that_an_error_ended_goes_on(
    bench: Bench, sink: OtlpSink, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A failing disk costs time, not spans."""
    monkeypatch.setattr("gateway.delivery.service._RESTART_S", 0.01)
    delivery = bench.make()
    spool_read = Reader.read
    failures = iter([True, True])

    def failing_read(*args: Any) -> Any:
        if next(failures, False):
            raise OSError(5, "Input/output error")
        return spool_read(*args)

    monkeypatch.setattr("gateway.delivery.spool.Reader.read", failing_read)
    delivery.configure([to(sink)])
    delivery.start()
    with Worker(bench.state_dir) as worker:
        worker.hand_over(1)
    sink.wait_for_spans(1)
    assert "Input/output error" in caplog.text


def test_a_sender_that_an_error_ended_shows(
    bench: Bench, sink: OtlpSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it goes on nothing is sent, so it is not well."""

    def failing_read(*_: Any) -> Any:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("gateway.delivery.spool.Reader.read", failing_read)
    delivery = bench.start(to(sink))

    def entry() -> dict[str, Any]:
        (found,) = delivery.telemetry()["destinations"]
        return dict(found)

    until(lambda: entry()["state"] == "retrying", what="the trouble to show")
    assert entry()["last_error"]["message"].endswith("OSError: [Errno 5] Input/output error")
    assert "state folder's disk" in entry()["last_error"]["advice"]


def test_a_disk_that_fails_to_sync_is_told_once(
    bench: Bench, sink: OtlpSink, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And not each second of an outage; a new one is news."""
    monkeypatch.setattr("gateway.delivery.service._KEEP_CURSORS_S", 0.001)
    begin_keeping = Spool.begin_keeping
    fails = iter([True, True, True, False, True, True])
    is_over = threading.Event()

    def begin_or_fail(spool: Spool) -> Keeping:
        is_failing = next(fails, None)
        if is_failing:
            raise OSError(5, "Input/output error")
        if is_failing is None:
            is_over.set()
        return begin_keeping(spool)

    monkeypatch.setattr(Spool, "begin_keeping", begin_or_fail)
    bench.start(to(sink))
    assert is_over.wait(60.0)
    assert [record for record in caplog.messages if "cannot be synced" in record] == [
        "the spool cannot be synced; a power cut now would lose what it holds: [Errno 5] Input/output error"
    ] * 2


def test_a_start_that_cannot_work_says_why(bench: Bench, tmp_path: Path) -> None:
    """A state folder that is in the way is an error of `start`, not of a thread."""
    delivery = bench.make()
    (tmp_path / "control.sock").mkdir()
    with pytest.raises(OSError, match="control"):
        delivery.start()


def test_it_answers_before_its_start_and_after_its_end(bench: Bench, sink: OtlpSink) -> None:
    """The API may ask at any time."""
    delivery = bench.make()
    assert delivery.telemetry() == {"destinations": [], "removed": [], "workers": []}
    delivery.announce_config("v1")
    delivery.configure([to(sink)])
    delivery.start()
    delivery.stop(1.0)
    delivery.stop(1.0)
    assert delivery.workers() == []
    assert [one["name"] for one in delivery.telemetry()["destinations"]] == ["sink"]


def test_the_cursors_are_kept_while_running(bench: Bench, sink: OtlpSink) -> None:
    """With the end of each batch, so that a crash repeats at most the one in hand."""
    delivery = bench.start(to(sink))
    with Worker(bench.state_dir) as worker:
        worker.hand_over(1)
    until(lambda: exported(delivery) == 1, what="the export")
    folder = bench.state_dir / "crashed"
    shutil.copytree(bench.state_dir / "spool", folder)  # as a crash would leave it
    entry = Journal(folder).find("sink")
    assert entry is not None
    assert (entry.position, entry.counts["exported"], entry.tried_spans) == (1, 1, 0)
