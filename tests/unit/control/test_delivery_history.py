"""What each destination took in the last minutes."""

from __future__ import annotations

from typing import Any

from gateway.control.delivery_history import EVERY_S, KEPT, DeliveryHistory


def ledger(
    exported: int, name: str = "elastic", signal: str = "traces", created: int | None = None
) -> dict[str, Any]:
    return {
        "name": name,
        "signal": signal,
        "ledger": {"created": exported if created is None else created, "exported": exported},
    }


def taken(history: DeliveryHistory) -> list[int]:
    (found,) = history.report()["destinations"]
    values: list[int] = found["exported"]
    return values


def test_it_keeps_differences() -> None:
    """What was taken before the start is no burst."""
    history = DeliveryHistory()
    for step, exported in enumerate((100, 130, 130, 190)):
        history.note([ledger(exported)], step * EVERY_S)
    assert taken(history) == [0, 30, 0, 60]


def test_what_is_sent_again_counts_once() -> None:
    """A change of filters takes back what was delivered of a frame, until it is sent again."""
    history = DeliveryHistory()
    for step, exported in enumerate((10, 15, 10, 13, 20)):
        history.note([ledger(exported, created=30)], step * EVERY_S)
    assert taken(history) == [0, 5, 0, 0, 5]


def test_more_often_changes_nothing() -> None:
    """One value in each five seconds."""
    history = DeliveryHistory()
    for second in range(11):
        history.note([ledger(second)], float(second))
    assert taken(history) == [0, 5, 5]


def test_it_has_a_bound_and_forgets_what_is_gone() -> None:
    """Ten minutes of what is configured now."""
    history = DeliveryHistory()
    for step in range(KEPT + 5):
        history.note([ledger(step), ledger(0, "old")], step * EVERY_S)
    history.note([ledger(KEPT + 6)], (KEPT + 5) * EVERY_S)
    assert len(taken(history)) == KEPT
    assert taken(history)[-1] == 2


def test_counts_that_begin_anew_are_no_negative_number() -> None:
    """As after a ledger was removed by hand."""
    history = DeliveryHistory()
    history.note([ledger(50)], 0.0)
    history.note([ledger(3)], EVERY_S)
    assert taken(history) == [0, 0]
