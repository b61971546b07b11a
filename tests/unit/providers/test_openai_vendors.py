"""Targets of the vendors' table; what each sends is in tests/golden/providers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.config.manifests.vendors import VENDORS, Vendor
from gateway.model import Target
from tests.unit.providers.accounts import RETRY, targets_of


def manifest(kind: str, **more: Any) -> dict[str, Any]:
    return {
        "type": f"provider-account/{kind}",
        "name": "acct",
        "auth_data": {"type": "api-key", "api_key": "env:KEY"},
        "integrations": [{"name": "m", "model_id": "M", "model_types": ["chat"]}],
        **more,
    }


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.kind)
def test_target(tmp_path: Path, vendor: Vendor) -> None:
    """All of a target comes from its row and its account."""
    (target,) = targets_of(tmp_path, manifest(vendor.kind), KEY="canary")
    switched = tuple(switch.header for switch in vendor.switches)
    assert target == Target(
        name="acct/m",
        account="acct",
        model_id="M",
        provider=vendor.provider,
        peer=vendor.provider,
        base_url=vendor.base_url,
        address=vendor.base_url.split("/")[2],
        port=443,
        headers=(("authorization", "Bearer canary"), *switched),
        propagate_trace=False,
        model_types=frozenset({"chat"}),
        retry=RETRY,
        quirks=vendor.quirks,
        has_responses=vendor.has_responses,
        dialect=vendor.dialect,
    )
    assert "canary" not in repr(target)


def test_address_of_ones_own(tmp_path: Path) -> None:
    """The account's address takes the place of the vendor's."""
    (target,) = targets_of(tmp_path, manifest("groq", base_url="http://127.0.0.1:9/v1/"), KEY="k")
    assert (target.base_url, target.address, target.port) == ("http://127.0.0.1:9/v1", "127.0.0.1", 9)


def test_missing_key(tmp_path: Path) -> None:
    """A key that cannot be read makes the targets unavailable, and says why."""
    (target,) = targets_of(tmp_path, manifest("groq"))
    assert target.headers == ()
    assert "KEY" in target.missing_secret


def test_switch_that_is_off(tmp_path: Path) -> None:
    """Its header is not sent."""
    (target,) = targets_of(tmp_path, manifest("wafer", zero_data_retention=False), KEY="k")
    assert [name for name, _ in target.headers] == ["authorization"]


def test_a_vendor_with_two_apis(tmp_path: Path) -> None:
    """Behind the address of its API for OpenAI's clients Cohere is as any other vendor."""
    url = "https://api.cohere.ai/compatibility/v1"
    (compatible,) = targets_of(tmp_path, manifest("cohere", base_url=url), KEY="k")
    assert (compatible.dialect, compatible.base_url) == ("openai", url)
    assert "openai-organization" in compatible.lines.forwarded
    (own,) = targets_of(tmp_path, manifest("cohere"), KEY="k")
    assert (own.dialect, own.base_url) == ("cohere", "https://api.cohere.com/v2")
    assert own.lines.forwarded == ()
    (as_in_its_sdk,) = targets_of(tmp_path, manifest("cohere", base_url="http://h:1/a"), KEY="k")
    assert as_in_its_sdk.base_url == "http://h:1/a/v2"
