"""perf/overload.py: every call is counted once, as what became of it."""

from __future__ import annotations

import asyncio
import sys
from typing import Any, cast

import pytest

from perf.load.target import Target
from perf.overload import Flood, Health, Overloaded, _Caller, main
from perf.payloads import REPLY

TARGET = Target("127.0.0.1", 1, b"ask", REPLY)


def answer(status: int, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Word", *headers, f"content-length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


GOOD = answer(200, REPLY)
POLITE = answer(503, b"{}", "Retry-After: 2")
IMPOLITE = answer(503, b"{}")
STRANGE = answer(500, b"{}")


class Server:
    """The other end of connections: gives its answers in turn; None: none, "": the connection ends."""

    def __init__(self, *answers: bytes | str | None) -> None:
        self._answers = list(answers)

    def made(self) -> _Caller:
        caller = _Caller()
        caller.connection_made(cast("Any", _Transport(self, caller)))
        return caller

    def hear(self, caller: _Caller) -> None:
        given = self._answers.pop(0)
        loop = asyncio.get_running_loop()
        if isinstance(given, bytes):
            loop.call_soon(caller.data_received, given)
        elif given is not None:
            loop.call_soon(caller.connection_lost, ConnectionResetError())


class _Transport:
    def __init__(self, server: Server, caller: _Caller) -> None:
        self._server, self._caller = server, caller

    def write(self, _: bytes) -> None:
        self._server.hear(self._caller)

    def abort(self) -> None:
        pass


async def flooded(*answers: bytes | str | None, connections: int = 1, patience_s: float = 5.0) -> Overloaded:
    server = Server(*answers)
    callers = [server.made() for _ in range(connections)]
    flood = Flood(TARGET, callers, rps=1000.0, seconds=len(answers) / 1000)
    return await flood.run(Health(), patience_s)


async def test_everything_is_told_apart() -> None:
    """Answers, refusals that say when to come back or do not, and what is neither."""
    found = await flooded(GOOD, POLITE, GOOD, IMPOLITE, STRANGE, GOOD)
    assert (found.answered, found.refused, found.impolite) == (3, 2, 1)
    assert list(found.others) == ["status 500: {}"]
    assert (found.lost, found.unanswered) == (0, 0)
    assert found.latency.p50_ms >= found.admitted.p50_ms > 0
    assert found.refusal.p99_ms > 0
    assert found.goodput == pytest.approx(3 / found.elapsed_s)


async def test_lost_connections() -> None:
    """Counted as that, and the others go on."""
    found = await flooded(GOOD, "", GOOD, connections=2)
    assert (found.answered, found.lost, found.unanswered) == (2, 1, 0)


async def test_no_answer_at_all_took_no_less_than_no_time() -> None:
    """Calls per second would be fewer than none."""
    found = await flooded("")
    assert (found.answered, found.lost) == (0, 1)
    assert found.elapsed_s > 0


async def test_calls_without_an_answer() -> None:
    """When patience ends they are counted, those that never found a connection too."""
    found = await flooded(GOOD, None, GOOD, patience_s=0.5)
    assert (found.answered, found.unanswered) == (1, 2)


@pytest.mark.parametrize("rps", ["0", "nan", "1e9"])
def test_a_flood_is_bounded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], rps: str
) -> None:
    """In its rate as in its time."""
    words = f"perf.overload http://127.0.0.1:1/ --model m --token t --rps {rps}"
    monkeypatch.setattr(sys, "argv", words.split())
    with pytest.raises(SystemExit):
        main()
    assert "a rate that makes 1 to" in capsys.readouterr().err


def test_another_machine_is_not_flooded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A word on it, no traceback."""
    words = "perf.overload https://gateway.example/v1 --model m --token t --rps 1"
    monkeypatch.setattr(sys, "argv", words.split())
    assert main() == 2
    assert "perf.overload: https://gateway.example/v1 is not" in capsys.readouterr().err
