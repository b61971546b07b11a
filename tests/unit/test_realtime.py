"""Sessions between doubles: who is slow, who is silent, who has gone.

Handshakes, close codes and sizes are tested against real sockets (tests/e2e/test_realtime.py).
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from gateway.errors import ClientDisconnected, GatewayError, UpstreamUnreachable
from gateway.identity.tokens import Credential, Identity
from gateway.limits.limiter import Limiter
from gateway.limits.permit import LimitPolicy
from gateway.model import AttemptObserver, Passage, RetryPolicy, Usage
from gateway.pipeline import CurrentSnapshot, Pipeline
from gateway.realtime import Realtime, SessionLimits
from gateway.routing.direct import Routing
from gateway.snapshot import Snapshot
from gateway.store.counter_table import counters_in_memory
from gateway.telemetry.call_trace import CallTrace
from gateway.upstream.sockets import PONG, Closed, HandshakeRefused, Pong
from tests.rig.until import until_async
from tests.unit.doubles import FakeClient, FakeObserver, FakeUpstream
from tests.unit.limits.limits import budget_of, limit_of, policy_of
from tests.unit.makers import (
    TOKEN,
    TokenPrice,
    make_caller,
    make_credential,
    make_route,
    make_routes,
    make_target,
)

QUICK = SessionLimits(look_every_s=0.01)
RETRIED = RetryPolicy(1, 0, frozenset({502, 503}))


class FakeSocket(FakeClient):
    """A caller whose messages are put into `says`; it takes messages while `takes` is set."""

    method = "GET"

    def __init__(self, model: str = "acct/small", *headers: tuple[str, str]) -> None:
        super().__init__(("authorization", f"Bearer {TOKEN}"), *headers, path="/v1/realtime")
        self.query = f"model={model}"
        self.subprotocols: tuple[str, ...] = ()
        self.says: asyncio.Queue[str | bytes | int] = asyncio.Queue()
        self.takes = asyncio.Event()
        self.takes.set()
        self.got: list[str | bytes] = []
        self.closed: tuple[int, str] | None = None
        self.is_gone = False

    async def accept(self) -> None:
        self.has_started = True

    async def receive(self) -> str | bytes | int:
        return await self.says.get()

    async def send(self, message: str | bytes) -> None:
        await self.takes.wait()
        if self.is_gone:
            raise ClientDisconnected
        self.got.append(message)

    async def close(self, code: int, reason: str = "") -> None:
        self.closed = self.closed or (code, reason)


class FakeProvider:
    """The same for a provider."""

    def __init__(self) -> None:
        self.says: asyncio.Queue[str | bytes | Closed | Pong] = asyncio.Queue()
        self.takes = asyncio.Event()
        self.takes.set()
        self.got: list[str | bytes] = []
        self.pings = 0
        self.answers_pings = False
        self.closed: int | None = None

    async def receive(self) -> str | bytes | Closed | Pong:
        return await self.says.get()

    async def send(self, message: str | bytes) -> bool:
        await self.takes.wait()
        self.got.append(message)
        return True

    async def ping(self) -> None:
        self.pings += 1
        if self.answers_pings:
            self.says.put_nowait(PONG)

    async def close(self, code: int, reason: str = "") -> None:
        del reason
        self.closed = self.closed or code


class Rig:
    """A session between doubles, and what was recorded of it."""

    def __init__(
        self,
        *script: GatewayError | HandshakeRefused,
        limits: SessionLimits = QUICK,
        model: str = "acct/small",
        headers: tuple[tuple[str, str], ...] = (),
        health: AttemptObserver | None = None,
        policy: LimitPolicy | None = None,
    ) -> None:
        self.provider = FakeProvider()
        self.socket = FakeSocket(model, *headers)
        self.passages: list[Passage] = []
        self.records: list[CallTrace] = []
        self._script = list(script)
        targets = (
            make_target(retry=RETRIED),
            make_target("claude/small", dialect="anthropic"),
            make_target(
                "spare/loud", model_id="loud-1", base_url="https://spare.test/v1", price=TokenPrice()
            ),
        )
        first, claude, spare = targets
        route = make_route("vm/voice", claude, first, spare)
        caller = replace(make_caller(*(target.name for target in targets), "vm/voice"), tags={"team": "ml"})
        snapshot = Snapshot(
            "v1",
            1,
            Identity([make_credential(TOKEN, caller)]),
            Routing(targets, make_routes(route, voice=route)),
            limits=policy,
        )
        self.counters = counters_in_memory()
        self.limiter = Limiter(self.counters)
        self.current = CurrentSnapshot(snapshot)
        self.pipeline = Pipeline(
            self.current,
            FakeUpstream(),
            self.records.append,
            max_body_bytes=1000,
            random=Random(7),
            health=health,
            limiter=self.limiter,
        )
        self.realtime = Realtime(self.pipeline, self, limits)  # type: ignore[arg-type]  # dials doubles

    async def dial(self, passage: Passage) -> FakeProvider:
        self.passages.append(passage)
        if self._script:
            raise self._script.pop(0)
        return self.provider

    def begin(self) -> asyncio.Task[None]:
        return asyncio.get_running_loop().create_task(self.realtime.serve(self.socket))

    async def over(self, task: asyncio.Task[None]) -> CallTrace:
        async with asyncio.timeout(60):
            await task
        (trace,) = self.records
        assert self.pipeline.open_count == 0
        return trace


async def test_given_metadata() -> None:
    """What a caller is given is over what it writes."""
    rig = Rig(headers=(("x-tfy-metadata", '{"env":"dev","team":"mine"}'),))
    rig.socket.says.put_nowait(1000)
    assert (await rig.over(rig.begin())).notes.metadata == {"team": "ml", "env": "dev"}


def with_rights(rig: Rig, *credentials: Credential) -> None:
    """Put a configuration in force in which only these sign in."""
    rig.current.snapshot = replace(rig.current.snapshot, identity=Identity(credentials))


@pytest.mark.parametrize(
    ("models", "expires_at_s", "code", "error"),
    [
        (None, None, 3000, "invalid_api_key"),
        (("acct/small",), 1.0, 3000, "invalid_api_key"),
        (("claude/small",), None, 3003, "model_not_allowed"),
    ],
    ids=["revoked", "expired", "without the right"],
)
@pytest.mark.parametrize("speaks", [True, False])
async def test_a_right_that_is_taken_back(
    models: tuple[str, ...] | None, expires_at_s: float | None, code: int, error: str, *, speaks: bool
) -> None:
    """The session ends with it, and not a message more passes; the provider is blamed for nothing."""
    rig = Rig(limits=replace(QUICK, look_every_s=60.0) if speaks else QUICK)
    rig.socket.says.put_nowait("hello")
    task = rig.begin()
    await until_async(lambda: rig.provider.got == ["hello"], "the message has passed")
    left = [] if models is None else [make_credential(TOKEN, make_caller(*models), expires_at_s=expires_at_s)]
    with_rights(rig, *left)
    if speaks:
        rig.socket.says.put_nowait("once more")
    trace = await rig.over(task)
    assert rig.provider.got == ["hello"]
    assert rig.socket.closed == (code, error)
    assert json.loads(rig.socket.got[-1])["error"]["code"] == error
    assert (trace.error_type, trace.attempts[-1].error_type, rig.provider.closed) == (error, "", 1001)


async def test_a_right_that_is_kept() -> None:
    """Another configuration ends no session by itself, nor does one without the model."""
    rig = Rig()
    task = rig.begin()
    await until_async(lambda: bool(rig.passages), "the session has begun")
    kept = [make_credential(TOKEN, make_caller("acct/small"))]
    for routing in (rig.current.snapshot.routing, Routing([])):
        rig.provider.got.clear()
        rig.current.snapshot = replace(rig.current.snapshot, identity=Identity(kept), routing=routing)
        rig.socket.says.put_nowait("a message")
        await until_async(lambda: bool(rig.provider.got), "it has passed")
    rig.socket.says.put_nowait(1000)
    assert (await rig.over(task)).is_error is False


async def test_the_end_of_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is seen though the configuration stays the same."""
    rig = Rig(limits=replace(QUICK, token_every_s=0.0))
    now_s = time.time()
    with_rights(rig, make_credential(TOKEN, make_caller("acct/small"), expires_at_s=now_s + 100))
    task = rig.begin()
    await until_async(lambda: bool(rig.passages), "the session has begun")
    monkeypatch.setattr(time, "time", lambda: now_s + 101)
    await rig.over(task)
    assert rig.socket.closed == (3000, "invalid_api_key")


async def test_slow_provider_makes_the_caller_wait() -> None:
    """One message is held, the rest stays where it is."""
    rig = Rig()
    rig.provider.takes.clear()
    for number in range(5):
        rig.socket.says.put_nowait(str(number))
    task = rig.begin()
    await until_async(lambda: rig.socket.says.qsize() == 4, "one message is taken")
    rig.provider.takes.set()
    await until_async(lambda: rig.provider.got == ["0", "1", "2", "3", "4"], "all have passed")
    rig.socket.says.put_nowait(1000)
    assert (await rig.over(task)).is_error is False
    assert rig.provider.closed == 1000


async def test_slow_caller_makes_the_provider_wait() -> None:
    """Likewise; and a provider that is not read is not asked whether it is there."""
    rig = Rig(limits=replace(QUICK, ping_s=0.0, pong_s=0.0))
    rig.provider.answers_pings = True
    rig.socket.takes.clear()
    for number in range(5):
        rig.provider.says.put_nowait(str(number))
    task = rig.begin()
    await until_async(lambda: rig.provider.says.qsize() == 4, "one message is taken")
    asked = rig.provider.pings
    rig.socket.takes.set()
    await until_async(lambda: rig.socket.got == ["0", "1", "2", "3", "4"], "all have passed")
    assert asked == 0
    rig.provider.says.put_nowait(Closed(4001, "why"))
    trace = await rig.over(task)
    assert (rig.socket.closed, trace.error_type) == ((4001, "why"), "4001")


@pytest.mark.parametrize(
    ("limits", "code", "error"),
    [
        (replace(QUICK, idle_s=0.02), (1001, "no message for 0.02 s"), ""),
        (replace(QUICK, ping_s=0.0, pong_s=0.02), (3008, "upstream_timeout"), "upstream_timeout"),
    ],
    ids=["idle", "no pong"],
)
async def test_silence(limits: SessionLimits, code: tuple[int, str], error: str) -> None:
    """A session in which nobody speaks ends, and so does one whose provider has vanished."""
    rig = Rig(limits=limits)
    trace = await rig.over(rig.begin())
    assert (rig.socket.closed, trace.error_type) == (code, error)
    assert rig.provider.closed == 1001


async def test_pongs_keep_a_session() -> None:
    """A provider that answers is there."""
    rig = Rig(limits=replace(QUICK, ping_s=0.0, pong_s=0.05))
    rig.provider.answers_pings = True
    task = rig.begin()
    await until_async(lambda: rig.provider.pings > 20, "it is asked again and again")
    assert not task.done()
    rig.socket.says.put_nowait(1005)
    await rig.over(task)


@pytest.mark.parametrize("who", ["provider", "caller"])
async def test_stalled(who: str) -> None:
    """Who takes nothing for too long has gone."""
    rig = Rig(limits=replace(QUICK, stall_s=0.02))
    slow: Any = rig.provider if who == "provider" else rig.socket
    slow.takes.clear()
    rig.socket.says.put_nowait("a")
    rig.provider.says.put_nowait("b")
    task = rig.begin()
    trace = await rig.over(task)
    assert trace.error_type == ("upstream_timeout" if who == "provider" else "client_disconnected")


async def test_caller_leaves_while_we_dial() -> None:
    """The provider is not waited for."""
    rig = Rig()
    waits = asyncio.Event()

    async def dial(_: Passage) -> FakeProvider:
        await waits.wait()
        return rig.provider

    rig.dial = dial  # type: ignore[assignment,method-assign]  # a provider that does not answer
    rig.socket.says.put_nowait(1001)
    trace = await rig.over(rig.begin())
    assert trace.attempts[0].error_type == "client_disconnected"


async def test_dialled_again() -> None:
    """A refused handshake is tried again where the policy says so; each try is an attempt."""
    rig = Rig(UpstreamUnreachable("away"))
    rig.socket.says.put_nowait("hello")
    task = rig.begin()
    await until_async(lambda: rig.provider.got == ["hello"], "the message has passed")
    rig.socket.says.put_nowait(1000)
    trace = await rig.over(task)
    assert [attempt.error_type for attempt in trace.attempts] == ["upstream_unreachable", ""]
    assert [attempt.status_code for attempt in trace.attempts] == [0, 101]


async def test_refused_for_good() -> None:
    """The last refusal is the caller's."""
    refusal = HandshakeRefused(503, [], b'{"error":{"code":"busy"}}')
    rig = Rig(refusal, refusal, refusal)
    trace = await rig.over(rig.begin())
    assert (len(trace.attempts), trace.error_type) == (2, "503")
    assert json.loads(rig.socket.got[0])["error"] == {"code": "busy"}
    assert rig.socket.closed == (1013, "The provider answered with status 503.")


async def test_callers_wrong_organisation() -> None:
    """That it is refused says nothing of the target's key."""
    for headers, verdict in (((), "sick"), ((("openai-organization", "bogus"),), "none")):
        health = FakeObserver()
        rig = Rig(HandshakeRefused(401, [], b'{"error":{"code":"no"}}'), headers=headers, health=health)
        await rig.over(rig.begin())
        assert [each for _, each, _ in health.outcomes] == [verdict]


async def test_page_in_place_of_a_session() -> None:
    """It counts by its status, and its wish for patience is kept, as of an error that can be read."""
    health = FakeObserver()
    page = HandshakeRefused(429, [(b"retry-after", b"7")], b"<html>slow down</html>")
    rig = Rig(page, health=health)
    trace = await rig.over(rig.begin())
    assert (len(trace.attempts), trace.error_type) == (1, "upstream_bad_reply")
    assert health.outcomes == [("acct/small", "none", 502)]


async def test_page_of_a_mistake_is_not_dialled_again() -> None:
    """The same target would say it again: its status counts as that of an error that can be read."""
    rig = Rig(HandshakeRefused(404, [], b"<html>no</html>"))
    trace = await rig.over(rig.begin())
    assert (len(trace.attempts), trace.error_type) == (1, "upstream_bad_reply")


def names_of(trace: CallTrace) -> list[str]:
    return [attempt.target.name for attempt in trace.attempts]


@pytest.mark.parametrize("model", ["vm/voice", "voice"])
async def test_virtual_model(model: str) -> None:
    """The next target is dialled where one gives no session; who does gets every message, at its price."""
    busy = HandshakeRefused(503, [], b'{"error":{"code":"busy"}}')
    health = FakeObserver()
    rig = Rig(UpstreamUnreachable("away"), busy, model=model, health=health)
    rig.socket.says.put_nowait("hello")
    rig.provider.says.put_nowait(
        '{"type":"response.done","response":{"usage":{"input_tokens":1000,"output_tokens":500}}}'
    )
    task = rig.begin()
    await until_async(lambda: rig.provider.got == ["hello"] and bool(rig.socket.got), "both have passed")
    rig.socket.says.put_nowait(1000)
    trace = await rig.over(task)
    assert names_of(trace) == ["acct/small", "acct/small", "spare/loud"]
    assert [passage.url for passage in rig.passages][1:] == [
        "https://api.test/v1/realtime?model=small-1",
        "https://spare.test/v1/realtime?model=loud-1",
    ]
    assert (trace.resolved_model, trace.total_cost_usd) == ("spare/loud", 0.002)
    assert trace.plan is not None
    assert [(skip.target, skip.reason) for skip in trace.plan.skipped] == [("claude/small", "filter")]
    assert health.outcomes == [
        ("acct/small", "sick", 502),
        ("acct/small", "sick", 503),
        ("spare/loud", "good", 101),
    ]


async def test_a_callers_mistake_is_nobody_elses() -> None:
    """What no other target would make good ends the session at once."""
    rig = Rig(HandshakeRefused(400, [], b'{"error":{"code":"bad"}}'), model="vm/voice")
    trace = await rig.over(rig.begin())
    assert (names_of(trace), rig.socket.closed) == (
        ["acct/small"],
        (1008, "The provider answered with status 400."),
    )


async def test_wish() -> None:
    """How often each target is dialled is the caller's to say."""
    wish = (("x-tfy-retry-config", '{"attempts":0}'),)
    rig = Rig(*(UpstreamUnreachable("away") for _ in range(2)), model="vm/voice", headers=wish)
    trace = await rig.over(rig.begin())
    assert names_of(trace) == ["acct/small", "spare/loud"]
    assert json.loads(rig.socket.got[0])["error"]["code"] == "upstream_unreachable"


async def test_nobody_may_be_dialled() -> None:
    """The caller is told, though nobody was asked."""
    health = FakeObserver(closed_to={"acct/small", "spare/loud"})
    rig = Rig(model="vm/voice", health=health)
    trace = await rig.over(rig.begin())
    assert (names_of(trace), trace.error_type) == ([], "no_target_available")
    assert json.loads(rig.socket.got[0])["error"]["code"] == "no_target_available"
    assert rig.socket.closed == (1013, "no_target_available")


async def test_other_dialect() -> None:
    """A model whose provider has no such API is refused before the WebSocket opens."""
    rig = Rig()
    rig.socket.query = "model=claude/small"
    trace = await rig.over(rig.begin())
    assert (rig.socket.status, trace.error_type, rig.passages) == (400, "invalid_body", [])


@pytest.mark.parametrize("code", [1000, 1006])
async def test_who_leaves_before_a_response_is_over(code: int) -> None:
    """What it used comes with its end, which is heard yet; pieces before that are nobody's any more."""
    rig = Rig()
    rig.provider.says.put_nowait('{"type":"response.created"}')
    task = rig.begin()
    await until_async(lambda: bool(rig.socket.got), "the response has begun")
    rig.socket.says.put_nowait(code)
    await until_async(rig.socket.says.empty, "it is known that the caller has left")
    for said in (
        '{"type":"response.output_audio.done"}',
        b"sound",
        '{"type":"response.done","response":{"usage":{"input_tokens":3,"output_tokens":4}}}',
    ):
        rig.provider.says.put_nowait(said)
    trace = await rig.over(task)
    assert trace.usage == Usage(3, 4, "provider")
    assert rig.provider.closed is not None


async def test_who_leaves_while_the_provider_does() -> None:
    """Nobody is waited for then."""
    rig = Rig()
    rig.provider.says.put_nowait('{"type":"response.created"}')
    task = rig.begin()
    await until_async(lambda: bool(rig.socket.got), "the response has begun")
    rig.socket.says.put_nowait(1000)
    rig.provider.says.put_nowait(Closed(1000))
    assert (await rig.over(task)).usage is None


async def test_cut() -> None:
    """A session that is open when the gateway ends: both sides are told, what was used is partial."""
    rig = Rig()
    rig.provider.says.put_nowait(
        '{"type":"response.done","response":{"usage":{"input_tokens":3,"output_tokens":4}}}'
    )
    rig.provider.says.put_nowait('{"type":"response.created"}')
    task = rig.begin()
    await until_async(lambda: len(rig.socket.got) == 2, "both have passed")
    assert rig.pipeline.open_count == 1
    assert await rig.realtime.drain(0) == 1
    await rig.realtime.cut()
    with pytest.raises(asyncio.CancelledError):
        await task
    (trace,) = rig.records
    assert (rig.socket.closed, rig.provider.closed) == ((1001, "the gateway is shutting down"), 1001)
    assert (trace.error_type, trace.status_code, trace.usage) == (
        "gateway_shutdown",
        101,
        Usage(3, 4, "partial"),
    )


async def test_no_session_while_draining() -> None:
    """None begins then, and a drain without sessions is over at once."""
    rig = Rig()
    assert await rig.realtime.drain(60) == 0
    trace = await rig.over(rig.begin())
    assert (rig.socket.status, trace.error_type) == (503, "gateway_shutdown")


async def test_limits() -> None:
    """A session without room is refused before its handshake; a target without room is passed over."""
    refused = Rig(policy=policy_of(limit_of("requests", 0)))
    trace = await refused.over(refused.begin())
    assert (refused.socket.status, trace.error_type) == (429, "rate_limit_exceeded")
    assert refused.passages == []
    rig = Rig(model="voice", policy=policy_of(limit_of("requests", 0, models=("acct/*",))))
    task = rig.begin()
    await until_async(lambda: rig.passages, "a provider is dialled")
    rig.socket.says.put_nowait(1000)
    assert names_of(await rig.over(task)) == ["spare/loud"]


async def test_sessions_at_a_time() -> None:
    """A session takes a place until it ends."""
    policy = policy_of(limit_of("parallel", 1))
    rig, other = Rig(policy=policy), Rig(policy=policy)
    other.pipeline._limiter = rig.limiter
    task = rig.begin()
    await until_async(lambda: rig.passages, "a provider is dialled")
    assert (await other.over(other.begin())).error_type == "rate_limit_exceeded"
    rig.socket.says.put_nowait(1000)
    await rig.over(task)
    other.records.clear()
    again = other.begin()
    await until_async(lambda: other.passages, "a provider is dialled")
    other.socket.says.put_nowait(1000)
    assert (await other.over(again)).error_type == ""


def answered(input_tokens: int, output_tokens: int) -> str:
    """A response of the provider, and what it used."""
    usage = {"input_tokens": input_tokens, "output_tokens": output_tokens}
    return json.dumps({"type": "response.done", "response": {"usage": usage}})


async def test_a_limit_within_a_session() -> None:
    """Each response counts when it has ended; the one that uses up a limit is the last, and no failure."""
    policy = policy_of(limit_of("tokens", 100))
    rig, other = Rig(policy=policy), Rig(policy=policy)
    other.pipeline._limiter = rig.limiter
    task = rig.begin()
    for words in (answered(20, 20), answered(20, 20)):
        rig.provider.says.put_nowait(words)
    await until_async(lambda: len(rig.socket.got) == 2, "both have passed")
    assert not task.done()
    beside = other.begin()
    await until_async(lambda: other.passages, "there is room for another")
    rig.provider.says.put_nowait(answered(30, 30))
    trace = await rig.over(task)
    assert rig.socket.got[:3] == [answered(20, 20), answered(20, 20), answered(30, 30)]
    event = json.loads(rig.socket.got[3])
    assert (event["type"], event["error"]["type"], event["error"]["code"]) == (
        "error",
        "rate_limit_error",
        "rate_limit_exceeded",
    )
    assert event["error"]["message"].startswith(
        'The rate limit "tokens-limit" allows 100 tokens per minute: 0 tokens left. There is room in '
    )
    assert (rig.socket.closed, rig.provider.closed) == ((1013, "rate_limit_exceeded"), 1001)
    assert (trace.error_type, trace.usage) == ("rate_limit_exceeded", Usage(70, 70, "provider"))
    assert trace.attempts[0].error_type == ""
    other.provider.says.put_nowait(answered(1, 1))
    assert (await other.over(beside)).error_type == "rate_limit_exceeded"
    again = Rig(policy=policy)
    again.pipeline._limiter = rig.limiter
    assert (await again.over(again.begin())).error_type == "rate_limit_exceeded"
    assert used_in(rig, policy) == (142,), "each token once"


async def test_a_budget_within_a_session() -> None:
    """Likewise, of the target that answers, and at its price."""
    policy = policy_of(budget_of(0.003, models=("spare/loud",)), budget_status=402)
    rig = Rig(UpstreamUnreachable("away"), UpstreamUnreachable("away"), model="vm/voice", policy=policy)
    task = rig.begin()
    rig.provider.says.put_nowait(answered(1000, 0))
    await until_async(lambda: len(rig.socket.got) == 1, "it has passed")
    rig.provider.says.put_nowait(answered(2000, 0))
    trace = await rig.over(task)
    assert rig.socket.closed == (1008, "budget_exceeded")
    assert (trace.error_type, trace.resolved_model) == ("budget_exceeded", "spare/loud")


async def test_a_limit_that_watches_a_session() -> None:
    """It ends none."""
    rig = Rig(policy=policy_of(limit_of("tokens", 10, mode="audit")))
    task = rig.begin()
    rig.provider.says.put_nowait(answered(20, 20))
    await until_async(lambda: len(rig.socket.got) == 1, "it has passed")
    rig.socket.says.put_nowait(1000)
    assert (await rig.over(task)).error_type == ""


def used_in(rig: Rig, policy: LimitPolicy) -> tuple[int, ...]:
    """What is counted by each rule."""
    caller = make_caller("acct/small")
    meters = policy.rules.of_call(caller, "acct/small", {})
    return rig.counters.usage([meter.charge(0, time.time()) for meter in meters]).used
