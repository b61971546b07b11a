"""Elastic's refusals are foreseen, and the key is not shown for it."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from tests.unit.config.writing import ACCOUNT, CALLER, check_text, found

KEY = base64.b64encode(b"id:canary-secret").decode()
ELASTIC = "https://p.ingest.eu.aws.elastic.cloud/v1/traces"
MANIFEST = "type: gateway-otel-config\notel_traces_exporter_config:\n  type: http\n"
HEADER = "otel_traces_exporter_config.headers.Authorization"


def warnings(tmp_path: Path, endpoint: str, authorization: str | None) -> list[str]:
    """What is found about a destination, its key in the environment."""
    headers = "" if authorization is None else "\n  headers: {Authorization: 'env:KEY'}"
    manifest = f"{MANIFEST}  endpoint: {endpoint}{headers}\n"
    checked = check_text(tmp_path, ACCOUNT, CALLER, manifest, environ={"KEY": authorization or ""})
    shown = found(checked)
    assert checked.config is not None
    assert not [text for text in shown if KEY in text or "canary" in text]
    return shown


@pytest.mark.parametrize(
    ("authorization", "message"),
    [
        (KEY, "lacks the prefix 'ApiKey '"),
        ("id:canary-secret", "lacks the prefix"),
        (f"Bearer {KEY}", "Bearer"),
        ("ApiKey id:canary-secret", "not base64"),
        (f"ApiKey {base64.b64encode(b'canary').decode()}", "not id:key"),
    ],
)
def test_keys(tmp_path: Path, authorization: str, message: str) -> None:
    """One warning each, at the header."""
    (warning,) = warnings(tmp_path, ELASTIC, authorization)
    assert f"{HEADER}: " in warning
    assert message in warning


def test_a_template(tmp_path: Path) -> None:
    """An address that was never filled in is told as that, not as a fault of the key or, later, of DNS."""
    (warning,) = warnings(tmp_path, "https://<project>.ingest.<region>.aws.elastic.cloud/v1/traces", KEY)
    assert "otel_traces_exporter_config.endpoint: what stands between < and > is to be filled in" in warning


def test_no_key(tmp_path: Path) -> None:
    """Said where it should stand."""
    (warning,) = warnings(tmp_path, ELASTIC, None)
    assert "no Authorization header" in warning


@pytest.mark.parametrize(
    ("endpoint", "authorization"),
    [
        (ELASTIC, f"ApiKey {KEY}"),
        ("https://p.apm.eu.aws.elastic.cloud", "Bearer token"),
        ("https://collector.example", "anything"),
        ("https://collector.example", None),
    ],
)
def test_nothing_to_say(tmp_path: Path, endpoint: str, authorization: str | None) -> None:
    """A right key, an APM server's token, and what is not Elastic's."""
    assert warnings(tmp_path, endpoint, authorization) == []


@pytest.mark.parametrize(
    ("endpoint", "product"),
    [("https://p.kb.eu.aws.elastic.cloud", "Kibana"), ("http://localhost:9200", "Elasticsearch")],
)
def test_wrong_products(tmp_path: Path, endpoint: str, product: str) -> None:
    """The addresses that people have at hand."""
    (warning,) = warnings(tmp_path, endpoint, f"ApiKey {KEY}")
    assert product in warning


def test_a_secret_that_is_missing_is_told_once(tmp_path: Path) -> None:
    """By the check of secrets."""
    manifest = f"{MANIFEST}  endpoint: {ELASTIC}\n  headers: {{Authorization: 'env:NOT_SET'}}\n"
    shown = found(check_text(tmp_path, ACCOUNT, CALLER, manifest))
    assert len(shown) == 1
    assert "NOT_SET is not set" in shown[0]


@pytest.mark.parametrize(("header", "count"), [(KEY, 1), (f"ApiKey {KEY}", 0)])
def test_variables(tmp_path: Path, header: str, count: int) -> None:
    """Without a manifest the same is said of them, once for both signals."""
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "https://p.ingest.eu.aws.elastic.cloud",
        "OTEL_EXPORTER_OTLP_HEADERS": f"Authorization={header}",
    }
    shown = found(check_text(tmp_path, ACCOUNT, CALLER, environ=environ))
    assert len(shown) == count
    assert not [text for text in shown if "OTEL_EXPORTER_OTLP_*: " not in text or KEY in text]


@pytest.mark.parametrize("written", ["traces", "metrics"])
def test_the_path_of_another_signal(tmp_path: Path, written: str) -> None:
    """Where nothing takes what is sent; over gRPC a path says nothing."""
    other = {"traces": "metrics", "metrics": "traces"}[written]
    manifest = (
        f"type: gateway-otel-config\notel_{written}_exporter_config:\n"
        f"  type: http\n  endpoint: http://collector:4318/v1/{other}\n"
        f"otel_{other}_exporter_config:\n  type: grpc\n  endpoint: http://collector:4317/v1/{written}\n"
    )
    (warning,) = found(check_text(tmp_path, ACCOUNT, CALLER, manifest))
    assert f"otel_{written}_exporter_config.endpoint: this is the path of {other}" in warning
    assert f"Write /v1/{written}" in warning
