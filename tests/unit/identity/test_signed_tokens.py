"""Tokens that an identity provider has signed: whose they are, and every attack that is known on them."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jwt
import pytest

from gateway.errors import IdentityUnavailable, InvalidApiKey
from gateway.identity import signed_tokens
from gateway.identity.key_set import KeySet, parse_keys
from gateway.identity.signed_tokens import REFUSED_FOR_S, Account, Provider, SignedTokens
from gateway.identity.tokens import Identity
from gateway.model import Caller
from tests.rig.signed_tokens import AUDIENCE, ISSUER, SigningKey, claims, confused, key_set, part
from tests.unit.doubles import FakeHeaders
from tests.unit.makers import make_credential

KEY = SigningKey("k1")
RSA = SigningKey("r1", "RS256")
OTHER_ISSUER = "https://partner.example/"
OTHER_KEY = SigningKey("o1")
APP = Caller("app1", frozenset({"lab/qwen"}))


class FakeRing:
    """Keys that a test changes; counts how often they were asked for."""

    def __init__(self, *keys: SigningKey) -> None:
        self.keys: KeySet | None = parse_keys(key_set(*keys)) if keys else None
        self.asked = 0

    def ask(self) -> None:
        self.asked += 1


class FakeUsers:
    """One user is named, and whoever is in a team."""

    def is_named(self, user: str, teams: Sequence[str]) -> bool:
        return user == "a@x.io" or bool(teams)

    def is_virtual_account(self, user: str) -> bool:
        return user == "app1"

    def signed_in(self, user: str, teams: Sequence[str]) -> Caller:
        return Caller(user, frozenset(), kind="user", teams=tuple(teams))


ALGORITHMS = frozenset({"RS256", "PS256", "ES256", "EdDSA"})
PROVIDER = Provider(
    name="acme",
    issuer=ISSUER,
    audiences=(AUDIENCE, "second"),
    algorithms=ALGORITHMS,
    subject_claim="sub",
    user_claim="email",
    groups_claim="groups",
    user_domains=frozenset(),
    admits_unknown=False,
    leeway_s=60.0,
    ring=FakeRing(KEY, RSA),
    accounts={"svc-1": Account(APP, None), "svc-old": Account(Caller("old", frozenset()), 1.0)},
    teams={"g-ml": ("ml",), "g-all": ("ml", "ops")},
)


class Clock:
    """Unix time, which a test moves on; what the library reads stays the real one."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_s


def tokens(clock: Clock | None = None, **more: Any) -> SignedTokens:
    other = replace(PROVIDER, name="partner", issuer=OTHER_ISSUER, ring=FakeRing(OTHER_KEY), accounts={})
    return SignedTokens([replace(PROVIDER, **more), other], FakeUsers(), now_s=clock or Clock())


def find(signed: SignedTokens, token: str) -> Caller | None:
    sent = token.encode()
    return signed.find(sent, hashlib.sha256(sent).digest())


def who(token: str, **more: Any) -> Caller:
    caller = find(tokens(**more), token)
    assert caller is not None
    return caller


def refusal(token: str, signed: SignedTokens | None = None, **more: Any) -> InvalidApiKey:
    """What a bad token is told; never a part of the token itself."""
    with pytest.raises(InvalidApiKey) as caught:
        find(signed or tokens(**more), token)
    error = caught.value
    for segment in token.split("."):
        assert len(segment) < 8 or segment not in error.for_operator
    assert ("www-authenticate", 'Bearer error="invalid_token"') in error.headers
    return error


# -- good ones


@pytest.mark.parametrize(
    "key",
    [KEY, RSA, SigningKey("e1", "EdDSA"), SigningKey("p1", "PS256")],
    ids=lambda key: key.algorithm,
)
def test_a_user(key: SigningKey) -> None:
    """Is known by the email, and is in the teams that are mapped to groups of the token, once each."""
    said = claims(groups=["g-all", "g-ml", "unknown", 7], email_verified=True)
    caller = who(key.sign(said), ring=FakeRing(key))
    assert (caller.name, caller.kind, caller.teams) == ("a@x.io", "user", ("ml", "ops"))


def test_a_virtual_account() -> None:
    """Is who has the subject that is mapped to it, also as one of several, whatever the token's user."""
    assert who(KEY.sign(claims(sub="svc-1", email="a@x.io"))) is APP
    assert who(KEY.sign(claims(roles=["x", "svc-1"], email=None)), subject_claim="roles") is APP
    assert "virtual account of this token has expired" in refusal(KEY.sign(claims(sub="svc-old"))).message


def test_a_virtual_account_by_email() -> None:
    """Nobody becomes an application by an email that they only say they have."""
    said = claims(email="job@x.io", email_verified=False)
    mapped: dict[str, Any] = {"subject_claim": "email", "accounts": {"job@x.io": Account(APP, None)}}
    assert "has not verified the email" in refusal(KEY.sign(said), **mapped).message
    assert who(KEY.sign({**said, "email_verified": True}), **mapped) is APP


def test_other_claims() -> None:
    """Names of claims are as the manifest says; one with dots may be a path."""
    said = claims(email=None, preferred_username="bo", realm_access={"roles": ["g-ml"]})
    caller = who(KEY.sign(said), user_claim="preferred_username", groups_claim="realm_access.roles")
    assert (caller.name, caller.teams) == ("bo", ("ml",))
    said = claims(**{"https://acme.example/groups": "g-all"})
    assert who(KEY.sign(said), groups_claim="https://acme.example/groups").teams == ("ml", "ops")


def test_a_header_with_blanks() -> None:
    """As some providers write it, ForgeRock's among them."""
    head = f'{{ "typ": "JWT", "kid": "{KEY.kid}", "alg": "{KEY.algorithm}" }}'
    assert who(KEY.sign_text(json.dumps(claims()), head)).name == "a@x.io"


@pytest.mark.parametrize("issuer", [ISSUER, ISSUER.removesuffix("/")])
def test_a_slash_at_the_end_of_an_issuer(issuer: str) -> None:
    """It is another issuer, and the operator is told how close that one is; the caller is not."""
    other = ISSUER.removesuffix("/") if issuer == ISSUER else ISSUER
    error = refusal(KEY.sign(claims(iss=other)), issuer=issuer)
    assert "identity provider acme by a slash at the end" in error.for_operator
    assert "acme" not in error.message
    assert "slash" not in refusal(KEY.sign(claims(iss="https://elsewhere.example/"))).for_operator


def test_several_audiences() -> None:
    """One of ours among those of the token is enough."""
    assert who(KEY.sign(claims(aud=["account", "second"]))).name == "a@x.io"


def test_leeway() -> None:
    """Clocks may differ by so much and no more."""
    now_s = int(time.time())
    assert who(KEY.sign(claims(exp=now_s - 30))).name == "a@x.io"
    assert who(KEY.sign(claims(nbf=now_s + 30, iat=now_s + 30))).name == "a@x.io"
    assert "expired" in refusal(KEY.sign(claims(exp=now_s - 30)), leeway_s=10.0).message


def test_addresses_in_a_header() -> None:
    """Keys and addresses that a token brings along are not looked at."""
    evil = SigningKey("k1")
    header = {"jku": "http://127.0.0.1:1/keys", "jwk": evil.published(), "x5u": "file:///etc/passwd"}
    assert who(KEY.sign(claims(), header)).name == "a@x.io"
    assert refusal(evil.sign(claims(), header)).message == "The signature of this token is wrong."


# -- attacks


def unsigned(algorithm: str) -> str:
    head = json.dumps({"alg": algorithm, "kid": "k1", "typ": "JWT"})
    return f"{part(head.encode())}.{part(json.dumps(claims()).encode())}."


@pytest.mark.parametrize(
    ("token", "why"),
    [
        pytest.param(unsigned("none"), "signed in a way that is not taken", id="alg none"),
        pytest.param(unsigned("NoNe"), "signed in a way that is not taken", id="alg NoNe"),
        pytest.param(unsigned(""), "signed in a way that is not taken", id="no alg"),
        pytest.param(unsigned("ES256"), "signature of this token is wrong", id="no signature"),
        pytest.param(
            confused(RSA, claims(), RSA.pem(), {"alg": "HS256"}),
            "a way that is not taken",
            id="key confusion",
        ),
        pytest.param(
            confused(RSA, claims(), key_set(RSA), {"alg": "HS256"}), "a way that is not", id="HMAC of the set"
        ),
        pytest.param(
            confused(RSA, claims(), RSA.pem(), {"alg": "RS256"}),
            "signature of this token is",
            id="HMAC as RSA",
        ),
        pytest.param(
            confused(RSA, claims(), b"", {"alg": "ES256"}), "not for the way", id="another algorithm's key"
        ),
        pytest.param(KEY.sign(claims(), {"kid": "../../dev/null"}), "does not publish", id="a path as kid"),
        pytest.param(KEY.sign(claims(), {"kid": "' or 1=1 --"}), "does not publish", id="SQL as kid"),
        pytest.param(KEY.sign(claims(), {"kid": ""}), "does not publish", id="an empty kid"),
        pytest.param(SigningKey("k1").sign(claims()), "signature of this token is wrong", id="another's key"),
        pytest.param(OTHER_KEY.sign(claims()), "does not publish", id="key of another issuer"),
        pytest.param(KEY.sign(claims(iss=OTHER_ISSUER)), "does not publish", id="issuer of another key"),
        pytest.param(
            SigningKey("o1").sign(claims(iss=OTHER_ISSUER)), "signature of this token", id="a name of its key"
        ),
        pytest.param(KEY.sign(claims(iss="https://evil.example/")), "no token of an", id="wrong issuer"),
        pytest.param(KEY.sign(claims(iss=ISSUER.rstrip("/"))), "no token of an", id="almost the issuer"),
        pytest.param(
            KEY.sign(claims(iss="https://login.\u0430cme.example/")), "no token of an", id="Cyrillic"
        ),
        pytest.param(KEY.sign_text(json.dumps(claims(iss=[ISSUER]))), "no token of an", id="issuers"),
        pytest.param(KEY.sign(claims(iss=None)), "no token of an", id="no issuer"),
        pytest.param(KEY.sign(claims(aud="other")), "for another service", id="wrong audience"),
        pytest.param(KEY.sign(claims(aud=[])), "has no aud", id="audiences of none"),
        pytest.param(KEY.sign(claims(aud=None)), "has no aud", id="no audience"),
        pytest.param(KEY.sign_text(json.dumps(claims(aud=7))), "another service", id="audience 7"),
        pytest.param(KEY.sign(claims(exp=int(time.time()) - 61)), "has expired", id="expired"),
        pytest.param(KEY.sign(claims(exp=None)), "has no exp", id="for ever"),
        pytest.param(KEY.sign(claims(nbf=int(time.time()) + 10**6)), "not valid yet", id="not yet"),
        pytest.param(
            KEY.sign(claims(iat=int(time.time()) + 10**8)), "not valid yet", id="made in the future"
        ),
        pytest.param(KEY.sign_text('{"iss":"a","iss":"b"}'), "says something twice", id="a claim twice"),
        pytest.param(KEY.sign(claims(x="y" * 20_000)), "longer than", id="huge"),
        pytest.param(
            KEY.sign_text(json.dumps(claims(exp=1)).replace(" 1}", " 1e999}")),
            "cannot be read",
            id="infinite",
        ),
        pytest.param(KEY.sign_text("[" * 8000), "cannot be read", id="a bomb"),
        pytest.param(KEY.sign_text(json.dumps(claims(sub=7))), "cannot be read", id="a number as subject"),
        pytest.param(KEY.sign(claims(email_verified=False)), "has not verified the email", id="not verified"),
        pytest.param(
            KEY.sign(claims(email_verified="false")), "has not verified", id="not verified, as text"
        ),
        pytest.param(KEY.sign(claims(email="virtualaccount:app1")), "no name of a user", id="another kind"),
        pytest.param(KEY.sign(claims(email="user:a@x.io")), "no name of a user", id="the kind before it"),
        pytest.param(
            KEY.sign(claims(email="app1")), "name of a virtual account", id="a virtual account's name"
        ),
        pytest.param(KEY.sign(claims(email="a@x.io\n")), "no name of a user", id="a line break"),
        pytest.param(KEY.sign(claims(email=["a@x.io"])), "no name of a user", id="a list of emails"),
        pytest.param(KEY.sign(claims(email=None)), "no name of a user in its claim email", id="no email"),
        pytest.param(KEY.sign(claims(email="a" * 300)), "no name of a user", id="a long email"),
        pytest.param(KEY.sign(claims(email="b@x.io")), "has no access", id="whom nobody named"),
        pytest.param(KEY.sign(claims(email="b@x.io", groups=["ml"])), "no access", id="a team as a group"),
        pytest.param(KEY.sign(claims(sub="app1", email="b@x.io")), "no access", id="an account as subject"),
        pytest.param(
            KEY.sign(claims(email="b@x.io", groups={"g-ml": 1})), "no access", id="groups of no list"
        ),
        pytest.param("eyJ!.eyJ.x", "cannot be read", id="no base64"),
    ],
)
def test_what_is_refused(token: str, why: str) -> None:
    """With one sentence that says why, and without the token."""
    assert why in refusal(token).message


def test_hmac_in_a_manifest() -> None:
    """If all else failed, keys of a provider are not for HMAC: there is none that could be."""
    token = confused(RSA, claims(), RSA.pem(), {"alg": "HS256"})
    assert "not for the way" in refusal(token, algorithms=ALGORITHMS | {"HS256"}).message


def test_an_altered_payload() -> None:
    """What was signed is what counts."""
    head, _, signature = KEY.sign(claims()).split(".")
    forged = part(json.dumps(claims(email="boss@x.io")).encode())
    assert "signature" in refusal(f"{head}.{forged}.{signature}").message
    padded = f"{KEY.sign(claims())[:-2]}!!"
    assert refusal(padded).message


def test_no_kid() -> None:
    """A token without one is of the only key there is, and of several of none."""
    nameless = SigningKey(None)
    assert who(nameless.sign(claims()), ring=FakeRing(nameless)).name == "a@x.io"
    ring = FakeRing(nameless, KEY)
    assert "does not say with which key" in refusal(nameless.sign(claims()), ring=ring).message
    assert ring.asked == 0


def test_domains() -> None:
    """A provider for a domain signs in nobody else."""
    domains = frozenset({"x.io"})
    assert who(KEY.sign(claims()), user_domains=domains).name == "a@x.io"
    for email in ("a@y.io", "a", "a@x.io@y.io", "a@evil-x.io"):
        token = KEY.sign(claims(email=email))
        assert "not for users of this domain" in refusal(token, user_domains=domains).message


def test_unknown_users() -> None:
    """Where they are allowed they are members of `everyone` alone."""
    caller = who(KEY.sign(claims(email="b@x.io")), admits_unknown=True)
    assert caller.subjects == {"user:b@x.io", "team:everyone"}


def test_other_words() -> None:
    """What has not the form of a signed token is somebody else's business."""
    assert find(tokens(), "sk-opaque") is None
    assert find(tokens(), "a.b.c") is None


def test_a_listed_token_of_that_form() -> None:
    """Callers keep keys that another product had signed: what is listed signs in, whoever its issuer is."""
    elsewhere = SigningKey("x1").sign(claims(iss="https://another.example/"))
    identity = Identity([make_credential(elsewhere, APP)], tokens())
    assert identity.identify(FakeHeaders([("authorization", f"Bearer {elsewhere}")])) is APP


# -- what is kept


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The algorithms of the signatures that the library was asked to check."""
    asked: list[str] = []
    decode = jwt.decode

    def counted(*args: Any, **more: Any) -> Any:
        asked.extend(more["algorithms"])
        return decode(*args, **more)

    monkeypatch.setattr(jwt, "decode", counted)
    return asked


def test_one_check(checks: list[str]) -> None:
    """A good token is checked once, a bad one once for a while."""
    clock = Clock()
    signed = tokens(clock)
    good, bad = KEY.sign(claims()), SigningKey("k1").sign(claims())
    assert find(signed, good) is find(signed, good)
    assert signed.knows(hashlib.sha256(good.encode()).digest())
    assert not signed.knows(hashlib.sha256(bad.encode()).digest())
    assert refusal(bad, signed).message == refusal(bad, signed).message
    assert checks == ["ES256", "ES256"]
    clock.ahead_s = REFUSED_FOR_S + 1
    refusal(bad, signed)
    assert len(checks) == 3


def test_junk_is_cheap(checks: list[str]) -> None:
    """No signature is looked at of an unknown issuer, key or way to sign."""
    signed = tokens()
    junk = [
        KEY.sign(claims(iss="https://evil.example/")),
        KEY.sign(claims(), {"kid": "other"}),
        unsigned("none"),
        confused(RSA, claims(), RSA.pem(), {"alg": "HS256"}),
        KEY.sign_text("[" * 8000),
    ]
    for token in junk:
        refusal(token, signed)
    assert checks == []


def test_the_end_of_a_token() -> None:
    """It is kept no longer than it lasts."""
    clock = Clock()
    signed = tokens(clock, leeway_s=0.0)
    token = KEY.sign(claims(exp=int(time.time()) + 100))
    assert find(signed, token) is not None
    clock.ahead_s = 101
    held = signed._held[hashlib.sha256(token.encode()).digest()]
    assert held.ends_at_s < clock()


def test_the_end_of_an_account(checks: list[str]) -> None:
    """A token is kept no longer than the virtual account lasts."""
    clock = Clock()
    signed = tokens(clock, accounts={"svc-1": Account(APP, time.time() + 100)})
    token = KEY.sign(claims(sub="svc-1"))
    assert find(signed, token) is APP
    clock.ahead_s = 101
    assert "expired" in refusal(token, signed).message


def again(signed: SignedTokens, token: str) -> Caller | None:
    sent = token.encode()
    return signed.find_again(sent, hashlib.sha256(sent).digest())


def test_a_token_that_has_done_its_work() -> None:
    """Who has begun something with it goes on though it is too old, as whoever they are by now."""
    old = KEY.sign(claims(exp=1000, iat=900, groups=["g-ml"]))
    assert "has expired" in refusal(old).message
    caller = again(tokens(), old)
    assert caller is not None
    assert (caller.name, caller.teams) == ("a@x.io", ("ml",))
    signed = tokens()
    young = KEY.sign(claims())
    assert again(signed, young) == find(signed, young) == again(signed, young)
    assert again(signed, "opaque") is None


@pytest.mark.parametrize(
    ("said", "more", "why"),
    [
        ({}, {"issuer": "https://other.example/"}, "no token of an identity provider"),
        ({}, {"audiences": ("other",)}, "for another service"),
        ({}, {"ring": FakeRing(RSA)}, "does not publish"),
        ({}, {"ring": FakeRing(SigningKey("k1"))}, "signature of this token is wrong"),
        ({"email": "b@x.io"}, {}, "has no access"),
        ({"email": "app1"}, {}, "name of a virtual account"),
        ({"sub": "svc-old"}, {}, "account of this token has expired"),
    ],
)
def test_a_right_that_was_taken_from_an_old_token(
    said: dict[str, Any], more: dict[str, Any], why: str
) -> None:
    """That it is old helps nobody who would be refused without that."""
    with pytest.raises(InvalidApiKey, match=why):
        again(tokens(**more), KEY.sign(claims(exp=1000, iat=900, **said)))


def test_not_yet_is_not_kept(checks: list[str]) -> None:
    """What will be good in a moment is looked at again."""
    signed = tokens()
    early = KEY.sign(claims(nbf=int(time.time()) + 300))
    refusal(early, signed)
    refusal(early, signed)
    assert len(checks) == 2


def test_changed_keys(checks: list[str]) -> None:
    """A withdrawn key takes its tokens along at once; the others go on unchecked."""
    ring = FakeRing(KEY, RSA)
    signed = tokens(ring=ring)
    first, second = KEY.sign(claims()), RSA.sign(claims())
    assert find(signed, first)
    assert find(signed, second)
    ring.keys = parse_keys(key_set(RSA, SigningKey("k2")))
    assert "does not publish" in refusal(first, signed).message
    assert find(signed, second)
    assert len(checks) == 2
    ring.keys = parse_keys(key_set(SigningKey("r1", "RS256")))
    assert refusal(second, signed).message == "The signature of this token is wrong."


def test_refused_until_the_keys_change() -> None:
    """A token that the next keys make good is not refused for what was."""
    ring = FakeRing(SigningKey("k1"))
    signed = tokens(ring=ring)
    token = KEY.sign(claims())
    refusal(token, signed)
    ring.keys = parse_keys(key_set(KEY))
    assert find(signed, token) is not None


def test_a_new_key() -> None:
    """It is asked for, and SDKs are told to try again in a moment."""
    ring = FakeRing(KEY)
    new = SigningKey("k2")
    signed = tokens(ring=ring)
    error = refusal(new.sign(claims()), signed)
    assert ("x-should-retry", "true") in error.headers
    assert ring.asked == 1
    ring.keys = parse_keys(key_set(KEY, new))
    assert find(signed, new.sign(claims())) is not None


def test_no_keys() -> None:
    """While nothing is known nobody is told that the token is bad."""
    ring = FakeRing()
    with pytest.raises(IdentityUnavailable) as caught:
        who(KEY.sign(claims()), ring=ring)
    assert (caught.value.status, caught.value.headers) == (503, (("retry-after", "1"),))
    assert ring.asked == 1
    assert "a way that is not taken" in refusal(unsigned("none"), ring=ring).message


def test_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept has a bound; what was not used for longest goes first."""
    monkeypatch.setattr(signed_tokens, "MAX_HELD", 2)
    monkeypatch.setattr(signed_tokens, "MAX_REFUSED", 2)
    signed = tokens()
    first, second, third = (KEY.sign(claims(jti=str(at))) for at in range(3))
    for token in (first, second, first, third):
        assert find(signed, token)
    known = [signed.knows(hashlib.sha256(token.encode()).digest()) for token in (first, second, third)]
    assert known == [True, False, True]
    for at in range(3):
        refusal(SigningKey("k1").sign(claims(jti=str(at))), signed)
    assert len(signed._refused) == 2
