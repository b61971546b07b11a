"""Passing on, between doubles: every way out answers once and settles once.

Whom a call goes to, forms and streams are tested against real sockets (tests/e2e/test_passing_through.py).
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import gzip
import json
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, Final

import pytest

from gateway.endpoints.anthropic_paths import find_anthropic_path
from gateway.endpoints.long_json import MAX_THINGS
from gateway.endpoints.openai_paths import PROXY, find_openai_path
from gateway.errors import (
    BodyTimeout,
    BodyTooLarge,
    ClientDisconnected,
    GatewayError,
    InvalidBody,
    InvalidFraming,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from gateway.identity.tokens import Identity
from gateway.limits.limiter import Limiter
from gateway.limits.permit import LimitPolicy
from gateway.model import (
    AttemptObserver,
    AwsSigning,
    Caller,
    Passage,
    RetryPolicy,
    UpstreamReply,
    Usage,
)
from gateway.pass_through import Asked, PassThrough, names_account
from gateway.passed_body import MAX_HEAD_BYTES
from gateway.pipeline import CurrentSnapshot, Pipeline
from gateway.pricing import price
from gateway.routing.accounts import Accounts
from gateway.routing.direct import Routing, Rules
from gateway.routing.route import Candidate, Route
from gateway.routing.sessions import Identifier, Sessions, Sticky
from gateway.routing.stored import fingerprint
from gateway.routing.weighted import Weighted
from gateway.snapshot import Snapshot
from gateway.store.counter_table import counters_in_memory
from gateway.store.shared_table import table_in_memory
from gateway.telemetry.call_trace import CallTrace
from tests.unit.doubles import FakeClient, FakeHealth, FakeObserver, FakeReply, FakeUpstream, Instead
from tests.unit.limits.limits import budget_of, limit_of, policy_of
from tests.unit.makers import (
    FALLING_BACK,
    KEY,
    TOKEN,
    TokenPrice,
    make_credential,
    make_route,
    make_routes,
    make_target,
)

BEARER = ("authorization", f"Bearer {TOKEN}")
JSON = {"content-type": "application/json"}
JSON_BODY = ("content-type", "application/json")
BYTES = {"content-type": "application/octet-stream"}
EVENTS = {"content-type": "text/event-stream"}
AZURE = "https://azure.test/openai"
TARGETS = (
    make_target("az/small", base_url=f"{AZURE}/deployments/small", account_url=AZURE, query="?api-version=1"),
    make_target(),
    make_target("retried/small", retry=RetryPolicy(2, 0, frozenset({502, 503, 504}))),
    make_target("narrow/small"),
    make_target("claude/small", dialect="anthropic"),
    make_target("aws/nova", dialect="converse", signing=AwsSigning("bedrock", "us-east-1", "id", "secret")),
    make_target(
        "loud/whisper",
        model_id="whisper-9",
        base_url="https://loud.test/v1",
        price=TokenPrice(),
        price_of={"dear": price.TokenPrice(price.Rates(100_000, 100_000))}.get,
    ),
)
BY_NAME = {target.name: target for target in TARGETS}
SOUND = make_route(
    "vm/sound",
    make_target("acct/small", retry=RetryPolicy(1, 0, frozenset({503}))),
    BY_NAME["claude/small"],
    BY_NAME["loud/whisper"],
)
ROUTES = make_routes(SOUND, make_route("vm/own", BY_NAME["loud/whisper"]), sound=SOUND)


class Unreachable(FakeUpstream):
    """One whose first providers cannot be reached: of what they were to get nothing is read."""

    def __init__(
        self, *script: FakeReply | GatewayError | Exception | asyncio.Event, unreachable: int
    ) -> None:
        super().__init__(*script)
        self._unreachable = unreachable

    async def pass_on(self, passage: Passage) -> UpstreamReply:
        if self._unreachable:
            self._unreachable -= 1
            self.passages.append(passage)
            raise UpstreamUnreachable("no connection")
        return await super().pass_on(passage)


class Rig:
    """A pass-through between doubles, and what it recorded."""

    def __init__(
        self,
        *script: FakeReply | GatewayError | Exception | asyncio.Event,
        unreachable: int = 0,
        rules: Rules | None = None,
        health: AttemptObserver | None = None,
        routes: Mapping[str, Route] = ROUTES,
        sessions: Sessions | None = None,
        limits: LimitPolicy | None = None,
        max_body_bytes: int = 1000,
    ) -> None:
        self.upstream = Unreachable(*script, unreachable=unreachable)
        self.records: list[CallTrace] = []
        caller = Caller(
            "app",
            frozenset((*BY_NAME, *routes)),
            frozenset({"acct", "retried", "az", "loud", "aws"}),
            tags={"team": "ml"},
        )
        snapshot = Snapshot(
            "v1",
            1,
            Identity([make_credential(TOKEN, caller)]),
            Routing(TARGETS, routes, rules),
            accounts=Accounts(TARGETS),
            limits=limits,
        )
        pipeline = Pipeline(
            CurrentSnapshot(snapshot),
            self.upstream,
            self.records.append,
            max_body_bytes=max_body_bytes,
            random=Random(7),
            health=health,
            sessions=sessions,
            limiter=Limiter(counters_in_memory()),
        )
        self.passing = PassThrough(
            pipeline, self.upstream, max_body_bytes=max_body_bytes, max_upload_bytes=2 * MAX_HEAD_BYTES
        )

    async def call(self, client: FakeClient, *, account: str = "acct", path: str = "") -> CallTrace:
        path = path or client.path.removeprefix("/v1")
        endpoint = find_openai_path(path) or find_anthropic_path(path)
        asked = (
            Asked(PROXY, path, f"/proxy/{account}", account, dialect=None)
            if endpoint is None
            else Asked(endpoint, path, "/v1", account, dialect=endpoint.dialect)
        )
        return await self._serve(client, asked)

    async def call_unknown(self, client: FakeClient, *, account: str) -> CallTrace:
        """The same below `/proxy`, whatever the path is."""
        return await self._serve(
            client, Asked(PROXY, client.path, f"/proxy/{account}", account, dialect=None)
        )

    async def _serve(self, client: FakeClient, asked: Asked) -> CallTrace:
        client.route = asked.endpoint.route
        await self.passing.serve(client, asked)
        (trace,) = self.records
        assert all(trace.end_ns >= attempt.end_ns >= attempt.start_ns for attempt in trace.attempts)
        return trace


def fetch(path: str = "/v1/files/f-1/content", *headers: tuple[str, str]) -> FakeClient:
    return FakeClient(BEARER, *headers, method="GET", path=path)


async def test_given_metadata() -> None:
    """What a caller is given is over what it writes."""
    client = fetch("/v1/files/f-1", ("x-tfy-metadata", '{"env":"dev","team":"mine"}'))
    trace = await Rig(FakeReply(200, JSON, b"{}")).call(client)
    assert trace.notes.metadata == {"team": "ml", "env": "dev"}


async def test_url_of_the_account_or_of_the_model() -> None:
    """Where each model has a URL a form goes to that, a file to the account's; so do redirects."""
    form = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\naz/small\r\n--b--\r\n'
    sound = FakeClient(
        BEARER,
        ("content-type", "multipart/form-data; boundary=b"),
        body=form,
        path="/v1/audio/transcriptions",
    )
    for client, below in ((sound, f"{AZURE}/deployments/small"), (fetch("/v1/files/f-1"), AZURE)):
        path = client.path.removeprefix("/v1")
        rig = Rig(FakeReply(307, {"location": f"{below}{path}/x"}))
        await rig.call(client, account="az")
        assert rig.upstream.passages[0].url == f"{below}{path}?api-version=1"
        assert client.header("location") == f"/v1{path}/x"


async def test_bytes() -> None:
    """They go out as they come, with their length and kind."""
    reply = FakeReply(200, BYTES | {"content-length": "4"}, b"ab", b"cd")
    client = fetch()
    trace = await Rig(reply).call(client)
    assert (client.status, client.pieces, client.is_ended) == (200, [b"ab", b"cd"], True)
    assert (client.header("content-type"), client.header("content-length")) == (BYTES["content-type"], "4")
    assert (trace.is_error, reply.is_closed) == (False, True)


async def test_what_is_left_of_a_body() -> None:
    """A provider may answer before it has heard everything: the rest is taken in when the call has ended."""

    class Sending(FakeClient):
        async def drop_body(self) -> None:
            assert (self.status, self.is_ended, len(rig.records)) == (413, True, 1)
            await super().drop_body()

    rig = Rig(FakeReply(413, JSON, b'{"error":{"message":"too big"}}'))
    client = Sending(BEARER, ("content-type", "video/mp4"), pieces=[b"a", b"b"], path="/v1/files")
    await rig.call(client)
    assert client.is_dropped


async def test_body_that_is_signed() -> None:
    """All of it is held before any goes out, and counts as held; one that leaves meanwhile is noticed."""
    picture = b"x" * (MAX_HEAD_BYTES + 1)
    rig = Rig(FakeReply(200, JSON, b"{}"))
    client = FakeClient(BEARER, body=picture, path="/model/nova/invoke")
    trace = await rig.call(client, account="aws")
    assert (client.status, trace.held_bytes, rig.upstream.passages[0].body) == (200, len(picture), picture)
    client = FakeClient(BEARER, body=picture, path="/model/nova/invoke")
    rig = Rig(FakeReply(200, JSON, client.leave, asyncio.Event()))
    trace = await rig.call(client, account="aws")
    assert (trace.status_code, trace.error_type) == (499, "client_disconnected")
    client = FakeClient(BEARER, body=b"x" * (2 * MAX_HEAD_BYTES + 1), pieces=[b"x"], path="/model/x/y")
    assert (await Rig().call(client, account="aws")).status_code == 413


BIG = b'{"model":"acct/big","image":"x"}'
NAMED = ("x-tfy-model-name", "acct/small")


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        pytest.param([("content-type", "application/json")], b"\xef\xbb\xbf" + BIG, id="behind a mark"),
        pytest.param([("content-type", "application/json")], BIG.decode().encode("utf-16"), id="UTF-16"),
        pytest.param([("content-type", "application/json")], BIG[:-1] + b',"n":NaN}', id="no JSON to us"),
        pytest.param([("content-type", "application/json")], b"[" + BIG + b"]", id="no object"),
        pytest.param([("content-type", "application/json")], b'{"model":["acct/big"]}', id="no text"),
        pytest.param(
            [("content-type", "application/json"), ("content-encoding", "gzip")],
            gzip.compress(BIG),
            id="gzip",
        ),
        pytest.param(
            [("content-type", "application/x-www-form-urlencoded")], b"model=big&image=x", id="form"
        ),
        pytest.param([("content-type", "text/plain")], BIG, id="another kind"),
        pytest.param([], b"model=big", id="no kind"),
        pytest.param(
            [("content-type", "multipart/form-data; boundary=b"), ("content-encoding", "gzip")],
            b"--b\r\n",
            id="gzip form",
        ),
    ],
)
async def test_body_that_may_name_another_model(headers: list[tuple[str, str]], body: bytes) -> None:
    """A header names the model, and the right to it is enough: what a provider might read is refused then."""
    client = FakeClient(BEARER, NAMED, *headers, body=body, path="/v1/images/edits")
    rig = Rig()
    await rig.call(client, account="")
    assert (client.status, rig.upstream.passages) == (400, [])


@pytest.mark.parametrize("headers", [[NAMED], []])
async def test_model_that_is_named_twice(headers: list[tuple[str, str]]) -> None:
    """What is looked at is what goes out, whichever of two members counts."""
    body = b'{"model": "big", "image": "x", "model": "acct/small"}'
    client = FakeClient(BEARER, JSON_BODY, *headers, body=body, path="/v1/images/edits")
    rig = Rig(FakeReply(200, JSON, b'{"data":[]}'))
    await rig.call(client, account="")
    assert (client.status, rig.upstream.passages[0].body) == (200, b'{"model":"small-1","image":"x"}')
    body = b'{"model": "big", "model": "small-1"}'
    client = FakeClient(BEARER, JSON_BODY, NAMED, body=body, path="/v1/images/edits")
    rig = Rig(FakeReply(200, JSON, b'{"data":[]}'))
    await rig.call(client, account="")
    assert rig.upstream.passages[0].body == b'{"model":"small-1"}'


@pytest.mark.parametrize("more", ['"fallbacks":["large-9"]', '"models":["small-1","large-9"]'])
async def test_models_beside_that_of_a_call(more: str) -> None:
    """Each needs its own right, or that to the account, also where the path is that of a form."""
    statuses = []
    for name in ("narrow/small", "acct/small"):
        client = FakeClient(
            BEARER, JSON_BODY, body=f'{{"model":"{name}",{more}}}'.encode(), path="/v1/images/edits"
        )
        rig = Rig(FakeReply(200, JSON, b'{"data":[]}'))
        await rig.call(client, account="")
        statuses.append((client.status, len(rig.upstream.passages)))
    assert statuses == [(403, 0), (200, 1)]


async def test_json_is_read_in_passing() -> None:
    """Its usage counts where the call has spent it, and not where it is told of again."""
    body = json.dumps({"id": "x-1", "usage": {"input_tokens": 3, "output_tokens": 4}}).encode()
    for method, is_counted in (("POST", True), ("GET", False)):
        client = FakeClient(BEARER, method=method, path="/v1/threads/t/runs")
        trace = await Rig(FakeReply(200, JSON, body[:9], body[9:])).call(client)
        assert (client.received, trace.attempts[0].response_id) == (body, "x-1")
        assert (trace.attempts[0].usage is not None) is is_counted


@pytest.mark.parametrize(
    ("path", "object_id", "is_counted"),
    [
        ("/v1/chat/completions/chatcmpl-1", "chatcmpl-1", False),
        ("/v1/chat/completions/chatcmpl-1", "chatcmpl-2", True),
        ("/v1/chat/completions/batch", "batch", True),
        ("/v1/threads/thread_1/runs", "run_1", True),
        ("/v1/threads/thread_1/runs/run_1", "run_1", False),
        ("/v1/threads/thread_1/runs/run_1/cancel", "run_1", False),
        ("/v1/threads/thread_1/runs/run_1/submit_tool_outputs", "run_1", True),
        ("/v1/responses/resp_1/cancel", "resp_1", False),
        ("/v1/responses/resp_1/cancel/", "resp_1", False),
        ("/other/openai/v1/responses/resp_1/cancel/", "resp_1", False),
        ("/other/openai/v1/chat/completions/chatcmpl-1/", "chatcmpl-1", False),
        ("/other/openai/v1/responses/", "resp_1", True),
        ("/v1/responses/resp_1/cancel", "resp_2", True),
        ("/other/openai/v1/responses/resp_1/cancel", "resp_1", False),
        ("/other/openai/v1/chat/completions/chatcmpl-1", "chatcmpl-1", False),
        ("/other/openai/v1/chat/completions", "chatcmpl-1", True),
        ("/other/openai/v1/chat/cancel", "chat", True),
    ],
)
async def test_what_is_told_again(path: str, object_id: str, *, is_counted: bool) -> None:
    """What is cancelled, or has its notes changed, was counted when it was made, on whatever path that is."""
    usage = {"input_tokens": 3, "output_tokens": 4}
    body = json.dumps({"id": object_id, "usage": usage}).encode()
    client = FakeClient(BEARER, method="POST", path=path)
    trace = await Rig(FakeReply(200, JSON, body)).call(client)
    assert (trace.attempts[0].usage is not None) is is_counted


@pytest.mark.parametrize(("method", "is_counted"), [("POST", True), ("GET", False)])
async def test_usage_of_json_that_is_too_long_to_be_held(method: str, *, is_counted: bool) -> None:
    """It is read from what passes: a picture is megabytes, and what it used stands behind it."""
    picture = b'{"data": [{"b64_json": "%b"}], ' % (b"A" * 2 * MAX_HEAD_BYTES)
    usage = b'"model": "whisper-9-2026-01-01", "usage": {"input_tokens": 3, "output_tokens": 4}}'
    reply = FakeReply(200, JSON, picture, usage)
    client = FakeClient(BEARER, method=method, path="/v1/images/things")
    trace = await Rig(reply, limits=policy_of(budget_of(1))).call(client, account="loud")
    (attempt,) = trace.attempts
    assert (client.received, client.is_ended) == (picture + usage, True)
    assert (attempt.usage is not None, attempt.cost_usd) == (is_counted, 11e-6 if is_counted else None)


@pytest.mark.parametrize(("model", "cost_usd"), [("whisper-9-2026-01-01", 11e-6), ("other", None)])
async def test_the_model_that_answered_is_paid_for(model: str, cost_usd: float | None) -> None:
    """What an account is asked for costs what the model does that the reply tells, where it has a price."""
    usage = {"prompt_tokens": 3, "completion_tokens": 4}
    body = json.dumps({"id": "x-1", "model": model, "usage": usage}).encode()
    trace = await Rig(FakeReply(200, JSON, body), limits=policy_of(budget_of(1))).call(
        FakeClient(BEARER, method="POST", path="/v1/threads/t/runs"), account="loud"
    )
    assert trace.attempts[0].cost_usd == cost_usd


FORM_OF_B = "multipart/form-data; boundary=b"
SAID = b'data: {"id":"x-1","model":"whisper-9","choices":[{"index":0,"delta":{"content":"hi"}}]}\n\n'
TOLD = b'data: {"choices":[],"usage":{"prompt_tokens":6,"completion_tokens":3}}\n\ndata: [DONE]\n\n'


@pytest.mark.parametrize(
    ("end", "usage"),
    [
        pytest.param((TOLD,), Usage(6, 3, "provider"), id="told"),
        pytest.param((), Usage(4, 2, "estimated"), id="not told"),
        pytest.param((None,), Usage(4, 2, "partial"), id="the caller leaves"),
        pytest.param((UpstreamUnreachable("gone"),), Usage(4, 2, "partial"), id="the provider leaves"),
    ],
)
async def test_stream_of_a_path_that_is_not_known(
    end: tuple[bytes | GatewayError | None, ...], usage: Usage
) -> None:
    """It counts against limits and budgets: what it tells, else an estimate of what has passed."""
    client = FakeClient(BEARER, body=b"x" * 16, path="/v2/chat/completions")
    steps = [client.leave if step is None else step for step in end]
    more = [asyncio.Event()] if None in end else []
    rig = Rig(
        FakeReply(200, EVENTS, SAID, SAID, *steps, *more),
        FakeReply(200, JSON, b"{}"),
        limits=policy_of(budget_of(1), limit_of("tokens", 100)),
    )
    trace = await rig.call(client, account="loud")
    attempt = trace.attempts[0]
    assert (attempt.usage, attempt.response_model) == (usage, "whisper-9")
    assert attempt.cost_usd == TokenPrice().cost_usd(usage)
    assert client.received == SAID * 2 + (TOLD if TOLD in end else b"")
    rig.records.clear()
    after = FakeClient(BEARER, body=b"x", path="/v2/chat/completions")
    await rig.call(after, account="loud")
    # One is what a call takes of which nothing can be said before.
    left_tokens = 100 - (usage.input_tokens or 0) - (usage.output_tokens or 0) - 1
    assert after.header("x-ratelimit-remaining-tokens") == str(left_tokens)


class Undeclared(FakeClient):
    """One that does not say how long its body is."""

    declared_bytes = None


@pytest.mark.parametrize(
    ("kind", "tokens"),
    [("application/json", 1000), ("text/plain", 1000), (None, 1000), ("Audio/wav", 8), (FORM_OF_B, 8)],
)
@pytest.mark.parametrize("declared_bytes", [None, 4000])
async def test_length_of_what_was_asked(kind: str | None, tokens: int, declared_bytes: int | None) -> None:
    """An estimate counts what was sent, also if nobody said before how much; of sound as limits do."""
    headers = [BEARER] if kind is None else [BEARER, ("content-type", kind)]
    pieces = [b"x" * 1000] * 4
    client = FakeClient(*headers, body=b"".join(pieces), path="/v2/x")
    if declared_bytes is None:
        client = FakeClient(*headers, pieces=pieces, path="/v2/x")
    trace = await Rig(FakeReply(200, EVENTS, SAID)).call(client)
    assert trace.attempts[0].usage == Usage(tokens, 1, "estimated")
    # What is signed is held, and was not declared either.
    client = Undeclared(*headers, body=b"".join(pieces), path="/v2/x")
    trace = await Rig(FakeReply(200, EVENTS, SAID)).call_unknown(client, account="aws")
    assert trace.attempts[0].usage == Usage(tokens, 1, "estimated")


@pytest.mark.parametrize(
    ("path", "body", "cost_usd"),
    [
        ("/v1/images/generations", b'{"model":"whisper-9","prompt":"x"}', 11e-6),
        ("/v1/images/generations", b'{"model":"other"}', None),
        ("/v1/images/generations", b"whisper-9", None),
        ("/model/whisper-9/converse", b"{}", 11e-6),
        ("/model/whisper%2D9-2026-01-01/converse", b"", 11e-6),
        ("/v1beta/models/whisper-9:generate", b"{}", 11e-6),
        ("/v1beta/models/whisper:generate", b"{}", None),
    ],
)
async def test_reply_that_names_no_model(path: str, body: bytes, cost_usd: float | None) -> None:
    """It costs what the model does that the call names, in its path or its body."""
    reply = FakeReply(200, JSON, b'{"usage": {"prompt_tokens": 3, "completion_tokens": 4}}')
    client = FakeClient(BEARER, JSON_BODY, body=body, path=path)
    trace = await Rig(reply, limits=policy_of(budget_of(1))).call_unknown(client, account="loud")
    assert trace.attempts[0].cost_usd == cost_usd


@pytest.mark.parametrize(("asked", "cost_usd"), [("whisper-9", 11e-6), ("other", None)])
async def test_reply_that_names_a_model_without_a_price(asked: str, cost_usd: float | None) -> None:
    """It costs what the model does that the call names, so that a budget does not miss it."""
    usage = {"prompt_tokens": 3, "completion_tokens": 4}
    reply = FakeReply(200, JSON, json.dumps({"model": "other", "usage": usage}).encode())
    body = json.dumps({"model": asked}).encode()
    client = FakeClient(BEARER, JSON_BODY, body=body, path="/v1/images/generations")
    trace = await Rig(reply, limits=policy_of(budget_of(1))).call_unknown(client, account="loud")
    assert trace.attempts[0].cost_usd == cost_usd


async def test_what_another_model_did_beside_the_answer() -> None:
    """Its own price is paid for it, whether the account lists the model or not."""
    beside = {"type": "advisor_message", "model": "dear", "input_tokens": 30, "output_tokens": 40}
    usage = {"input_tokens": 3, "output_tokens": 4, "cache_read_input_tokens": 0, "iterations": [beside]}
    reply = FakeReply(200, JSON, json.dumps({"model": "whisper-9", "usage": usage}).encode())
    trace = await Rig(reply, limits=policy_of(budget_of(1))).call(
        FakeClient(BEARER, method="POST", path="/v1/threads/t/runs"), account="loud"
    )
    assert trace.attempts[0].cost_usd == pytest.approx(11e-6 + 7)


async def test_long_json_is_passed_on() -> None:
    """It is not held beyond the bound."""
    pieces = [b"[" + b"1," * 400_000] * 3
    client = fetch("/v1/files")
    await Rig(FakeReply(200, JSON, *pieces)).call(client)
    assert client.received == b"".join(pieces)
    assert len(client.pieces) > 1


@pytest.mark.parametrize("kind", [BYTES, EVENTS])
async def test_reply_that_breaks_off(kind: dict[str, str]) -> None:
    """Nothing is written after it, and it is not ended."""
    client = fetch()
    trace = await Rig(FakeReply(200, kind, b"data: 1\n\n", UpstreamUnreachable("cut"))).call(client)
    assert (client.received, client.is_ended) == (b"data: 1\n\n", False)
    assert (trace.is_error, trace.error_type) == (True, "upstream_unreachable")
    assert trace.attempts[0].error_type == "upstream_unreachable"


@pytest.mark.parametrize("account", ["acct", "retried"])
@pytest.mark.parametrize(
    ("path", "said"),
    [
        pytest.param("/v1/agents/sessions/s-1/events", b'data: {"error":', id="openai"),
        pytest.param("/v1/sessions/s_1/events/stream", b"event: error\n", id="anthropic"),
        pytest.param("/v1/own/events", b'data: {"error":', id="unknown"),
    ],
)
async def test_subscription_that_fails_before_its_first_event(account: str, path: str, said: bytes) -> None:
    """Its head has gone out, so nobody is asked again, and an event in the caller's words says why."""
    client = fetch(path)
    rig = Rig(FakeReply(200, EVENTS, UpstreamUnreachable("cut")), FakeReply(200, EVENTS, b"data: 1\n\n"))
    trace = await rig.call(client, account=account)
    assert (client.status, client.is_ended, client.received.count(b"\n\n")) == (200, True, 1)
    assert client.received.startswith(said)
    assert (trace.is_error, trace.error_type) == (True, "upstream_unreachable")
    assert [attempt.error_type for attempt in trace.attempts] == ["upstream_unreachable"]


@pytest.mark.parametrize(
    ("path", "is_held"), [("/v1/agents/sessions/s-1/events", True), ("/v1/own/events", False)]
)
async def test_subscription_that_fails_within_its_first_event(path: str, *, is_held: bool) -> None:
    """Where half an event has gone out, nothing follows that could be taken for the rest of it."""
    client = fetch(path)
    await Rig(FakeReply(200, EVENTS, b"data: 1", UpstreamUnreachable("cut"))).call(client)
    assert client.is_ended is is_held
    assert client.received.startswith(b'data: {"error":') if is_held else client.received == b"data: 1"


async def test_reply_that_breaks_off_before_its_head_went_out() -> None:
    """While nothing is sent it is an error with a status."""
    client = fetch("/v1/files")
    await Rig(FakeReply(200, JSON, b"{", UpstreamTimeout("silent"))).call(client)
    assert (client.status, client.is_ended) == (504, True)


async def test_error_without_our_key() -> None:
    """A provider's error passes, but for a key that it quotes."""
    client = fetch("/v1/files")
    trace = await Rig(FakeReply(401, JSON, f'{{"error":"Bearer {KEY}"}}'.encode())).call(client)
    assert client.status == 401
    assert KEY.encode() not in client.received
    assert (client.header("x-tfy-error-source"), trace.error_type) == ("upstream", "401")


async def test_repeats() -> None:
    """What changes nothing is tried again where the account's policy says so; all else is sent once."""
    rig = Rig(UpstreamUnreachable("no"), FakeReply(200, JSON, b"{}"))
    client = fetch("/v1/files")
    trace = await rig.call(client, account="retried")
    assert (client.status, len(trace.attempts)) == (200, 2)
    rig = Rig(UpstreamUnreachable("no"))
    client = FakeClient(BEARER, ("content-type", "application/json"), body=b"{}", path="/v1/batches")
    trace = await rig.call(client, account="retried")
    assert (client.status, len(trace.attempts)) == (502, 1)


async def test_body_without_a_length() -> None:
    """It is sent on as it comes, up to its limit."""
    piece = b"x" * 500_000
    rig = Rig(FakeReply(200, JSON, b"{}"))
    client = FakeClient(BEARER, pieces=[piece, piece], path="/proxy/acct/x")
    await rig.call(client, path="/x")
    assert (rig.upstream.bodies, client.status) == ([piece * 2], 200)
    rig = Rig(FakeReply(200, JSON, b"{}"))
    client = FakeClient(BEARER, pieces=[piece] * 5, path="/proxy/acct/x")
    trace = await rig.call(client, path="/x")
    assert (client.status, trace.attempts[0].error_type) == (413, "body_too_large")


async def test_a_batch_of_anthropic_is_not_held() -> None:
    """It may be 256 MB of JSON and names no model: it goes on as it comes, beyond the bound of others."""
    kind = ("content-type", "application/json")
    piece = b'{"requests":["' + b"x" * 800_000
    rig = Rig(FakeReply(200, JSON, b"{}"))
    client = FakeClient(BEARER, kind, pieces=[piece, b'"]}'], path="/v1/messages/batches")
    await rig.call(client)
    assert (rig.upstream.bodies, client.status) == ([piece + b'"]}'], 200)
    client = FakeClient(BEARER, kind, body=b'"' + b"x" * 2000 + b'"', path="/v1/agents/a/archive")
    trace = await Rig(FakeReply(200, JSON, b"{}")).call(client)
    assert (client.status, trace.error_type) == (413, "body_too_large")


async def test_json_of_many_things_that_is_no_call() -> None:
    """It goes on, as a batch of many small calls does, for nothing is made of them; its own members are."""
    rig = Rig(FakeReply(200, JSON, b"{}"), max_body_bytes=2**21)
    body = b'{"batch":[' + b"{}," * MAX_THINGS + b"{}]}"
    client = FakeClient(BEARER, JSON_BODY, body=body, path="/v1/models/m:batchGenerateContent")
    await rig.call(client)
    assert (client.status, [passage.body for passage in rig.upstream.passages]) == (200, [body])
    body = b"{" + b",".join(b'"%d":[{},1]' % n for n in range(40_000)) + b"}"
    client = FakeClient(BEARER, JSON_BODY, body=body, path="/v1/models/m:batchGenerateContent")
    trace = await Rig(FakeReply(200, JSON, b"{}"), max_body_bytes=2**21).call(client)
    assert (client.status, trace.error_type) == (400, "invalid_body")


@pytest.mark.parametrize(
    ("path", "has_type"),
    [("/v1/messages/batches", True), ("/v1/batches", False)],
    ids=["anthropic", "openai"],
)
async def test_errors_in_the_dialect_of_the_path(path: str, *, has_type: bool) -> None:
    """A caller's SDK finds what it looks for."""
    client = fetch(path)
    await Rig().call(client, account="none")
    assert client.status == 404
    assert (json.loads(client.received).get("type") == "error") is has_type


async def test_caller_that_leaves() -> None:
    """A fetch ends with its caller; nothing is made up of tokens."""
    rig = Rig(FakeReply(200, BYTES, b"a", asyncio.Event()))
    client = fetch()
    client.on_write = client.leave
    trace = await rig.call(client)
    assert (trace.error_type, trace.attempts[0].usage) == ("client_disconnected", None)


NAMING: Final = b'{"model":"whisper-9","a":1}'


@pytest.mark.parametrize(
    ("method", "path", "pieces", "usage"),
    [
        pytest.param("POST", "/v1/messages", (), Usage(6, 0, "partial"), id="nothing had come"),
        pytest.param("POST", "/v2/chat", (b'{"id":"c"',), Usage(6, 0, "partial"), id="a part had come"),
        pytest.param("POST", "/v1/files", (b"{",), None, id="no call of a model"),
        pytest.param("GET", "/v1/messages", (b"{",), None, id="what only reads"),
    ],
)
async def test_caller_that_leaves_before_a_whole_reply(
    method: str, path: str, pieces: tuple[bytes, ...], usage: Usage | None
) -> None:
    """As of a known call, what its provider has read counts, at the price of the model that was asked."""
    client = FakeClient(BEARER, JSON_BODY, body=NAMING, method=method, path=path)
    rig = Rig(FakeReply(200, JSON, *pieces, client.leave, asyncio.Event()))
    trace = await rig.call_unknown(client, account="loud")
    assert (trace.error_type, trace.attempts[0].usage) == ("client_disconnected", usage)
    assert trace.total_cost_usd == (None if usage is None else TokenPrice().cost_usd(usage))


@pytest.mark.parametrize("is_stream", [True, False])
async def test_caller_that_leaves_with_a_picture(*, is_stream: bool) -> None:
    """By its bytes a picture would be far more than any model reads; it counts as where limits read it."""
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * 90_000}}
    said = {"type": "text", "text": "x" * 400}
    body = json.dumps({"model": "whisper-9", "messages": [{"role": "user", "content": [picture, said]}]})
    client = FakeClient(BEARER, JSON_BODY, body=body.encode(), path="/v1/messages")
    kind, pieces = (EVENTS, [b"data: {}\n\n"]) if is_stream else (JSON, [])
    rig = Rig(FakeReply(200, kind, *pieces, client.leave, asyncio.Event()))
    trace = await rig.call_unknown(client, account="loud")
    usage = trace.attempts[0].usage
    assert usage is not None
    assert (usage.source, usage.output_tokens) == ("partial", len(pieces))
    # One picture, the text and what stands around a message.
    assert 1500 < (usage.input_tokens or 0) < 1600
    assert trace.total_cost_usd == TokenPrice().cost_usd(usage)


@pytest.mark.parametrize("account", ["loud", "aws"])
async def test_stream_about_a_long_picture_that_breaks_off(account: str) -> None:
    """Likewise where it is sent on as it comes, or held to be signed: by what its bytes look as."""
    picture = base64.b64encode(bytes(range(256)) * (MAX_HEAD_BYTES // 256))
    body = (
        b'{"model":"m","messages":[{"content":[{"data":"'
        + picture
        + b'"},{"text":"'
        + b"a b " * 100
        + b'"}]}]}'
    )
    client = FakeClient(BEARER, JSON_BODY, body=body, path="/model/m/converse-stream")
    rig = Rig(FakeReply(200, EVENTS, b"data: {}\n\n", UpstreamUnreachable("gone")))
    trace = await rig.call_unknown(client, account=account)
    usage = trace.attempts[0].usage
    assert usage is not None
    assert (usage.source, usage.output_tokens) == ("partial", 1)
    assert len(picture) // 500 < (usage.input_tokens or 0) < len(picture) // 500 + 3000


@pytest.mark.parametrize("size", [len(NAMING), MAX_HEAD_BYTES + 1], ids=["held", "sent on"])
async def test_caller_that_leaves_before_any_reply(size: int) -> None:
    """Likewise, if its provider has the call."""
    client = FakeClient(BEARER, JSON_BODY, body=NAMING.ljust(size), path="/v1/messages")
    rig = Rig(asyncio.Event())
    asked = rig.upstream.pass_on

    async def ask(passage: Passage) -> UpstreamReply:
        client.leave()
        if isinstance(passage.body, bytes):
            return await asked(passage)
        while await passage.body.read_piece():
            pass
        await passage.body.until_gone()
        raise ClientDisconnected

    rig.upstream.pass_on = ask  # type: ignore[method-assign]
    trace = await rig.call_unknown(client, account="loud")
    assert (trace.status_code, trace.attempts[0].usage) == (499, Usage(size // 4, 0, "partial"))


async def test_caller_that_leaves_within_its_call() -> None:
    """Its provider cannot have read it."""

    class Leaving(FakeClient):
        async def read_piece(self) -> bytes:
            if not self._body_pieces:
                raise ClientDisconnected
            return await super().read_piece()

    client = Leaving(BEARER, JSON_BODY, pieces=[NAMING], declared_bytes=MAX_HEAD_BYTES + 1, path="/v2/chat")
    trace = await Rig().call_unknown(client, account="loud")
    assert (trace.error_type, trace.attempts[0].usage) == ("client_disconnected", None)


@pytest.mark.parametrize(
    ("path", "reply", "usage"),
    [
        ("/chat/completions", {"choices": [{"message": {"content": "x" * 40}}]}, Usage(6, 10, "estimated")),
        ("/v1/messages", {"content": [{"type": "text", "text": "x" * 40}]}, Usage(6, 10, "estimated")),
        ("/endpoints/e/invocations", [{"generated_text": "x" * 40}], Usage(6, 10, "estimated")),
        ("/generate", {"generated_text": "x" * 40}, Usage(6, 10, "estimated")),
        ("/api/generate", {"response": "x" * 40}, Usage(6, 10, "estimated")),
        ("/v1/responses", {"output": [{"content": [{"text": "x" * 40}]}]}, Usage(6, 10, "estimated")),
        (
            "/model/m/converse",
            {"output": {"message": {"content": [{"text": "x" * 40}]}}},
            Usage(6, 10, "estimated"),
        ),
        (
            "/models/m:generateContent",
            {"candidates": [{"content": {"parts": [{"text": "x" * 40}]}}]},
            Usage(6, 10, "estimated"),
        ),
        ("/models/e:embedContent", {"embedding": {"values": [0.5] * 99}}, Usage(6, 0, "estimated")),
        ("/embed", [[0.5] * 99], Usage(6, 0, "estimated")),
        ("/chat/completions", {"error": {"message": "no"}}, None),
        ("/vector_stores", {"id": "vs_1"}, None),
    ],
)
async def test_whole_reply_that_tells_no_usage(path: str, reply: Any, usage: Usage | None) -> None:
    """As of a known call it is estimated; of what is no call of a model nothing is."""
    client = FakeClient(BEARER, JSON_BODY, body=NAMING, path=path)
    trace = await Rig(FakeReply(200, JSON, json.dumps(reply).encode())).call_unknown(client, account="loud")
    assert trace.attempts[0].usage == usage


async def test_timeout_is_passed_on() -> None:
    """`x-tfy-request-timeout` counts here too."""
    rig = Rig(FakeReply(200, JSON, b"{}"))
    await rig.call(fetch("/v1/files", ("x-tfy-request-timeout", "1500")))
    assert rig.upstream.passages[0].timeout_s == 1.5


async def test_model_in_a_path() -> None:
    """The account before it is ours, the rest the provider's name."""
    rig = Rig(FakeReply(200, JSON, b"{}"), FakeReply(200, JSON, b"{}"))
    for name, sent in (("acct%2Fft:x", "ft:x"), ("acct%2Fsmall", "small-1")):
        client = FakeClient(BEARER, method="DELETE", path=f"/v1/models/{name}")
        await rig.call(client, account="")
        rig.records.clear()
        assert rig.upstream.passages[-1].url == f"https://api.test/v1/models/{sent}"


@pytest.mark.parametrize(
    ("named", "headers"),
    [("claude/small", ()), ("small", (("x-tfy-model-name", "claude/small"),))],
    ids=["in the form", "in a header"],
)
async def test_form_for_a_model_of_another_dialect(named: str, headers: tuple[tuple[str, str], ...]) -> None:
    """Nobody has words for it in another API: refused, and nothing is sent."""
    rig = Rig()
    body = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\n' + named.encode() + b"\r\n--b--\r\n"
    kind = ("content-type", "multipart/form-data; boundary=b")
    client = FakeClient(BEARER, kind, *headers, body=body, path="/v1/audio/transcriptions")
    trace = await rig.call(client, account="")
    assert (client.status, trace.error_type, trace.attempts) == (400, "unsupported_parameter", [])
    assert b"claude/small does not answer /v1/audio/transcriptions" in client.received
    assert rig.upstream.passages == []


@pytest.mark.parametrize(
    ("headers", "query", "names"),
    [
        ([("x-tfy-provider-name", "a")], "", True),
        ([("x-tfy-model-name", "a/b")], "", True),
        ([], "tfyModelName=a", True),
        ([], "tfyProviderName=a", True),
        ([("x-tfy-metadata", "{}")], "a=1", False),
    ],
)
async def test_names_account(headers: list[tuple[str, str]], query: str, *, names: bool) -> None:
    """By header or query."""
    assert names_account(FakeClient(*headers, query=query)) is names


# -- virtual models


TRANSCRIPTIONS = "/v1/audio/transcriptions"
KIND = ("content-type", "multipart/form-data; boundary=b")
END = b"--b--\r\n"


def part(name: str, content: bytes) -> bytes:
    return f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + content + b"\r\n"


def sound_of(model: bytes, *, more: bytes = b"") -> bytes:
    return part("model", model) + part("file", b"RIFF" + more) + END


def good() -> FakeReply:
    return FakeReply(200, JSON, b'{"text": "hi"}')


def busy(*headers: tuple[str, str]) -> FakeReply:
    return FakeReply(503, JSON | dict(headers), b'{"error": {"message": "busy"}}')


def upload(body: bytes, *headers: tuple[str, str], pieces: list[bytes] | None = None) -> FakeClient:
    return FakeClient(BEARER, KIND, *headers, body=body, path=TRANSCRIPTIONS, pieces=pieces)


@pytest.mark.parametrize(
    ("named", "headers"),
    [
        (b"vm/sound", ()),
        (b"sound", ()),
        (b"sound", (("x-tfy-provider-name", "vm"),)),
        (b"vm/sound", (("x-tfy-model-name", "vm/sound"),)),
        (b"sound", (("x-tfy-model-name", "vm/sound"),)),
        (b"small-1", (("x-tfy-model-name", "vm/sound"),)),
        (b"whisper-9", (("x-tfy-model-name", "sound"),)),
        (b"loud/whisper", (("x-tfy-model-name", "sound"), ("x-tfy-provider-name", "vm"))),
    ],
)
async def test_form_for_a_virtual_model(named: bytes, headers: tuple[tuple[str, str], ...]) -> None:
    """By any of its names; the targets that have the path get it, each by its own name of the model."""
    rig = Rig(busy(), busy(), good())
    client = upload(sound_of(named), *headers)
    trace = await rig.call(client, account="")
    assert (client.status, client.header("x-tfy-resolved-model")) == (200, "loud/whisper")
    assert rig.upstream.bodies == [sound_of(b"small-1")] * 2 + [sound_of(b"whisper-9")]
    assert [attempt.target.name for attempt in trace.attempts] == ["acct/small"] * 2 + ["loud/whisper"]
    assert rig.upstream.passages[2].url == "https://loud.test/v1/audio/transcriptions"
    assert trace.plan is not None
    assert [(skip.target, skip.reason) for skip in trace.plan.skipped] == [("claude/small", "filter")]


@pytest.mark.parametrize(
    ("kind", "body", "sent"),
    [
        (KIND[1], part("file", b"RIFF") + END, part("file", b"RIFF") + part("model", b"small-1") + END),
        ("application/json", b'{"x":1}', b'{"x":1,"model":"small-1"}'),
        ("application/json", b'{"model":"","x":1}', b'{"model":"small-1","x":1}'),
    ],
)
@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ([("x-tfy-model-name", "acct/small")], ""),
        ([], "model=acct/small"),
        ([("x-tfy-model-name", "acct/small")], "model=acct/small"),
    ],
    ids=["header", "query", "both"],
)
async def test_a_model_beside_the_body_alone(
    kind: str, body: bytes, sent: bytes, headers: list[tuple[str, str]], query: str
) -> None:
    """The provider is told of it: left to itself it would answer with a model that nobody has a right to."""
    rig = Rig(good())
    headers = [("content-type", kind), *headers]
    client = FakeClient(BEARER, *headers, body=body, path=TRANSCRIPTIONS, query=query)
    await rig.call(client, account="")
    assert (client.status, rig.upstream.bodies) == (200, [sent])


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/x-www-form-urlencoded", b"model=large-9"),
        ("text/plain", b'{"model":"large-9"}'),
        ("application/json", b"model=large-9"),
        ("application/json", b'["large-9"]'),
        ("application/json", b'{"model":["large-9"]}'),
        ("application/json", b'{"model":"small-1","Model":"large-9"}'),
        ("application/json; x=multipart/form-data; boundary=b", part("model", b"large-9") + END),
    ],
)
async def test_a_body_whose_model_nobody_can_see(kind: str, body: bytes) -> None:
    """A right to the model in the header is none to the one that a provider might read there."""
    rig = Rig()
    headers = ("content-type", kind), ("x-tfy-model-name", "acct/small")
    client = FakeClient(BEARER, *headers, body=body, path=TRANSCRIPTIONS)
    await rig.call(client, account="")
    assert (client.status, rig.upstream.passages) == (400, [])


async def test_json_for_a_virtual_model() -> None:
    """The path of a form takes JSON as well, and that names the model likewise."""
    rig = Rig(UpstreamTimeout("silent"), good())
    client = FakeClient(
        BEARER, ("content-type", "application/json"), body=b'{"model": "vm/sound", "x": 1.0}',
        path="/v1/images/edits",
    )  # fmt: skip
    await rig.call(client, account="")
    assert client.status == 200
    assert rig.upstream.bodies == [b'{"model":"small-1","x":1.0}', b'{"model":"whisper-9","x":1.0}']


@pytest.mark.parametrize(
    ("wish", "tries"),
    [
        ("", ["acct/small"] * 2 + ["loud/whisper"]),
        ('{"attempts":0}', ["acct/small", "loud/whisper"]),
        (
            '{"attempts":2,"delay":0,"onStatusCodes":[503]}',
            ["acct/small"] * 3 + ["loud/whisper"] * 3,
        ),
    ],
    ids=["policy", "none", "more"],
)
async def test_all_targets_fail(wish: str, tries: list[str]) -> None:
    """Each is tried as often as its policy or the caller says; the last one's answer is the caller's."""
    rig = Rig(*(busy() for _ in tries))
    client = upload(sound_of(b"vm/sound"), *([("x-tfy-retry-config", wish)] if wish else []))
    trace = await rig.call(client, account="")
    assert (client.status, client.received) == (503, b'{"error": {"message": "busy"}}')
    assert [attempt.target.name for attempt in trace.attempts] == tries


async def test_a_callers_mistake_is_nobody_elses() -> None:
    """A 400 is the caller's at once."""
    rig = Rig(FakeReply(400, JSON, b'{"error": {"message": "bad"}}'))
    client = upload(sound_of(b"vm/sound"))
    trace = await rig.call(client, account="")
    assert (client.status, len(trace.attempts)) == (400, 1)


LONG = sound_of(b"vm/sound", more=b"x" * MAX_HEAD_BYTES)


def long_upload() -> FakeClient:
    half = len(LONG) // 2
    return upload(b"", pieces=[LONG[:half], LONG[half:]])


async def test_form_that_is_sent_on() -> None:
    """While none of it has been sent the next target gets it, under its own name and with that length."""
    rig = Rig(good(), unreachable=1)
    client = long_upload()
    trace = await rig.call(client, account="")
    assert (client.status, client.header("x-tfy-resolved-model")) == (200, "loud/whisper")
    assert rig.upstream.bodies == [LONG.replace(b"vm/sound", b"whisper-9")]
    assert len(trace.attempts) == 2


async def test_form_that_is_sent_on_is_sent_once() -> None:
    """Once a piece has gone out nobody else gets it, whatever comes back."""
    rig = Rig(busy(), good())
    client = long_upload()
    trace = await rig.call(client, account="")
    assert (client.status, len(trace.attempts)) == (503, 1)


@pytest.mark.parametrize("unreachable", [0, 1])
async def test_length_of_a_form_that_is_sent_on(unreachable: int) -> None:
    """It is what the caller declared, and what the target's name of the model adds."""
    rig = Rig(good(), unreachable=unreachable)
    client = FakeClient(BEARER, KIND, body=LONG, path=TRANSCRIPTIONS)
    await rig.call(client, account="")
    body = rig.upstream.passages[-1].body
    assert not isinstance(body, bytes)
    assert body.length == len(rig.upstream.bodies[0])


@pytest.mark.parametrize(("name", "verdict"), [("openai-organization", "none"), ("x-request-id", "sick")])
async def test_health_where_a_right_is_missing(name: str, verdict: str) -> None:
    """A caller's own organisation may be wrong, which says nothing of the target; else it is our key."""
    health = FakeObserver()
    rig = Rig(FakeReply(401, JSON, b'{"error":{"message":"no"}}'), health=health)
    await rig.call(upload(sound_of(b"acct/small"), (name, "org-nobody")), account="")
    assert health.outcomes == [("acct/small", verdict, 401)]


async def test_health() -> None:
    """It may hold back an attempt, and learns of each at a model, not of what is an account's."""
    health = FakeObserver(closed_to={"acct/small"})
    rig = Rig(good(), FakeReply(500, JSON, b"{}"), FakeReply(500, JSON, b"{}"), health=health)
    await rig.call(upload(sound_of(b"vm/sound")), account="")
    assert health.outcomes == [("loud/whisper", "good", 200)]
    rig.records.clear()
    await rig.call(upload(sound_of(b"acct/small")), account="")
    assert health.outcomes[1:] == [("acct/small", "sick", 500)]
    rig.records.clear()
    await rig.call(fetch("/v1/files", ("x-tfy-model-name", "loud/whisper")), account="")
    assert len(health.outcomes) == 2


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        *((kind("its body"), "none") for kind in (BodyTimeout, BodyTooLarge, InvalidBody, InvalidFraming)),
        (UpstreamTimeout("silent"), "sick"),
    ],
)
async def test_health_where_an_answer_that_has_begun_is_broken_off(error: GatewayError, verdict: str) -> None:
    """Who asked and then does not send the rest says nothing of the provider, which may answer meanwhile."""
    health = FakeObserver()
    begun = FakeReply(200, EVENTS, b'data: {"type":"transcript.text.delta","delta":"a"}\n\n', error)
    trace = await Rig(begun, health=health).call(upload(sound_of(b"loud/whisper")), account="")
    assert health.outcomes == [("loud/whisper", verdict, 200)]
    assert trace.attempts[0].error_type == error.code


async def test_session_stays_with_who_answered() -> None:
    """A form is part of a session as any call is: what keeps it there learns who answered."""
    sessions = Sessions(table_in_memory(buckets=4))
    sticky = Sticky("vm/loud", [Identifier("headers", "x-user")], keep_s=60, sessions=sessions)
    first, second = (
        dataclasses.replace(BY_NAME[name], fallback=FALLING_BACK) for name in ("acct/small", "loud/whisper")
    )
    candidates = [Candidate(first, weight=100), Candidate(second, weight=0)]
    routes = make_routes(Route("vm/loud", candidates, Weighted(Random(7), sticky), FakeHealth()))
    rig = Rig(busy(), good(), good(), routes=routes, sessions=sessions)
    for _ in range(2):
        await rig.call(upload(sound_of(b"vm/loud"), ("x-user", "u")), account="")
        rig.records.clear()
    assert rig.upstream.bodies == [sound_of(b"small-1"), sound_of(b"whisper-9"), sound_of(b"whisper-9")]


async def test_form_that_is_held_counts_as_such() -> None:
    """As any body does; of a long one that is what is held of it."""
    rig = Rig(good(), good())
    short = await rig.call(upload(body := sound_of(b"loud/whisper")), account="")
    assert short.held_bytes == len(body)
    rig.records.clear()
    body = sound_of(b"loud/whisper", more=b"x" * MAX_HEAD_BYTES)
    long = await rig.call(upload(body, pieces=[body[:1000], body[1000:]]), account="")
    assert long.held_bytes == 1000


async def test_session_that_another_replica_knows() -> None:
    """A call of a session that is new here is planned again once another replica has said where it stays."""
    table = table_in_memory(buckets=4)

    class Others:
        async def hear(self, keys: Sequence[bytes]) -> bool:
            table.put(keys[0], fingerprint("loud/whisper"), keep_s=60)
            return True

    sessions = Sessions(table, Others())
    sticky = Sticky("vm/loud", [Identifier("headers", "x-user")], keep_s=60, sessions=sessions)
    candidates = [Candidate(BY_NAME["acct/small"], weight=100), Candidate(BY_NAME["loud/whisper"], weight=0)]
    routes = make_routes(Route("vm/loud", candidates, Weighted(Random(7), sticky), FakeHealth()))
    rig = Rig(good(), routes=routes, sessions=sessions)
    await rig.call(upload(sound_of(b"vm/loud"), ("x-user", "u")), account="")
    assert rig.upstream.bodies == [sound_of(b"whisper-9")]


async def test_rule() -> None:
    """It gives a form other targets; which account a file is for is no matter of rules."""
    rules = Instead("acct/small", make_route("rule-1", BY_NAME["loud/whisper"]))
    rig = Rig(good(), FakeReply(200, JSON, b"{}"), rules=rules)
    client = upload(sound_of(b"small-1"), ("x-tfy-model-name", "acct/small"))
    await rig.call(client, account="")
    assert client.header("x-tfy-resolved-model") == "loud/whisper"
    assert rig.upstream.bodies == [sound_of(b"whisper-9")]
    rig.records.clear()
    client = fetch("/v1/files", ("x-tfy-model-name", "acct/small"))
    await rig.call(client, account="")
    assert client.header("x-tfy-resolved-model") == "acct/small"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ((("x-tfy-model-name", "vm/own"),), (200, "loud/whisper")),
        ((("x-tfy-model-name", "own"), ("x-tfy-provider-name", "vm")), (200, "loud/whisper")),
        ((("x-tfy-model-name", "vm/sound"),), (400, None)),
        ((("x-tfy-model-name", "sound"),), (400, None)),
        ((("x-tfy-provider-name", "vm"),), (404, None)),
    ],
)
async def test_account_of_a_virtual_model(
    headers: tuple[tuple[str, str], ...], expected: tuple[int, str | None]
) -> None:
    """What is for an account is for that of a virtual model if it has one, and else has to name it."""
    rig = Rig(FakeReply(200, JSON, b"{}"))
    client = fetch("/v1/files", *headers)
    await rig.call(client, account="")
    assert (client.status, client.header("x-tfy-resolved-model")) == expected
    if client.status == 400:
        assert json.loads(client.received)["error"]["code"] == "account_required"


async def test_virtual_model_in_the_body_of_what_is_an_accounts() -> None:
    """It is known there by the id that the account has for it."""
    rig = Rig(FakeReply(200, JSON, b'{"id": "video_1"}'))
    body = b'{"model": "vm/own", "prompt": "a cat"}'
    client = FakeClient(BEARER, ("content-type", "application/json"), body=body, path="/v1/videos")
    await rig.call(client, account="")
    assert (client.status, client.header("x-tfy-resolved-model")) == (200, "loud/whisper")
    assert json.loads(rig.upstream.bodies[0])["model"] == "whisper-9"


@pytest.mark.parametrize(
    ("method", "path", "models", "status"),
    [
        pytest.param("POST", "/v1/files", ("acct/*",), 429, id="all models of the account"),
        pytest.param("POST", "/v1/files", None, 429, id="everything"),
        pytest.param("POST", "/v1/files", ("acct/small",), 200, id="one model says nothing of an account"),
        pytest.param("POST", "/v1/files", ("loud/*",), 200, id="another account"),
        pytest.param("GET", "/v1/files/f-1", None, 200, id="what only reads costs nothing"),
        pytest.param("POST", "/unknown/path", ("acct/*",), 429, id="whatever API it is"),
    ],
)
async def test_limits_on_an_account(
    method: str, path: str, models: tuple[str, ...] | None, status: int
) -> None:
    """What is passed on for an account meets the limits on all of its models."""
    rig = Rig(FakeReply(200, JSON, b"{}"), limits=policy_of(limit_of("requests", 0, models=models)))
    client = FakeClient(BEARER, body=b"x", method=method, path=path)
    trace = await rig.call(client)
    assert client.status == status
    assert len(rig.upstream.passages) == (1 if status == 200 else 0)
    assert trace.error_type == ("" if status == 200 else "rate_limit_exceeded")


async def test_limits_on_forms() -> None:
    """A form meets the limits on its model; of a virtual one a target without room is passed over."""
    form = b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nvm/sound\r\n--b--\r\n'
    kind = ("content-type", "multipart/form-data; boundary=b")
    rules = (
        limit_of("requests", 1, models=("vm/sound",), id="name"),
        limit_of("requests", 0, models=("acct/*",)),
    )
    rig = Rig(FakeReply(200, JSON, b'{"text":"hi"}'), limits=policy_of(*rules))
    path = "/v1/audio/transcriptions"
    first, second = [FakeClient(BEARER, kind, body=form, path=path) for _ in range(2)]
    trace = await rig.call(first, account="")
    assert [attempt.target.name for attempt in trace.attempts] == ["loud/whisper"]
    assert ("acct/small", "limit") in [(skip.target, skip.reason) for skip in trace.skips]
    rig.records.clear()
    assert (await rig.call(second, account="")).error_type == "rate_limit_exceeded"
    assert [client.status for client in (first, second)] == [200, 429]


async def test_a_spent_budget() -> None:
    """Of what nobody can price before nothing more is passed on once nothing is left."""
    rig = Rig(limits=policy_of(budget_of(0)))
    client = FakeClient(BEARER, body=b"x", path="/v1/audio/speech", method="POST")
    await rig.call(client)
    assert (client.status, client.header("x-should-retry")) == (429, "false")
