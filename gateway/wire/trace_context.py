"""W3C Trace Context: reading a caller's headers, writing ours.

Rules: https://www.w3.org/TR/trace-context-2/ . A header that breaks them counts as absent and a new trace
begins, its `tracestate` dropped with it, as the specification asks.
"""

from __future__ import annotations

import re
from typing import Final

from gateway.model import TraceContext

SAMPLED: Final = 0x01
RANDOM: Final = 0x02
"""The trace id is random, so that others may sample by it; ours are."""
_KNOWN_FLAGS: Final = SAMPLED | RANDOM
"""The specification asks that others be set to zero by whoever continues a trace."""

_PARENT: Final = re.compile(r"[ \t]*([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?[ \t]*")
_FLAGS: Final = tuple(f"{flags:02x}" for flags in range(256))
_NO_TRACE: Final = "0" * 32
_NO_SPAN: Final = "0" * 16
_MEMBER: Final = (
    r"[a-z0-9][a-z0-9_\-*/@]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
_STATE: Final = re.compile(f"{_MEMBER}(?:,{_MEMBER})*")
_MAX_STATE_MEMBERS: Final = 32
_MAX_STATE_CHARACTERS: Final = 8192


def parse_trace_context(parents: list[str], states: list[str]) -> TraceContext | None:
    """The caller's context, None when there is none or it is malformed.

    Args:
        parents: Every `traceparent` header; more than one is malformed.
        states: Every `tracestate` header, joined in order.
    """
    if len(parents) != 1:
        return None
    found = _PARENT.fullmatch(parents[0])
    if found is None:
        return None
    version, trace_id, span_id, flags, rest = found.groups()
    if version == "ff" or (version == "00" and rest) or trace_id == _NO_TRACE or span_id == _NO_SPAN:
        return None
    known = int(flags, 16) & _KNOWN_FLAGS
    return TraceContext(bytes.fromhex(trace_id), bytes.fromhex(span_id), known, _join_states(states))


def format_traceparent(trace_id: bytes, span_id: bytes, flags: int) -> str:
    """The header for a span of ours."""
    return f"00-{trace_id.hex()}-{span_id.hex()}-{_FLAGS[flags]}"


def _join_states(states: list[str]) -> str:
    """The members in order, "" for none and where one breaks the rules: then all are dropped."""
    members = [member.strip(" \t") for state in states for member in state.split(",")]
    joined = ",".join([member for member in members if member])
    if len(members) > _MAX_STATE_MEMBERS or len(joined) > _MAX_STATE_CHARACTERS:
        return ""
    if _STATE.fullmatch(joined) is None:
        return ""
    keys = [member.partition("=")[0] for member in members if member]
    return joined if len(set(keys)) == len(keys) else ""
