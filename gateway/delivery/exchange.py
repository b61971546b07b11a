"""One HTTP exchange with an endpoint: a body out, an `Outcome` back, whatever the network does."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Final, Protocol

import aiohttp
from multidict import CIMultiDict

from gateway import __version__
from gateway.delivery.destination import Destination
from gateway.delivery.outcome import Answer, Outcome, Verdict, judge, plain_text
from gateway.redaction import without_secrets

TIMEOUT_S: Final = 10.0
_EXPORTER_VERSION: Final = version("opentelemetry-exporter-otlp-proto-http")
USER_AGENT: Final = f"tfy-llm-gateway/{__version__} OTel-OTLP-Exporter-Python/{_EXPORTER_VERSION}"
_LINE_BREAK: Final = re.compile(r"[\r\n\0]")
# OTLP's bound for what a client reads of an answer.
_MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024


class Exchange(Protocol):
    """One way to hand a body to an endpoint."""

    async def post(self, destination: Destination, body: bytes) -> Outcome:
        """Send *body*, a gzipped `ExportTraceServiceRequest`."""

    async def close(self) -> None:
        """Close the connections."""


class HttpExchange:
    """OTLP/HTTP with protobuf, over connections of its own. Made inside the event loop that uses it.

    Args:
        find_proxy: Gives the proxy that leads to an endpoint, None to connect directly.
        timeout_s: Of one exchange, from the connection to the last byte of the answer.
        now_s: Unix time.
    """

    def __init__(
        self,
        find_proxy: Callable[[str], str | None] = lambda _: None,
        timeout_s: float = TIMEOUT_S,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._find_proxy = find_proxy
        self._timeout_s = timeout_s
        self._now_s = now_s
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=timeout_s), cookie_jar=aiohttp.DummyCookieJar()
        )

    async def post(self, destination: Destination, body: bytes) -> Outcome:
        """Send *body*, a gzipped `ExportTraceServiceRequest`."""
        try:
            answer = await self._exchange(destination, body)
        except TimeoutError:
            return Outcome(Verdict.RETRY, None, f"no answer within {self._timeout_s:g} s")
        # ValueError: aiohttp's for a header or URL that cannot be sent; the batch waits for a better
        # configuration.
        except (aiohttp.ClientError, OSError, ValueError) as error:
            message = plain_text(f"{type(error).__name__}: {error}")
            return Outcome(Verdict.RETRY, None, without_secrets(message, destination.headers.values()))
        outcome = judge(answer, self._now_s())
        return Outcome(
            outcome.verdict,
            outcome.status,
            without_secrets(outcome.message, destination.headers.values()),
            outcome.rejected,
            outcome.retry_after_s,
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def _exchange(self, destination: Destination, body: bytes) -> Answer:
        # A redirect would carry the body and its key elsewhere; it is an answer like any other that is no
        # success.
        async with self._session.post(
            destination.endpoint,
            data=body,
            headers=_headers(destination.headers),
            allow_redirects=False,
            proxy=self._find_proxy(destination.endpoint),
        ) as response:
            said = await _read_bounded(response)
            return Answer(
                response.status, response.content_type, said, response.headers.get("Retry-After", "")
            )


def _headers(own: Mapping[str, str]) -> CIMultiDict[str]:
    for name, value in own.items():
        # aiohttp finds it too, once it holds a connection, which it then leaves open.
        if _LINE_BREAK.search(value):
            msg = f"the value of header {name} has a line break in it"
            raise ValueError(msg)
    headers = CIMultiDict({"User-Agent": USER_AGENT})
    headers.update(own)
    headers.update({"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"})
    return headers


async def _read_bounded(response: aiohttp.ClientResponse) -> bytes:
    parts = []
    size = 0
    async for part in response.content.iter_chunked(65536):
        parts.append(part)
        size += len(part)
        if size > _MAX_ANSWER_BYTES:
            response.close()  # what follows is not read; the connection cannot be used again
            return b""
    return b"".join(parts)


async def wait_for_event(event: asyncio.Event, timeout_s: float) -> bool:
    """Wait for *event*, False when it was not set in time."""
    try:
        async with asyncio.timeout(timeout_s):
            await event.wait()
    except TimeoutError:
        return False
    return True
