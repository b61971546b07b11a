"""Who was not let in, counted."""

from __future__ import annotations

from gateway.control.sign_in.refusals import MOST, OTHERS, WINDOW_S, Refusal, Refusals


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_the_first_is_told_at_once_and_the_rest_in_number() -> None:
    """Of each kind, address and user; then a window is over, and another begins."""
    clock = Clock()
    refusals = Refusals(clock)
    for _ in range(5):
        refusals.note("sign_in.failed", "192.0.2.1", "ada")
    refusals.note("sign_in.locked", "192.0.2.1", "ada")
    first = [
        Refusal("sign_in.failed", "192.0.2.1", "ada", 1),
        Refusal("sign_in.locked", "192.0.2.1", "ada", 1),
    ]
    assert refusals.due() == first
    assert refusals.due() == []
    clock.now_s = WINDOW_S
    assert refusals.due() == [Refusal("sign_in.failed", "192.0.2.1", "ada", 4)]
    refusals.note("sign_in.failed", "192.0.2.1", "ada")
    assert refusals.due() == first[:1]
    clock.now_s = 2 * WINDOW_S
    assert refusals.due() == []


def test_many_addresses_are_no_flood() -> None:
    """Beyond a number they are counted together, and nobody is lost."""
    clock = Clock()
    refusals = Refusals(clock)
    for number in range(10_000):
        refusals.note("token.refused", f"192.0.2.{number}")
    at_once = refusals.due()
    clock.now_s = WINDOW_S
    (others,) = refusals.due()
    assert len(at_once) == MOST
    assert others == Refusal("token.refused", OTHERS, "", 10_000 - MOST)


def test_an_end_leaves_nothing() -> None:
    """What was counted and not told, and what was not told yet."""
    refusals = Refusals(Clock())
    for _ in range(3):
        refusals.note("token.locked", "192.0.2.1")
    assert [one.count for one in refusals.rest()] == [1, 2]
    assert refusals.rest() == []
