"""Who may change something: programs and our own pages, not those of another site."""

from __future__ import annotations

import asyncio

import pytest
from starlette.requests import Request
from starlette.types import Message

from gateway.control.json_body import BODY_S, BodyRefused, read_object
from tests.rig.fast_loop import run_fast
from tests.unit.control.rooms import Rooms

PATH = "/api/telemetry/test"
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        (JSON | {"origin": "http://evil.example"}, 403, "foreign_origin"),
        (JSON | {"origin": "null"}, 403, "foreign_origin"),
        (JSON | {"origin": "http://127.0.0.1:3000"}, 403, "foreign_origin"),
        (JSON | {"origin": "http://["}, 403, "foreign_origin"),
        (JSON | {"origin": "http://[::1"}, 403, "foreign_origin"),
        (JSON | {"sec-fetch-site": "cross-site"}, 403, "foreign_origin"),
        ({"content-type": "text/plain"}, 415, "unsupported_media_type"),
        ({"content-type": "application/x-www-form-urlencoded"}, 415, "unsupported_media_type"),
        ({}, 415, "unsupported_media_type"),
    ],
)
def test_what_a_foreign_page_can_send(method: str, headers: dict[str, str], status: int, code: str) -> None:
    """It is refused before anything is done."""
    rooms = Rooms()
    path = PATH if method == "POST" else "/api/config/otel"
    reply = rooms.client().request(method, path, content=b"{}", headers=headers)
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)
    assert rooms.tested == []


@pytest.mark.parametrize(
    "headers",
    [JSON, {"content-type": "Application/JSON; charset=utf-8"}, JSON | {"origin": "http://127.0.0.1:8788"}],
)
def test_what_programs_and_our_pages_send(headers: dict[str, str]) -> None:
    """It is taken, an empty body too."""
    for content in (b"{}", b"", b" "):
        assert Rooms().client().post(PATH, content=content, headers=headers).status_code == 200


def test_what_needs_no_body_needs_no_type_of_one() -> None:
    """As `curl -X POST` sends it; a page of another site may not, and a session needs its token besides."""
    rooms = Rooms()
    assert rooms.client().post(PATH).status_code == 200
    assert rooms.tested == [None]
    assert rooms.client().post(PATH, headers={"origin": "http://evil.example"}).status_code == 403
    assert rooms.client().post(PATH, headers={"content-type": "text/plain"}).status_code == 415
    assert rooms.tested == [None]


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"{", 400, "invalid_json"),
        (b"[]", 400, "invalid_json"),
        (b"\xff", 400, "invalid_json"),
        (b'{"a": ' + b"[" * 100 + b"]" * 100 + b"}", 400, "invalid_json"),
        (b'{"a": ' + b"[" * 1000 + b"]" * 1000 + b"}", 400, "invalid_json"),
        (b'{"destination": 7}', 400, "invalid_parameter"),
        (b'{"a": "' + b"x" * 300_000 + b'"}', 413, "body_too_large"),
    ],
)
def test_bodies(content: bytes, status: int, code: str) -> None:
    """An object of moderate size."""
    reply = Rooms().client().post(PATH, content=content, headers=JSON)
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)


def test_a_body_with_many_brackets_need_not_be_deep() -> None:
    """Only what lies inside each other counts, and that up to the bound is taken."""
    for content in (b"[" * 99 + b"]" * 99, b"[" + b"{}," * 500 + b"{}]"):
        reply = Rooms().client().post("/api/playground/chat", headers=JSON, content=b'{"x": %s}' % content)
        assert reply.json()["error"]["message"] == "'request' is the body of a chat completion"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/manifests/validate"),
        ("PUT", "/api/manifests/team/a"),
        ("PUT", "/api/config/otel"),
        ("POST", "/api/playground/chat"),
        ("POST", "/api/limits/simulate"),
    ],
)
@pytest.mark.parametrize("depth", [62, 97])
def test_what_is_just_not_too_deep_fails_nowhere(method: str, path: str, depth: int) -> None:
    """A room that cannot do with it says so."""
    nested = b"[" * depth + b"]" * depth
    content = b'{"type": "team", "name": "a", "manifest": {"type": "team", "x": %s}, "request": {"x": %s}}'
    reply = Rooms().client().request(method, path, headers=JSON, content=content % (nested, nested))
    assert reply.status_code < 500


def test_a_body_that_drips() -> None:
    """Who sends it byte by byte, and may not even have signed in, is told so in time."""

    async def receive() -> Message:
        await asyncio.sleep(BODY_S / 3)
        return {"type": "http.request", "body": b" ", "more_body": True}

    async def read() -> None:
        headers = [(b"content-type", b"application/json")]
        await read_object(Request({"type": "http", "headers": headers}, receive))

    with pytest.raises(BodyRefused) as refused:
        run_fast(read())
    assert (refused.value.status, refused.value.code) == (408, "body_timeout")
