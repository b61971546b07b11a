"""The rooms joined."""

from __future__ import annotations

import pytest

from tests.unit.control.rooms import FakeStore, Rooms


def test_front_is_the_first_page() -> None:
    """Somebody who opens the port sees the dashboard."""
    client = Rooms().client()
    assert client.get("/", follow_redirects=False).status_code == 307
    assert client.get("/").headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/api/", 404, "not_found"),
        ("GET", "/api/traces/", 404, "not_found"),
        ("POST", "/api/traces", 405, "method_not_allowed"),
        ("DELETE", "/livez", 405, "method_not_allowed"),
    ],
)
def test_refusals_are_json(method: str, path: str, status: int, code: str) -> None:
    """Whatever is wrong, a program can read it."""
    reply = Rooms().client().request(method, path)
    assert reply.status_code == status
    assert set(reply.json()) == {"error"}
    assert set(reply.json()["error"]) == {"code", "message"}
    assert reply.json()["error"]["code"] == code
    if status == 405:
        assert "GET" in reply.headers["allow"]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/controls/limits", "text/html; charset=utf-8"),
        ("/api/nothing", "application/json"),
        ("/static/x", None),
    ],
)
def test_an_address_without_a_page_is_a_page(path: str, kind: str | None) -> None:
    """For people, who mistype one or follow a link of another version; the API stays one."""
    reply = Rooms().client().get(path, headers={"accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert reply.status_code == 404
    assert reply.headers["content-type"] == (kind or "application/json")
    if "html" in (kind or ""):
        assert "There is no such page" in reply.text
        assert 'href="/traces"' in reply.text


def test_failure_of_ours_is_json_and_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """The log has the traceback and the path, without what was searched for; the client has neither."""
    rooms = Rooms(store=FakeStore(failure=KeyError("secret detail")))
    reply = rooms.client().get("/api/traces?q=canary")
    (record,) = (one for one in caplog.records if one.levelname == "ERROR")
    assert record.getMessage() == "GET '/api/traces' failed"
    assert record.exc_info is not None
    assert reply.status_code == 500
    assert reply.json()["error"]["code"] == "internal"
    assert "secret" not in reply.text


def test_answers_are_not_cached_nor_shared() -> None:
    """What is shown is this moment's, for this page only."""
    reply = Rooms().client().get("/api/traces", headers={"origin": "http://localhost:3000"})
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["content-type"] == "application/json"
    assert not [name for name in reply.headers if name.startswith("access-control")]
