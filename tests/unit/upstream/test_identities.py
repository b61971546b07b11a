"""Certificates of accounts: shown to providers, in force when replaced, shared with no other account."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from gateway.errors import UpstreamUnreachable
from gateway.model import Passage
from gateway.proxies import Proxies
from gateway.tls_files import TlsFileError, TlsFiles, make_server_context
from gateway.upstream.exchange import Upstream
from gateway.upstream.identities import LOOK_EVERY_S, Identities
from tests.rig.certificates import Authority, replace, subject_of
from tests.rig.until import until_async
from tests.unit.upstream.small_server import ask

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


class Provider:
    """A server that asks for certificates.

    Attributes:
        subjects: Who connected, in order.
        asked: Who called, in order.
    """

    def __init__(self) -> None:
        self.url = ""
        self.subjects: list[str] = []
        self.asked: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected: ssl.SSLSocket = writer.get_extra_info("ssl_object")
        name = subject_of(connected)
        self.subjects.append(name)
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                await reader.readuntil(b"}")
                self.asked.append(name)
                writer.write(ANSWER)
        except asyncio.IncompleteReadError:
            writer.close()


@asynccontextmanager
async def provider(authority: Authority) -> AsyncIterator[Provider]:
    found = Provider()
    context = make_server_context(TlsFiles(authority.file, *authority.write("provider")))
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0, ssl=context)
    found.url = f"https://localhost:{server.sockets[0].getsockname()[1]}/v1/x"
    yield found
    server.close()


@asynccontextmanager
async def opened() -> AsyncIterator[Upstream]:
    upstream = Upstream(Proxies({}))
    await upstream.open()
    yield upstream
    await upstream.close()


async def call(upstream: Upstream, url: str, tls: TlsFiles | None) -> bytes:
    reply = await upstream.exchange(msgspec.structs.replace(ask(url), tls=tls))
    try:
        return await reply.read(100)
    finally:
        reply.close()


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def shown(authority: Authority, name: str) -> TlsFiles:
    return TlsFiles(authority.file, *authority.write(name))


class Account:
    """Certificate and key of an account, and what looks at them, on a clock that this moves.

    Attributes:
        first: What was made of them.
    """

    def __init__(self, authority: Authority) -> None:
        self.cert, self.key = authority.write("one")
        self._files = TlsFiles(authority.file, self.cert, self.key)
        self._now_s = 0.0
        self._identities = Identities(lambda: self._now_s)
        self.first = self.find()

    def find(self) -> ssl.SSLContext:
        return self._identities.find(self._files)

    def find_later(self) -> ssl.SSLContext:
        """When the files are looked at again."""
        self._now_s += LOOK_EVERY_S
        return self.find()


async def test_each_account_shows_its_own(authority: Authority) -> None:
    """Two accounts at one address never share a connection; each keeps its own."""
    one, two = shown(authority, "one"), shown(authority, "two")
    async with provider(authority) as found, opened() as upstream:
        for tls in (one, two, one, two):
            assert await call(upstream, found.url, tls) == b"{}"
    assert found.subjects == ["one", "two"]
    assert found.asked == ["one", "two", "one", "two"]


async def test_other_ways_to_call(authority: Authority) -> None:
    """What is passed on shows the certificate too, and what asks for a WebSocket."""
    tls = shown(authority, "one")
    async with provider(authority) as found, opened() as upstream:
        reply = await upstream.pass_on(Passage("POST", found.url, [], b"{}", tls=tls))
        assert await reply.read(10) == b"{}"
        reply.close()
        url = found.url.replace("https", "wss")
        # The provider speaks no WebSocket, but has seen by then who asks.
        dialing = asyncio.ensure_future(upstream.dial(Passage("GET", url, [], b"", tls=tls)))
        await until_async(lambda: len(found.subjects) == 2, "it to see who asks")
        dialing.cancel()
        await asyncio.wait([dialing])
    assert found.subjects == ["one", "one"]


async def test_without_it_nobody_is_let_in(authority: Authority) -> None:
    """The system's authorities do not know the provider, and without a certificate it knows nobody."""
    async with provider(authority) as found, opened() as upstream:
        for tls in (None, TlsFiles(ca_file=authority.file)):
            with pytest.raises(UpstreamUnreachable):
                await call(upstream, found.url, tls)
    assert found.asked == []


async def test_a_file_that_cannot_be_used(authority: Authority, tmp_path: Path) -> None:
    """The caller learns that it is about certificates; where they are is for the trace."""
    async with opened() as upstream:
        with pytest.raises(UpstreamUnreachable, match="certificates of the provider's account") as caught:
            await call(upstream, "https://localhost:1/", TlsFiles(ca_file=tmp_path / "absent"))
    assert "absent" in caught.value.detail
    assert "absent" not in str(caught.value)


def test_a_replaced_file(authority: Authority) -> None:
    """It is noticed when the files are looked at again; until then the context is the same."""
    account = Account(authority)
    cert, key = authority.make("two")
    replace(account.cert, cert)
    replace(account.key, key)
    assert account.find() is account.first
    second = account.find_later()
    assert second is not account.first
    assert account.find_later() is second


def test_files_that_do_not_match_for_a_moment(authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    """The last pair that did serves on, which is told once; when all has come the new one serves."""
    account = Account(authority)
    cert, key = authority.make("two")
    replace(account.cert, cert)
    for _ in range(3):
        assert account.find_later() is account.first
    assert caplog.text.count("tls.key_file is of another tls.cert_file") == 1
    account.key.unlink()
    assert account.find_later() is account.first
    replace(account.key, key)
    second = account.find_later()
    assert second is not account.first
    # What is put back after something that is of no use is read anew.
    replace(account.key, b"junk")
    assert account.find_later() is second
    replace(account.key, key)
    assert account.find_later() is not second


def test_files_that_may_be_read_later(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may read a file can change while the file does not, as where root renews a certificate."""
    account = Account(authority)
    for path, content in zip((account.cert, account.key), authority.make("two"), strict=True):
        replace(path, content)

    def refuse(*_: object) -> None:
        raise PermissionError

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", refuse)
        assert account.find_later() is account.first
    assert account.find_later() is not account.first


async def test_a_rotation_while_calls_go_on(authority: Authority) -> None:
    """No call fails between the new certificate and its key; then a new connection shows the new one."""
    now_s = 0.0
    files = shown(authority, "one")
    assert files.cert_file is not None
    assert files.key_file is not None
    async with provider(authority) as found, opened() as upstream:
        upstream._identities = Identities(lambda: now_s)
        assert await call(upstream, found.url, files) == b"{}"
        cert, key = authority.make("two")
        replace(files.cert_file, cert)
        now_s += LOOK_EVERY_S
        assert await call(upstream, found.url, files) == b"{}"
        replace(files.key_file, key)
        now_s += LOOK_EVERY_S
        assert await call(upstream, found.url, files) == b"{}"
    assert found.asked == ["one", "one", "two"]


def test_files_that_never_could_be_used(authority: Authority) -> None:
    """There is nothing to serve on; it is looked at again at every call."""
    identities = Identities(lambda: 0.0)
    files = shown(authority, "one")
    assert files.key_file is not None
    key = files.key_file.read_bytes()
    replace(files.key_file, b"junk")
    with pytest.raises(TlsFileError):
        identities.find(files)
    replace(files.key_file, key)
    identities.find(files)
