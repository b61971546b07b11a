"""What a caller is told of the configurations that decided on its call: `x-tfy-applied-configurations`.

Pure. That is the route of a name with several targets, and the limits and budgets that hold for the call. The
name is TrueFoundry's, who say of the value no more than that it is a dictionary.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Final

import msgspec

from gateway.model import HeldLimits, LimitKind, LimitNote, LimitsSaid, Plan, RouteFacts, Skipped
from gateway.telemetry.call_trace import CallTrace

MAX_BYTES: Final = 4096
_MAX_CHARACTERS: Final = 128
_LENGTHS: Final = (64, 32, 16, 8, 4, 2, 1, 0)
"""How much of each list is told, the first of these that fits."""

_KEPT: Final = 1024
_NO_FIGURE: Final = 0
_USED: Final = b',"used":%d' % _NO_FIGURE
"""Where the figure of a limit is; within a text its quotes would be escaped."""

_DELETE: Final = b"\x7f"
_name_of: Final = attrgetter("name")


class _Routing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """As the header has it.

    Attributes:
        name: Of the virtual model, or the rule's id.
        type: How it chose.
        rule_id: Of a rule.
        tier: Of a route by complexity, and by what `cause` it was found.
        order: In which order targets are tried; of `candidates` it is that of the configuration.
        attempts: Begun until now.
        is_cut: Something was left out.
    """

    name: str
    type: str
    rule_id: str = ""
    tier: str = ""
    cause: str = ""
    candidates: tuple[str, ...]
    order: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    attempts: int
    is_cut: bool = False


class _Limit(msgspec.Struct, frozen=True, omit_defaults=True):
    """As the header has it.

    Attributes:
        id: The rule's.
        target: Whom it was asked for, absent for the call as it was asked.
    """

    id: str
    type: LimitKind
    outcome: str
    limit: int
    used: int
    target: str = ""


class _Applied(msgspec.Struct, frozen=True, omit_defaults=True):
    """The whole value."""

    rate_limits: tuple[_Limit, ...] = ()
    budgets: tuple[_Limit, ...] = ()
    routing: _Routing | None = None


def applied_configurations(trace: CallTrace) -> bytes | None:
    """The header's value, in ASCII and at most `MAX_BYTES` of it.

    Returns:
        None for a model that was named itself and that no limit holds for.
    """
    plan, permit = trace.plan, trace.permit
    route = None if plan is None else plan.route
    said = () if permit is None else permit.said
    if route is None and not said:
        return None
    value = _usual_value(trace, said)
    if value is not None and len(value) <= MAX_BYTES:
        return value
    notes = [note for each in said for note in each.notes()]
    for length in _LENGTHS:
        routing = None if plan is None or route is None else _routing(trace, plan, route, length)
        value = _encode(
            _Applied(
                _limits([note for note in notes if not note.is_budget], length),
                _limits([note for note in notes if note.is_budget], length),
                routing,
            )
        )
        if len(value) <= MAX_BYTES:
            break
    return value


def _usual_value(trace: CallTrace, said: Sequence[LimitsSaid]) -> bytes | None:
    """The value of a call that was admitted at once, of which little is new; None of another."""
    if len(said) > 1 or (said and said[0].decision.refused is not None):
        return None
    limited = b""
    if said:
        one = said[0]
        form, places = _form(one.held, one.without_room)
        used = one.decision.used
        limited = form % (tuple(used) if places is None else tuple([used[at] for at in places]))
    plan = trace.plan
    if plan is None or plan.route is None:
        return b"{%b}" % limited
    order = tuple(map(_name_of, plan.targets))
    skipped = (*plan.skipped, *trace.skips) if trace.skips else plan.skipped
    routed = _routing_part(plan.route, plan.candidates, order, skipped, len(trace.attempts))
    return b"{%b,%b}" % (limited, routed) if limited else b"{%b}" % routed


@lru_cache(maxsize=_KEPT)
def _form(held: HeldLimits, without_room: tuple[int, ...]) -> tuple[bytes, tuple[int, ...] | None]:
    """How limits are told, with `%d` for what is used of each, and which limit that is.

    None is for all of them in order, as it is where budgets come last.
    """
    lists = []
    places = []
    for name, is_budget in (("rate_limits", False), ("budgets", True)):
        told = []
        for at, limit in enumerate(held.limits):
            if limit.is_budget is is_budget:
                outcome = "exceeded" if at in without_room else "allowed"
                shown = _Limit(
                    limit.rule[:_MAX_CHARACTERS], limit.kind, outcome, limit.limit, _NO_FIGURE, limit.target
                )
                told.append(b',"used":%d'.join(_encode(shown).replace(b"%", b"%%").split(_USED, 1)))
                places.append(at)
        if told:
            lists.append(b'"%b":[%b]' % (name.encode(), b",".join(told)))
    is_in_order = places == list(range(len(held.limits)))
    return b",".join(lists), None if is_in_order else tuple(places)


@lru_cache(maxsize=_KEPT)
def _routing_part(
    route: RouteFacts,
    candidates: tuple[str, ...],
    order: tuple[str, ...],
    skipped: tuple[Skipped, ...],
    attempts: int,
) -> bytes:
    """The member `routing`."""
    told = _told_route(route, candidates, order, skipped, attempts, _LENGTHS[0])
    return b'"routing":' + _encode(told)


def _limits(notes: Sequence[LimitNote], length: int) -> tuple[_Limit, ...]:
    """Those that refuse first, so that they are told in any case."""
    ordered = sorted(notes, key=lambda note: note.outcome != "refused")
    return tuple(
        [
            _Limit(note.rule[:_MAX_CHARACTERS], note.kind, note.outcome, note.limit, note.used, note.target)
            for note in ordered[:length]
        ]
    )


def _routing(trace: CallTrace, plan: Plan, route: RouteFacts, length: int) -> _Routing:
    order = tuple([target.name for target in plan.targets])
    skipped = (*plan.skipped, *trace.skips)
    return _told_route(route, plan.candidates, order, skipped, len(trace.attempts), length)


def _told_route(
    route: RouteFacts,
    candidates: tuple[str, ...],
    order: tuple[str, ...],
    skipped: tuple[Skipped, ...],
    attempts: int,
    length: int,
) -> _Routing:
    """What is told of a *route*, of each list so many."""
    name = route.name[:_MAX_CHARACTERS]
    return _Routing(
        name=name,
        type=route.strategy,
        rule_id=name if route.is_rule else "",
        tier=route.tier,
        cause=route.cause,
        candidates=candidates[:length],
        order=order[:length],
        skipped=skipped[:length],
        attempts=attempts,
        is_cut=max(len(candidates), len(skipped)) > length or len(route.name) > _MAX_CHARACTERS,
    )


def _encode(told: msgspec.Struct) -> bytes:
    value = msgspec.json.encode(told)
    if value.isascii() and _DELETE not in value:
        return value
    # A header is read as Latin-1, if at all.
    escaped = json.dumps(json.loads(value), separators=(",", ":"))
    return escaped.encode().replace(_DELETE, b"\\u007f")
