"""perf/locustfile.py, with a stand-in for Locust, which lives in an environment of its own."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Self

import pytest

_FILE = Path(__file__).resolve().parents[3] / "perf" / "locustfile.py"
_TEXT = b'data: {"choices": [{"delta": {"content": "x"}}]}\n'
_END = b"data: [DONE]\n"


class _Response:
    """What Locust gives; it raises what is among its lines.

    Attributes:
        failures: What it was told of.
    """

    def __init__(self, content: bytes = b"", *lines: bytes | Exception, status: int = 200) -> None:
        self.status_code = status
        self.content = content
        self.stream = self
        self.failures: list[str] = []
        self._lines = list(lines)

    def readline(self, _: bytes) -> bytes:
        line = self._lines.pop(0) if self._lines else b""
        if isinstance(line, Exception):
            raise line
        return line

    def failure(self, reason: str) -> None:
        self.failures.append(reason)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class _Session:
    """Answers every call with one response."""

    def __init__(self) -> None:
        self.response = _Response()
        self.paths: list[str] = []

    def post(self, path: str, *, headers: dict[str, str], **_: Any) -> _Response:
        self.paths.append(path)
        self.headers = headers
        return self.response


class _FastHttpUser:
    host: str | None = None

    def __init__(self, environment: Any) -> None:
        self.environment = environment
        self.client = _Session()


def _plain(*_: Any) -> Callable[[Any], Any]:
    return lambda decorated: decorated


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the file defines."""
    listening = SimpleNamespace(add_listener=lambda function: function)
    locust, fast = ModuleType("locust"), ModuleType("locust.contrib.fasthttp")
    for name, value in {
        "FastHttpUser": _FastHttpUser,
        "between": lambda *_: None,
        "events": SimpleNamespace(init_command_line_parser=listening),
        "tag": _plain,
        "task": _plain,
    }.items():
        setattr(locust, name, value)
    fast.FAILURE_EXCEPTIONS = (ConnectionError,)  # type: ignore[attr-defined]  # made here
    monkeypatch.setitem(sys.modules, "locust", locust)
    monkeypatch.setitem(sys.modules, "locust.contrib", ModuleType("locust.contrib"))
    monkeypatch.setitem(sys.modules, "locust.contrib.fasthttp", fast)
    return runpy.run_path(str(_FILE))


@pytest.fixture
def user(names: dict[str, Any]) -> Any:
    fired = SimpleNamespace(request=SimpleNamespace(fire=lambda **_: None))
    options = SimpleNamespace(
        api_key="key", model="m", embedding_model="e", path_prefix="/v1/", insecure=False
    )
    environment = SimpleNamespace(host="https://gateway.example/", parsed_options=options, events=fired)
    made = names["GatewayUser"](environment)
    made.on_start()
    return made


@pytest.mark.parametrize(
    ("address", "host"),
    [
        pytest.param("https://gateway.example/", "https://gateway.example", id="a slash"),
        pytest.param("https://gateway.example/v1/", "https://gateway.example", id="as SDKs want it"),
        pytest.param("https://example/gateway", "https://example/gateway", id="under a path"),
        pytest.param(None, "http://127.0.0.1:8787", id="none"),
    ],
)
def test_an_address_may_end_as_it_was_copied(user: Any, address: str | None, host: str) -> None:
    """`//v1` and `/v1/v1` are other paths; and certificates are looked at."""
    made = type(user)(SimpleNamespace(**vars(user.environment) | {"host": address}))
    made.on_start()
    made.chat()
    assert (made.host, made.client.paths) == (host, ["/v1/chat/completions"])
    assert made.insecure is False


@pytest.mark.parametrize(("key", "sent"), [("key", "Bearer key"), ("", None)], ids=["a key", "none"])
def test_a_key_is_sent_where_there_is_one(user: Any, key: str, sent: str | None) -> None:
    """A gateway without callers may refuse an empty one as malformed."""
    user.environment.parsed_options.api_key = key
    user.on_start()
    user.chat()
    assert user.client.headers.get("authorization") == sent


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        b"\xff",
        b"[]",
        b'{"error": "x"}',
        b'{"choices": []}',
        b'{"choices": [{"message": null}]}',
    ],
)
def test_an_answer_that_is_none_is_a_failure(user: Any, content: bytes) -> None:
    """An exception would leave its call out of the table."""
    for call in (user.chat, user.embeddings, user.stream):
        user.client.response = _Response(content, b"data: " + content + b"\n", _END)
        call()
        assert len(user.client.response.failures) == 1


def test_good_answers(user: Any) -> None:
    """They are none."""
    user.client.response = _Response(
        b'{"choices": [{"message": {"content": "x"}}], "data": [{"embedding": [1]}]}'
    )
    user.chat()
    user.embeddings()
    assert user.client.response.failures == []


@pytest.mark.parametrize(
    ("lines", "failures"),
    [
        pytest.param([_TEXT, _END], [], id="whole"),
        pytest.param([b": ping\n", b"data: ping\n", _TEXT, _END], [], id="with what is no event of chat"),
        pytest.param([_TEXT], ["the stream has no end mark"], id="no end"),
        pytest.param([_END], ["the stream has no text"], id="no text"),
        pytest.param(
            [_TEXT, ConnectionResetError()], ["the stream broke off: ConnectionResetError"], id="cut"
        ),
    ],
)
def test_streams(user: Any, lines: list[bytes | Exception], failures: list[str]) -> None:
    """One that is not whole is a failure, however it ends."""
    user.client.response = _Response(b"", *lines)
    user.stream()
    assert user.client.response.failures == failures
