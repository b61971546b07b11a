"""Over which time a limit is counted.

Rate limits have rolling windows, budgets those of the calendar in UTC. Pure: the time comes in.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from gateway.model import PARALLEL

_DAY_S: Final = 86_400
_MONTHS_IN_A_QUARTER: Final = 3
_MONTHS_IN_A_YEAR: Final = 12
# 1 January 1970 was a Thursday, three days after a Monday.
_DAYS_AFTER_MONDAY: Final = 3
_DAYS_IN_A_WEEK: Final = 7


@dataclass(frozen=True, slots=True)
class Window:
    """A kind of window.

    Attributes:
        name: Its length in a word; "" for no time at all.
        rolling_s: Length of a rolling one; 0 for one of the calendar; `PARALLEL` for as long as a call lasts.
    """

    name: str
    rolling_s: int = 0

    def span(self, now_s: float) -> tuple[int, int]:
        """Beginning and end, in Unix time, of the calendar's window with *now_s*; `(0, 0)`: for ever."""
        days = int(now_s // _DAY_S)
        match self.name:
            case "day":
                first, after = days, days + 1
            case "week":
                first = days - (days + _DAYS_AFTER_MONDAY) % _DAYS_IN_A_WEEK
                after = first + _DAYS_IN_A_WEEK
            case "month":
                return _months(now_s, 1)
            case "quarter":
                return _months(now_s, _MONTHS_IN_A_QUARTER)
            case _:
                return 0, 0
        return first * _DAY_S, after * _DAY_S


def _months(now_s: float, length: int) -> tuple[int, int]:
    today = datetime.fromtimestamp(now_s, UTC)
    first = today.year * _MONTHS_IN_A_YEAR + (today.month - 1) // length * length
    return _month_start(first), _month_start(first + length)


def _month_start(months: int) -> int:
    year, month = divmod(months, _MONTHS_IN_A_YEAR)
    return int(datetime(year, month + 1, 1, tzinfo=UTC).timestamp())


PARALLEL_WINDOW: Final = Window("", PARALLEL)
ROLLING: Final = MappingProxyType(
    {name: Window(name, seconds) for name, seconds in (("minute", 60), ("hour", 3_600), ("day", _DAY_S))}
)
CALENDAR: Final = MappingProxyType(
    {name: Window(name) for name in ("day", "week", "month", "quarter", "lifetime")}
)
