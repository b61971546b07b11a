"""From a token to a caller: opaque ones, which only their hashes are known of, and signed ones."""

from __future__ import annotations

import hashlib
import hmac
import re
import time
from collections.abc import Iterable
from typing import Final, Protocol

import msgspec

from gateway.errors import GatewayError, InvalidApiKey
from gateway.model import Caller, Headers

DEMO_TOKEN_SHA256: Final = hashlib.sha256(b"demo-key").digest()
"""The quickstart's token, known to everybody, so it is taken only while the gateway listens on loopback."""

_BEARER: Final = "bearer "
# Of HTTP; in other scripts than ours a token may well end with what Python takes for space.
_SPACE: Final = " \t"
_INDEX_BYTES: Final = 8
_CHALLENGE: Final = (("www-authenticate", "Bearer"),)
_UNKNOWN: Final = (
    "This API key is not known here. Use a key of a virtual account, or ask its operator for one."
)
_INDEX: Final = re.compile(rf"[0-9a-f]{{{2 * _INDEX_BYTES}}}")
_UNTIL: Final = re.compile(r"[0-9]{1,12}")


class Credential(msgspec.Struct, frozen=True, gc=False):
    """One token of one caller. There may be a million, so it is small and nothing for the garbage collector.

    Attributes:
        sha256: Of the token's UTF-8 bytes.
        expires_at_s: Unix time from which it is refused, None for never.
    """

    sha256: bytes
    caller: Caller
    expires_at_s: float | None


class SignedTokens(Protocol):
    """Tokens of identity providers; see `gateway.identity.signed_tokens`."""

    def find(self, token: bytes, digest: bytes) -> Caller | None:
        """The caller whose *token* it is; None when it has not the form of a signed one.

        Raises:
            GatewayError: It has, and is not good.
        """

    def find_again(self, token: bytes, digest: bytes) -> Caller | None:
        """As `find`, for a *token* that was good before and may be too old by now.

        Raises:
            GatewayError: It is not good for another reason.
        """

    def knows(self, digest: bytes) -> bool:
        """Whether a token with this hash was found good lately."""


def carries_token(headers: Headers) -> bool:
    """Whether a request has any token at all, good or bad."""
    return bool(_token(headers))


class Identity:
    """Every token in force."""

    def __init__(self, credentials: Iterable[Credential], signed: SignedTokens | None = None) -> None:
        """Know *credentials*, and what else signs in that is *signed*; None: nothing."""
        self._signed = signed
        # Found by the first bytes of the hash, compared whole in constant time: what an attacker could learn
        # from the look-up are bytes of a hash, which do not lead to a token.
        self._credentials: dict[bytes, Credential] = {}
        # Those whose first bytes are another's too: there are none unless somebody looked for them.
        self._more: dict[bytes, tuple[Credential, ...]] = {}
        for credential in credentials:
            index = credential.sha256[:_INDEX_BYTES]
            if self._credentials.setdefault(index, credential) is not credential:
                self._more[index] = (*self._more.get(index, ()), credential)

    def identify(self, headers: Headers) -> Caller:
        """The caller whose token the request carries.

        It is in `Authorization: Bearer`, `x-api-key` or `x-tfy-api-key`.

        Raises:
            InvalidApiKey: No token, or an unknown or expired one.
        """
        token = _token(headers)
        if not token:
            message = (
                "No API key. Send Authorization: Bearer <key>, x-api-key: <key> or x-tfy-api-key: <key>."
            )
            raise InvalidApiKey(message, headers=_CHALLENGE)
        # Headers are read as Latin-1, so this gives the bytes that were sent, of a good token its UTF-8.
        sent = token.encode("latin-1", errors="replace")
        digest = hashlib.sha256(sent).digest()
        # As `_find`, without its calls for the token of nearly every call.
        credential = self._credentials.get(digest[:_INDEX_BYTES])
        if credential is None or not hmac.compare_digest(credential.sha256, digest):
            credential = self._find(digest)
        if credential is not None:
            return credential.caller if credential.expires_at_s is None else _unexpired(credential)
        caller = None if self._signed is None else self._signed.find(sent, digest)
        if caller is not None:
            return caller
        raise InvalidApiKey(_UNKNOWN, headers=_CHALLENGE)

    def identify_again(self, headers: Headers) -> Caller:
        """As `identify`, for who was identified by these *headers* before, and has gone on since.

        A token that an identity provider has signed may be too old by now: it lasts for minutes and is for
        beginning something. The end of one of the gateway's own is its end here, too.

        Raises:
            InvalidApiKey: The token was taken back, or its caller.
            IdentityUnavailable: Nobody can say.
        """
        sent = _token(headers).encode("latin-1", errors="replace")
        digest = hashlib.sha256(sent).digest()
        credential = self._find(digest)
        if credential is not None:
            return _unexpired(credential)
        caller = None if self._signed is None else self._signed.find_again(sent, digest)
        if caller is not None:
            return caller
        raise InvalidApiKey(_UNKNOWN, headers=_CHALLENGE)

    def identify_google(self, headers: Headers, key: str) -> tuple[Caller, bytes]:
        """The caller whose token the request of an SDK of Google's carries, and the token's hash.

        The hash is b"" of a token that an identity provider has signed: `sign` cannot stand for one, as not
        every worker has seen it.

        Such a request may carry a token of Google's too, which says nothing here, so the first that is known
        counts.

        Args:
            headers: Also `x-goog-api-key`.
            key: From the query, "" for none.

        Raises:
            InvalidApiKey: No token, or none that is known and not expired.
        """
        sent = [
            (headers.get("x-goog-api-key") or "").strip(_SPACE).encode("latin-1", errors="replace"),
            _token(headers).encode("latin-1", errors="replace"),
            # Text already: its escapes were read as UTF-8.
            key.strip(_SPACE).encode(errors="replace"),
        ]
        # A blank is none: `?key=%20` would be the hash of nothing.
        tokens = [token for token in sent if token]
        refusal: GatewayError = InvalidApiKey(_UNKNOWN, headers=_CHALLENGE)
        for token in tokens:
            digest = hashlib.sha256(token).digest()
            credential = self._find(digest)
            if credential is not None:
                return _unexpired(credential), credential.sha256
            try:
                caller = None if self._signed is None else self._signed.find(token, digest)
            except GatewayError as error:
                refusal = error
                continue
            if caller is not None:
                return caller, b""
        if tokens:
            raise refusal
        message = "No API key. Send x-goog-api-key: <key>, Authorization: Bearer <key> or ?key=<key>."
        raise InvalidApiKey(message, headers=_CHALLENGE)

    def identify_signed(self, signature: str, subject: str, secret: bytes) -> tuple[Caller, bytes]:
        """The caller for whom `sign` signed *subject*, and the hash of its token.

        Raises:
            InvalidApiKey: It did not, or its signature or token has expired.
        """
        index, _, rest = signature.partition(".")
        until, _, _ = rest.partition(".")
        if signature.isascii() and _INDEX.fullmatch(index) and _UNTIL.fullmatch(until):
            for credential in self._beginning(bytes.fromhex(index)):
                expected = sign(credential.sha256, subject, secret, until_s=int(until))
                if hmac.compare_digest(expected, signature) and time.time() < int(until):
                    return _unexpired(credential), credential.sha256
        message = "This address has no valid signature, or an expired one. Begin the upload anew."
        raise InvalidApiKey(message, headers=_CHALLENGE)

    def knows(self, word: str) -> bool:
        """Whether *word* is a token of some caller, expired or not."""
        digest = hashlib.sha256(word.encode(errors="replace")).digest()
        if self._find(digest) is not None:
            return True
        return self._signed is not None and self._signed.knows(digest)

    def _find(self, digest: bytes) -> Credential | None:
        for credential in self._beginning(digest[:_INDEX_BYTES]):
            if hmac.compare_digest(credential.sha256, digest):
                return credential
        return None

    def _beginning(self, index: bytes) -> tuple[Credential, ...]:
        found = self._credentials.get(index)
        return () if found is None else (found, *self._more.get(index, ())) if self._more else (found,)


def sign(sha256: bytes, subject: str, secret: bytes, *, until_s: int) -> str:
    """What stands for the token of the hash *sha256* in an address, for *subject* alone.

    Some clients send no credential to an address that they were given, as its maker put one in.

    Args:
        sha256: Of the token.
        subject: What it is good for.
        secret: Known to every replica, and to nobody else: the hash alone may be read in a configuration.
        until_s: Unix time until which it is.
    """
    message = b"\0".join((sha256, str(until_s).encode(), subject.encode()))
    return f"{sha256[:_INDEX_BYTES].hex()}.{until_s}.{hmac.digest(secret, message, 'sha256').hex()}"


def _unexpired(credential: Credential) -> Caller:
    if credential.expires_at_s is not None and time.time() >= credential.expires_at_s:
        message = "This API key has expired. Ask the gateway's operator for a new one."
        raise InvalidApiKey(message, headers=_CHALLENGE)
    return credential.caller


def _token(headers: Headers) -> str:
    own = headers.get("x-tfy-api-key")
    if own:
        return own.strip(_SPACE)
    authorization = headers.get("authorization") or ""
    if authorization[: len(_BEARER)].lower() == _BEARER:
        return authorization[len(_BEARER) :].strip(_SPACE)
    # Where Anthropic's SDK puts its key.
    return (headers.get("x-api-key") or "").strip(_SPACE)
