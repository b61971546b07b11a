"""Tokens of a caller that were issued here: known by their hash, each with its own life."""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Discriminator, Field, Tag

from gateway.config.manifests.expiration import Expiration, parse_expiration
from gateway.config.manifests.part import Part, Text, Token, wrong
from gateway.config.secrets import SecretKind, SecretReference

TEXT: Final = "(text)"
ENTRY: Final = "(entry)"
"""How pydantic tells where in a list of tokens an error is; in the manifest there is no such step."""

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_TIME: Final = re.compile(r".*[Tt].*")


def _check_id(text: str) -> str:
    if not _ID.fullmatch(text):
        raise wrong("an id is letters, digits, '-', '_' and '.', at most 64", "Choose another one")
    return text


def _check_hash(reference: SecretReference) -> SecretReference:
    if reference.kind is not SecretKind.SHA256:
        raise wrong(
            "not a hash", "Write sha256: and the 64 digits of the token's hash, or the reference as an item"
        )
    return reference


def _check_time(text: str) -> str:
    try:
        is_time = bool(_TIME.fullmatch(text)) and parse_expiration(text) is not None
    except (ValueError, OverflowError):
        is_time = False
    if not is_time:
        raise wrong("not a time with its zone that exists", 'Write it as "2027-01-31T18:00:00Z"')
    return text


class IssuedToken(Part):
    """A token that was issued here."""

    id: Annotated[str, Field(min_length=1), AfterValidator(_check_id)]
    """What it is called where it is listed, rotated and revoked; it signs nobody in."""
    hash: Annotated[Token, AfterValidator(_check_hash)]
    """`sha256:` and the SHA-256 of the token's UTF-8 bytes, 64 digits."""
    created_at: Annotated[str, Field(min_length=1), AfterValidator(_check_time)]
    """When it was made, an RFC 3339 time."""
    expires_at: Expiration | None = None
    """The last day that it works, to its end in UTC, or an RFC 3339 time."""
    replaced_by: Text | None = None
    """The id of the token that was made in its place."""

    @property
    def made_at(self) -> dt.datetime:
        """When it was made, in UTC."""
        return parse_expiration(self.created_at)

    @property
    def ends_at(self) -> dt.datetime | None:
        """The first moment at which it no longer works by `expires_at`; None: never."""
        return None if self.expires_at is None else parse_expiration(self.expires_at)


def end_of(
    token: SecretReference | IssuedToken, latest: dt.datetime | None, longest: dt.timedelta | None
) -> dt.datetime | None:
    """The first moment at which *token* no longer works; None: never.

    Args:
        token: One of a caller's.
        latest: When no token of the caller works any more.
        longest: How long one works from its making on.
    """
    if not isinstance(token, IssuedToken):
        return latest
    ends = [latest, token.ends_at, None if longest is None else token.made_at + longest]
    return min((end for end in ends if end is not None), default=None)


def _kind_of(value: Any) -> str:
    return ENTRY if isinstance(value, dict | IssuedToken) else TEXT


ListedToken = Annotated[
    Annotated[Token, Tag(TEXT)] | Annotated[IssuedToken, Tag(ENTRY)], Discriminator(_kind_of)
]
"""One item of `tokens`: a secret reference (or a hash) alone, or what was issued here."""


def reference_of(token: SecretReference | IssuedToken) -> SecretReference:
    """What the token is known by."""
    return token.hash if isinstance(token, IssuedToken) else token
