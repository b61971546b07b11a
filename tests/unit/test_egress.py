"""Which addresses are called: by what they are, however they are written, and by what operators list."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.egress import (
    EVERYWHERE,
    OPEN,
    CheckedAddresses,
    EgressRefusedError,
    EgressRules,
    read_places,
)

NEVER = [
    "169.254.169.254",
    "169.254.170.2",
    "fe80::1",
    "fd00:ec2::254",
    "fd00:42::42",
    "100.100.100.200",
    "168.63.129.16",
    "224.0.0.1",
    "255.255.255.255",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "::169.254.169.254",
    "64:ff9b:1::a9fe:a9fe",
    "64:ff9b:1:a9fe:a9:fe00::",
    "64:ff9b:1:ffa9:fe:a9fe::",
    "64:ff9b:1:ffff:a9:fea9:fe00:0",
    "::ffff:0:169.254.169.254",
]
PRIVATE = [
    "127.0.0.1",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "0.0.0.0",
    "::1",
    "::",
    "fd12::1",
    "::ffff:10.0.0.1",
    "64:ff9b::a00:1",
    "64:ff9b:1::808:808",
    "fec0::1",
]
PUBLIC = ["8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
STRICT = EgressRules(refuses_private=True)


def is_called(rules: EgressRules, host: str, address: str) -> bool:
    try:
        return rules.check(host, [address]) == [address]
    except EgressRefusedError:
        return False


@pytest.mark.parametrize("address", NEVER)
def test_never(address: str) -> None:
    """Neither by a name that leads there nor written out; allowed by its network, it is called."""
    assert not is_called(OPEN, "innocent.test", address)
    assert not is_called(OPEN, address, address)
    assert OPEN.refusal_of_host(address)
    assert is_called(EgressRules(allow=read_places(["0.0.0.0/0", "::/0"])), "innocent.test", address)


@pytest.mark.parametrize("address", PRIVATE)
def test_private(address: str) -> None:
    """Called by default, and refused where the operator refuses them; a listed name leads there again."""
    assert is_called(OPEN, "llm.corp", address)
    assert not is_called(STRICT, "llm.corp", address)
    allowing = EgressRules(allow=read_places(["*.corp"]), refuses_private=True)
    assert is_called(allowing, "llm.corp", address)
    assert not is_called(allowing, "llm.test", address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public(address: str) -> None:
    """Always called, unless denied; what is denied is not saved by being allowed."""
    assert is_called(STRICT, "api.test", address)
    both = EgressRules(allow=read_places(["api.test"]), deny=read_places(["0.0.0.0/0", "::/0"]))
    assert not is_called(both, "api.test", address)


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "0xa9fea9fe",
        "2852039166",
        "0251.0376.0251.0376",
        "169.254.43518",
        "169.254.169.254.",
        "[fe80::1%25eth0]",
    ],
)
def test_other_ways_to_write_an_address(host: str) -> None:
    """Decimal, octal, hexadecimal and short forms are the address that the system takes them for."""
    assert "egress_settings.allow" in OPEN.refusal_of_host(host)


@pytest.mark.parametrize("host", ["metadata.google.internal", "METADATA.google.internal.", "metadata"])
def test_names_of_metadata(host: str) -> None:
    """They are refused before anybody looks them up, unless they are allowed."""
    assert OPEN.refusal_of_host(host)
    assert not EgressRules(allow=read_places([host])).refusal_of_host(host)
    assert not EVERYWHERE.refusal_of_host(host)


def test_denied_names() -> None:
    """A name and what is below `*.`, and nothing that only looks like it."""
    rules = EgressRules(deny=read_places(["*.evil.test", "bad.test"]))
    assert rules.refusal_of_host("a.b.evil.test") == "a.b.evil.test is in egress_settings.deny"
    assert rules.refusal_of_host("BAD.test")
    for host in ("evil.test", "notevil.test", "bad.test.example"):
        assert rules.refusal_of_host(host) == ""


def test_some_of_several() -> None:
    """A name with good and bad addresses is called at the good ones."""
    assert OPEN.check("mixed.test", ["169.254.169.254", "8.8.8.8"]) == ["8.8.8.8"]


@pytest.mark.parametrize(
    "entry", ["10.0.0.0/33", "10.0.0", "1.2.3.4.5", "a b", "*", "*.*.test", "http://x", "a..b", ""]
)
def test_what_is_no_place(entry: str) -> None:
    """It is refused, so that a slip does not open or close anything."""
    with pytest.raises(ValueError, match=f"^{re.escape(entry)}$"):
        read_places([entry])


@given(st.ip_addresses())
def test_strict_rules_call_nothing_that_is_not_global(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    """Whatever the address: what is called is in the public internet."""
    if is_called(STRICT, "api.test", str(address)):
        assert address.is_global or getattr(address, "ipv4_mapped", None) is not None


class Names:
    """Looks names up as aiohttp's pool does; each look-up of a name gives the next answer."""

    def __init__(self, answers: list[list[str]]) -> None:
        self.answers = answers

    async def _resolve_host(self, host: str, port: int, traces: Any = None) -> list[dict[str, Any]]:
        return [{"host": address, "port": port} for address in self.answers.pop(0)]


class Pool(CheckedAddresses, Names):
    pass


async def test_a_name_that_changes() -> None:
    """DNS rebinding: what is connected to is what was checked, at every look-up."""
    pool = Pool([["8.8.8.8"], ["169.254.169.254"], ["8.8.8.8", "169.254.169.254"]])
    assert await pool._resolve_host("rebind.test", 80) == [{"host": "8.8.8.8", "port": 80}]
    with pytest.raises(EgressRefusedError, match=r"rebind\.test \(169\.254\.169\.254\) is an address"):
        await pool._resolve_host("rebind.test", 80)
    assert await pool._resolve_host("rebind.test", 80) == [{"host": "8.8.8.8", "port": 80}]


async def test_a_proxy_of_the_environment() -> None:
    """Where it is, is the operator's own business; its name is looked up unchecked."""
    pool = Pool([["169.254.0.1"]])
    pool.unchecked_hosts = frozenset({"proxy.corp"})
    assert [one["host"] for one in await pool._resolve_host("proxy.corp", 3128)] == ["169.254.0.1"]


async def test_a_refused_name_is_not_looked_up() -> None:
    """So that the name server of it learns nothing."""
    pool = Pool([])
    with pytest.raises(EgressRefusedError):
        await pool._resolve_host("metadata.google.internal", 80)
