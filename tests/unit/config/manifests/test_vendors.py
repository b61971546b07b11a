"""The vendors' table, and the manifests that are made from it."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import pytest
from pydantic import ValidationError

from gateway.config.manifests.known import IN_FORCE, MODEL_ACCOUNTS
from gateway.config.manifests.vendors import (
    VENDOR_ACCOUNTS,
    VENDOR_OF,
    VENDORS,
    Switch,
    Vendor,
    VendorAccount,
    account_type,
)
from gateway.endpoints.catalogue import MODEL_CALLS


def body(kind: str, **more: Any) -> dict[str, Any]:
    return {
        "type": f"provider-account/{kind}",
        "name": "a",
        "auth_data": {"type": "api-key", "api_key": "env:KEY"},
        "integrations": [{"name": "m", "model_id": "M"}],
        **more,
    }


@pytest.mark.parametrize("vendor", VENDORS, ids=lambda vendor: vendor.kind)
def test_each_row(vendor: Vendor) -> None:
    """Words that the rest of the gateway knows: a type, an endpoint, an address over TLS."""
    assert f"provider-account/{vendor.kind}" in MODEL_ACCOUNTS
    assert re.fullmatch(r"[a-z0-9_]+", vendor.provider)
    assert urlsplit(vendor.base_url).scheme == "https"
    assert not vendor.base_url.endswith("/")
    assert vendor.quirks.keys() <= {endpoint.name for endpoint in MODEL_CALLS}
    assert len(VENDOR_OF) == len(VENDORS)


@pytest.mark.parametrize("kind", VENDOR_ACCOUNTS)
def test_each_manifest(kind: str) -> None:
    """It reads as its type, with the row's address, and can do without models."""
    model = VENDOR_ACCOUNTS[kind]
    assert IN_FORCE[kind] is model
    account = model.model_validate(body(kind.partition("/")[2]))
    assert account.base_url == VENDOR_OF[kind].base_url
    assert account.integrations[0].type == kind.replace("provider-account/", "integration/model/")
    assert account.auth_data.api_key.shown == "env:KEY"
    assert not account.propagate_trace
    assert model.model_validate({**body(kind.partition("/")[2]), "integrations": None}).integrations == ()


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "provider-account/other"},
        {"auth_data": None},
        {"base_url": "ftp://x"},
        {"integrations": [{"name": "m", "model_id": "M", "type": "integration/model/other"}]},
        {"integrations": [{"name": "m"}]},
    ],
    ids=str,
)
def test_what_is_refused(wrong: dict[str, Any]) -> None:
    """The same as of hand-written manifests."""
    with pytest.raises(ValidationError):
        VENDOR_ACCOUNTS["provider-account/groq"].model_validate(body("groq", **wrong))


def test_a_row_is_all_there_is() -> None:
    """A new vendor is a line: its switches are fields, its names its own."""
    switch = Switch("is_quiet", ("x-quiet", "1"), "Whether it is quiet.")
    vendor = Vendor(
        title="New & Co", kind="new", provider="new", base_url="https://new.test/v1", switches=(switch,)
    )
    model = account_type(vendor)
    assert (model.__name__, model.__doc__) == ("NewCoAccount", "An account with New & Co.")
    account = model.model_validate(body("new", is_quiet=False))
    assert isinstance(account, VendorAccount)
    assert getattr(account, "is_quiet") is False  # noqa: B009 - the row's own field
    assert model.model_fields["is_quiet"].description == "Whether it is quiet."
