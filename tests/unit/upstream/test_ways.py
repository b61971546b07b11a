"""The ways to a provider: plain and TLS, IPv6, through a proxy that is asked and through a tunnel."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import pytest
import uvloop

from gateway.egress import OPEN, EgressRules
from gateway.errors import UpstreamUnreachable
from gateway.model import Passage
from gateway.proxies import Proxies
from gateway.upstream.exchange import Upstream
from tests.rig.requires import requires
from tests.rig.until import until_async
from tests.unit.upstream.small_server import (
    CHUNKED,
    OK,
    Answer,
    Server,
    answering,
    ask,
    chunk,
    ending,
    hanging,
    in_use,
    read_all,
)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of `localhost` and the loopback addresses, its own authority, with its key."""
    folder = tmp_path_factory.mktemp("tls")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += [
        "-keyout",
        str(folder / "key.pem"),
        "-out",
        str(folder / "cert.pem"),
        "-subj",
        "/CN=localhost",
    ]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    both = folder / "both.pem"
    both.write_bytes((folder / "key.pem").read_bytes() + (folder / "cert.pem").read_bytes())
    return both


@pytest.fixture
def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@asynccontextmanager
async def opened(
    proxies: dict[str, str] | None = None, trusted: Path | None = None
) -> AsyncIterator[Upstream]:
    upstream = Upstream(Proxies(proxies or {}))
    await upstream.open()
    assert upstream._connector is not None
    if trusted is not None:
        # The system's authorities are read when aiohttp is imported (SSL_CERT_FILE): here they are named.
        upstream._connector._ssl = ssl.create_default_context(cafile=trusted)
    yield upstream
    assert not in_use(upstream)
    await upstream.close()


class Proxy:
    """An HTTP proxy: passes requests with an absolute address on, and opens tunnels.

    Attributes:
        heads: Of each request it was sent.
    """

    def __init__(self, *, refuses: bool = False) -> None:
        self._refuses = refuses
        self._tasks: list[asyncio.Task[None]] = []
        self.heads: list[str] = []
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://user:pass%2Fword@127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.append(task)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError), contextlib.closing(writer):
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head.decode())
            if self._refuses:
                writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
                return
            method, target, _ = self.heads[-1].split(" ", 2)
            host = target.removeprefix("http://").partition("/")[0]
            name, _, port = host.rpartition(":")
            onward, away = await asyncio.open_connection(name, int(port))
            if method == "CONNECT":
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                away.write(head)
            await asyncio.gather(_pipe(reader, away), _pipe(onward, writer))


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError), contextlib.closing(writer):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()


LOGIN = "basic " + base64.b64encode(b"user:pass/word").decode().lower()


def lines(head: str | bytes) -> list[str]:
    text = head if isinstance(head, str) else head.decode()
    return text.lower().strip().split("\r\n")


# -- straight


@requires("openssl")
async def test_tls(certificate: Path, server_tls: ssl.SSLContext) -> None:
    """A provider with a trusted certificate is asked over TLS, again on one connection, at length too."""
    async with Server(answering(OK), tls=server_tls) as server, opened(trusted=certificate) as upstream:
        for body in (b"{}", b"x" * 3_000_000):
            reply = await upstream.exchange(ask(server.url, body=body))
            assert await reply.read(10) == b"{}"
            reply.close()
        assert [body for _, body in server.connections[0].requests] == [b"{}", b"x" * 3_000_000]


@requires("openssl")
@pytest.mark.parametrize("loop_of", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("size", [10, 20_000, 200_000, 1_000_000])
@pytest.mark.parametrize("is_secure", [False, True], ids=["http", "https"])
def test_body_of_any_length(
    loop_of: Callable[[Coroutine[Any, Any, None]], None],
    certificate: Path,
    server_tls: ssl.SSLContext,
    size: int,
    *,
    is_secure: bool,
) -> None:
    """What is sent with its head, behind it or in pieces arrives as it was."""

    async def call() -> None:
        body = bytes(range(256)) * (size // 256 + 1)
        async with (
            Server(answering(OK), tls=server_tls if is_secure else None) as server,
            opened(trusted=certificate) as upstream,
        ):
            reply = await upstream.exchange(ask(server.url, body=body))
            assert await reply.read(100) == b"{}"
            reply.close()
            assert [sent for _, sent in server.connections[0].requests] == [body]

    loop_of(call())


@requires("openssl")
async def test_certificate_of_nobody(server_tls: ssl.SSLContext) -> None:
    """A certificate that nobody vouches for is no provider."""
    async with Server(answering(OK), tls=server_tls) as server, opened() as upstream:
        with pytest.raises(UpstreamUnreachable) as caught:
            await upstream.exchange(ask(server.url))
        assert "ertificate" in caught.value.detail
        assert not server.connections


@requires("openssl")
@pytest.mark.parametrize(
    "answer", [hanging(), hanging(CHUNKED, chunk(b"word"))], ids=["in the head", "in the body"]
)
async def test_cancellation_over_tls(certificate: Path, server_tls: ssl.SSLContext, answer: Answer) -> None:
    """A caller that leaves ends the connection at once, without a farewell that the provider must answer."""
    async with Server(answer, tls=server_tls) as server, opened(trusted=certificate) as upstream:
        asking = asyncio.ensure_future(read_all(upstream, server.url))
        await until_async(
            lambda: server.connections and server.connections[0].requests, "the request arrives"
        )
        asking.cancel()
        await asyncio.wait([asking])
        await until_async(lambda: server.connections[0].is_closed, "the connection is closed")


async def test_ipv6() -> None:
    """An IPv6 address is asked, and named in brackets."""
    async with Server(answering(OK), host="::1") as server, opened() as upstream:
        assert await read_all(upstream, server.url) == b"{}"
        port = server.url.partition("]:")[2].partition("/")[0]
        assert f"host: [::1]:{port}" in lines(server.connections[0].requests[0][0])


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://provider.test/v1/x", "provider.test"),
        ("http://provider.test:80/v1/x", "provider.test"),
        ("https://provider.test:443/v1/x", "provider.test"),
        ("https://provider.test:80/v1/x", "provider.test:80"),
        ("http://PROVIDER.test:8080/v1/x", "provider.test:8080"),
        ("https://münchen.test/v1/x", "xn--mnchen-3ya.test"),
    ],
)
async def test_host(url: str, host: str) -> None:
    """The host is named as clients do: a default port not at all, names in their ASCII form."""
    async with opened() as upstream:
        head = upstream._find_route(url).head
        assert head == b"POST /v1/x HTTP/1.1\r\nhost: %s\r\n" % host.encode()


@pytest.mark.parametrize(
    "url", ["", "x", "http://", "http://[::1", "http://a b/", "ftp://a/", "http://a:99999/"]
)
async def test_no_url(url: str) -> None:
    """What is no address of a provider is one that cannot be reached."""
    async with opened() as upstream:
        with pytest.raises(UpstreamUnreachable):
            await upstream.exchange(ask(url))


async def test_path_as_it_goes_out() -> None:
    """A path goes out encoded once, its query with it, a fragment not."""
    async with opened() as upstream:
        head = upstream._find_route("http://a/ü%20b%2Fc?q=1%262&v=ü#f").head
        assert head.startswith(b"POST /%C3%BC%20b%2Fc?q=1%262&v=%C3%BC HTTP/1.1\r\n")


# -- through a proxy


async def test_proxy_that_is_asked() -> None:
    """A plain provider is asked for by its whole address; the login is the proxy's, and goes no further."""
    async with (
        Server(answering(OK)) as server,
        Proxy() as proxy,
        opened({"HTTP_PROXY": proxy.url}) as upstream,
    ):
        for _ in range(2):
            assert await read_all(upstream, server.url) == b"{}"
        (head,) = proxy.heads
        assert head.startswith(f"POST {server.url} HTTP/1.1\r\n")
        assert f"proxy-authorization: {LOGIN}" in lines(head)
        assert len([line for line in lines(head) if line.startswith("host:")]) == 1
        assert len(server.connections[0].requests) == 2


@requires("openssl")
async def test_tunnel(certificate: Path, server_tls: ssl.SSLContext) -> None:
    """A provider with TLS is asked through a tunnel: only the proxy learns the login."""
    async with (
        Server(answering(OK), tls=server_tls) as server,
        Proxy() as proxy,
        opened({"HTTPS_PROXY": proxy.url}, trusted=certificate) as upstream,
    ):
        for _ in range(3):
            assert await read_all(upstream, server.url) == b"{}"
        (head,) = proxy.heads
        authority = server.url.removeprefix("https://").partition("/")[0]
        assert head.startswith(f"CONNECT {authority} HTTP/1.1\r\n")
        assert f"proxy-authorization: {LOGIN}" in lines(head)
        (connection,) = server.connections
        assert len(connection.requests) == 3
        assert lines(connection.requests[0][0])[0] == "post /v1/x http/1.1"
        assert "proxy-" not in connection.requests[0][0].decode().lower()


@requires("openssl")
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_proxy_that_refuses(scheme: str) -> None:
    """A proxy that wants another login: its own answer when it is asked, unreachable behind it."""
    async with Proxy(refuses=True) as proxy, opened({f"{scheme}_proxy": proxy.url}) as upstream:
        if scheme == "http":
            reply = await upstream.exchange(ask("http://provider.test/"))
            assert reply.status == 407
            reply.close()
        else:
            with pytest.raises(UpstreamUnreachable) as caught:
                await upstream.exchange(ask("https://provider.test/"))
            assert "pass" not in caught.value.message


async def test_proxy_that_hangs_up() -> None:
    """A proxy that ends the connection is a provider that does."""
    async with Server(ending()) as server, Proxy() as proxy, opened({"http_proxy": proxy.url}) as upstream:
        with pytest.raises(UpstreamUnreachable):
            await upstream.exchange(ask(server.url))


@requires("openssl")
@pytest.mark.parametrize("ticks", range(0, 40, 3))
@pytest.mark.parametrize("way", ["http", "https"])
async def test_cancellation_on_the_way(
    certificate: Path, server_tls: ssl.SSLContext, ticks: int, way: str
) -> None:
    """Whoever leaves while the proxy, the tunnel or TLS is being made leaves nothing behind."""
    tls = server_tls if way == "https" else None
    async with (
        Server(hanging(CHUNKED), tls=tls) as server,
        Proxy() as proxy,
        opened({f"{way}_proxy": proxy.url}, trusted=certificate) as upstream,
    ):
        asking = asyncio.ensure_future(read_all(upstream, server.url))
        for _ in range(ticks):
            await asyncio.sleep(0)
        asking.cancel()
        await asyncio.wait([asking])
        assert not in_use(upstream)
        is_over: Callable[[], bool] = lambda: all(each.is_closed for each in server.connections)  # noqa: E731 - a condition
        await until_async(is_over, "every connection is closed")


STRICT = EgressRules(refuses_private=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_an_address_that_is_not_called(host: str) -> None:
    """By number or by name: no connection is made, and the caller learns why, but not where."""
    async with Server(answering(OK)) as server, opened() as upstream:
        url = server.url.replace("127.0.0.1", host)
        upstream.follow(STRICT)
        for way in (upstream.exchange(ask(url)), upstream.pass_on(Passage("GET", url, [], b""))):
            with pytest.raises(UpstreamUnreachable, match=r"is not to call \(egress_settings\)") as caught:
                await way
            assert host not in str(caught.value)
            assert "egress_settings.private_addresses is refuse" in caught.value.detail
        with pytest.raises(UpstreamUnreachable, match="egress_settings"):
            await upstream.dial(Passage("GET", url.replace("http", "ws", 1), [], b""))
        assert server.connections == []
        upstream.follow(OPEN)
        assert await read_all(upstream, url) == b"{}"


async def test_what_is_not_called_through_a_proxy() -> None:
    """The proxy looks names up, but what the URL says is seen here; where the proxy is does not matter."""
    async with (
        Server(answering(OK)) as server,
        Proxy() as proxy,
        opened({"HTTP_PROXY": proxy.url}) as upstream,
    ):
        upstream.follow(STRICT)
        with pytest.raises(UpstreamUnreachable, match="egress_settings"):
            await upstream.exchange(ask("http://169.254.169.254/latest/meta-data"))
        assert proxy.heads == []
        assert await read_all(upstream, server.url.replace("127.0.0.1", "localhost")) == b"{}"


async def test_metadata_for_the_clouds_own_library() -> None:
    """What asks for the tokens of a machine at Google may reach what nobody else may."""
    async with Server(answering(OK)) as server, opened() as upstream:
        upstream.follow(STRICT)
        reply = await upstream._pass_to_metadata(Passage("GET", server.url, [], b""))
        assert reply.status == 200
        assert await reply.read(10) == b"{}"
        reply.close()
