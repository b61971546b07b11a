"""From a token to a caller."""

from __future__ import annotations

import hashlib
import time

import pytest

from gateway.errors import InvalidApiKey
from gateway.identity import tokens
from gateway.identity.tokens import DEMO_TOKEN_SHA256, Credential, Identity, carries_token
from gateway.model import Caller
from tests.unit.doubles import FakeHeaders
from tests.unit.makers import make_caller, make_credential

APP = make_caller("a/b", name="app")
OTHER = make_caller("a/b", name="other")
IDENTITY = Identity(
    [
        make_credential("token-1", APP),
        make_credential("token-2", APP),
        make_credential("other-token", OTHER),
        make_credential("grün", OTHER),
        make_credential("voilà", OTHER),
        make_credential("expired", APP, expires_at_s=time.time() - 1),
        make_credential("not-yet", APP, expires_at_s=time.time() + 3600),
    ]
)


def identify(*headers: tuple[str, str]) -> Caller:
    return IDENTITY.identify(FakeHeaders(headers))


@pytest.mark.parametrize(
    ("headers", "caller"),
    [
        pytest.param([("authorization", "Bearer token-1")], APP, id="bearer"),
        pytest.param([("authorization", "bearer token-1")], APP, id="the scheme in any case"),
        pytest.param([("authorization", "BEARER   token-2 ")], APP, id="space around the token"),
        pytest.param([("x-tfy-api-key", "other-token")], OTHER, id="TrueFoundry's header"),
        pytest.param([("x-api-key", "other-token")], OTHER, id="Anthropic's header"),
        pytest.param(
            [("authorization", "Basic x"), ("x-api-key", "token-1")], APP, id="beside another scheme"
        ),
        pytest.param([("authorization", "Bearer token-1"), ("x-api-key", "other")], APP, id="bearer wins"),
        pytest.param([("x-tfy-api-key", " other-token ")], OTHER, id="space in that header"),
        pytest.param(
            [("authorization", "Bearer token-1"), ("x-tfy-api-key", "other-token")], OTHER, id="ours wins"
        ),
        pytest.param(
            [("authorization", "Bearer token-1"), ("x-tfy-api-key", "")], APP, id="an empty one is none"
        ),
        pytest.param([("authorization", "Bearer not-yet")], APP, id="not expired"),
        pytest.param(
            [("authorization", "Bearer " + "grün".encode().decode("latin-1"))],
            OTHER,
            id="UTF-8, as HTTP carries it",
        ),
        pytest.param(
            [("x-api-key", " " + "voilà".encode().decode("latin-1") + "\t")],
            OTHER,
            id="its last byte is a space to Python",
        ),
    ],
)
def test_known_token(headers: list[tuple[str, str]], caller: Caller) -> None:
    """A token of a virtual account names its caller, in any of the headers."""
    assert identify(*headers) is caller


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        pytest.param([], "No API key", id="none"),
        pytest.param([("authorization", "")], "No API key", id="empty"),
        pytest.param([("authorization", "Bearer ")], "No API key", id="scheme alone"),
        pytest.param([("authorization", "Basic token-1")], "No API key", id="another scheme"),
        pytest.param([("authorization", "token-1")], "No API key", id="no scheme"),
        pytest.param([("x-tfy-api-key", "  ")], "No API key", id="blank"),
        pytest.param([("api-key", "token-1")], "No API key", id="another header"),
        pytest.param([("authorization", "Bearer token")], "not known", id="a part of a token"),
        pytest.param([("authorization", "Bearer token-11")], "not known", id="more than a token"),
        pytest.param([("authorization", "Bearer TOKEN-1")], "not known", id="another case"),
        pytest.param(
            [("authorization", "Bearer token-1"), ("authorization", "Bearer token-1")], "not known", id="two"
        ),
        pytest.param(
            [("authorization", "Bearer " + hashlib.sha256(b"token-1").hexdigest())],
            "not known",
            id="its hash",
        ),
        pytest.param([("authorization", "Bearer \ud800")], "not known", id="no text"),
        pytest.param([("x-api-key", "token-1\xa0")], "not known", id="with a space that is none"),
        pytest.param([("authorization", "Bearer expired")], "has expired", id="expired"),
    ],
)
def test_refused_token(headers: list[tuple[str, str]], says: str) -> None:
    """Anything else is a 401 that says what to do and never repeats the token."""
    with pytest.raises(InvalidApiKey) as caught:
        identify(*headers)
    assert says in caught.value.message
    assert dict(caught.value.headers) == {"www-authenticate": "Bearer"}
    assert "token-1" not in caught.value.message


def test_nobody_is_known() -> None:
    """Without a virtual account every token is refused."""
    with pytest.raises(InvalidApiKey):
        Identity([]).identify(FakeHeaders([("authorization", "Bearer token-1")]))


def test_words_that_are_tokens() -> None:
    """Whoever's, expired ones too: they are to be kept off spans."""
    words = ["token-1", "grün", "expired", "token-", "Bearer token-1", "\ud800"]
    assert [word for word in words if IDENTITY.knows(word)] == ["token-1", "grün", "expired"]


def test_expiry_is_the_first_moment_of_refusal() -> None:
    """A token works until its time and not at it."""
    with pytest.raises(InvalidApiKey):
        Identity([make_credential("t", APP, expires_at_s=0.0)]).identify(
            FakeHeaders([("x-tfy-api-key", "t")])
        )


class SignedOnes:
    """Tokens that begin with `signed` are good, and too old."""

    def find(self, token: bytes, digest: bytes) -> Caller | None:
        raise AssertionError("asked whether it is good now")

    def find_again(self, token: bytes, digest: bytes) -> Caller | None:
        return OTHER if token.startswith(b"signed") else None

    def knows(self, digest: bytes) -> bool:
        return False


def test_who_goes_on() -> None:
    """By a token of the gateway's own as long as that works, by a signed one also when it is too old."""
    identity = Identity(
        [make_credential("t", APP), make_credential("over", APP, expires_at_s=1)], SignedOnes()
    )

    def again(token: str) -> Caller:
        return identity.identify_again(FakeHeaders([("authorization", f"Bearer {token}")]))

    assert again("t") is APP
    assert again("signed") is OTHER
    for token, why in (("over", "expired"), ("unknown", "not known here"), ("", "not known here")):
        with pytest.raises(InvalidApiKey, match=why):
            again(token)
    with pytest.raises(InvalidApiKey, match="not known here"):
        Identity([]).identify_again(FakeHeaders([("x-api-key", "t")]))


class NoisyBytes(bytes):
    """A hash that cannot be compared byte by byte."""

    def __eq__(self, other: object) -> bool:
        raise AssertionError("compared in time that depends on the content")

    __hash__ = bytes.__hash__


def test_hashes_are_compared_in_constant_time() -> None:
    """The whole hash is compared by the constant-time function, never by `==`."""
    digest = NoisyBytes(hashlib.sha256(b"t").digest())
    identity = Identity([Credential(digest, APP, None)])
    assert identity.identify(FakeHeaders([("x-tfy-api-key", "t")])) is APP


def test_hashes_that_begin_alike() -> None:
    """The look-up by the first bytes decides nothing: the whole hash does."""
    digest = hashlib.sha256(b"t").digest()
    near = digest[:-1] + bytes([digest[-1] ^ 1])
    identity = Identity([Credential(near, OTHER, None), Credential(digest, APP, None)])
    assert identity.identify(FakeHeaders([("x-tfy-api-key", "t")])) is APP
    with pytest.raises(InvalidApiKey):
        Identity([Credential(near, OTHER, None)]).identify(FakeHeaders([("x-tfy-api-key", "t")]))


def test_tokens_are_not_kept() -> None:
    """Only hashes are in memory."""
    assert b"token-1" not in repr(vars(IDENTITY)).encode()
    assert hashlib.sha256(b"demo-key").digest() == DEMO_TOKEN_SHA256 == tokens.DEMO_TOKEN_SHA256


def test_carries_token() -> None:
    """Whether there is one is seen without knowing it."""
    for name, value in (("authorization", "Bearer x"), ("x-api-key", "x"), ("x-tfy-api-key", "x")):
        assert carries_token(FakeHeaders([(name, value)]))
    assert not carries_token(FakeHeaders([("authorization", "Basic x"), ("x-api-key", "")]))


def google(*headers: tuple[str, str], key: str = "") -> Caller:
    return IDENTITY.identify_google(FakeHeaders(headers), key)[0]


@pytest.mark.parametrize(
    ("headers", "key", "caller"),
    [
        pytest.param([("x-goog-api-key", "token-1")], "", APP, id="Google's header"),
        pytest.param([], "other-token", OTHER, id="the query"),
        pytest.param([("authorization", "Bearer other-token")], "", OTHER, id="bearer"),
        pytest.param([("x-tfy-api-key", "other-token")], "", OTHER, id="TrueFoundry's header"),
        pytest.param(
            [("authorization", "Bearer ya29.google"), ("x-goog-api-key", "token-1")],
            "",
            APP,
            id="beside a token of Google's",
        ),
        pytest.param(
            [("authorization", "Bearer token-1"), ("x-goog-api-key", "dummy")], "", APP, id="beside a dummy"
        ),
        pytest.param([("x-goog-api-key", "dummy")], "token-1", APP, id="dummy and query"),
        pytest.param([], "grün", OTHER, id="UTF-8 in a query, which is read already"),
        pytest.param(
            [("x-goog-api-key", "grün".encode().decode("latin-1"))], "", OTHER, id="UTF-8 in a header"
        ),
        pytest.param([("x-goog-api-key", "token-1")], "other-token", APP, id="the header wins"),
    ],
)
def test_google_s_ways(headers: list[tuple[str, str]], key: str, caller: Caller) -> None:
    """Wherever Google's SDKs put a key, the first that is known here counts."""
    assert google(*headers, key=key) is caller


@pytest.mark.parametrize(
    ("headers", "key", "message"),
    [
        ([], "", "No API key"),
        ([("x-goog-api-key", "wrong")], "", "not known"),
        ([("x-goog-api-key", "wrong")], "worse", "not known"),
        ([("x-goog-api-key", "expired")], "", "expired"),
        ([("x-goog-api-key", " ")], "", "No API key"),
        ([], " ", "No API key"),
        ([("x-goog-api-key", " "), ("authorization", "Bearer  ")], "\t", "No API key"),
    ],
)
def test_none_of_google_s_ways(headers: list[tuple[str, str]], key: str, message: str) -> None:
    """Else the caller is told what is missing."""
    with pytest.raises(InvalidApiKey, match=message):
        google(*headers, key=key)


def test_the_hash_of_nothing() -> None:
    """Whoever sends a blank has sent nothing, even where a manifest has the hash of that."""
    identity = Identity([make_credential("", APP)])
    for headers, key in (([], " "), ([], "\t "), ([("x-goog-api-key", " ")], "")):
        with pytest.raises(InvalidApiKey):
            identity.identify_google(FakeHeaders(headers), key)
    for name in ("authorization", "x-api-key", "x-tfy-api-key"):
        with pytest.raises(InvalidApiKey):
            identity.identify(FakeHeaders([(name, "Bearer " if name == "authorization" else " ")]))


SECRET = b"provider key"


def signed(token: str = "token-1", *, until_s: float = 0, secret: bytes = SECRET) -> str:
    _, sha256 = IDENTITY.identify_google(FakeHeaders(), token)
    until = int(until_s or time.time() + 60)
    return tokens.sign(sha256, "what for", secret, until_s=until)


def test_signature() -> None:
    """It stands for its caller, and has nothing of the token in it."""
    assert IDENTITY.identify_signed(signed(), "what for", SECRET)[0] is APP
    assert IDENTITY.identify_signed(signed("other-token"), "what for", SECRET)[0] is OTHER
    assert "token" not in signed()
    assert hashlib.sha256(b"token-1").hexdigest() not in signed()


@pytest.mark.parametrize(
    ("signature", "subject", "secret"),
    [
        pytest.param(signed(), "something else", SECRET, id="another subject"),
        pytest.param(signed(), "what for", b"another", id="another key"),
        pytest.param(signed(secret=b"another"), "what for", SECRET, id="made with another key"),
        pytest.param(signed(until_s=time.time() - 1), "what for", SECRET, id="expired"),
        pytest.param(signed()[:-1], "what for", SECRET, id="cut"),
        pytest.param(signed().replace(".", ".9", 1), "what for", SECRET, id="a later end"),
        pytest.param(signed("other-token")[:16] + signed()[16:], "what for", SECRET, id="another caller"),
        pytest.param("", "what for", SECRET, id="none"),
        pytest.param("zz.1.2", "what for", SECRET, id="no hash"),
        pytest.param("é" * 16, "what for", SECRET, id="no ascii"),
        pytest.param("0" * 16 + "." + "9" * 40 + ".0", "what for", SECRET, id="an end too far"),
    ],
)
def test_no_signature(signature: str, subject: str, secret: bytes) -> None:
    """Another subject, key, caller or time than it was made for, and it is none."""
    with pytest.raises(InvalidApiKey, match="signature"):
        IDENTITY.identify_signed(signature, subject, secret)
