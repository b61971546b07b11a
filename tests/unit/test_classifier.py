"""Asking a model how hard a call is: it decides the plan, is metered, and never makes the call fail."""

from __future__ import annotations

import asyncio
import json
from random import Random
from typing import Any, Final

import pytest

from gateway.classifier import MAX_TIMEOUTS, REST_S, Classifier
from gateway.endpoints.catalogue import CHAT
from gateway.errors import GatewayError, NoTargetAvailable, UpstreamTimeout, UpstreamUnreachable
from gateway.identity.tokens import Identity
from gateway.model import Classification, Outcome, Plan, RouteFacts, SkipReason, Target, Tier, Usage
from gateway.pipeline import CurrentSnapshot, Pipeline
from gateway.routing.complexity import Complexity, Judge
from gateway.routing.direct import Routing
from gateway.routing.route import Candidate, Route
from gateway.snapshot import Snapshot
from gateway.telemetry.call_trace import AttemptTrace, CallTrace
from tests.rig.until import until_async
from tests.unit.doubles import FakeClient, FakeHealth, FakeReply, FakeUpstream
from tests.unit.makers import KEY, TOKEN, TokenPrice, make_body, make_caller, make_credential, make_target
from tests.unit.telemetry.traces import make_planned_trace

BEARER: Final = ("authorization", f"Bearer {TOKEN}")
JSON: Final = {"content-type": "application/json"}
JUDGE: Final = make_target("acct/judge", model_id="judge-1", price=TokenPrice())
SMALL: Final = make_target("acct/small")
BIG: Final = make_target("acct/big", model_id="big-1")
ROUTE: Final = RouteFacts("vm/auto", "complexity-based-routing", "simple", cause="heuristic")
FALLBACK: Final = Plan((SMALL,), ("acct/small", "acct/big"), route=ROUTE)
QUESTION: Final = "Is it hard?"


def says(text: Any, **usage: int) -> FakeReply:
    """A model's answer."""
    choices = [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]
    counted = usage or {"prompt_tokens": 100, "completion_tokens": 1}
    body = {"id": "j-1", "model": "judge-1-0125", "choices": choices, "usage": counted}
    return FakeReply(200, JSON, json.dumps(body).encode())


class Watch:
    """An `AttemptObserver` that keeps what it hears."""

    def __init__(self, held: SkipReason | None = None) -> None:
        self.held: SkipReason | None = held
        self.heard: list[tuple[str, Outcome]] = []

    def admit(self, _: Target) -> SkipReason | None:
        """As told."""
        return self.held

    def wait_s(self, _: str) -> float:
        """Nobody knows."""
        return 0.0

    def went_well(self, _: Target) -> bool:
        """All of it is wanted."""
        return True

    def ended(self, target: Target, outcome: Outcome) -> None:
        """Keep it."""
        self.heard.append((target.name, outcome))


class Rig:
    """A classifier between doubles."""

    def __init__(
        self, *script: FakeReply | GatewayError | Exception | asyncio.Event, held: SkipReason | None = None
    ) -> None:
        self.upstream = FakeUpstream(*script)
        self.watch = Watch(held)
        self.now_s = 1000.0
        self.classifier = Classifier(self.upstream, health=self.watch, now_s=lambda: self.now_s)
        self.trace = make_planned_trace()

    async def decide(self, *, timeout_s: float = 5.0, target: Target = JUDGE) -> Plan:
        """The plan of a call, for which the model may also say `complex`, and `medium` has no target."""
        plans: dict[Tier, Plan] = {
            "simple": plan_of(SMALL, "simple"),
            "complex": plan_of(BIG, "complex"),
        }
        asked = Classification(target, timeout_s, QUESTION, plans)
        self.trace = make_planned_trace()
        plan = Plan(FALLBACK.targets, FALLBACK.candidates, route=ROUTE, classification=asked)
        return await self.classifier.decide(self.trace, plan)

    @property
    def asked(self) -> AttemptTrace:
        """The notes of asking."""
        assert self.trace.judgement is not None
        return self.trace.judgement

    @property
    def verdicts(self) -> list[tuple[str, int]]:
        """What health heard."""
        assert {name for name, _ in self.watch.heard} <= {"acct/judge"}
        return [(outcome.verdict, outcome.status) for _, outcome in self.watch.heard]


def plan_of(target: Target, tier: Tier) -> Plan:
    """What follows when the model says so."""
    route = RouteFacts("vm/auto", "complexity-based-routing", tier, cause="classifier")
    return Plan((target,), FALLBACK.candidates, route=route)


def decided(plan: Plan) -> tuple[str, str]:
    """Who is asked first, and why."""
    assert plan.route is not None
    return plan.targets[0].name, plan.route.cause


async def test_what_it_says_decides() -> None:
    """The plan for that tier holds, and what was asked is noted with its tokens and its cost."""
    rig = Rig(says("complex"))
    assert decided(await rig.decide()) == ("acct/big", "classifier")
    asked = rig.asked
    assert (asked.target, asked.number, asked.tier, asked.status_code) == (JUDGE, 0, "complex", 200)
    assert (asked.usage, asked.cost_usd) == (Usage(100, 1, "provider"), 102e-6)
    assert (asked.response_model, asked.error_type) == ("judge-1-0125", "")
    assert asked.end_ns >= asked.start_ns
    assert rig.trace.attempts == []
    assert rig.verdicts == [("good", 200)]


async def test_what_it_is_asked() -> None:
    """The question stands apart from what is asked about it; the key is the account's."""
    rig = Rig(says("simple"))
    await rig.decide()
    (request,) = rig.upstream.requests
    body = json.loads(request.body)
    assert request.url == "https://api.test/v1/chat/completions"
    assert KEY.encode() in request.lines
    assert request.headers == []
    assert body["model"] == "judge-1"
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert body["messages"][1]["content"] == f"<request>\n{QUESTION}\n</request>"
    assert body.keys() == {"model", "messages", "max_completion_tokens"}


async def test_a_model_of_another_dialect() -> None:
    """It is asked in its own words."""
    reply = {
        "id": "m-1",
        "type": "message",
        "role": "assistant",
        "model": "claude-3-5-haiku",
        "content": [{"type": "text", "text": "complex"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 90, "output_tokens": 2},
    }
    rig = Rig(FakeReply(200, JSON, json.dumps(reply).encode()))
    claude = make_target("acct/judge", dialect="anthropic", model_id="claude-3-5-haiku", propagate_trace=True)
    assert decided(await rig.decide(target=claude)) == ("acct/big", "classifier")
    (request,) = rig.upstream.requests
    assert request.url.endswith("/messages")
    assert [name for name, _ in request.headers] == ["traceparent"]
    assert rig.asked.usage == Usage(90, 2, "provider")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("complex", "complex", id="a word"),
        pytest.param(" Complex.\n", "complex", id="dressed up"),
        pytest.param("The request is **complex**, complex indeed", "complex", id="in a sentence"),
        pytest.param("complexity", "", id="another word"),
        pytest.param("simple or complex", "", id="two of them"),
        pytest.param("", "", id="nothing"),
        pytest.param(None, "", id="no text"),
        pytest.param(
            [
                {"type": "thinking", "thinking": [{"type": "text", "text": "It is simple."}]},
                {"type": "text", "text": "complex"},
            ],
            "complex",
            id="in parts, as Magistral answers",
        ),
        pytest.param([], "", id="no parts"),
    ],
)
async def test_what_counts_as_an_answer(text: Any, expected: str) -> None:
    """One of three words and no other; else the fallback decides, and the model has done nothing wrong."""
    rig = Rig(says(text))
    plan = await rig.decide()
    assert rig.asked.tier == expected
    assert decided(plan)[1] == ("classifier" if expected else "heuristic")
    assert rig.asked.error_type == ""
    assert rig.verdicts == [("good", 200)]


async def test_a_tier_without_a_target() -> None:
    """Then the call is refused, as it would be had the tier been guessed."""
    rig = Rig(says("medium"))
    with pytest.raises(NoTargetAvailable) as caught:
        await rig.decide()
    plan = caught.value.plan
    assert isinstance(plan, Plan)
    assert (plan.targets, plan.route and plan.route.tier) == ((), "medium")


@pytest.mark.parametrize(
    ("failure", "error_type", "verdict"),
    [
        pytest.param(FakeReply(500, JSON, b'{"error":{}}'), "500", ("sick", 500), id="refusal"),
        pytest.param(FakeReply(429, JSON, b"no"), "429", ("none", 429), id="limit"),
        pytest.param(FakeReply(200, JSON, b"<html>"), "upstream_bad_reply", ("sick", 502), id="no reply"),
        pytest.param(
            FakeReply(200, JSON, b'{"choices":[{"message":{"content":3}}]}'),
            "upstream_bad_reply",
            ("sick", 502),
            id="of a wrong shape",
        ),
        pytest.param(
            FakeReply(200, JSON, b"x" * 100_000), "upstream_bad_reply", ("sick", 502), id="far too long"
        ),
        pytest.param(UpstreamUnreachable("no"), "upstream_unreachable", ("sick", 502), id="unreachable"),
        pytest.param(UpstreamTimeout("no"), "upstream_timeout", ("sick", 504), id="silent"),
    ],
)
async def test_no_failure_of_it_is_one_of_the_call(
    failure: FakeReply | GatewayError, error_type: str, verdict: tuple[str, int]
) -> None:
    """The fallback decides; the span has the error, and health hears of it."""
    rig = Rig(failure)
    assert decided(await rig.decide()) == ("acct/small", "heuristic")
    assert (rig.asked.error_type, rig.asked.tier) == (error_type, "")
    assert rig.asked.end_ns
    assert rig.verdicts == [verdict]
    if isinstance(failure, FakeReply):
        assert failure.is_closed


async def test_a_model_that_cannot_chat() -> None:
    """It was configured by mistake, and calls are answered all the same."""
    rig = Rig()
    target = make_target("acct/judge", dialect="nomic")
    assert decided(await rig.decide(target=target)) == ("acct/small", "heuristic")
    assert rig.asked.error_type == "unsupported_parameter"
    assert rig.upstream.requests == []


async def test_its_time_is_limited() -> None:
    """Who waits for too long goes on without; that says nothing of the provider."""
    rig = Rig(asyncio.Event())
    assert decided(await rig.decide(timeout_s=0.01)) == ("acct/small", "heuristic")
    assert rig.asked.error_type == "upstream_timeout"
    assert rig.verdicts == [("none", 504)]


async def test_its_body_is_in_the_limit_too() -> None:
    """A head alone is no answer, and the connection is let go."""
    reply = FakeReply(200, JSON, asyncio.Event())
    rig = Rig(reply)
    assert decided(await rig.decide(timeout_s=0.01)) == ("acct/small", "heuristic")
    assert reply.is_closed


async def test_a_model_that_is_too_slow_again_and_again_has_a_rest() -> None:
    """Calls do not wait for it meanwhile; afterwards it is asked again, and one good answer forgives all."""
    script = [asyncio.Event() for _ in range(MAX_TIMEOUTS)]
    rig = Rig(*script, says("complex"), asyncio.Event(), says("complex"))
    for _ in range(MAX_TIMEOUTS):
        await rig.decide(timeout_s=0.001)
    rig.now_s += REST_S - 0.1
    assert decided(await rig.decide()) == ("acct/small", "heuristic")
    assert rig.trace.judgement is None
    rig.now_s += 0.1
    assert decided(await rig.decide()) == ("acct/big", "classifier")
    await rig.decide(timeout_s=0.001)
    assert decided(await rig.decide()) == ("acct/big", "classifier")
    assert len(rig.upstream.requests) == MAX_TIMEOUTS + 3


async def test_who_is_held_back_is_not_asked() -> None:
    """Its circuit is being probed by another call."""
    rig = Rig(held="circuit")
    assert decided(await rig.decide()) == ("acct/small", "heuristic")
    assert (rig.trace.judgement, rig.watch.heard) == (None, [])


async def test_credentials_are_masked() -> None:
    """What the provider quotes of them is on no span."""
    rig = Rig(UpstreamUnreachable("no", detail=f"with {KEY}"))
    await rig.decide()
    assert KEY not in rig.asked.error_message
    assert "with" in rig.asked.error_message


async def test_a_plan_without_a_question_stays() -> None:
    """Nobody is asked."""
    rig = Rig()
    assert await rig.classifier.decide(rig.trace, FALLBACK) is FALLBACK


class Whole:
    """A pipeline with a route by complexity, between doubles."""

    def __init__(self, *script: Any) -> None:
        self.upstream = FakeUpstream(*script)
        self.watch = Watch()
        self.records: list[CallTrace] = []
        candidates = Candidate(SMALL, tier="simple"), Candidate(BIG, tier="complex")
        route = Route("vm/auto", candidates, Complexity(Judge(JUDGE)), FakeHealth())
        identity = Identity([make_credential(TOKEN, make_caller("vm/auto"))])
        routing = Routing((SMALL, BIG, JUDGE), {"vm/auto": route})
        self.pipeline = Pipeline(
            CurrentSnapshot(Snapshot("v1", 1, identity, routing)),
            self.upstream,
            self.records.append,
            max_body_bytes=1000,
            random=Random(7),
            health=self.watch,
        )

    async def call(self, client: FakeClient) -> CallTrace:
        """Let a caller call."""
        await self.pipeline.call_model(client, CHAT)
        (trace,) = self.records
        return trace


def caller() -> FakeClient:
    """Who asks something easy."""
    return FakeClient(BEARER, body=make_body("vm/auto"))


async def test_a_call_of_a_route() -> None:
    """It is judged before it is tried, and told of as one that was."""
    whole = Whole(says("complex"), says("hello"))
    client = caller()
    trace = await whole.call(client)
    judged, tried = whole.upstream.requests
    assert (json.loads(judged.body)["model"], json.loads(tried.body)["model"]) == ("judge-1", "big-1")
    assert client.status == 200
    assert client.header("x-tfy-resolved-model") == "acct/big"
    timing = client.header("server-timing")
    assert timing is not None
    assert ", classify;dur=" in timing
    assert 'attempts;desc="1"' in timing
    applied = json.loads(client.header("x-tfy-applied-configurations") or "")["routing"]
    assert (applied["tier"], applied["cause"]) == ("complex", "classifier")
    assert trace.judgement is not None
    assert [attempt.target for attempt in trace.attempts] == [BIG]
    assert trace.total_cost_usd == trace.judgement.cost_usd == 102e-6


async def test_a_call_whose_model_fails() -> None:
    """The caller does not notice."""
    whole = Whole(FakeReply(500, JSON, b"{}"), says("hello"))
    client = caller()
    trace = await whole.call(client)
    assert (client.status, client.header("x-tfy-resolved-model")) == (200, "acct/small")
    assert trace.judgement is not None
    assert (trace.judgement.error_type, trace.error_type) == ("500", "")


async def test_a_caller_that_leaves_meanwhile() -> None:
    """Asking ends with it, and is told as broken off by it; what was read is paid."""
    whole = Whole(asyncio.Event())
    client = caller()
    task = asyncio.ensure_future(whole.call(client))
    await until_async(lambda: bool(whole.upstream.requests), "the question")
    client.leave()
    trace = await task
    assert trace.judgement is not None
    assert trace.judgement.error_type == trace.error_type == "client_disconnected"
    assert trace.judgement.usage is not None
    assert trace.judgement.usage.source == "partial"
    assert trace.attempts == []
    assert [(name, outcome.verdict) for name, outcome in whole.watch.heard] == [("acct/judge", "none")]


async def test_a_tier_that_others_stand_in_for() -> None:
    """No target is of it: the one above takes the call."""
    whole = Whole(says("medium"), says("hello"))
    client = caller()
    trace = await whole.call(client)
    assert client.status == 200
    assert trace.plan is not None
    assert trace.plan.route is not None
    assert trace.plan.route.tier == "medium"
    assert [attempt.target for attempt in trace.attempts] == [BIG]
