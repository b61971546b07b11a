"""Personal access tokens as manifests have them."""

from __future__ import annotations

import datetime as dt

import pytest
from pydantic import ValidationError

from gateway.config.manifests.access_token import PersonalAccessToken, find_user


def token(**fields: object) -> PersonalAccessToken:
    return PersonalAccessToken.model_validate({"type": "pat", "name": "t", "user_fqn": "a@x.io", **fields})


@pytest.mark.parametrize(
    "fqn",
    ["a@x.io", "user:a@x.io", "acme:user:a@x.io", ":user:a@x.io"],
    ids=["email", "kind", "all", "no tenant"],
)
def test_users(fqn: str) -> None:
    """The tenant is not compared."""
    assert token(user_fqn=fqn).user == "a@x.io"
    assert find_user(fqn) == "a@x.io"


@pytest.mark.parametrize(
    "fqn", ["", "team:ml", "user:", "acme:team:a", "a:b:user:c", "user:a:b", "a b", "a\n", "x" * 257]
)
def test_who_is_no_user(fqn: str) -> None:
    """What is not clear is a slip."""
    with pytest.raises(ValidationError, match=r"names no user|at least 1|at most 256"):
        token(user_fqn=fqn)


def test_what_is_no_text() -> None:
    """Of a document that was not read yet."""
    assert find_user(["a"]) is None


def test_expiration() -> None:
    """As a virtual account's."""
    assert token().expires_at is None
    assert token(expiration_date="2027-01-31").expires_at == dt.datetime(2027, 2, 1, tzinfo=dt.UTC)
