"""Meters that are asked together, with all that is the same for every call that they hold for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import inf
from operator import itemgetter
from typing import Final, Protocol

from gateway.limits.rules import Meter
from gateway.model import Charges, CounterGroup, HeaderPairs, HeldLimit, HeldLimits, LimitKind, Target

TOLD: Final[tuple[LimitKind, ...]] = ("requests", "tokens")
"""Kinds of limits that callers are told of in headers."""

REMAINING: Final = {kind: f"x-ratelimit-remaining-{kind}".encode() for kind in TOLD}

BY_ONE: Final = frozenset[LimitKind]({"requests", "parallel"})
"""Kinds of limits of which a call takes one, whoever answers."""

_KEPT: Final = 1024

_NEVER: Final = 1 << 62
"""More than is ever counted."""

_FEW: Final = 1_000
"""Places, of which none is ever far from the last."""

_FAR: Final = 8
"""A limit of which this part is not used up is far away."""


class Need(Protocol):
    """What a call may use."""

    @property
    def is_unread(self) -> bool:
        """It takes long to tell, so it is to be read before an amount is asked for."""

    async def read(self) -> None:
        """Look through the call."""

    def amount(self, kind: LimitKind, target: str) -> int:
        """Most of it, at *target*; "" for whichever it will be."""

    def input_tokens(self, target: Target) -> int | None:
        """Those of its input at *target*, None where nobody has looked."""


def _picks(places: Sequence[int]) -> Callable[[Sequence[int]], tuple[int, ...]]:
    """What picks these of several figures, without a step of Python's for each."""
    if len(places) > 1:
        return itemgetter(*places)
    return lambda figures: tuple([figures[at] for at in places])


class Told:
    """The rate limits of one kind, of which the one with the least left is told.

    Attributes:
        each: Which meters these are, and the limit of each.
        remaining: Name of the header that says what is left.
        headers: What else was told last; it holds for the meter `which` all through the `second`, since the
            windows of rates end with a whole one.
    """

    __slots__ = ("each", "headers", "kind", "remaining", "second", "which")

    def __init__(self, kind: LimitKind, meters: Sequence[Meter], places: Sequence[int]) -> None:
        self.kind = kind
        self.each = tuple((at, meters[at].limit.amount) for at in places)
        self.remaining = REMAINING[kind]
        self.which = -1
        self.second = 0
        self.headers: HeaderPairs = []


class Held(HeldLimits):
    """Meters, each for a target, or for the call as it was asked.

    Attributes:
        amounts: Of each meter what its limit is.
        far: Of each meter up to where its limit is far away when a call comes, so that what this gives back
            late is in nobody's way. Of requests nothing is given back.
        targets: Of each meter, "" for the call.
        needs: What a call may use of several things, `(kind, target)`; the first is one of anything.
        corrected: Which meters are corrected when the call has ended, and the kind of each: all but requests.
        needs_at: Of what is needed the kind, and a meter that it is asked of.
        changes_of: Picks for each meter that is corrected what changes of it, out of what changes of one of
            anything and of what is needed.
        owners: Of each meter the target whose use it is for, None for all.
        unenforced: Which only count.
        told: Of each kind in `TOLD` that has some, its rate limits.
        watched: Those with thresholds, and the kind of each.
    """

    __slots__ = (
        "_amounts_of",
        "_group",
        "_since_s",
        "_until_s",
        "amounts",
        "changes_of",
        "corrected",
        "far",
        "meters",
        "needs",
        "needs_at",
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
                HeldLimit(
                    meter.rule.id,
                    meter.limit.kind,
                    meter.rule.is_budget,
                    target,
                    meter.limit.amount,
                    meter.is_enforced,
                )
                for meter, target in zip(meters, targets, strict=True)
            )
        )
        self.meters = tuple(meters)
        self.amounts = tuple(meter.limit.amount for meter in meters)
        self.far = tuple(map(_far, meters))
        self.targets = tuple(targets)
        needs: dict[tuple[LimitKind, str], int] = {}
        places = []
        for meter, target in zip(meters, targets, strict=True):
            kind = meter.limit.kind
            need = (kind, "" if is_direct else target)
            places.append(0 if kind in BY_ONE else needs.setdefault(need, len(needs) + 1))
        self.needs = tuple(needs)
        self._amounts_of = _picks(places)
        self.owners = tuple(frozenset({target}) if target else None for target in targets)
        self.corrected = tuple(
            (at, meter.limit.kind) for at, meter in enumerate(meters) if meter.limit.kind != "requests"
        )
        self.needs_at = tuple((kind, places.index(at)) for at, (kind, _) in enumerate(self.needs, 1))
        self.changes_of = _picks([places[at] for at, _ in self.corrected])
        self.unenforced = tuple(at for at, meter in enumerate(meters) if not meter.is_enforced)
        told = {kind: [at for at, meter in enumerate(meters) if _is_told(meter, kind)] for kind in TOLD}
        self.told = tuple(Told(kind, meters, places) for kind, places in told.items() if places)
        self.watched = tuple(
            (at, meter.limit.kind) for at, meter in enumerate(meters) if meter.rule.thresholds
        )
        self._group = CounterGroup(())
        self._since_s = inf
        self._until_s = -inf

    def charges(self, need: Need, now_s: float) -> Charges:
        """What a call takes of each meter that may use what it has *need* of."""
        if not self._since_s <= now_s < self._until_s:
            self._begin_windows(now_s)
        amounts = [1]
        for kind, target in self.needs:
            amounts.append(need.amount(kind, target))
        return Charges(self._group, self._amounts_of(amounts))

    def _begin_windows(self, now_s: float) -> None:
        settled = [at for at, _ in self.corrected]
        self._group = CounterGroup([meter.charge(0, now_s) for meter in self.meters], settled)
        windows = [meter.window for meter in self.meters]
        # As floats they are compared with the time faster.
        self._since_s = float(max([begin for begin, _ in windows], default=-inf))
        self._until_s = float(min([end for _, end in windows if end], default=inf))


def _far(meter: Meter) -> int:
    limit = meter.limit
    if limit.kind == "requests":
        return _NEVER
    # While a call has its place others come, and take the rest of a few.
    return 0 if limit.kind == "parallel" and limit.amount <= _FEW else limit.amount // _FAR


def _is_told(meter: Meter, kind: LimitKind) -> bool:
    """Budgets are not told, and neither is what only watches: nobody has to slow down for it."""
    return meter.limit.kind == kind and meter.is_enforced and not meter.rule.is_budget


NOTHING_HELD: Final = Held((), ())


@lru_cache(maxsize=_KEPT)
def part_of(held: Held, places: tuple[int, ...]) -> Held:
    """Some of what is *held*."""
    return Held([held.meters[at] for at in places], [held.targets[at] for at in places])


@lru_cache(maxsize=_KEPT)
def limits_of(held: HeldLimits, places: tuple[int, ...]) -> HeldLimits:
    """Some of what is *held*, to be told of."""
    return HeldLimits(tuple(held.limits[at] for at in places))
