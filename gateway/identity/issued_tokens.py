"""The life of tokens: made, listed, rotated and revoked, in the manifests of their callers.

Of a token its hash is written and nothing else; the token itself is given back once, to whoever asked for it.
One process writes at a time, and what another one has added meanwhile stays (`ManifestFiles.change`).
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import secrets as randomness
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import ValidationError

from gateway.config import Document, VirtualAccount
from gateway.config.extras import JWT
from gateway.config.manifest_files import ManifestFiles, NoSuchManifest
from gateway.config.manifests.access_token import PersonalAccessToken
from gateway.config.manifests.expiration import parse_expiration
from gateway.config.manifests.issued_token import IssuedToken, end_of, reference_of
from gateway.identity.token_text import RANDOM_BYTES, opaque_token, token_id

Kind = Literal["virtual-account", "pat"]
State = Literal["active", "due", "replaced", "expired", "unknown"]

GRACE: Final = dt.timedelta(days=7)
"""How long a token that was rotated works where its caller has no `auto_rotate`."""

_MODELS: Final[Mapping[str, type[VirtualAccount | PersonalAccessToken]]] = {
    "virtual-account": VirtualAccount,
    "pat": PersonalAccessToken,
}
_DAYS: Final = re.compile(r"([0-9]{1,5})d")


class NoSuchToken(LookupError):
    """There is no token of this id."""


class Refused(ValueError):
    """What was asked for cannot be done; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class ListedToken:
    """One token, without what would give it away.

    Attributes:
        kind: Of the manifest that it stands in.
        name: Of that manifest.
        subject: Whom it signs in, as rules name it.
        id: None where it was not issued here.
        reference: Where its value is; None for a hash.
        created_at: None where it is not known.
        ends_at: From when on it is refused, None for never.
        state: `due`: another one is to be made in its place; `unknown`: nothing says how old it is.
        replaced_by: The id of the token that was made in its place.
    """

    kind: Kind
    name: str
    subject: str
    id: str | None
    reference: str | None
    created_at: dt.datetime | None
    ends_at: dt.datetime | None
    state: State
    replaced_by: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As the control API shows it."""
        return {
            "id": self.id,
            "type": self.kind,
            "name": self.name,
            "subject": self.subject,
            "reference": self.reference,
            "created_at": format_time(self.created_at),
            "expires_at": format_time(self.ends_at),
            "state": self.state,
            "replaced_by": self.replaced_by,
        }


@dataclass(frozen=True, slots=True)
class Made:
    """A new token.

    Attributes:
        token: Itself; nobody can say it again.
        listed: What is known of it from now on.
        replaces: The id of the one before.
        version: Of the configuration with it.
    """

    token: str
    listed: ListedToken
    replaces: str | None
    version: str

    def __repr__(self) -> str:
        return f"Made({self.listed.id})"

    def to_dict(self) -> dict[str, Any]:
        """As the control API shows it, once."""
        return {
            "token": self.token,
            **self.listed.to_dict(),
            "replaces": self.replaces,
            "version": self.version,
        }


class IssuedTokens:
    """The tokens of the callers of one configuration. Each method reads the disk; call them in a thread.

    Args:
        files: The manifests.
        state_dir: Where the key is that signs tokens.
        now: The time, in UTC.
        random: So many random bytes.
    """

    def __init__(
        self,
        files: ManifestFiles,
        state_dir: Path,
        *,
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
        random: Callable[[int], bytes] = randomness.token_bytes,
    ) -> None:
        self._files = files
        self._state_dir = state_dir
        self._now = now
        self._random = random

    def all(self) -> list[ListedToken]:
        """Every token of every caller that can be read, in the order of the files."""
        return [
            _listed(document, manifest, token, self._now())
            for document, manifest in self._callers()
            for token in manifest.tokens
        ]

    def create(self, kind: Kind, name: str, expires: str | None = None) -> Made:
        """Make a token for the caller of this manifest.

        Args:
            kind: The manifest's type.
            name: The manifest's name.
            expires: A day, an RFC 3339 time, or days from now (`90d`); None: no end of its own.

        Raises:
            Refused: *expires* is none of these or over, its caller is expired, or the form needs a library.
            NoSuchManifest, ChangedMeanwhile, Invalid, NotWritable: Of `ManifestFiles.change`.
        """
        document, manifest = self._caller(kind, name)
        return self._make(document, manifest, self._expiration(expires), None)

    def rotate(self, id_: str, *, grace_days: int | None = None) -> Made:
        """Make another token in the place of this one, which works on for a while.

        Its `expires_at` is as far from now as that of the old one was from its making.

        Args:
            id_: Of the old one.
            grace_days: How long it works on; None: as `auto_rotate` says, else `GRACE`.

        Raises:
            NoSuchToken: There is none of this id.
            Refused: It was replaced already, or several callers have one of this id.
            ChangedMeanwhile, Invalid, NotWritable: Of `ManifestFiles.change`.
        """
        document, manifest, old = self._issued(id_)
        return self._rotate(document, manifest, old, grace_days)

    def rotate_due(self, *, grace_days: int | None = None) -> Iterator[Made]:
        """Rotate every token whose interval is over, one after the other.

        Raises:
            Refused, ChangedMeanwhile, Invalid, NotWritable: At the first that cannot be; those before are.
        """
        for document, manifest in list(self._callers()):
            for token in manifest.tokens:
                if isinstance(token, IssuedToken) and _is_due(manifest, token, self._now()):
                    yield self._rotate(document, manifest, token, grace_days)

    def revoke(self, id_: str) -> tuple[ListedToken, str]:
        """Take a token out: it signs nobody in as soon as the configuration without it is in force.

        Returns:
            What was known of it, and the version of that configuration.

        Raises:
            NoSuchToken: There is none of this id.
            Refused: Several callers have one of this id.
            ChangedMeanwhile, Invalid, NotWritable: Of `ManifestFiles.change`.
        """
        document, manifest, token = self._issued(id_)

        def without(body: dict[str, Any]) -> dict[str, Any]:
            tokens = body.get("tokens") or []
            kept = [one for one in tokens if _id_of(one) != id_]
            if len(kept) == len(tokens):
                raise NoSuchToken(f"there is no token '{id_}' any more")
            return {**body, "tokens": kept}

        saved = self._files.change(document.type, document.name, without)
        return _listed(document, manifest, token, self._now()), saved.version

    def _rotate(
        self,
        document: Document,
        manifest: VirtualAccount | PersonalAccessToken,
        old: IssuedToken,
        grace_days: int | None,
    ) -> Made:
        if old.replaced_by is not None:
            raise Refused(f"'{old.id}' was rotated already: rotate '{old.replaced_by}'")
        expires_at = None if old.ends_at is None else self._now() + (old.ends_at - old.made_at)
        grace = GRACE if grace_days is None else dt.timedelta(days=grace_days)
        if grace_days is None and isinstance(manifest, VirtualAccount) and manifest.auto_rotate is not None:
            grace = manifest.auto_rotate.grace
        return self._make(document, manifest, expires_at, (old, self._now() + grace))

    def _make(
        self,
        document: Document,
        manifest: VirtualAccount | PersonalAccessToken,
        expires_at: dt.datetime | None,
        old: tuple[IssuedToken, dt.datetime] | None,
    ) -> Made:
        now = self._now().replace(microsecond=0)
        fields = {"id": self._new_id(), "hash": "sha256:" + "0" * 64, "created_at": format_time(now)}
        if expires_at is not None:
            fields["expires_at"] = format_time(expires_at)
        draft = IssuedToken.model_validate(fields)
        end = end_of(draft, manifest.expires_at, manifest.longest_life)
        if end is not None and end <= now:
            raise Refused(
                f"a token of {_subject(manifest)} would be over already ({format_time(end)}): change the "
                "dates of its manifest first"
            )
        token = self._token(manifest, draft, end)
        fields["hash"] = f"sha256:{hashlib.sha256(token.encode()).hexdigest()}"
        replaces = None if old is None else old[0].id

        def with_it(body: dict[str, Any]) -> dict[str, Any]:
            tokens = list(body.get("tokens") or [])
            if old is not None:
                at = next((at for at, one in enumerate(tokens) if _id_of(one) == replaces), None)
                if at is None:
                    raise NoSuchToken(f"there is no token '{replaces}' any more")
                if tokens[at].get("replaced_by"):
                    raise Refused(f"'{replaces}' was rotated by somebody else meanwhile")
                tokens[at] = _ended(tokens[at], old, str(fields["id"]))
            return {**body, "tokens": [*tokens, fields]}

        saved = self._files.change(document.type, document.name, with_it)
        listed = _listed(document, manifest, IssuedToken.model_validate(fields), now)
        return Made(token, listed, replaces, saved.version)

    def _token(
        self, manifest: VirtualAccount | PersonalAccessToken, draft: IssuedToken, end: dt.datetime | None
    ) -> str:
        if manifest.token_type != "jwt":  # noqa: S105 - a form, not a token
            return opaque_token(self._random(RANDOM_BYTES))
        if not JWT.is_installed:
            raise Refused(f"tokens of the form jwt need PyJWT. {JWT.fix}")
        # It needs a library that comes with an extra.
        from gateway.identity.token_signing import KeyUnusable, sign_token  # noqa: PLC0415 - see above

        try:
            return sign_token(self._state_dir, _subject(manifest), draft.id, draft.made_at, end)
        except KeyUnusable as error:
            raise Refused(str(error)) from error

    def _new_id(self) -> str:
        taken = {token.id for token in self.all()}
        while (found := token_id(self._random(5))) in taken:
            pass
        return found

    def _expiration(self, text: str | None) -> dt.datetime | None:
        if text is None:
            return None
        try:
            days = _DAYS.fullmatch(text)
            end = self._now() + dt.timedelta(days=int(days[1])) if days else parse_expiration(text)
        except (ValueError, OverflowError):
            raise Refused(
                "the end is no date or time that exists: write 2027-01-31, 2027-01-31T18:00:00Z or 90d"
            ) from None
        if end <= self._now():
            raise Refused("the end is over already: write one that is to come")
        return end

    def _callers(self) -> Iterator[tuple[Document, VirtualAccount | PersonalAccessToken]]:
        for document in self._files.documents():
            model = _MODELS.get(document.type)
            if model is None:
                continue
            try:
                yield document, model.model_validate(document.body)
            except ValidationError:
                continue  # whoever writes is told by the check of the whole

    def _caller(self, kind: Kind, name: str) -> tuple[Document, VirtualAccount | PersonalAccessToken]:
        for document, manifest in self._callers():
            if (document.type, document.name) == (kind, name):
                return document, manifest
        raise NoSuchManifest(f"there is no {kind} '{name}'")

    def _issued(self, id_: str) -> tuple[Document, VirtualAccount | PersonalAccessToken, IssuedToken]:
        found = [
            (document, manifest, token)
            for document, manifest in self._callers()
            for token in manifest.tokens
            if isinstance(token, IssuedToken) and token.id == id_
        ]
        if not found:
            raise NoSuchToken(f"there is no token '{id_}'")
        if len(found) > 1:
            names = ", ".join(f"{document.type} '{document.name}'" for document, _, _ in found)
            raise Refused(f"several callers have a token '{id_}' ({names}): give each an id of its own")
        return found[0]


def format_time(at: dt.datetime | None) -> str | None:
    """RFC 3339 in UTC, to the second."""
    return None if at is None else at.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _ended(entry: dict[str, Any], old: tuple[IssuedToken, dt.datetime], by: str) -> dict[str, Any]:
    """The entry of a token that was rotated, which ends with its grace period, or before."""
    token, until = old
    ends_at = until if token.ends_at is None else min(until, token.ends_at)
    return {**entry, "expires_at": format_time(ends_at), "replaced_by": by}


def _id_of(entry: object) -> object:
    return entry.get("id") if isinstance(entry, Mapping) else None


def _subject(manifest: VirtualAccount | PersonalAccessToken) -> str:
    if isinstance(manifest, PersonalAccessToken):
        return f"user:{manifest.user}"
    return f"virtualaccount:{manifest.name}"


def _is_due(manifest: VirtualAccount | PersonalAccessToken, token: IssuedToken, now: dt.datetime) -> bool:
    if (
        not isinstance(manifest, VirtualAccount)
        or manifest.auto_rotate is None
        or token.replaced_by is not None
    ):
        return False
    is_over = end_of(token, manifest.expires_at, None)
    return token.made_at + manifest.auto_rotate.interval <= now and (is_over is None or now < is_over)


def _listed(
    document: Document,
    manifest: VirtualAccount | PersonalAccessToken,
    token: Any,
    now: dt.datetime,
) -> ListedToken:
    ends_at = end_of(token, manifest.expires_at, manifest.longest_life)
    kind: Kind = "pat" if isinstance(manifest, PersonalAccessToken) else "virtual-account"
    name, subject = document.name, _subject(manifest)
    is_expired = ends_at is not None and ends_at <= now
    if not isinstance(token, IssuedToken):
        shown = reference_of(token).shown
        reference = None if shown == "***" else shown
        return ListedToken(
            kind, name, subject, None, reference, None, ends_at, "expired" if is_expired else "unknown"
        )
    state: State = "active"
    if is_expired:
        state = "expired"
    elif token.replaced_by is not None:
        state = "replaced"
    elif _is_due(manifest, token, now):
        state = "due"
    return ListedToken(kind, name, subject, token.id, None, token.made_at, ends_at, state, token.replaced_by)
