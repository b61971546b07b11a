"""Vendors that want nothing but a key: a row each in `gateway.config.manifests.vendors`."""

from __future__ import annotations

from gateway.config.manifests.vendors import VENDOR_OF, Vendor, VendorAccount
from gateway.model import Dialect, HeaderLines, RetryPolicy, Target
from gateway.providers.addressing import Resolve, Service, bearer, make_target, own_headers
from gateway.providers.headers import fixed_lines


def vendor_targets(account: VendorAccount, resolve: Resolve, retry: RetryPolicy) -> list[Target]:
    """The account's models."""
    vendor = VENDOR_OF[account.type]
    dialect = _dialect(vendor, account)
    service = Service(
        provider=vendor.provider,
        peer=vendor.provider,
        base_url=account.base_url if dialect == "openai" else _versioned(account.base_url, vendor.version),
        own=own_headers(
            lambda: _headers(vendor, account, resolve), fixed_lines if dialect == "openai" else _plain_lines
        ),
        dialect=dialect,
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


def _dialect(vendor: Vendor, account: VendorAccount) -> Dialect:
    is_openai = vendor.openai_path and vendor.openai_path in account.base_url
    return "openai" if is_openai else vendor.dialect


def _versioned(base_url: str, version: str) -> str:
    return base_url if base_url.endswith(version) else base_url + version


def _plain_lines(own: tuple[tuple[str, str], ...]) -> HeaderLines:
    """Nothing of the caller's: what passes is OpenAI's."""
    return fixed_lines(own, forwarded=())
