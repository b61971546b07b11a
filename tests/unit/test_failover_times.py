"""How long callers wait: the whole way from a call to its answer, over real sockets on a clock that jumps.

Providers are small servers; each limit and each pause is that of the call's targets or its headers, and what
a caller waits is within 10 % of what it should.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import pytest

from gateway.endpoints.catalogue import CHAT
from gateway.identity.tokens import Identity
from gateway.model import CallFacts, FallbackPolicy, Plan, RetryPolicy, RouteFacts, Target, TimeLimits
from gateway.pipeline import CurrentSnapshot, Pipeline
from gateway.proxies import Proxies
from gateway.routing.direct import Routing
from gateway.snapshot import Snapshot
from gateway.telemetry.call_trace import CallTrace
from gateway.upstream.exchange import Upstream
from tests.rig.fast_loop import run_fast
from tests.unit.doubles import FakeClient
from tests.unit.makers import TOKEN, make_body, make_caller, make_credential, make_target
from tests.unit.upstream.small_server import CHUNKED, Answer, Connection, Server, chunk, hanging

ROUNDING_S: Final = 1e-6
LONG_S: Final = 100_000.0
ONCE: Final = RetryPolicy()
UNLIMITED: Final = TimeLimits(LONG_S, LONG_S, LONG_S, None)
FALLBACK: Final = FallbackPolicy(frozenset({429, 500, 502, 503, 504}))
ROLE: Final = chunk(b'data: {"id":"c","choices":[{"index":0,"delta":{"role":"assistant"}}]}\n\n')
WORD: Final = chunk(b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n')
END: Final = chunk(
    b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
)
PING: Final = chunk(b": wait\n\n")


def refusing(status: int, *headers: bytes) -> Answer:
    """A provider that refuses so."""
    lines = b"".join(b"%s\r\n" % header for header in headers)
    head = b"HTTP/1.1 %d No\r\ncontent-type: application/json\r\n%bcontent-length: 12\r\n\r\n" % (
        status,
        lines,
    )

    async def answer(connection: Connection) -> None:
        await connection.send(head + b'{"error":{}}')

    return answer


def repeating(*pieces: bytes, each_s: float, again: bytes, times: int) -> Answer:
    """A provider that says *pieces*, then *again* so many times after so many seconds, and ends well."""

    async def answer(connection: Connection) -> None:
        await connection.send(CHUNKED, *pieces)
        for _ in range(times):
            if not await connection.goes_on_after(each_s):
                return
            await connection.send(again)
        await connection.send(WORD, END, b"0\r\n\r\n")

    return answer


GOOD: Final = repeating(ROLE, each_s=0, again=PING, times=0)
SILENT: Final = hanging()
HELD: Final = hanging(CHUNKED, ROLE)
PINGING: Final = repeating(ROLE, each_s=1, again=PING, times=10_000)
STALLED: Final = hanging(CHUNKED, ROLE, WORD)
DRIPPING: Final = repeating(ROLE, WORD, each_s=0.5, again=WORD, times=10_000)


class Ordered(Routing):
    """One plan for whatever is asked."""

    def __init__(self, targets: Sequence[Target]) -> None:
        super().__init__((make_target("vm/chat"),))
        names = tuple(target.name for target in targets)
        self._ordered = Plan(tuple(targets), names, route=RouteFacts("vm/chat", "priority-based-routing"))

    def plan(self, model: str, facts: CallFacts) -> Plan:
        super().plan(model, facts)
        return self._ordered


@dataclass(frozen=True)
class Behind:
    """A target and what its provider does.

    Attributes:
        retry: Tries after the first, and the wait before them.
    """

    answer: Answer
    limits: TimeLimits = UNLIMITED
    retry: RetryPolicy = ONCE


@dataclass(frozen=True)
class Case:
    """One call.

    Attributes:
        waits_s: How long the caller waits at least; at most 10 % longer.
        status: What it is told.
        code: Of the error that it is told; "" for none.
        spread: How much longer than *waits_s* it may be by jitter, as a share.
    """

    targets: tuple[Behind, ...]
    waits_s: float
    status: int = 200
    code: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    spread: float = 0.1
    members: dict[str, Any] = field(default_factory=lambda: {"stream": True})


def limited(**limits: float) -> TimeLimits:
    """All others so long that only these can end an attempt."""
    return TimeLimits(**{"connect_s": LONG_S, "first_token_s": LONG_S, "gap_s": LONG_S, **limits})


FIRST_10: Final = limited(first_token_s=10)
GAP_10: Final = limited(gap_s=10)
ALL_10: Final = limited(whole_s=10)
PATIENT: Final = RetryPolicy(2, 100, frozenset({429, 500}))
CASES: Final[dict[str, Case]] = {
    "first token, never a byte": Case((Behind(SILENT, FIRST_10),), 10, 504, "upstream_timeout"),
    "first token, a role alone": Case((Behind(HELD, FIRST_10),), 10, 504, "upstream_timeout"),
    "first token, nothing but pings": Case((Behind(PINGING, FIRST_10),), 10, 504, "upstream_timeout"),
    "first token, another answers": Case((Behind(PINGING, FIRST_10), Behind(GOOD)), 10),
    "first token, none has one": Case(
        (Behind(SILENT, FIRST_10), Behind(PINGING, limited(first_token_s=20))), 30, 504, "upstream_timeout"
    ),
    "first token in time": Case((Behind(repeating(ROLE, each_s=9.9, again=WORD, times=1), FIRST_10),), 9.9),
    "limit ends with the first token": Case(
        (Behind(repeating(ROLE, WORD, each_s=9.9, again=WORD, times=9), FIRST_10),), 9 * 9.9
    ),
    "the caller's first token": Case(
        (Behind(HELD, FIRST_10), Behind(GOOD)), 3, headers=(("x-tfy-ttft-timeout-ms", "3000"),)
    ),
    "the caller's first token, none has one": Case(
        (Behind(HELD, FIRST_10), Behind(SILENT, FIRST_10)), 6, 408, "first_token_timeout",
        (("x-tfy-ttft-timeout-ms", "3000"),),
    ),
    "the caller's is longer": Case(
        (Behind(HELD, FIRST_10), Behind(GOOD)), 10, headers=(("x-tfy-ttft-timeout-ms", "30000"),)
    ),
    "gap, then another": Case((Behind(SILENT, GAP_10), Behind(GOOD)), 10),
    "gap after content": Case((Behind(STALLED, GAP_10), Behind(GOOD)), 10, code="upstream_timeout"),
    "whole, then another": Case((Behind(PINGING, ALL_10), Behind(GOOD)), 10),
    "whole after content": Case((Behind(DRIPPING, ALL_10), Behind(GOOD)), 10, code="upstream_timeout"),
    "the caller's whole, for each attempt": Case(
        (Behind(PINGING), Behind(SILENT)), 10, 504, "upstream_timeout", (("x-tfy-request-timeout", "5000"),)
    ),
    "whole reply": Case((Behind(SILENT, ALL_10),), 10, 504, "upstream_timeout", members={}),
    # Between half and all of 100 ms, then of 200 ms.
    "backoff": Case((Behind(refusing(500), retry=PATIENT),), 0.15, 500, spread=1),
    "a provider that asks for patience": Case(
        (Behind(refusing(429, b"retry-after: 4"), retry=PATIENT),), 8, 429
    ),
    "patience, where another can be asked": Case(
        (Behind(refusing(429, b"retry-after: 4"), retry=PATIENT), Behind(GOOD)), 0
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Waited:
    """What became of a call, and how many seconds of the loop it took."""

    client: FakeClient
    took_s: float
    trace: CallTrace


async def waited(case: Case) -> Waited:
    """Make the call, and see whether everything is let go of."""
    loop = asyncio.get_running_loop()
    records: list[CallTrace] = []
    async with AsyncExitStack() as stack:
        upstream = Upstream(Proxies({}))
        await upstream.open()
        stack.push_async_callback(upstream.close)
        targets = []
        for number, behind in enumerate(case.targets):
            server = await stack.enter_async_context(Server(behind.answer))
            base_url = server.url.removesuffix("/x")
            more = {"limits": behind.limits, "retry": behind.retry, "fallback": FALLBACK}
            targets.append(make_target(f"t{number}/m", base_url=base_url, **more))
        identity = Identity([make_credential(TOKEN, make_caller("vm/chat"))])
        pipeline = Pipeline(
            CurrentSnapshot(Snapshot("v1", 1, identity, Ordered(targets))),
            upstream,
            records.append,
            max_body_bytes=1000,
            random=Random(7),
        )
        authorization = ("authorization", f"Bearer {TOKEN}")
        client = FakeClient(authorization, *case.headers, body=make_body("vm/chat", **case.members))
        began_s = loop.time()
        await pipeline.call_model(client, CHAT)
        took_s = loop.time() - began_s
        assert pipeline.open_count == 0
    (trace,) = records
    return Waited(client, took_s, trace)


def error_code(client: FakeClient) -> str:
    """Of the error that a caller was told last, "" for none."""
    body = client.received
    if client.status == 200:
        body = body.strip().rpartition(b"data: ")[2]
    return "" if body == b"[DONE]" else json.loads(body)["error"].get("code", str(client.status))


@pytest.mark.parametrize("name", CASES)
def test_waits(name: str) -> None:
    """Nobody waits longer than the limits on the way add up to, and gets one answer or one error then."""
    case = CASES[name]
    seen = run_fast(waited(case))
    assert case.waits_s - ROUNDING_S <= seen.took_s <= case.waits_s * (1 + case.spread) + 0.1
    assert seen.client.status == case.status
    assert error_code(seen.client) == (case.code or ("" if case.status == 200 else str(case.status)))
    assert seen.client.is_ended


@pytest.mark.parametrize("seed_s", [0.1, 1, 60, 3600])
def test_limits_at_any_length(seed_s: float) -> None:
    """The bound is a share, so it holds for a tenth of a second as for an hour."""
    limits = limited(first_token_s=seed_s)
    seen = run_fast(waited(Case((Behind(SILENT, limits), Behind(GOOD)), seed_s)))
    assert seed_s - ROUNDING_S <= seen.took_s <= 1.1 * seed_s
    assert [attempt.target.name for attempt in seen.trace.attempts] == ["t0/m", "t1/m"]
