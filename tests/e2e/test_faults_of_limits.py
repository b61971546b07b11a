"""What limits do while what counts them is in trouble, under load; the figures are printed (`-s`).

Three gateways share a real Valkey behind an address that stays the same. Of each fault: errors, how many
calls more than the limit were admitted, whether each admitted call was counted once, and how much longer
calls took.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from redis import Redis

from tests.rig.behaviours import hang_mid_stream
from tests.rig.fake_upstream import FakeUpstream
from tests.rig.gateway_process import GatewayProcess, StartGateway
from tests.rig.limit_load import LimitLoad
from tests.rig.limited_gateway import CHAT, USD_OF_A_CALL, alone_so_far, budget, paid_account, rate
from tests.rig.manifests import ENVIRONMENT, bearer, chat, chat_body, virtual_account
from tests.rig.raw_http import request_bytes
from tests.rig.redis_relay import RedisRelay
from tests.rig.requires import requires
from tests.rig.until import until
from tests.rig.valkey_server import PASSWORD, ValkeyServer

pytestmark = [pytest.mark.long, requires("valkey")]

REPLICAS: Final = 3
LIMIT: Final = 300
BEFORE: Final = 200
"""Calls before a fault; `MEANWHILE`: as long as it lasts."""

MEANWHILE: Final = 300
RESERVED_USD: Final = 4 * USD_OF_A_CALL
"""What a call takes in advance; it uses a fourth of it."""

MICRO_USD: Final = 1_000_000
HEADERS: Final = [bearer(), ("content-type", "application/json")]


class Fleet:
    """The server, the way to it, and the gateways."""

    def __init__(self, stack: ExitStack, folder: Path, upstream_url: str) -> None:
        self.server = stack.enter_context(ValkeyServer(_new(folder / "valkey")))
        self.copy = ValkeyServer(
            _new(folder / "copy"),
            ["--replicaof", f"127.0.0.1 {self.server.port}", "--masterauth", PASSWORD],
        )
        stack.callback(self.copy.kill)
        self.relay = stack.enter_context(RedisRelay(self.server.port))
        documents = [
            paid_account("paid", upstream_url, ["m"]),
            virtual_account("app", ["env:APP_TOKEN"], ["*"]),
            rate("day", ["paid/m"], {"requests_per_day": LIMIT}),
            budget("money", ["paid/m"], 10**6),
        ]
        environment = {**ENVIRONMENT, "GATEWAY_REDIS_URL": self.relay.url}
        self.gateways = [
            stack.enter_context(
                GatewayProcess(folder / f"replica-{at}", documents, workers=1, environment=environment)
            )
            for at in range(REPLICAS)
        ]
        for gateway in self.gateways:
            until(partial(_shares, gateway), what="the worker to have its connection", timeout_s=60)

    def redis(self, port: int = 0) -> Any:
        """A client of the server to which the way leads, or of that on *port*."""
        return Redis(port=port or self.relay.target, password=PASSWORD, protocol=2, socket_timeout=5)

    def counted(self) -> tuple[int, float]:
        """Calls and USD that the server has counted."""
        with self.redis() as redis:
            days, budgets = redis.keys(b"*:86400"), redis.keys(b"{gateway:limits}:*:0")
            calls = sum(int(had) for key in days for had in redis.hvals(key))
            return calls, sum(int(redis.get(key) or 0) for key in budgets) / MICRO_USD


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _shares(gateway: GatewayProcess) -> bool:
    # Said by the worker, and by control.
    return gateway.log.count("limits are shared by") >= 2


@pytest.fixture
def fleet(upstream: FakeUpstream, tmp_path: Path) -> Iterator[Fleet]:
    with ExitStack() as stack:
        yield Fleet(stack, tmp_path, upstream.base_url)


# -- what happens to the server


def nothing(_: Fleet, load: LimitLoad) -> None:
    """To compare with."""
    load.go_on(MEANWHILE)


def killed(fleet: Fleet, load: LimitLoad) -> None:
    """It is gone for a while, and comes back without its memory."""
    fleet.server.kill()
    load.go_on(MEANWHILE)
    fleet.server.start()


def restarted(fleet: Fleet, load: LimitLoad) -> None:
    """It is back at once, without its memory."""
    fleet.server.restart()
    load.go_on(MEANWHILE)


def stopped(fleet: Fleet, load: LimitLoad) -> None:
    """It takes questions and answers none; then it executes them."""
    fleet.server.pause()
    try:
        load.go_on(MEANWHILE)
    finally:
        fleet.server.go_on()


def flushed(fleet: Fleet, load: LimitLoad) -> None:
    """Somebody empties it."""
    with fleet.redis() as redis:
        redis.flushall()
    load.go_on(MEANWHILE)


def slow(fleet: Fleet, load: LimitLoad) -> None:
    """Every answer takes 200 ms."""
    fleet.relay.delay_s = 0.2
    try:
        load.go_on(MEANWHILE)
    finally:
        fleet.relay.delay_s = 0.0


def taken_over(fleet: Fleet, load: LimitLoad) -> None:
    """It dies, and another that copied it takes over behind its address."""
    fleet.server.kill()
    load.go_on(MEANWHILE // 2)
    with fleet.redis(fleet.copy.port) as redis:
        redis.execute_command("REPLICAOF", "NO", "ONE")
    fleet.relay.lead_to(fleet.copy.port)
    load.go_on(MEANWHILE // 2)


FORGETS_NOTHING: Final = (nothing, stopped, slow)
FAULTS: Final = (nothing, killed, restarted, stopped, flushed, slow, taken_over)


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.__name__ for fault in FAULTS])
def test_the_server_of_limits(
    fleet: Fleet, fault: Callable[[Fleet, LimitLoad], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """No call fails; what is admitted too much is within its bound, and is counted once."""
    if fault is taken_over:
        fleet.copy.start()
        with fleet.redis(fleet.copy.port) as redis:
            until(
                lambda: redis.info("replication")["master_link_status"] == "up", what="the copy to be whole"
            )
    with LimitLoad(fleet.gateways, chat_body("paid/m", max_tokens=RESERVED_USD)) as load:
        load.go_on(BEFORE)
        # So many more may be admitted by each host but one; those under way as well.
        left = LIMIT - load.statuses()[200]
        began_s = time.monotonic()
        fault(fleet, load)
        ended_s = time.monotonic()
        # What was under way when a server lost its memory it may have had, or not.
        doubtful = 0 if fault in FORGETS_NOTHING else load.at_once
        until(partial(_is_used_up, load, LIMIT - doubtful), what="the limit to be used up", timeout_s=120)
    admitted = load.statuses()[200]

    def is_counted() -> bool:
        calls, usd = fleet.counted()
        return (
            abs(calls - admitted) <= doubtful
            and abs(usd - admitted * USD_OF_A_CALL) <= doubtful * RESERVED_USD
        )

    until(is_counted, what=f"{admitted} calls to be counted")
    calls, usd = fleet.counted()
    bound = (REPLICAS - 1) * (left + load.at_once)
    with capsys.disabled():
        print(
            f"\n{fault.__name__} for {ended_s - began_s:.1f} s: {len(load.answers)} calls, {_failed(load)} "
            f"errors; {admitted} of {LIMIT} admitted (at most {LIMIT + bound}), {calls} counted, "
            f"{usd:.0f} USD for {admitted * USD_OF_A_CALL}; {_slower(load, began_s, ended_s)}"
        )
    assert _failed(load) == 0, load.statuses()
    # What a host decides alone, as it does where the answer is late on a busy machine, may be beside.
    assert admitted <= LIMIT + (1 + alone_so_far(fleet.gateways) if fault is nothing else bound)


def _is_used_up(load: LimitLoad, least: int) -> bool:
    """Whether so much at least has been admitted, and no more is: of what is given back one is told later."""
    last = load.answers[-10 * load.at_once :]
    return load.statuses()[200] >= least and {answer.status for answer in last} == {429}


def _failed(load: LimitLoad) -> int:
    return sum(answer.status not in (200, 429) for answer in load.answers)


# -- what happens on a host


HOLDER: Final = """
import fcntl, sys
with open(sys.argv[1], "r+b") as file:
    fcntl.lockf(file, fcntl.LOCK_EX, 1, 0)
    print("held", flush=True)
    sys.stdin.read()
"""
"""Has the lock of the counters, as a worker has that was stopped in the middle."""

WORKERS: Final = 4


def test_who_keeps_the_table(
    start_gateway: StartGateway, upstream: FakeUpstream, capsys: pytest.CaptureFixture[str]
) -> None:
    """No call fails, none is admitted too much, and each is counted once; the rest is there afterwards."""
    documents = [
        paid_account("paid", upstream.base_url, ["m"]),
        virtual_account("app", ["env:APP_TOKEN"], ["*"]),
        rate("day", ["paid/m"], {"requests_per_day": LIMIT}),
    ]
    gateway = start_gateway(documents, workers=WORKERS)
    with LimitLoad([gateway], chat_body("paid/m", max_tokens=RESERVED_USD), threads=9) as load:
        load.go_on(BEFORE // 2)
        began_s = time.monotonic()
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(gateway.state / "counters")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline()
            load.go_on(MEANWHILE)
            meanwhile = load.statuses()
            ended_s = time.monotonic()
        finally:
            holder.communicate()
        load.go_on(10 * load.at_once)
        until(partial(_is_used_up, load, LIMIT), what="the limit to be used up", timeout_s=120)
    admitted = load.statuses()[200]
    with capsys.disabled():
        print(
            f"\nlock kept for {ended_s - began_s:.1f} s: {len(load.answers)} calls, {_failed(load)} errors; "
            f"{meanwhile[200]} admitted until its end, {admitted} of {LIMIT} in all; "
            f"{_slower(load, began_s, ended_s)}"
        )
    assert _failed(load) == 0, load.statuses()
    assert admitted == LIMIT


def _slower(load: LimitLoad, began_s: float, ended_s: float) -> str:
    """How long calls took before and during a fault."""
    told = [
        f"{name} {load.took_ms(share, before_s=began_s):.1f} -> "
        f"{load.took_ms(share, after_s=began_s, before_s=ended_s):.1f} ms"
        for name, share in (("p50", 0.5), ("p99", 0.99), ("longest", 1.0))
    ]
    return ", ".join(told)


def test_a_worker_killed_with_parallel_calls(start_gateway: StartGateway, upstream: FakeUpstream) -> None:
    """Its places are free as soon as somebody asks."""
    documents = [
        paid_account("paid", upstream.base_url, ["m"]),
        virtual_account("app", ["env:APP_TOKEN"], ["*"]),
        rate("at-once", ["paid/m"], {"parallel_requests": 3}),
    ]
    gateway = start_gateway(documents, workers=2)
    upstream.play("m", *[hang_mid_stream] * 3)
    held = [gateway.connect() for _ in range(3)]
    for connection in held:
        connection.send(request_bytes("POST", CHAT, HEADERS, chat_body("paid/m", stream=True)))
        assert connection.read_head().status == 200
    assert chat(gateway, "paid/m").status == 429
    for pid in gateway.worker_pids():
        gateway.signal(signal.SIGKILL, pid)
    until(lambda: _status(gateway) == 200, what="the places to be free")
    for connection in held:
        connection.close()


def _status(gateway: GatewayProcess) -> int:
    try:
        return chat(gateway, "paid/m").status
    except OSError:
        return 0
