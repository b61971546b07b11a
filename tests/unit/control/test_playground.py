"""`/api/playground/*`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import pytest

from gateway.control.operator import Role
from gateway.control.playground import CHAT_PATH, Playground
from gateway.upstream.data_plane import Answer, DataPlaneAway
from tests.unit.control.rooms import Rooms, access_at

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
ASKED = {"request": {"model": "a/b", "messages": []}, "metadata": {"project": "ü\r\nx: y"}}


@dataclass
class FakeLine:
    """Answers as it is told, and notes what it was asked."""

    status: int = 200
    kind: str = "text/event-stream"
    body: bytes = b"data: {}\n\n"
    failure: str = ""
    asked: list[tuple[str, str, Mapping[str, str], bytes | None]] = field(default_factory=list)

    @asynccontextmanager
    async def call(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None
    ) -> AsyncIterator[Answer]:
        self.asked.append((method, path, headers, body))
        if self.failure:
            raise DataPlaneAway(self.failure)
        told = {"content-type": self.kind, "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
        yield Answer(self.status, told, self._parts())

    async def _parts(self) -> AsyncIterator[bytes]:
        yield self.body


@dataclass
class FakeMinter:
    def mint(self, user: str, *, is_admin: bool, now_s: float) -> str:
        return f"token-of-{user}-{is_admin}"


def rooms(line: FakeLine, most: int = 1) -> Rooms:
    return Rooms(playground=Playground(line, FakeMinter(), most))


def test_a_stream_is_passed_on_after_its_head() -> None:
    """As who is signed in, with metadata that cannot become another header."""
    line = FakeLine()
    answer = rooms(line).client().post(CHAT_PATH, json=ASKED)
    head, rest = answer.content.split(b"\n\n", 1)
    assert head.startswith(b"event: head\ndata: ")
    told = orjson.loads(head.partition(b"data: ")[2])
    assert (told["status"], told["trace_id"], rest) == (200, TRACE, line.body)
    ((method, path, headers, body),) = line.asked
    assert (method, path) == ("POST", "/v1/chat/completions")
    assert headers["authorization"] == "Bearer token-of-environment-True"
    assert headers["x-tfy-metadata"] == r'{"project": "\u00fc\r\nx: y"}'
    assert orjson.loads(body or b"") == ASKED["request"]
    assert "token-of" not in answer.text


def test_an_answer_that_is_no_stream_is_one_event() -> None:
    """Whatever is in it, a refusal too."""
    line = FakeLine(401, "application/json", b'{"error":\n\n"event: head"}')
    answer = rooms(line).client().post(CHAT_PATH, json=ASKED)
    _, second, _ = answer.text.split("\n\n")
    assert second.startswith("event: answer\ndata: ")
    assert orjson.loads(second.partition("data: ")[2])["body"].encode() == line.body
    assert '"status":401' in answer.text


def test_a_data_plane_that_is_away_is_told() -> None:
    """In the stream, and of models as a status."""
    client = rooms(FakeLine(failure="away")).client()
    assert client.post(CHAT_PATH, json=ASKED).text == 'event: trouble\ndata: {"message":"away"}\n\n'
    assert client.get("/api/playground/models").status_code == 503


def test_calls_are_counted_and_given_back() -> None:
    """Only so many at once, however each ends."""
    client = rooms(FakeLine()).client()
    assert [client.post(CHAT_PATH, json=ASKED).status_code for _ in range(3)] == [200] * 3
    answer = rooms(FakeLine(), most=0).client().post(CHAT_PATH, json=ASKED)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "busy")


@pytest.mark.parametrize(
    "body", [{}, {"request": 1}, {"request": {}, "metadata": {"a": 1}}, {"request": {}, "x": 1}]
)
def test_what_is_no_call_is_refused(body: dict[str, object]) -> None:
    """And nobody is asked."""
    line = FakeLine()
    assert rooms(line).client().post(CHAT_PATH, json=body).json()["error"]["code"] == "invalid_parameter"
    assert line.asked == []


def test_models_of_who_asks(tmp_path: Path) -> None:
    """A viewer too may ask; the data plane says what there is."""
    access = access_at(folder=tmp_path)
    _, secret = access.entrance.accounts.make_token("reader", Role.VIEWER)
    line = FakeLine(body=b'{"data": [{"id": "a/b"}]}')
    app = Rooms(playground=Playground(line, FakeMinter()), access=access)
    assert app.client(token=secret).get("/api/playground/models").json() == {"models": ["a/b"]}
    assert line.asked[0][2]["authorization"] == "Bearer token-of-reader-False"
    line.status, line.body = 401, b'{"error": {"message": "nothing"}}'
    refused = app.client(token=secret).get("/api/playground/models")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "nothing_to_call")
    line.status, line.body = 503, b'{"error": {"message": "overloaded"}}'
    refused = app.client(token=secret).get("/api/playground/models")
    assert (refused.status_code, refused.json()["error"]["message"]) == (503, "overloaded")


def test_nobody_calls_without_signing_in_or_from_another_page() -> None:
    """The guard and the body reader see to it."""
    line = FakeLine()
    assert rooms(line).client(token=None).post(CHAT_PATH, json=ASKED).status_code == 401
    foreign = rooms(line).client().post(CHAT_PATH, json=ASKED, headers={"origin": "https://evil.test"})
    assert foreign.json()["error"]["code"] == "foreign_origin"
    assert line.asked == []
