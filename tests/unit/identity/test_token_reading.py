"""What a signed token says of itself."""

from __future__ import annotations

import json

import pytest

from gateway.identity.token_reading import (
    MAX_TOKEN_BYTES,
    UnreadableError,
    Unverified,
    looks_signed,
    read_object,
    read_unverified,
)
from tests.rig.signed_tokens import SigningKey, claims, part

HEADER = '{"alg":"ES256","kid":"k1"}'
# How deep is too deep depends on Python.
_BOMB = "nested too deeply|no JSON"
CLAIMS = '{"iss":"https://i.example","exp":2000000000}'


def token(header: str = HEADER, said: str = CLAIMS) -> bytes:
    return f"{part(header.encode())}.{part(said.encode())}.c2ln".encode()


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        (token(), True),
        (b"eyJ.x.", True),
        *[(token(HEADER.replace("{", "{" + blank)), True) for blank in (" ", "\n", "\r\n", "\t")],
        (b"sk-abc.def.ghi", False),
        (b"ewq.def.ghi", False),
        (b"eyJhbGciOi", False),
        (b"eyJ.a.b.c.d", False),
        (b"", False),
    ],
)
def test_what_looks_like_one(word: bytes, *, expected: bool) -> None:
    """Opaque tokens and encrypted ones do not."""
    assert looks_signed(word) is expected


def test_what_is_read() -> None:
    """What is needed to find the key, and nothing of the addresses and keys that it brings along."""
    header = {"alg": "RS256", "kid": "k", "jku": "https://evil.example", "jwk": {"kty": "oct"}, "x5u": "x"}
    assert read_unverified(token(json.dumps(header))) == Unverified("RS256", "k", "https://i.example")
    assert read_unverified(token("{}", "{}")) == Unverified("", None, "")
    assert read_unverified(token('{"alg":5}', '{"iss":["a"]}')) == Unverified("", None, "")


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        pytest.param(token() + b"x" * MAX_TOKEN_BYTES, "longer than 16384 bytes", id="huge"),
        pytest.param(token('{"alg":"a","alg":"b"}'), "twice", id="a header twice"),
        pytest.param(token(said='{"iss":"a","iss":"b"}'), "twice", id="a claim twice"),
        pytest.param(token(said='{"x":{"a":1,"a":2}}'), "twice", id="twice, deep inside"),
        pytest.param(token(said='{"exp":Infinity}'), "number", id="infinity"),
        pytest.param(token(said='{"exp":1e999}'), "a time", id="more than any number"),
        pytest.param(token(said='{"nbf":-1}'), "a time", id="before time"),
        pytest.param(token(said='{"iat":true}'), "a time", id="a truth for a time"),
        pytest.param(token(said='{"exp":"2000000000"}'), "a time", id="a text for a time"),
        pytest.param(token(said='{"exp":1e15}'), "a time", id="after all time"),
        pytest.param(token(said="[" * 6000), _BOMB, id="a bomb of brackets"),
        pytest.param(token('{"a":' * 2000), _BOMB, id="a bomb in the header"),
        pytest.param(token(said="[]"), "no JSON object", id="a list"),
        pytest.param(token(said="{"), "holds no JSON", id="no JSON"),
        pytest.param(token(said="\xff"), "holds no JSON", id="no text"),
        pytest.param(b"eyJhb.a.b", "encoded", id="no base64"),
        pytest.param(token('{"alg":"ES256","crit":["exp"]}'), "not known", id="critical"),
        pytest.param(token('{"alg":"ES256","b64":false}'), "not known", id="a payload beside it"),
        pytest.param(token('{"alg":"ES256","typ":"logout+jwt"}'), "not known", id="for logging out"),
        pytest.param(token('{"alg":"ES256","typ":7}'), "not known", id="a number for a type"),
        pytest.param(token('{"kid":5}'), "names no key", id="a number for a key"),
        pytest.param(token(json.dumps({"kid": "k" * 257})), "names no key", id="a long name of a key"),
    ],
)
def test_what_is_not_looked_at(bad: bytes, why: str) -> None:
    """What no honest provider makes."""
    with pytest.raises(UnreadableError, match=why):
        read_unverified(bad)


@pytest.mark.parametrize("kind", ["application/jwt", "JWT", "at+jwt", "application/AT+JWT", "JOSE"])
def test_types(kind: str) -> None:
    """Those of identity and access tokens are taken, in any case."""
    key = SigningKey("k1")
    assert read_unverified(key.sign(claims(), {"typ": kind}).encode()).kid == "k1"


def test_objects() -> None:
    """In UTF-8, whatever stands in them."""
    assert read_object('{"ü": [1, {"b": null}]}'.encode()) == {"ü": [1, {"b": None}]}
