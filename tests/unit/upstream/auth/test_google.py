"""Tokens of Google Cloud: got by its library, over the worker's connections, from endpoints of our own."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

import pytest
from google.auth import jwt

from gateway.egress import EgressRules
from gateway.errors import UpstreamUnreachable
from gateway.model import GoogleTokenRequest, UpstreamReply, UpstreamRequest
from gateway.proxies import Proxies
from gateway.upstream.auth.google import MARGIN_S, MAX_THREADS, GoogleTokens, _life_s, _Line, _told
from gateway.upstream.auth.tokens import Tokens
from gateway.upstream.exchange import Upstream
from tests.rig.google_cloud import PRIVATE_KEY, PUBLIC_KEY
from tests.rig.until import until_async
from tests.unit.upstream.small_server import Connection, Server

EMAIL: Final = "app@proj.iam.gserviceaccount.com"
SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
AUDIENCE: Final = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/x"
JWT_TYPE: Final = "urn:ietf:params:oauth:token-type:jwt"
IDENTITY: Final = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJwb2QifQ.canary"

Said = tuple[int, Any]


class Google:
    """Token endpoint, STS and metadata server in one: gives `t-1`, `t-2`, or what is put in `answers`.

    Attributes:
        asked: Path, headers and body of each request.
        said_at: What is said at a path, where it is another.
        gate: Answers wait for it.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str], str]] = []
        self.answers: list[Said] = []
        self.said_at: dict[str, Any] = {}
        self.gate = asyncio.Event()
        self.gate.set()
        self.life_s = 3600
        self.url = ""

    async def answer(self, connection: Connection) -> None:
        head, body = connection.requests[-1]
        first, *lines = head.decode().strip().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines)
        self.asked.append((first.split(" ")[1], headers, body.decode()))
        number = len(self.asked)
        await self.gate.wait()
        usual = self.said_at.get(self.asked[-1][0].partition("?")[0], self.token(f"t-{number}"))
        status, said = self.answers.pop(0) if self.answers else (200, usual)
        text = said if isinstance(said, bytes) else json.dumps(said).encode()
        kind = b"content-type: application/json\r\nmetadata-flavor: Google\r\n"
        await connection.send(
            b"HTTP/1.1 %d X\r\n%bcontent-length: %d\r\n\r\n%b" % (status, kind, len(text), text)
        )

    def token(self, value: str) -> dict[str, Any]:
        kind = "urn:ietf:params:oauth:token-type:access_token"
        more = {"token_type": "Bearer", "issued_token_type": kind, "expires_in": self.life_s}
        return {"access_token": value, **more}

    def key_file(self, **more: Any) -> GoogleTokenRequest:
        content = {
            "type": "service_account",
            "client_email": EMAIL,
            "private_key": PRIVATE_KEY,
            "private_key_id": "k-1",
            "token_uri": f"{self.url}/token",
            **more,
        }
        return GoogleTokenRequest("service_account", json.dumps(content), (content["private_key"],), "who@p")

    def federation(self, source: dict[str, Any], **more: Any) -> GoogleTokenRequest:
        content = {
            "type": "external_account",
            "audience": AUDIENCE,
            "subject_token_type": JWT_TYPE,
            "token_url": f"{self.url}/sts",
            "credential_source": source,
            **more,
        }
        return GoogleTokenRequest("external_account", json.dumps(content))


@pytest.fixture
async def google() -> AsyncIterator[Google]:
    made = Google()
    async with Server(made.answer) as server:
        made.url = server.url.removesuffix("/v1/x")
        yield made
        made.gate.set()


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    made = Upstream(Proxies({}))
    await made.open()
    yield made
    await made.close()


@pytest.fixture
async def tokens(upstream: Upstream) -> AsyncIterator[Tokens]:
    now_s = asyncio.get_running_loop().time
    made = Tokens(upstream.exchange, upstream.pass_on, now_s)
    yield made
    await made.close()


async def test_a_service_account(google: Google, tokens: Tokens) -> None:
    """Signs for itself, for an hour and the one scope, and what it signed is right by its public key."""
    request = google.key_file()
    assert await tokens.find(request) == "t-1"
    [(path, headers, body)] = google.asked
    form = dict(parse_qsl(body))
    assert path == "/token"
    assert headers["content-type"] == "application/x-www-form-urlencoded"
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    claims = jwt.decode(form["assertion"], certs=PUBLIC_KEY)  # type: ignore[no-untyped-call] # as the library has it
    assert (claims["iss"], claims["scope"]) == (EMAIL, SCOPE)
    assert claims["exp"] - claims["iat"] == 3600


@pytest.mark.parametrize("kind", ["key", "configuration"])
async def test_where_a_key_leads_is_what_a_manifest_says(google: Google, kind: str) -> None:
    """Its addresses are held to the rules, as no question to the machine itself is."""
    upstream = Upstream(Proxies({}))
    await upstream.open()
    upstream.follow(EgressRules(refuses_private=True))
    request = google.key_file() if kind == "key" else google.federation({"url": f"{google.url}/subject"})
    try:
        with pytest.raises(UpstreamUnreachable) as caught:
            await upstream._tokens.find(request)
    finally:
        await upstream.close()
    assert "egress_settings" in caught.value.detail
    assert google.asked == []


async def test_it_is_kept_and_renewed_beside_the_calls(google: Google, upstream: Upstream) -> None:
    """Calls that come together ask once; near its end the old one is sent while the next is asked for."""
    now_s = 1000.0
    tokens = Tokens(upstream.exchange, upstream.pass_on, lambda: now_s)
    request = google.key_file()
    assert await asyncio.gather(*(tokens.find(request) for _ in range(5))) == ["t-1"] * 5
    now_s += 3600 * 0.9
    google.gate.clear()
    assert await asyncio.gather(*(tokens.find(request) for _ in range(3))) == ["t-1"] * 3
    await until_async(lambda: len(google.asked) == 2, "the second request")
    google.gate.set()
    await until_async(lambda: tokens._held[request].value == "t-2", "t-2")
    now_s += 3600
    assert await tokens.find(request) == "t-3"
    await tokens.close()


async def test_the_end_comes_early(google: Google, tokens: Tokens) -> None:
    """A token is not sent in its last seconds, and one that has no more is not kept."""
    google.life_s = int(MARGIN_S) - 1
    assert [await tokens.find(google.key_file()) for _ in range(2)] == ["t-1", "t-2"]
    soon = datetime.now(UTC).replace(tzinfo=None) + timedelta(seconds=100)
    assert 100 - MARGIN_S - 5 < _life_s(soon) <= 100 - MARGIN_S
    assert _life_s(None) == 0


async def test_the_loop_goes_on(google: Google, tokens: Tokens) -> None:
    """While the library waits, in a thread that is not the loop's, everything else runs."""
    google.gate.clear()
    waiting = asyncio.ensure_future(tokens.find(google.key_file()))
    await until_async(lambda: bool(google.asked), "the request")
    assert any(thread.name.startswith("google-token") for thread in threading.enumerate())
    google.gate.set()
    assert await waiting == "t-1"


async def test_federation_from_a_file(google: Google, tokens: Tokens, tmp_path: Path) -> None:
    """The file is read each time, and its identity exchanged for a token."""
    file = tmp_path / "identity"
    request = google.federation({"file": str(file)})
    for number, identity in enumerate((IDENTITY, IDENTITY + "2"), 1):
        file.write_text(identity)
        token = await tokens.find(request)
        assert token == f"t-{number}"
        tokens.forget(request, token)
        path, _, body = google.asked[-1]
        form = dict(parse_qsl(body))
        assert (path, form["subject_token"], form["audience"]) == ("/sts", identity, AUDIENCE)
        assert (form["subject_token_type"], form["scope"]) == (JWT_TYPE, SCOPE)


async def test_federation_from_a_url_as_a_service_account(google: Google, tokens: Tokens) -> None:
    """An identity that a URL gives in JSON, and a service account that it may act as."""
    source = {
        "url": f"{google.url}/identity",
        "headers": {"X-Asks": "pod"},
        "format": {"type": "json", "subject_token_field_name": "id"},
    }
    end = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    google.answers = [
        (200, {"id": IDENTITY}),
        (200, google.token("of-the-pool")),
        (200, {"accessToken": "of-the-account", "expireTime": end}),
    ]
    impersonation = f"{google.url}/v1/projects/-/serviceAccounts/{EMAIL}:generateAccessToken"
    request = google.federation(source, service_account_impersonation_url=impersonation)
    assert await tokens.find(request) == "of-the-account"
    (identity, identity_headers, _), (_, _, exchanged), (path, headers, _) = google.asked
    assert (identity, identity_headers["x-asks"]) == ("/identity", "pod")
    assert dict(parse_qsl(exchanged))["subject_token"] == IDENTITY
    assert path.endswith(":generateAccessToken")
    assert headers["authorization"].lower() == "bearer of-the-pool"


async def test_federation_from_a_program(
    google: Google, tokens: Tokens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only where the operator has allowed programs, as the library wants it."""
    program = tmp_path / "identify"
    said = {
        "version": 1,
        "success": True,
        "token_type": JWT_TYPE,
        "id_token": IDENTITY,
        "expiration_time": 9**10,
    }
    program.write_text(f"#!/bin/sh\necho '{json.dumps(said)}'\n")
    program.chmod(0o700)
    request = google.federation({"executable": {"command": str(program), "timeout_millis": 5000}})
    with pytest.raises(UpstreamUnreachable) as caught:
        await tokens.find(request)
    assert "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES" in caught.value.detail
    monkeypatch.setenv("GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES", "1")
    assert await tokens.find(request) == "t-1"
    assert dict(parse_qsl(google.asked[0][2]))["subject_token"] == IDENTITY


async def test_federation_from_aws(google: Google, tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signed request that asks AWS who it is, which Google sends in its place."""
    for name, value in (
        ("ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("SECRET_ACCESS_KEY", "canary"),
        ("REGION", "us-east-2"),
    ):
        monkeypatch.setenv(f"AWS_{name}", value)
    source = {
        "environment_id": "aws1",
        "regional_cred_verification_url": "https://sts.{region}.amazonaws.com?Action=GetCallerIdentity&Version=2011-06-15",
    }
    request = google.federation(source, subject_token_type="urn:ietf:params:aws:token-type:aws4_request")
    assert await tokens.find(request) == "t-1"
    [(path, _, body)] = google.asked
    assert path == "/sts"
    assert "AKIDEXAMPLE" in dict(parse_qsl(body))["subject_token"]
    assert "canary" not in body


async def test_default_credentials_of_a_file(
    google: Google, tokens: Tokens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the machine says, by the variable that all of Google's libraries read."""
    file = tmp_path / "key.json"
    file.write_text(google.key_file().content)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    assert await tokens.find(GoogleTokenRequest("default")) == "t-1"
    assert google.asked[0][0] == "/token"


@pytest.fixture
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is signed in on it."""
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))


@pytest.mark.usefixtures("bare_machine")
async def test_default_credentials_of_the_metadata_server(
    google: Google, tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine of Google's own."""
    host = google.url.removeprefix("http://")
    monkeypatch.setenv("GCE_METADATA_IP", host)
    # The library reads its variable once, when it is imported.
    monkeypatch.setattr("google.auth.compute_engine._metadata._GCE_METADATA_HOST", host)
    google.said_at = {
        "/": {},
        "/computeMetadata/v1/project/project-id": "proj",
        "/computeMetadata/v1/instance/service-accounts/default/": {"email": EMAIL, "scopes": [SCOPE]},
    }
    assert (await tokens.find(GoogleTokenRequest("default"))).startswith("t-")
    assert google.asked[-1][0].startswith("/computeMetadata/v1/instance/service-accounts/")
    assert all(headers["metadata-flavor"] == "google" for _, headers, _ in google.asked)


@pytest.mark.usefixtures("bare_machine")
async def test_no_default_credentials(tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library's own words say where it has looked."""
    monkeypatch.setattr("google.auth.compute_engine._metadata._NO_GCE_CHECK", True)
    with pytest.raises(UpstreamUnreachable) as caught:
        await tokens.find(GoogleTokenRequest("default"))
    assert "Your default credentials were not found" in caught.value.detail


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        pytest.param(
            (400, {"error": "invalid_grant", "error_description": f"Invalid JWT: {IDENTITY}"}),
            "invalid_grant: Invalid JWT: ***",
            id="refused",
        ),
        pytest.param((200, {}), "No access token in response", id="no token"),
        pytest.param((200, b"<html>"), "an answer that could not be read", id="no JSON"),
        pytest.param(
            (200, {"access_token": "a\r\nx: y", "expires_in": 9}),
            "no token that could be sent",
            id="no header",
        ),
        pytest.param((200, {"access_token": 7, "expires_in": 9}), "gave no token", id="no text"),
        pytest.param((200, {"access_token": "t", "expires_in": "soon"}), "ValueError: ", id="no time"),
        pytest.param((200, ["t"]), "an answer that could not be read", id="a list"),
    ],
)
async def test_without_a_token(
    google: Google, tokens: Tokens, caplog: pytest.LogCaptureFixture, answer: Said, detail: str
) -> None:
    """The call fails as one that reached nobody; operators read why, and nobody reads a secret."""
    google.answers.append(answer)
    with caplog.at_level(logging.DEBUG), pytest.raises(UpstreamUnreachable) as caught:
        await tokens.find(google.key_file())
    assert caught.value.message == "The provider could not be signed in to."
    assert detail in caught.value.detail
    assert caught.value.message not in caught.value.detail + caplog.text
    assert "Google Cloud (service_account who@p)" in caplog.text
    said = caplog.text + caught.value.detail + caught.value.excerpt
    assert IDENTITY not in said
    assert not any(line in said for line in PRIVATE_KEY.splitlines()[1:-1])
    assert await tokens.find(google.key_file()) == "t-2"


@pytest.mark.parametrize("key", ["canary", PRIVATE_KEY[:300], PRIVATE_KEY.replace("A", "B"), ""])
async def test_a_key_that_is_none(
    google: Google, tokens: Tokens, caplog: pytest.LogCaptureFixture, key: str
) -> None:
    """It is refused before anything is sent, and not quoted."""
    with caplog.at_level(logging.DEBUG), pytest.raises(UpstreamUnreachable) as caught:
        await tokens.find(google.key_file(private_key=key))
    assert google.asked == []
    said = caplog.text + caught.value.detail
    assert not any(line in said for line in key.splitlines() if line[:1] != "-")


async def test_an_endpoint_that_is_gone(google: Google, tokens: Tokens) -> None:
    """The library tries again, and then says why."""
    request = google.key_file(token_uri="http://127.0.0.1:1/token")
    with pytest.raises(UpstreamUnreachable) as caught:
        await tokens.find(request)
    assert "127.0.0.1:1" in caught.value.detail


async def test_an_endpoint_that_is_silent(google: Google, upstream: Upstream) -> None:
    """No call waits for ever, and the thread that waits in its place comes back."""
    tokens = Tokens(upstream.exchange, upstream.pass_on, lambda: 0.0, answer_within_s=0.2)
    google.gate.clear()
    with pytest.raises(UpstreamUnreachable) as caught:
        await tokens.find(google.key_file())
    assert "did not answer within 0.2 s" in caught.value.detail
    google.gate.set()
    threads = tokens._google._threads
    assert threads is not None
    # Each is free again: as many waits as there are threads come to an end.
    done = [threads.submit(int) for _ in range(MAX_THREADS * 2)]
    await until_async(lambda: all(one.done() for one in done), "free threads")
    await tokens.close()


async def test_an_answer_that_never_ends(google: Google, tokens: Tokens) -> None:
    """Is not read beyond what a token can need."""
    google.answers.append((200, b"x" * 300_000))
    with pytest.raises(UpstreamUnreachable) as caught:
        await tokens.find(google.key_file())
    assert "longer than" in caught.value.detail


async def test_closing_while_one_is_asked_for(google: Google, upstream: Upstream) -> None:
    """Ends the wait at once, and the thread finds nobody to send by."""
    tokens = Tokens(upstream.exchange, upstream.pass_on, lambda: 0.0)
    google.gate.clear()
    waiting = asyncio.ensure_future(tokens.find(google.key_file()))
    await until_async(lambda: bool(google.asked), "the request")
    await tokens.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_certificate_is_not_taken(google: Google, upstream: Upstream) -> None:
    """Connections that show one are not ours to make; the reason says so."""
    line = _Line(upstream.pass_on, asyncio.get_running_loop())
    with pytest.raises(Exception, match="a certificate as the identity is not taken"):
        line("https://sts.test", cert=("a", "b"))


def test_what_is_told() -> None:
    """Words of the library, without a line of the key."""
    request = GoogleTokenRequest("service_account", "", (PRIVATE_KEY,))
    lines = PRIVATE_KEY.splitlines()
    told = _told(ValueError(f"cannot read {lines[1]} and {lines[2]}", {"error": "x"}), request)
    assert told.startswith("ValueError: cannot read *** and *** {'error': 'x'}")
    assert _told(KeyError("canary"), request) == "there was an answer that could not be read (KeyError)"
    assert _told(OSError(2, "No such file", "/var/run/token"), request).startswith("FileNotFoundError: ")


async def test_a_call_is_signed(google: Google, upstream: Upstream) -> None:
    """The whole way: the provider gets the token, and one that it refuses is forgotten."""
    heads: list[bytes] = []

    async def answer(connection: Connection) -> None:
        heads.append(connection.requests[-1][0])
        status = b"401 Unauthorized" if b"Bearer t-1" in heads[-1] else b"200 OK"
        await connection.send(b"HTTP/1.1 " + status + b"\r\ncontent-length: 2\r\n\r\n{}")

    async with Server(answer) as server:
        statuses = []
        for _ in range(3):
            request = UpstreamRequest(server.url, [], b"{}", timeout_s=30, token=google.key_file())
            reply: UpstreamReply = await upstream.exchange(request)
            await reply.read(100)
            reply.close()
            statuses.append((reply.status, reply.token))
    assert statuses == [(401, "t-1"), (200, "t-2"), (200, "t-2")]


def test_nothing_is_imported_before() -> None:
    """Nobody pays for what no account needs."""
    code = "import sys, gateway.app.worker; sys.exit('google.auth' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_closing_without_a_thread() -> None:
    """Most workers never have one."""
    GoogleTokens(None, None).close()  # type: ignore[arg-type] # never used
