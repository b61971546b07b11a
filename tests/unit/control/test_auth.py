"""Who may reach the control plane."""

from __future__ import annotations

import errno
import re
from pathlib import Path
from typing import NoReturn

import pytest
from starlette.testclient import TestClient

from gateway.control.auth import FIRST_PATH, SIGN_IN_PATH, VIEWER_MAY
from gateway.control.openapi import TOPICS
from gateway.control.operator import Role
from gateway.control.sign_in import sessions
from gateway.store import private_json
from tests.unit.control.limit_desk import desk_of
from tests.unit.control.rooms import TOKEN, Rooms, access_at

PASSWORD = "correct horse battery"
OPEN = ["/livez", "/readyz", "/metrics"]
API = ["/api/traces", "/api/telemetry", "/api/config", "/api/traces/" + "0" * 32, "/api", "/api/unknown"]
PAGES = ["/", "/controls/settings/otel"]
CHANGES = [("POST", "/api/telemetry/test"), ("PUT", "/api/config/otel"), ("POST", "/api/targets/drain")]
CHANGES += [("POST", "/api/unknown"), ("PATCH", "/api")]
# Every one that there is, so that a new one cannot be forgotten.
CHANGES += [
    (one.method, re.sub(r"\{[^}]*\}", "x", one.path))
    for topic in TOPICS
    for one in topic.operations
    if one.method not in ("GET", "HEAD")
    and one.path not in {*VIEWER_MAY, "/api/sign-in", "/api/first"}
    and one.who != "caller"
]
CHANGES = sorted(set(CHANGES))


def away(token: str | None = TOKEN) -> Rooms:
    return Rooms(access=access_at("0.0.0.0", token))


def signed_in(tmp_path: Path, role: Role = Role.ADMIN) -> tuple[TestClient, str]:
    """A browser with a session, and its CSRF token."""
    access = access_at(folder=tmp_path)
    accounts = access.entrance.accounts
    accounts.add_user("ada", role)
    accounts.set_password("ada", PASSWORD)
    client = Rooms(access=access).client(token=None)
    assert client.post("/api/sign-in", json={"user": "ada", "password": PASSWORD}).status_code == 200
    page = client.get("/controls/settings/otel").text
    return client, page.partition('name="csrf-token" content="')[2].partition('"')[0]


@pytest.mark.parametrize("bound", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize("path", API)
@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer ", "Bearer wrong", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer é"],
)
def test_the_api_needs_a_token(bound: str, path: str, header: str | None) -> None:
    """Also on loopback, also what does not exist: nothing can be found out without it."""
    client = Rooms(access=access_at(bound)).client(token=None)
    reply = client.get(path, headers=[] if header is None else [(b"authorization", header.encode())])
    assert reply.status_code == 401
    assert reply.json()["error"]["code"] == "unauthorized"
    assert reply.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_the_token_opens_the_api(scheme: str) -> None:
    """The scheme's case does not matter."""
    client = away().client("http://gateway.example:8788", token=None)
    assert client.get("/api/traces", headers={"authorization": f"{scheme} {TOKEN}"}).status_code == 200


def test_callers_have_their_own_token() -> None:
    """What they may ask is checked by the room itself; the admin token is none of theirs."""
    rooms = Rooms(access=access_at("0.0.0.0"), limits=desk_of().source)
    client = rooms.client("http://gateway.example:8788", token=None)
    headers = {"authorization": "Bearer app-token"}
    assert client.get("/api/limits/my-usage", headers=headers).status_code == 200
    for path in ("/api/limits/my-usage", "/api/limits/usage"):
        assert client.get(path).status_code == 401
    assert client.get("/api/limits/usage", headers=headers).status_code == 401


def test_two_tokens_are_none() -> None:
    """What a proxy added and what the client sent may differ."""
    client = away().client("http://gateway.example", token=None)
    headers = [("authorization", f"Bearer {TOKEN}"), ("authorization", "Bearer wrong")]
    assert client.get("/api/traces", headers=headers).status_code == 401


def test_without_a_token_nothing_is_one() -> None:
    """Not even the word None."""
    client = away(None).client("http://gateway.example", token="None")
    assert client.get("/api/traces").status_code == 401


@pytest.mark.parametrize("path", PAGES)
def test_a_page_leads_to_the_way_in_and_back(path: str) -> None:
    """With all that its address says."""
    client = Rooms().client(token=None)
    reply = client.get(f"{path}?a=1&b=%2F", follow_redirects=False)
    assert reply.status_code == 303
    shown = client.get(reply.headers["location"])
    assert f'data-next="{path}?a=1&amp;b=%2F"' in shown.text


@pytest.mark.parametrize("path", [SIGN_IN_PATH, FIRST_PATH, "/static/x/app.css", *OPEN])
def test_the_way_in_and_health_are_open(path: str) -> None:
    """Probes carry no token."""
    for rooms in (Rooms(), away()):
        assert rooms.client(token=None).get(path).status_code in (200, 503)


@pytest.mark.parametrize("bound", ["127.0.0.1", "localhost", "::1"])
@pytest.mark.parametrize(
    "host", ["localhost:9", "127.0.0.1:8788", "[::1]:8788", "[::1]", "LOCALHOST", "127.0.0.1"]
)
def test_loopback_answers_to_its_own_names(bound: str, host: str) -> None:
    """All of them."""
    client = Rooms(access=access_at(bound)).client()
    assert client.get("/api/traces", headers={"host": host}).status_code == 200


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
@pytest.mark.parametrize("path", ["/", "/api/traces", SIGN_IN_PATH, "/static/x/app.css"])
def test_loopback_refuses_other_names(host: str, path: str) -> None:
    """A page whose name was made to point here reads nothing."""
    reply = Rooms().client().get(path, headers={"host": host})
    assert reply.status_code == 421
    assert reply.json()["error"]["code"] == "misdirected_request"


def test_health_answers_by_any_name() -> None:
    """Probes may come through a proxy, and there is nothing to read."""
    assert Rooms().client().get("/livez", headers={"host": "evil.example"}).status_code == 200


@pytest.mark.parametrize(("method", "path"), CHANGES)
@pytest.mark.parametrize("csrf", [None, "", "wrong"])
def test_a_change_needs_the_token_of_the_session(
    tmp_path: Path, method: str, path: str, csrf: str | None
) -> None:
    """A cookie goes with what any page sends; the token does not."""
    client, _ = signed_in(tmp_path)
    headers = {} if csrf is None else {"x-csrf-token": csrf}
    reply = client.request(method, path, json={}, headers=headers)
    assert reply.status_code == 403
    assert reply.json()["error"]["code"] == "csrf"


@pytest.mark.parametrize(
    "header",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_a_change_from_another_page_is_refused(tmp_path: Path, header: dict[str, str]) -> None:
    """Whatever it knows."""
    client, csrf = signed_in(tmp_path)
    reply = client.post("/api/telemetry/test", json={}, headers={"x-csrf-token": csrf, **header})
    assert reply.status_code == 403
    assert reply.json()["error"]["code"] == "foreign_origin"


def test_our_own_page_makes_changes(tmp_path: Path) -> None:
    """As a browser sends them."""
    client, csrf = signed_in(tmp_path)
    headers = {
        "x-csrf-token": csrf,
        "origin": "http://127.0.0.1:8788",
        "host": "127.0.0.1:8788",
        "sec-fetch-site": "same-origin",
    }
    assert client.post("/api/telemetry/test", json={}, headers=headers).status_code == 200


@pytest.mark.parametrize(("method", "path"), CHANGES)
def test_a_viewer_changes_nothing(tmp_path: Path, method: str, path: str) -> None:
    """By session or by token, also where there is nothing."""
    client, csrf = signed_in(tmp_path, Role.VIEWER)
    reply = client.request(method, path, json={}, headers={"x-csrf-token": csrf})
    assert (reply.status_code, reply.json()["error"]["code"]) == (403, "admin_only")
    _, secret = access_at(folder=tmp_path).entrance.accounts.make_token("reader", Role.VIEWER)
    by_token = Rooms(access=access_at(folder=tmp_path)).client(token=secret)
    reply = by_token.request(method, path, json={})
    assert (reply.status_code, reply.json()["error"]["code"]) == (403, "admin_only")


@pytest.mark.parametrize("path", ["/api/traces", "/api/telemetry", "/api/config/otel", "/api/audit", "/"])
def test_a_viewer_sees(tmp_path: Path, path: str) -> None:
    """What holds no secret."""
    client, _ = signed_in(tmp_path, Role.VIEWER)
    assert client.get(path).status_code in (200, 404)


@pytest.mark.parametrize("path", ["/api/operators", "/api/operator-tokens"])
def test_a_viewer_does_not_see_who_else_there_is(tmp_path: Path, path: str) -> None:
    """Accounts are for admins."""
    client, _ = signed_in(tmp_path, Role.VIEWER)
    assert client.get(path).status_code == 403


def test_what_a_viewer_may_do_is_about_themselves() -> None:
    """Or a question; the list grows with care."""
    # The data plane says what they may call.
    own = {"/api/sign-out", "/api/me/password", "/api/playground/chat"}
    assert own | {"/api/manifests/validate", "/api/limits/simulate"} == VIEWER_MAY


@pytest.mark.parametrize("path", sorted(VIEWER_MAY))
@pytest.mark.parametrize("csrf", [None, "wrong"])
def test_what_a_viewer_may_do_needs_the_token_of_the_session_too(
    tmp_path: Path, path: str, csrf: str | None
) -> None:
    """A call of the playground costs money, and a question takes time."""
    client, _ = signed_in(tmp_path, Role.VIEWER)
    headers = {} if csrf is None else {"x-csrf-token": csrf}
    reply = client.post(path, json={}, headers=headers)
    assert (reply.status_code, reply.json()["error"]["code"]) == (403, "csrf")


def test_who_is_not_let_in_is_counted(tmp_path: Path) -> None:
    """A token, a password of a user and of nobody; what is wrong is told in no word."""
    access = access_at(folder=tmp_path)
    access.entrance.accounts.add_user("ada", Role.VIEWER)
    client = Rooms(access=access).client(token=None)
    client.get("/api/traces", headers={"authorization": "Bearer canary-guess"})
    for user in ("ada", "canary-user"):
        client.post("/api/sign-in", json={"user": user, "password": "canary-password"})
    client.post("/api/sign-in", json={"token": "canary-token"})
    client.post("/api/first", json={"link": "canary-link", "password": PASSWORD})
    told = access.entrance.refusals.rest()
    assert {(one.kind, one.address, one.user, one.count) for one in told} == {
        ("token.refused", "testclient", "", 1),
        ("sign_in.failed", "testclient", "ada", 1),
        ("sign_in.failed", "testclient", "", 1),
        ("sign_in.failed", "testclient", "", 2),
    }
    assert "canary" not in repr(told)


def test_programs_that_guess_are_slowed() -> None:
    """And then even the right token waits, or guessing would go on beside it."""
    client = Rooms().client(token=None)
    for number in range(40):
        reply = client.get("/api/traces", headers={"authorization": f"Bearer guess{number}"})
    assert reply.status_code == 429
    assert int(reply.headers["retry-after"]) >= 1
    assert client.get("/api/traces", headers={"authorization": f"Bearer {TOKEN}"}).status_code == 429


def test_cookies_of_others_do_not_matter(tmp_path: Path) -> None:
    """Whatever other programs on this host have set."""
    client, _ = signed_in(tmp_path)
    secret = client.cookies["gateway-session-8788"]
    client.cookies.clear()
    cookie = f'a b=c{{"; x=1; =; gateway-session-8788={secret}; y="'
    assert client.get("/api/me", headers={"cookie": cookie}).status_code == 200


def test_use_keeps_a_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """That it cannot be noted keeps nobody out."""
    client, _ = signed_in(tmp_path)
    file = tmp_path / sessions.FILE_NAME
    before = file.read_bytes()
    assert client.get("/api/me").status_code == 200
    assert file.read_bytes() == before, "just now it was seen"
    monkeypatch.setattr(sessions, "_SEEN_EVERY_S", -1.0)
    assert client.get("/api/me").status_code == 200
    assert file.read_bytes() != before

    def fail(*_: object) -> NoReturn:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(private_json, "replace_whole", fail)
    assert client.get("/api/me").status_code == 200
    assert "cannot be noted: No space left" in caplog.text


def test_a_broken_cookie_is_none() -> None:
    """Not an error."""
    client = Rooms().client(token=None)
    reply = client.get("/api/traces", headers={"cookie": 'gateway-session-8788="\\; a=b; =;'})
    assert reply.status_code == 401
