"""One exchange with an endpoint: a request out, an `Outcome` back, whatever the network does.

`HttpExchange` is OTLP over HTTP, in protobuf or JSON; `AnyExchange` speaks gRPC too.
"""

from __future__ import annotations

import asyncio
import re
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import version
from typing import Final, Protocol

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from gateway import __version__
from gateway.delivery.batch import MAX_REQUEST_BYTES
from gateway.delivery.checked_connector import CheckedConnector
from gateway.delivery.destination import Destination
from gateway.delivery.encoding import Encoder
from gateway.delivery.grpc_exchange import GrpcExchange
from gateway.delivery.otlp_json import to_json
from gateway.delivery.outcome import Answer, Outcome, Verdict, clock_ahead_s, judge, plain_text
from gateway.delivery.tls import TlsContexts
from gateway.wire.frames import FrameError

_EXPORTER_VERSION: Final = version("opentelemetry-exporter-otlp-proto-http")
USER_AGENT: Final = f"tfy-llm-gateway/{__version__} OTel-OTLP-Exporter-Python/{_EXPORTER_VERSION}"
_LINE_BREAK: Final = re.compile(r"[\r\n\0]")
# OTLP's bound for what a client reads of an answer.
_MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024
# Of one line. Above aiohttp's 8 KB, which a proxy's cookie or policy may exceed: an answer with it would be
# none, and the batch go out again for ever.
_MAX_HEADER_BYTES: Final = 128 * 1024
_GZIP_OR_ZLIB: Final = zlib.MAX_WBITS | 32
_CONTENT_TYPES: Final = {"http/protobuf": "application/x-protobuf", "http/json": "application/json"}

FindProxy = Callable[[str], str | None]


class Exchange(Protocol):
    """One way to hand a request to an endpoint."""

    async def post(self, destination: Destination, body: bytes) -> Outcome:
        """Send *body*, an `ExportTraceServiceRequest`, in the form that the destination wants."""

    async def close(self) -> None:
        """Close the connections."""


class HttpExchange:
    """OTLP/HTTP, over connections of its own. Made inside the event loop that uses it.

    Args:
        find_proxy: Gives the proxy that leads to an endpoint, None to connect directly.
        timeout_s: Of one exchange, from the connection to the last byte of the answer; None: as the
            destination says.
        now_s: Unix time.
        make_json: As in `Encoder`.
    """

    def __init__(
        self,
        find_proxy: FindProxy = lambda _: None,
        timeout_s: float | None = None,
        now_s: Callable[[], float] = time.time,
        make_json: Callable[[bytes], bytes] = to_json,
    ) -> None:
        self._find_proxy = find_proxy
        self._timeout_s = timeout_s
        self._now_s = now_s
        self._encoder = Encoder(make_json)
        self._contexts = TlsContexts()
        self._connector = CheckedConnector()
        self._is_connected = False
        self._is_proxied = False
        self._session = aiohttp.ClientSession(
            connector=self._connector,
            trace_configs=[self._watch_connections()],
            # Unpacked by us, as aiohttp takes one that it cannot unpack for no answer.
            auto_decompress=False,
            max_line_size=_MAX_HEADER_BYTES,
            max_field_size=_MAX_HEADER_BYTES,
            timeout=aiohttp.ClientTimeout(total=None),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def post(self, destination: Destination, body: bytes) -> Outcome:
        """Send *body*, an `ExportTraceServiceRequest`, in the form that the destination wants."""
        try:
            encoded = await self._encoder.encode(body, destination.protocol, destination.compression)
        except FrameError as error:
            return Outcome(Verdict.UNREADABLE, None, str(error))
        if encoded.plain_bytes > MAX_REQUEST_BYTES:  # JSON is larger than what it was made of
            return Outcome(
                Verdict.TOO_LARGE, None, f"{encoded.plain_bytes} bytes are too large for a request"
            )
        outcome = await self._try(destination, encoded.data)
        return replace(
            outcome,
            message=destination.shown_text(outcome.message),
            is_proxied=self._is_proxied,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def _try(self, destination: Destination, data: bytes) -> Outcome:
        timeout_s = destination.timeout_s if self._timeout_s is None else self._timeout_s
        deadline_s = asyncio.get_running_loop().time() + timeout_s
        self._is_connected = self._is_proxied = False
        try:
            answer = await self._exchange(destination, data, deadline_s)
        except TimeoutError:
            message = f"no answer within {timeout_s:g} s"
            return Outcome(Verdict.RETRY, None, message, is_unsent=not self._is_connected)
        # ValueError: aiohttp's for a header or URL that cannot be sent; the batch waits for a better
        # configuration.
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Outcome(Verdict.RETRY, None, _message(error), is_unsent=not self._is_connected)
        now_s = self._now_s()
        return replace(judge(answer, now_s), clock_ahead_s=clock_ahead_s(answer, now_s))

    def _watch_connections(self) -> aiohttp.TraceConfig:
        """Notes that the way to the endpoint is there, through a proxy and TLS too.

        From then on the endpoint may have the batch; before, it has nothing for certain.
        """

        async def note(*_: object) -> None:
            self._is_connected = True

        watching = aiohttp.TraceConfig()
        watching.on_connection_create_end.append(note)
        watching.on_connection_reuseconn.append(note)
        return watching

    async def _exchange(self, destination: Destination, data: bytes, deadline_s: float) -> Answer:
        # A redirect would carry the body and its key elsewhere; it is an answer like any other that is no
        # success.
        proxy = self._find_proxy(destination.endpoint)
        self._is_proxied = proxy is not None
        self._connector.follow(destination.egress, destination.endpoint, proxy)
        async with asyncio.timeout_at(deadline_s):
            response = await self._session.post(
                # As written: a signature in its query is of these bytes.
                URL(destination.endpoint, encoded=True),
                data=data,
                headers=_headers(destination),
                allow_redirects=False,
                proxy=proxy,
                ssl=self._contexts.find(destination.tls) or True,
            )
        async with response:
            said = await _read(response, deadline_s)
            headers = response.headers
            return Answer(
                response.status,
                response.content_type,
                said or b"",
                headers.get("Retry-After", ""),
                headers.get("Date", ""),
                is_unread=said is None,
                location=headers.get("Location", ""),
            )


class AnyExchange:
    """Speaks each destination's protocol. Made inside the event loop that uses it.

    Args:
        find_proxy: As in `HttpExchange`.
    """

    def __init__(self, find_proxy: FindProxy = lambda _: None) -> None:
        self._http = HttpExchange(find_proxy)
        self._grpc = GrpcExchange(find_proxy=find_proxy)

    async def post(self, destination: Destination, body: bytes) -> Outcome:
        """Send *body*, an `ExportTraceServiceRequest`, in the form that the destination wants."""
        exchange: Exchange = self._grpc if destination.protocol == "grpc" else self._http
        return await exchange.post(destination, body)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()
        await self._grpc.close()


def _message(error: Exception) -> str:
    if isinstance(error, aiohttp.ServerDisconnectedError) and not isinstance(error.message, str):
        # It broke off within its head, of which aiohttp would show what had come.
        return f"{type(error).__name__}: Server disconnected"
    return plain_text(f"{type(error).__name__}: {error}")


def _headers(destination: Destination) -> CIMultiDict[str]:
    for name, value in destination.headers.items():
        # aiohttp finds it too, once it holds a connection, which it then leaves open.
        if _LINE_BREAK.search(value):
            msg = f"the value of header {name} has a line break in it"
            raise ValueError(msg)
    headers = CIMultiDict({"User-Agent": USER_AGENT})
    headers.update(_own(destination.headers))
    headers["Content-Type"] = _CONTENT_TYPES[destination.protocol]
    if destination.compression == "gzip":
        headers["Content-Encoding"] = "gzip"
    return headers


def _own(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() != "content-encoding"}


async def _read(response: aiohttp.ClientResponse, deadline_s: float) -> bytes | None:
    """What the endpoint said; None when that cannot be known.

    It did not come whole, is longer than OTLP has a client read, or is packed as nobody had asked for.
    Its status is an answer all the same: the endpoint has taken the batch or not, and where a proxy garbles
    each of its answers, the same batch would go out for ever.
    """
    try:
        async with asyncio.timeout_at(deadline_s):
            said = await _read_bounded(response)
    except (aiohttp.ClientError, OSError):  # TimeoutError among them
        response.close()
        return None
    if not said or response.headers.get("Content-Encoding", "identity").lower() == "identity":
        return said
    unpacker = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        unpacked = unpacker.decompress(said, _MAX_ANSWER_BYTES)
    except zlib.error:
        return None
    return unpacked if unpacker.eof else None


async def _read_bounded(response: aiohttp.ClientResponse) -> bytes | None:
    parts = []
    size = 0
    async for part in response.content.iter_chunked(65536):
        parts.append(part)
        size += len(part)
        if size > _MAX_ANSWER_BYTES:
            response.close()  # what follows is not read; the connection cannot be used again
            return None
    return b"".join(parts)


async def wait_for_event(event: asyncio.Event, timeout_s: float) -> bool:
    """Wait for *event*, False when it was not set in time."""
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return False
    return True
