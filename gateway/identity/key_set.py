"""The public keys of an identity provider (RFC 7517), as far as tokens may be signed with them.

Only those with which nobody can sign who has them: a symmetric key in a published set is passed over, so that
no token can be "signed" with what everybody may read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from gateway.identity.token_reading import UnreadableError, read_object

MAX_BYTES: Final = 256 * 1024
"""Of a whole set."""

MAX_KEYS: Final = 100
_MIN_RSA_BITS: Final = 2048
_MAX_RSA_BITS: Final = 16_384
_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
# By type and curve. What is in no row (secp256k1, symmetric keys) is of no use here.
_ALGORITHMS: Final[Mapping[tuple[str, str], tuple[str, ...]]] = MappingProxyType(
    {
        ("RSA", ""): _RSA,
        ("EC", "P-256"): ("ES256",),
        ("EC", "P-384"): ("ES384",),
        ("EC", "P-521"): ("ES512",),
        ("OKP", "Ed25519"): ("EdDSA",),
        ("OKP", "Ed448"): ("EdDSA",),
    }
)
# All that is read of a key; what belongs to the private half is not.
_PUBLIC: Final = ("kty", "crv", "n", "e", "x", "y")


@dataclass(frozen=True, slots=True)
class Key:
    """One key.

    Attributes:
        kid: Its name among the others, None where it has none.
        algorithms: What it can have signed.
        digest: Of all that makes it this key.
        public: As the library takes it.
    """

    kid: str | None
    algorithms: tuple[str, ...]
    digest: bytes
    public: Any = field(repr=False, compare=False)


class KeySet:
    """All keys of a provider at one time.

    Attributes:
        digests: Of all of them.
    """

    def __init__(self, keys: Sequence[Key]) -> None:
        self.digests = frozenset(key.digest for key in keys)
        self._keys = tuple(keys)
        self._by_kid: dict[str, list[Key]] = {}
        for key in keys:
            if key.kid is not None:
                self._by_kid.setdefault(key.kid, []).append(key)

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._keys)

    def find(self, kid: str | None, algorithm: str) -> Key | None:
        """The key that a token names; one that names none is of the only key there is for its *algorithm*."""
        named = self._keys if kid is None else self._by_kid.get(kid, ())
        fitting = [key for key in named if algorithm in key.algorithms]
        if kid is None and len(fitting) != 1:
            return None
        return fitting[0] if fitting else None

    def has(self, kid: str) -> bool:
        """Whether there is a key of this name, for whatever algorithm."""
        return kid in self._by_kid


def parse_keys(body: bytes) -> KeySet:
    """The keys in *body*; those that are of no use here are left out.

    Raises:
        UnreadableError: It is no set of keys, or has none that is of use.
    """
    if len(body) > MAX_BYTES:
        raise UnreadableError(f"it is longer than {MAX_BYTES} bytes")
    written = read_object(body).get("keys")
    if not isinstance(written, list):
        raise UnreadableError("it has no list of keys")
    if len(written) > MAX_KEYS:
        raise UnreadableError(f"it has more than {MAX_KEYS} keys")
    keys = tuple(_usable(written))
    if not keys:
        raise UnreadableError("it has no key that could have signed a token")
    return KeySet(keys)


def _usable(written: list[Any]) -> Iterator[Key]:
    for one in written:
        if isinstance(one, dict):
            key = _find_key(one)
            if key is not None:
                yield key


def _find_key(written: dict[str, Any]) -> Key | None:
    algorithms = _algorithms(written)
    kid = written.get("kid")
    if not algorithms or not isinstance(kid, str | None):
        return None
    public = {name: written[name] for name in _PUBLIC if isinstance(written.get(name), str)}
    try:
        # Any of its algorithms reads the same key.
        key = jwt.PyJWK.from_dict(public, algorithms[0]).key
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    if isinstance(key, RSAPublicKey) and not _MIN_RSA_BITS <= key.key_size <= _MAX_RSA_BITS:
        return None
    told = json.dumps([kid, algorithms, public], sort_keys=True)
    return Key(kid, algorithms, hashlib.sha256(told.encode()).digest(), key)


def _algorithms(written: dict[str, Any]) -> tuple[str, ...]:
    kind, curve = written.get("kty"), written.get("crv", "")
    if not isinstance(kind, str) or not isinstance(curve, str):
        return ()
    operations = written.get("key_ops")
    if written.get("use", "sig") != "sig" or (isinstance(operations, list) and "verify" not in operations):
        return ()
    possible = _ALGORITHMS.get((kind, curve), ())
    only = written.get("alg")
    return possible if only is None else tuple(name for name in possible if name == only)
