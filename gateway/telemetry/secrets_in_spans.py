"""Keeping credentials off spans, whoever wrote them where.

Those that are known are masked in texts, before these are encoded: in encoded bytes one could equal an id or
the name of an attribute. Others are looked for by their form where callers write freely.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from gateway.model import GoogleTokenRequest, Target, TokenRequest
from gateway.redaction import may_hold_secret
from gateway.telemetry.redaction_presets import MASK, PATTERNS

SECRET_HEADERS: Final = (
    b"authorization",
    b"x-tfy-api-key",
    b"x-api-key",
    b"api-key",
    b"proxy-authorization",
    b"x-goog-api-key",
    b"cookie",
)
"""Request headers that hold credentials, of ours or of what stands in front."""

HIDDEN: Final = "***"

_SHORTEST: Final = 8
"""Shorter values are words as well; masking them would tear others apart."""

_LONGEST: Final = 8192
"""Longer values are nobody's credentials, and no text on a span is as long as they are."""

_MAX_WORDS: Final = 64
_WORD: Final = re.compile(r"[^\s\"'/,;=&?<>()\[\]{}]{8,1024}")
"""What may be a token of ours: mostly these stand between blanks, quotes or the marks of a URL."""

_KEY_PATTERNS: Final = tuple(
    re.compile(PATTERNS[name])
    for name in ("generic_api_key", "github_token", "slack_token", "aws_access_key")
)


@dataclass(frozen=True, slots=True)
class KnownSecrets:
    """What the gateway knows as a credential, whoever it belongs to.

    Attributes:
        keys: What providers are sent, in every form in which it may stand in a text.
        is_token: Whether a word is a token of some caller; of those only hashes are known.
    """

    keys: tuple[str, ...] = field(default=(), repr=False)
    is_token: Callable[[str], bool] = lambda _: False

    def hide(self, text: str) -> str:
        """*text* with each of them masked; of a long text the first words are looked at for tokens."""
        text = _hide(text, self.keys)
        return _WORD.sub(self._hide_token, text, count=_MAX_WORDS)

    def _hide_token(self, word: re.Match[str]) -> str:
        return HIDDEN if self.is_token(word[0]) else word[0]


NOTHING_KNOWN: Final = KnownSecrets()


@dataclass(frozen=True, slots=True, eq=False)
class Secrets:
    """The credentials of one call, and what else is known. Equal to itself alone, so a quick key.

    Attributes:
        forms: Of those of its caller and its targets, every form in which one may stand in a text.
    """

    forms: tuple[str, ...] = field(default=(), repr=False)
    known: KnownSecrets = NOTHING_KNOWN
    _have_escapes: bool = field(default=False, init=False, repr=False)

    def __post_init__(self) -> None:
        """Look once whether some form is written otherwise within JSON."""
        have_escapes = any("\\" in form for form in (*self.forms, *self.known.keys))
        object.__setattr__(self, "_have_escapes", have_escapes)

    def hide(self, text: str) -> str:
        """*text* with those of the call masked."""
        return _hide(text, self.forms)

    def hide_keys(self, text: str) -> str:
        """*text* with those of the call and every provider's masked: for texts of many words."""
        return _hide(_hide(text, self.forms), self.known.keys)

    def spares(self, document: str) -> bool:
        """Whether `hide_keys` changes no text of a JSON *document*; False also where that is not sure.

        A form without escapes stands in JSON as it stands in the text.
        """
        return not self._have_escapes and self.hide_keys(document) == document

    def hide_all(self, text: str) -> str:
        """*text* with all masked that is known: for texts that repeat, or are on few calls."""
        return self.known.hide(_hide(text, self.forms))


NO_SECRETS: Final = Secrets()


def secrets_of_call(
    sent: Iterable[bytes | None], targets: Iterable[Target], known: KnownSecrets = NOTHING_KNOWN
) -> Secrets:
    """What a caller *sent* in `SECRET_HEADERS`, and what *targets* are sent."""
    values = [value for value in sent if value is not None]
    values += [value for target in targets for value in _credentials(target)]
    return Secrets(forms_of(values), known)


def keys_of(targets: Sequence[Target]) -> tuple[str, ...]:
    """What *targets* are sent, in every form."""
    return forms_of([value for target in targets for value in _credentials(target)])


def forms_of(values: Iterable[bytes]) -> tuple[str, ...]:
    """The credentials in header *values*, as they may stand in a text, the longest first.

    A header is read as Latin-1, a body as UTF-8, and JSON in a text is escaped, more or less.
    """
    forms: set[str] = set()
    for value in values:
        for secret in _parts(value) if len(value) <= _LONGEST else ():
            if len(secret) >= _SHORTEST:
                for text in (secret.decode("latin-1"), secret.decode(errors="replace")):
                    forms |= {text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}
    return tuple(sorted(forms, key=len, reverse=True))


def _parts(value: bytes) -> list[bytes]:
    """`abc` of `Bearer abc`; of anything else all of it, and the values if they are a cookie's."""
    scheme, blank, credential = value.partition(b" ")
    if blank and scheme.isalpha() and b" " not in credential:
        return [credential]
    return [value, *[pair.partition(b"=")[2] for pair in value.split(b"; ")]]


def show_masked(text: str, hide: Callable[[str], str], length: int) -> str:
    """The first *length* characters of *text*, with what *hide* knows and what looks like a key masked.

    Callers write any length where a name should be, and to look through 5 MB takes seconds. So no more of it
    is looked at than a credential that begins in what is shown may need.
    """
    masked = mask_keys(hide(text[: length + _LONGEST]))
    if len(text) > length + _LONGEST:
        # At its end half of a credential may stand, which nothing has known; masks before it are shorter
        # than what they hide.
        masked = masked[:-_LONGEST]
    return masked[:length]


def mask_keys(text: str) -> str:
    """*text* without what has the form of an API key."""
    for pattern in _KEY_PATTERNS:
        text = pattern.sub(MASK, text)
    return text


def _credentials(target: Target) -> list[bytes]:
    named = list(target.headers)
    token = target.token
    if isinstance(token, TokenRequest):
        named += (*token.form, *token.headers)
    if target.signing is not None:
        named += (("secret", target.signing.secret_access_key), ("token", target.signing.session_token))
    known = token.secrets if isinstance(token, GoogleTokenRequest) else ()
    hidden = [value for name, value in named if value and may_hold_secret(name)]
    return [value.encode() for value in (*known, *hidden)]


def _hide(text: str, forms: Iterable[str]) -> str:
    for form in forms:
        if form in text:
            text = text.replace(form, HIDDEN)
    return text
