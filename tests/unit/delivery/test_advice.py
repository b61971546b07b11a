"""Every failure comes with what happened and something that an operator can do."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from gateway.delivery.advice import RULES, Try, explain
from gateway.delivery.outcome import BROKEN, WEB_PAGE

ELASTIC = "https://p.ingest.eu-west-1.aws.elastic.cloud/v1/traces"
LOCAL = "http://collector:4318/v1/traces"
KEY = base64.b64encode(b"id:canary-secret").decode()
PREFIX_TEXT = (
    "HTTP 401: rpc error: code = Unauthenticated desc = ApiKey prefix not found, expected ApiKey <value>"
)

CASES: dict[str, tuple[Try, str, str]] = {
    "a failing disk": (
        Try(LOCAL, message=f"{BROKEN}: OSError: [Errno 5] Input/output error"),
        "ended by an error",
        "state folder's disk",
    ),
    "ca file": (
        Try(LOCAL, message="TlsFileError: tls.ca_file cannot be read (no such file or directory): /ca.pem"),
        "certificate or key",
        "relative to the manifest",
    ),
    "grpc to https": (
        Try(
            "https://h:8443",
            "grpc",
            message="UNAVAILABLE: Cannot check peer: missing selected ALPN property.",
        ),
        "HTTP, and gRPC",
        "type: http",
    ),
    "web page": (Try(LOCAL, status=200, message=f"HTTP 200: {WEB_PAGE}"), "web page", "no OTLP endpoint"),
    "kibana's pages": (
        Try("https://p.kb.eu-west-1.aws.elastic.cloud/", status=200, message=f"HTTP 200: {WEB_PAGE}"),
        "Kibana's",
        ".ingest.",
    ),
    "kibana": (Try("https://p.kb.eu-west-1.aws.elastic.cloud/v1/traces", status=404), "Kibana's", ".ingest."),
    "elasticsearch": (Try("http://localhost:9200/v1/traces", status=405), "Elasticsearch's", "EDOT"),
    "no prefix": (
        Try(ELASTIC, authorization=KEY, status=401, message=PREFIX_TEXT),
        "lacks the prefix",
        "ApiKey <key>",
    ),
    "no prefix, only told": (Try(status=401, message=PREFIX_TEXT), "lacks the prefix", "ApiKey <key>"),
    "no prefix, self-managed": (
        Try(LOCAL, authorization=KEY, status=401, message=PREFIX_TEXT),
        "lacks the prefix",
        "ApiKey <key>",
    ),
    "no header": (Try(ELASTIC, authorization="", status=401), "no Authorization", "Add the header"),
    "no header, only told": (
        Try(status=401, message='missing header "Authorization"'),
        "no Authorization",
        "Add the header",
    ),
    "bearer": (Try(ELASTIC, authorization=f"Bearer {KEY}", status=401), "Bearer", "ApiKey <key>"),
    "id:key": (Try(ELASTIC, authorization="ApiKey id:key", status=401), "not base64", "encoded"),
    "no colon": (
        Try(ELASTIC, authorization="ApiKey aWQ=", status=401, message="invalid API Key"),
        "not id:key",
        "id:api_key",
    ),
    "clock": (
        Try(ELASTIC, authorization=f"ApiKey {KEY}", status=401, clock_ahead_s=-4000.0),
        "clock differs",
        "NTP",
    ),
    "401": (Try(ELASTIC, authorization=f"ApiKey {KEY}", status=401), "refused the key", "revoked"),
    "401 elsewhere": (Try(LOCAL, authorization="Bearer x", status=401), "refused the key", "revoked"),
    "bearer at an apm server": (
        Try("https://p.apm.eu-west-1.aws.elastic.cloud/v1/traces", authorization="Bearer x", status=401),
        "refused the key",
        "revoked",
    ),
    "403": (Try(ELASTIC, authorization=f"ApiKey {KEY}", status=403), "lacks the right", "event:write"),
    "403 of a firewall": (
        Try(ELASTIC, authorization=f"ApiKey {KEY}", status=403, message=f"HTTP 403: {WEB_PAGE}"),
        "before the endpoint",
        "exclude_request_data",
    ),
    "429": (
        Try(ELASTIC, status=429, message="request exceeded available capacity"),
        "limits",
        "wait in the spool",
    ),
    "http to grpc": (
        Try(
            LOCAL,
            message=r"ClientResponseError: 400, message=\"Bad status line:\n Expected HTTP/, RTSP/ or ICE/"
            r":\n\n b'\\x00\\x00\\x12\\x04\\x00\\x00\\x00\\x00\\x00'\"",
        ),
        "speaks gRPC",
        "type: grpc",
    ),
    "http to grpc with settings of a length that can be read": (
        Try(
            LOCAL,
            message=r"ClientResponseError: 400, message='Bad status line:\n Expected HTTP/, RTSP/ or ICE/"
            r":\n\n b\"\\x00\\x00$\\x04\\x00\\x00'\"",
        ),
        "speaks gRPC",
        "type: grpc",
    ),
    "http to what is neither": (
        Try(
            "http://alerts.example/v1/traces",
            message=r"ClientResponseError: 400, message=\"Bad status line:\n Expected HTTP/, RTSP/ or ICE/"
            r":\n\n b'SSH-2.0-OpenSSH_9'\", url='http://alerts.example/v1/traces'",
        ),
        "no HTTP that can be read",
        "what listens",
    ),
    "http to port 4317": (
        Try("http://collector:4317/v1/traces", message="ServerDisconnectedError: Server disconnected"),
        "speaks gRPC",
        "type: grpc",
    ),
    "grpc to http": (
        Try("http://collector:4317", "grpc", status=503, message="Trying to connect an http1.x server"),
        "speaks HTTP",
        "type: http",
    ),
    "grpc to http, by its first letters": (
        Try(
            "http://collector:9000",
            "grpc",
            message="gRPC UNAVAILABLE: failed to connect to all addresses; last error: INTERNAL: "
            "ipv4:127.0.0.1:9000: Failed parsing HTTP/2 (Expected SETTINGS frame as the first frame, "
            "got frame type 80)",
        ),
        "speaks HTTP",
        "type: http",
    ),
    "grpc to http/2 without it": (
        Try(
            "https://collector:443",
            "grpc",
            status=404,
            message="gRPC UNIMPLEMENTED: Received http2 header with status: 404",
        ),
        "speaks HTTP",
        "type: http",
    ),
    "grpc to what is neither": (
        Try(
            "http://collector:25",
            "grpc",
            message="gRPC UNAVAILABLE: failed to connect to all addresses; last error: UNAVAILABLE: "
            "ipv4:127.0.0.1:25: Failed parsing HTTP/2 (Expected SETTINGS frame as the first frame, "
            "got frame type 32)",
        ),
        "no HTTP that can be read",
        "what listens",
    ),
    "traces to metrics": (
        Try("http://collector:4318/v1/metrics", status=400, message="HTTP 400"),
        "path of another signal",
        "/v1/traces",
    ),
    "metrics to traces, an empty request": (
        Try("http://collector:4318/v1/traces", signal="metrics", status=200),
        "path of another signal",
        "/v1/metrics",
    ),
    "grpc to port 4318": (
        Try("http://collector:4318", "grpc", status=503, message="x"),
        "speaks HTTP",
        "type: http",
    ),
    "plain to tls": (
        Try(
            "http://collector:443/v1/traces",
            status=400,
            message="Client sent an HTTP request to an HTTPS server",
        ),
        "wants TLS",
        "https://",
    ),
    "tls to plain": (
        Try("https://collector:4318/v1/traces", message="[SSL: WRONG_VERSION_NUMBER] wrong version number"),
        "speaks plain HTTP",
        "http://",
    ),
    "no path": (Try("https://collector/otlp", status=404), "does not end in /v1/traces", "Add /v1/traces"),
    "no path 405": (
        Try("https://collector/otlp", status=405),
        "does not end in /v1/traces",
        "Add /v1/traces",
    ),
    "404": (Try(LOCAL, status=404), "nothing takes telemetry", "path"),
    "407": (Try(LOCAL, status=407, is_proxied=True), "proxy wants to know", "HTTPS_PROXY"),
    "proxy": (
        Try(LOCAL, message="ClientProxyConnectionError: Cannot connect to host proxy:3128"),
        "proxy does not lead",
        "NO_PROXY",
    ),
    "proxy that says no over grpc": (
        Try("http://x:4318", "grpc", message="gRPC UNAVAILABLE: HTTP proxy returned response code 403"),
        "proxy does not lead",
        "NO_PROXY",
    ),
    "an address that is not called": (
        Try(
            LOCAL,
            message="ClientConnectorDNSError: Cannot connect to host x:4318 ssl:default "
            "[x (10.0.0.1) is in egress_settings.deny]",
            is_proxied=True,
        ),
        "may not call",
        "gateway-global-settings",
    ),
    "no proxy of that name": (
        Try(LOCAL, message="ClientConnectorDNSError: Cannot connect to host squid:3128", is_proxied=True),
        "proxy does not lead",
        "NO_PROXY",
    ),
    "nobody at the proxy's address over grpc": (
        Try(
            "https://x:4317",
            "grpc",
            message="gRPC UNAVAILABLE: Failed to connect to remote host: Connection refused",
            is_proxied=True,
        ),
        "proxy does not lead",
        "NO_PROXY",
    ),
    "a certificate behind a proxy": (
        Try(
            LOCAL,
            message="ClientConnectorCertificateError: Cannot connect to host x:443 ssl:True "
            "[SSLCertVerificationError: CERTIFICATE_VERIFY_FAILED: self-signed certificate in its chain]",
            is_proxied=True,
        ),
        "nobody whom this machine trusts",
        "A proxy that opens TLS",
    ),
    "a collector that is called proxy": (
        Try(
            LOCAL,
            message="ClientConnectorError: Cannot connect to host otel-proxy:4318 [Connect call failed]",
        ),
        "nothing listens",
        "collector runs",
    ),
    "a collector that is called alerts": (
        Try(
            "https://alerts:4318/v1/traces",
            message="ClientConnectorError: Cannot connect to host alerts:4318 [Connect call failed]",
        ),
        "nothing listens",
        "collector runs",
    ),
    "written in large letters, and told in small ones": (
        Try(
            "http://Alerts:4318/v1/traces",
            message="ClientConnectorError: Cannot connect to host alerts:4318 [Connect call failed]",
        ),
        "nothing listens",
        "collector runs",
    ),
    "without a scheme": (
        Try(
            "dns-sink:4317",
            "grpc",
            message="gRPC UNAVAILABLE: dns-sink:4317: Failed to connect: Connection refused",
        ),
        "nothing listens",
        "collector runs",
    ),
    "a collector that is called dns": (
        Try(
            "http://dns-sink.corp:4317",
            "grpc",
            message="gRPC UNAVAILABLE: dns-sink.corp:4317: Failed to connect: Connection refused",
        ),
        "nothing listens",
        "collector runs",
    ),
    "dns": (
        Try(LOCAL, message="ClientConnectorDNSError: Cannot connect to host x [Name or service not known]"),
        "has no address",
        "DNS",
    ),
    "dns over grpc": (
        Try(
            "http://x:4317",
            "grpc",
            message="gRPC UNAVAILABLE: errors resolving x:4317: address lookup failed",
        ),
        "has no address",
        "DNS",
    ),
    "refused over grpc": (
        Try("http://x:4317", "grpc", message="gRPC UNAVAILABLE: Failed to connect: Connection refused"),
        "nothing listens",
        "collector runs",
    ),
    "refused at grpc's usual port": (
        Try("http://x:4317/v1/traces", message="Cannot connect to host x:4317 [Connect call failed]"),
        "nothing listens",
        "collector runs",
    ),
    "refused over grpc at http's usual port": (
        Try("http://x:4318", "grpc", message="gRPC UNAVAILABLE: Failed to connect: Connection refused"),
        "nothing listens",
        "collector runs",
    ),
    "tls to plain grpc": (
        Try(
            "https://x:4317/v1/traces", message="Cannot connect to host x:4317 [[SSL: WRONG_VERSION_NUMBER]]"
        ),
        "speaks gRPC",
        "type: grpc",
    ),
    "dns at grpc's usual port": (
        Try(
            "http://x:4317/v1/traces",
            message="Cannot connect to host x:4317 ssl:default [Name or service not known]",
        ),
        "has no address",
        "DNS",
    ),
    "tls over grpc to plain": (
        Try("https://x:4317", "grpc", message="Tls handshake failed: OPENSSL_internal:WRONG_VERSION_NUMBER"),
        "speaks plain HTTP",
        "http://",
    ),
    "unknown ca over grpc": (
        Try(
            "https://x:4317",
            "grpc",
            message="OPENSSL_internal:CERTIFICATE_VERIFY_FAILED: self signed certificate",
        ),
        "nobody whom this machine trusts",
        "tls.ca_file",
    ),
    "expired": (
        Try(LOCAL, message="[SSL: CERTIFICATE_VERIFY_FAILED] certificate has expired"),
        "has expired",
        "Renew",
    ),
    "hostname": (
        Try(LOCAL, message="CERTIFICATE_VERIFY_FAILED: Hostname mismatch, certificate is not valid for 'x'"),
        "another name",
        "name that its certificate",
    ),
    "unknown ca": (
        Try(LOCAL, message="[SSL: CERTIFICATE_VERIFY_FAILED] unable to get local issuer certificate"),
        "nobody whom this machine trusts",
        "tls.ca_file",
    ),
    "client certificate": (
        Try(LOCAL, message="[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] alert certificate required"),
        "certificate from us",
        "tls.cert_file",
    ),
    "refused": (
        Try(
            LOCAL,
            message="ClientConnectorError: Cannot connect to host x:1 ssl:default [Connect call failed]",
        ),
        "nothing listens",
        "collector runs",
    ),
    "unreachable": (Try(LOCAL, message="OSError: [Errno 101] Network is unreachable"), "no way", "firewall"),
    "timeout": (Try(LOCAL, message="no answer within 10 s"), "in time", "firewall"),
    "broken off": (Try(LOCAL, message="ServerDisconnectedError: Server disconnected"), "broke", "its log"),
    "bad header": (Try(LOCAL, message="ValueError: newline in headers"), "cannot be sent", "line breaks"),
    "unknown": (Try(LOCAL, message="OddError"), "not reached", "DNS"),
    "no grpcio": (
        Try("http://collector:4317", "grpc", message="type: grpc needs grpcio, which is not installed"),
        "grpcio",
        "gateway[grpc]",
    ),
    "413": (Try(LOCAL, status=413), "too large", "batch.max_bytes"),
    "too large, as collectors say it": (
        Try(LOCAL, status=400, message="http: request body too large"),
        "too large",
        "batch.max_bytes",
    ),
    "415": (Try(LOCAL, "http/json", status=415), "this encoding", "encoding: proto"),
    "400": (Try(LOCAL, status=400), "does not understand", "OTLP"),
    "redirect": (Try(LOCAL, status=302), "redirect", "https://"),
    "503": (Try(LOCAL, status=503), "out of service", "wait in the spool"),
    "504": (Try(LOCAL, status=504), "in time", "firewall"),
    "408": (Try(LOCAL, status=408), "whole request in time", "does not let us send the same again"),
    "500": (Try(LOCAL, status=500), "trouble of its own", "log"),
    "418": (Try(LOCAL, status=418), "refused the request", "exactly"),
    "taken at the wrong time": (Try(LOCAL, status=200, clock_ahead_s=90.0), "taken, but", "NTP"),
    "remark": (Try(LOCAL, status=200, message="old client"), "with a remark", "If nothing shows"),
    "rejected": (
        Try(LOCAL, status=200, message="it does not say why", rejected=3, clock_ahead_s=90.0),
        "rejects (HTTP 200: it does not say why)",
        "counted as rejected",
    ),
    "no json": (
        Try(LOCAL, "http/json", message="not an ExportTraceServiceRequest"),
        "cannot be written as JSON",
        "encoding: proto",
    ),
    "no gzip": (
        Try(LOCAL, status=400, message="HTTP 400: unsupported Content-Encoding: gzip"),
        "does not take gzip",
        "compression: none",
    ),
    "no gzip over grpc": (
        Try(
            "http://x:4317",
            "grpc",
            status=404,
            message='gRPC UNIMPLEMENTED: grpc: Decompressor is not installed for grpc-encoding "gzip"',
        ),
        "does not take gzip",
        "compression: none",
    ),
    "plain to tls that says so by its alert": (
        Try(
            "http://collector:4318/v1/traces",
            message=r"ClientResponseError: 400, message=\"Bad status line:\n Expected HTTP/, RTSP/ or ICE/"
            r":\n\n b'\\x15\\x03\\x01\\x00'\"",
        ),
        "wants TLS",
        "https://",
    ),
    "an answer that is no http": (
        Try(LOCAL, message="ClientResponseError: 400, message='Invalid header token: Bad Header: x'"),
        "no HTTP that can be read",
        "garble",
    ),
    "a status that is none": (
        Try(LOCAL, message="ClientResponseError: 400, message='Bad status line: Invalid status code'"),
        "no HTTP that can be read",
        "garble",
    ),
    "hostname over grpc": (
        Try(
            "https://x:4317",
            "grpc",
            message="gRPC UNAVAILABLE: failed to connect to all addresses; last error: UNKNOWN: "
            "Custom verification check failed with error: UNAUTHENTICATED: "
            "Hostname Verification Check failed.",
        ),
        "another name",
        "name that its certificate",
    ),
    "unavailable over grpc": (
        Try("http://x:4317", "grpc", message="gRPC UNAVAILABLE: queue is full"),
        "out of service",
        "wait in the spool",
    ),
    "reset over grpc": (
        Try("http://x:4317", "grpc", message="gRPC INTERNAL: Received RST_STREAM with error code 2"),
        "broke",
        "its log",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_words(name: str) -> None:
    """What happened, and what to do."""
    tried, what, advice = CASES[name]
    words = explain(tried)
    assert what in words.what
    assert advice in words.advice


def test_every_rule_is_reached() -> None:
    """A rule that none of the cases meets is hidden by one before it."""
    met = {explain(tried).advice for tried, _what, _advice in CASES.values()}
    assert [rule.what for rule in RULES if rule.advice not in met] == []


def test_success_needs_no_advice() -> None:
    """Said plainly."""
    assert explain(Try(LOCAL, status=200)) == ("taken (HTTP 200)", "")
    assert explain(Try(LOCAL, "grpc", status=200)).advice == ""


def test_what_was_said_is_repeated_with_its_status() -> None:
    """An operator sees the endpoint's own words beside ours, the status once."""
    assert explain(Try(LOCAL, status=503, message="HTTP 503: busy")).what.endswith("(HTTP 503: busy)")
    assert explain(Try(LOCAL, status=503, message="busy")).what.endswith("(HTTP 503: busy)")
    assert explain(Try(LOCAL, status=503)).what.endswith("(HTTP 503)")


@pytest.mark.parametrize("authorization", [KEY, f"ApiKey {KEY}", f"Bearer {KEY}", "ApiKey id:canary-secret"])
@pytest.mark.parametrize("status", [None, 400, 401, 403, 404, 503])
def test_the_key_is_never_said(authorization: str, status: int | None) -> None:
    """Neither whole nor decoded."""
    tried = Try(ELASTIC, authorization=authorization, status=status)
    for shown in (*explain(tried), repr(tried), repr(replace(tried, status=1))):
        assert KEY not in shown
        assert "canary" not in shown


def test_an_endpoint_that_is_no_url() -> None:
    """Is no reason to fail."""
    assert explain(Try("https://[x", message="InvalidURL")).advice
