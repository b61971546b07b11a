"""What a caller is told of the configurations that decided on its call: `x-tfy-applied-configurations`.

Pure. That is the route of a name with several targets, and the limits and budgets that hold for the call. The
name is TrueFoundry's, who say of the value no more than that it is a dictionary.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

import msgspec

from gateway.model import LimitKind, LimitNote, Plan, RouteFacts, Skipped
from gateway.telemetry.call_trace import CallTrace

MAX_BYTES: Final = 4096
_MAX_CHARACTERS: Final = 128
_LENGTHS: Final = (64, 32, 16, 8, 4, 2, 1, 0)
"""How much of each list is told, the first of these that fits."""

_DELETE: Final = b"\x7f"


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
    plan = trace.plan
    route = None if plan is None else plan.route
    notes = () if trace.permit is None else trace.permit.notes
    if route is None and not notes:
        return None
    for length in _LENGTHS:
        routing = None if plan is None or route is None else _routing(plan, route, trace, length)
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


def _limits(notes: Sequence[LimitNote], length: int) -> tuple[_Limit, ...]:
    """Those that refuse first, so that they are told in any case."""
    ordered = sorted(notes, key=lambda note: note.outcome != "refused")
    return tuple(
        [
            _Limit(note.rule[:_MAX_CHARACTERS], note.kind, note.outcome, note.limit, note.used, note.target)
            for note in ordered[:length]
        ]
    )


def _routing(plan: Plan, route: RouteFacts, trace: CallTrace, length: int) -> _Routing:
    name = route.name[:_MAX_CHARACTERS]
    skipped = (*plan.skipped, *trace.skips)
    return _Routing(
        name=name,
        type=route.strategy,
        rule_id=name if route.is_rule else "",
        tier=route.tier,
        cause=route.cause,
        candidates=plan.candidates[:length],
        order=tuple([target.name for target in plan.targets[:length]]),
        skipped=skipped[:length],
        attempts=len(trace.attempts),
        is_cut=max(len(plan.candidates), len(skipped)) > length or len(route.name) > _MAX_CHARACTERS,
    )


def _encode(applied: _Applied) -> bytes:
    value = msgspec.json.encode(applied)
    if value.isascii() and _DELETE not in value:
        return value
    # A header is read as Latin-1, if at all.
    escaped = json.dumps(json.loads(value), separators=(",", ":"))
    return escaped.encode().replace(_DELETE, b"\\u007f")
