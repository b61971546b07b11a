"""Header rules: what goes up, what comes down, and what stays."""

from __future__ import annotations

import pytest

from tests.rig.fake_upstream import FakeUpstream
from tests.rig.gateway_process import GatewayProcess
from tests.rig.manifests import APP_TOKEN, PROVIDER_KEY, bearer, chat, chat_body

# Names a client may send that no provider may see, each with a canary value.
PRIVATE = {
    "x-tfy-api-key": APP_TOKEN,
    "x-tfy-metadata": '{"team":"canary-metadata"}',
    "x-tfy-provider-name": "fake",
    "x-tfy-unknown-future-header": "canary-unknown",
    "cookie": "session=canary-cookie",
    "proxy-authorization": "Basic canary-proxy",
    "x-api-key": "canary-x-api-key",
    "api-key": "canary-api-key",
    "x-forwarded-for": "canary-forwarded",
    "forwarded": "for=canary-forwarded",
    "x-real-ip": "canary-real-ip",
    "te": "trailers",
    "keep-alive": "timeout=canary",
    "upgrade": "canary",
    "proxy-connection": "canary",
    "x-hop": "canary-hop",
    "baggage": "user=canary-baggage",
    "referer": "https://canary-referer",
    "origin": "https://canary-origin",
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_private_headers_never_leave(
    gateway: GatewayProcess, upstream: FakeUpstream, *, stream: bool
) -> None:
    """Only the allow-list goes upstream: no gateway credential, cookie, hop-by-hop or forwarding header."""
    headers = [*PRIVATE.items(), ("connection", "keep-alive, x-hop")]
    reply = chat(gateway, "fake/normal", stream=stream, headers=headers)
    assert reply.status == 200
    sent = upstream.exchanges[-1]
    names = [name for name, _ in sent.headers]
    # `connection` itself may be ours, the client's words must not be in it.
    assert not set(names) & PRIVATE.keys()
    assert not [value for _, value in sent.headers if "canary" in value and value != f"Bearer {PROVIDER_KEY}"]
    assert "x-hop" not in (sent.header("connection") or "")


def test_provider_gets_its_own_credential(gateway: GatewayProcess, upstream: FakeUpstream) -> None:
    """The account's key, once; JSON; no compression asked for."""
    chat(gateway, "fake/normal")
    sent = upstream.exchanges[-1]
    assert [value for name, value in sent.headers if name == "authorization"] == [f"Bearer {PROVIDER_KEY}"]
    assert sent.header("content-type") == "application/json"
    assert (sent.header("accept-encoding") or "identity") == "identity"
    assert sent.header("content-length") == str(len(sent.body))
    assert sent.header("host") == f"127.0.0.1:{upstream.port}"


def test_server_without_credential_gets_none(gateway: GatewayProcess, upstream: FakeUpstream) -> None:
    """A self-hosted account without a key: the client's token does not stand in for it."""
    chat(gateway, "lab/normal")
    assert upstream.exchanges[-1].header("authorization") is None


def test_provider_headers_are_filtered(gateway: GatewayProcess) -> None:
    """No cookie, server name or id of the provider's; its rate limits under a name of their own."""
    reply = chat(gateway, "fake/normal")
    assert reply.header("set-cookie") is None
    assert reply.header("server") != "fake-provider"
    assert reply.header("x-request-id") != "upstream-request-id"
    assert reply.header("x-upstream-ratelimit-remaining-requests") == "41"
    assert reply.header("x-ratelimit-remaining-requests") is None
    assert "canary" not in str(reply.headers)


@pytest.mark.parametrize("given", ["abc", "a" * 128, "!~#id"], ids=["short", "longest", "visible"])
def test_request_id_is_taken(gateway: GatewayProcess, given: str) -> None:
    """At most 128 visible ASCII characters are used as they are."""
    reply = chat(gateway, "fake/normal", headers=[("x-request-id", given)])
    assert reply.header("x-request-id") == given
    assert reply.header_names().count("x-request-id") == 1


@pytest.mark.parametrize(
    "given",
    ["", "a" * 129, "with space", "\xfcmlaut", "tab\there"],
    ids=["empty", "long", "space", "latin", "tab"],
)
def test_request_id_is_made(gateway: GatewayProcess, given: str) -> None:
    """Any other is replaced by one of ours."""
    reply = chat(gateway, "fake/normal", headers=[("x-request-id", given)])
    made = reply.header("x-request-id")
    assert made
    assert made != given
    assert made.isascii()
    assert len(made) <= 128


def test_request_ids_differ(gateway: GatewayProcess) -> None:
    """Each call has its own."""
    ids = {chat(gateway, "fake/normal").header("x-request-id") for _ in range(5)}
    assert len(ids) == 5


def test_error_body_names_the_request(gateway: GatewayProcess) -> None:
    """Header and body agree on request id, trace id and source."""
    reply = chat(gateway, "no/such", headers=[("x-request-id", "mine")])
    error = reply.json["error"]
    assert error["request_id"] == reply.header("x-request-id") == "mine"
    assert error["trace_id"] == (reply.header("traceparent") or "").split("-")[1]
    assert error["source"] == reply.header("x-tfy-error-source") == "client"
    assert set(error) == {"message", "type", "param", "code", "source", "request_id", "trace_id"}


def test_header_names_in_any_case(gateway: GatewayProcess) -> None:
    """HTTP header names have no case."""
    with gateway.connect() as connection:
        reply = connection.exchange(
            "POST",
            "/v1/chat/completions",
            [("X-TFY-API-KEY", APP_TOKEN), ("Content-Type", "application/json"), ("X-Request-Id", "q")],
            chat_body("fake/normal"),
        )
    assert reply.status == 200
    assert reply.header("x-request-id") == "q"


def test_bearer_wins_or_is_refused_with_a_second_token(gateway: GatewayProcess) -> None:
    """A wrong bearer token is not rescued silently into another caller's rights."""
    with gateway.connect() as connection:
        reply = connection.exchange(
            "GET", "/v1/models", [bearer("canary-wrong-token"), ("x-tfy-api-key", "canary-wrong-too")]
        )
    assert reply.status == 401
