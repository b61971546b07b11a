"""Accounts as manifests give them, checked by the real checker."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gateway.config import ProviderAccount, SecretReference, SecretSource, check
from gateway.model import RetryPolicy, Target
from gateway.providers.registry import make_targets

RETRY = RetryPolicy(1, 5, frozenset({503}))


def read_account(folder: Path, manifest: dict[str, Any]) -> ProviderAccount:
    """The account that this manifest makes."""
    file = folder / "account.json"
    file.write_text(json.dumps(manifest))
    checked = check.check(file, strict=False, secrets=SecretSource({}))
    assert checked.config is not None, checked.problems
    account: ProviderAccount = checked.config.provider_accounts[0]
    return account


def targets_of(folder: Path, manifest: dict[str, Any], **environ: str) -> list[Target]:
    """Its targets, secrets read from *environ*."""
    secrets = SecretSource(environ)

    def resolve(reference: SecretReference) -> str:
        return secrets.resolve(reference, folder)

    return make_targets(read_account(folder, manifest), resolve, RETRY)
