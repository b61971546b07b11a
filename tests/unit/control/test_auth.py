"""Who may reach the control plane."""

from __future__ import annotations

import pytest

from gateway.control.auth import Access
from tests.unit.control.limit_desk import desk_of
from tests.unit.control.rooms import Rooms

TOKEN = "admin-token-of-this-test"
OPEN = ["/", "/livez", "/readyz"]
API = ["/api/traces", "/api/telemetry", "/api/config", "/api/traces/" + "0" * 32, "/api", "/api/unknown"]


def away(token: str | None = TOKEN) -> Rooms:
    return Rooms(access=Access("0.0.0.0", token))


@pytest.mark.parametrize("path", API)
@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", "Bearer wrong", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer é"],
)
def test_away_from_loopback_the_api_needs_the_token(path: str, header: str | None) -> None:
    """Also what does not exist: nothing can be found out without it."""
    headers = [] if header is None else [(b"authorization", header.encode())]
    reply = away().client("http://gateway.example:8788").get(path, headers=headers)
    assert reply.status_code == 401
    assert reply.json()["error"]["code"] == "unauthorized"
    assert reply.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_the_token_opens_the_api(scheme: str) -> None:
    """The scheme's case does not matter."""
    client = away().client("http://gateway.example:8788")
    assert client.get("/api/traces", headers={"authorization": f"{scheme} {TOKEN}"}).status_code == 200


def test_callers_have_their_own_token() -> None:
    """What they may ask is checked by the room itself; the admin token is none of theirs."""
    rooms = Rooms(access=Access("0.0.0.0", TOKEN), limits=desk_of().source)
    client = rooms.client("http://gateway.example:8788")
    headers = {"authorization": "Bearer app-token"}
    assert client.get("/api/limits/my-usage", headers=headers).status_code == 200
    for path in ("/api/limits/my-usage", "/api/limits/usage"):
        assert client.get(path).status_code == 401
    assert client.get("/api/limits/usage", headers=headers).status_code == 401


def test_two_tokens_are_none() -> None:
    """What a proxy added and what the client sent may differ."""
    client = away().client("http://gateway.example")
    headers = [("authorization", f"Bearer {TOKEN}"), ("authorization", "Bearer wrong")]
    assert client.get("/api/traces", headers=headers).status_code == 401


def test_without_a_token_the_api_is_closed_away_from_loopback() -> None:
    """The start refuses this; should it ever come to it, nothing is open."""
    client = away(None).client("http://gateway.example")
    assert client.get("/api/traces", headers={"authorization": "Bearer None"}).status_code == 401


@pytest.mark.parametrize("path", OPEN)
def test_health_is_open_everywhere(path: str) -> None:
    """Probes carry no token."""
    assert away().client("http://gateway.example").get(path).status_code in (200, 503)


@pytest.mark.parametrize("bound", ["127.0.0.1", "localhost", "::1"])
@pytest.mark.parametrize(
    "host", ["localhost:9", "127.0.0.1:8788", "[::1]:8788", "[::1]", "LOCALHOST", "127.0.0.1"]
)
def test_loopback_is_open_by_its_own_names(bound: str, host: str) -> None:
    """A token that is set works and is not needed."""
    client = Rooms(access=Access(bound, TOKEN)).client()
    assert client.get("/api/traces", headers={"host": host}).status_code == 200
    headers = {"host": host, "authorization": f"Bearer {TOKEN}"}
    assert client.get("/api/traces", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        *(
            "evil.example",
            "evil.example:8788",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "localhost.",
        ),
        *("", "[::1", "127.0.0.1:x", "127.0.0.1@evil.example", "10.0.0.1", "[::2]:80", "localhost:1:2"),
    ],
)
@pytest.mark.parametrize("path", ["/", "/api/traces"])
def test_loopback_refuses_other_names(host: str, path: str) -> None:
    """A page whose name was made to point here reads nothing."""
    reply = Rooms().client().get(path, headers={"host": host})
    assert reply.status_code == 421
    assert reply.json()["error"]["code"] == "misdirected_request"


def test_health_answers_by_any_name() -> None:
    """Probes may come through a proxy, and there is nothing to read."""
    assert Rooms().client().get("/livez", headers={"host": "evil.example"}).status_code == 200


def test_token_is_not_in_the_repr() -> None:
    """Settings are logged more easily than one thinks."""
    assert TOKEN not in repr(Access("0.0.0.0", TOKEN))
