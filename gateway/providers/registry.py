"""Which file makes the targets of which account type: one line each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from gateway.config.manifests.provider_account import AnyProviderAccount
from gateway.model import RetryPolicy, Target
from gateway.providers.addressing import Resolve
from gateway.providers.anthropic import anthropic_targets
from gateway.providers.openai import openai_targets
from gateway.providers.self_hosted import self_hosted_targets

# Any: each function takes its own account type, which its key names.
_MAKERS: Final[dict[str, Callable[[Any, Resolve, RetryPolicy], list[Target]]]] = {
    "provider-account/anthropic": anthropic_targets,
    "provider-account/openai": openai_targets,
    "provider-account/self-hosted-model": self_hosted_targets,
}


def make_targets(account: AnyProviderAccount, resolve: Resolve, retry: RetryPolicy) -> list[Target]:
    """The models of *account*; one whose secret is missing says so in `missing_secret`."""
    return _MAKERS[account.type](account, resolve, retry)
