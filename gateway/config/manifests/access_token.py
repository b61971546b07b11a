"""Personal access tokens: what users call with."""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from gateway.config.manifests.expiration import Expiration, parse_expiration
from gateway.config.manifests.issued_token import ListedToken
from gateway.config.manifests.part import Label, Manifest, Text, wrong
from gateway.config.manifests.virtual_account import VirtualAccountOwner

_USER: Final = re.compile(r"(?:(?:[^:]*:)?user:)?([^:]+)")


def find_user(fqn: object) -> str | None:
    """The user that *fqn* names, None for none."""
    match = _USER.fullmatch(fqn) if isinstance(fqn, str) else None
    if match is None or not match[1].isprintable() or any(character.isspace() for character in match[1]):
        return None
    return match[1]


def _check_user(text: str) -> str:
    if find_user(text) is None:
        raise wrong("names no user", "Write <email>, user:<email> or <tenant>:user:<email>")
    return text


class PersonalAccessToken(Manifest):
    """What a user calls with; of one user there may be several."""

    type: Literal["pat"]
    name: Label
    """Name of the token, without meaning."""
    user_fqn: Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_check_user)]
    """The user: `<email>`, `user:<email>` or `<tenant>:user:<email>`; the tenant is not compared."""
    tokens: tuple[ListedToken, ...] = ()
    """Any of these signs the user in: references, `sha256:` and a hash, or what was issued. Extension."""
    models: tuple[Text, ...] = ()
    """What the user may call with it, beside what the teams of the user may: patterns. Extension."""
    expiration_date: Expiration | None = None
    """The last day that it works, to its end in UTC, or an RFC 3339 time."""
    owned_by: VirtualAccountOwner | None = Field(default=None, alias="ownedBy")
    """Who owns it."""
    token_type: Literal["jwt", "opaque"] | None = None
    """The form of tokens that are issued: `opaque` (random, also without it) or `jwt`."""

    @property
    def user(self) -> str:
        """What the user is known by."""
        # It was checked when it was read, so there is one.
        return find_user(self.user_fqn) or ""

    @property
    def longest_life(self) -> dt.timedelta | None:
        """None: its tokens work as long as their dates say."""
        return None

    @property
    def expires_at(self) -> dt.datetime | None:
        """The first moment, in UTC, at which it no longer works; None: never."""
        return None if self.expiration_date is None else parse_expiration(self.expiration_date)
