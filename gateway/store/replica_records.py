"""What replicas of the gateway tell each other, whatever it is about and by whatever way."""

from __future__ import annotations

import msgspec


class ReplicasAwayError(Exception):
    """Nothing could be exchanged; the message says why, without what is secret in an address."""


class Record(msgspec.Struct, frozen=True):
    """One thing that replicas tell each other.

    Attributes:
        field: What it is about; letters, digits and colons.
        order: Of two of one field the one with the higher stands: microseconds of the common clock.
        value: ASCII.
        keep_s: How long it is of use.
    """

    field: str
    order: int
    value: str
    keep_s: float = 60.0


class Heard(msgspec.Struct, frozen=True):
    """What one exchange brought.

    Attributes:
        ahead_s: How far the common clock is ahead of ours; off by half of *took_s* at most.
        took_s: How long the exchange took.
        is_new: Nothing of what was told before is known there.
        records: What others, or we ourselves, have told since the exchange before.
    """

    ahead_s: float
    took_s: float
    is_new: bool
    records: tuple[Record, ...]
