"""Which targets of a plan are tried, how often, and when another takes over."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from collections.abc import Sequence
from itertools import pairwise
from random import Random
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.attempt import outcome_of
from gateway.endpoints.call_limits import NO_LIMITS, CallLimits
from gateway.endpoints.catalogue import CHAT, RESPONSE
from gateway.errors import GatewayError, UpstreamBadReply, UpstreamTimeout, UpstreamUnreachable
from gateway.failover import MOST_ATTEMPTS, _sooner, falls_back
from gateway.identity.tokens import Identity
from gateway.model import (
    CallFacts,
    FallbackPolicy,
    KeepAlive,
    Outcome,
    Plan,
    RetryBounds,
    RetryPolicy,
    RouteFacts,
    SkipReason,
    Target,
    TimeLimits,
)
from gateway.pipeline import CurrentSnapshot, Pipeline
from gateway.relay import note_failure
from gateway.responder import Answer
from gateway.routing.accounts import Accounts
from gateway.routing.complexity import Complexity
from gateway.routing.direct import Routing
from gateway.routing.route import Candidate, Route
from gateway.routing.stored import StoredObjects
from gateway.snapshot import Snapshot
from gateway.store.shared_table import table_in_memory
from gateway.telemetry.call_trace import AttemptTrace, CallTrace
from tests.rig.until import until_async
from tests.unit.doubles import FakeClient, FakeHealth, FakeReply, FakeUpstream
from tests.unit.makers import TOKEN, make_body, make_caller, make_credential, make_target

BEARER: Final = ("authorization", f"Bearer {TOKEN}")
JSON: Final = {"content-type": "application/json"}
SSE: Final = {"content-type": "text/event-stream"}
FALLBACK: Final = FallbackPolicy(frozenset({401, 403, 404, 429, 500, 502, 503, 504, 529}))
RETRY: Final = RetryPolicy(2, 0, frozenset({429, 500, 502, 503}))
ONE: Final = make_target("one/m", fallback=FALLBACK, retry=RETRY)
TWO: Final = make_target("two/m", fallback=FALLBACK, retry=RETRY)
THREE: Final = make_target("three/m", fallback=FALLBACK, retry=RETRY)
ROUTE: Final = RouteFacts("vm/chat", "priority-based-routing")


def answer(said: str = "hi") -> FakeReply:
    choices = [{"index": 0, "message": {"content": said}, "finish_reason": "stop"}]
    body = {"id": f"chat-{said}", "model": said, "choices": choices, "usage": {"prompt_tokens": 3}}
    return FakeReply(200, JSON, json.dumps(body).encode())


def refusal(status: int, **headers: str) -> FakeReply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return FakeReply(status, JSON | named, b'{"error":{"message":"no"}}')


def event(said: str, *, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": said}, "finish_reason": finish}
    return b"data: " + json.dumps({"id": f"chat-{said}", "choices": [choice]}).encode() + b"\n\n"


def event_of(error: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps({"error": error}).encode() + b"\n\n"


ROLE: Final = b'data: {"id":"chat-1","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
ERROR: Final = b'data: {"error":{"message":"overloaded"}}\n\n'
DONE: Final = b"data: [DONE]\n\n"


def streamed(*steps: Any) -> FakeReply:
    return FakeReply(200, SSE, *steps)


class Fixed(Routing):
    """One plan for whatever is asked."""

    def __init__(
        self, targets: Sequence[Target], *, hedge_after_s: float | None, route: RouteFacts | None
    ) -> None:
        super().__init__((make_target("vm/chat"),))
        names = tuple(target.name for target in targets)
        self._fixed = Plan(tuple(targets), names, route=route, hedge_after_s=hedge_after_s)

    def plan(self, model: str, facts: CallFacts) -> Plan:
        """The plan."""
        super().plan(model, facts)
        return self._fixed


class Watch:
    """An `AttemptObserver` that keeps what it hears, and holds back what it is told to."""

    def __init__(self, **held: SkipReason) -> None:
        self.held = {f"{account}/m": reason for account, reason in held.items()}
        self.heard: list[tuple[str, str, int]] = []
        self.outcomes: list[Outcome] = []
        self.waits_s: dict[str, float] = {}

    def admit(self, target: Target) -> SkipReason | None:
        """As told."""
        return self.held.get(target.name)

    def wait_s(self, name: str) -> float:
        """As told, 0.0 without."""
        return self.waits_s.get(name, 0.0)

    def went_well(self, _: Target) -> bool:
        """All of it is wanted."""
        return True

    def ended(self, target: Target, outcome: Outcome) -> None:
        """Keep it."""
        self.heard.append((target.account, outcome.verdict, outcome.status))
        self.outcomes.append(outcome)


class Rig:
    """A pipeline between doubles, for one call."""

    def __init__(
        self,
        *script: Any,
        targets: Sequence[Target] = (ONE, TWO),
        hedge_after_s: float | None = None,
        keep_alive: KeepAlive | None = None,
        watch: Watch | None = None,
        route: RouteFacts | None = ROUTE,
        stored: StoredObjects | None = None,
    ) -> None:
        self.upstream = FakeUpstream(*script)
        self.watch = watch or Watch()
        self.records: list[CallTrace] = []
        routing = Fixed(targets, hedge_after_s=hedge_after_s, route=route)
        identity = Identity([make_credential(TOKEN, make_caller("vm/chat"))])
        self.pipeline = Pipeline(
            CurrentSnapshot(Snapshot("v1", 1, identity, routing, keep_alive=keep_alive)),
            self.upstream,
            self.records.append,
            max_body_bytes=1000,
            random=Random(7),
            health=self.watch,
            stored=stored,
        )

    async def call(self, *headers: tuple[str, str], **members: Any) -> FakeClient:
        """Let a caller call."""
        client = FakeClient(BEARER, *headers, body=make_body("vm/chat", **members))
        await self.pipeline.call_model(client, CHAT)
        return client

    @property
    def trace(self) -> CallTrace:
        """What was recorded: exactly one."""
        (trace,) = self.records
        return trace

    @property
    def tried(self) -> list[str]:
        """The accounts that were tried, in order."""
        return [attempt.target.account for attempt in self.trace.attempts]


def said_by(client: FakeClient) -> str:
    model: str = json.loads(client.received)["model"]
    return model


def error_of(client: FakeClient) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(client.received)["error"]
    return found


@pytest.mark.parametrize(
    ("script", "tried"),
    [
        pytest.param([answer("a")], ["one"], id="good at once"),
        pytest.param([refusal(500), answer("a")], ["one", "one"], id="a retry of the same"),
        pytest.param(
            [refusal(500), refusal(503), refusal(502), answer("a")], ["one"] * 3 + ["two"], id="used up"
        ),
        pytest.param([refusal(401), answer("a")], ["one", "two"], id="our key is refused: no retry"),
        pytest.param([refusal(404), answer("a")], ["one", "two"], id="model is gone"),
        pytest.param([refusal(529), answer("a")], ["one", "two"], id="overloaded"),
        pytest.param([refusal(522), answer("a")], ["one", "one"], id="a status that HTTP does not know"),
        pytest.param([UpstreamTimeout("slow"), answer("a")], ["one", "two"], id="silence"),
        pytest.param([UpstreamUnreachable("gone"), answer("a")], ["one", "one"], id="no connection"),
        pytest.param([UpstreamBadReply("html"), answer("a")], ["one", "one"], id="no answer"),
        pytest.param(
            [refusal(429, retry_after="1"), answer("a")], ["one", "two"], id="who wants patience gets it"
        ),
        pytest.param([refusal(429), answer("a")], ["one", "one"], id="429 without a wish"),
        pytest.param(
            [refusal(500, x_should_retry="false"), answer("a")], ["one", "two"], id="not to be asked again"
        ),
    ],
)
async def test_who_is_tried(script: list[Any], tried: list[str]) -> None:
    """Each target as often as its policy says, then the next; the caller gets the answer of one."""
    rig = Rig(*script)
    client = await rig.call()
    assert (client.status, said_by(client)) == (200, "a")
    assert rig.tried == tried
    assert client.header("x-tfy-resolved-model") == f"{tried[-1]}/m"
    assert rig.trace.error_type == ""


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_the_callers_mistake_is_told_at_once(status: int) -> None:
    """What every target would refuse is tried once, and says nothing of the target."""
    rig = Rig(refusal(status))
    client = await rig.call()
    assert (client.status, rig.tried) == (status, ["one"])
    assert rig.watch.heard == [("one", "none", status)]


async def test_last_failure_is_told() -> None:
    """When every target has failed the caller gets a real status, with the last one's wish."""
    rig = Rig(refusal(404), refusal(429, retry_after="9"), targets=(ONE, TWO))
    client = await rig.call()
    assert (client.status, client.header("retry-after"), rig.tried) == (429, "9", ["one", "two"])
    assert client.header("x-tfy-error-source") == "upstream"


TOO_LONG: Final = event_of({"code": "context_length_exceeded", "message": "too long", "param": "messages"})


async def test_a_prompt_that_is_too_long_is_told_as_before_a_stream() -> None:
    """With the provider's words, where a stream begins with it and no other target has room for it."""
    rig = Rig(streamed(ROLE, TOO_LONG), targets=(ONE,))
    client = await rig.call(stream=True)
    told = {"message": "too long", "type": "invalid_request_error", "param": "messages"}
    assert (client.status, error_of(client)) == (400, {**told, "code": "context_length_exceeded"})
    assert client.header("x-tfy-error-source") == "upstream"
    assert rig.watch.heard == [("one", "none", 502)]
    assert rig.trace.attempts[0].error_type == "upstream_bad_reply"
    larger = Rig(streamed(TOO_LONG), streamed(event("a"), event("", finish="stop"), DONE))
    assert ((await larger.call(stream=True)).status, larger.tried) == (200, ["one", "two"])


@pytest.mark.parametrize("kind", [SSE, JSON], ids=["said to be a stream", "as JSON"])
@pytest.mark.parametrize("cuts", [(), (1,), (4, 11, 30), (40, 60)], ids=["whole", "brace", "many", "late"])
async def test_an_error_in_place_of_a_stream(kind: dict[str, str], cuts: tuple[int, ...]) -> None:
    """However many pieces it comes in, what it tells counts as in an event."""
    too_long = b'{"error": {"code": "context_length_exceeded", "message": "too long"}}\n'
    forbidden = b'{ "object": "error", "message": "no", "type": "x", "param": null, "code": 403 }'
    told = [
        FakeReply(200, kind, *(body[begin:end] for begin, end in pairwise((0, *cuts, len(body)))))
        for body in (too_long, forbidden)
    ]
    rig = Rig(told[0], targets=(ONE,))
    assert ((await rig.call(stream=True)).status, rig.watch.heard) == (400, [("one", "none", 502)])
    rig = Rig(told[1], targets=(ONE,))
    client = await rig.call(stream=True)
    assert (client.status, client.header("x-should-retry")) == (502, "false")
    assert '"object": "error"' in rig.trace.attempts[0].excerpt


async def test_an_answer_that_is_said_to_be_a_stream_is_no_error() -> None:
    """It is told as the cut stream that it is; what it says stays out of the span."""
    whole = b'{"id": "chat-1", "object": "chat.completion", "message": "hello"}'
    rig = Rig(*[FakeReply(200, SSE, whole) for _ in range(4)], targets=(ONE,))
    client = await rig.call(stream=True)
    attempt = rig.trace.attempts[0]
    assert (client.status, attempt.excerpt) == (502, "")
    assert attempt.error_message == "The provider's stream ended before it was complete."


async def test_an_error_in_place_of_a_stream_that_breaks_off() -> None:
    """What has come of it is on the span."""
    cut = [FakeReply(200, JSON, b'{"error": {"code"', UpstreamUnreachable("gone")) for _ in range(4)]
    rig = Rig(*cut, targets=(ONE,))
    assert (await rig.call(stream=True)).status == 502
    assert rig.trace.attempts[0].excerpt == 'application/json: {"error": {"code"'


@pytest.mark.parametrize(
    ("code", "wish"),
    [(400, "false"), (404, "false"), (429, None), (503, None), ("unheard_of", None)],
)
async def test_the_same_call_is_not_sent_again_for_nothing(code: int | str, wish: str | None) -> None:
    """A stream that begins with what would come again is no answer, and SDKs are told not to try again."""
    script = [streamed(event_of({"code": code}))] * 4
    client = await Rig(*script, targets=(ONE,)).call(stream=True)
    assert (client.status, client.header("x-should-retry")) == (502, wish)
    assert error_of(client)["code"] == "upstream_bad_reply"


async def test_retry_after_is_waited_for_where_nobody_else_can_be_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A short wish is obeyed within the call, a long one is passed on to the caller."""
    waited: list[float] = []

    async def sleep(wait_s: float) -> None:
        waited.append(wait_s)

    real = asyncio.sleep
    monkeypatch.setattr("gateway.failover.asyncio.sleep", lambda wait_s: sleep(wait_s) if wait_s else real(0))
    rig = Rig(refusal(429, retry_after="2"), answer("a"), targets=(ONE,))
    assert (await rig.call()).status == 200
    assert waited == [2.01]
    rig = Rig(refusal(429, retry_after="6"), targets=(ONE,))
    client = await rig.call()
    assert (client.status, client.header("retry-after"), waited) == (429, "6", [2.01])


async def test_budget_ends_retries() -> None:
    """Where the budget is spent a call is not tried again at the same target."""
    bounds = RetryBounds(budget_ratio=0.0, budget_min_per_s=0.0)
    poor = dataclasses.replace(ONE, retry=dataclasses.replace(RETRY, bounds=bounds))
    rig = Rig(refusal(500), refusal(500), answer("a"), targets=(poor, TWO))
    await rig.call()
    assert rig.tried == ["one", "one", "two"]


async def test_callers_wish_of_retries() -> None:
    """`x-tfy-retry-config` stands in for every target's own policy."""
    wish = ("x-tfy-retry-config", '{"attempts":1,"onStatusCodes":[418]}')
    rig = Rig(refusal(418), refusal(418), targets=(ONE, TWO))
    client = await rig.call(wish)
    assert (client.status, rig.tried) == (418, ["one", "one"])
    rig = Rig(refusal(500), answer("a"))
    await rig.call(wish)
    assert rig.tried == ["one", "two"]


async def test_one_call_makes_a_bounded_number_of_attempts() -> None:
    """However many targets a name has, a call of it ends."""
    once = dataclasses.replace(ONE, retry=RetryPolicy())
    many = [dataclasses.replace(once, name=f"a{number}/m", account=f"a{number}") for number in range(100)]
    rig = Rig(*map(refusal, [500] * 100), targets=many)
    client = await rig.call()
    assert (client.status, len(rig.tried)) == (500, MOST_ATTEMPTS)


async def test_target_that_may_not_be_asked_is_passed_over() -> None:
    """A circuit that opened after the plan was made skips the target; the trace says so."""
    rig = Rig(answer("a"), watch=Watch(one="circuit"))
    await rig.call()
    assert rig.tried == ["two"]
    assert [(skip.target, skip.reason) for skip in rig.trace.skips] == [("one/m", "circuit")]


async def test_no_target_may_be_asked() -> None:
    """Where none is left there is a 503 that says when to come back."""
    rig = Rig(watch=Watch(one="circuit", two="cool_down"))
    client = await rig.call()
    assert (client.status, error_of(client)["code"]) == (503, "no_target_available")
    assert client.header("retry-after") == "1"
    assert "one/m (circuit), two/m (cool_down)." in error_of(client)["message"]


async def test_nobody_may_be_asked_for_long() -> None:
    """The wait is that of the circuit that closes first; targets that were drained say none."""
    watch = Watch(one="circuit", two="cool_down")
    watch.waits_s = {"one/m": 9.2, "two/m": 4.1}
    assert (await Rig(watch=watch).call()).header("retry-after") == "5"
    drained = await Rig(watch=Watch(one="drained", two="drained")).call()
    assert (drained.status, drained.header("retry-after")) == (503, None)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ((("retry-after", "60"), ("x-should-retry", "false")), (("retry-after", "5"),)),
        ((("x-should-retry", "false"),), (("retry-after", "5"),)),
        ((("retry-after", "3"), ("x-a", "b")), (("retry-after", "3"), ("x-a", "b"))),
        ((("x-a", "b"), ("retry-after", "60")), (("x-a", "b"), ("retry-after", "5"))),
    ],
)
def test_a_limit_and_a_circuit(
    headers: tuple[tuple[str, str], ...], expected: tuple[tuple[str, str], ...]
) -> None:
    """A target with room whose circuit closes sooner than the limit resets is worth another try then."""
    assert _sooner(headers, 5) == expected


@pytest.mark.parametrize("route", [ROUTE, None], ids=["routed", "by name"])
@pytest.mark.parametrize("script", [refusal(400), refusal(429, retry_after="1")], ids=["mistake", "pause"])
async def test_whose_end_may_be_that_of_a_probe(script: Any, route: RouteFacts | None) -> None:
    """That of a call which asked for leave: one that names its model did not."""
    rig = Rig(script, targets=(ONE,), route=route)
    await rig.call()
    assert [(one.verdict, one.had_leave) for one in rig.watch.outcomes] == [("none", route is not None)]


async def test_model_that_is_named_itself_is_always_asked() -> None:
    """Who names a model gets it, whatever is known of its health."""
    rig = Rig(answer("a"), targets=(ONE,), route=None, watch=Watch(one="circuit"))
    assert (await rig.call()).status == 200


async def test_stream_falls_over_until_there_is_content() -> None:
    """Roles, comments, an error event, an empty stream: the next target answers, alone."""
    good = (event("a"), event("", finish="stop"), DONE)
    for first in (
        streamed(ROLE, ERROR),
        streamed(ROLE),
        streamed(b": wait\n\n"),
        FakeReply(200, JSON, b"<html>"),
    ):
        rig = Rig(first, streamed(*good), targets=(dataclasses.replace(ONE, retry=RetryPolicy()), TWO))
        client = await rig.call(stream=True)
        assert (client.status, client.received) == (200, b"".join(good))
        assert rig.tried == ["one", "two"]
        assert client.header("x-tfy-resolved-model") == "two/m"


async def test_stream_that_breaks_after_content_is_not_tried_again() -> None:
    """From the first content on there is one answer, and its end is an error event and no [DONE]."""
    rig = Rig(streamed(event("a"), UpstreamUnreachable("gone")), streamed(event("b"), DONE))
    client = await rig.call(stream=True)
    assert rig.tried == ["one"]
    assert client.received.startswith(event("a"))
    assert b"upstream_unreachable" in client.received
    assert b"[DONE]" not in client.received
    assert rig.watch.heard == [("one", "sick", 502)]


async def test_first_token_of_the_caller() -> None:
    """`x-tfy-ttft-timeout-ms` leads to the next target, and at the end to a 408 that is not repeated."""
    never = asyncio.Event()
    wish = ("x-tfy-ttft-timeout-ms", "10")
    rig = Rig(never, streamed(event("a"), event("", finish="stop"), DONE))
    client = await rig.call(wish, stream=True)
    assert (client.status, rig.tried) == (200, ["one", "two"])
    rig = Rig(never, targets=(ONE,))
    client = await rig.call(wish, stream=True)
    assert (client.status, error_of(client)["code"]) == (408, "first_token_timeout")
    assert client.header("x-should-retry") == "false"
    assert rig.watch.heard == [("one", "none", 408)]


GOOD: Final = (event("a"), event("", finish="stop"), DONE)


async def test_hedge_answers_when_the_first_is_silent() -> None:
    """The second target answers; the first is given up, has read the call, and says nothing of its health."""
    rig = Rig(asyncio.Event(), streamed(*GOOD), hedge_after_s=0.01)
    client = await rig.call(stream=True)
    assert (client.status, client.received) == (200, b"".join(GOOD))
    assert client.header("x-tfy-resolved-model") == "two/m"
    first, second = rig.trace.attempts
    assert (first.error_type, second.error_type) == ("hedge_lost", "")
    assert first.usage is not None
    assert first.usage.source == "partial"
    assert rig.watch.heard == [("one", "none", 0), ("two", "good", 200)]


async def test_hedge_that_was_not_needed_is_given_up() -> None:
    """The first target that has content is the answer, also when the second was asked beside it."""
    first, second = asyncio.Event(), asyncio.Event()
    rig = Rig(first, second, streamed(*GOOD), hedge_after_s=0.01)

    async def let_the_first_go_on() -> None:
        await until_async(lambda: len(rig.upstream.requests) == 2, "both are asked")
        first.set()

    client, _ = await asyncio.gather(rig.call(stream=True), let_the_first_go_on())
    assert (client.status, client.header("x-tfy-resolved-model")) == (200, "one/m")
    assert [attempt.error_type for attempt in rig.trace.attempts] == ["", "hedge_lost"]


async def test_no_hedge_for_a_quick_target() -> None:
    """Who has content in time is asked alone; who fails in time is asked again and followed as without it."""
    rig = Rig(streamed(*GOOD), hedge_after_s=60.0)
    await rig.call(stream=True)
    assert rig.tried == ["one"]
    rig = Rig(refusal(503), streamed(*GOOD), hedge_after_s=60.0)
    client = await rig.call(stream=True)
    assert (client.status, rig.tried) == (200, ["one", "one"])
    rig = Rig(refusal(404), streamed(*GOOD), hedge_after_s=60.0)
    client = await rig.call(stream=True)
    assert (client.status, rig.tried) == (200, ["one", "two"])


async def test_both_of_a_race_fail() -> None:
    """Then the next target is asked, and the caller gets one answer."""
    slow = dataclasses.replace(ONE, limits=TimeLimits(first_token_s=0.05))
    rig = Rig(asyncio.Event(), refusal(503), streamed(*GOOD), targets=(slow, TWO, THREE), hedge_after_s=0.01)
    client = await rig.call(stream=True)
    assert (client.status, rig.tried) == (200, ["one", "two", "three"])


async def test_failure_of_a_race_is_told_of_its_own_target() -> None:
    """The first target was slower, so the caller gets its failure, not that of the second."""
    first = asyncio.Event()
    rig = Rig(first, refusal(500), refusal(502), hedge_after_s=0.01)

    async def let_the_first_fail() -> None:
        await until_async(lambda: len(rig.watch.heard) == 1, "the second has failed")
        first.set()

    client, _ = await asyncio.gather(rig.call(stream=True), let_the_first_fail())
    assert rig.tried == ["one", "two"]
    assert (client.status, client.header("x-tfy-resolved-model")) == (502, "one/m")


async def test_hedges_are_paid_from_the_budget() -> None:
    """When the first target's is spent its calls are not doubled: it is waited for."""
    first, again = asyncio.Event(), asyncio.Event()
    frugal = dataclasses.replace(ONE, retry=RetryPolicy(bounds=RetryBounds(0.0, 0.0)))
    script = (first, streamed(*GOOD), again, streamed(*GOOD))
    rig = Rig(*script, targets=(frugal, TWO), hedge_after_s=0.01)
    await rig.call(stream=True)
    asyncio.get_running_loop().call_later(0.05, again.set)
    await rig.call(stream=True)
    tried = [[attempt.target.account for attempt in trace.attempts] for trace in rig.records]
    assert tried == [["one", "two"], ["one"]]


async def test_only_a_limit_or_a_failure_asks_for_patience() -> None:
    """`Retry-After` beside a mistake of the caller's keeps nobody else from the target."""
    for status, pause_s in ((429, 7.0), (503, 7.0), (400, 0.0)):
        rig = Rig(refusal(status, retry_after="7"), targets=(dataclasses.replace(ONE, retry=RetryPolicy()),))
        await rig.call()
        assert [outcome.cool_down_s for outcome in rig.watch.outcomes] == [pause_s]


@pytest.mark.parametrize("name", ["openai-organization", "openai-project"])
@pytest.mark.parametrize("status", [401, 403])
async def test_whose_name_is_refused(name: str, status: int) -> None:
    """A caller that says a wrong organisation opens no circuit by it, though another target is asked."""
    rig = Rig(refusal(status), answer("a"))
    assert (await rig.call((name, "bogus"))).status == 200
    assert [verdict for _, verdict, _ in rig.watch.heard] == ["none", "good"]
    rig = Rig(refusal(status), answer("a"))
    assert (await rig.call(("x-client-request-id", "7"))).status == 200
    assert [verdict for _, verdict, _ in rig.watch.heard] == ["sick", "good"]


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize(("url", "verdict"), [("gs://bucket/of-others.png", "none"), (None, "sick")])
async def test_whose_file_is_refused(url: str | None, verdict: str, *, is_stream: bool) -> None:
    """Google says 403 of a file that there is not, or not for us; of our key only where none was named."""
    target = dataclasses.replace(ONE, dialect="gemini")
    body = b'{"error":{"code":403,"message":"no","status":"PERMISSION_DENIED"}}'
    rig = Rig(FakeReply(403, JSON, body), targets=(target,))
    content: Any = "hi"
    if url is not None:
        content = [{"type": "image_url", "image_url": {"url": url}}]
    client = await rig.call(messages=[{"role": "user", "content": content}], stream=is_stream)
    assert client.status == 403
    assert rig.watch.heard == [("one", verdict, 403)]


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize(
    ("body", "verdict"),
    [
        pytest.param(
            {
                "code": "permission-denied",
                "error": "Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_BIO",
            },
            "none",
            id="xAI",
        ),
        pytest.param(
            {"error": {"code": 403, "metadata": {"reasons": ["violence"], "flagged_input": "how to"}}},
            "none",
            id="OpenRouter",
        ),
        pytest.param(
            {"code": "permission-denied", "error": "Access to the chat endpoint is denied"},
            "sick",
            id="a key",
        ),
    ],
)
async def test_what_is_flagged(body: dict[str, Any], verdict: str, *, is_stream: bool) -> None:
    """A 403 for what somebody asked says nothing of the account's key; other callers are served on."""
    rig = Rig(FakeReply(403, JSON, json.dumps(body).encode()), targets=(ONE,))
    client = await rig.call(stream=is_stream)
    assert (client.status, rig.watch.heard) == (403, [("one", verdict, 403)])


@pytest.mark.parametrize("form", ["whole", "stream"])
@pytest.mark.parametrize(
    ("metadata", "verdict"),
    [({"raw": "Content violates usage guidelines."}, "none"), ({"raw": "Forbidden"}, "sick")],
)
async def test_what_is_flagged_within_a_200(metadata: dict[str, str], verdict: str, form: str) -> None:
    """OpenRouter says so what the provider that it had asked has refused."""
    rig = Rig(error_in_200(403, form, metadata=metadata), targets=(ONE,))
    client = await rig.call(stream=form == "stream")
    assert (client.status, rig.watch.heard) == (502, [("one", verdict, 502)])


async def test_status_that_callers_do_not_know() -> None:
    """What an operator wrote of Anthropic's 529 holds for callers of chat too, who are told 503."""
    overloaded = b'{"type":"error","error":{"type":"overloaded_error","message":"no"}}'
    rules: dict[str, Any] = {
        "retry": RetryPolicy(1, 0, frozenset({529})),
        "fallback": FallbackPolicy(frozenset({529})),
    }
    claude = dataclasses.replace(ONE, dialect="anthropic", **rules)
    script = [FakeReply(529, JSON, overloaded) for _ in range(2)]
    rig = Rig(*script, answer("a"), targets=(claude, TWO))
    assert (await rig.call()).status == 200
    assert rig.tried == ["one", "one", "two"]
    rig = Rig(*[FakeReply(529, JSON, overloaded) for _ in range(2)], targets=(claude,))
    assert (await rig.call()).status == 503


@pytest.mark.parametrize("is_stream", [False, True])
async def test_an_account_without_money_at_anthropic(*, is_stream: bool) -> None:
    """It says 400 as of a call's mistakes: another account may answer, else the caller gets its words."""
    words = "Your credit balance is too low to access the Anthropic API."
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": words}}
    poor = [FakeReply(400, JSON, json.dumps(error).encode()) for _ in range(2)]
    claude = dataclasses.replace(ONE, dialect="anthropic", fallback=FallbackPolicy(frozenset({402})))
    good = streamed(event("a"), event("", finish="stop"), DONE) if is_stream else answer("a")
    rig = Rig(poor[0], good, targets=(claude, TWO))
    assert (await rig.call(stream=is_stream)).status == 200
    assert rig.tried == ["one", "two"]
    rig = Rig(poor[1], targets=(claude,))
    client = await rig.call(stream=is_stream)
    assert (client.status, error_of(client)["message"]) == (400, words)


@pytest.mark.parametrize(
    ("previous", "status", "target"),
    [("resp_mine", 200, "two/m"), ("resp_other", 503, None), (None, 503, None)],
)
async def test_goes_on_where_it_is_though_nobody_is_left_for_its_tier(
    previous: str | None, status: int, target: str | None
) -> None:
    """A simple word in a hard conversation, while the target for simple ones is not well."""
    alone = FallbackPolicy(is_candidate=False)
    easy, hard = dataclasses.replace(ONE, fallback=alone), dataclasses.replace(TWO, fallback=alone)
    health = FakeHealth()
    health.reasons["one/m"] = "circuit"
    candidates = Candidate(easy, tier="simple"), Candidate(hard, tier="complex")
    routing = Routing((ONE, TWO), {"vm/chat": Route("vm/chat", candidates, Complexity(), health)})
    caller = make_caller("vm/chat")
    stored = StoredObjects(table_in_memory(buckets=4))
    stored.made("resp_mine", TWO, caller)
    body = {"id": "resp_2", "object": "response", "status": "completed", "output": []}
    upstream = FakeUpstream(FakeReply(200, JSON, json.dumps(body).encode()))
    records: list[CallTrace] = []
    identity = Identity([make_credential(TOKEN, caller)])
    snapshot = Snapshot("v1", 1, identity, routing, accounts=Accounts((ONE, TWO)))
    pipeline = Pipeline(
        CurrentSnapshot(snapshot),
        upstream,
        records.append,
        max_body_bytes=1000,
        random=Random(7),
        stored=stored,
    )
    asked = {"model": "vm/chat", "input": "thanks"} | ({"previous_response_id": previous} if previous else {})
    client = FakeClient(BEARER, body=json.dumps(asked).encode())
    await pipeline.call_model(client, RESPONSE)
    assert (client.status, client.header("x-tfy-resolved-model")) == (status, target)
    (trace,) = records
    assert trace.plan is not None
    assert "circuit" in {one.reason for one in trace.plan.skipped} or target is not None


PAGE: Final = {"content-type": "text/html"}


def page(status: int, **headers: str) -> FakeReply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return FakeReply(status, PAGE | named, b"<html>no</html>")


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize(
    ("status", "verdict"),
    [(413, "none"), (400, "none"), (404, "none"), (429, "none"), (401, "sick"), (403, "sick"), (503, "sick")],
)
async def test_whose_fault_a_page_is(status: int, verdict: str, *, is_stream: bool) -> None:
    """What a balancer in front says without JSON counts by its status: no caller opens a circuit by it."""
    rig = Rig(page(status), targets=(dataclasses.replace(ONE, retry=RetryPolicy()),))
    client = await rig.call(stream=is_stream)
    assert (client.status, error_of(client)["code"]) == (502, "upstream_bad_reply")
    assert rig.watch.heard == [("one", verdict, 502)]


@pytest.mark.parametrize(
    ("took_ms", "verdict"), [(300.4, "none"), (299.4, "none"), (298.5, "none"), (200.0, "sick")]
)
def test_a_timer_that_rings_early(took_ms: float, verdict: str) -> None:
    """A caller's own limit stays one: timers count whole milliseconds, by another clock than attempts."""
    attempt = AttemptTrace(ONE, 1, b"", 0, end_ns=int(took_ms * 1_000_000))
    outcome = outcome_of(attempt, UpstreamTimeout("slow"), CallLimits(whole_s=0.3, first_token_s=None))
    assert outcome.verdict == verdict


@pytest.mark.parametrize("is_within", [False, True])
def test_a_caller_that_reads_slowly_says_nothing_of_the_target(*, is_within: bool) -> None:
    """Whatever was cut off by it: a stream of events, or bytes that were passed on."""
    late = UpstreamTimeout("too late")
    late.waited_for_caller = True
    attempt = AttemptTrace(ONE, 1, b"", 0, end_ns=1)
    note_failure(attempt, late)
    assert outcome_of(attempt, None if is_within else late, NO_LIMITS).verdict == "none"


def error_in_200(code: int | str, form: str, **more: object) -> FakeReply:
    body = json.dumps({"error": {"message": "no", "code": code, **more}}).encode()
    return FakeReply(200, JSON, body) if form == "whole" else streamed(ROLE, b"data: " + body + b"\n\n")


@pytest.mark.parametrize("form", ["whole", "stream", "whole in place of a stream"])
@pytest.mark.parametrize(
    ("code", "verdict", "tries"),
    [
        (400, "none", 1),
        (429, "none", 2),
        (402, "none", 1),
        (401, "sick", 1),
        (503, "sick", 2),
        ("x", "sick", 2),
    ],
)
async def test_whose_fault_an_error_in_a_200_is(code: int | str, verdict: str, tries: int, form: str) -> None:
    """SGLang and others say so that a prompt is too long: a caller's mistakes open no circuit."""
    kind = "stream" if form == "stream" else "whole"
    script = [error_in_200(code, kind) for _ in range(2)]
    once = dataclasses.replace(ONE, retry=RetryPolicy(1, 0, frozenset({429, 500, 502, 503})))
    rig = Rig(*script, targets=(once,))
    client = await rig.call(stream=form != "whole")
    assert (client.status, error_of(client)["code"]) == (502, "upstream_bad_reply")
    assert rig.watch.heard == [("one", verdict, 502)] * tries


@pytest.mark.parametrize(
    ("status", "tried"),
    [(413, ["one", "two"]), (404, ["one", "two"]), (429, ["one", "one"]), (503, ["one", "one"])],
)
async def test_page_is_tried_again_by_its_status(status: int, tried: list[str]) -> None:
    """A body that is too long for a balancer is not sent to it again; another may take it."""
    rig = Rig(page(status), answer("a"))
    assert (await rig.call()).status == 200
    assert rig.tried == tried


async def test_rules_may_name_the_status_of_a_page() -> None:
    """As they do where it is an error that can be read."""
    named = dataclasses.replace(
        ONE, retry=RetryPolicy(1, 0, frozenset({404})), fallback=FallbackPolicy(frozenset({404}))
    )
    rig = Rig(page(404), page(404), answer("a"), targets=(named, TWO))
    assert (await rig.call()).status == 200
    assert rig.tried == ["one", "one", "two"]


@pytest.mark.parametrize("status", [429, 503])
async def test_page_that_asks_for_patience(status: int) -> None:
    """Its `Retry-After` is obeyed as that of an error: another is asked, or the caller is told."""
    rig = Rig(page(status, retry_after="7"), answer("a"))
    assert (await rig.call()).status == 200
    assert rig.tried == ["one", "two"]
    assert rig.watch.outcomes[0].cool_down_s == 7.0
    rig = Rig(page(status, retry_after="7"), targets=(ONE,))
    client = await rig.call()
    assert (client.status, client.header("retry-after"), rig.tried) == (502, "7", ["one"])


@pytest.mark.parametrize("hedge_after_s", [None, 0.01])
async def test_target_that_cannot_do_it_hides_no_failure(hedge_after_s: float | None) -> None:
    """The caller hears why who could was no help, and of whom: its call is right, and worth sending again."""
    other = dataclasses.replace(TWO, dialect="anthropic", unsupported="reject")
    once = dataclasses.replace(ONE, retry=RetryPolicy())
    rig = Rig(refusal(503), targets=(once, other), hedge_after_s=hedge_after_s)
    client = await rig.call(seed=1, stream=True)
    assert (client.status, client.header("x-tfy-resolved-model")) == (503, "one/m")
    assert [attempt.error_type for attempt in rig.trace.attempts] == ["503", "unsupported_parameter"]
    rig = Rig(refusal(503), answer("a"), targets=(once, other, THREE))
    client = await rig.call(seed=1)
    assert (client.status, client.header("x-tfy-resolved-model")) == (200, "three/m")
    rig = Rig(refusal(503), targets=(other, once))
    assert (await rig.call(seed=1)).status == 503
    rig = Rig(targets=(other,))
    assert (await rig.call(seed=1)).status == 400


@pytest.mark.parametrize("is_stream", [False, True])
async def test_what_a_route_has_kept_is_remembered(*, is_stream: bool) -> None:
    """A target whose route has replies stored, or not, decides what is remembered as that, not the call."""
    for route, caller, is_found in (("true", False, True), ("false", True, False)):
        target = dataclasses.replace(ONE, parameters={"store": route.encode()})
        stored = StoredObjects(table_in_memory(buckets=4))
        reply = streamed(event("a", finish="stop"), DONE) if is_stream else answer("a")
        rig = Rig(reply, targets=(target,), stored=stored)
        assert (await rig.call(stream=is_stream, store=caller)).status == 200
        assert (stored.find(("chat-a",)) is not None) is is_found


async def test_what_each_of_a_race_left_out_is_its_own() -> None:
    """The caller is told of the fields that the target which answers did not get."""
    first, second = asyncio.Event(), asyncio.Event()
    other = dataclasses.replace(TWO, dialect="anthropic")
    rig = Rig(first, second, streamed(*GOOD), targets=(ONE, other), hedge_after_s=0.01)

    async def let_the_first_go_on() -> None:
        await until_async(lambda: len(rig.upstream.requests) == 2, "both are asked")
        first.set()

    client, _ = await asyncio.gather(rig.call(stream=True, seed=1), let_the_first_go_on())
    assert client.header("x-tfy-resolved-model") == "one/m"
    assert client.header("x-tfy-dropped-params") is None


async def test_caller_that_leaves_ends_a_race() -> None:
    """Both attempts end with the call, and neither is held against its target."""
    rig = Rig(asyncio.Event(), asyncio.Event(), hedge_after_s=0.01)
    client = FakeClient(BEARER, body=make_body("vm/chat", stream=True))
    call = asyncio.ensure_future(rig.pipeline.call_model(client, CHAT))
    await until_async(lambda: len(rig.upstream.requests) == 2, "both are asked")
    call.cancel()
    await asyncio.wait([call])
    assert {verdict for _, verdict, _ in rig.watch.heard} == {"none"}
    # By this a probe of the target is told from an attempt that had begun before it.
    assert all(outcome.took_ms > 0 for outcome in rig.watch.outcomes)
    assert rig.pipeline.open_count == 0


async def test_first_token_of_the_target() -> None:
    """The target's own limit is a silence of the provider, and counts against it."""
    slow = dataclasses.replace(ONE, limits=TimeLimits(first_token_s=0.01), retry=RetryPolicy())
    rig = Rig(asyncio.Event(), targets=(slow,))
    client = await rig.call(stream=True)
    assert (client.status, error_of(client)["code"]) == (504, "upstream_timeout")
    assert rig.watch.heard == [("one", "sick", 504)]


async def test_times_of_a_good_stream() -> None:
    """What latency routing needs: the first content, and the time for each token after it."""
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":11}}\n\n'
    pieces = (event("a"), lambda: time.sleep(0.01), event("", finish="stop"), usage, DONE)
    rig = Rig(streamed(*pieces))
    await rig.call(stream=True)
    (outcome,) = rig.watch.outcomes
    assert outcome.verdict == "good"
    assert outcome.first_token_ms is not None
    assert outcome.per_output_token_ms is not None
    assert outcome.first_token_ms < outcome.took_ms
    assert outcome.per_output_token_ms >= 1.0


async def test_keep_alive_before_content() -> None:
    """Where it is wanted, a silent model's caller gets the head and pings; a failure is then an event."""
    settings = KeepAlive(0.005, is_before_content=True)
    pinged = asyncio.Event()
    once = dataclasses.replace(ONE, retry=RetryPolicy())
    rig = Rig(pinged, UpstreamTimeout("silent"), targets=(once,), keep_alive=settings)
    client = FakeClient(BEARER, body=make_body("vm/chat", stream=True))
    client.on_write = pinged.set
    await rig.pipeline.call_model(client, CHAT)
    assert client.status == 200
    assert client.header("x-tfy-resolved-model") is None
    assert client.received.startswith(b": keep-alive\n\n")
    assert b"upstream_timeout" in client.received
    assert b"[DONE]" not in client.received


async def test_no_keep_alive_before_content_unless_it_is_wanted() -> None:
    """By itself nothing goes out while a real status may still be needed."""
    slow = dataclasses.replace(ONE, limits=TimeLimits(first_token_s=0.05), retry=RetryPolicy())
    rig = Rig(asyncio.Event(), targets=(slow,), keep_alive=KeepAlive(0.005, is_before_content=False))
    client = await rig.call(stream=True)
    assert client.status == 504


@pytest.mark.parametrize("status", [429, 500, 503])
def test_falls_back_by_status(status: int) -> None:
    """The target's own list decides."""
    only = make_target("a/m", fallback=FallbackPolicy(frozenset({429})))
    assert falls_back(only, Answer(status, [], b"{}")) is (status == 429)


@pytest.mark.parametrize(
    ("status", "falls"), [(520, True), (530, True), (599, True), (501, False), (529, False)]
)
def test_a_status_that_http_does_not_know_counts_as_500(status: int, *, falls: bool) -> None:
    """What a proxy such as Cloudflare says of its own; who wrote 500 did not mean 501, which is known."""
    only = make_target("a/m", fallback=FallbackPolicy(frozenset({500})))
    assert falls_back(only, Answer(status, [], b"{}")) is falls
    page = UpstreamBadReply("a page")
    page.own_status = status
    assert falls_back(only, page) is falls


STEPS: Final = st.sampled_from(["good", "500", "401", "429", "400", "gone", "slow", "cut", "error", "html"])


def reply_for(step: str, number: int) -> FakeReply | GatewayError:
    """What the provider does; each good one says its number."""
    named: dict[str, FakeReply | GatewayError] = {
        "good": streamed(ROLE, event(f"n{number}"), event("", finish="stop"), DONE),
        "gone": UpstreamUnreachable("gone"),
        "slow": UpstreamTimeout("slow"),
        "cut": streamed(ROLE),
        "error": streamed(ERROR),
        "html": FakeReply(200, {"content-type": "text/html"}, b"<html>"),
    }
    return named.get(step) or refusal(int(step))


@given(steps=st.lists(STEPS, min_size=9, max_size=9))
def test_no_schedule_of_failures_yields_two_answers_or_none(steps: list[str]) -> None:
    """Whatever the providers do, the caller gets one whole answer of one of them, or one error."""

    async def run() -> None:
        rig = Rig(*(reply_for(step, number) for number, step in enumerate(steps)), targets=(ONE, TWO, THREE))
        client = await rig.call(stream=True)
        assert client.is_ended
        if client.status == 200:
            assert client.received.count(b"[DONE]") == 1
            number = len(rig.upstream.requests) - 1
            assert steps[number] == "good"
            assert client.received.count(b"chat-n") == 1
            assert f"chat-n{number}".encode() in client.received
        else:
            assert error_of(client)
            assert "good" not in steps[: len(rig.upstream.requests)]
        assert len(rig.upstream.requests) <= 9

    asyncio.run(run())
