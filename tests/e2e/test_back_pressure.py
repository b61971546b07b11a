"""A caller that reads slowly makes the provider wait: it costs neither memory nor anybody else's time."""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path
from typing import Final

import pytest

from tests.rig import behaviours
from tests.rig.fake_upstream import FakeUpstream
from tests.rig.gateway_process import GatewayProcess, StartGateway
from tests.rig.manifests import SCRIPTED, bearer, chat, chat_body
from tests.rig.raw_http import RawConnection, request_bytes
from tests.rig.until import until

CHAT: Final = "/v1/chat/completions"
HEADERS: Final = [bearer(), ("content-type", "application/json")]
STREAM_BYTES: Final = 50_000_000
ROUNDS: Final = 3


def resident_bytes(pid: int) -> int:
    """Memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def begin_slow(gateway: GatewayProcess, upstream: FakeUpstream, count: int) -> list[RawConnection]:
    """*count* callers of a long stream, of small chunks as models write them; each has the head of it."""
    event = behaviours.chunk(SCRIPTED, {"content": "x" * 40})
    stream = behaviours.stream_of(*[event] * (STREAM_BYTES // len(event)), behaviours.DONE)
    upstream.play(SCRIPTED, *[stream] * count)
    readers = [gateway.connect() for _ in range(count)]
    for reader in readers:
        reader.send(request_bytes("POST", CHAT, HEADERS, chat_body("fake/scripted", stream=True)))
    for reader in readers:
        assert reader.read_head().status == 200
    return readers


def read_slowly(readers: list[RawConnection]) -> None:
    """A kilobyte each."""
    for reader in readers:
        assert reader.socket.recv(1024)


def warm_up(gateway: GatewayProcess) -> None:
    """What a worker needs once for all."""
    for number in range(200):
        assert chat(gateway, "fake/normal", stream=number % 2 == 1).status == 200


def seconds_per_call(gateway: GatewayProcess, count: int) -> float:
    """The median of *count* small calls, on one connection."""
    times = []
    with gateway.connect() as connection:
        for _ in range(count):
            began_s = time.perf_counter()
            assert connection.exchange("POST", CHAT, HEADERS, chat_body("fake/normal")).status == 200
            times.append(time.perf_counter() - began_s)
    return statistics.median(times)


@pytest.mark.parametrize("count", [20, pytest.param(400, marks=pytest.mark.long)])
def test_slow_readers(start_gateway: StartGateway, upstream: FakeUpstream, count: int) -> None:
    """Each costs less than a megabyte, however long its stream is, and others are served as before."""
    gateway = start_gateway(workers=1)
    (worker,) = gateway.worker_pids()
    warm_up(gateway)
    alone_s = seconds_per_call(gateway, 100)
    before = resident_bytes(worker)
    readers = begin_slow(gateway, upstream, count)
    used, beside_s = [], []
    for _ in range(ROUNDS):
        read_slowly(readers)
        # A second at least passes in these, and more than fills every buffer between provider and caller.
        beside_s.append(seconds_per_call(gateway, 100))
        used.append((resident_bytes(worker) - before) / count)
    print(f"{count} slow readers: {max(used):,.0f} bytes each; {beside_s} s a call, {alone_s} alone")
    assert max(used) < 1_000_000
    assert not any(
        exchange.was_answered.is_set()
        for exchange in upstream.exchanges[-count:]
        if exchange.json.get("stream")
    )
    for reader in readers:
        reader.reset()
    until(
        lambda: all(each.was_aborted.is_set() for each in upstream.exchanges if each.model == SCRIPTED),
        what="every stream to be stopped",
        timeout_s=60,
    )
    assert chat(gateway, "fake/normal").status == 200


def test_slow_reader_of_a_whole_answer(start_gateway: StartGateway, upstream: FakeUpstream) -> None:
    """A long answer that is not a stream is held once, for as long as its caller takes; then it is gone."""
    gateway = start_gateway(workers=1)
    warm_up(gateway)
    with gateway.connect() as connection:
        connection.send(request_bytes("POST", CHAT, HEADERS, chat_body("fake/huge")))
        assert connection.read_head().status == 200
        for _ in range(ROUNDS):
            seconds_per_call(gateway, 20)
        assert sum(map(len, connection.read_pieces())) > 4_000_000
        assert connection.exchange("POST", CHAT, HEADERS, chat_body("fake/normal")).status == 200
