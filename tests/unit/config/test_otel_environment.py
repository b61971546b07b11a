"""The `OTEL_*` variables stand in for a manifest, as other services read them."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.manifests.otel_config import GrpcTracesExporter, HttpMetricsExporter, HttpTracesExporter
from gateway.config.otel_environment import (
    _ACTED_ON,
    FromEnvironment,
    metrics_period_s,
    read_environment,
)
from gateway.config.secrets import SecretSource
from tests.unit.config.writing import ACCOUNT, CALLER, check_text

BASE = "OTEL_EXPORTER_OTLP_ENDPOINT"


def traces(**variables: str) -> HttpTracesExporter | GrpcTracesExporter:
    found = read_environment(variables)
    assert found.problems == ()
    assert found.manifest is not None
    exporter = found.manifest.otel_traces_exporter_config
    assert exporter is not None
    return exporter


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ({BASE: "https://h"}, "https://h/v1/traces"),
        ({BASE: "https://h/"}, "https://h/v1/traces"),
        ({BASE: "https://h:4318/otlp/"}, "https://h:4318/otlp/v1/traces"),
        ({BASE: "https://h/otlp/?key=k/2"}, "https://h/otlp/v1/traces?key=k/2"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://h/own"}, "https://h/own"),
        ({BASE: "https://h", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "https://t/own"}, "https://t/own"),
    ],
)
def test_the_endpoint_of_all_signals_is_a_base(variables: dict[str, str], url: str) -> None:
    """That of one signal is used as it is."""
    exporter = traces(**variables)
    assert isinstance(exporter, HttpTracesExporter)
    assert exporter.url == url


def test_metrics_go_along() -> None:
    """As SDKs do it, to their own path, and not when they are switched off."""
    manifest = read_environment({BASE: "https://h"}).manifest
    assert manifest is not None
    metrics = manifest.otel_metrics_exporter_config
    assert isinstance(metrics, HttpMetricsExporter)
    assert metrics.url == "https://h/v1/metrics"
    off = read_environment({BASE: "https://h", "OTEL_METRICS_EXPORTER": "none"}).manifest
    assert off is not None
    assert off.otel_metrics_exporter_config is None


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_SERVICE_NAME": "x"},
        {BASE: "https://h", "OTEL_SDK_DISABLED": "TRUE"},
        {BASE: "https://h", "OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"},
        {BASE: ""},
    ],
)
def test_no_destination(variables: dict[str, str]) -> None:
    """Nothing named, or switched off."""
    assert read_environment(variables) == FromEnvironment(None, ())


@pytest.mark.parametrize(
    ("variables", "warned"),
    [
        ({"OTEL_EXPORTER_OTLP_HEADERS": "a=canary"}, [BASE]),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, [BASE]),
        ({"OTEL_EXPORTER_OTLP_ENPOINT": "https://h"}, [BASE, "OTEL_EXPORTER_OTLP_ENPOINT"]),
        (
            {
                "OTEL_TRACES_EXPORTER": "none",
                "OTEL_METRICS_EXPORTER": "none",
                "OTEL_EXPORTER_OTLP_TIMEOUT": "9",
            },
            [],
        ),
        ({"OTEL_METRICS_EXPORTER": "none"}, []),
        ({"OTEL_TRACES_EXPORTER": "console"}, ["OTEL_TRACES_EXPORTER", BASE]),
        ({"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "https://h"}, []),
    ],
)
def test_an_exporter_without_an_endpoint_is_a_warning(variables: dict[str, str], warned: list[str]) -> None:
    """Nothing would be sent, and nothing said of it."""
    found = read_environment(variables)
    assert found.manifest is None
    assert [problem.path for problem in found.problems] == warned
    assert "canary" not in str(found.problems)


def test_a_header_without_a_value_is_left_out() -> None:
    """A key that is not set pauses the destination, which then keeps its calls; nothing was exported."""
    found = read_environment({BASE: "https://h", "OTEL_EXPORTER_OTLP_HEADERS": "Authorization=,x-a=b"})
    assert found.manifest is not None
    assert found.manifest.otel_traces_exporter_config is not None
    assert list(found.manifest.otel_traces_exporter_config.headers) == ["x-a"]


def test_headers_are_percent_decoded_and_blanks_are_kept() -> None:
    """Both spellings of Elastic's header are seen in the wild; that of the signal wins."""
    for text in (
        "Authorization=ApiKey%20aWQ6a2V5,x-a=b%2Cc",
        " Authorization = ApiKey aWQ6a2V5 , x-a=b%2Cc ",
    ):
        exporter = traces(
            **{
                BASE: "https://h",
                "OTEL_EXPORTER_OTLP_TRACES_HEADERS": text,
                "OTEL_EXPORTER_OTLP_HEADERS": "n=o",
            }
        )
        values = {name: SecretSource({}).resolve(value, Path()) for name, value in exporter.headers.items()}
        assert values == {"Authorization": "ApiKey aWQ6a2V5", "x-a": "b,c"}
        assert "aWQ6a2V5" not in repr(exporter)


def test_protocol_compression_certificates_and_time() -> None:
    """Each has its field; an own variable of the signal wins."""
    exporter = traces(
        OTEL_EXPORTER_OTLP_ENDPOINT="https://h",
        OTEL_EXPORTER_OTLP_PROTOCOL="grpc",
        OTEL_EXPORTER_OTLP_TRACES_PROTOCOL="http/json",
        OTEL_EXPORTER_OTLP_COMPRESSION="none",
        OTEL_EXPORTER_OTLP_TIMEOUT="2500",
        OTEL_EXPORTER_OTLP_CERTIFICATE="/ca.pem",
        OTEL_EXPORTER_OTLP_CLIENT_KEY="/key.pem",
        OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE="/cert.pem",
    )
    assert isinstance(exporter, HttpTracesExporter)
    assert (exporter.encoding, exporter.compression, exporter.timeout_s) == ("json", "none", 2.5)
    assert (exporter.tls.ca_file, exporter.tls.cert_file, exporter.tls.key_file) == (
        "/ca.pem",
        "/cert.pem",
        "/key.pem",
    )


@pytest.mark.parametrize(
    ("endpoint", "more", "expected"),
    [
        ("http://h:4317", {}, "http://h:4317"),
        ("h:4317", {}, "https://h:4317"),
        ("h:4317", {"OTEL_EXPORTER_OTLP_INSECURE": "true"}, "http://h:4317"),
    ],
)
def test_grpc(endpoint: str, more: dict[str, str], expected: str) -> None:
    """No path is added, and the scheme may be left out, as SDKs allow."""
    exporter = traces(**{BASE: endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, **more)
    assert isinstance(exporter, GrpcTracesExporter)
    assert exporter.endpoint == expected


def test_resource() -> None:
    """The service's own variable beats the attribute."""
    exporter = traces(
        OTEL_EXPORTER_OTLP_ENDPOINT="https://h",
        OTEL_SERVICE_NAME="svc",
        OTEL_RESOURCE_ATTRIBUTES="service.name=other,deployment.environment.name=prod,team=a%2Cb",
    )
    assert exporter.additional_resource_attributes == {
        "service.name": "svc",
        "deployment.environment.name": "prod",
        "team": "a,b",
    }


def test_what_each_process_has_of_its_own_is_not_replaced() -> None:
    """Kubernetes' operator of OpenTelemetry writes an instance id; all workers would be that one instance."""
    attributes = "service.instance.id=pod-1,process.pid=1,telemetry.sdk.name=x,team=a"
    exporter = traces(OTEL_EXPORTER_OTLP_ENDPOINT="https://h", OTEL_RESOURCE_ATTRIBUTES=attributes)
    assert exporter.additional_resource_attributes == {"team": "a"}


@pytest.mark.parametrize(
    ("sampler", "argument", "expected"),
    [
        ("always_on", "", (1.0, False)),
        ("always_off", "", (0.0, False)),
        ("traceidratio", "0.25", (0.25, False)),
        ("traceidratio", "", (1.0, False)),
        ("parentbased_always_on", "", (1.0, True)),
        ("parentbased_always_off", "", (0.0, True)),
        ("parentbased_traceidratio", "0.5", (0.5, True)),
    ],
)
def test_samplers(sampler: str, argument: str, expected: tuple[float, bool]) -> None:
    """Each is a ratio, with or without the caller's decision before it."""
    exporter = traces(
        OTEL_EXPORTER_OTLP_ENDPOINT="https://h",
        OTEL_TRACES_SAMPLER=sampler,
        OTEL_TRACES_SAMPLER_ARG=argument,
    )
    assert (exporter.sampling.ratio, exporter.sampling.parent_based) == expected
    assert "sampling" in exporter.model_fields_set


@pytest.mark.parametrize(
    ("value", "is_sent", "warnings"),
    [
        ("", True, 0),
        ("otlp", True, 0),
        ("none", False, 0),
        ("OTLP, console", True, 1),
        ("console", False, 1),
        ("zipkin,jaeger", False, 2),
    ],
)
def test_another_exporter_is_not_otlp(value: str, is_sent: bool, warnings: int) -> None:  # noqa: FBT001
    """Who asks for the console does not want it sent; who asks for what is not here is told."""
    found = read_environment({BASE: "https://h", "OTEL_TRACES_EXPORTER": value})
    assert found.manifest is not None
    assert (found.manifest.otel_traces_exporter_config is not None) == is_sent
    assert [problem.path for problem in found.problems] == ["OTEL_TRACES_EXPORTER"] * warnings


def test_batches_and_deltas() -> None:
    """The SDK's variables for them have their fields."""
    variables = {
        BASE: "https://h",
        "OTEL_BSP_SCHEDULE_DELAY": "5000",
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "64",
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "Delta",
        "OTEL_PROPAGATORS": "tracecontext,baggage",
        "OTEL_METRIC_EXPORT_INTERVAL": "1000",
    }
    found = read_environment(variables)
    assert found.problems == ()
    assert found.manifest is not None
    exporter, metrics = (
        found.manifest.otel_traces_exporter_config,
        found.manifest.otel_metrics_exporter_config,
    )
    assert exporter is not None
    assert metrics is not None
    assert (exporter.batch.max_delay_ms, exporter.batch.max_spans) == (5000, 64)
    assert metrics.export_delta_metrics


def test_what_has_no_effect_is_said(tmp_path: Path) -> None:
    """Once for each variable, where the others are in force; a manifest makes all of them idle."""
    variables = {BASE: "https://h", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": "9", "OTEL_BSP_MAX_QUEUE_SIZE": "9"}
    found = read_environment(variables)
    assert [(problem.path, problem.message) for problem in found.problems] == [
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "it has no effect here"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "it has no effect here"),
    ]
    assert read_environment({"OTEL_BSP_MAX_QUEUE_SIZE": "9"}).problems == ()


def test_every_variable_that_has_an_effect_is_documented() -> None:
    """And those that SDKs know and that have none."""
    text = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text()
    section = text.partition("### Without a manifest: `OTEL_*`")[2].partition("\n## ")[0]
    for name in _ACTED_ON:
        short = name.replace("OTLP_TRACES_", "OTLP_").replace("OTLP_METRICS_", "OTLP_")
        ends = ("_CLIENT_KEY", "_CLIENT_CERTIFICATE")
        ending = next((end for end in ends if short.endswith(end)), None)
        assert f"`{name}`" in section or f"`{short}`" in section or f"`{ending}`" in section, name
    assert "`OTEL_ATTRIBUTE_*`" in section


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "lowmemory"),
        ("OTEL_BSP_SCHEDULE_DELAY", "soon"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "0"),
        ("OTEL_PROPAGATORS", "b3,tracecontext"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/xml"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "no-equals"),
        ("OTEL_TRACES_SAMPLER", "jaeger_remote"),
        ("OTEL_SDK_DISABLED", "maybe"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "9" * 5_000),
        ("OTEL_BSP_SCHEDULE_DELAY", "9" * 5_000),
        ("OTEL_METRIC_EXPORT_INTERVAL", "60s"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.1"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization="),
        (BASE, "https://h/v1/traces"),
        (BASE, "https://h/v1/metrics/?x=1"),
    ],
)
def test_what_is_not_understood_is_a_warning(name: str, value: str) -> None:
    """It has no effect, is named once, and the rest works."""
    found = read_environment({BASE: "https://h", name: value})
    assert found.manifest is not None
    (problem,) = found.problems
    assert problem.path == name
    assert problem.fix


def test_an_argument_out_of_range_is_a_warning() -> None:
    """As the specification wants it."""
    found = read_environment(
        {BASE: "https://h", "OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "7"}
    )
    assert [problem.path for problem in found.problems] == ["OTEL_TRACES_SAMPLER_ARG"]
    assert found.manifest is not None


def test_what_cannot_be_sent_to_is_a_warning_without_its_secret() -> None:
    """Nothing is exported until it is mended."""
    found = read_environment({BASE: "ftp://h", "OTEL_EXPORTER_OTLP_HEADERS": "host=canary"})
    assert found.manifest is None
    assert found.problems
    assert "canary" not in str(found.problems)


def test_a_manifest_beats_the_environment(tmp_path: Path) -> None:
    """A variable left in the environment adds no second destination."""
    otel = """\
type: gateway-otel-config
name: mine
otel_traces_exporter_config: {type: http, endpoint: "https://mine"}
"""
    environ = {BASE: "https://h"}
    config = check_text(tmp_path, ACCOUNT, CALLER, otel, environ=environ).config
    assert config is not None
    assert [one.name for one in config.otel_configs] == ["mine"]


def test_an_attribute_without_a_name_is_told(tmp_path: Path) -> None:
    """Nor is a blank one, however it is written: backends refuse the span that has it."""
    environ = {BASE: "https://h", "OTEL_RESOURCE_ATTRIBUTES": "team=a,%20=x"}
    checked = check_text(tmp_path, ACCOUNT, CALLER, environ=environ)
    assert [problem.path for problem in checked.problems] == ["OTEL_RESOURCE_ATTRIBUTES"]


@pytest.mark.parametrize("is_manifest", [False, True], ids=["variables", "a manifest"])
@pytest.mark.parametrize("signal", ["traces", "metrics"])
def test_what_counts_beside_manifests(tmp_path: Path, signal: str, *, is_manifest: bool) -> None:
    """The period of metrics, where some are sent, and attributes: what is not understood is told."""
    environ = {"OTEL_METRIC_EXPORT_INTERVAL": "1s", "OTEL_RESOURCE_ATTRIBUTES": "region"}
    otel = f"type: gateway-otel-config\nname: a\notel_{signal}_exporter_config: {{type: http, endpoint: 'http://h'}}\n"
    if is_manifest:
        checked = check_text(tmp_path, ACCOUNT, CALLER, otel, environ=environ)
    else:
        own = {f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT": "http://h/v1"}
        checked = check_text(tmp_path, ACCOUNT, CALLER, environ={**environ, **own})
    told = {problem.path for problem in checked.problems}
    assert ("OTEL_METRIC_EXPORT_INTERVAL" in told) is (signal == "metrics")
    assert "OTEL_RESOURCE_ATTRIBUTES" in told


@pytest.mark.parametrize(
    ("text", "period_s"),
    [("", None), ("1000", 1.0), (" 500 ", 0.5), ("1s", None), ("0", None), ("-5", None), ("9" * 5000, None)],
)
def test_the_period_of_metrics(text: str, period_s: float | None) -> None:
    """Milliseconds; what is no such number has no effect."""
    assert metrics_period_s({"OTEL_METRIC_EXPORT_INTERVAL": text}) == period_s


def test_without_a_manifest_the_environment_is_in_force(tmp_path: Path) -> None:
    """In every process that loads the configuration, and its problems are shown with the others."""
    environ = {BASE: "https://h", "OTEL_TRACES_SAMPLER": "odd"}
    checked = check_text(tmp_path, ACCOUNT, CALLER, environ=environ)
    assert checked.config is not None
    assert [one.name for one in checked.config.otel_configs] == ["environment"]
    assert "OTEL_TRACES_SAMPLER" in [problem.path for problem in checked.problems]
