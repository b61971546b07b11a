"""Connections of the control process to what is configured, and to no address that it should not call."""

from __future__ import annotations

from urllib.parse import urlsplit

import aiohttp

from gateway.egress import CheckedAddresses, EgressRefusedError, EgressRules


class CheckedConnector(CheckedAddresses, aiohttp.TCPConnector):
    """Connections to one place."""

    def follow(self, egress: EgressRules, url: str, proxy: str | None) -> None:
        """Hold the next connection to *egress*.

        What a *proxy* leads to is looked up there, so of that only the *url* itself is looked at.

        Raises:
            EgressRefusedError: The URL names what may not be called.
        """
        self.egress = egress
        if proxy is None:
            return
        # To those of before: another connection that is being made may be on its way to one.
        self.unchecked_hosts |= frozenset(filter(None, [urlsplit(proxy).hostname]))
        if refusal := egress.refusal_of_host(urlsplit(url).hostname or ""):
            raise EgressRefusedError(refusal)
