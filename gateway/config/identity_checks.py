"""What is wrong with identity providers, and with who of them is whom."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gateway.config.extras import JWT
from gateway.config.manifests.identity_provider import IdentityProvider
from gateway.config.manifests.team import Team
from gateway.config.manifests.virtual_account import VirtualAccount
from gateway.config.plain_words import nearest
from gateway.config.problem import Problem
from gateway.config.reading import Reading


def check_identity_providers(readings: Sequence[Reading]) -> Iterator[Problem]:
    """Findings about providers and mappings."""
    by_issuer: dict[str, Reading] = {}
    names: set[str] = set()
    for reading in readings:
        provider = reading.written
        if not isinstance(provider, IdentityProvider):
            continue
        names.add(provider.name)
        if not JWT.is_installed:
            yield reading.document.error(("type",), JWT.absence, JWT.fix)
        other = by_issuer.setdefault(provider.issuer, reading)
        if other is not reading:
            message = f"this issuer is already that of '{other.document.name}'"
            fix = "Write the audiences of both into one manifest"
            yield reading.document.error(("issuer",), message, fix)
    yield from _check_mappings(readings, names)


def _check_mappings(readings: Sequence[Reading], names: set[str]) -> Iterator[Problem]:
    accounts: dict[tuple[str, str], str] = {}
    for reading in readings:
        written = reading.written
        if not isinstance(written, VirtualAccount | Team):
            continue
        for index, mapping in enumerate(written.identity_provider_mapping):
            path = ("identity_provider_mapping", index)
            if mapping.identity_provider not in names:
                message = f"there is no identity provider '{mapping.identity_provider}'"
                fix = nearest(mapping.identity_provider, names)
                fix = fix or "Add a manifest of type external-identity-provider with that name"
                yield reading.document.warning((*path, "identity_provider"), message, fix)
            if isinstance(written, Team):
                continue
            key = (mapping.identity_provider, mapping.value)
            owner = accounts.setdefault(key, written.name)
            if owner != written.name:
                message = f"whoever this is, is already the virtual account '{owner}'"
                yield reading.document.error((*path, "value"), message, "Remove one of the two")
