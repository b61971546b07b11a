"""What may not be sent to other hosts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.config.document import Document
from gateway.config.transport_checks import check_transport


def document(kind: str, **body: Any) -> Document:
    body = {"type": kind, "name": "x", **body}
    return Document(kind, "x", body, Path("a.yaml"), 1)


def account(key: str) -> Document:
    auth = {"type": "api-key", "api_key": key}
    return document("provider-account/openai", auth_data=auth, integrations=[])


def otel(**exporter: Any) -> Document:
    config = {"type": "http-traces-exporter", "endpoint": "https://o.test/v1/traces", **exporter}
    return document(
        "gateway-otel-config", otel_traces_exporter_config={"protocol": "http/protobuf", **config}
    )


@pytest.mark.parametrize(
    "written",
    [
        account("env:KEY"),
        account("file:/run/secrets/key"),
        account("tfy-secret://o:g:k"),
        document("virtual-account", tokens=["sha256:" + "0" * 64, "env:T"]),
        document("no-such-type", api_key="x"),
        otel(tls={"ca_file": "/etc/ca.pem"}),
        document("mcp-server/remote", auth_data={"token": "env:T"}, url="https://m.test", max_tokens=3),
    ],
    ids=lambda one: str(one.body)[:60],
)
def test_may_be_sent(written: Document) -> None:
    """References that mean the same on each host; what cannot be read is for other checks."""
    assert not list(check_transport([written]))


@pytest.mark.parametrize(
    ("written", "path", "what"),
    [
        (account("sk-canary"), "auth_data.api_key", "would stand in Redis"),
        (document("virtual-account", tokens=["canary-token"]), "tokens.0", "would stand in Redis"),
        (account("file:keys/openai"), "auth_data.api_key", "is relative to a manifest"),
        (document("virtual-account", tokens=["file:tokens/app"]), "tokens.0", "is relative to a manifest"),
        (
            document("provider-account/openai", tls={"key_file": "k.pem"}, integrations=[]),
            "tls.key_file",
            "is relative to a manifest",
        ),
        (
            document("mcp-server/remote", auth_data=[{"api_key": "sk-canary"}]),
            "auth_data.0.api_key",
            "would stand in Redis",
        ),
        (
            otel(tls={"ca_file": "ca.pem"}),
            "otel_traces_exporter_config.tls.ca_file",
            "is relative to a manifest",
        ),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_may_not_be_sent(written: Document, path: str, what: str) -> None:
    """A secret itself, and files beside the manifest; the message does not quote the secret."""
    (found,) = check_transport([written])
    assert (found.path, found.severity.value) == (path, "error")
    assert what in found.message
    assert "canary" not in str(found)
