"""The public keys of an identity provider."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from gateway.identity.key_set import MAX_BYTES, MAX_KEYS, parse_keys
from gateway.identity.token_reading import UnreadableError
from tests.rig.signed_tokens import SigningKey, key_set

EC = SigningKey("ec")
RSA = SigningKey("rsa", "RS256")
_RSA_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")


@pytest.mark.parametrize(
    ("key", "algorithms"),
    [
        (RSA, _RSA_ALGORITHMS),
        (EC, ("ES256",)),
        (SigningKey("k", "ES384"), ("ES384",)),
        (SigningKey("k", "ES512"), ("ES512",)),
        (SigningKey("k", "EdDSA"), ("EdDSA",)),
        (SigningKey("k", "Ed448"), ("EdDSA",)),
    ],
    ids=lambda value: value.algorithm if isinstance(value, SigningKey) else "",
)
def test_kinds(key: SigningKey, algorithms: tuple[str, ...]) -> None:
    """Each is for the algorithms of its kind and for no other."""
    keys = parse_keys(key_set(key))
    for name in (*_RSA_ALGORITHMS, "ES256", "ES384", "ES512", "EdDSA", "HS256", "none", ""):
        found = keys.find(key.kid, name)
        assert (found is not None) == (name in algorithms)
    assert keys.has(str(key.kid))
    assert not keys.has("../../etc/passwd")


def test_one_algorithm() -> None:
    """A key that says what it is for is for nothing else."""
    keys = parse_keys(key_set(RSA.published(alg="PS256")))
    assert keys.find("rsa", "PS256") is not None
    assert keys.find("rsa", "RS256") is None


@pytest.mark.parametrize(
    "useless",
    [
        pytest.param({"kty": "oct", "k": "c2VjcmV0", "kid": "h", "alg": "HS256"}, id="symmetric"),
        pytest.param(EC.published(use="enc"), id="to encrypt"),
        pytest.param(EC.published(key_ops=["sign"]), id="to sign"),
        pytest.param(EC.published(alg="HS256"), id="for HMAC"),
        pytest.param(EC.published(alg="RS256"), id="for another kind"),
        pytest.param(EC.published(crv="secp256k1"), id="another curve"),
        pytest.param(EC.published(crv=7), id="no curve"),
        pytest.param(EC.published(x="AA"), id="no point"),
        pytest.param(EC.published(kid=7), id="a number for a name"),
        pytest.param(SigningKey("short", "RS256", bits=1024).published(), id="short"),
        pytest.param({"kty": "RSA", "n": "AQ", "kid": "x"}, id="half of it"),
        pytest.param({"kid": "x"}, id="nothing"),
        pytest.param({"kty": ["RSA"]}, id="a list for a kind"),
    ],
)
def test_useless_keys(useless: dict[str, Any]) -> None:
    """Are passed over, and alone they are no set."""
    assert len(parse_keys(key_set(useless, RSA)).digests) == 1
    with pytest.raises(UnreadableError, match="no key that could"):
        parse_keys(key_set(useless))


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"<html>", "no JSON"),
        (b"[]", "no JSON object"),
        (b'{"keys": {}}', "no list of keys"),
        (b'{"keys": [1]}', "no key that could"),
        (b'{"keys": [' + b"1," * MAX_KEYS + b"1]}", "more than 100 keys"),
        (b" " * (MAX_BYTES + 1), "longer than"),
    ],
)
def test_what_is_no_set(body: bytes, why: str) -> None:
    """Is said in words, without quoting it."""
    with pytest.raises(UnreadableError, match=why):
        parse_keys(body)


def test_names() -> None:
    """A token without a name means the only key that fits; of two nobody knows which."""
    nameless = SigningKey(None)
    keys = parse_keys(key_set(nameless, RSA))
    assert keys.find(None, "ES256") is not None
    assert keys.find(None, "RS256") is not None
    assert parse_keys(key_set(nameless, EC)).find(None, "ES256") is None
    both = parse_keys(key_set(SigningKey("same"), SigningKey("same", "RS256")))
    assert both.find("same", "ES256") is not None
    assert both.find("same", "RS256") is not None


def test_digests() -> None:
    """The same key has the same one in the next set; another key under its name has not."""
    before = parse_keys(key_set(EC))
    assert parse_keys(key_set(RSA, EC)).digests >= before.digests
    assert parse_keys(key_set(SigningKey("ec"))).digests.isdisjoint(before.digests)


def test_private_keys() -> None:
    """What was published by mistake is used as the public key that is in it, and never shown."""
    secret = EC.private.private_numbers().private_value.to_bytes(32, "big")
    written = EC.published(d=base64.urlsafe_b64encode(secret).rstrip(b"=").decode())
    key = parse_keys(json.dumps({"keys": [written]}).encode()).find("ec", "ES256")
    assert key is not None
    assert not hasattr(key.public, "private_numbers")
    assert "public" not in repr(key)
