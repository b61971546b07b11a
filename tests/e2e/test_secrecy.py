"""Canaries: no credential, and by default no content, where it does not belong.

Searched are logs, traces, exports, APIs, error bodies, process arguments and files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rig.fake_upstream import FakeUpstream
from tests.rig.gateway_process import StartGateway
from tests.rig.manifests import (
    APP_TOKEN,
    CREDENTIALS,
    ENVIRONMENT,
    EXPIRED_TOKEN,
    NARROW_TOKEN,
    PROMPT,
    PROVIDER_KEY,
    bearer,
    chat,
    chat_body,
    standard_documents,
    trace_id_of,
)
from tests.rig.otlp_sink import OtlpSink

REDIS_PASSWORD = "canary-redis-password-0010"
WRONG = "canary-wrong-token-0009"
FORBIDDEN = (
    *(*CREDENTIALS, REDIS_PASSWORD, WRONG, PROMPT, "canary-provider-cookie", "canary-cookie"),
    *("canary-query", "canary-unlisted-baggage", "canary-unlisted-header"),
)


def leaks(where: str, text: str) -> list[str]:
    """Canaries found, for the failure message."""
    return [f"{canary} in {where}" for canary in FORBIDDEN if canary in text]


def misplaced(token: str) -> list[tuple[str, str]]:
    """Headers with secrets where none belong: those that are captured have the caller's own."""
    return [
        ("cookie", "canary-cookie"),
        ("baggage", f"tenant={token},user=canary-unlisted-baggage"),
        ("x-team", token),
        ("x-other", "canary-unlisted-header"),
    ]


@pytest.fixture
def sink() -> Iterator[OtlpSink]:
    with OtlpSink() as each:
        yield each


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_nothing_leaks(
    start_gateway: StartGateway, upstream: FakeUpstream, sink: OtlpSink, log_format: str
) -> None:
    """Calls of every kind, logged loudly; then all that the gateway wrote or says is searched."""
    captured = {"capture_headers": ["x-team"], "capture_baggage": ["tenant"]}
    settings = {"type": "gateway-global-settings", "telemetry_settings": captured}
    documents = [*standard_documents(upstream.base_url, 1, sink.traces_url), settings]
    gateway = start_gateway(
        documents,
        workers=1,
        options=["--log-level", "debug", "--log-format", log_format],
        # Nobody is there, which is told as well.
        environment={**ENVIRONMENT, "GATEWAY_REDIS_URL": f"redis://:{REDIS_PASSWORD}@127.0.0.1:1/0"},
    )

    replies = [
        chat(gateway, model, stream=stream, token=token, headers=misplaced(token))
        for model in (
            "fake/normal",
            "down/refused",
            "fake/html-502",
            "fake/error-401",
            "no/such",
            "fake/cut-reset",
        )
        for stream in (False, True)
        for token in (APP_TOKEN, NARROW_TOKEN, EXPIRED_TOKEN, WRONG)
    ]
    with gateway.connect() as connection:
        for path in ("/v1/chat/completions", "/v1/no/such"):
            sent = [bearer(), ("content-type", "application/json")]
            replies.append(
                connection.exchange("POST", f"{path}?key=canary-query", sent, chat_body("fake/normal"))
            )
    found: list[str] = []
    for reply in replies:
        found += leaks("a reply", f"{reply.headers} {reply.body.decode()}")
        found += leaks("a trace", json.dumps(gateway.trace(trace_id_of(reply))))
    for path in (
        "/api/traces?limit=100",
        "/api/config",
        "/api/config/otel",
        "/api/telemetry",
        "/metrics",
        "/readyz",
    ):
        found += leaks(path, json.dumps(gateway.control("GET", path)))
    for pid in (gateway.pid, gateway.control_pid(), *gateway.worker_pids()):
        found += leaks("arguments", Path(f"/proc/{pid}/cmdline").read_bytes().decode())
        # Nor would an image of its memory be written.
        assert re.search(r"Max core file size +0 ", Path(f"/proc/{pid}/limits").read_text())
    found += leaks("the log", gateway.log)
    assert sorted(set(found)) == []

    gateway.stop()
    found += leaks("an export", "".join(str(received.request) for received in sink.requests()))
    for file, content in gateway.kept():
        found += leaks(f"file {file.name}", content.decode("latin-1"))
    found += leaks("the log", gateway.log)
    assert sorted(set(found)) == []


def test_callers_that_write_their_credentials_everywhere(
    start_gateway: StartGateway, upstream: FakeUpstream, sink: OtlpSink
) -> None:
    """Its own token, another caller's, a provider's key, in every text that goes on spans of good calls."""
    gateway = start_gateway(standard_documents(upstream.base_url, 1, sink.traces_url), workers=1)
    parent = ("traceparent", f"00-{'ab' * 16}-{'cd' * 8}-01")
    replies = []
    for secret in (APP_TOKEN, NARROW_TOKEN, PROVIDER_KEY):
        bodies = {"stop": [secret]}, {"reasoning_effort": secret}, {"encoding_format": f"x {secret}"}
        headers = (
            ("user-agent", f"agent/1 {secret}"),
            ("x-tfy-metadata", json.dumps({"a": secret, secret: "b"})),
            ("x-tfy-conversation-id", secret),
            ("tracestate", f"a={secret}"),
        )
        replies += [chat(gateway, "fake/normal", **members) for members in bodies]
        replies += [chat(gateway, "fake/normal", headers=[header, parent]) for header in headers]
        replies.append(chat(gateway, f"fake/{secret}"))
        with gateway.connect() as connection:
            replies.append(connection.exchange("GET", f"/v1/{secret}", []))
    found: list[str] = []
    for reply in replies:
        found += leaks("a trace", json.dumps(gateway.trace(trace_id_of(reply))))
    found += leaks("the rows", json.dumps(gateway.get("/api/traces?limit=100")))
    assert sorted(set(found)) == []
    gateway.stop()
    assert leaks("an export", "".join(str(received.request) for received in sink.requests())) == []


def test_state_folder_is_private(start_gateway: StartGateway) -> None:
    """Only the operator's user may read what the gateway keeps."""
    gateway = start_gateway(workers=1)
    assert oct(gateway.state.stat().st_mode & 0o777) == "0o700"
    for file in (gateway.state / "config").rglob("*"):
        if file.is_file():
            assert oct(file.stat().st_mode & 0o077) == "0o0", file
