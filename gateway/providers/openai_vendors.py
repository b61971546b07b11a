"""Vendors that speak OpenAI's API: a row each in `gateway.config.manifests.vendors`."""

from __future__ import annotations

from gateway.config.manifests.vendors import VENDOR_OF, Vendor, VendorAccount
from gateway.model import RetryPolicy, Target
from gateway.providers.addressing import Resolve, Service, bearer, make_target, own_headers


def vendor_targets(account: VendorAccount, resolve: Resolve, retry: RetryPolicy) -> list[Target]:
    """The account's models."""
    vendor = VENDOR_OF[account.type]
    service = Service(
        provider=vendor.provider,
        peer=vendor.provider,
        base_url=account.base_url,
        own=own_headers(lambda: _headers(vendor, account, resolve)),
        quirks=vendor.quirks,
        has_responses=vendor.has_responses,
    )
    return [
        make_target(account, integration, service, retry, model_id=integration.model_id)
        for integration in account.integrations
    ]


def _headers(vendor: Vendor, account: VendorAccount, resolve: Resolve) -> tuple[tuple[str, str], ...]:
    switched = (switch.header for switch in vendor.switches if getattr(account, switch.field))
    return (bearer(resolve(account.auth_data.api_key)), *switched)
