"""What the targets of all providers are made from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from gateway.config import SecretMissing, SecretReference
from gateway.config.manifests.provider_account import Integration, ProviderAccount
from gateway.model import (
    AnyTokenRequest,
    AwsSigning,
    Dialect,
    EndpointQuirks,
    HeaderLines,
    OnePath,
    RerankApi,
    RetryPolicy,
    Target,
)
from gateway.providers.headers import fixed_lines

Resolve = Callable[[SecretReference], str]
"""Gives a secret's value; raises `gateway.config.SecretMissing`."""

_DEFAULT_PORTS: Final = {"https": 443, "http": 80}


def host_and_port(url: str) -> tuple[str, int]:
    """Host and port of a base URL, the scheme's default port filled in."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or _DEFAULT_PORTS[parts.scheme]


@dataclass(frozen=True, slots=True)
class OwnHeaders:
    """The headers of one target, and its token or signing, as `Target` has them; without them, why."""

    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    lines: HeaderLines = field(default=HeaderLines(), repr=False)
    missing_secret: str = ""
    token: AnyTokenRequest | None = None
    signing: AwsSigning | None = None


def own_headers(
    make: Callable[[], tuple[tuple[str, str], ...]],
    lines_of: Callable[[tuple[tuple[str, str], ...]], HeaderLines] = fixed_lines,
) -> OwnHeaders:
    """The headers that *make* gives, unless a secret is missing or cannot be sent.

    Args:
        make: Gives the headers; raises `SecretMissing`.
        lines_of: Makes of them what each request is sent.
    """
    try:
        headers = make()
    except SecretMissing as error:
        return OwnHeaders(missing_secret=str(error))
    try:
        return OwnHeaders(headers, lines_of(headers))
    except ValueError as error:
        return OwnHeaders(missing_secret=str(error))


def own_token(make: Callable[[], AnyTokenRequest], headers: tuple[tuple[str, str], ...] = ()) -> OwnHeaders:
    """*headers*, and a token asked for as *make* says, unless a secret is missing."""
    try:
        return OwnHeaders(headers, fixed_lines(headers), token=make())
    except SecretMissing as error:
        return OwnHeaders(missing_secret=str(error))


def not_built(kind: str) -> OwnHeaders:
    """In place of headers, for an `auth_data.type` that is not in force: the account cannot be used."""
    return OwnHeaders(missing_secret=f"auth_data.type {kind} is not in force yet")


def bearer(token: str) -> tuple[str, str]:
    """The header that most providers sign in with."""
    return ("authorization", f"Bearer {token}")


def without_ending(url: str, *endings: str) -> str:
    """*url* without the one of *endings* that it has: operators copy addresses with and without their paths.

    The first that fits counts, so the longest must come first.
    """
    for ending in endings:
        if url.endswith(ending):
            return url.removesuffix(ending)
    return url


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What is behind an account, or behind one of its models.

    Attributes:
        provider: `gen_ai.provider.name`.
        peer: `service.peer.name`.
        base_url: What an endpoint's path is put after, without a slash at its end.
        query: What follows the path, with its `?`.
        account_url: In place of `base_url` for paths that are the account's and no model's; "": the same.
        has_responses: It has OpenAI's Responses API.
        dialect: What it speaks.
        rerank_api: In whose words it ranks documents.
        one_path: In place of the endpoints' own paths.
    """

    provider: str
    peer: str
    base_url: str
    own: OwnHeaders
    query: str = ""
    account_url: str = ""
    has_responses: bool = False
    dialect: Dialect = "openai"
    rerank_api: RerankApi = ""
    one_path: OnePath | None = None
    quirks: EndpointQuirks = field(default_factory=dict)


def make_target(
    account: ProviderAccount,
    integration: Integration,
    service: Service,
    retry: RetryPolicy,
    *,
    model_id: str,
) -> Target:
    """One model as it is called."""
    address, port = host_and_port(service.base_url)
    return Target(
        name=f"{account.name}/{integration.name}",
        account=account.name,
        model_id=model_id,
        provider=service.provider,
        peer=service.peer,
        base_url=service.base_url,
        address=address,
        port=port,
        headers=service.own.headers,
        propagate_trace=account.propagate_trace,
        model_types=frozenset(integration.model_types),
        retry=retry,
        missing_secret=service.own.missing_secret,
        lines=service.own.lines,
        query=service.query,
        account_url=service.account_url,
        one_path=service.one_path,
        has_responses=service.has_responses
        or (service.dialect == "openai" and "responses" in integration.model_types),
        dialect=service.dialect,
        rerank_api=service.rerank_api,
        quirks=service.quirks,
        token=service.own.token,
        signing=service.own.signing,
    )
