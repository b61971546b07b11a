"""The server over TLS: who is let in, and what becomes of connections while its certificate is replaced."""

from __future__ import annotations

import asyncio
import logging
import ssl
import warnings
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, ClientWebSocketResponse

from gateway import tls_server
from gateway.http_server import HttpServer, bind
from gateway.tls_files import NO_FILES, TlsFileError, TlsFiles
from gateway.tls_server import TlsServer, make_server
from tests.rig.certificates import Authority, replace, subject_of
from tests.rig.until import until_async

GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
LOOK_EVERY_S = 0.01


class App:
    """Answers in two pieces; the second waits for `go_on`. Gives WebSockets back what they say."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.has_begun = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await self._echo(receive, send)
            return
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"6")]})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        self.has_begun.set()
        await self.go_on.wait()
        await send({"type": "http.response.body", "body": b"two", "more_body": False})

    async def _echo(self, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @property
    def subject(self) -> str:
        connected: ssl.SSLSocket = self.writer.get_extra_info("ssl_object")
        return subject_of(connected)

    async def head(self) -> str:
        return (await self.reader.readuntil(b"\r\n\r\n")).decode()

    async def get(self) -> str:
        self.writer.write(GET)
        head = await self.head()
        assert await self.reader.readexactly(6) == b"onetwo"
        return head


class Rig:
    def __init__(self, folder: Path, *, asks_callers: bool = False, retire_after_s: float = 60.0) -> None:
        self.authority = Authority(folder)
        self.cert, self.key = self.authority.write("first")
        self.app = App()
        listener = bind("127.0.0.1", 0)
        self.port: int = listener.getsockname()[1]
        files = TlsFiles(self.authority.file if asks_callers else None, self.cert, self.key)
        self.server = TlsServer(
            self.app, listener, files, look_every_s=LOOK_EVERY_S, retire_after_s=retire_after_s
        )

    async def connect(self, shown: tuple[Path, Path] | None = None) -> Client:
        context = self.authority.context(shown)
        return Client(
            *await asyncio.open_connection("127.0.0.1", self.port, ssl=context, server_hostname="localhost")
        )

    async def until_refused(self) -> None:
        """Wait until the server's own thread has closed the port, and nobody can connect."""
        async with asyncio.timeout(60):
            while True:
                try:
                    (await self.connect()).writer.close()
                except ConnectionRefusedError:
                    return
                except OSError:
                    # What waited there when the port was closed.
                    continue

    async def subject(self) -> str:
        client = await self.connect()
        client.writer.close()
        return client.subject

    def write(self, name: str) -> None:
        cert, key = self.authority.make(name)
        replace(self.cert, cert)
        replace(self.key, key)

    async def renew(self, name: str) -> None:
        before = self.server._now
        self.write(name)
        # The new one serves a moment before the old one leaves it to it.
        await until_async(lambda: self.server._now is not before, "the new certificate is in force")
        assert await self.subject() == name

    async def until_subject(self, name: str) -> None:
        async with asyncio.timeout(60):
            while await self.subject() != name:
                pass


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    rig = Rig(tmp_path)
    rig.server.start()
    yield rig
    rig.app.go_on.set()
    rig.server.stop()
    assert await rig.server.ended(60)


async def test_without_a_certificate(tmp_path: Path) -> None:
    """No files, no TLS; a file that is none is refused."""
    with bind("127.0.0.1", 0) as listener:
        assert isinstance(make_server(App(), listener, NO_FILES), HttpServer)
    with bind("127.0.0.1", 0) as listener, pytest.raises(TlsFileError, match="cannot be read"):
        make_server(App(), listener, TlsFiles(cert_file=tmp_path / "absent"))


async def test_both_versions(rig: Rig) -> None:
    """TLS 1.2 and 1.3 are spoken, and nothing older."""
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = rig.authority.context()
        context.minimum_version = context.maximum_version = version
        _, writer = await asyncio.open_connection(
            "127.0.0.1", rig.port, ssl=context, server_hostname="localhost"
        )
        writer.close()
    context = rig.authority.context()
    # What OpenSSL itself would not do otherwise; the refusal has to be the server's.
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError, match="ALERT"):
        await asyncio.open_connection("127.0.0.1", rig.port, ssl=context, server_hostname="localhost")


async def test_plain_http_is_not_answered(rig: Rig) -> None:
    """Who speaks no TLS is hung up on."""
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.port)
    writer.write(GET)
    assert b"HTTP" not in await asyncio.wait_for(reader.read(), 60)
    writer.close()


async def test_callers_with_certificates(tmp_path: Path) -> None:
    """Where an authority of callers is named, nobody gets in without its signature."""
    rig = Rig(tmp_path, asks_callers=True)
    rig.server.start()
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other", "stranger").write("caller")
    for shown in (None, stranger):
        # TLS 1.3 refuses after the client's part of the handshake is done.
        with pytest.raises((OSError, EOFError)):
            await (await rig.connect(shown)).get()
    client = await rig.connect(rig.authority.write("caller"))
    assert "200 OK" in await client.get()
    client.writer.close()
    rig.server.stop()
    assert await rig.server.ended(60)


async def test_a_replaced_certificate(rig: Rig) -> None:
    """New connections get it; those that were there are answered once more, for the last time."""
    kept = await rig.connect()
    assert "connection: close" not in await kept.get()
    await rig.renew("second")
    assert kept.subject == "first"
    assert "connection: close" in await kept.get()
    assert await kept.reader.read() == b""
    kept.writer.close()
    again = await rig.connect()
    assert "connection: close" not in await again.get()
    again.writer.close()


async def test_what_has_begun_goes_on(tmp_path: Path) -> None:
    """Answers and WebSockets under way are not cut by a new certificate, nor by the end of the old."""
    rig = Rig(tmp_path, retire_after_s=0.05)
    rig.server.start()
    rig.app.go_on.clear()
    answer = await rig.connect()
    answer.writer.write(GET)
    await rig.app.has_begun.wait()
    async with ClientSession() as session:
        socket = await session.ws_connect(f"https://localhost:{rig.port}/", ssl=rig.authority.context())
        await _say(socket, "before")
        await rig.renew("second")
        await until_async(lambda: len(rig.server._retired) == 1, "the old server is being retired")
        await asyncio.sleep(0.2)  # it has been told to stop meanwhile; that nothing happens cannot be awaited
        await _say(socket, "after")
        await socket.close()
    rig.app.go_on.set()
    await answer.head()
    assert await answer.reader.readexactly(6) == b"onetwo"
    answer.writer.close()
    await until_async(lambda: rig.server._retired == [], "the old server has ended")
    assert await rig.subject() == "second"
    rig.server.stop()
    assert await rig.server.ended(60)


async def _say(socket: ClientWebSocketResponse[Any], text: str) -> None:
    await socket.send_str(text)
    assert await asyncio.wait_for(socket.receive_str(), 60) == text


async def test_a_handshake_that_began_before(rig: Rig) -> None:
    """Whoever connected before the change, and says hello after it, is served."""
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.port)
    # Somebody who connects later is through, so this one has been taken too.
    assert await rig.subject() == "first"
    await rig.renew("second")
    await writer.start_tls(rig.authority.context(), server_hostname="localhost")
    client = Client(reader, writer)
    assert client.subject == "first"
    assert "200 OK" in await client.get()
    writer.close()


async def test_no_connection_is_lost(rig: Rig) -> None:
    """Under load each change loses nothing: no refused connection, no cut answer."""
    is_over = asyncio.Event()
    done = 0

    async def call(*, keeps: bool) -> None:
        nonlocal done
        client = None
        while not is_over.is_set():
            client = client or await rig.connect()
            head = await client.get()
            done += 1
            if not keeps or "connection: close" in head:
                client.writer.close()
                client = None
        if client is not None:
            client.writer.close()

    callers = [asyncio.ensure_future(call(keeps=bool(number % 2))) for number in range(8)]
    for name in ("second", "third", "fourth"):
        enough = done + 50
        await rig.renew(name)
        await until_async(lambda: done >= enough, "calls after the change")  # noqa: B023 - over by then
    is_over.set()
    await asyncio.gather(*callers)
    assert done > 150


async def test_what_cannot_be_used(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """Half of a pair, and what is no certificate, leave the earlier one in force and are told once."""
    caplog.set_level(logging.ERROR)
    cert, key = rig.authority.make("second")
    replace(rig.cert, cert)
    await until_async(lambda: "tls.key_file is of another" in caplog.text, "the half pair is told of")
    assert await rig.subject() == "first"
    replace(rig.cert, b"junk")
    await until_async(lambda: "no certificate in PEM" in caplog.text, "the junk is told of")
    assert await rig.subject() == "first"
    assert len(caplog.records) == 2
    replace(rig.cert, cert)
    replace(rig.key, key)
    await rig.until_subject("second")


async def test_a_change_while_it_ends(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """Once nobody may come any more, a new certificate is of no use, and no trouble either."""
    kept = await rig.connect()
    await kept.get()
    await rig.server.refuse()
    rig.write("second")
    await until_async(lambda: rig.server._tasks == set(), "the watch ends")
    assert "200 OK" in await kept.get()
    kept.writer.close()
    assert caplog.records == []


@pytest.mark.parametrize("refuses", [True, False], ids=["after a drain", "at once"])
async def test_an_end_while_a_certificate_is_tried(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, *, refuses: bool
) -> None:
    """The new one serves already, so its answers are waited for too, and nobody can come any more."""
    monkeypatch.setattr(tls_server, "_FAILS_WITHIN_S", 1.0)
    rig.write("second")
    client = await rig.connect()
    while client.subject != "second":
        client.writer.close()
        client = await rig.connect()
    rig.app.go_on.clear()
    client.writer.write(GET)
    await rig.app.has_begun.wait()
    assert rig.server._renewing.locked()
    if refuses:
        await rig.server.refuse()
    rig.server.stop()
    assert not await rig.server.ended(0.05)
    await rig.until_refused()
    rig.app.go_on.set()
    assert "200 OK" in await client.head()
    assert await client.reader.readexactly(6) == b"onetwo"
    client.writer.close()


async def test_the_same_written_anew(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """Files whose content has not changed are no new certificate."""
    caplog.set_level(logging.INFO)
    replace(rig.cert, rig.cert.read_bytes())
    seen = rig.server._seen
    await until_async(lambda: rig.server._seen != seen, "the change is looked at")
    kept = await rig.connect()
    assert "connection: close" not in await kept.get()
    assert "new connections get" not in caplog.text
    kept.writer.close()
