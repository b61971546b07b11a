"""Meters that are asked together, with all that is the same for every call that they hold for."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from gateway.limits.rules import Meter
from gateway.model import HeldLimit, HeldLimits, LimitKind

TOLD: Final[tuple[LimitKind, ...]] = ("requests", "tokens")
"""Kinds of limits that callers are told of in headers."""

BY_ONE: Final = frozenset[LimitKind]({"requests", "parallel"})
"""Kinds of limits of which a call takes one, whoever answers."""

_KEPT: Final = 1024


class Held(HeldLimits):
    """Meters, each for a target, or for the call as it was asked.

    Attributes:
        targets: Of each meter, "" for the call.
        needs: What a call may use of several things, `(kind, target)`; the first is one of anything.
        asks: Each meter, and at which place of `needs` its amount is.
        corrected: Which meters are corrected when the call has ended, and the kind of each: all but requests.
        owners: Of each meter the target whose use it is for, None for all.
        unenforced: Which only count.
        told: Of each kind in `TOLD` the rate limits.
        watched: Those with thresholds, and the kind of each.
    """

    __slots__ = (
        "asks",
        "corrected",
        "meters",
        "needs",
        "owners",
        "targets",
        "told",
        "unenforced",
        "watched",
    )

    def __init__(self, meters: Sequence[Meter], targets: Sequence[str], *, is_direct: bool = False) -> None:
        """Prepare.

        Args:
            meters: In order.
            targets: Of each, "" for the call as it was asked.
            is_direct: There is but one target, so what it needs is what the call needs.
        """
        super().__init__(
            tuple(
                HeldLimit(meter.rule.id, meter.limit.kind, meter.rule.is_budget, target, meter.limit.amount)
                for meter, target in zip(meters, targets, strict=True)
            )
        )
        self.meters = tuple(meters)
        self.targets = tuple(targets)
        needs: dict[tuple[LimitKind, str], int] = {}
        asks = []
        for meter, target in zip(meters, targets, strict=True):
            kind = meter.limit.kind
            need = (kind, "" if is_direct else target)
            asks.append((meter, 0 if kind in BY_ONE else needs.setdefault(need, len(needs) + 1)))
        self.needs = tuple(needs)
        self.asks = tuple(asks)
        self.corrected = tuple(
            (at, meter.limit.kind) for at, meter in enumerate(meters) if meter.limit.kind != "requests"
        )
        self.owners = tuple(frozenset({target}) if target else None for target in targets)
        self.unenforced = tuple(at for at, meter in enumerate(meters) if not meter.is_enforced)
        self.told = tuple(
            (kind, tuple(at for at, meter in enumerate(meters) if _is_told(meter, kind))) for kind in TOLD
        )
        self.watched = tuple(
            (at, meter.limit.kind) for at, meter in enumerate(meters) if meter.rule.thresholds
        )


def _is_told(meter: Meter, kind: LimitKind) -> bool:
    """Budgets are not told."""
    return meter.limit.kind == kind and not meter.rule.is_budget


NOTHING_HELD: Final = Held((), ())


@lru_cache(maxsize=_KEPT)
def part_of(held: Held, places: tuple[int, ...]) -> Held:
    """Some of what is *held*."""
    return Held([held.meters[at] for at in places], [held.targets[at] for at in places])


@lru_cache(maxsize=_KEPT)
def limits_of(held: HeldLimits, places: tuple[int, ...]) -> HeldLimits:
    """Some of what is *held*, to be told of."""
    return HeldLimits(tuple(held.limits[at] for at in places))
