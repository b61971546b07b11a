"""What a caller is told of its limits with every answer: `x-ratelimit-*`.

That is `limit`, `remaining` and `reset`, of `requests` and of `tokens`. Names and the way durations are
written are OpenAI's:
https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, inf
from typing import Final

from gateway.limits.held import REMAINING, TOLD, Held
from gateway.model import HeaderPairs, LimitKind, LimitNote, LimitsSaid

_NAMES: Final = {
    kind: (f"x-ratelimit-limit-{kind}".encode(), f"x-ratelimit-reset-{kind}".encode()) for kind in TOLD
}
_MOST: Final = 1 << 62
"""More than is left of any limit."""

_MS_PER_S: Final = 1000
_MS_PER_MINUTE: Final = 60_000
_S_PER_MINUTE: Final = 60
_MINUTES_PER_HOUR: Final = 60


def limit_headers(notes: Sequence[LimitNote]) -> HeaderPairs:
    """Of each kind the rate limit with the least left; budgets and limits that only watch are not told."""
    least: dict[LimitKind, LimitNote] = {}
    for note in notes:
        kind = note.kind
        if note.is_budget or kind not in TOLD or not note.is_enforced:
            continue
        other = least.get(kind)
        if other is None or (other.outcome != "refused" and _is_less(note, other)):
            least[kind] = note
    headers: HeaderPairs = []
    for kind, note in least.items():
        headers += _told(kind, note.limit, note.reset_s)
        headers.append((REMAINING[kind], b"%d" % max(0, note.limit - note.used)))
    return headers


def headers_of(held: Held, said: LimitsSaid) -> HeaderPairs:
    """The same of a call for which limits were asked once, and had room."""
    decision = said.decision
    used, second = decision.used, int(decision.at_s)
    headers: HeaderPairs = []
    for told in held.told:
        which, least = -1, _MOST
        for at, limit in told.each:
            left = limit - used[at]
            if left < least:
                which, least = at, left
        if told.which != which or told.second != second:
            reset_s = said.charges[which].reset_s(decision.at_s)
            told.which, told.second = which, second
            told.headers = _told(told.kind, held.amounts[which], reset_s)
        headers += told.headers
        # Who takes nothing is let in by a limit of which more than all is used.
        headers.append((told.remaining, b"%d" % max(0, least)))
    return headers


def _told(kind: LimitKind, limit: int, reset_s: float) -> HeaderPairs:
    """All but what is left."""
    limit_name, reset_name = _NAMES[kind]
    if reset_s == inf:
        return [(limit_name, b"%d" % limit)]
    return [(limit_name, b"%d" % limit), (reset_name, format_duration(reset_s))]


def _is_less(note: LimitNote, other: LimitNote) -> bool:
    """Whether *note* is to be told in place of *other*."""
    return note.outcome == "refused" or note.limit - note.used < other.limit - other.used


def format_duration(seconds: float) -> bytes:
    """Such as `1s`, `6m0s`, `20ms`, rounded up to the millisecond; to the second from a minute on."""
    whole_ms = ceil(seconds * _MS_PER_S) if seconds > 0 else 0
    if whole_ms < _MS_PER_MINUTE:
        return b"%gs" % (whole_ms / _MS_PER_S) if whole_ms >= _MS_PER_S else b"%dms" % whole_ms
    minutes, rest_s = divmod(-(-whole_ms // _MS_PER_S), _S_PER_MINUTE)
    if minutes < _MINUTES_PER_HOUR:
        return b"%dm%ds" % (minutes, rest_s)
    return b"%dh%dm%ds" % (*divmod(minutes, _MINUTES_PER_HOUR), rest_s)
