"""Passwords as they are kept."""

from __future__ import annotations

import pytest

from gateway.control.sign_in.passwords import MAX_LENGTH, MIN_LENGTH, fault_of, hash_password, is_password

PASSWORD = "correct horse battery ü"


def test_a_password_is_known_again() -> None:
    """And no other is taken for it."""
    kept = hash_password(PASSWORD)
    assert is_password(PASSWORD, kept)
    for other in ("", PASSWORD + " ", PASSWORD.upper(), PASSWORD[:-1]):
        assert not is_password(other, kept)


def test_the_same_password_is_kept_otherwise_each_time() -> None:
    """So that two users with one password cannot be seen."""
    assert hash_password(PASSWORD) != hash_password(PASSWORD)
    assert PASSWORD not in hash_password(PASSWORD)


def test_nobody_has_no_password() -> None:
    """Not even that which would give the key of the stand-in."""
    assert not is_password("", None)
    assert not is_password(PASSWORD, None)
    assert not is_password(PASSWORD, "other$15$8$3$AAAA$AAAA")


@pytest.mark.parametrize(
    ("password", "said"),
    [
        ("x" * (MIN_LENGTH - 1), "at least 12"),
        ("x" * (MAX_LENGTH + 1), "at most"),
        ("ab" * 12, "different"),
        ("correct horse", None),
        ("\ud800abcdefghijkl", None),
    ],
)
def test_a_new_password_is_looked_at(password: str, said: str | None) -> None:
    """Length counts; the rest is the user's."""
    fault = fault_of(password)
    assert fault is None if said is None else said in str(fault)
