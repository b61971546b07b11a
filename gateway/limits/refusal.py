"""How a caller is told that a limit is used up."""

from __future__ import annotations

from math import ceil, isfinite
from typing import Final

from gateway.errors import BudgetExceeded, GatewayError, LimitsUnavailable, RateLimitExceeded
from gateway.limits.rules import MICRO_USD, Meter
from gateway.model import LimitKind

_S_PER_HOUR: Final = 3_600
_S_PER_DAY: Final = 86_400
_HOURS_S: Final = 2 * _S_PER_HOUR
_LONG_S: Final = 2 * _S_PER_DAY
_UNITS: Final[dict[LimitKind, str]] = {
    "requests": "requests",
    "tokens": "tokens",
    "cost": "USD",
    "parallel": "parallel requests",
}
NO_RETRY: Final = ("x-should-retry", "false")
"""What keeps SDKs from sending a call again by themselves."""


def refusal_of(meter: Meter, amount: int, used: int, reset_s: float, *, budget_status: int) -> GatewayError:
    """What a call is refused with.

    Args:
        meter: The limit in the way.
        amount: What the call needs of it, 0 for one that was admitted and has used up what was left. Of 1 no
            number is told: so much is asked for where nothing is known.
        used: What is counted there without it.
        reset_s: Seconds until there is room, `math.inf` for never.
        budget_status: Of a refusal by a budget.
    """
    rule, limit = meter.rule, meter.limit
    what = "The budget" if rule.is_budget else "The rate limit"
    allowed = f'{what} "{rule.id}" allows {_amount(limit.kind, limit.amount)}{_within(limit.window.name)}'
    left = _amount(limit.kind, max(0, limit.amount - used))
    need = f", and this call may need {_amount(limit.kind, amount)}" if amount > 1 else ""
    message = f"{allowed}: {left} left{need}. {_when(meter, amount, reset_s)}"
    headers: list[tuple[str, str]] = []
    if isfinite(reset_s):
        headers.append(("retry-after", str(max(1, ceil(reset_s)))))
    if rule.is_budget:
        return BudgetExceeded(message, status=budget_status, headers=(*headers, NO_RETRY))
    if amount > limit.amount:
        headers.append(NO_RETRY)
    return RateLimitExceeded(message, headers=tuple(headers))


def unknown_refusal(meter: Meter, reset_s: float) -> GatewayError:
    """What a call is refused with of which nobody can say whether *meter* has room, for *reset_s* seconds."""
    what = "budget" if meter.rule.is_budget else "rate limit"
    message = (
        f'The {what} "{meter.rule.id}" cannot be checked: what it counts is out of reach. Send it again.'
    )
    return LimitsUnavailable(message, headers=(("retry-after", str(max(1, ceil(reset_s)))),))


def _amount(kind: LimitKind, amount: int) -> str:
    """An *amount* with its unit."""
    return f"{amount / MICRO_USD:.6g} USD" if kind == "cost" else f"{amount} {_UNITS[kind]}"


def _within(window: str) -> str:
    if window == "lifetime":
        return " in all"
    return f" per {window}" if window else ""


def _when(meter: Meter, amount: int, reset_s: float) -> str:
    if not meter.limit.amount:
        return "It lets none of these calls through: whoever owns it can raise it."
    if amount > meter.limit.amount:
        return "It never has room for that much: ask for less."
    if meter.limit.kind == "parallel":
        return "Send it again when another of these calls has ended."
    if not isfinite(reset_s):
        return "It does not reset: whoever owns it can raise it."
    return f"There is room in {_duration(reset_s)}."


def _duration(seconds: float) -> str:
    if seconds >= _LONG_S:
        return f"{seconds / _S_PER_DAY:.1f} days"
    if seconds >= _HOURS_S:
        return f"{seconds / _S_PER_HOUR:.1f} hours"
    return f"{max(1, ceil(seconds))} s"
