"""One message to a webhook, whatever the network does.

A URL is a secret as a whole, so no error here has a part of it. It has to be `https`, or lead to this very
machine, unless the operator wants otherwise; a redirect is not followed, as it would lead elsewhere.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import orjson

from gateway import __version__
from gateway.delivery.checked_connector import CheckedConnector
from gateway.egress import OPEN, EgressRefusedError, EgressRules
from gateway.settings import is_loopback

TIMEOUT_S: Final = 10.0
_USER_AGENT: Final = f"tfy-llm-gateway/{__version__}"
_GOOD: Final = range(200, 300)


@dataclass(frozen=True, slots=True)
class Sending:
    """What became of a message.

    Attributes:
        what: Why it was not taken, "" where it was.
    """

    what: str = ""

    @property
    def is_taken(self) -> bool:
        """The receiver has it."""
        return not self.what


def refusal_of(url: str, *, may_be_plain: bool) -> str:
    """Why nothing is sent to *url*, "" where it may be."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        return "it is no URL"
    if parts.scheme not in ("https", "http") or not host:
        return "it is no http or https URL"
    if parts.scheme == "http" and not (may_be_plain or is_loopback(host)):
        return "it is not https (budget_settings.alerts_over_http allows that)"
    return ""


class Webhooks:
    """Sends messages. Made inside the event loop that uses it."""

    def __init__(
        self,
        find_proxy: Callable[[str], str | None],
        *,
        egress: Callable[[], EgressRules] = lambda: OPEN,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """Go through the proxy that *find_proxy* gives, None for none; wait *timeout_s* for an answer.

        *egress* gives the addresses that may be called at that moment.
        """
        self._egress = egress
        self._connector = CheckedConnector()
        self._find_proxy = find_proxy
        self._timeout_s = timeout_s
        self._session = aiohttp.ClientSession(
            connector=self._connector,
            timeout=aiohttp.ClientTimeout(total=None),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def send(self, url: str, body: Mapping[str, Any]) -> Sending:
        """POST *body* as JSON."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._exchange(url, body)
        except TimeoutError:
            return Sending(f"no answer within {self._timeout_s:g} s")
        except (EgressRefusedError, aiohttp.ClientConnectorError) as error:
            cause = getattr(error, "os_error", error)
            if isinstance(cause, EgressRefusedError):
                return Sending("its address is one that this gateway is not to call (egress_settings)")
            return Sending(f"it cannot be reached ({type(error).__name__})")
        # Their texts have the host in them, and may have the whole URL.
        except (aiohttp.ClientError, ssl.SSLError, OSError, ValueError) as error:
            return Sending(f"it cannot be reached ({type(error).__name__})")

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def _exchange(self, url: str, body: Mapping[str, Any]) -> Sending:
        headers = {"User-Agent": _USER_AGENT, "Content-Type": "application/json"}
        proxy = self._find_proxy(url)
        self._connector.follow(self._egress(), url, proxy)
        async with self._session.post(
            url,
            data=orjson.dumps(body),
            headers=headers,
            allow_redirects=False,
            proxy=proxy,
        ) as response:
            # What it says is of no use to anybody, and a connection is not worth reading it.
            response.close()
            if response.status in _GOOD:
                return Sending()
            return Sending(f"it answered with status {response.status}")
