"""Which addresses the gateway itself may call: those of providers, destinations, webhooks and keys.

Names are looked up by whoever connects, and what came of it is asked about here, so that the address that was
checked is the one that is called, whatever a name server says the next time. Pure: nothing is looked up here.

What is never called unless it is allowed: link-local addresses and those where clouds hand credentials to
whoever asks. Private addresses are where people run models and collectors, so they are called unless the
operator refuses them.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NEVER: Final = tuple(
    map(
        ipaddress.ip_network,
        (
            # Link-local: AWS, Azure, Google, Oracle, DigitalOcean and others at .169.254, ECS at .170.2.
            *("169.254.0.0/16", "fe80::/10"),
            *("fd00:ec2::254/128", "fd00:ec2::23/128"),  # AWS over IPv6: instances, pods
            "fd20:ce::254/128",  # Google over IPv6
            "fd00:42::42/128",  # Scaleway over IPv6
            "100.100.100.200/32",  # Alibaba
            "168.63.129.16/32",  # Azure's agent
            "192.0.0.192/32",  # Oracle, of old
            *("224.0.0.0/4", "ff00::/8", "255.255.255.255/32"),  # no single host's
        ),
    )
)
_METADATA_NAMES: Final = frozenset(
    {"metadata", "metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal"}
)
_NAME: Final = re.compile(r"(?:\*\.)?[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?", re.ASCII)
_OWN_TRANSLATOR: Final = ipaddress.ip_network("64:ff9b:1::/48")  # RFC 8215
# Translators' prefixes, and the form that they give to hosts without IPv6.
_HOLD_IPV4: Final = (
    ipaddress.ip_network("64:ff9b::/96"),
    _OWN_TRANSLATOR,
    ipaddress.ip_network("::ffff:0:0:0/96"),
)
# The library takes them for global: a site's own addresses of old, and a translator of one's own.
_PRIVATE_TOO: Final = (ipaddress.ip_network("fec0::/10"), _OWN_TRANSLATOR)
_LOW_32: Final = 0xFFFF_FFFF


class EgressRefusedError(OSError):
    """The gateway does not call this address; `strerror` says why, and names the setting."""

    def __init__(self, why: str) -> None:
        super().__init__(0, why)
        self.why = why


@dataclass(frozen=True, slots=True)
class Places:
    """Addresses and names, as an operator lists them."""

    networks: tuple[Network, ...] = ()
    names: frozenset[str] = frozenset()

    def has_name(self, host: str) -> bool:
        """Whether *host*, or a `*.` above it, is among them."""
        if host in self.names:
            return True
        labels = host.split(".")
        return any("*." + ".".join(labels[at:]) in self.names for at in range(1, len(labels)))

    def has_address(self, address: Address) -> bool:
        """Whether *address* is in one of them."""
        return any(address in network for network in self.networks)


def read_places(entries: Iterable[str]) -> Places:
    """What *entries* mean: networks (`10.0.0.0/8`), addresses, names (`llm.corp`, `*.corp`).

    Raises:
        ValueError: One is none of these.
    """
    networks: list[Network] = []
    names: set[str] = set()
    for entry in entries:
        text = entry.strip().lower().rstrip(".")
        try:
            networks.append(ipaddress.ip_network(text, strict=False))
        except ValueError:
            # What is all digits and dots was meant as an address.
            if not _NAME.fullmatch(text) or text.replace(".", "").isdecimal() or ".." in text:
                raise ValueError(entry) from None
            names.add(text)
    return Places(tuple(networks), frozenset(names))


@dataclass(frozen=True, slots=True)
class EgressRules:
    """The operator's rules; what is denied stays so, whatever else allows it.

    Attributes:
        allow: Called although it is private, or never called otherwise.
        deny: Not called.
        refuses_private: What is not in the public internet is refused unless allowed.
    """

    allow: Places = Places()
    deny: Places = Places()
    refuses_private: bool = False

    def check(self, host: str, addresses: Iterable[str]) -> list[str]:
        """Those of *addresses*, which a look-up of *host* gave, that may be called.

        Raises:
            EgressRefusedError: None of them may.
        """
        good: list[str] = []
        why = ""
        for text in addresses:
            refusal = self._refusal(host, text)
            if refusal:
                why = why or refusal
            else:
                good.append(text)
        if not good:
            raise EgressRefusedError(why or f"{host} has no address")
        return good

    def refusal_of_host(self, host: str) -> str:
        """Why *host*, as it is written in a URL, is not called; "" when that depends on its addresses."""
        literal = _literal(host)
        if literal is not None:
            return self._refusal(host, str(literal))
        name = host.lower().rstrip(".")
        if self.deny.has_name(name):
            return _denied(host)
        if name in _METADATA_NAMES and not self.allow.has_name(name):
            return _credentials(host)
        return ""

    def _refusal(self, host: str, text: str) -> str:
        name = host.lower().rstrip(".")
        if _literal(host) is None and (refusal := self.refusal_of_host(host)):
            return refusal
        all_meant = _meanings(ipaddress.ip_address(text.partition("%")[0]))
        shown = host if text == host else f"{host} ({text})"
        if any(map(self.deny.has_address, all_meant)):
            return _denied(shown)
        if self.allow.has_name(name) or any(map(self.allow.has_address, all_meant)):
            return ""
        if any(address in network for address in all_meant for network in _NEVER):
            return _credentials(shown)
        if self.refuses_private and not all(map(_is_public, all_meant)):
            return (
                f"{shown} is a private address, and egress_settings.private_addresses is refuse: "
                "list it in egress_settings.allow to have it called"
            )
        return ""


OPEN: Final = EgressRules()
"""Where nothing is configured."""


EVERYWHERE: Final = EgressRules(allow=read_places(["0.0.0.0/0", "::/0", *_METADATA_NAMES]))
"""For who has to reach the metadata of a cloud's machine: its own library, at addresses of its own."""


class CheckedAddresses:
    """What a pool of aiohttp's does to look names up, with rules: for a class before its own in the order.

    Attributes:
        egress: The rules of this moment; connections that are there stay.
        unchecked_hosts: Of proxies, which the environment names.
    """

    egress: EgressRules = OPEN
    unchecked_hosts: frozenset[str] = frozenset()

    async def _resolve_host(self, host: str, port: int, traces: Any = None) -> list[Any]:
        """Look *host* up; aiohttp connects to what this gives and to nothing else."""
        if host in self.unchecked_hosts:
            found: list[Any] = await super()._resolve_host(host, port, traces)  # type: ignore[misc]  # aiohttp's
            return found
        if refusal := self.egress.refusal_of_host(host):
            raise EgressRefusedError(refusal)
        found = await super()._resolve_host(host, port, traces)  # type: ignore[misc]  # as above
        good = self.egress.check(host, [one["host"] for one in found])
        return found if len(good) == len(found) else [one for one in found if one["host"] in good]


def _denied(shown: str) -> str:
    return f"{shown} is in egress_settings.deny"


def _credentials(shown: str) -> str:
    return (
        f"{shown} is an address where clouds keep credentials, or no single host's, and is never called: "
        "list it in egress_settings.allow if it has to be"
    )


def _literal(host: str) -> Address | None:
    """The address that *host* is, however it is written: `127.1`, `0x7f000001` and `2130706433` are one."""
    bare = host.strip("[]").partition("%")[0].rstrip(".")
    try:
        return ipaddress.ip_address(bare)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(bare)) if bare and bare[0].isdecimal() else None
    except (OSError, ValueError):
        return None


def _is_public(address: Address) -> bool:
    return address.is_global and not any(address in network for network in _PRIVATE_TOO)


def _meanings(address: Address) -> list[Address]:
    """The address, and those of IPv4 that are written within one of IPv6."""
    if isinstance(address, ipaddress.IPv4Address):
        return [address]
    found: list[Address] = []
    if address.ipv4_mapped is not None:
        # Nothing else is meant by it.
        return [address.ipv4_mapped]
    if address.sixtofour is not None:
        found.append(address.sixtofour)
    if address.teredo is not None:
        found.append(address.teredo[1])
    if any(address in network for network in _HOLD_IPV4) or 1 < int(address) <= _LOW_32:
        found.append(ipaddress.IPv4Address(int(address) & _LOW_32))
    if address in _OWN_TRANSLATOR:
        found += _translated(int(address))
    return [address, *found]


def _translated(address: int) -> list[Address]:
    """What a translator may take *address* for whose prefix has 48, 56 or 64 bits (RFC 6052, 2.2)."""
    return [
        ipaddress.IPv4Address((address >> 64 & 0xFFFF) << 16 | address >> 40 & 0xFFFF),
        ipaddress.IPv4Address((address >> 64 & 0xFF) << 24 | address >> 32 & 0xFF_FFFF),
        ipaddress.IPv4Address(address >> 24 & _LOW_32),
    ]
