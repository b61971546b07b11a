"""How the control API shows what a counter has, and for whom."""

from __future__ import annotations

from typing import Any, Final

from gateway.limits.readings import Reading
from gateway.limits.rules import MICRO_USD, Meter
from gateway.model import Caller, LimitKind
from gateway.tracestore.timestamps import format_rfc3339

_NS_PER_S: Final = 1_000_000_000
_DECIMALS: Final = 6


def caller_json(caller: Caller) -> dict[str, Any]:
    """Who calls, as answers show it."""
    return {"kind": caller.kind, "name": caller.name, "teams": list(caller.teams)}


def row_of(reading: Reading) -> dict[str, Any]:
    """One limit of a rule, for one of those that it counts for."""
    meter = reading.meter
    rule, kind, most = meter.rule, meter.limit.kind, meter.limit.amount
    return {
        "rule": rule.id,
        "type": rule.source,
        "team": rule.when.team or None,
        "mode": rule.mode,
        "entity": entity_of(meter),
        "unit": meter.limit.name,
        "limit": in_units(kind, most),
        "used": in_units(kind, reading.used),
        "left": in_units(kind, max(0, most - reading.used)),
        "percentage": round(reading.percentage, 2),
        "start": time_of(reading.begin_s),
        "end": time_of(reading.end_s),
        "resets_at": time_of(reading.resets_at_s),
    }


def entity_of(meter: Meter) -> dict[str, str] | None:
    """For whom it counts, by what the rule counts apart; None where that is all together."""
    return dict(zip(meter.rule.per, meter.entity, strict=True)) or None


def in_units(kind: LimitKind, amount: int) -> float:
    """Requests, tokens, or USD."""
    return round(amount / MICRO_USD, _DECIMALS) if kind == "cost" else amount


def time_of(at_s: float | None) -> str | None:
    """As the API writes times."""
    return None if at_s is None else format_rfc3339(round(at_s * _NS_PER_S))
