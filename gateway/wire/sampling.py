"""Consistent probability sampling, as W3C and OpenTelemetry have it. Pure.

A trace id's last seven bytes are its randomness R. A ratio has a rejection threshold T; a trace is sampled
when R >= T, so that everybody who samples by the same rule keeps the same traces, and T, noted in
`tracestate` as `ot=th:..`, tells a backend how many each one stands for.
https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/
"""

from __future__ import annotations

import re
from typing import Final

_RANDOM_BYTES: Final = 7
_BITS: Final = 8 * _RANDOM_BYTES
NEVER: Final = 1 << _BITS
"""The threshold of ratio 0: no trace reaches it."""
_HEX_DIGITS: Final = _BITS // 4
_MAX_MEMBERS: Final = 32
_RANDOM_VALUE: Final = re.compile(r"(?:^|,)\s*ot=(?:[^,]*;)?rv:([0-9a-f]{14})(?=[;,]|$)")
_THRESHOLD: Final = re.compile(r"(?:^|,)\s*ot=(?:[^,]*;)?th:([0-9a-f]{1,14})(?=[;,]|$)")


def threshold(ratio: float) -> int:
    """The least randomness that is sampled at *ratio*; 0 for everything, `NEVER` for nothing."""
    return round((1.0 - ratio) * NEVER)


def randomness(trace_id: bytes, trace_state: str = "") -> int:
    """R of a trace: what its tracestate gives as `ot=rv:`, else of its id."""
    given = _RANDOM_VALUE.search(trace_state)
    return int(given[1], 16) if given else int.from_bytes(trace_id[-_RANDOM_BYTES:], "big")


def threshold_in(trace_state: str) -> int | None:
    """The threshold that a tracestate tells of, None without one."""
    given = _THRESHOLD.search(trace_state)
    return int(given[1].ljust(_HEX_DIGITS, "0"), 16) if given else None


def callers_threshold(trace_id: bytes, trace_state: str) -> int | None:
    """By which a caller that samples its trace chose it; None when it does not say, or cannot have."""
    least = threshold_in(trace_state)
    return least if least is not None and randomness(trace_id, trace_state) >= least else None


def threshold_text(value: int) -> str:
    """A threshold below `NEVER` as `th:` has it: hexadecimal digits, trailing zeros cut."""
    return f"{value:0{_HEX_DIGITS}x}".rstrip("0") or "0"


def with_threshold(trace_state: str, value: int | None) -> str:
    """*trace_state* with `ot=th:` of *value* leftmost; what else its `ot` member says is kept, and others.

    Without a value (the probability is not known) it has no `th`.
    """
    own = [] if value is None else [f"th:{threshold_text(value)}"]
    others = []
    for member in filter(None, (part.strip() for part in trace_state.split(","))):
        if member.startswith("ot="):
            own += [item for item in member[3:].split(";") if item and not item.startswith("th:")]
        else:
            others.append(member)
    if not own:
        return ",".join(others)
    return ",".join([f"ot={';'.join(own)}", *others[: _MAX_MEMBERS - 1]])
