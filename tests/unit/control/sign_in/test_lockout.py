"""Guessing made slow."""

from __future__ import annotations

import pytest

from gateway.control.sign_in.lockout import Lockout
from tests.unit.doubles import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock(1000.0)


@pytest.fixture
def lockout(clock: Clock) -> Lockout:
    return Lockout(clock, free=3, first_s=2.0, most_s=60.0)


def test_a_slip_costs_nothing(lockout: Lockout) -> None:
    """Nor does the second."""
    for _ in range(3):
        lockout.failed("a")
    assert lockout.wait_s("a") == 0.0


def test_each_further_failure_doubles_the_wait(lockout: Lockout, clock: Clock) -> None:
    """Up to the longest."""
    waits = []
    for _ in range(12):
        lockout.failed("a")
        waits.append(lockout.wait_s("a"))
        clock.now_s += waits[-1]
    assert waits == [0, 0, 0, 2, 4, 8, 16, 32, 60, 60, 60, 60]
    assert lockout.wait_s("a") == 0.0
    assert lockout.wait_s("b") == 0.0


def test_who_knows_it_begins_anew(lockout: Lockout) -> None:
    """The count is of failures in a row."""
    for _ in range(3):
        lockout.failed("a")
    lockout.succeeded("a")
    lockout.failed("a")
    assert lockout.wait_s("a") == 0.0


def test_who_knows_their_own_may_not_guess_at_another(lockout: Lockout) -> None:
    """Signing in as oneself between guesses gives no more of them."""
    for _ in range(4):
        lockout.failed("a", "admin")
        lockout.succeeded("a", "eve")
        lockout.succeeded("a")
    assert lockout.wait_s("a") == 2.0


def test_slips_of_many_at_one_address_are_forgiven_each(lockout: Lockout) -> None:
    """Behind a proxy all have one address."""
    for number in range(20):
        lockout.failed("a", f"user {number}")
        lockout.succeeded("a", f"user {number}")
    assert lockout.wait_s("a") == 0.0


def test_names_have_a_bound(lockout: Lockout, clock: Clock) -> None:
    """What failed at more of them counts, and is not taken for anybody's slip."""
    for number in range(100):
        lockout.failed("a", f"user {number}")
    assert len(lockout._records["a"].at) <= 33
    clock.now_s += 60.0
    lockout.succeeded("a", "user 99")
    lockout.failed("a", "user 99")
    assert lockout.wait_s("a") == 60.0


def test_what_is_long_ago_is_forgotten(lockout: Lockout, clock: Clock) -> None:
    """A slip each day locks nobody out."""
    for _ in range(10):
        lockout.failed("a")
        clock.now_s += 4000
    assert lockout.wait_s("a") == 0.0


def test_many_addresses_together_are_slowed_a_little(lockout: Lockout) -> None:
    """Not for long, or an attacker would lock the operator out."""
    for number in range(100):
        lockout.failed(f"10.0.0.{number}")
    assert 0.0 < lockout.wait_s("192.0.2.1") <= 5.0


def test_an_address_of_ipv6_is_its_network(lockout: Lockout) -> None:
    """A home has 2^64 of them."""
    for number in range(6):
        lockout.failed(f"2001:db8::{number:x}")
    assert lockout.wait_s("2001:db8::ffff") > 0
    assert lockout.wait_s("2001:db8:0:1::1") == 0.0
    for _ in range(6):
        lockout.failed("::ffff:192.0.2.9")
    assert lockout.wait_s("192.0.2.9") > 0


def test_it_has_a_bound(lockout: Lockout) -> None:
    """And who guesses now is not the one who is forgotten."""
    for _ in range(6):
        lockout.failed("first")
    for number in range(5000):
        lockout.failed(f"a{number}")
        lockout.failed("first")
    assert len(lockout._records) <= 4096
    assert lockout.wait_s("first") > 5.0
