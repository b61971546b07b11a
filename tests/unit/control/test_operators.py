"""Signing in and out, users and tokens, over HTTP."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from gateway.control.audit import AuditTrail
from gateway.control.auth import Access
from gateway.store.audit_log import AuditLog
from tests.unit.control.rooms import TOKEN, Rooms, access_at

PASSWORD = "correct horse battery"
JSON = {"content-type": "application/json"}


@pytest.fixture
def access(tmp_path: Path) -> Access:
    return access_at(folder=tmp_path)


@pytest.fixture
def trail(tmp_path: Path) -> AuditTrail:
    return AuditTrail(AuditLog(tmp_path / "audit"))


@pytest.fixture
def admin(access: Access, trail: AuditTrail) -> TestClient:
    return Rooms(access=access, audit=trail).client()


@pytest.fixture
def browser(access: Access, trail: AuditTrail) -> TestClient:
    return Rooms(access=access, audit=trail).client(token=None)


def test_from_the_link_to_the_dashboard(access: Access, browser: TestClient, trail: AuditTrail) -> None:
    """The link sets the password, and who has it is signed in by a cookie that no script can read."""
    link = access.entrance.accounts.make_link("admin")
    reply = browser.post("/api/first", json={"link": link, "password": PASSWORD})
    assert reply.json() == {"name": "admin", "role": "admin"}
    cookie = reply.headers["set-cookie"]
    assert cookie.startswith("gateway-session-8788=")
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Secure" not in cookie
    assert browser.get("/api/me").json() == {"name": "admin", "role": "admin"}
    again = browser.post("/api/first", json={"link": link, "password": PASSWORD})
    assert (again.status_code, again.json()["error"]["code"]) == (403, "link_ended")
    (entry,) = trail.page(10, None, {})["entries"]
    assert (entry["action"], entry["name"], entry["by"]["operator"]) == (
        *("operator.password_set", "admin", "admin"),
    )
    assert link not in str(entry)


@pytest.mark.parametrize(
    ("headers", "is_secure"),
    [({}, False), ({"x-forwarded-proto": "https"}, True), ({"x-forwarded-proto": "http"}, False)],
)
def test_over_tls_the_cookie_stays_there(
    browser: TestClient, headers: dict[str, str], *, is_secure: bool
) -> None:
    """Also where a proxy in front has the certificate."""
    reply = browser.post("/api/sign-in", json={"token": TOKEN}, headers=headers)
    assert ("Secure" in reply.headers["set-cookie"]) == is_secure


def test_signing_out(browser: TestClient) -> None:
    """Ends the session, not only the cookie."""
    browser.post("/api/sign-in", json={"token": TOKEN})
    secret = browser.cookies["gateway-session-8788"]
    page = browser.get("/controls/settings/otel").text
    csrf = page.partition('name="csrf-token" content="')[2].partition('"')[0]
    assert browser.post("/api/sign-out", headers={"x-csrf-token": csrf}).status_code == 200
    browser.cookies.set("gateway-session-8788", secret)
    assert browser.get("/api/me").status_code == 401


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"user": "admin", "password": "wrong"}, 401, "wrong_secret"),
        ({"token": "wrong"}, 401, "wrong_secret"),
        ({"token": ""}, 400, "invalid_parameter"),
        ({"token": 1}, 400, "invalid_parameter"),
        ({"user": "admin"}, 400, "invalid_parameter"),
        ({}, 400, "invalid_parameter"),
    ],
)
def test_refusals(browser: TestClient, body: dict[str, object], status: int, code: str) -> None:
    """In words; no session."""
    reply = browser.post("/api/sign-in", json=body)
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)
    assert "set-cookie" not in reply.headers


def test_another_page_cannot_sign_somebody_in(browser: TestClient) -> None:
    """As itself, to be told what they do then."""
    body = {"token": TOKEN}
    for headers in ({"origin": "http://evil.example"}, {"sec-fetch-site": "cross-site"}):
        assert browser.post("/api/sign-in", json=body, headers=headers).status_code == 403
    assert browser.post("/api/sign-in", data=body).status_code == 415


def test_guessing_is_slowed(browser: TestClient) -> None:
    """With the time to wait."""
    for _ in range(6):
        browser.post("/api/sign-in", json={"token": "guess"})
    reply = browser.post("/api/sign-in", json={"token": TOKEN})
    assert (reply.status_code, reply.json()["error"]["code"]) == (429, "too_many_tries")
    assert reply.headers["retry-after"] == "2"


def test_a_user_from_invitation_to_end(admin: TestClient, browser: TestClient, trail: AuditTrail) -> None:
    """Nobody but the user ever has the password."""
    made = admin.post("/api/operators", json={"name": "ada", "role": "viewer"})
    assert made.status_code == 201
    link = made.json()["link"].partition("#")[2]
    assert admin.get("/api/operators").json()["users"][0]["has_password"] is False
    assert browser.post("/api/first", json={"link": link, "password": PASSWORD}).status_code == 200
    (user,) = admin.get("/api/operators").json()["users"]
    assert (user["name"], user["role"], user["has_password"]) == ("ada", "viewer", True)
    assert admin.post("/api/operators/ada/role", json={"role": "admin"}).json()["role"] == "admin"
    assert browser.get("/api/me").json()["role"] == "admin"
    assert admin.post("/api/operators/ada/link", headers=JSON).json()["link"].startswith("/first#")
    assert admin.post("/api/operators", json={"name": "bob", "role": "admin"}).status_code == 201
    assert admin.delete("/api/operators/ada").status_code == 200
    assert browser.get("/api/me").status_code == 401
    assert admin.delete("/api/operators/ada").status_code == 400
    assert admin.post("/api/operators", json={"name": "x", "role": "king"}).status_code == 400
    actions = [entry["action"] for entry in trail.page(20, None, {"type": "operator"})["entries"]]
    assert actions[0] == "operator.removed"
    assert actions[-2:] == ["operator.link_made", "operator.created"]


def test_tokens(admin: TestClient, browser: TestClient) -> None:
    """Seen once; then without the secret, until they are revoked."""
    made = admin.post("/api/tokens", json={"name": "ci", "role": "viewer", "days": 30})
    assert made.status_code == 201
    secret = made.json()["token"]
    listed = admin.get("/api/tokens")
    assert secret not in listed.text
    (token,) = listed.json()["tokens"]
    assert (token["name"], token["role"]) == ("ci", "viewer")
    assert token["expires_at"] is not None
    header = {"authorization": f"Bearer {secret}"}
    assert browser.get("/api/me", headers=header).json() == {"name": "ci", "role": "viewer"}
    assert admin.delete(f"/api/tokens/{token['id']}").status_code == 200
    assert browser.get("/api/me", headers=header).status_code == 401
    for days in (0, -1, "3", 5000):
        body = {"name": "x", "role": "viewer", "days": days}
        assert admin.post("/api/tokens", json=body).status_code == 400


def test_one_s_own_password(access: Access, browser: TestClient) -> None:
    """A viewer may change it, and stays signed in."""
    accounts = access.entrance.accounts
    accounts.make_link("admin")
    browser.post("/api/first", json={"link": accounts.make_link("admin"), "password": PASSWORD})
    page = browser.get("/controls/settings/otel").text
    csrf = {"x-csrf-token": page.partition('name="csrf-token" content="')[2].partition('"')[0]}
    body = {"password": "wrong", "new_password": PASSWORD + "!"}
    assert browser.post("/api/me/password", json=body, headers=csrf).status_code == 401
    body = {"password": PASSWORD, "new_password": "short"}
    assert browser.post("/api/me/password", json=body, headers=csrf).status_code == 400
    body = {"password": PASSWORD, "new_password": PASSWORD + "!"}
    assert browser.post("/api/me/password", json=body, headers=csrf).status_code == 200
    assert browser.get("/api/me").status_code == 200
