"""Numbers that stand for chance and come out alike everywhere."""

from __future__ import annotations

from hashlib import blake2b
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from gateway.routing.rendezvous import Rendezvous

NAMES = ["acct/a", "acct/b", "lab/c"]

keys = st.binary(min_size=8, max_size=16)


def test_of_one_key_and_name_alike_everywhere() -> None:
    """What another version or another machine picks is this: changing it moves every session once."""
    assert Rendezvous().draws(b"0123456789abcdef", NAMES) == [
        0.9219812185219141,
        0.7267666719929254,
        0.8776561991704365,
    ]


@given(keys, st.lists(st.text(max_size=20), unique=True, max_size=8), st.randoms(use_true_random=False))
def test_of_a_name_whoever_stands_beside_it(key: bytes, names: list[str], chance: Random) -> None:
    """The number of a target is its own: others that join, leave or change places change nothing of it."""
    rendezvous = Rendezvous()
    by_name = dict(zip(names, rendezvous.draws(key, names), strict=True))
    some = [name for name in names if chance.random() < 0.5]
    chance.shuffle(some)
    for one in (rendezvous, Rendezvous()):
        assert one.draws(key, some) == [by_name[name] for name in some]


def test_a_name_that_stands_there_twice() -> None:
    """Both places have their own numbers, and the first that of the name alone."""
    one, other, again, third = Rendezvous().draws(b"01234567", ["acct/a", "acct/b", "acct/a", "acct/a"])
    assert [one, other] == Rendezvous().draws(b"01234567", ["acct/a", "acct/b"])
    assert len({one, other, again, third}) == 4


@given(keys, st.text(max_size=20))
def test_never_without_a_logarithm(key: bytes, name: str) -> None:
    """Above 0 and at most 1."""
    (drawn,) = Rendezvous().draws(key, [name])
    assert 0 < drawn <= 1


def test_evenly_spread() -> None:
    """In each tenth of the range lies a tenth of them, and two names know nothing of each other."""
    rendezvous = Rendezvous()
    pairs = [rendezvous.draws(blake2b(b"%d" % number).digest(), NAMES[:2]) for number in range(20_000)]
    for tenth in range(10):
        one = [other for this, other in pairs if tenth / 10 < this <= (tenth + 1) / 10]
        assert abs(len(one) - 2000) < 200
        assert abs(sum(one) / len(one) - 0.5) < 0.03
