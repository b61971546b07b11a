"""Which proxy leads to a provider: the environment's `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`.

aiohttp can find it too (`trust_env`), but asks a thread and the file system on every request, which tripled
the CPU of a call; here each host is looked up once.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # typeshed lacks it


class Proxies:
    """The proxies that the environment names, in lower or upper case.

    Attributes:
        hosts: Where they are.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Read *environ* once."""
        named = {
            name.lower(): value
            for name, value in environ.items()
            if name.lower().endswith("_proxy") and value
        }
        self._by_scheme = {name.removesuffix("_proxy"): value for name, value in named.items()}
        for scheme, value in self._by_scheme.items():
            if scheme != "no" and "://" not in value:
                # `host:3128` is common and means HTTP.
                self._by_scheme[scheme] = f"http://{value}"
        self._found: dict[tuple[str, str], str | None] = {}
        urls = [value for scheme, value in self._by_scheme.items() if scheme != "no"]
        self.hosts = frozenset(host for url in urls if (host := _host_of(url)))

    def find(self, url: str) -> str | None:
        """The proxy for *url*, None to connect directly."""
        if not self._by_scheme:
            return None
        parts = urlsplit(url)
        key = (parts.scheme, parts.netloc)
        if key not in self._found:
            self._found[key] = self._look_up(parts.scheme, parts.netloc)
        return self._found[key]

    def _look_up(self, scheme: str, host: str) -> str | None:
        # The library's rules for NO_PROXY: suffixes, ports, `*`.
        if proxy_bypass_environment(host, self._by_scheme):
            return None
        if _is_listed(_host_of(f"//{host}") or "", self._by_scheme.get("no", "")):
            return None
        return self._by_scheme.get(scheme) or self._by_scheme.get("all")


def _host_of(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _is_listed(host: str, no_proxy: str) -> bool:
    """What the library's rules leave out, though curl and Go have it: `10.0.0.0/8`, `::1`, `*.corp.test`."""
    entries = [entry.strip().lower() for entry in no_proxy.split(",")]
    if any(entry.startswith("*.") and host.endswith(entry[1:]) for entry in entries):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return any(address in network for network in map(_network, entries) if network is not None)


def _network(entry: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        return None
