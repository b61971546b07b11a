"""Identity providers as manifests have them."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from gateway.config.manifests.identity_provider import ALGORITHMS, IdentityProvider

PROVIDER = {
    "type": "external-identity-provider",
    "name": "acme",
    "issuer": "https://login.acme.example/",
    "audiences": ["api://gateway"],
    "jwks_uri": "https://login.acme.example/keys",
}


def provider(**more: Any) -> IdentityProvider:
    return IdentityProvider.model_validate({**PROVIDER, **more})


def test_a_provider() -> None:
    """Three facts are enough; the rest is what most providers do."""
    made = provider()
    assert made.algorithms == ALGORITHMS
    assert (made.subject_claim, made.user_claim, made.groups_claim) == ("sub", "email", "groups")
    assert (made.unknown_users, made.leeway_seconds, made.user_domains) == ("refuse", 60, ())


@pytest.mark.parametrize(
    "address",
    ["http://localhost:8080/keys", "http://127.0.0.1/keys", "http://[::1]/keys", "https://x.io/?a=b"],
)
def test_where_keys_may_be(address: str) -> None:
    """Behind TLS, or on this host."""
    assert provider(jwks_uri=address).jwks_uri == address


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"jwks_uri": "http://login.acme.example/keys"}, "without TLS"),
        ({"jwks_uri": "http://localhost.evil.example/keys"}, "without TLS"),
        ({"jwks_uri": "http://0.0.0.0/keys"}, "without TLS"),
        ({"jwks_uri": "file:///etc/keys"}, "not a URL"),
        ({"jwks_uri": "https://user:word@x.io/"}, "credentials"),
        ({"algorithms": ["HS256"]}, "algorithms"),
        ({"algorithms": ["none"]}, "algorithms"),
        ({"algorithms": []}, "algorithms"),
        ({"audiences": []}, "audiences"),
        ({"issuer": ""}, "issuer"),
        ({"user_domains": ["@x.io"]}, "not a domain"),
        ({"user_domains": ["X.io"]}, "not a domain"),
        ({"unknown_users": "maybe"}, "unknown_users"),
        ({"leeway_seconds": 301}, "leeway_seconds"),
        ({"leeway_seconds": -1}, "leeway_seconds"),
    ],
)
def test_what_is_refused(more: dict[str, Any], why: str) -> None:
    """What would let in more than its operator means."""
    with pytest.raises(ValidationError, match=why):
        provider(**more)


@pytest.mark.parametrize("field", ["name", "issuer", "audiences", "jwks_uri"])
def test_what_must_be_there(field: str) -> None:
    """Without an audience a token for any service of the company would do."""
    with pytest.raises(ValidationError, match=field):
        IdentityProvider.model_validate({key: value for key, value in PROVIDER.items() if key != field})
