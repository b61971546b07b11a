"""perf/load/streams.py: events of streams, however they arrive."""

from __future__ import annotations

import pytest

from perf.load.amount import Amount
from perf.load.result import LoadResult, StreamFigures
from perf.load.streams import STALL_S, StreamConnection, StreamPhase
from perf.load.target import Target
from tests.unit.perf.load.playing import TARGET, connect

_EVENTS = [b"data: 1\n\n", b"data: 2\n\n", b"data: [DONE]\n\n"]
_HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
_END = b"0\r\n\r\n"


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def _load(
    chunks: list[bytes], amount: Amount, *, stall_s: float = STALL_S
) -> tuple[LoadResult, StreamFigures]:
    target = Target(TARGET.host, TARGET.port, TARGET.request, b"".join(_EVENTS))
    connections = [StreamConnection() for _ in range(amount.connections)]
    connect(connections, chunks)
    result = await StreamPhase(target, connections, amount, spread_s=0.001, stall_s=stall_s).run()
    assert result.streams is not None
    return result, result.streams


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param([_HEAD, *map(_chunk, _EVENTS), _END], id="one by one"),
        pytest.param([_HEAD + _chunk(b"".join(_EVENTS)) + _END], id="all at once"),
        pytest.param(
            [_HEAD, *(_chunk(b"".join(_EVENTS)[at : at + 1]) for at in range(32)), _END], id="cut up"
        ),
    ],
)
async def test_every_event_is_seen(chunks: list[bytes]) -> None:
    """A first event and a gap before each other one, in each stream."""
    result, streams = await _load(chunks, Amount(2, requests=4))
    assert (result.completed, result.failures) == (4, {})
    assert (streams.events, streams.lost_events, streams.stalls) == (12, 0, 0)
    assert streams.first_token.max_ms > 0


async def test_events_that_arrive_together_have_no_gap() -> None:
    """They came at one moment; the reader waited for the first of them."""
    _, streams = await _load([_HEAD + _chunk(b"".join(_EVENTS)) + _END], Amount(1, requests=1))
    assert streams.gap.max_ms == 0


async def test_what_is_missing_is_lost() -> None:
    """A stream that ends without an event is a failure, and the event is counted."""
    result, streams = await _load(
        [_HEAD, _chunk(_EVENTS[0]), _chunk(_EVENTS[2]), _END], Amount(1, requests=1)
    )
    assert (result.completed, sum(result.failures.values())) == (0, 1)
    assert (streams.events, streams.lost_events) == (2, 1)


async def test_a_long_gap_is_a_stall() -> None:
    """A reader sees it."""
    _, streams = await _load([_HEAD, *map(_chunk, _EVENTS), _END], Amount(1, requests=1), stall_s=0.0)
    assert streams.stalls == 2
