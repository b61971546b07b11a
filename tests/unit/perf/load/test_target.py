"""perf/load/target.py."""

from __future__ import annotations

import orjson
import pytest

from perf.load.amount import UnsafeTargetError
from perf.load.target import Accept, http_target
from perf.payloads import REPLY, Ask

_URL = "http://127.0.0.1:1/v1"


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "http://192.168.0.7:80/",
        "http://localhost.evil:1/",
        "https://127.0.0.1/",
        "127.0.0.1",
    ],
)
def test_only_loopback_is_loaded(url: str) -> None:
    """The tool cannot be pointed at somebody else's server."""
    with pytest.raises(UnsafeTargetError, match="loopback"):
        http_target(url, model="m", token="t")


def test_what_http_cannot_carry_is_not_sent() -> None:
    """A token was copied with something else."""
    with pytest.raises(UnsafeTargetError, match="ASCII"):
        http_target(_URL, model="m", token="\u201ct\u201d")


@pytest.mark.parametrize(
    ("url", "size_bytes", "said"),
    [
        pytest.param("http://127.0.0.1:99999/", 553, "Port out of range", id="a port"),
        pytest.param("http://[::1/", 553, "Invalid IPv6", id="an address"),
        pytest.param(_URL, 10, "does not fit 10 bytes", id="a size"),
    ],
)
def test_what_cannot_be_is_refused(url: str, size_bytes: int, said: str) -> None:
    """By a word: these come from a command line."""
    with pytest.raises(UnsafeTargetError, match=said):
        http_target(url, model="m", token="t", ask=Ask(size_bytes))


def test_headers_of_a_contender_are_sent() -> None:
    """Some are told by header where to relay to."""
    target = http_target(_URL, model="m", token="t", headers=("x-a: 1", "x-b: 2"))
    head, _, _ = target.request.partition(b"\r\n\r\n")
    assert head.endswith(b"\r\nx-a: 1\r\nx-b: 2")


def test_request_and_reply_are_those_of_the_ask() -> None:
    """A stream is asked for in the body, and its events are what must come back."""
    target = http_target(_URL, model="m", token="t", ask=Ask(is_stream=True, pace_ms=20))
    _, _, body = target.request.partition(b"\r\n\r\n")
    assert orjson.loads(body)["stream"] is True
    assert target.reply.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize(
    ("accept", "expected"), [pytest.param(Accept.BYTES, False), pytest.param(Accept.TEXT, True)]
)
def test_only_who_may_gives_other_bytes(accept: Accept, expected: bool) -> None:  # noqa: FBT001  a table
    """Other bytes of the same text are good only where the contender is known to write answers anew."""
    target = http_target(_URL, model="m", token="t", accept=accept)
    assert target.accepts(REPLY)
    assert target.accepts(REPLY.replace(b'"created":1764000000', b'"created":1')) is expected
    assert not target.accepts(b"{}")
