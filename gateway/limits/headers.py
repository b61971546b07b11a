"""What a caller is told of its limits with every answer: `x-ratelimit-*`.

That is `limit`, `remaining` and `reset`, of `requests` and of `tokens`. Names and the way durations are
written are OpenAI's:
https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, isfinite
from typing import Final

from gateway.limits.held import TOLD, Held
from gateway.model import HeaderPairs, LimitKind, LimitNote, LimitsSaid

_NAMES: Final = {
    kind: tuple(f"x-ratelimit-{what}-{kind}".encode() for what in ("limit", "remaining", "reset"))
    for kind in TOLD
}
_MS_PER_S: Final = 1000
_MS_PER_MINUTE: Final = 60_000


def limit_headers(notes: Sequence[LimitNote]) -> HeaderPairs:
    """Of each kind the rate limit with the least left; budgets and limits that only watch are not told."""
    least: dict[LimitKind, LimitNote] = {}
    for note in notes:
        kind = note.kind
        if note.is_budget or kind not in TOLD or note.outcome == "exceeded":
            continue
        other = least.get(kind)
        if other is None or (other.outcome != "refused" and _is_less(note, other)):
            least[kind] = note
    headers: HeaderPairs = []
    for kind, note in least.items():
        headers += _told(kind, note.limit, max(0, note.limit - note.used), note.reset_s)
    return headers


def headers_of(held: Held, said: LimitsSaid) -> HeaderPairs:
    """The same of a call for which limits were asked once."""
    decision = said.decision
    if decision.refused is not None:
        return limit_headers(said.notes())
    used, limits = decision.used, held.limits
    headers: HeaderPairs = []
    for kind, places in held.told:
        least, told = -1, -1
        for at in places:
            left = limits[at].limit - used[at]
            if left >= 0 and (told < 0 or left < least):
                least, told = left, at
        if told >= 0:
            reset_s = said.charges[told].reset_s(decision.at_s)
            headers += _told(kind, limits[told].limit, least, reset_s)
    return headers


def _told(kind: LimitKind, limit: int, left: int, reset_s: float) -> HeaderPairs:
    limit_name, remaining_name, reset_name = _NAMES[kind]
    if not isfinite(reset_s):
        return [(limit_name, b"%d" % limit), (remaining_name, b"%d" % left)]
    reset = format_duration(reset_s)
    return [(limit_name, b"%d" % limit), (remaining_name, b"%d" % left), (reset_name, reset)]


def _is_less(note: LimitNote, other: LimitNote) -> bool:
    """Whether *note* is to be told in place of *other*."""
    return note.outcome == "refused" or note.limit - note.used < other.limit - other.used


def format_duration(seconds: float) -> bytes:
    """Such as `1s`, `6m0s`, `20ms`, rounded up to the millisecond; to the second from a minute on."""
    whole_ms = ceil(max(0.0, seconds) * _MS_PER_S)
    if whole_ms < _MS_PER_S:
        return b"%dms" % whole_ms
    if whole_ms < _MS_PER_MINUTE:
        return f"{whole_ms / _MS_PER_S:g}s".encode()
    minutes, rest_ms = divmod(whole_ms, _MS_PER_MINUTE)
    rest_s = ceil(rest_ms / _MS_PER_S)
    if rest_s == _MS_PER_MINUTE // _MS_PER_S:
        minutes, rest_s = minutes + 1, 0
    hours, minutes = divmod(minutes, 60)
    return b"%dh%dm%ds" % (hours, minutes, rest_s) if hours else b"%dm%ds" % (minutes, rest_s)
