"""Anthropic, and whatever answers to its API behind an account's `base_url`."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from gateway.config.manifests.provider_account import AnthropicAccount
from gateway.model import HeaderLines, RetryPolicy, Target
from gateway.providers.addressing import Resolve, Service, make_target, own_headers
from gateway.providers.headers import ANTHROPIC_DEFAULTS, ANTHROPIC_FORWARDED_UP, fixed_lines

PROVIDER: Final = "anthropic"
_VERSION: Final = "/v1"
_UNAVAILABLE: Final = 503
_OVERLOADED: Final = 529


def anthropic_targets(account: AnthropicAccount, resolve: Resolve, retry: RetryPolicy) -> list[Target]:
    """The account's models."""
    own = own_headers(lambda: _headers(account, resolve), _lines)
    service = Service(
        provider=PROVIDER,
        peer=PROVIDER,
        base_url=_versioned(account.base_url),
        own=own,
        dialect="anthropic",
    )
    patient = with_overloaded(retry)
    return [
        make_target(account, integration, service, patient, model_id=integration.model_id)
        for integration in account.integrations
    ]


def _headers(account: AnthropicAccount, resolve: Resolve) -> tuple[tuple[str, str], ...]:
    if account.auth_data is None:
        return ()
    return (("x-api-key", resolve(account.auth_data.api_key)),)


def _lines(own: tuple[tuple[str, str], ...]) -> HeaderLines:
    return fixed_lines(own, forwarded=ANTHROPIC_FORWARDED_UP, defaults=ANTHROPIC_DEFAULTS)


def _versioned(base_url: str) -> str:
    """With `/v1` at its end: Anthropic's SDKs want a base URL without, OpenAI's one with it."""
    base_url = base_url.rstrip("/")
    return base_url if base_url.endswith(_VERSION) else base_url + _VERSION


def with_overloaded(retry: RetryPolicy) -> RetryPolicy:
    """Anthropic says 529 where others say 503."""
    if _UNAVAILABLE not in retry.on_status:
        return retry
    return replace(retry, on_status=retry.on_status | {_OVERLOADED})
