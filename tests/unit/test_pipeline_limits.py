"""Limits on calls: who is admitted, what refusals look like, and what is counted in the end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import Any, Final

import pytest

from gateway.endpoints.catalogue import CHAT, EMBEDDING, IMAGE, MESSAGES, RESPONSE, SPEECH
from gateway.errors import UpstreamTimeout, UpstreamUnreachable
from gateway.identity.tokens import Identity
from gateway.limits.headers import format_duration
from gateway.limits.held import Held
from gateway.limits.limiter import Limiter
from gateway.limits.matching import Asking, Rules, Stage
from gateway.limits.permit import LimitPolicy
from gateway.limits.rules import MICRO_USD, Rule, RuleSet
from gateway.model import (
    Classification,
    Endpoint,
    FallbackPolicy,
    Plan,
    RetryPolicy,
    RouteFacts,
    Target,
    Usage,
)
from gateway.pipeline import CurrentSnapshot, Pipeline
from gateway.pricing.price import CharacterPrice
from gateway.routing.direct import Routing
from gateway.snapshot import Snapshot
from gateway.store.counter_table import counters_in_memory
from gateway.telemetry.call_trace import CallTrace
from tests.rig.until import until_async
from tests.unit.doubles import FakeClient, FakeObserver, FakeReply, FakeUpstream
from tests.unit.limits.limits import NOW_S, budget_of, limit_of, policy_of
from tests.unit.makers import TOKEN, TokenPrice, make_body, make_caller, make_credential, make_target

BEARER: Final = ("authorization", f"Bearer {TOKEN}")
JSON: Final = {"content-type": "application/json"}
SSE: Final = {"content-type": "text/event-stream"}
FALLBACK: Final = FallbackPolicy(frozenset({429, 500, 502, 503}))
ONE: Final = make_target("one/m", fallback=FALLBACK, price=TokenPrice())
TWO: Final = make_target("two/m", fallback=FALLBACK, price=TokenPrice())
ROUTE: Final = RouteFacts("vm/chat", "priority-based-routing")


def answer(prompt: int = 3, completion: int = 2) -> FakeReply:
    choices = [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}]
    usage = {"prompt_tokens": prompt, "completion_tokens": completion}
    return FakeReply(
        200, JSON, json.dumps({"id": "c", "model": "m", "choices": choices, "usage": usage}).encode()
    )


def refusal(status: int) -> FakeReply:
    return FakeReply(status, JSON, b'{"error":{"message":"no"}}')


class Fixed(Routing):
    """A virtual model `vm/chat` of these targets, which can be named themselves too."""

    def __init__(
        self,
        targets: Sequence[Target],
        *,
        hedge_after_s: float | None = None,
        classification: Classification | None = None,
    ) -> None:
        super().__init__((make_target("vm/chat"), *targets))
        names = tuple(target.name for target in targets)
        self._fixed = Plan(
            tuple(targets),
            names,
            route=ROUTE,
            hedge_after_s=hedge_after_s,
            classification=classification,
        )

    def plan(self, model: str, facts: Any) -> Plan:
        plan = super().plan(model, facts)
        return self._fixed if model == "vm/chat" else plan


class Rig:
    """A pipeline between doubles, with limits."""

    def __init__(
        self,
        *script: Any,
        rules: Sequence[Rule] = (),
        policy: LimitPolicy | None = None,
        targets: Sequence[Target] = (ONE, TWO),
        observer: FakeObserver | None = None,
        hedge_after_s: float | None = None,
        classification: Classification | None = None,
    ) -> None:
        self.upstream = FakeUpstream(*script)
        self.records: list[CallTrace] = []
        self.counters = counters_in_memory(now_s=lambda: NOW_S)
        self.policy = policy or policy_of(*rules)
        self.caller = make_caller("vm/chat", *(target.name for target in targets))
        routing = Fixed(targets, hedge_after_s=hedge_after_s, classification=classification)
        identity = Identity([make_credential(TOKEN, self.caller)])
        self.pipeline = Pipeline(
            CurrentSnapshot(Snapshot("v1", 1, identity, routing, limits=self.policy)),
            self.upstream,
            self.records.append,
            max_body_bytes=10_000,
            random=Random(7),
            health=observer or FakeObserver(),
            limiter=Limiter(self.counters, now_s=lambda: NOW_S),
        )

    async def call(
        self,
        model: str = "one/m",
        *,
        endpoint: Endpoint = CHAT,
        client: FakeClient | None = None,
        **members: Any,
    ) -> FakeClient:
        """Let a caller call."""
        client = client or FakeClient(BEARER, body=make_body(model, **members))
        await self.pipeline.call_model(client, endpoint)
        return client

    def used(self, asked: str = "one/m", target: str | None = None) -> dict[str, int]:
        """What is counted by each rule."""
        rules = self.policy.rules
        found = (
            rules.of_call(self.caller, asked, {})
            if target is None
            else rules.of_target(self.caller, asked, target, {})
        )
        counted = self.counters.usage([meter.charge(0, NOW_S) for meter in found]).used
        return {meter.rule.id: used for meter, used in zip(found, counted, strict=True)}

    @property
    def tried(self) -> list[str]:
        """The accounts that the last call tried."""
        return [attempt.target.account for attempt in self.records[-1].attempts]


def error_of(client: FakeClient) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(client.received)["error"]
    return found


async def test_admitted_and_refused() -> None:
    """Calls within the limit are answered and told what is left; the next is refused and asks nobody."""
    rig = Rig(answer(), answer(), rules=[limit_of("requests", 2, id="per-minute")])
    first, second, third = [await rig.call() for _ in range(3)]
    assert [client.status for client in (first, second, third)] == [200, 200, 429]
    told = ("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests")
    assert [[client.header(name) for name in told] for client in (first, second, third)] == [
        ["2", "1"],
        ["2", "0"],
        ["2", "0"],
    ]
    assert len(rig.upstream.requests) == 2
    error = error_of(third)
    assert (error["type"], error["code"], error["source"]) == (
        "rate_limit_error",
        "rate_limit_exceeded",
        "gateway",
    )
    assert '"per-minute"' in error["message"]
    assert int(third.header("retry-after") or "") in range(55, 66)
    assert third.header("x-tfy-error-source") == "gateway"
    assert rig.records[-1].error_type == "rate_limit_exceeded"


async def test_given_metadata_are_counted() -> None:
    """Writing another value than the one that is given is no way around a limit for each value."""
    rig = Rig(answer(), answer(), rules=[limit_of("requests", 1, per=("metadata.team",))])
    caller = replace(rig.caller, tags={"team": "ml"})
    snapshot = rig.pipeline._current.snapshot
    rig.pipeline._current.snapshot = replace(snapshot, identity=Identity([make_credential(TOKEN, caller)]))
    body = make_body("one/m")
    clients = [
        FakeClient(BEARER, ("x-tfy-metadata", f'{{"team":"{team}"}}'), body=body) for team in ("a", "b")
    ]
    assert [(await rig.call(client=client)).status for client in clients] == [200, 429]
    assert rig.records[0].notes.metadata == {"team": "ml"}


async def test_without_limits() -> None:
    """A configuration without limits says nothing of them, and nothing is counted."""
    rig = Rig(answer())
    snapshot = Snapshot("v1", 1, Identity([make_credential(TOKEN, rig.caller)]), Fixed((ONE, TWO)))
    rig.pipeline._current.snapshot = snapshot
    client = await rig.call()
    assert client.status == 200
    assert client.header("x-ratelimit-limit-requests") is None
    assert rig.records[-1].permit is None


@pytest.mark.parametrize(
    ("endpoint", "kind"),
    [
        pytest.param(CHAT, "rate_limit_error", id="chat"),
        pytest.param(MESSAGES, "rate_limit_error", id="messages"),
        pytest.param(RESPONSE, "rate_limit_error", id="responses"),
        pytest.param(EMBEDDING, "rate_limit_error", id="embeddings"),
    ],
)
@pytest.mark.parametrize(("status", "is_stream"), [(429, False), (402, False), (429, True)])
async def test_refusals_in_every_dialect(
    endpoint: Endpoint, kind: str, status: int, *, is_stream: bool
) -> None:
    """A budget's refusal is worded as the caller's SDK reads it, and tells it not to try again."""
    rig = Rig(policy=policy_of(budget_of(0, id="team-budget", window="day"), budget_status=status))
    client = await rig.call(
        endpoint=endpoint,
        messages=[{"role": "user", "content": "hi"}],
        input="hi",
        max_tokens=5,
        stream=is_stream,
    )
    assert client.status == status
    error = error_of(client)
    assert error["code"] == "budget_exceeded"
    assert error["type"] == ("billing_error" if endpoint is MESSAGES and status == 402 else kind)
    assert '"team-budget"' in error["message"]
    assert client.header("x-should-retry") == "false"
    assert rig.upstream.requests == []


async def test_tokens_are_settled() -> None:
    """What a call may use is taken while it runs; in the end what the provider counted."""
    seen: list[int] = []
    usage = {"prompt_tokens": 30, "completion_tokens": 12}
    body = json.dumps({"id": "c", "choices": [{"message": {"content": "x"}}], "usage": usage}).encode()
    reply = FakeReply(200, JSON, lambda: seen.append(rig.used()["tokens-limit"]), body)
    rig = Rig(reply, rules=[limit_of("tokens", 5000)])
    client = await rig.call(max_tokens=100)
    assert client.status == 200
    assert seen == [1 + 8 + 100]
    assert rig.used() == {"tokens-limit": 42}
    assert client.header("x-ratelimit-remaining-tokens") == str(5000 - 109)


@pytest.mark.parametrize(
    ("endpoint", "put_over", "each"),
    [
        pytest.param(CHAT, {}, 10, id="answers"),
        pytest.param(IMAGE, {}, 10, id="pictures"),
        pytest.param(CHAT, {"n": b"2"}, 20, id="as many as the route says"),
        pytest.param(CHAT, {"n": b"7"}, 6, id="no less than there are"),
        pytest.param(CHAT, {"best_of": b"8"}, None, id="nobody knows whether all are counted"),
    ],
)
async def test_replies_of_several_are_no_longer_ones(
    endpoint: Endpoint, put_over: dict[str, bytes], each: int | None
) -> None:
    """What is learned of a target is how long one reply is, as a call of `n` takes that for each."""
    pictures = {"data": [{"b64_json": "AA"}], "usage": {"input_tokens": 3, "output_tokens": 40}}
    reply = (
        FakeReply(200, JSON, json.dumps(pictures).encode()) if endpoint is IMAGE else answer(completion=40)
    )
    target = replace(ONE, parameters=put_over)
    rig = Rig(reply, rules=[limit_of("tokens", 99_999)], targets=(target,))
    await rig.call(endpoint=endpoint, prompt="cats", n=4)
    assert rig.pipeline._limiter is not None
    assert rig.pipeline._limiter.sizes.known("one/m") == each


async def test_budgets_are_settled() -> None:
    """A budget counts what a call cost, in millionths of a USD."""
    rig = Rig(answer(30, 12), rules=[budget_of(1)])
    await rig.call(max_tokens=100)
    assert rig.used() == {"budget": 30 + 2 * 12}


SPEAKER = make_target("one/m", price=CharacterPrice(1_000_000.0))
"""One that costs 1 USD for each character."""


async def test_what_is_spoken_is_paid() -> None:
    """Its characters are known before, so a call that does not fit is refused; nobody tells what was used."""
    sounds = [FakeReply(200, {"content-type": "audio/mpeg"}, b"ID3", b"more") for _ in range(2)]
    rig = Rig(*sounds, rules=[budget_of(7)], targets=(SPEAKER,))
    statuses = [(await rig.call(endpoint=SPEECH, input=text)).status for text in ("hello", "bye", "é")]
    assert statuses == [200, 429, 200]
    assert rig.used() == {"budget": 6 * MICRO_USD}
    assert rig.records[-1].total_cost_usd == 1


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(refusal(500), id="an error"),
        pytest.param(FakeReply(200, {"content-type": "text/html"}, b"<html>"), id="no sound"),
    ],
)
async def test_what_is_not_spoken_is_not_paid(reply: FakeReply) -> None:
    """A provider that gives no sound has spoken nothing."""
    rig = Rig(reply, rules=[budget_of(7)], targets=(SPEAKER,))
    assert (await rig.call(endpoint=SPEECH, input="hello")).status in (500, 502)
    assert rig.used() == {"budget": 0}


async def test_who_leaves_while_it_is_spoken_pays() -> None:
    """As much as who stays."""
    client = FakeClient(BEARER, body=make_body("one/m", input="hello"))
    reply = FakeReply(200, {"content-type": "audio/mpeg"}, b"ID3", client.leave, asyncio.Event())
    rig = Rig(reply, rules=[budget_of(7)], targets=(SPEAKER,))
    await rig.call(endpoint=SPEECH, client=client)
    assert rig.used() == {"budget": 5 * MICRO_USD}


async def test_failures_cost_nothing() -> None:
    """A provider's error gives tokens and money back; the request stays counted."""
    rules = [limit_of("requests", 5), limit_of("tokens", 5000), budget_of(1)]
    rig = Rig(refusal(500), rules=rules)
    assert (await rig.call()).status == 500
    assert rig.used() == {"requests-limit": 1, "tokens-limit": 0, "budget": 0}


async def test_aborted_streams_count() -> None:
    """A caller that leaves in the middle has used what its provider read and wrote."""
    client = FakeClient(BEARER, body=make_body("one/m", stream=True, max_tokens=50))
    chunk = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"hello hello hello"}}]}\n\n'
    reply = FakeReply(200, SSE, chunk, client.leave, asyncio.Event())
    rig = Rig(reply, rules=[limit_of("tokens", 5000), limit_of("parallel", 1)])
    await rig.call(client=client)
    assert rig.records[-1].error_type == "client_disconnected"
    usage = rig.records[-1].usage
    assert usage is not None
    expected = (usage.input_tokens or 0) + (usage.output_tokens or 0)
    assert expected > 0
    assert rig.used() == {"tokens-limit": expected, "parallel-limit": 0}


@pytest.mark.parametrize(
    ("header", "status"),
    [
        pytest.param("x-tfy-request-timeout", 504, id="as a whole"),
        pytest.param("x-tfy-ttft-timeout-ms", 408, id="until the first token"),
    ],
)
async def test_calls_out_of_their_callers_time_count(header: str, status: int) -> None:
    """Who waits a millisecond has had the call read all the same, as one that leaves has."""
    over = asyncio.Event()
    rig = Rig(FakeReply(200, JSON, over, UpstreamTimeout("late")), rules=[limit_of("tokens", 5000)])
    body = make_body("one/m", stream=status == 408, messages=[{"role": "user", "content": "x" * 400}])

    async def answer_late() -> None:
        await until_async(lambda: rig.upstream.requests, "the call to be made")
        await asyncio.sleep(0.05)
        over.set()

    call = rig.call(client=FakeClient(BEARER, (header, "1"), body=body))
    client, _ = await asyncio.gather(call, answer_late())
    assert client.status == status
    usage = rig.records[-1].usage
    assert usage is not None
    assert (usage.source, usage.output_tokens) == ("partial", 0)
    assert rig.used() == {"tokens-limit": usage.input_tokens}
    assert (usage.input_tokens or 0) > 100


@pytest.mark.parametrize("is_stream", [False, True])
async def test_what_goes_on_in_the_background_counts(*, is_stream: bool) -> None:
    """As what it may use: it is written when the call has ended, or its caller has left."""
    client = FakeClient(
        BEARER, body=make_body("one/m", input="hi", background=True, max_output_tokens=900, stream=is_stream)
    )
    begun = b'{"id":"resp_1","object":"response","status":"queued","output":[],"usage":null}'
    said = json.dumps({"type": "response.output_text.delta", "delta": "x"}).encode()
    event = b"event: response.output_text.delta\ndata: " + said + b"\n\n"
    steps = [event, client.leave, asyncio.Event()] if is_stream else [begun]
    reply = FakeReply(200, SSE if is_stream else JSON, *steps)
    rig = Rig(reply, rules=[limit_of("tokens", 5000), budget_of(1)])
    await rig.call(client=client, endpoint=RESPONSE)
    assert rig.used() == {"tokens-limit": 1 + 8 + 900, "budget": 1 + 8 + 2 * 900}
    assert rig.pipeline._limiter is not None
    assert rig.pipeline._limiter.sizes.usual("one/m") == 1024, "nobody has learned how long replies are"


async def test_what_ends_in_the_background_counts_as_told() -> None:
    """A provider that says what it used is believed."""
    whole = {"id": "resp_1", "object": "response", "status": "completed", "output": []}
    usage = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
    rig = Rig(
        FakeReply(200, JSON, json.dumps(whole | {"usage": usage}).encode()), rules=[limit_of("tokens", 99999)]
    )
    await rig.call(endpoint=RESPONSE, input="hi", background=True)
    assert rig.used() == {"tokens-limit": 5}


LATE: Final = b'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":900}}\n\n'


@pytest.mark.parametrize(
    ("late", "is_told"),
    [
        pytest.param((LATE,), True, id="told"),
        pytest.param((UpstreamUnreachable("gone"),), False, id="broken off"),
        pytest.param((b": ping\n\n", b"data: [DONE]\n\n", LATE), False, id="ended without"),
    ],
)
async def test_who_leaves_at_the_last_word(late: tuple[Any, ...], *, is_told: bool) -> None:
    """What the whole reply used is heard yet: what a model thought stands nowhere else."""
    client = FakeClient(BEARER, body=make_body("one/m", stream=True, max_tokens=5000))
    said = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"yes"}}]}\n\n'
    last = b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    reply = FakeReply(200, SSE, said, last, client.leave, asyncio.Event(), *late)
    rig = Rig(reply, rules=[limit_of("tokens", 9000)])
    await rig.call(client=client)
    trace = rig.records[-1]
    assert trace.call is not None
    assert rig.used() == {"tokens-limit": 907 if is_told else trace.call.body_bytes // 4 + 2}
    assert (trace.error_type, reply.is_closed) == ("client_disconnected", True)


async def test_who_leaves_at_the_last_word_of_a_response() -> None:
    """The same of a response, whose usage comes with its end."""

    def event(kind: str, **members: Any) -> bytes:
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n".encode()

    used = {"id": "r", "status": "completed", "usage": {"input_tokens": 7, "output_tokens": 900}}
    client = FakeClient(BEARER, body=make_body("one/m", stream=True, input="hi", max_output_tokens=5000))
    reply = FakeReply(
        200,
        SSE,
        event("response.created", response={"id": "r", "status": "in_progress"}),
        event("response.output_text.delta", delta="yes"),
        event("response.output_item.done", item={"type": "message", "content": []}),
        client.leave,
        asyncio.Event(),
        event("response.completed", response=used),
    )
    target = make_target("one/m", has_responses=True)
    rig = Rig(reply, rules=[limit_of("tokens", 9000)], targets=(target,))
    await rig.call(endpoint=RESPONSE, client=client)
    assert rig.used() == {"tokens-limit": 907}
    assert rig.records[-1].error_type == "client_disconnected"


async def test_who_leaves_before_the_last_word_is_not_waited_for() -> None:
    """What a provider would write on is nobody's."""
    client = FakeClient(BEARER, body=make_body("one/m", stream=True, max_tokens=5000))
    said = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"yes"}}]}\n\n'
    reply = FakeReply(200, SSE, said, client.leave, asyncio.Event(), LATE)
    rig = Rig(reply, rules=[limit_of("tokens", 9000)])
    await rig.call(client=client)
    assert rig.used()["tokens-limit"] < 900
    assert reply.is_closed


SHOWN: Final[Any] = [{"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 9_000}}]
"""A picture, which by its bytes alone would be more than 2,000 tokens."""


@pytest.mark.parametrize(
    "rules", [[limit_of("tokens", 5000), budget_of(1)], []], ids=["limited", "not limited"]
)
async def test_pictures_of_who_leaves(rules: list[Rule]) -> None:
    """What nobody told is taken for what limits take it for, on spans and by limits."""
    client = FakeClient(
        BEARER,
        body=make_body("one/m", stream=True, max_tokens=50, messages=[{"role": "user", "content": SHOWN}]),
    )
    chunk = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"hello"}}]}\n\n'
    rig = Rig(FakeReply(200, SSE, chunk, client.leave, asyncio.Event()), rules=rules)
    await rig.call(client=client)
    trace = rig.records[-1]
    read = 8 + 1_445
    assert trace.usage == Usage(read, 1, "partial")
    assert trace.total_cost_usd == pytest.approx((read + 2) / 1e6)
    if rules:
        assert rig.used() == {"tokens-limit": read + 1, "budget": read + 2}


async def test_pictures_of_whose_provider_counts() -> None:
    """Its own count stands, also of a reply that did not end."""
    client = FakeClient(
        BEARER,
        body=make_body("one/m", stream=True, max_tokens=50, messages=[{"role": "user", "content": SHOWN}]),
    )
    usage = b'"usage":{"prompt_tokens":90,"completion_tokens":3}'
    told = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"}}],' + usage + b"}\n\n"
    rig = Rig(FakeReply(200, SSE, told, client.leave, asyncio.Event()), rules=[limit_of("tokens", 5000)])
    await rig.call(client=client)
    assert rig.used() == {"tokens-limit": 90 + 3}


async def test_a_silent_provider_costs_nothing() -> None:
    """Who has not answered in the time that its target has may have read nothing."""
    rig = Rig(UpstreamTimeout("silent"), rules=[limit_of("tokens", 5000)])
    assert (await rig.call()).status == 504
    assert rig.used() == {"tokens-limit": 0}


async def test_parallel_calls() -> None:
    """A second call at the same time is refused, one after it is not."""
    release = asyncio.Event()
    body = b'{"id":"c","choices":[{"message":{"content":"x"}}]}'
    rig = Rig(FakeReply(200, JSON, release, body), answer(), rules=[limit_of("parallel", 1)])
    running = asyncio.get_running_loop().create_task(rig.call())
    await until_async(lambda: bool(rig.upstream.requests), "the first call is under way")
    assert (await rig.call()).status == 429
    release.set()
    assert (await running).status == 200
    assert (await rig.call()).status == 200


class Hasty(FakeClient):
    """Looks what is counted the moment that it has the end of its answer, or reads that this is the end."""

    look: Callable[[], dict[str, int]]
    seen: dict[str, int] | None = None

    async def write(self, data: bytes) -> None:
        if b"[DONE]" in data and self.seen is None:
            self.seen = self.look()
        await super().write(data)

    async def end(self) -> None:
        if self.seen is None:
            self.seen = self.look()
        await super().end()


SAID: Final = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"hi"}}]}\n\n'
TOLD: Final = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n'
SPOKEN: Final = b'data: {"type":"speech.audio.delta","audio":"AA=="}\n\n'


@pytest.mark.parametrize(
    ("endpoint", "members", "script"),
    [
        pytest.param(CHAT, {}, [answer()], id="whole"),
        pytest.param(CHAT, {}, [refusal(400)], id="the provider's error"),
        pytest.param(CHAT, {}, [UpstreamUnreachable("gone")], id="our error"),
        pytest.param(
            CHAT, {"stream": True}, [FakeReply(200, SSE, SAID, TOLD, b"data: [DONE]\n\n")], id="stream"
        ),
        pytest.param(
            CHAT,
            {"stream": True},
            [FakeReply(200, SSE, SAID, TOLD + b"data: [DONE]\n\n")],
            id="a stream's last piece",
        ),
        pytest.param(
            CHAT,
            {"stream": True},
            [FakeReply(200, SSE, SAID, TOLD, UpstreamUnreachable("gone"))],
            id="a stream that breaks off",
        ),
        pytest.param(
            SPEECH,
            {"input": "hello"},
            [FakeReply(200, {"content-type": "audio/mpeg"}, b"ID3", b"more")],
            id="sound",
        ),
        pytest.param(SPEECH, {"input": "hello"}, [FakeReply(200, SSE, SPOKEN)], id="a stream of sound"),
    ],
)
async def test_who_has_the_end_may_come_again(
    endpoint: Endpoint, members: dict[str, Any], script: list[Any]
) -> None:
    """What a call took and did not use is given back before: the next call is not in its own way."""
    client = Hasty(BEARER, body=make_body("one/m", **members))
    target = make_target("one/m", price=CharacterPrice(1.0) if endpoint is SPEECH else TokenPrice())
    rules = [limit_of("tokens", 5000), limit_of("parallel", 1), budget_of(1)]
    rig = Rig(*script, rules=rules, targets=(target,))
    client.look = rig.used
    await rig.call(client=client, endpoint=endpoint)
    assert client.seen == rig.used()
    assert client.seen["parallel-limit"] == 0


@pytest.mark.parametrize(
    ("limits", "seen"),
    [
        pytest.param({"tokens": 8 * 109}, {"tokens-limit": 109}, id="an eighth"),
        pytest.param({"tokens": 8 * 109 - 1}, {"tokens-limit": 5}, id="more than that"),
        pytest.param({"requests": 1}, {"requests-limit": 1}, id="nothing to give back"),
        pytest.param({"parallel": 1_000}, {"parallel-limit": 0}, id="a place that others may wait for"),
        pytest.param({"parallel": 1_001}, {"parallel-limit": 1}, id="one of very many"),
        pytest.param(
            {"tokens": 10**6, "parallel": 7}, {"tokens-limit": 5, "parallel-limit": 0}, id="one of two"
        ),
    ],
)
async def test_answers_do_not_wait_while_limits_are_far(limits: dict[Any, int], seen: dict[str, int]) -> None:
    """What is given back then is in nobody's way, and is counted when the answer has gone out."""
    client = Hasty(BEARER, body=make_body("one/m", max_tokens=100))
    rig = Rig(answer(), rules=[limit_of(kind, amount) for kind, amount in limits.items()])
    client.look = rig.used
    await rig.call(client=client)
    assert client.seen == seen


@pytest.mark.parametrize("tokens", [3_000, 10**9], ids=["near", "far"])
async def test_what_is_counted_near_a_limit_is_what_is_told(tokens: int) -> None:
    """A picture is no text, whenever that is worked out."""
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 9_000}}
    body = make_body("one/m", stream=True, max_tokens=9, messages=[{"role": "user", "content": [picture]}])
    rig = Rig(FakeReply(200, SSE, SAID, b"data: [DONE]\n\n"), rules=[limit_of("tokens", tokens)])
    await rig.call(client=FakeClient(BEARER, body=body))
    usage = rig.records[-1].usage
    assert usage is not None
    assert rig.used() == {"tokens-limit": (usage.input_tokens or 0) + (usage.output_tokens or 0)}
    assert 0 < (usage.input_tokens or 0) < len(body) // 4


async def test_a_call_without_limits_has_none_near() -> None:
    """Its answer waits for no settlement."""
    rig = Rig(answer(), rules=[limit_of("tokens", 5, models=("two/m",))])
    await rig.call()
    permit = rig.records[-1].permit
    assert permit is not None
    assert not permit.is_near


async def test_a_full_target_is_passed_over() -> None:
    """A limit on a target sends the call to the next, and the trace says why."""
    rig = Rig(answer(), answer(), rules=[limit_of("requests", 1, models=("one/*",))])
    clients = [await rig.call("vm/chat") for _ in range(2)]
    assert [client.header("x-tfy-resolved-model") for client in clients] == ["one/m", "two/m"]
    assert [(skip.target, skip.reason) for skip in rig.records[-1].skips] == [("one/m", "limit")]


@pytest.mark.parametrize("has_second", [True, False])
async def test_who_was_passed_over_is_not_told_of(*, has_second: bool) -> None:
    """Who is answered by another target is told what is left there, not that nothing is of the first."""
    rules = [
        limit_of("requests", 0, models=("one/*",), id="first"),
        limit_of("tokens", 5_000, models=("one/*",), id="with room"),
    ]
    if has_second:
        rules.append(limit_of("requests", 7, models=("two/*",), id="second"))
    client = await Rig(answer(), rules=rules).call("vm/chat")
    assert (client.status, client.header("x-tfy-resolved-model")) == (200, "two/m")
    told = [client.header(f"x-ratelimit-{name}-requests") for name in ("limit", "remaining")]
    assert told == (["7", "6"] if has_second else [None, None])
    assert client.header("x-ratelimit-limit-tokens") is None


@pytest.mark.parametrize("windows", [("day", "minute"), ("minute", "day")])
async def test_reset_of_what_refuses(windows: tuple[str, str]) -> None:
    """The header says of the same limit as the refusal when there is room."""
    rules = [
        limit_of("requests", at + 1, models=(f"{name}/*",), id=name, window=window)
        for at, (name, window) in enumerate(zip(("one", "two"), windows, strict=True))
    ]
    rig = Rig(*[answer() for _ in range(3)], rules=rules)
    for _ in range(3):
        assert (await rig.call("vm/chat")).status == 200
    client = await rig.call("vm/chat")
    name = ("one", "two")[windows.index("minute")]
    assert (client.status, f'"{name}"' in error_of(client)["message"]) == (429, True)
    wait_s = float(client.header("retry-after") or "")
    assert client.header("x-ratelimit-reset-requests") == format_duration(wait_s).decode()
    assert client.header("x-ratelimit-limit-requests") == {"one": "1", "two": "2"}[name]


async def test_no_target_left() -> None:
    """Where every target's limit is used up the caller is refused by the one that resets first."""
    rules = [
        limit_of("requests", 0, models=("one/*",), id="first", window="day"),
        limit_of("requests", 0, models=("two/*",), id="second", window="hour"),
    ]
    rig = Rig(rules=rules)
    client = await rig.call("vm/chat")
    assert client.status == 429
    assert error_of(client)["code"] == "rate_limit_exceeded"
    assert [skip.reason for skip in rig.records[-1].skips] == ["limit", "limit"]


async def test_a_circuit_closes_before_a_limit_resets() -> None:
    """The refusal is the limit's, and its wait that of the target with room, which is being probed."""
    rules = [limit_of("requests", 0, models=("one/*",), id="first", window="day")]
    client = await Rig(rules=rules, observer=FakeObserver(closed_to=("two/m",))).call("vm/chat")
    assert (client.status, error_of(client)["code"]) == (429, "rate_limit_exceeded")
    assert client.header("retry-after") == "1"
    assert client.header("x-should-retry") is None


async def test_a_failure_is_told_before_a_limit() -> None:
    """Where one target was asked and failed, and the other is full, the caller gets the failure."""
    rig = Rig(refusal(500), rules=[limit_of("requests", 0, models=("two/*",))])
    client = await rig.call("vm/chat")
    assert client.status == 500
    assert rig.tried == ["one"]


async def test_each_target_is_charged_once() -> None:
    """Retries of one target are one request; the target after it is charged too."""
    one = make_target("one/m", fallback=FALLBACK, retry=RetryPolicy(2, 0, frozenset({500})))
    rules = [
        limit_of("requests", 9, id="name", models=("vm/*",)),
        limit_of("requests", 9, id="one", models=("one/*",)),
        limit_of("requests", 9, id="two", models=("two/*",)),
    ]
    rig = Rig(refusal(500), refusal(500), refusal(500), answer(), rules=rules, targets=(one, TWO))
    assert (await rig.call("vm/chat")).status == 200
    assert rig.tried == ["one", "one", "one", "two"]
    assert rig.used("vm/chat") == {"name": 1}
    assert (rig.used("vm/chat", "one/m"), rig.used("vm/chat", "two/m")) == ({"one": 1}, {"two": 1})


async def test_a_target_that_is_not_asked_is_not_charged() -> None:
    """What was taken for a target whose circuit is open is given back."""
    rules = [limit_of("requests", 9, models=("one/*",), id="one")]
    rig = Rig(answer(), rules=rules, observer=FakeObserver(closed_to=("one/m",)))
    assert (await rig.call("vm/chat")).header("x-tfy-resolved-model") == "two/m"
    assert rig.used("vm/chat", "one/m") == {"one": 0}


class Heard(Rules):
    """Rules that tell when they have been asked of a target."""

    def __init__(self, *rules: Rule, target: str) -> None:
        super().__init__([RuleSet("all", rules)])
        self._target = target
        self.heard = asyncio.Event()

    def held(self, asking: Asking, target: str, stage: Stage) -> Held:
        if target == self._target:
            self.heard.set()
        return super().held(asking, target, stage)


async def test_hedged_calls_ask_limits_too() -> None:
    """A second target is asked beside the first only where its limits let it."""
    rules = Heard(limit_of("requests", 0, models=("two/*",)), target="two/m")
    chunk = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}\n\n'
    # It is silent until the other one's turn has come and gone.
    reply = FakeReply(200, SSE, rules.heard, chunk, b"data: [DONE]\n\n")
    rig = Rig(reply, policy=LimitPolicy(rules), hedge_after_s=0.0)
    client = await rig.call("vm/chat", stream=True)
    assert (client.status, rig.tried) == (200, ["one"])
    assert [(skip.target, skip.reason) for skip in rig.records[-1].skips] == [("two/m", "limit")]


async def test_what_a_judged_call_may_use() -> None:
    """Until the model has said how hard the call is, the dearest of all that may answer then is taken."""
    dear = make_target("dear/m", parameters={"max_tokens": b"900"}, price=TokenPrice())
    hard = Plan((dear,), ("one/m", "dear/m"), route=ROUTE)
    judge = make_target("judge/m", price=TokenPrice())
    classification = Classification(judge, 5.0, "hi", {"complex": hard})
    said = json.dumps({"choices": [{"message": {"content": "complex"}}]}).encode()
    seen: list[int] = []
    rules = [limit_of("tokens", 5000)]
    rig = Rig(
        FakeReply(200, JSON, lambda: seen.append(rig.used("vm/chat")["tokens-limit"]), said),
        answer(30, 12),
        rules=rules,
        targets=(ONE,),
        classification=classification,
    )
    client = await rig.call("vm/chat", max_tokens=100)
    assert (client.status, rig.tried) == (200, ["dear"])
    assert seen == [1 + 8 + 900]


async def test_a_target_without_room_for_two_at_once_is_asked_after_the_first() -> None:
    """Whose hedge had no room stands in for the first target when that has failed, and its place is free."""
    rules = Heard(budget_of(0.00015), target="two/m")
    failing = FakeReply(500, JSON, rules.heard, b'{"error":{"message":"no"}}')
    chunk = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}\n\n'
    good = FakeReply(200, SSE, chunk, b"data: [DONE]\n\n")
    rig = Rig(failing, good, policy=LimitPolicy(rules), hedge_after_s=0.0)
    client = await rig.call("vm/chat", stream=True, max_tokens=50)
    assert (client.status, rig.tried) == (200, ["one", "two"])
    assert rig.records[-1].skips == ()


async def test_a_target_without_room_is_told_of_where_its_turn_does_not_come() -> None:
    """The first has failed with what is the caller's own fault, so nobody else is asked."""
    rules = Heard(limit_of("requests", 0, models=("two/*",)), target="two/m")
    failing = FakeReply(400, JSON, rules.heard, b'{"error":{"message":"no"}}')
    rig = Rig(failing, policy=LimitPolicy(rules), hedge_after_s=0.0)
    client = await rig.call("vm/chat", stream=True)
    assert (client.status, rig.tried) == (400, ["one"])
    assert [(skip.target, skip.reason) for skip in rig.records[-1].skips] == [("two/m", "limit")]
