"""Connections of control that go by rules, through proxies and not."""

from __future__ import annotations

import pytest

from gateway.delivery.checked_connector import CheckedConnector
from gateway.egress import OPEN, EgressRefusedError, EgressRules

STRICT = EgressRules(refuses_private=True)
PROXY = "http://127.0.0.1:3128"


async def test_a_proxy_on_the_way_to_another_connection() -> None:
    """One that is made directly meanwhile does not have the proxy's own address looked at."""
    connector = CheckedConnector()
    try:
        connector.follow(STRICT, "https://hooks.test/x", PROXY)
        connector.follow(STRICT, "https://direct.test/x", None)
        assert await connector._resolve_host("127.0.0.1", 3128)
        with pytest.raises(EgressRefusedError):
            await connector._resolve_host("127.0.0.2", 443)
    finally:
        await connector.close()


async def test_what_is_written_is_looked_at_before_the_proxy_is_asked() -> None:
    """Of names the proxy knows more."""
    connector = CheckedConnector()
    try:
        connector.follow(OPEN, "https://hooks.test/x", PROXY)
        for host in ("169.254.169.254", "169.254.169.254.", "[fe80::1]"):
            with pytest.raises(EgressRefusedError):
                connector.follow(OPEN, f"https://{host}/x", PROXY)
    finally:
        await connector.close()
