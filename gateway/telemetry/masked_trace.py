"""The notes of a call with masked words: what its caller noted on it, and what was said of its failures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from msgspec import structs

from gateway.model import TraceContext
from gateway.telemetry.call_notes import NO_NOTES, CallNotes
from gateway.telemetry.call_trace import AttemptTrace, CallTrace

Hide = Callable[[str], str]


def masked_trace(trace: CallTrace, hide: Hide) -> CallTrace:
    """A copy of *trace* with *hide* applied to these words."""
    return structs.replace(
        trace,
        parent=trace.parent and _masked_parent(trace.parent, hide),
        notes=trace.notes if trace.notes is NO_NOTES else _masked_notes(trace.notes, hide),
        judgement=trace.judgement and _masked_attempt(trace.judgement, hide),
        attempts=[_masked_attempt(attempt, hide) for attempt in trace.attempts],
        error_message=hide(trace.error_message),
    )


def _masked_parent(parent: TraceContext, hide: Hide) -> TraceContext:
    """Without the members of its state that would have to be masked: a mask is no key of theirs."""
    members = parent.state.split(",")
    return replace(parent, state=",".join([member for member in members if hide(member) == member]))


def _masked_notes(notes: CallNotes, hide: Hide) -> CallNotes:
    return structs.replace(
        notes,
        metadata={hide(key): hide(value) for key, value in notes.metadata.items()},
        conversation_id=hide(notes.conversation_id),
    )


def _masked_attempt(attempt: AttemptTrace, hide: Hide) -> AttemptTrace:
    if not attempt.error_message:
        return attempt
    return structs.replace(attempt, error_message=hide(attempt.error_message))
