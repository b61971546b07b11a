"""Calls of our own data plane, over HTTP like everybody's: for the dashboard's playground."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import aiohttp

from gateway import __version__
from gateway.tls_files import NO_FILES, TlsFiles, make_own_context

CONNECT_S: Final = 5.0
SILENCE_S: Final = 330.0
"""A little more than workers wait for a provider by default: their error says more than ours."""
LONGEST_S: Final = 900.0
MOST_BYTES: Final = 16 * 1024 * 1024
_USER_AGENT: Final = f"tfy-llm-gateway-dashboard/{__version__}"


class DataPlaneAway(Exception):
    """There is no answer, or no more of it; the message says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a worker says; its body can be read once.

    Attributes:
        headers: By their names in small letters.
        parts: As they come; raises `DataPlaneAway`.
    """

    status: int
    headers: Mapping[str, str]
    parts: AsyncIterator[bytes]


class DataPlaneLine:
    """Calls the data plane at one address. Used in one event loop."""

    def __init__(self, base_url: str, tls: TlsFiles = NO_FILES) -> None:
        """Call it at *base_url*, over TLS where *tls* has its certificate."""
        self._tls = tls
        self._base_url = base_url
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def call(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None
    ) -> AsyncIterator[Answer]:
        """One call. Leaving the block ends it, at the provider too.

        Raises:
            DataPlaneAway: There is no answer.
        """
        try:
            async with (
                asyncio.timeout(LONGEST_S),
                self._opened().request(
                    method,
                    self._base_url + path,
                    data=body,
                    headers={"User-Agent": _USER_AGENT, **headers},
                    allow_redirects=False,
                    # Made for each: the file may have been replaced.
                    ssl=True if self._tls == NO_FILES else make_own_context(self._tls),
                ) as response,
            ):
                found = {name.lower(): value for name, value in response.headers.items()}
                yield Answer(response.status, found, _parts(response))
        # aiohttp's time limits are TimeoutErrors too.
        except TimeoutError as error:
            raise DataPlaneAway("the data plane took too long") from error
        except (aiohttp.ClientError, OSError) as error:
            raise DataPlaneAway(f"the data plane cannot be reached ({type(error).__name__})") from error

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            # No proxy from the environment: this is another process of our own.
            limits = aiohttp.ClientTimeout(total=None, connect=CONNECT_S, sock_read=SILENCE_S)
            self._session = aiohttp.ClientSession(timeout=limits, cookie_jar=aiohttp.DummyCookieJar())
        return self._session


async def _parts(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    size = 0
    while part := await response.content.readany():
        size += len(part)
        if size > MOST_BYTES:
            raise DataPlaneAway(f"the answer is larger than {MOST_BYTES // 1024 // 1024} MiB")
        yield part
