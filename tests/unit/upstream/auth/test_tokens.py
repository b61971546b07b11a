"""Bearer tokens: asked for once, renewed beside the calls, never shown."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qsl

import pytest

from gateway.errors import UpstreamUnreachable
from gateway.model import ClientCertificate, TokenRequest, UpstreamReply, UpstreamRequest
from gateway.proxies import Proxies
from gateway.upstream.auth.tokens import MAX_HELD, PAUSE_S, Tokens
from gateway.upstream.exchange import Upstream
from tests.rig.until import until_async
from tests.unit.doubles import FakeReply
from tests.unit.upstream.auth.test_client_assertion import key, pem_of
from tests.unit.upstream.small_server import OK, Connection, Server

SECRET = "canary-client-secret"
REQUEST = TokenRequest(
    "https://login.test/token", (("grant_type", "client_credentials"), ("client_secret", SECRET))
)


class Endpoint:
    """A token endpoint: gives `t-1`, `t-2` and so on, or what is put in `answers`.

    Attributes:
        gate: Answers wait for it.
    """

    def __init__(self) -> None:
        self.requests: list[UpstreamRequest] = []
        self.answers: list[FakeReply | Exception] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.now_s = 1000.0

    async def send(self, request: UpstreamRequest) -> UpstreamReply:
        self.requests.append(request)
        number = len(self.requests)
        await self.gate.wait()
        answer = self.answers.pop(0) if self.answers else token(f"t-{number}")
        if isinstance(answer, Exception):
            raise answer
        return answer


def token(value: str, expires_in: object = 100) -> FakeReply:
    body = {"token_type": "Bearer", "access_token": value, "expires_in": expires_in}
    return FakeReply(200, {"content-type": "application/json"}, json.dumps(body).encode())


@pytest.fixture
async def endpoint() -> Endpoint:
    return Endpoint()


@pytest.fixture
async def tokens(endpoint: Endpoint) -> AsyncIterator[Tokens]:
    made = Tokens(endpoint.send, lambda: endpoint.now_s)
    yield made
    await made.close()


async def test_what_is_asked(endpoint: Endpoint, tokens: Tokens) -> None:
    """A form, as RFC 6749 has it, and the headers that go with it."""
    assert (
        await tokens.find(TokenRequest(REQUEST.url, REQUEST.form, (("authorization", "Basic x"),))) == "t-1"
    )
    (request,) = endpoint.requests
    assert request.url == REQUEST.url
    assert dict(parse_qsl(request.body.decode())) == dict(REQUEST.form)
    assert request.headers == [("authorization", "Basic x")]
    assert b"content-type: application/x-www-form-urlencoded\r\n" in request.lines


async def test_it_is_kept(endpoint: Endpoint, tokens: Tokens) -> None:
    """Later calls ask for nothing; another account has a token of its own."""
    assert [await tokens.find(REQUEST) for _ in range(3)] == ["t-1"] * 3
    assert await tokens.find(TokenRequest(REQUEST.url, (("client_id", "other"),))) == "t-2"


async def test_calls_that_come_together_wait_for_one(endpoint: Endpoint, tokens: Tokens) -> None:
    """A start under load asks once, and a caller that leaves ends nobody else's wait."""
    endpoint.gate.clear()
    calls = [asyncio.ensure_future(tokens.find(REQUEST)) for _ in range(5)]
    await until_async(lambda: bool(endpoint.requests), "a request")
    calls[0].cancel()
    endpoint.gate.set()
    assert await asyncio.gather(*calls[1:]) == ["t-1"] * 4
    assert len(endpoint.requests) == 1


async def test_it_is_renewed_beside_the_calls(endpoint: Endpoint, tokens: Tokens) -> None:
    """Near its end a call takes the old one and asks for the next, without a wait."""
    await tokens.find(REQUEST)
    endpoint.now_s += 81
    endpoint.gate.clear()
    assert [await tokens.find(REQUEST) for _ in range(3)] == ["t-1"] * 3
    await until_async(lambda: len(endpoint.requests) == 2, "the second request")
    endpoint.gate.set()
    await until_async(lambda: tokens._held[REQUEST].value == "t-2", "t-2")
    assert await tokens.find(REQUEST) == "t-2"


async def test_one_that_has_ended_is_never_sent(endpoint: Endpoint, tokens: Tokens) -> None:
    """A call waits for the next."""
    await tokens.find(REQUEST)
    endpoint.now_s += 100
    assert await tokens.find(REQUEST) == "t-2"


async def test_a_renewal_that_fails_is_tried_again_later(endpoint: Endpoint, tokens: Tokens) -> None:
    """The old token works on, and the endpoint is not hammered."""
    await tokens.find(REQUEST)
    endpoint.now_s += 81
    endpoint.answers.append(UpstreamUnreachable("down"))
    assert await tokens.find(REQUEST) == "t-1"
    await until_async(lambda: not tokens._renewing and len(endpoint.requests) == 2, "the failure")
    assert await tokens.find(REQUEST) == "t-1"
    assert len(endpoint.requests) == 2
    endpoint.now_s += PAUSE_S
    assert await tokens.find(REQUEST) == "t-1"
    await until_async(lambda: tokens._held[REQUEST].value == "t-3", "t-3")


async def test_one_that_is_refused_is_forgotten(endpoint: Endpoint, tokens: Tokens) -> None:
    """The next call gets another; one that was replaced meanwhile stays."""
    old = await tokens.find(REQUEST)
    tokens.forget(REQUEST, old)
    assert await tokens.find(REQUEST) == "t-2"
    tokens.forget(REQUEST, old)
    assert await tokens.find(REQUEST) == "t-2"


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        pytest.param(
            FakeReply(401, {}, f'{{"error":"invalid_client: {SECRET}"}}'.encode()),
            'answered 401: {"error":"invalid_client: ***"}',
            id="refused",
        ),
        pytest.param(FakeReply(200, {}, b"<html>"), "has no token that could be sent", id="no JSON"),
        pytest.param(FakeReply(200, {}, b"{}"), "has no token that could be sent", id="no token"),
        pytest.param(token("a\r\nx: y"), "has no token that could be sent", id="no header value"),
        pytest.param(UpstreamUnreachable("gone", detail="refused"), "gone refused", id="no connection"),
    ],
)
async def test_without_a_token(
    endpoint: Endpoint,
    tokens: Tokens,
    caplog: pytest.LogCaptureFixture,
    answer: FakeReply | Exception,
    detail: str,
) -> None:
    """The call fails as one that reached nobody; operators read why, and nobody reads a secret."""
    endpoint.answers.append(answer)
    with caplog.at_level(logging.WARNING), pytest.raises(UpstreamUnreachable) as caught:
        await tokens.find(REQUEST)
    assert caught.value.message == "The provider could not be signed in to."
    assert detail in caught.value.detail
    assert SECRET not in caplog.text + caught.value.detail
    assert detail in caplog.text
    # The next call tries again.
    assert await tokens.find(REQUEST) == "t-2"


async def test_an_endpoint_that_is_silent(endpoint: Endpoint) -> None:
    """No call waits for ever."""
    tokens = Tokens(endpoint.send, lambda: endpoint.now_s, answer_within_s=0.01)
    endpoint.gate.clear()
    with pytest.raises(UpstreamUnreachable) as caught:
        await tokens.find(REQUEST)
    assert "did not answer within" in caught.value.detail


@pytest.mark.parametrize(
    ("expires_in", "is_kept"),
    [
        pytest.param("3600", True, id="as text"),
        pytest.param("soon", True, id="no number"),
        pytest.param("nan", True, id="not a number"),
        pytest.param(-1, True, id="negative"),
        (0, False),
    ],
)
async def test_life(endpoint: Endpoint, tokens: Tokens, expires_in: object, *, is_kept: bool) -> None:
    """Some write the seconds as text; what is no number counts as minutes."""
    endpoint.answers.append(token("first", expires_in))
    await tokens.find(REQUEST)
    endpoint.now_s += 10
    assert (await tokens.find(REQUEST) == "first") == is_kept


@pytest.mark.parametrize("expires_in", ["inf", 1e300])
async def test_none_is_for_ever(endpoint: Endpoint, tokens: Tokens, expires_in: object) -> None:
    """One that is said to last for ever is renewed each day."""
    endpoint.answers.append(token("first", expires_in))
    await tokens.find(REQUEST)
    assert "first" not in repr(tokens._held)
    endpoint.now_s += 86_401
    assert await tokens.find(REQUEST) == "t-2"


async def test_an_assertion_is_read_each_time(endpoint: Endpoint, tokens: Tokens, tmp_path: Path) -> None:
    """Kubernetes replaces the service account's token every hour."""
    file = tmp_path / "token"
    request = TokenRequest(REQUEST.url, (("grant_type", "client_credentials"),), assertion_file=str(file))
    with pytest.raises(UpstreamUnreachable) as caught:
        await tokens.find(request)
    assert str(file) in caught.value.detail
    for number in (1, 2):
        file.write_text(f"jwt-{number}\n")
        tokens.forget(request, await tokens.find(request))
        form = dict(parse_qsl(endpoint.requests[-1].body.decode()))
        assert form["client_assertion"] == f"jwt-{number}"
        assert form["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


async def test_old_configurations_are_not_kept_for_ever(endpoint: Endpoint, tokens: Tokens) -> None:
    """What is held has a bound."""
    for number in range(MAX_HELD + 1):
        await tokens.find(TokenRequest(f"https://login.test/{number}", ()))
    assert len(tokens._held) == 1


async def test_an_exchange_is_signed() -> None:
    """Over real connections: the provider gets the token, and a refusal of it leads to another."""
    bodies = [b'{"access_token":"t-1","expires_in":100}', b'{"access_token":"t-2","expires_in":100}']
    refused = OK.replace(b"200 OK", b"401 Unauthorized")

    async def answer(connection: Connection) -> None:
        head, _ = connection.requests[-1]
        if b"POST /token" in head:
            body = bodies.pop(0)
            await connection.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        else:
            await connection.send(refused if b"Bearer t-1" in head else OK)

    upstream = Upstream(Proxies({}))
    await upstream.open()
    try:
        async with Server(answer) as server:
            request = TokenRequest(server.url.replace("/v1/x", "/token"), REQUEST.form)
            statuses = []
            for _ in range(3):
                reply = await upstream.exchange(
                    UpstreamRequest(server.url, [], b"{}", timeout_s=30, token=request)
                )
                await reply.read(100)
                reply.close()
                statuses.append(reply.status)
            heads = [head for connection in server.connections for head, _ in connection.requests]
    finally:
        await upstream.close()
    assert statuses == [401, 200, 200]
    assert sum(b"POST /token" in head for head in heads) == 2
    assert sum(b"authorization: Bearer t-2\r\n" in head for head in heads) == 2


async def test_a_certificate(endpoint: Endpoint) -> None:
    """A new assertion goes with each request; where an answer quotes it, nobody sees it."""
    pem = pem_of(key())
    request = TokenRequest(
        REQUEST.url,
        (("grant_type", "client_credentials"),),
        certificate=ClientCertificate(pem, "client", "thumbprint"),
    )
    tokens = Tokens(endpoint.send, lambda: endpoint.now_s, unix_s=lambda: 1_800_000_000)
    assert await tokens.find(request) == "t-1"
    form = dict(parse_qsl(endpoint.requests[0].body.decode()))
    assert form["client_assertion_type"].endswith(":jwt-bearer")
    assert form["client_assertion"].count(".") == 2
    assert "PRIVATE KEY" not in repr(request)
    endpoint.now_s += 100
    assert await tokens.find(request) == "t-2"
    assert dict(parse_qsl(endpoint.requests[1].body.decode()))["client_assertion"] != form["client_assertion"]
    await tokens.close()


async def test_a_quoted_assertion_is_masked() -> None:
    """What an endpoint says of it goes to the operator's trace."""
    quoted = ""

    async def quote(request: UpstreamRequest) -> UpstreamReply:
        nonlocal quoted
        quoted = dict(parse_qsl(request.body.decode()))["client_assertion"]
        return FakeReply(400, {}, f"bad {quoted}".encode())

    request = TokenRequest(REQUEST.url, (), certificate=ClientCertificate(pem_of(key()), "client", ""))
    tokens = Tokens(quote, lambda: 0.0)
    with pytest.raises(UpstreamUnreachable) as raised:
        await tokens.find(request)
    assert quoted
    assert quoted not in raised.value.for_operator
    await tokens.close()


async def test_a_certificate_that_cannot_sign(tokens: Tokens, endpoint: Endpoint) -> None:
    """Nothing is asked, and the operator is told why."""
    request = TokenRequest(REQUEST.url, (), certificate=ClientCertificate("canary", "client", ""))
    with pytest.raises(UpstreamUnreachable) as raised:
        await tokens.find(request)
    assert "auth_data.certificate" in raised.value.for_operator
    assert "canary" not in raised.value.for_operator
    assert endpoint.requests == []
