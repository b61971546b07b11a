"""What a caller is told of the configurations that decided on its call: `x-tfy-applied-configurations`.

Pure. Today that is the route of a name with several targets. The name is TrueFoundry's, who say of the
value no more than that it is a dictionary.
"""

from __future__ import annotations

import json
from typing import Final

import msgspec

from gateway.model import Plan, RouteFacts, Skipped
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


def applied_configurations(trace: CallTrace) -> bytes | None:
    """The header's value, in ASCII and at most `MAX_BYTES` of it; None for a model that was named itself."""
    plan = trace.plan
    if plan is None or plan.route is None:
        return None
    for length in _LENGTHS:
        value = _encode(_routing(plan, plan.route, trace, length))
        if len(value) <= MAX_BYTES:
            break
    return value


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


def _encode(routing: _Routing) -> bytes:
    value = msgspec.json.encode({"routing": routing})
    if value.isascii() and _DELETE not in value:
        return value
    # A header is read as Latin-1, if at all.
    escaped = json.dumps(json.loads(value), separators=(",", ":"))
    return escaped.encode().replace(_DELETE, b"\\u007f")
