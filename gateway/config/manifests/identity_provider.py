"""Identity providers: whose signed tokens (JWTs) sign callers in."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from gateway.config.manifests.part import Count, Label, Manifest, Text, Url, wrong

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Those with a public key, which the gateway may know without being able to sign."""

ALGORITHMS: Final[tuple[Algorithm, ...]] = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)
_LONGEST_LEEWAY_S: Final = 300


def _check_key_address(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme != "https" and not _is_this_host(parts.hostname or ""):
        raise wrong("keys that come without TLS may be anybody's", "Write it with https://")
    return text


def _is_this_host(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def _check_domain(text: str) -> str:
    if "@" in text or text != text.strip().lower():
        raise wrong("not a domain in lower case", "Write it as acme.com")
    return text


class IdentityProvider(Manifest):
    """An identity provider whose JWTs sign callers in. The type is TrueFoundry's, its fields are ours."""

    type: Literal["external-identity-provider"]
    name: Label
    """What `identity_provider_mapping` of teams and virtual accounts calls it."""
    issuer: Text
    """`iss` of its tokens, letter by letter; no two providers have the same. Extension."""
    audiences: Annotated[tuple[Text, ...], Field(min_length=1)]
    """One of them must be in `aud` of a token: others are for other services. Extension."""
    jwks_uri: Annotated[Url, AfterValidator(_check_key_address)]
    """Where it publishes its keys; without TLS on this host only. Extension."""
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1)] = ALGORITHMS
    """How its tokens may be signed. Extension."""
    subject_claim: Text = "sub"
    """What `identity_provider_mapping` of a virtual account is compared with. Extension."""
    user_claim: Text = "email"
    """Who the user is. Extension."""
    groups_claim: Text = "groups"
    """What `identity_provider_mapping` of a team is compared with: a list, or one text. Extension."""
    user_domains: tuple[Annotated[Text, AfterValidator(_check_domain)], ...] = ()
    """The only domains of emails whose users it may sign in; none: any. Extension."""
    unknown_users: Literal["refuse", "allow"] = "refuse"
    """What becomes of users whom no manifest names: `allow` makes them members of `everyone`. Extension."""
    leeway_seconds: Annotated[Count, Field(le=_LONGEST_LEEWAY_S)] = 60
    """By how much its clock and ours may differ. Extension."""
