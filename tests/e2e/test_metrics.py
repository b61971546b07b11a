"""Metrics of the whole gateway: `/metrics` on both planes and OTLP, over several workers and their ends."""

from __future__ import annotations

import http.client
import signal
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.telemetry.instruments import SECONDS
from tests.rig.fake_upstream import FakeUpstream
from tests.rig.gateway_process import Document, GatewayProcess, StartGateway
from tests.rig.manifests import ENVIRONMENT, chat, standard_documents
from tests.rig.otlp_sink import OtlpSink
from tests.rig.rotel_collector import RotelCollector
from tests.rig.until import until

QUICK = {**ENVIRONMENT, "OTEL_METRIC_EXPORT_INTERVAL": "300"}
REQUESTS = "ai_gateway_requests_total"


def metrics_config(sink: OtlpSink, *, name: str = "sink", **more: object) -> Document:
    headers = {"Authorization": "env:SINK_AUTHORIZATION"}
    exporter = {"type": "http", "endpoint": sink.metrics_url, "headers": headers, **more}
    return {"type": "gateway-otel-config", "name": name, "otel_metrics_exporter_config": exporter}


def scrape(port: int) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every sample of `/metrics`, read by Prometheus's own parser."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", "/metrics")
        reply = connection.getresponse()
        assert reply.status == 200
        text = reply.read().decode()
    finally:
        connection.close()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(gateway: GatewayProcess, name: str, port: int | None = None, **labels: str) -> float:
    """The sum of a metric over all label sets that have *labels*."""
    wanted = set(labels.items())
    samples = scrape(port or gateway.control_port).items()
    return sum(value for (sample, found), value in samples if sample == name and wanted <= found)


def test_both_planes_give_the_sum_of_all_workers(start_gateway: StartGateway) -> None:
    """Calls that different workers took are one number, wherever it is asked for."""
    gateway = start_gateway(workers=2, options=["--metrics-on-data-port"])
    for _ in range(12):
        assert chat(gateway, "fake/normal").status == 200
    chat(gateway, "no/such-model-7f3a")
    chat(gateway, "down/refused")
    for port in (gateway.control_port, gateway.port):
        until(lambda port=port: total(gateway, REQUESTS, port) == 14, what="all calls to be counted")  # type: ignore[misc]
        assert total(gateway, REQUESTS, port, model_name="fake/normal", username="app") == 12
        assert total(gateway, REQUESTS, port, model_name="other") == 1
        assert total(gateway, "gateway_workers", port) == 2
    samples = scrape(gateway.control_port)
    assert not any("7f3a" in str(key) for key in samples)
    # Of the host, so once however many workers count.
    assert samples["gateway_limits_drops_total", frozenset({("reason", "counters_full")})] == 0
    assert samples["gateway_limits_drops_total", frozenset({("reason", "notes_full")})] == 0
    failed = "ai_gateway_request_model_inference_failure_total"
    assert total(gateway, failed, error_code="none", exception_class="upstream_unreachable") >= 1
    assert (
        total(gateway, "gen_ai_client_inference_duration_seconds_count", gen_ai_request_model="normal") == 12
    )


def test_metadata_as_labels(start_gateway: StartGateway) -> None:
    """What callers wrote under a key that the environment names splits the metrics of their calls."""
    environment = {**ENVIRONMENT, "LLM_GATEWAY_METADATA_LOGGING_KEYS": '["team"]'}
    gateway = start_gateway(workers=1, environment=environment)
    for team in ("search", "shop", "shop"):
        chat(gateway, "fake/normal", headers=[("x-tfy-metadata", f'{{"team":"{team}","other":"x"}}')])
    for team, calls in (("search", 1), ("shop", 2)):
        until(
            lambda team=team, calls=calls: (  # type: ignore[misc]
                total(gateway, REQUESTS, llm_gateway_metadata_team=team) == calls
            ),
            what=f"the calls of {team}",
        )


def test_data_port_has_no_metrics_unless_asked(gateway: GatewayProcess) -> None:
    """They name models and callers, so they are on the control plane only."""
    with gateway.connect() as connection:
        assert connection.exchange("GET", "/metrics", [], b"").status in (401, 404)


@pytest.mark.parametrize("victim", ["worker", "control"])
def test_sums_survive_the_end_of_a_process(start_gateway: StartGateway, victim: str) -> None:
    """A kill -9 of a worker or of control: what was counted stays, and counting goes on."""
    gateway = start_gateway(workers=1)
    for _ in range(5):
        chat(gateway, "fake/normal")
    until(lambda: total(gateway, REQUESTS) == 5, what="the calls to be counted")
    pid = gateway.worker_pids()[0] if victim == "worker" else gateway.control_pid()
    gateway.signal(signal.SIGKILL, pid)
    until(lambda: pid not in [*gateway.worker_pids(), gateway.control_pid()], what="it to be gone")
    until(lambda: gateway.control_pid() and gateway.worker_pids(), what="it to be started again")
    until(lambda: _called(gateway), what="the gateway to take a call")
    until(lambda: _counted(gateway) == 6, what="the call to be added to those before")


def test_no_counter_goes_down_when_control_is_killed(
    start_gateway: StartGateway, upstream: FakeUpstream, closed_port: int
) -> None:
    """From the first answer of the next one on: of calls, of control itself, of each ledger."""
    with OtlpSink() as sink:
        documents = [*standard_documents(upstream.base_url, closed_port), metrics_config(sink)]
        gateway = start_gateway(documents, workers=2, environment=QUICK)
        sink.wait_for_metrics(2, timeout_s=60.0)
        for _ in range(10):
            chat(gateway, "fake/normal")
        until(lambda: total(gateway, REQUESTS) == 10, what="the calls to be counted")
        before = _counters(gateway)
        pid = gateway.control_pid()
        gateway.signal(signal.SIGKILL, pid)
        until(lambda: gateway.control_pid() not in (0, pid), what="control to be started again")
        after = until(lambda: _counters(gateway), what="control to answer")
        assert {name: (count, after.get(name)) for name, count in before.items()
                if after.get(name, 0) < count} == {}  # fmt: skip
        assert any("process_cpu" in name for name, _labels in before)


def _counters(gateway: GatewayProcess) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every counter and histogram; none while control does not answer."""
    ends = ("_total", "_count", "_bucket", "_sum")
    try:
        return {key: value for key, value in scrape(gateway.control_port).items() if key[0].endswith(ends)}
    except OSError:
        return {}


def _called(gateway: GatewayProcess) -> bool:
    try:
        return chat(gateway, "fake/normal").status == 200
    except OSError:
        return False


def _counted(gateway: GatewayProcess) -> float:
    try:
        return total(gateway, REQUESTS)
    except OSError:
        return -1


def test_sums_are_exported_over_otlp(
    start_gateway: StartGateway, upstream: FakeUpstream, closed_port: int
) -> None:
    """A collector gets the GenAI metrics with their attributes, and the header that lets us in."""
    with OtlpSink() as of_protobuf, OtlpSink() as of_json:
        documents = [
            *standard_documents(upstream.base_url, closed_port),
            metrics_config(of_protobuf, name="protobuf"),
            metrics_config(of_json, name="json", encoding="json"),
        ]
        gateway = start_gateway(documents, workers=2, environment=QUICK)
        for _ in range(4):
            chat(gateway, "fake/normal")
        assert_exported(gateway, "protobuf", "http/protobuf", of_protobuf)
        assert_exported(gateway, "json", "http/json", of_json)
        gateway.stop()


def assert_exported(gateway: GatewayProcess, name: str, protocol: str, sink: OtlpSink) -> None:
    """Look at what a collector has of four calls, and at what is said of it."""
    duration = "gen_ai.client.inference.duration"

    def recorded() -> int:
        last = sink.metrics_requests()[-1:]
        metrics = last[0].metrics() if last else {}
        return (
            sum(point.count for point in metrics[duration].histogram.data_points)
            if duration in metrics
            else 0
        )

    until(lambda: recorded() == 4, what=f"the collector of {name} to have all calls")
    last = sink.metrics_requests()[-1]
    assert last.headers["authorization"] == ENVIRONMENT["SINK_AUTHORIZATION"]
    assert last.headers["content-encoding"] == "gzip"
    [point] = last.metrics()[duration].histogram.data_points
    attributes = {item.key: item.value for item in point.attributes}
    assert attributes["gen_ai.request.model"].string_value == "normal"
    assert attributes["server.port"].int_value > 0
    entries = gateway.get("/api/telemetry")["destinations"]
    entry = next(entry for entry in entries if (entry["name"], entry["signal"]) == (name, "metrics"))
    assert (entry["state"], entry["protocol"]) == ("ok", protocol)


def test_config_change_brings_and_takes_destinations(
    start_gateway: StartGateway, upstream: FakeUpstream, closed_port: int
) -> None:
    """A destination that is added gets metrics from then on; the sums do not begin anew."""
    with OtlpSink() as sink:
        plain = standard_documents(upstream.base_url, closed_port)
        gateway = start_gateway(plain, workers=1, environment=QUICK)
        chat(gateway, "fake/normal")
        until(lambda: total(gateway, REQUESTS) == 1, what="the call to be counted")
        gateway.write_config([*plain, metrics_config(sink)])
        sink.wait_for_metrics(1, timeout_s=60.0)
        assert REQUESTS in sink.metrics_requests()[-1].metrics()
        gateway.write_config(plain)
        until(
            lambda: all(
                entry["signal"] != "metrics" for entry in gateway.get("/api/telemetry")["destinations"]
            ),
            what="the destination to be gone",
        )
        assert total(gateway, REQUESTS) == 1


@pytest.mark.requires("rotel", "grpc")
def test_a_real_collector_takes_every_form(
    start_gateway: StartGateway, upstream: FakeUpstream, closed_port: int, tmp_path: Path
) -> None:
    """Protobuf, JSON and gRPC, read and written again by a collector that is not ours; nothing is lost."""
    with OtlpSink() as sink, RotelCollector(tmp_path, f"http://127.0.0.1:{sink.port}") as rotel:
        over_http = rotel.traces_url.replace("traces", "metrics")
        forms = {
            "proto": {"type": "http", "endpoint": over_http},
            "json": {"type": "http", "endpoint": over_http, "encoding": "json", "compression": "none"},
            "grpc": {"type": "grpc", "endpoint": rotel.grpc_url},
        }
        destinations = [
            {"type": "gateway-otel-config", "name": name, "otel_metrics_exporter_config": exporter}
            for name, exporter in forms.items()
        ]
        documents = [*standard_documents(upstream.base_url, closed_port), *destinations]
        gateway = start_gateway(documents, workers=1, environment=QUICK)
        chat(gateway, "fake/normal", stream=True)

        def counted() -> dict[str, int]:
            entries = gateway.get("/api/telemetry")["destinations"]
            return {one["name"]: one["ledger"]["exported"] for one in entries if one["signal"] == "metrics"}

        until(lambda: all(counted().values()) and len(counted()) == 3, what="each to take metrics")
        until(
            lambda: any(
                "gen_ai.client.inference.duration" in one.metrics() for one in sink.metrics_requests()
            ),
            what="the collector to send on what the call added",
        )
        for entry in gateway.get("/api/telemetry")["destinations"]:
            if entry["signal"] == "metrics":
                assert (entry["state"], entry["ledger"]["rejected"], entry["last_error"]) == ("ok", 0, None)
        [found] = {
            tuple(point.explicit_bounds)
            for one in sink.metrics_requests()
            for name, metric in one.metrics().items()
            if name == "gen_ai.client.inference.duration"
            for point in metric.histogram.data_points
        }
        assert found == SECONDS
        gateway.stop()
