"""Certificates of a destination's own, over a real TLS connection in both directions."""

from __future__ import annotations

import os
import ssl
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from gateway.delivery.destination import Destination
from gateway.delivery.exchange import HttpExchange
from gateway.delivery.grpc_exchange import GrpcExchange
from gateway.delivery.outcome import Verdict
from gateway.delivery.tls import TlsContexts
from gateway.tls_files import TlsFiles
from tests.rig.requires import requires

pytestmark = requires("openssl")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    """A certificate for 127.0.0.1 that is its own authority, and serves both sides."""
    folder = tmp_path_factory.mktemp("tls")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    command += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return TlsFiles(folder / "cert.pem", folder / "cert.pem", folder / "key.pem")


def server_context(files: TlsFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    assert files.cert_file is not None
    context.load_cert_chain(files.cert_file, files.key_file)
    context.load_verify_locations(files.ca_file)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


@pytest.fixture
async def port(files: TlsFiles) -> AsyncIterator[int]:
    async def take(_request: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.router.add_post("/{path:.*}", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server_context(files))
    await site.start()
    yield runner.addresses[0][1]
    await runner.cleanup()


async def test_authority_and_certificate(port: int, files: TlsFiles) -> None:
    """With both it is taken; without, or with files that are none, the batch waits and nothing was sent."""
    destination = Destination("x", f"https://127.0.0.1:{port}/v1/traces", {}, {}, 0, tls=files)
    exchange = HttpExchange()
    assert (await exchange.post(destination, b"")).verdict is Verdict.DELIVERED
    unknown = await exchange.post(replace(destination, tls=TlsFiles()), b"")
    assert (unknown.verdict, unknown.is_unsent) == (Verdict.RETRY, True)
    assert "certificate" in unknown.message.lower()
    absent = await exchange.post(replace(destination, tls=TlsFiles(Path("/absent.pem"))), b"")
    assert absent.verdict is Verdict.RETRY
    assert (absent.is_unsent, "absent.pem" in absent.message) == (True, True)
    no_pem = await exchange.post(replace(destination, tls=TlsFiles(Path(__file__))), b"")
    assert no_pem.verdict is Verdict.RETRY
    await exchange.close()


def test_a_replaced_file_is_read_again(files: TlsFiles) -> None:
    """A renewed certificate needs no restart, and an old one no work."""
    contexts = TlsContexts()
    assert contexts.find(TlsFiles()) is None
    first = contexts.find(files)
    assert contexts.find(files) is first
    assert files.cert_file is not None
    os.utime(files.cert_file, ns=(1, 1))
    assert contexts.find(files) is not first


@requires("grpc")
async def test_over_grpc(files: TlsFiles) -> None:
    """The same files, and used anew when one was replaced: nobody restarts for a renewed certificate."""
    import grpc  # type: ignore[import-untyped,import-not-found,unused-ignore]  # an extra, without stubs

    from tests.rig.otlp_grpc import GrpcSink

    assert files.ca_file is not None
    assert files.key_file is not None
    pair = (files.key_file.read_bytes(), files.ca_file.read_bytes())
    credentials = grpc.ssl_server_credentials([pair], files.ca_file.read_bytes(), require_client_auth=True)
    exchange = GrpcExchange()
    with GrpcSink(credentials) as sink:
        destination = Destination(
            "x", f"https://127.0.0.1:{sink.port}", {}, {}, 0, protocol="grpc", tls=files, timeout_s=60.0
        )
        assert (await exchange.post(destination, b"")).verdict is Verdict.DELIVERED
        denied = await exchange.post(replace(destination, tls=TlsFiles(), timeout_s=1.0), b"")
        assert denied.verdict is Verdict.RETRY
        os.utime(files.ca_file, ns=(1, 1))
        files.ca_file.write_text("no certificate")
        replaced = await exchange.post(destination, b"")
        assert (replaced.verdict, "tls.ca_file holds no" in replaced.message) == (Verdict.RETRY, True)
        absent = await exchange.post(replace(destination, tls=TlsFiles(Path("/absent.pem"))), b"")
        assert (absent.verdict, "tls.ca_file cannot be read" in absent.message) == (Verdict.RETRY, True)
        await exchange.close()
