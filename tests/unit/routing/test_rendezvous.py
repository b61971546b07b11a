"""Numbers that stand for chance and come out alike everywhere."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.routing.rendezvous import draws

NAMES = ["acct/a", "acct/b", "lab/c"]


def test_of_one_key_and_name_alike_everywhere() -> None:
    """What another version or another machine picks is this: changing it moves every session once."""
    assert draws(b"0123456789abcdef", NAMES) == [
        0.593210925944671,
        0.05546180370323428,
        0.8140667849713451,
    ]


@given(st.binary(max_size=32), st.lists(st.text(max_size=20), unique=True, max_size=8), st.randoms())
def test_of_a_name_whoever_stands_beside_it(key: bytes, names: list[str], chance: object) -> None:
    """The number of a target is its own: others that join, leave or change places change nothing of it."""
    by_name = dict(zip(names, draws(key, names), strict=True))
    some = [name for name in names if chance.random() < 0.5]  # type: ignore[attr-defined]
    chance.shuffle(some)  # type: ignore[attr-defined]
    assert draws(key, some) == [by_name[name] for name in some]


@given(st.binary(max_size=32), st.text(max_size=20))
def test_never_without_a_logarithm(key: bytes, name: str) -> None:
    """Above 0 and at most 1."""
    (drawn,) = draws(key, [name])
    assert 0 < drawn <= 1


def test_evenly_spread() -> None:
    """In each tenth of the range lies a tenth of them, and two names know nothing of each other."""
    pairs = [draws(str(number).encode(), NAMES[:2]) for number in range(20_000)]
    for tenth in range(10):
        one = [other for this, other in pairs if tenth / 10 < this <= (tenth + 1) / 10]
        assert abs(len(one) - 2000) < 200
        assert abs(sum(one) / len(one) - 0.5) < 0.03
