"""The life of a request: every way out answers once and settles once."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import json
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Any, Final

import msgspec
import pytest

from gateway.attempt import MAX_HELD_BYTES
from gateway.config.manifests.global_settings import OverloadSettings
from gateway.endpoints.bedrock_catalogue import CONVERSE
from gateway.endpoints.catalogue import CHAT, COMPLETION, EMBEDDING, MESSAGES
from gateway.endpoints.long_json import MANY_OBJECTS, MAX_THINGS
from gateway.errors import (
    ClientDisconnected,
    GatewayError,
    ModelNotAllowed,
    PathNotFound,
    UpstreamBadReply,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from gateway.identity.tokens import Identity
from gateway.long_work import LONG_BYTES, LongWork
from gateway.model import Call, Endpoint, ListedModel, Plan, RetryPolicy, Usage
from gateway.overload.gate import Bounds, Gate
from gateway.overload.lateness import Lateness
from gateway.overload.priorities import compile_priorities
from gateway.pipeline import CurrentSnapshot, Pipeline, check_further
from gateway.providers.headers import USER_AGENT, fixed_lines
from gateway.relay import MAX_ERROR_BYTES, without_credentials, without_keys
from gateway.responder import Answer, Responder
from gateway.routing.accounts import Accounts
from gateway.routing.direct import Routing
from gateway.snapshot import Snapshot
from gateway.telemetry.call_trace import AttemptTrace, CallTrace
from gateway.wire.trace_context import format_traceparent
from tests.rig.until import until_async
from tests.unit.doubles import FakeClient, FakeReply, FakeUpstream
from tests.unit.makers import (
    KEY,
    TOKEN,
    make_body,
    make_caller,
    make_credential,
    make_route,
    make_routes,
    make_target,
)

BEARER: Final = ("authorization", f"Bearer {TOKEN}")
MAX_BODY: Final = 1000
JSON: Final = {"content-type": "application/json"}
SSE: Final = {"content-type": "text/event-stream"}
PROMPTED: Final = 200
ANSWER: Final = json.dumps(
    {
        "id": "chat-1",
        "model": "small-1",
        "choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4},
    }
).encode()
COUNTED: Final = Usage(3, 4, "provider")
RETRY: Final = RetryPolicy(2, 0, frozenset({429, 502, 503, 504}))
# Every kind of target a caller may meet.
TARGETS: Final = (
    make_target(),
    make_target("acct/retried", retry=RETRY),
    make_target("lab/own", propagate_trace=True),
    make_target("acct/keyless", missing_secret="FAKE_KEY is not set"),
    make_target("acct/forbidden"),
    make_target("acct/claude", dialect="anthropic"),
    make_target("acct/strict", dialect="anthropic", unsupported="reject"),
    make_target("acct/claude-retried", dialect="anthropic", retry=RETRY),
    make_target("acct/gemini", dialect="gemini"),
)
ALLOWED: Final = (
    *("acct/small", "acct/retried", "lab/own", "acct/keyless"),
    *("acct/claude", "acct/strict", "acct/claude-retried", "acct/gemini"),
)


def event(content: str = "word", *, finish: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": finish}
    return b"data: " + json.dumps({"id": "chat-1", "choices": [choice], **more}).encode() + b"\n\n"


USAGE_EVENT: Final = (
    b"data: "
    + json.dumps({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 4}}).encode()
    + b"\n\n"
)
ERROR_EVENT: Final = b'data: {"error":{"message":"overloaded"}}\n\n'
DONE: Final = b"data: [DONE]\n\n"


def streamed(*steps: Any) -> FakeReply:
    return FakeReply(200, SSE, *steps)


def whole(status: int = 200, body: bytes = ANSWER, headers: dict[str, str] | None = None) -> FakeReply:
    return FakeReply(status, JSON if headers is None else headers, body)


class Rig:
    """A pipeline between doubles, and what it recorded."""

    def __init__(self, *script: FakeReply | GatewayError | Exception | asyncio.Event) -> None:
        self.upstream = FakeUpstream(*script)
        self.records: list[CallTrace] = []
        caller = make_caller(*ALLOWED)
        snapshot = Snapshot("v1", 1, Identity([make_credential(TOKEN, caller)]), Routing(TARGETS))
        self.current = CurrentSnapshot(snapshot)
        self.pipeline = Pipeline(
            self.current,
            self.upstream,
            self.records.append,
            max_body_bytes=MAX_BODY,
            random=Random(7),
        )

    async def call(self, client: FakeClient) -> CallTrace:
        """Let *client* call, and give what was recorded: exactly one trace, all ended."""
        await self.pipeline.call_model(client, CHAT)
        return self.settled()

    def settled(self) -> CallTrace:
        assert len(self.records) == 1, f"recorded {len(self.records)} times"
        assert self.pipeline.open_count == 0
        (trace,) = self.records
        assert trace.end_ns >= trace.start_ns
        for attempt in trace.attempts:
            assert trace.end_ns >= attempt.end_ns >= attempt.start_ns
        return trace


def caller_of(model: str = "acct/small", *headers: tuple[str, str], **members: Any) -> FakeClient:
    return FakeClient(BEARER, *headers, body=make_body(model, **members))


def streaming(*headers: tuple[str, str], **members: Any) -> FakeClient:
    return caller_of("acct/small", *headers, stream=True, **members)


def error_of(client: FakeClient) -> dict[str, Any]:
    """The error in a whole response."""
    (body,) = client.pieces
    found: dict[str, Any] = json.loads(body)["error"]
    return found


def last_error(client: FakeClient) -> dict[str, Any]:
    """The error in the last event of a stream."""
    last = client.received.rstrip(b"\n").rpartition(b"\n\n")[2]
    found: dict[str, Any] = json.loads(last.removeprefix(b"data: "))["error"]
    return found


# -- good answers


@pytest.mark.parametrize("others", [0, 1])
async def test_answer_is_sent_before_the_call_is_settled(
    monkeypatch: pytest.MonkeyPatch, others: int
) -> None:
    """The server's thread gets the core where nobody else's call would wait for it."""
    rig = Rig(whole())
    client = caller_of()
    given: list[tuple[bool, int]] = []
    monkeypatch.setattr(
        "gateway.pipeline.give_way", lambda: given.append((client.is_ended, len(rig.records)))
    )
    waiting = [asyncio.create_task(asyncio.sleep(60)) for _ in range(others)]
    rig.pipeline._open.update(waiting)
    await rig.pipeline.call_model(client, CHAT)
    assert given == ([] if others else [(True, 0)])
    for task in waiting:
        task.cancel()


async def test_whole_answer() -> None:
    """A good reply goes out byte for byte, its usage noted."""
    rig = Rig(whole())
    client = caller_of()
    trace = await rig.call(client)
    assert (client.status, client.pieces, client.is_ended) == (200, [ANSWER], True)
    assert client.header("content-type") == "application/json"
    assert (trace.status_code, trace.is_error, trace.error_type) == (200, False, "")
    (attempt,) = trace.attempts
    assert (attempt.usage, attempt.status_code, attempt.error_type) == (COUNTED, 200, "")
    assert (attempt.response_id, attempt.response_model, attempt.finish_reasons) == (
        "chat-1",
        "small-1",
        ("stop",),
    )


async def test_upstream_request() -> None:
    """The provider gets the call under its own model id, with the account's key and not the caller's."""
    rig = Rig(whole())
    await rig.call(caller_of("acct/small", ("cookie", "c=1"), ("openai-beta", "x=1"), temperature=0.50))
    (request,) = rig.upstream.requests
    lines = request.lines.decode().splitlines()
    headers = dict(request.headers) | dict(line.split(": ", 1) for line in lines)
    assert request.url == "https://api.test/v1/chat/completions"
    assert json.loads(request.body)["model"] == "small-1"
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["user-agent"] == USER_AGENT
    assert headers["openai-beta"] == "x=1"
    assert not {"cookie", "traceparent", "tracestate"} & headers.keys()
    assert TOKEN not in str(request.headers) + request.lines.decode()
    assert request.timeout_s is None


async def test_parameters_of_the_target() -> None:
    """They are put over the caller's, and the attempt's span tells what was sent."""
    rig = Rig(whole())
    target = make_target(parameters={"temperature": b"0.1", "stop": b"null"})
    rig.current.snapshot = dataclasses.replace(rig.current.snapshot, routing=Routing([target]))
    trace = await rig.call(caller_of(temperature=1, stop="x", seed=1))
    sent = json.loads(rig.upstream.requests[0].body)
    assert (sent["temperature"], sent["seed"], "stop" in sent) == (0.1, 1, False)
    (attempt,) = trace.attempts
    assert attempt.sent is not None
    assert bytes(attempt.sent.fields["temperature"]) == b"0.1"


async def test_reply_is_closed() -> None:
    """A reply's connection is given back on every way."""
    good, bad, cut = whole(), whole(body=b"<html>"), streamed(event())
    for reply, client in ((good, caller_of()), (bad, caller_of()), (cut, streaming())):
        await Rig(reply).call(client)
        assert reply.is_closed


async def test_stream() -> None:
    """A stream goes out as it comes, its usage noted, the usage chunk hidden from who did not ask."""
    rig = Rig(streamed(event("a"), event("b", finish="stop"), USAGE_EVENT, DONE))
    client = streaming()
    trace = await rig.call(client)
    assert client.status == 200
    assert client.pieces == [event("a"), event("b", finish="stop"), DONE]
    assert client.is_ended
    assert client.header("content-type") == "text/event-stream; charset=utf-8"
    assert client.header("cache-control") == "no-cache"
    assert client.header("x-accel-buffering") == "no"
    assert client.header("content-length") is None
    assert json.loads(rig.upstream.requests[0].body)["stream_options"] == {"include_usage": True}
    (attempt,) = trace.attempts
    assert attempt.usage == COUNTED
    assert attempt.first_chunk_ns >= attempt.start_ns
    assert (trace.is_error, trace.is_cut) == (False, False)


async def test_stream_with_usage_asked_for() -> None:
    """A client that asked for the usage chunk gets it."""
    client = streaming(stream_options={"include_usage": True})
    await Rig(streamed(event(finish="stop"), USAGE_EVENT, DONE)).call(client)
    assert client.pieces == [event(finish="stop"), USAGE_EVENT, DONE]


async def test_stream_starts_with_data() -> None:
    """Comments are held until the first data, so that a failure can still be a real status."""
    rig = Rig(streamed(b": processing\n\n", b": processing\n\n" + event(finish="stop"), DONE))
    client = streaming()
    await rig.call(client)
    assert client.pieces == [b": processing\n\n: processing\n\n" + event(finish="stop"), DONE]


ROLE: Final = b'data: {"id":"chat-1","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'


async def test_stream_is_held_until_content_and_no_longer() -> None:
    """A role alone is held, so that a failure can still be a status; the first word goes out."""
    seen: list[int] = []
    client = streaming()
    reply = streamed(
        ROLE,
        lambda: seen.append(len(client.pieces)),
        event("a"),
        lambda: seen.append(len(client.pieces)),
        event("b"),
        lambda: seen.append(len(client.pieces)),
        event(finish="stop"),
        DONE,
    )
    await Rig(reply).call(client)
    assert seen == [0, 1, 2]
    assert client.pieces == [ROLE + event("a"), event("b"), event(finish="stop"), DONE]


async def test_failure_after_a_role_alone_is_a_status() -> None:
    """What breaks before content is answered with a real status, and may be tried again."""
    client = streaming()
    await Rig(streamed(ROLE, ERROR_EVENT)).call(client)
    assert (client.status, error_of(client)["code"]) == (502, "upstream_bad_reply")
    client = caller_of("acct/retried", stream=True)
    await Rig(streamed(ROLE), streamed(event(finish="stop"), DONE)).call(client)
    assert (client.status, client.received) == (200, event(finish="stop") + DONE)


async def test_stream_without_its_last_blank_line() -> None:
    """A server that leaves the last blank line out has answered whole."""
    client = streaming()
    trace = await Rig(streamed(event(finish="stop"), b"data: [DONE]\n")).call(client)
    assert client.received.startswith(event(finish="stop") + b"data: [DONE]\n\n")
    assert not trace.is_error


async def test_stream_without_end_marker() -> None:
    """A stream whose choices have all finished is whole; none of ours is added."""
    client = streaming()
    trace = await Rig(streamed(event(finish="stop"))).call(client)
    assert client.received == event(finish="stop")
    assert client.is_ended
    assert not trace.is_error


async def test_first_chunk_is_the_first_data() -> None:
    """Keep-alive comments before the first data do not count as its first chunk."""
    seen: list[int] = []
    rig = Rig(streamed(b": wait\n\n", lambda: seen.append(0), event(finish="stop"), DONE))
    trace = await rig.call(streaming())
    assert trace.attempts[0].first_chunk_ns > 0
    # Checked on a stream of comments only, where a time would be plainly wrong.
    trace = await Rig(streamed(b": wait\n\n")).call(streaming())
    assert trace.attempts[0].first_chunk_ns == 0


# -- refusals, in order


@pytest.mark.parametrize(
    ("headers", "body", "status", "code", "reads"),
    [
        pytest.param([], None, 401, "invalid_api_key", False, id="no token: nothing is read"),
        pytest.param(
            [("authorization", "Bearer other"), ("x-tfy-request-timeout", "no")],
            b"x" * 2000,
            401,
            "invalid_api_key",
            False,
            id="unknown token before all else",
        ),
        pytest.param([BEARER], b"x" * 2000, 413, "body_too_large", True, id="too large before malformed"),
        pytest.param([BEARER], b"{", 400, "invalid_json", True, id="no JSON"),
        pytest.param([BEARER], b"[]", 400, "invalid_body", True, id="no object"),
        pytest.param(
            [BEARER, ("x-tfy-request-timeout", "soon")],
            make_body("no/such"),
            400,
            "invalid_body",
            True,
            id="header before model",
        ),
        pytest.param([BEARER], make_body("no/such"), 404, "model_not_found", True, id="unknown model"),
        pytest.param(
            [BEARER], make_body("acct/forbidden"), 403, "model_not_allowed", True, id="forbidden model"
        ),
        pytest.param(
            [BEARER], make_body("acct/keyless"), 503, "secret_missing", True, id="account without key"
        ),
    ],
)
async def test_refusals(
    headers: list[tuple[str, str]], body: bytes | None, status: int, code: str, *, reads: bool
) -> None:
    """Each refusal comes in its place, in the error shape of the API, without a call to a provider."""
    rig = Rig()
    client = FakeClient(*headers, body=body)
    trace = await rig.call(client)
    error = error_of(client)
    assert (client.status, error["code"], client.was_read, client.is_ended) == (status, code, reads, True)
    assert error["source"] == client.header("x-tfy-error-source")
    assert error["request_id"] == client.header("x-request-id") == trace.request_id
    assert error["trace_id"] == trace.trace_id.hex()
    assert client.header("content-type") == "application/json"
    assert (trace.status_code, trace.error_type, trace.attempts) == (status, code, [])
    assert trace.is_span_error is (status >= 500)
    assert rig.upstream.requests == []


async def test_refusal_of_a_token_asks_for_one() -> None:
    """A 401 carries the challenge that HTTP wants with it."""
    client = FakeClient()
    await Rig().call(client)
    assert client.header("www-authenticate") == "Bearer"


async def test_path_without_endpoint() -> None:
    """A path that does not exist is answered and recorded like any request."""
    rig = Rig()
    client = FakeClient(route="")
    await rig.pipeline.refuse(client, PathNotFound("nothing here"))
    assert (client.status, error_of(client)["code"]) == (404, "path_not_found")
    assert rig.settled().endpoint is None


async def test_path_without_endpoint_in_other_words() -> None:
    """Who asks there may know better than the headers what its caller speaks."""
    client = FakeClient(route="")
    await Rig().pipeline.refuse(client, PathNotFound("nothing here"), "gemini")
    assert error_of(client)["status"] == "NOT_FOUND"


# -- overload


class CrowdedRig(Rig):
    """A pipeline that takes on two calls, and holds a thousand bytes; *inside* are there already."""

    def __init__(self, inside: int, *script: FakeReply | GatewayError | Exception | asyncio.Event) -> None:
        super().__init__(*script)
        self.now_s = 50.0
        open_calls: set[Any] = set()
        lateness = Lateness(0.05, lambda: True, lambda: self.now_s)
        self.gate = Gate(Bounds(2, 1000), open_calls, lateness, Random(1), lambda: self.now_s)
        self.pipeline = Pipeline(
            self.current,
            self.upstream,
            self.records.append,
            max_body_bytes=MAX_BODY,
            random=Random(7),
            gate=self.gate,
        )
        open_calls.update(range(inside))
        lateness.stop()

    def give_priorities(self, *rules: dict[str, Any]) -> None:
        written = [{"id": f"r{at}", **rule} for at, rule in enumerate(rules)]
        settings = OverloadSettings.model_validate({"priority_rules": written, "low_share": 0.5})
        snapshot = replace(self.current.snapshot, priorities=compile_priorities(settings, {}))
        self.current.snapshot = snapshot
        self.gate.take_shares(snapshot.shares)


async def test_call_beyond_the_bound_is_turned_away() -> None:
    """Before a token is looked at, with a time to come back; it is told on a trace."""
    rig = CrowdedRig(2)
    client = FakeClient(BEARER, body=None)
    await rig.pipeline.call_model(client, CHAT)
    assert (client.status, error_of(client)["code"], client.was_read) == (503, "overloaded", False)
    assert error_of(client)["type"] == "overloaded_error"
    assert client.header("retry-after") in {"1", "2", "3"}
    assert client.header("x-tfy-error-source") == "gateway"
    assert client.is_dropped
    (trace,) = rig.records
    assert error_of(client)["trace_id"] == trace.trace_id.hex()
    assert trace.overload is not None
    assert (trace.overload.reason, trace.overload.priority) == ("in_flight", "normal")
    assert trace.caller is not None
    assert (trace.caller.name, trace.error_type, trace.status_code) == ("app", "overloaded", 503)
    assert rig.pipeline.open_count == 2
    assert rig.upstream.requests == []


async def test_unknown_caller_is_turned_away_too() -> None:
    """Finding out who calls is work; the answer says nothing of the token."""
    rig = CrowdedRig(2)
    client = FakeClient()
    await rig.pipeline.call_model(client, CHAT)
    assert client.status == 503
    assert rig.records[0].caller is None


async def test_most_that_are_turned_away_have_no_trace() -> None:
    """Their answers are the same but for the trace's id, and all of them are counted."""
    rig = CrowdedRig(2)
    clients = [FakeClient(BEARER, ("x-request-id", "mine")) for _ in range(12)]
    for client in clients:
        await rig.pipeline.call_model(client, CHAT)
    assert len(rig.records) == 10
    last = clients[-1]
    assert last.status == 503
    assert error_of(last) == {**error_of(clients[0]), "trace_id": ""}
    assert (last.header("x-request-id"), last.header("content-type")) == ("mine", "application/json")
    assert last.header("retry-after") in {"1", "2", "3"}
    assert last.header("x-tfy-error-source") == "gateway"
    assert rig.gate.refused == {("normal", "in_flight"): 12}


@pytest.mark.parametrize(
    ("headers", "endpoint", "header"),
    [
        pytest.param([("x-api-key", TOKEN)], MESSAGES, "request-id", id="Anthropic"),
        pytest.param([BEARER], CONVERSE, "x-amzn-errortype", id="Bedrock"),
    ],
)
async def test_they_are_told_in_their_own_words(
    headers: list[tuple[str, str]], endpoint: Endpoint, header: str
) -> None:
    """With the headers that their SDKs read, with a trace or without."""
    rig = CrowdedRig(2)
    clients = [FakeClient(*headers, ("x-request-id", "mine")) for _ in range(11)]
    for client in clients:
        await rig.pipeline.serve(client, endpoint, _never)
    first, last = clients[0], clients[-1]
    assert last.header(header) == first.header(header)
    assert last.header(header)
    assert len(rig.records) == 10


async def _never(_: Responder, __: Snapshot) -> None:
    raise AssertionError


async def test_caller_that_leaves_while_it_is_turned_away() -> None:
    """Nobody is there to be told."""

    class Leaving(FakeClient):
        async def respond(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
            raise ClientDisconnected

    rig = CrowdedRig(2)
    for _ in range(12):
        await rig.pipeline.call_model(Leaving(BEARER), CHAT)
    assert rig.pipeline.open_count == 2


async def test_short_body_is_left_to_the_server_when_the_loop_is_late() -> None:
    """It has come by then, and reading it is a third of what refusing costs."""
    rig = CrowdedRig(0)
    rig.gate.lateness.is_behind = True
    rig.gate.lateness.turned_s = rig.now_s - 1
    short = FakeClient(BEARER, pieces=[b"x"], declared_bytes=1)
    long = FakeClient(BEARER, pieces=[b"x"], declared_bytes=1000)
    for client in (short, long):
        await rig.pipeline.call_model(client, CHAT)
        assert client.status == 503
    assert (short.is_dropped, long.is_dropped) == (False, True)


async def test_what_is_left_of_a_refused_body() -> None:
    """It is taken in once the answer has gone out and the call has ended; after a good answer nothing is."""

    class Sending(FakeClient):
        async def drop_body(self) -> None:
            assert (self.status, self.is_ended, len(rig.records)) == (401, True, 1)
            await super().drop_body()

    rig = Rig(whole())
    refused = Sending(("authorization", "Bearer wrong"), body=None)
    await rig.call(refused)
    assert (refused.is_dropped, refused.was_read) == (True, False)
    rig.records.clear()
    await rig.call(good := caller_of())
    assert (good.status, good.is_dropped) == (200, False)


async def test_bodies_that_are_taken_in_for_nothing_have_a_bound() -> None:
    """Callers that send slowly would else be as many as they like."""
    rig = CrowdedRig(2)
    gone = asyncio.Event()

    class Slow(FakeClient):
        async def drop_body(self) -> None:
            await gone.wait()

    tasks = [asyncio.create_task(rig.pipeline.call_model(Slow(BEARER), CHAT)) for _ in range(512)]
    await asyncio.sleep(0)
    client = FakeClient(BEARER)
    await rig.pipeline.call_model(client, CHAT)
    assert (client.status, client.is_dropped) == (503, False)
    gone.set()
    await asyncio.gather(*tasks)
    await rig.pipeline.call_model(client := FakeClient(BEARER), CHAT)
    assert client.is_dropped


async def test_what_is_no_call_is_answered_all_the_same() -> None:
    """It costs no more than a refusal."""
    rig = CrowdedRig(2)
    await rig.pipeline.list_models(client := FakeClient(BEARER))
    assert client.status == 200


class CountedWork(LongWork):
    """Knows what was done how often."""

    def __init__(self) -> None:
        super().__init__()
        self.done: Counter[str] = Counter()

    async def take_turn(self) -> None:
        self.done["turn"] += 1
        await super().take_turn()

    async def do_aside(self, work: Callable[[], Any]) -> Any:
        self.done["aside"] += 1
        return await super().do_aside(work)


@pytest.fixture
def long_rig() -> tuple[Rig, CountedWork]:
    """One that takes long bodies."""
    rig, work = Rig(whole(), whole()), CountedWork()
    rig.pipeline = Pipeline(
        rig.current,
        rig.upstream,
        rig.records.append,
        max_body_bytes=2 * 10**6,
        random=Random(1),
        long_work=work,
    )
    return rig, work


async def test_others_have_their_turn_between_pieces_of_long_work(long_rig: tuple[Rig, CountedWork]) -> None:
    """A call with a long body stops before each of them; a short one never does."""
    rig, work = long_rig
    await rig.call(caller_of(padding="x" * 1000))
    assert not work.done
    rig.records.clear()
    await rig.call(client := caller_of(padding="x" * LONG_BYTES))
    # Five of them look through its text for what it is made of.
    assert (client.status, work.done) == (200, {"turn": 3 + 5})


@pytest.mark.parametrize(
    ("model", "padding", "aside"),
    [("acct/claude", LONG_BYTES, 1), ("acct/claude", 1000, 0), ("acct/small", LONG_BYTES, 0)],
    ids=["long", "short", "as it came"],
)
async def test_a_long_body_in_other_words(
    long_rig: tuple[Rig, CountedWork], model: str, padding: int, aside: int
) -> None:
    """It is written aside."""
    rig, work = long_rig
    await rig.call(caller_of(model, messages=[{"role": "user", "content": "x" * padding}]))
    assert work.done["aside"] == aside
    assert b"x" * padding in rig.upstream.requests[0].body


@pytest.mark.parametrize(("count", "aside"), [(MANY_OBJECTS, 1), (MANY_OBJECTS // 2, 0)])
async def test_a_body_of_many_parts_in_other_words(
    long_rig: tuple[Rig, CountedWork], count: int, aside: int
) -> None:
    """It is written aside too, though it is not long."""
    rig, work = long_rig
    parts = [{"type": "text", "text": "x" * 60}] * count
    await rig.call(caller_of("acct/claude", messages=[{"role": "user", "content": parts}]))
    assert len(rig.upstream.requests[0].body) < LONG_BYTES
    assert work.done["aside"] == aside


async def test_what_is_wrong_with_a_long_body(long_rig: tuple[Rig, CountedWork]) -> None:
    """It is answered as with a short one, though it is found aside."""
    rig, _ = long_rig
    messages = [{"role": "user", "content": "x" * LONG_BYTES}, 5]
    await rig.call(client := caller_of("acct/claude", messages=messages))
    assert (client.status, error_of(client)["code"]) == (400, "invalid_body")


@pytest.mark.parametrize(
    ("more", "told", "aside"),
    [
        ({"a": [[]] * MAX_THINGS}, "names, objects and lists", 1),
        ({f"a{n}": [] for n in range(LONG_BYTES // 8)}, "fields at its top level", 1),
        ({"a": [["x" * 99]] * (LONG_BYTES // 100)}, None, 1),
        ({"a": "[{:,}] " * (LONG_BYTES // 7)}, None, 0),
    ],
    ids=["things", "fields", "neither", "text"],
)
async def test_a_long_body_of_too_many_things(
    long_rig: tuple[Rig, CountedWork], more: dict[str, Any], told: str | None, aside: int
) -> None:
    """It is refused before anything is made of them; what is dense is looked through aside."""
    rig, work = long_rig
    await rig.call(client := caller_of(**more))
    assert work.done["aside"] == aside
    if told is None:
        assert client.status == 200
    else:
        assert (client.status, error_of(client)["code"]) == (400, "invalid_body")
        assert told in error_of(client)["message"]


async def test_prompts_of_a_long_body_are_counted_aside(long_rig: tuple[Rig, CountedWork]) -> None:
    """There may be millions, looked through before they are counted."""
    rig, work = long_rig
    client = FakeClient(BEARER, body=make_body(prompt=["x"] * (LONG_BYTES // 4)))
    await rig.pipeline.call_model(client, COMPLETION)
    assert work.done["aside"] == 2
    assert rig.settled().call is not None
    assert rig.records[0].call.choices == LONG_BYTES // 4  # type: ignore[union-attr]


async def test_body_without_room() -> None:
    """It is refused before it is read, and what a call held is let go at its end."""
    rig = CrowdedRig(0, whole())
    rig.gate.hold(900, lambda: "normal")
    client = caller_of(padding="x" * 200)
    trace = await rig.call(client)
    assert (client.status, error_of(client)["code"], client.was_read) == (503, "overloaded", False)
    assert trace.overload is not None
    assert trace.overload.reason == "input_bytes"
    assert client.is_dropped
    assert rig.gate.input_bytes == 900
    rig.gate.let_go(900)
    rig.records.clear()
    client = caller_of(padding="x" * 200)
    client.on_write = lambda: None
    trace = await rig.call(client)
    assert (client.status, trace.held_bytes > 200, rig.gate.input_bytes) == (200, True, 0)


LOW = {"when": {"subjects": ["virtualaccount:app"]}, "priority": "low"}
LOW_MODEL = {"when": {"models": ["acct/small"]}, "priority": "low"}
HIGH_MODEL = {"when": {"models": ["acct/retried"]}, "priority": "high"}


@pytest.mark.parametrize(
    ("inside", "rules", "model", "status", "reads"),
    [
        pytest.param(1, [], "acct/small", 200, True, id="no rules"),
        pytest.param(0, [LOW], "acct/small", 200, True, id="low, and there is room"),
        pytest.param(1, [LOW], "acct/small", 503, False, id="low"),
        pytest.param(1, [LOW_MODEL], "acct/small", 503, True, id="low by its model: known from the body"),
        pytest.param(1, [LOW_MODEL], "acct/retried", 200, True, id="normal by its model"),
        pytest.param(1, [HIGH_MODEL, LOW], "acct/small", 503, True, id="not high after all"),
        pytest.param(1, [HIGH_MODEL, LOW], "acct/retried", 200, True, id="high by its model"),
    ],
)
async def test_priorities(
    inside: int, rules: list[dict[str, Any]], model: str, status: int, *, reads: bool
) -> None:
    """Low calls have half the room; the body is read only where the model decides."""
    rig = CrowdedRig(inside, whole())
    rig.give_priorities(*rules)
    client = caller_of(model)
    await rig.pipeline.call_model(client, CHAT)
    assert (client.status, client.was_read) == (status, reads)
    assert rig.pipeline.open_count == inside
    assert set(rig.gate.refused) == ({("low", "in_flight")} if status == 503 else set())


async def test_caller_with_a_priority_whom_nobody_knows() -> None:
    """It is like any other: 401 while there is room."""
    rig = CrowdedRig(1)
    rig.give_priorities(LOW)
    await rig.pipeline.call_model(client := FakeClient(("authorization", "Bearer no")), CHAT)
    assert client.status == 401


async def test_priority_of_a_caller_that_is_found_elsewhere() -> None:
    """Where a key is not in the usual headers, whoever serves knows where."""
    rig = CrowdedRig(1)
    rig.give_priorities(LOW)
    caller = make_caller()
    await rig.pipeline.serve(client := FakeClient(), CHAT, _never, identify=lambda _: caller)
    assert client.status == 503
    assert rig.records[0].caller is caller


@pytest.mark.parametrize(("name", "status"), [("app", 503), ("other", 200)])
async def test_room_for_the_body_of_a_caller_that_is_found_elsewhere(name: str, status: int) -> None:
    """Its priority is that of who was identified, wherever the key was."""
    rig = CrowdedRig(0)
    rig.give_priorities(LOW)
    rig.gate.hold(450, lambda: "high")
    client = FakeClient(body=b"x" * 100)

    async def stages(responder: Responder, _: Snapshot) -> None:
        responder.trace.identified(make_caller(name=name))
        await rig.pipeline.read_body(client, responder.trace)
        await responder.answer(Answer(200, [], b""))

    await rig.pipeline.serve(client, CHAT, stages)
    assert client.status == status


# -- the provider's own errors


async def test_providers_error_passes() -> None:
    """A provider's JSON error goes out with its status and bytes, and says whose it is."""
    body = b'{"error": {"message": "slow down",  "type":"x"}}'
    rig = Rig(whole(429, body, {"retry-after": "7", "x-ratelimit-limit-tokens": "5", "set-cookie": "c=1"}))
    client = caller_of()
    trace = await rig.call(client)
    assert (client.status, client.received) == (429, body)
    assert client.header("x-tfy-error-source") == "upstream"
    assert client.header("retry-after") == "7"
    assert client.header("x-upstream-ratelimit-limit-tokens") == "5"
    assert client.header("set-cookie") is None
    assert (trace.status_code, trace.error_type, trace.is_error, trace.is_span_error) == (
        429,
        "429",
        True,
        False,
    )
    assert (trace.attempts[0].error_type, trace.attempts[0].usage) == ("429", None)


async def test_providers_error_to_a_streaming_call_passes() -> None:
    """Asked for a stream, a provider refuses with a whole body; it passes as such."""
    client = streaming()
    trace = await Rig(whole(400, b'{"error":{}}')).call(client)
    assert (client.status, client.received, client.header("content-type")) == (
        400,
        b'{"error":{}}',
        "application/json",
    )
    assert trace.attempts[0].error_type == "400"


@pytest.mark.parametrize(
    ("reply", "is_stream"),
    [
        pytest.param(lambda: whole(body=b"<html>canary</html>"), False, id="HTML with 200"),
        pytest.param(lambda: whole(body=b""), False, id="empty with 200"),
        pytest.param(
            lambda: whole(body=b'{"error":{"message":"canary"}}'), False, id="200 with an error inside"
        ),
        pytest.param(lambda: whole(body=b'{"choices":[],"x":"canary"}'), False, id="200 without an answer"),
        pytest.param(lambda: whole(body=b'{"id":"canary\xff"}'), False, id="200 that is not UTF-8"),
        pytest.param(lambda: whole(502, b"<html>canary</html>"), False, id="HTML with 502"),
        pytest.param(lambda: whole(404, b'{"a":"canary\xff"}'), False, id="error that is not UTF-8"),
        pytest.param(lambda: whole(429, b""), False, id="empty error"),
        pytest.param(lambda: whole(302, b'{"x":"canary"}'), False, id="redirect"),
        pytest.param(lambda: whole(body=ANSWER), True, id="no stream where one was asked for"),
        pytest.param(
            lambda: whole(200, b"<html>canary", {"content-type": "text/html"}), True, id="HTML stream"
        ),
        pytest.param(streamed, True, id="empty stream"),
        pytest.param(lambda: streamed(b": canary\n\n"), True, id="stream of comments"),
        pytest.param(lambda: streamed(b"data: {cana"), True, id="stream cut in its first event"),
        pytest.param(lambda: streamed(ERROR_EVENT, DONE), True, id="stream that begins with an error"),
    ],
)
async def test_bad_reply_is_502(reply: Callable[[], FakeReply], *, is_stream: bool) -> None:
    """What is no answer is a 502 of ours; what the provider said is on the span and not in the answer."""
    client = streaming() if is_stream else caller_of()
    trace = await Rig(reply()).call(client)
    error = error_of(client)
    assert (client.status, error["code"], error["source"]) == (502, "upstream_bad_reply", "upstream")
    assert b"canary" not in client.received
    assert (trace.status_code, trace.is_span_error) == (502, True)
    assert trace.attempts[0].error_type == "upstream_bad_reply"


async def test_what_the_provider_said_is_kept_for_the_span() -> None:
    """The operator may see the beginning of a bad reply; it is no part of the message, which all may see."""
    trace = await Rig(whole(body=b"<html>canary</html>")).call(caller_of())
    assert trace.attempts[0].excerpt == "<html>canary</html>"
    assert "canary" not in trace.attempts[0].error_message + trace.error_message
    trace = await Rig(streamed(event(), b'data: {"error":"canary"}\n\n')).call(streaming())
    assert "canary" in trace.attempts[0].excerpt
    assert "canary" not in trace.attempts[0].error_message + trace.error_message


@pytest.mark.parametrize("status", [400, 503])
async def test_error_that_is_too_long(status: int) -> None:
    """An error of over a megabyte is no message for a caller: it is a 502, and is not read to its end."""
    error = b'{"error":{"message":"canary' + b"x" * (MAX_ERROR_BYTES // 2)
    reply = FakeReply(status, JSON, error, error, error, error)
    client = caller_of()
    trace = await Rig(reply).call(client)
    assert (client.status, error_of(client)["code"]) == (502, "upstream_bad_reply")
    assert b"canary" not in client.received
    assert (reply.is_closed, reply.was_read) == (True, False)
    assert trace.attempts[0].error_type == "upstream_bad_reply"


async def test_error_of_a_megabyte_passes() -> None:
    """Up to the limit an error passes as it is."""
    start, end = b'{"error":{"message":"', b'"}}'
    body = start + b"x" * (MAX_ERROR_BYTES - len(start) - len(end)) + end
    client = caller_of()
    await Rig(whole(400, body)).call(client)
    assert (client.status, client.received) == (400, body)


@pytest.mark.parametrize(
    "template",
    [
        pytest.param(b'{"error": {"message" :"Incorrect API key: %s." }}\n', id="alone"),
        pytest.param(b'{"error":{"message":"Bearer %s","also":"%s"}}', id="twice, with its scheme"),
        pytest.param('{"error":{"message":"schlüssel %s 🔑"}}'.encode(), id="beside other letters"),
    ],
)
@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
async def test_key_in_a_providers_error_is_masked(template: bytes, *, is_stream: bool) -> None:
    """An error that quotes our key reaches the caller without it, otherwise byte for byte."""
    client = streaming() if is_stream else caller_of()
    await Rig(whole(401, template.replace(b"%s", KEY.encode()))).call(client)
    assert client.status == 401
    assert KEY.encode() not in client.received
    before, *_, after = template.replace(b"Bearer %s", b"%s").split(b"%s")
    assert client.received.startswith(before)
    assert client.received.endswith(after)
    assert json.loads(client.received)


async def test_bytes_of_an_error_that_are_no_text_stay() -> None:
    """Masking touches the key alone: bytes that are no UTF-8 pass as they came."""
    attempt = AttemptTrace(make_target(), 1, b"", 0)
    odd = b'{"a":"\xff\xfe \xed\xa0\x80","b":"%s"}'
    assert without_credentials(odd, attempt) == odd
    masked = without_credentials(odd.replace(b"%s", KEY.encode()), attempt)
    assert KEY.encode() not in masked
    assert masked.startswith(odd.partition(b"%s")[0])


async def test_a_reply_that_quotes_our_key() -> None:
    """A server that mirrors its requests gives no caller the key, nor the token that was got for it."""
    target = make_target(
        lines=fixed_lines((("authorization", f"Bearer {KEY}"), ("x-team", "chemistry-nine")))
    )
    attempt = AttemptTrace(target, 1, b"", 0)
    attempt.token = "canary-token-0001"
    body = (
        f'{{"headers":{{"authorization":"Bearer {KEY}","x-team":"chemistry-nine"}},"t":"canary-token-0001"}}'
    )
    masked = b'{"headers":{"authorization":"Bearer ***","x-team":"chemistry-nine"},"t":"***"}'
    assert without_keys(body.encode(), attempt) == masked
    assert without_keys(masked, attempt) is masked


@pytest.mark.parametrize("own", ["authorization", "x-api-key"])
async def test_a_reply_that_quotes_a_key_which_begins_another(own: str) -> None:
    """Nothing shows of the longer one, whichever comes first, nor of a token."""
    other = "x-api-key" if own == "authorization" else "authorization"
    target = make_target(lines=fixed_lines(((own, KEY), (other, f"{KEY}-more"))))
    attempt = AttemptTrace(target, 1, b"", 0)
    attempt.token = f"{KEY}-token"
    body = f'["{KEY}","{KEY}-more","{KEY}-token"]'.encode()
    assert without_keys(body, attempt) == b'["***","***","***"]'


async def test_short_header_value_is_no_key() -> None:
    """A short value that an account sends is a word that an error may well have."""
    attempt = AttemptTrace(make_target(headers=(("openai-organization", "message"),)), 1, b"", 0)
    body = b'{"error":{"message":"x"}}'
    assert without_credentials(body, attempt) == body


@pytest.mark.parametrize(
    "piece", [b": ping\n\n" * 10_000, event("") * 1000], ids=["comments", "empty events"]
)
async def test_stream_without_content_is_given_up(piece: bytes) -> None:
    """What is held back until there is content is bounded."""
    count = MAX_HELD_BYTES // len(piece) + 2
    reply = streamed(*[piece] * (2 * count))
    client = streaming()
    trace = await Rig(reply).call(client)
    assert (client.status, error_of(client)["code"]) == (502, "upstream_bad_reply")
    assert "without content" in error_of(client)["message"]
    assert (reply.is_closed, reply.was_read) == (True, False)
    assert trace.attempts[0].error_type == "upstream_bad_reply"


async def test_stream_that_begins_with_a_picture() -> None:
    """One event of content may be longer than all that may be held without any."""
    picture = event("x" * (MAX_HELD_BYTES + 1), finish="stop")
    client = streaming()
    trace = await Rig(streamed(picture, DONE)).call(client)
    assert (client.status, client.received) == (200, picture + DONE)
    assert trace.attempts[0].error_type == ""


async def test_whole_reply_instead_of_a_stream_is_not_read() -> None:
    """The span needs the beginning of a reply that is no stream; the rest is not waited for."""
    never = asyncio.Event()
    reply = FakeReply(200, JSON, b'{"id":"chat-1",', never)
    client = streaming()
    trace = await asyncio.wait_for(Rig(reply).call(client), 60)
    assert (client.status, error_of(client)["code"]) == (502, "upstream_bad_reply")
    assert trace.attempts[0].excerpt == 'application/json: {"id":"chat-1",'
    assert (reply.is_closed, reply.was_read) == (True, False)


@pytest.mark.parametrize(
    ("error", "status"),
    [(UpstreamUnreachable("gone"), 502), (UpstreamTimeout("slow"), 504), (UpstreamBadReply("bad"), 502)],
    ids=["unreachable", "timeout", "bad reply"],
)
async def test_failed_exchange(error: GatewayError, status: int) -> None:
    """A provider that cannot be reached is answered for in its name."""
    client = caller_of()
    trace = await Rig(error).call(client)
    assert (client.status, error_of(client)["source"]) == (status, "upstream")
    assert (trace.error_type, trace.attempts[0].error_type) == (error.code, error.code)
    assert (trace.attempts[0].status_code, trace.resolved_model) == (0, "")


async def test_answer_that_breaks_off() -> None:
    """A whole reply whose body breaks is a failure, and nothing of it goes out."""
    client = caller_of()
    await Rig(FakeReply(200, JSON, ANSWER[:10], UpstreamUnreachable("cut"))).call(client)
    assert (client.status, error_of(client)["code"]) == (502, "upstream_unreachable")


# -- retries


@pytest.mark.parametrize(
    "failures",
    [
        pytest.param([UpstreamUnreachable("gone")], id="unreachable"),
        pytest.param([whole(503, b'{"error":{}}')], id="status of the policy"),
        pytest.param([whole(body=b"<html>"), UpstreamTimeout("slow")], id="two kinds"),
        pytest.param([streamed(ERROR_EVENT)], id="stream that begins with an error"),
        pytest.param([streamed(b": x\n\n", UpstreamUnreachable("cut"))], id="stream cut before content"),
    ],
)
async def test_retry_then_success(failures: list[FakeReply | GatewayError]) -> None:
    """What fails before anything was sent is tried again; the answer is that of the last attempt."""
    is_stream = (
        isinstance(failures[0], FakeReply)
        and dict(failures[0].headers)[b"content-type"] == b"text/event-stream"
    )
    rig = Rig(*failures, streamed(event(finish="stop"), DONE) if is_stream else whole())
    client = caller_of("acct/retried", **({"stream": True} if is_stream else {}))
    trace = await rig.call(client)
    assert client.status == 200
    assert client.received == (event(finish="stop") + DONE if is_stream else ANSWER)
    assert [attempt.number for attempt in trace.attempts] == list(range(1, len(failures) + 2))
    assert all(attempt.error_type for attempt in trace.attempts[:-1])
    assert trace.attempts[-1].error_type == ""
    assert (trace.is_error, trace.error_type) == (False, "")
    assert f'attempts;desc="{len(trace.attempts)}"' in (client.header("server-timing") or "")
    assert len({attempt.span_id for attempt in trace.attempts}) == len(trace.attempts)


async def test_retries_end() -> None:
    """After the last retry the caller gets the last failure."""
    rig = Rig(UpstreamUnreachable("1"), UpstreamTimeout("2"), whole(503, b'{"error":{"message":"third"}}'))
    client = caller_of("acct/retried")
    trace = await rig.call(client)
    assert (client.status, client.received) == (503, b'{"error":{"message":"third"}}')
    assert len(trace.attempts) == 3


async def test_status_outside_the_policy_is_not_retried() -> None:
    """The provider's 400 would be one again."""
    rig = Rig(whole(400, b'{"error":{}}'))
    await rig.call(caller_of("acct/retried"))
    assert len(rig.upstream.requests) == 1


async def test_nothing_is_retried_after_the_first_byte() -> None:
    """Once a stream has begun, its failure is told in it."""
    rig = Rig(streamed(event(), UpstreamUnreachable("cut")))
    client = caller_of("acct/retried", stream=True)
    await rig.call(client)
    assert len(rig.upstream.requests) == 1
    assert last_error(client)["code"] == "upstream_unreachable"


# -- streams that break


@pytest.mark.parametrize(
    ("steps", "code"),
    [
        pytest.param([event()], "upstream_bad_reply", id="ends early"),
        pytest.param([event(), b"data: {half"], "upstream_bad_reply", id="ends in an event"),
        pytest.param([event(), UpstreamUnreachable("cut")], "upstream_unreachable", id="connection breaks"),
        pytest.param([event(), UpstreamTimeout("slow")], "upstream_timeout", id="silence"),
        pytest.param(
            [event(finish="stop"), b"data: {half", UpstreamUnreachable("cut")],
            "upstream_unreachable",
            id="breaks after the finish reason",
        ),
    ],
)
async def test_cut_stream_never_looks_complete(steps: list[Any], code: str) -> None:
    """A stream that breaks ends with an error event and no end marker; its usage is partial."""
    client = streaming()
    trace = await Rig(streamed(*steps)).call(client)
    whole_events = steps[0]
    assert client.received.startswith(whole_events)
    error = last_error(client)
    assert (error["code"], error["source"], error["trace_id"]) == (code, "upstream", trace.trace_id.hex())
    assert client.received.count(b"data: ") == 2
    assert b"[DONE]" not in client.received
    assert client.is_ended
    assert (trace.status_code, trace.is_cut, trace.is_span_error, trace.error_type) == (200, True, True, code)
    (attempt,) = trace.attempts
    assert attempt.error_type == code
    assert attempt.usage is not None
    assert attempt.usage.source == "partial"


async def test_providers_error_event_is_the_last() -> None:
    """The provider's own error event is the last thing the client gets: no second error, no end marker."""
    client = streaming()
    trace = await Rig(streamed(event(), ERROR_EVENT, event("more"), DONE)).call(client)
    assert client.received == event() + ERROR_EVENT
    assert client.is_ended
    assert (trace.is_cut, trace.error_type, trace.attempts[0].error_type) == (
        True,
        "upstream_bad_reply",
        "upstream_bad_reply",
    )


@pytest.mark.parametrize("token", ["", "canary-entra-token"], ids=["key", "token"])
@pytest.mark.parametrize("is_first", [True, False], ids=["first", "in the middle"])
async def test_credential_in_an_error_event_is_masked(token: str, *, is_first: bool) -> None:
    """An event of a stream that quotes what we signed in with reaches neither caller nor span with it."""
    secret = token or KEY
    said = b'data: {"error":{"message":"no Bearer %b here"}}\n\n' % secret.encode()
    reply = streamed(*([] if is_first else [event()]), said)
    reply.token = token
    client = streaming()
    trace = await Rig(reply).call(client)
    assert secret.encode() not in client.received
    assert is_first or (client.received.startswith(event()) and b"***" in client.received)
    # Keys of accounts are masked where spans are written; what comes and goes is masked here.
    assert not token or token not in trace.attempts[0].excerpt


@pytest.mark.parametrize("is_first", [True, False], ids=["first", "in the middle"])
async def test_provider_that_hangs_after_its_error(*, is_first: bool) -> None:
    """After an error event nothing is waited for: the caller has its answer."""
    never = asyncio.Event()
    reply = streamed(*([] if is_first else [event()]), ERROR_EVENT, never)
    client = streaming()
    await asyncio.wait_for(Rig(reply).call(client), 60)
    assert client.is_ended
    assert reply.is_closed


# -- the caller leaves


async def test_caller_gone_before_the_body() -> None:
    """Who leaves while sending is recorded and not answered."""
    client = FakeClient(BEARER, body=None)
    rig = Rig()
    trace = await rig.call(client)
    assert client.status is None
    assert (trace.status_code, trace.error_type) == (499, "client_disconnected")
    assert not trace.is_error
    assert rig.upstream.requests == []


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
async def test_caller_gone_before_the_first_byte(*, is_stream: bool) -> None:
    """Who leaves while the provider thinks ends the provider's work; the call has cost its input."""
    never = asyncio.Event()
    rig = Rig(never)
    client = streaming() if is_stream else caller_of()
    calling = asyncio.ensure_future(rig.call(client))
    await until_async(lambda: rig.upstream.requests, "the provider was asked")
    client.leave()
    trace = await calling
    assert client.status is None
    assert (trace.status_code, trace.error_type, trace.is_error) == (499, "client_disconnected", False)
    (attempt,) = trace.attempts
    assert attempt.error_type == "client_disconnected"
    assert attempt.usage == Usage(
        len(make_body(stream=True) if is_stream else make_body()) // 4, 0, "partial"
    )


async def test_caller_gone_while_a_whole_reply_is_read() -> None:
    """Leaving a call that is not streamed closes the reply, too."""
    reply = FakeReply(200, JSON, ANSWER[:5], asyncio.Event())
    client = caller_of()
    rig = Rig(reply)
    calling = asyncio.ensure_future(rig.call(client))
    await until_async(lambda: rig.upstream.requests, "the provider was asked")
    client.leave()
    trace = await calling
    assert reply.is_closed
    assert not reply.was_read
    assert (trace.status_code, trace.attempts[0].error_type) == (499, "client_disconnected")
    assert trace.usage is not None
    assert trace.usage.source == "partial"


async def test_caller_gone_in_the_middle() -> None:
    """Who leaves in a stream gets no more of it; what was counted until then is told once, as partial."""
    reply = streamed(event("a"), event("b"), asyncio.Event())
    client = streaming()
    client.on_write = lambda: client.leave() if len(client.pieces) == 2 else None
    trace = await Rig(reply).call(client)
    assert client.pieces == [event("a"), event("b")]
    assert not client.is_ended
    assert reply.is_closed
    assert (trace.status_code, trace.error_type, trace.is_error) == (200, "client_disconnected", False)
    (attempt,) = trace.attempts
    assert attempt.error_type == "client_disconnected"
    assert attempt.usage == Usage(len(make_body(stream=True)) // 4, 2, "partial")
    assert attempt.end_ns > 0


async def test_caller_gone_after_the_providers_count() -> None:
    """A count that has come is kept when the caller leaves before the end."""
    client = streaming()
    client.on_write = client.leave
    trace = await Rig(
        streamed(event(usage={"prompt_tokens": 3, "completion_tokens": 9}), asyncio.Event())
    ).call(client)
    assert trace.usage == Usage(3, 9, "partial")


async def test_caller_gone_when_all_is_sent() -> None:
    """Who leaves after the end was served."""
    client = streaming()
    rig = Rig(streamed(event(finish="stop"), USAGE_EVENT, DONE))
    trace = await rig.call(client)
    client.leave()
    await asyncio.sleep(0)
    assert (trace.error_type, trace.usage) == ("", COUNTED)


async def test_nothing_is_waited_for_after_the_end_marker() -> None:
    """The caller's stream ends with the end marker; a caller that then leaves has had everything."""
    client = streaming()
    rig = Rig(streamed(event(finish="stop"), USAGE_EVENT, DONE, asyncio.Event()))
    calling = asyncio.ensure_future(rig.call(client))
    await until_async(lambda: client.is_ended, "the stream has ended")
    client.leave()
    trace = await asyncio.wait_for(calling, 60)
    assert (trace.error_type, trace.usage, trace.attempts[0].error_type) == ("", COUNTED, "")


async def test_caller_gone_between_retries() -> None:
    """A wait between attempts ends with its caller."""
    rig = Rig(whole(503, b'{"error":{}}'))
    slow = make_target("acct/small", retry=RetryPolicy(5, 60_000, frozenset({503})))
    rig.current.snapshot = Snapshot("v2", 1, rig.current.snapshot.identity, Routing([slow]))
    client = caller_of()
    calling = asyncio.ensure_future(rig.call(client))
    await until_async(lambda: rig.upstream.requests, "the provider was asked")
    client.leave()
    trace = await asyncio.wait_for(calling, 60)
    assert (len(trace.attempts), trace.attempts[0].error_type) == (1, "503")
    assert trace.error_type == "client_disconnected"


# -- our own mistakes, and our own end


async def test_bug_is_a_500(caplog: pytest.LogCaptureFixture) -> None:
    """A bug of ours is answered in the caller's dialect, logged once, and tells nothing of itself."""
    client = caller_of("acct/small", ("x-request-id", "r-7"))
    with caplog.at_level(logging.ERROR):
        trace = await Rig(RuntimeError("canary")).call(client)
    assert (client.status, error_of(client)["code"]) == (500, "internal_error")
    assert b"canary" not in client.received
    assert [record.getMessage() for record in caplog.records] == [
        "request r-7 failed by a bug of the gateway"
    ]
    assert (trace.status_code, trace.is_span_error, trace.error_type) == (500, True, "internal_error")
    assert trace.attempts[0].end_ns > 0
    assert client.is_dropped  # as of every refusal: it may have come before the body was read


async def test_bug_in_a_stream_ends_it_with_an_error(caplog: pytest.LogCaptureFixture) -> None:
    """A stream that a bug breaks ends like any that breaks."""

    def fail() -> None:
        raise RuntimeError("canary")

    client = streaming()
    trace = await Rig(streamed(event(), fail)).call(client)
    assert last_error(client)["code"] == "internal_error"
    assert client.is_ended
    assert (trace.is_cut, trace.usage and trace.usage.source) == (True, "partial")


async def test_calls_that_are_cut_are_recorded() -> None:
    """What is still open when the worker must end is ended and recorded as cut."""
    rig = Rig(streamed(event(), asyncio.Event()), asyncio.Event())
    open_calls = [streaming(), caller_of()]
    tasks = [asyncio.ensure_future(rig.pipeline.call_model(client, CHAT)) for client in open_calls]
    await until_async(
        lambda: len(rig.upstream.requests) == 2 and open_calls[0].pieces, "both calls are under way"
    )
    assert rig.pipeline.open_count == 2
    await rig.pipeline.cut_open_calls()
    assert rig.pipeline.open_count == 0
    assert [task.cancelled() for task in tasks] == [True, True]
    assert [(trace.is_cut, trace.error_type) for trace in rig.records] == [(True, "gateway_shutdown")] * 2
    assert not open_calls[0].is_ended
    usages = [trace.usage.source for trace in rig.records if trace.usage]
    assert "partial" in usages


async def test_call_that_is_cut_in_a_retry_keeps_its_failures() -> None:
    """The end of the gateway is told as what it is, beside the provider's failure before it."""
    rig = Rig(UpstreamUnreachable("gone"), asyncio.Event())
    task = asyncio.ensure_future(rig.pipeline.call_model(caller_of("acct/retried"), CHAT))
    await until_async(lambda: len(rig.upstream.requests) == 2, "the second attempt is under way")
    await rig.pipeline.cut_open_calls()
    assert task.cancelled()
    trace = rig.settled()
    assert trace.error_type == "gateway_shutdown"
    assert trace.attempts[0].error_type == "upstream_unreachable"


async def _lasting(rig: Rig, client: FakeClient) -> asyncio.Task[None]:
    """A call whose stream has begun and goes on and on."""
    task = asyncio.ensure_future(rig.pipeline.call_model(client, CHAT))
    await until_async(lambda: bool(client.pieces), "the stream has begun")
    return task


async def test_what_goes_on_without_a_key_is_cut() -> None:
    """A stream may last for ever: it ends with its caller's key, and says so in its trace."""
    rig = Rig(streamed(event(), asyncio.Event()))
    client = streaming()
    task = await _lasting(rig, client)
    await rig.pipeline.cut_refused_calls(0.0)
    assert rig.pipeline.open_count == 1, "its key is good"
    rig.current.snapshot = Snapshot("v2", 1, Identity([]), Routing(TARGETS))
    await rig.pipeline.cut_refused_calls(0.0)
    await asyncio.wait([task], timeout=60)
    trace = rig.settled()
    assert (trace.status_code, trace.error_type) == (200, "invalid_api_key")
    assert not client.is_ended
    # No failure of the provider's, nor ours.
    assert not trace.is_span_error
    assert [attempt.error_type for attempt in trace.attempts] == ["client_disconnected"]
    assert trace.usage is not None
    assert trace.usage.source == "partial"


async def test_a_call_that_has_ended_is_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have been seen among the open ones just before: what its task does next is another's."""
    rig = Rig(streamed(event(finish="stop"), DONE))
    settlement: Any = None
    entered = rig.pipeline.entered

    def note(one: Any) -> Any:
        nonlocal settlement
        settlement = one
        return entered(one)

    monkeypatch.setattr(rig.pipeline, "entered", note)
    await rig.pipeline.call_model(streaming(), CHAT)
    assert settlement is not None
    assert not settlement.is_lasting(1 << 62)


async def test_a_call_without_a_reply_yet_is_not_cut() -> None:
    """It has bounds of its own, and an answer that says more."""
    go_on = asyncio.Event()
    rig = Rig(go_on, whole())
    client = caller_of()
    task = asyncio.ensure_future(rig.pipeline.call_model(client, CHAT))
    await until_async(lambda: len(rig.upstream.requests) == 1, "the call is under way")
    rig.current.snapshot = Snapshot("v2", 1, Identity([]), Routing(TARGETS))
    await rig.pipeline.cut_refused_calls(0.0)
    go_on.set()
    await task
    assert client.status == 200


async def test_a_young_stream_goes_on_without_its_key() -> None:
    """A model's answer comes to its end; only what lasts is looked at."""
    go_on = asyncio.Event()
    rig = Rig(streamed(event(), go_on, event(finish="stop"), DONE))
    client = streaming()
    task = await _lasting(rig, client)
    rig.current.snapshot = Snapshot("v2", 1, Identity([]), Routing(TARGETS))
    await rig.pipeline.cut_refused_calls(300.0)
    go_on.set()
    await task
    assert client.received.endswith(DONE)


async def test_cutting_nothing() -> None:
    """Without open calls there is nothing to wait for."""
    await Rig().pipeline.cut_open_calls()


# -- bodies


@pytest.mark.parametrize(
    ("model", "script"),
    [
        ("acct/forbidden", []),
        ("acct/retried", [UpstreamUnreachable("gone")] * 3),
        ("acct/retried", [UpstreamUnreachable("gone"), whole()]),
        ("acct/small", [streamed(event(), UpstreamTimeout("late"))]),
    ],
    ids=["refused", "failed", "rescued", "cut"],
)
async def test_a_call_that_failed_is_not_kept(model: str, script: list[Any]) -> None:
    """Nothing of it waits for the collector, which comes seldom: it has the body."""
    rig = Rig(*script)
    client = caller_of(model, stream=model == "acct/small")
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        await rig.call(client)
        assert client.status is not None
        rig.records.clear()
        rig.upstream = FakeUpstream()
        del client
        gc.collect()
        kept = [one for one in gc.garbage if isinstance(one, (Call, CallTrace, AttemptTrace))]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
    assert kept == []


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "br", "gzip, identity", "x" * 5000])
async def test_compressed_body_is_refused_unread(encoding: str) -> None:
    """A body that cannot be read is refused by the name of its encoding, before it is read."""
    client = caller_of("acct/small", ("content-encoding", encoding))
    await Rig(whole()).call(client)
    error = error_of(client)
    assert (client.status, error["param"]) == (400, "content-encoding")
    assert encoding[:40] in error["message"]
    assert len(error["message"]) < 200
    assert not client.was_read


@pytest.mark.parametrize("encoding", ["identity", "Identity", ""])
async def test_plain_body_may_say_so(encoding: str) -> None:
    """`identity` is no encoding."""
    client = caller_of("acct/small", ("content-encoding", encoding))
    await Rig(whole()).call(client)
    assert client.status == 200


# -- headers


async def test_good_reply_survives_a_header_that_cannot_be_sent() -> None:
    """A control byte in a provider's header costs that header, not the answer."""
    client = caller_of()
    broken = {
        **JSON,
        "x-ratelimit-limit-requests": "5\x01",
        "openai-organization": "\x00",
        "retry-after": "7",
    }
    await Rig(whole(headers=broken)).call(client)
    assert (client.status, client.received) == (200, ANSWER)
    assert client.header("x-request-id")
    assert client.header("traceparent")
    assert client.header("retry-after") == "7"
    assert client.header("openai-organization") is None


async def test_response_headers() -> None:
    """Each response names its request, its trace, its model, and where the time went."""
    rig = Rig(whole())
    client = caller_of(
        "acct/small",
        ("x-request-id", "r-7"),
        ("x-tfy-metadata", "{}"),
        ("x-tfy-guardrails", "{}"),
        ("x-tfy-api-key", TOKEN),
    )
    trace = await rig.call(client)
    assert client.header("x-request-id") == "r-7"
    assert client.header("traceparent") == format_traceparent(trace.trace_id, trace.span_id, 3)
    assert client.header("x-tfy-resolved-model") == "acct/small"
    assert client.header("x-tfy-ignored-headers") == "x-tfy-guardrails"
    timing = client.header("server-timing") or ""
    names = [part.partition(";")[0] for part in timing.split(", ")]
    assert names == ["auth", "route", "limit", "upstream", "overhead", "total", "attempts"]


async def test_timing_of_the_route_is_not_less_for_retries() -> None:
    """A pause between retries lies behind the routing, so it is not taken from its time."""
    rig = Rig(UpstreamUnreachable("gone"), whole())
    client = caller_of("acct/retried")
    trace = await rig.call(client)
    assert trace.paused_ns > 0
    trace.identified_ns, trace.planned_ns = trace.start_ns + 1_000_000, trace.start_ns + 8_000_000
    trace.body_ns, trace.paused_ns = 2_000_000, 60_000_000_000
    assert b"route;dur=5.0" in trace.server_timing()


async def test_no_ignored_headers() -> None:
    """A header about ignored headers is sent only where there are some."""
    client = caller_of()
    await Rig(whole()).call(client)
    assert client.header("x-tfy-ignored-headers") is None


@pytest.mark.parametrize(
    ("given", "is_taken"),
    [
        pytest.param("a", True, id="one character"),
        pytest.param("x" * 128, True, id="longest"),
        pytest.param("x" * 129, False, id="too long"),
        pytest.param("", False, id="empty"),
        pytest.param("a b", False, id="space"),
        pytest.param("a\x7f", False, id="control character"),
        pytest.param("é", False, id="not ASCII"),
    ],
)
async def test_request_id(given: str, *, is_taken: bool) -> None:
    """A caller's request id is taken if it is at most 128 visible ASCII characters, else one is made."""
    client = caller_of("acct/small", ("x-request-id", given))
    await Rig(whole()).call(client)
    assert (client.header("x-request-id") == given) is is_taken
    assert client.header("x-request-id")


@pytest.mark.parametrize(
    ("text", "timeout_s"),
    [("1", 0.001), ("30000", 30.0), ("007", 0.007)],
)
async def test_request_timeout(text: str, timeout_s: float) -> None:
    """`x-tfy-request-timeout` is in milliseconds and holds for the exchange."""
    rig = Rig(whole())
    await rig.call(caller_of("acct/small", ("x-tfy-request-timeout", text)))
    assert rig.upstream.requests[0].timeout_s == timeout_s


@pytest.mark.parametrize(
    "text", ["0", "-1", "1.5", "1e3", "", "soon", "²", "Ù£", "9" * 400, "9" * 5000, "0" * 5000 + "5", "5, 5"]
)
async def test_request_timeout_that_is_none(text: str) -> None:
    """Anything but a positive whole number is refused by name."""
    client = caller_of("acct/small", ("x-tfy-request-timeout", text))
    await Rig(whole()).call(client)
    assert (client.status, error_of(client)["param"]) == (400, "x-tfy-request-timeout")


async def test_model_from_headers() -> None:
    """`x-tfy-provider-name` and `x-tfy-model-name` name a model, too."""
    rig = Rig(whole())
    client = FakeClient(
        BEARER, ("x-tfy-provider-name", "acct"), ("x-tfy-model-name", "small"), body=b'{"messages":[]}'
    )
    trace = await rig.call(client)
    assert (client.status, trace.call and trace.call.model) == (200, "acct/small")


async def test_trace_goes_on_to_providers_of_ones_own() -> None:
    """An account that takes part in the trace gets the attempt's span as parent, and the caller's state."""
    rig = Rig(whole())
    parent = f"00-{'a' * 32}-{'b' * 16}-01"
    trace = await rig.call(caller_of("lab/own", ("traceparent", parent), ("tracestate", "v=1")))
    headers = dict(rig.upstream.requests[0].headers)
    assert headers["traceparent"] == f"00-{'a' * 32}-{trace.attempts[0].span_id.hex()}-01"
    assert headers["tracestate"] == "v=1"


# -- other requests


async def test_list_of_models() -> None:
    """A caller is shown the models it may use and that can be used."""
    rig = Rig()
    client = FakeClient(BEARER, route="/v1/models", method="GET")
    await rig.pipeline.list_models(client)
    assert [item["id"] for item in json.loads(client.received)["data"]] == [
        "acct/claude",
        "acct/claude-retried",
        "acct/gemini",
        "acct/retried",
        "acct/small",
        "acct/strict",
        "lab/own",
    ]
    assert (rig.settled().status_code, client.header("x-tfy-resolved-model")) == (200, None)


async def test_what_the_dashboard_lists_is_recorded_nowhere() -> None:
    """Its playground asks by itself; what somebody calls from there is a call like any other."""
    rig = Rig()
    caller = replace(make_caller(*ALLOWED), is_dashboard=True)
    rig.current.snapshot = replace(rig.current.snapshot, identity=Identity([make_credential(TOKEN, caller)]))
    client = FakeClient(BEARER, route="/v1/models", method="GET")
    await rig.pipeline.list_models(client)
    assert (client.status, rig.records, rig.pipeline.open_count) == (200, [], 0)
    await rig.call(caller_of())


async def test_list_of_models_wants_a_token() -> None:
    """The list is for callers only."""
    rig = Rig()
    client = FakeClient(route="/v1/models", method="GET")
    await rig.pipeline.list_models(client)
    assert client.status == 401
    assert rig.settled().error_type == "invalid_api_key"


async def test_embedding() -> None:
    """An embedding goes to its own path."""
    rig = Rig(whole(body=b'{"data":[{"embedding":[1]}],"usage":{"prompt_tokens":3}}'))
    client = caller_of()
    await rig.pipeline.call_model(client, EMBEDDING)
    assert client.status == 200
    assert rig.upstream.requests[0].url.endswith("/v1/embeddings")
    assert rig.settled().usage == Usage(3, None, "provider")


async def test_request_keeps_its_snapshot() -> None:
    """A configuration that changes while a call is under way does not change that call."""
    go_on = asyncio.Event()
    rig = Rig(go_on, whole())
    client = caller_of()
    calling = asyncio.ensure_future(rig.call(client))
    await until_async(lambda: rig.upstream.requests, "the provider was asked")
    rig.current.snapshot = Snapshot("v2", 2, Identity([]), Routing([]))
    go_on.set()
    trace = await calling
    assert (client.status, trace.config_version) == (200, "v1")


MESSAGE: Final = json.dumps(
    {
        "id": "msg_1",
        "type": "message",
        "model": "claude-1",
        "content": [{"type": "text", "text": "hi"}],
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 3, "output_tokens": 4},
    }
).encode()


async def test_another_dialect() -> None:
    """A chat call for Anthropic: its path, its words, the answer in the caller's, what was left out named."""
    rig = Rig(whole(body=MESSAGE))
    client = caller_of("acct/claude", seed=1)
    trace = await rig.call(client)
    (request,) = rig.upstream.requests
    assert request.url == "https://api.test/v1/messages"
    assert json.loads(request.body)["max_tokens"] == 8192
    assert json.loads(client.received)["choices"][0]["message"]["content"] == "hi"
    assert client.header("x-tfy-dropped-params") == "seed"
    assert trace.usage == COUNTED


async def test_names_of_what_was_left_out_stay_in_their_header() -> None:
    """They are the caller's words: no line break of theirs begins a header, and they have a bound."""
    rig = Rig(whole(body=MESSAGE))
    client = caller_of("acct/claude", **{"a\r\nset-cookie: b": 1, "ü": 1, "z" * 600: 1})
    await rig.call(client)
    told = client.header("x-tfy-dropped-params") or ""
    assert told.startswith("a??set-cookie: b, ?, zzz")
    assert (len(told), client.status, client.header("set-cookie")) == (512, 200, None)


async def test_what_a_target_may_not_leave_out() -> None:
    """Where the operator wants it refused, no call is made."""
    rig = Rig()
    client = caller_of("acct/strict", seed=1)
    trace = await rig.call(client)
    assert (client.status, error_of(client)["code"], error_of(client)["param"]) == (
        400,
        "unsupported_parameter",
        "seed",
    )
    assert rig.upstream.requests == []
    assert [attempt.error_type for attempt in trace.attempts] == ["unsupported_parameter"]


async def test_errors_for_callers_of_messages() -> None:
    """Ours and the provider's have Anthropic's shape, and the id is where its SDK looks for it."""
    rig = Rig(whole(429, b'{"error":{"message":"slow"}}', {**JSON, "retry-after": "3"}))
    client = caller_of()
    await rig.pipeline.call_model(client, MESSAGES)
    assert (client.status, client.header("retry-after")) == (429, "3")
    assert error_of(client) == {"type": "rate_limit_error", "message": "slow"}
    assert client.header("request-id") == client.header("x-request-id")
    client = FakeClient(("x-api-key", "wrong"))
    await rig.pipeline.call_model(client, MESSAGES)
    assert json.loads(client.received)["error"]["type"] == "authentication_error"


@pytest.mark.parametrize(("header", "expected"), [({}, "35"), ({"retry-after": "9"}, "9")])
async def test_when_to_try_again(header: dict[str, str], expected: str) -> None:
    """Said in the error's body it becomes the header that SDKs look for; a header of the provider wins."""
    detail = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"}
    error = {"code": 429, "message": "slow", "status": "RESOURCE_EXHAUSTED", "details": [detail]}
    rig = Rig(whole(429, json.dumps({"error": error}).encode(), {**JSON, **header}))
    client = caller_of("acct/gemini")
    await rig.call(client)
    assert (client.status, client.header("retry-after")) == (429, expected)
    assert error_of(client)["code"] == "rate_limit_exceeded"


async def test_what_a_target_cannot_do_is_no_attempt() -> None:
    """Nothing was sent, so no span and no header says that anything was tried."""
    rig = Rig()
    client = caller_of("acct/claude")
    await rig.pipeline.call_model(client, EMBEDDING)
    trace = rig.settled()
    assert (client.status, trace.attempts, rig.upstream.requests) == (400, [], [])
    assert client.header("x-tfy-resolved-model") is None
    assert error_of(client)["code"] == "unsupported_parameter"


async def test_an_overloaded_anthropic_is_tried_again() -> None:
    """529 counts as 503 for callers of chat, so the same policy holds."""
    overloaded = whole(529, b'{"type":"error","error":{"type":"overloaded_error","message":"busy"}}')
    rig = Rig(overloaded, whole(body=MESSAGE))
    client = caller_of("acct/claude-retried")
    trace = await rig.call(client)
    assert client.status == 200
    assert [attempt.status_code for attempt in trace.attempts] == [529, 200]


def test_further_models_are_not_looked_for_in_vain() -> None:
    """Who may use the accounts as a whole may name any model: the tools of an agent are not read for that."""

    class Unread(dict[str, msgspec.Raw]):
        def get(self, *_: object) -> msgspec.Raw:
            raise AssertionError("it was read")

    fields = Unread(tools=msgspec.Raw(b'[{"type":"image_generation","model":"big"}]'))
    plan = Plan((make_target(), make_target("gem/pro", dialect="gemini")), ("acct/small", "gem/pro"))
    whole = replace(make_caller("acct/small"), accounts=frozenset({"acct"}))
    check_further(fields, "openai", plan, whole, Accounts(plan.targets))
    with pytest.raises(ModelNotAllowed):
        check_further(dict(fields), "openai", plan, make_caller("acct/small"), Accounts(plan.targets))


async def test_list_of_models_for_anthropic() -> None:
    """By its headers its SDK gets the list that it reads."""
    rig = Rig()
    client = FakeClient(("x-api-key", TOKEN), route="/v1/models", method="GET")
    await rig.pipeline.list_models(client)
    assert json.loads(client.received)["first_id"] == "acct/claude"


@pytest.mark.parametrize("headers", [(), (("anthropic-version", "2023-06-01"),)], ids=["openai", "anthropic"])
@pytest.mark.parametrize("name", ["vm/chat", "chat"])
async def test_a_virtual_model_is_shown(name: str, headers: tuple[tuple[str, str], ...]) -> None:
    """By any of its names, under its full one, which lists have as well."""
    route = make_route("vm/chat", make_target())
    listed = ListedModel("vm/chat", "vm", frozenset({"chat"}))
    rig = Rig()
    rig.current.snapshot = Snapshot(
        "v1",
        1,
        Identity([make_credential(TOKEN, make_caller("vm/chat"))]),
        Routing(TARGETS, make_routes(route, chat=route), virtual=[listed]),
    )
    client = FakeClient(BEARER, *headers, method="GET", path=f"/v1/models/{name}")
    await rig.pipeline.show_model(client, name)
    assert (client.status, json.loads(client.received)["id"]) == (200, "vm/chat")
    client = FakeClient(BEARER, *headers, method="GET", path="/v1/models/acct/small")
    await rig.pipeline.show_model(client, "acct/small")
    assert client.status == 404
