"""What every answer says beside its body."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from gateway.endpoints.wording import WORDINGS
from gateway.errors import NoTargetAvailable, UpstreamTimeout
from gateway.model import Plan, RouteFacts, Skipped
from gateway.responder import Answer, Responder
from gateway.routing.stored import StoredObjects
from gateway.store.shared_table import table_in_memory
from gateway.telemetry.call_trace import CallTrace
from tests.unit.doubles import FakeClient, FakeReply
from tests.unit.makers import TARGET, make_target
from tests.unit.telemetry.traces import add_attempt, make_planned_trace, make_trace

ROUTE = RouteFacts("vm/chat", "weight-based-routing")
OTHER = make_target("acct/other")
APPLIED = "x-tfy-applied-configurations"


class Elsewhere:
    """Other replicas, which know nothing."""

    async def hear(self, keys: Sequence[bytes]) -> bool:
        return not keys


def responder_of(trace: CallTrace) -> tuple[FakeClient, Responder]:
    client = FakeClient()
    return client, Responder(client, trace, "r-1", WORDINGS["openai"])


def routed() -> CallTrace:
    trace = make_planned_trace()
    trace.plan = Plan((TARGET, OTHER), (TARGET.name, OTHER.name), route=ROUTE)
    add_attempt(trace)
    return trace


def applied(client: FakeClient) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(client.header(APPLIED) or "{}")
    return told


@pytest.mark.parametrize(
    "send",
    [
        pytest.param(lambda responder: responder.answer(Answer(200, [], b"{}")), id="whole"),
        pytest.param(lambda responder: responder.answer(Answer(429, [], b"{}")), id="the provider's error"),
        pytest.param(lambda responder: responder.fail(UpstreamTimeout("silent")), id="our error"),
        pytest.param(
            lambda responder: responder.start_stream(FakeReply(200, {}), b"text/event-stream"), id="stream"
        ),
        pytest.param(lambda responder: responder.pass_whole(200, [], b"x"), id="passed on"),
    ],
)
async def test_every_answer_of_a_routed_call_says_what_was_decided(
    send: Callable[[Responder], Awaitable[None]],
) -> None:
    """However it ended; of a model that was named itself there was nothing to decide."""
    client, responder = responder_of(routed())
    await send(responder)
    assert applied(client)["routing"]["candidates"] == [TARGET.name, OTHER.name]
    client, responder = responder_of(make_planned_trace())
    await send(responder)
    assert client.header(APPLIED) is None


@pytest.mark.parametrize("is_shared", [False, True])
async def test_what_is_made_is_told_to_other_replicas(*, is_shared: bool) -> None:
    """Where there are any; a call that makes nothing has nothing to tell."""
    stored = StoredObjects(table_in_memory(buckets=4), Elsewhere() if is_shared else None)
    responder = Responder(FakeClient(), make_planned_trace(), "r-1", WORDINGS["openai"], stored)
    assert not responder.tells_replicas
    responder.made("resp_1", TARGET)
    assert responder.tells_replicas == is_shared
    responder = Responder(FakeClient(), make_planned_trace(), "r-2", WORDINGS["openai"], stored)
    responder.made_parts(["msg_1"], TARGET)
    assert responder.tells_replicas == is_shared


async def test_a_name_without_a_target_left_says_why() -> None:
    """Caller and trace are told what was considered, though there is no plan."""
    trace = make_trace()
    client, responder = responder_of(trace)
    error = NoTargetAvailable("none")
    error.plan = plan = Plan((), (TARGET.name,), (Skipped(TARGET.name, "circuit"),), ROUTE)
    await responder.fail(error)
    assert trace.plan is plan
    assert trace.planned_ns > 0
    assert applied(client)["routing"]["skipped"] == [{"target": TARGET.name, "reason": "circuit"}]
    assert client.header("x-tfy-resolved-model") is None


async def test_the_model_is_the_one_that_answered() -> None:
    """Of two that were asked beside each other not the last one that was begun."""
    trace = routed()
    trace.answered_by(trace.attempts[0])
    add_attempt(trace, OTHER).lost()
    client, responder = responder_of(trace)
    await responder.answer(Answer(200, [], b"{}"))
    assert client.header("x-tfy-resolved-model") == TARGET.name
    assert applied(client)["routing"]["attempts"] == 2
