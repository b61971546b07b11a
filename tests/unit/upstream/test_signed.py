"""Exchanges that are signed for AWS, against a real server that checks signatures."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator

import pytest

from gateway.errors import UpstreamUnreachable
from gateway.model import AwsSigning, Passage, UpstreamRequest
from gateway.proxies import Proxies
from gateway.upstream.exchange import HttpReply, Upstream
from gateway.upstream.sagemaker import FramedReply
from gateway.wire.aws_event_stream import write_message
from tests.rig.aws_signatures import Keys, Scope, SignatureError, verify
from tests.unit.upstream.small_server import Answer, Connection, Server
from tests.unit.upstream.test_passages import Source

KEYS = Keys({"AKID": "secret"}, {"AKID": "canary-session"})
SIGNING = AwsSigning("bedrock", "eu-west-1", "AKID", "secret", "canary-session")
PATH = "/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A123456789012%3Ainference-profile%2Feu.x-v1%3A0/converse"
LINES = b"content-type: application/json\r\n"


def checking(found: list[Scope], *, keys: Keys = KEYS, more: bytes = b"", body: bytes = b"{}") -> Answer:
    """Answer what is signed well with *body*, and else as AWS does."""

    async def answer(connection: Connection) -> None:
        head, sent = connection.requests[-1]
        first, *lines = head[:-4].decode().split("\r\n")
        method, target, _ = first.split(" ")
        pairs = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        try:
            found.append(verify(method, target, pairs, sent, keys))
        except SignatureError as error:
            refusal = f"HTTP/1.1 403 X\r\nx-amzn-errortype: {error.kind}\r\ncontent-length: 2\r\n\r\n{{}}"
            await connection.send(refusal.encode())
        else:
            await connection.send(
                b"HTTP/1.1 200 X\r\n%bcontent-length: %d\r\n\r\n" % (more, len(body)) + body
            )

    return answer


def base(server: Server) -> str:
    return server.url.removesuffix("/v1/x")


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    upstream = Upstream(Proxies({}))
    await upstream.open()
    yield upstream
    await upstream.close()


async def test_a_call(upstream: Upstream) -> None:
    """What arrives is what was signed: the path as it is written, host, content type, body."""
    found: list[Scope] = []
    async with Server(checking(found)) as server:
        for body in (b'{"a":1}', b"x" * 600_000):
            request = UpstreamRequest(
                base(server) + PATH, [("traceparent", "00-1")], body, 30, LINES, signing=SIGNING
            )
            reply = await upstream.exchange(request)
            assert await reply.read(100) == b"{}"
            assert reply.token == "canary-session"
            reply.close()
        assert len(server.connections) == 1
        assert server.connections[0].requests[0][0].startswith(f"POST {PATH} HTTP/1.1\r\n".encode())
    assert [scope.service for scope in found] == ["bedrock", "bedrock"]
    assert "content-type" in found[0].signed_headers


async def test_a_passage(upstream: Upstream) -> None:
    """Any method and query; a body that comes in pieces is held, since its hash goes before it."""
    found: list[Scope] = []
    async with Server(checking(found)) as server:
        for method, path, body in (
            ("GET", "/async-invoke?maxResults=3&statusEquals=Completed", b""),
            ("GET", "/async-invoke/arn%3Aaws%3Abedrock%3A1%2Fx", b""),
            ("POST", "/guardrail/g/version/1/apply", b"{}"),
            ("POST", "/guardrail/g/version/1/apply", Source(b"a", b"b")),
        ):
            headers = [("content-type", "application/json")]
            reply = await upstream.pass_on(
                Passage(method, base(server) + path, headers, body, signing=SIGNING)
            )
            assert reply.status == 200
            reply.close()
    assert len(found) == 4


async def test_a_signature_that_is_refused(upstream: Upstream) -> None:
    """No 403 for the caller, who has done nothing wrong; the connection is given back."""
    found: list[Scope] = []
    async with Server(checking(found, keys=Keys({"AKID": "another"}, KEYS.tokens))) as server:
        for _ in range(2):
            request = UpstreamRequest(base(server) + PATH, [], b"{}", lines=LINES, signing=SIGNING)
            with pytest.raises(UpstreamUnreachable) as caught:
                await upstream.exchange(request)
            assert caught.value.detail == "AWS refused the signature (InvalidSignatureException)"
        with pytest.raises(UpstreamUnreachable):
            await upstream.pass_on(Passage("GET", base(server) + "/x", [], b"", signing=SIGNING))
    assert found == []


async def test_a_stream_of_sagemaker(upstream: Upstream) -> None:
    """Is given without AWS's framing, for that service alone."""
    kinds = {":message-type": "event", ":event-type": "PayloadPart"}
    body = write_message(kinds, b"data: 1\n\n") + write_message(kinds, b"data: [DONE]\n\n")
    more = b"content-type: application/vnd.amazon.eventstream\r\n"
    async with Server(checking([], more=more, body=body)) as server:
        for service, kind, read in (
            ("sagemaker", FramedReply, b"data: 1\n\ndata: [DONE]\n\n"),
            ("bedrock", HttpReply, body),
        ):
            signing = AwsSigning(service, "eu-west-1", "AKID", "secret", "canary-session")
            request = UpstreamRequest(base(server) + "/x", [], b"{}", lines=LINES, signing=signing)
            reply = await upstream.exchange(request)
            assert isinstance(reply, kind)
            assert await reply.read(1000) == read, base64.b64encode(body)
            reply.close()
