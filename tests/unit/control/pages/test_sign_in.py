"""The pages before the frame."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.control.rooms import TOKEN, Rooms, access_at

PASSWORD = "correct horse battery"


@pytest.mark.parametrize(
    ("target", "kept"),
    [
        ("/traces?q=1", "/traces?q=1"),
        ("/", "/"),
        *((one, "/") for one in ("//evil.example", "https://evil.example", "/\\evil.example", "", "x")),
        *((one, "/") for one in ("/\t/evil.example", "javascript:alert(1)", "\\\\evil.example")),
    ],
)
def test_one_comes_back_to_a_page_of_ours(target: str, kept: str) -> None:
    """And to no other site."""
    client = Rooms().client(token=None)
    shown = client.get("/sign-in", params={"next": target}).text
    assert f'data-next="{kept.replace("&", "&amp;")}"' in shown
    client.post("/api/sign-in", json={"token": TOKEN})
    reply = client.get("/sign-in", params={"next": target}, follow_redirects=False)
    assert (reply.status_code, reply.headers["location"]) == (303, kept)


def test_it_tells_how_to_begin_while_nobody_has_a_password(tmp_path: Path) -> None:
    """And not afterwards."""
    access = access_at(folder=tmp_path)
    client = Rooms(access=access).client(token=None)
    assert "gateway admin link" in client.get("/sign-in").text
    access.entrance.accounts.use_link(access.entrance.accounts.make_link("admin"), PASSWORD)
    assert "gateway admin link" not in client.get("/sign-in").text


def test_it_tells_of_accounts_that_cannot_be_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The page is there all the same, the environment's token is a way in, and the log names the file."""
    client = Rooms(access=access_at(folder=tmp_path)).client(token=None)
    (tmp_path / "operators.json").write_text('{"users": {')
    shown = client.get("/sign-in")
    assert (shown.status_code, "cannot be read" in shown.text) == (200, True)
    assert f"{tmp_path / 'operators.json'} is damaged" in caplog.text
    assert client.post("/api/sign-in", json={"token": TOKEN}).status_code == 200
    assert client.get("/api/config").status_code == 200


def test_it_tells_so_to_who_was_signed_in(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An old cookie, whose user cannot be looked up any more, keeps nobody from the way in."""
    access = access_at(folder=tmp_path)
    access.entrance.accounts.use_link(access.entrance.accounts.make_link("admin"), PASSWORD)
    client = Rooms(access=access).client(token=None)
    assert client.post("/api/sign-in", json={"user": "admin", "password": PASSWORD}).status_code == 200
    (tmp_path / "operators.json").write_text('{"users": {')
    shown = client.get("/sign-in")
    assert (shown.status_code, "cannot be read" in shown.text) == (200, True)
    assert f"{tmp_path / 'operators.json'} is damaged" in caplog.text
    assert client.get("/api/config").status_code == 500
    assert client.post("/api/sign-in", json={"token": TOKEN}).status_code == 200
    assert client.get("/api/config").status_code == 200


def test_sessions_that_cannot_be_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Everybody signs in again, and the log names the file."""
    client = Rooms(access=access_at(folder=tmp_path)).client(token=None)
    client.post("/api/sign-in", json={"token": TOKEN})
    (tmp_path / "sessions.json").write_text("[")
    reply = client.get("/api/config")
    assert (reply.status_code, reply.json()["error"]["code"]) == (401, "unauthorized")
    assert client.post("/api/sign-in", json={"token": TOKEN}).status_code == 200
    assert client.get("/api/config").status_code == 200
    assert f"kept as {tmp_path / 'sessions.json.damaged'}" in caplog.text


@pytest.mark.parametrize(
    ("host", "headers", "is_told"),
    [
        ("127.0.0.1", {}, False),
        ("0.0.0.0", {}, True),
        ("0.0.0.0", {"x-forwarded-proto": "https"}, False),
    ],
)
def test_without_tls_it_warns(host: str, headers: dict[str, str], *, is_told: bool) -> None:
    """Where what is typed can be read on the way."""
    client = Rooms(access=access_at(host)).client(token=None)
    for path in ("/sign-in", "/first"):
        assert ("without TLS" in client.get(path, headers=headers).text) == is_told


def test_nothing_is_framed_nor_inline() -> None:
    """As on every page."""
    client = Rooms().client(token=None)
    for path in ("/sign-in", "/first"):
        reply = client.get(path)
        assert "frame-ancestors 'none'" in reply.headers["content-security-policy"]
        assert reply.headers["cache-control"] == "no-store"
        assert "<style" not in reply.text
        assert " style=" not in reply.text
