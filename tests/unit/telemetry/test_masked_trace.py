"""Words of a call's notes, masked."""

from __future__ import annotations

from gateway.model import TraceContext
from gateway.telemetry.call_notes import CallNotes
from gateway.telemetry.masked_trace import masked_trace
from tests.unit.makers import TARGET, make_call
from tests.unit.telemetry.traces import add_attempt, make_answered_trace


def hide(text: str) -> str:
    return text.replace("secret", "***")


def test_words_are_masked() -> None:
    """What the caller noted, what was said of failures, and the caller's trace state without such members."""
    trace = make_answered_trace(parent=TraceContext(b"P" * 16, b"Q" * 8, 1, "a=1,b=secret"))
    trace.notes = CallNotes(metadata={"a secret": "the secret"}, conversation_id="secret-1")
    trace.failed("internal_error", "my secret")
    add_attempt(trace).failed("500", "your secret")
    masked = masked_trace(trace, hide)
    assert masked.parent is not None
    assert masked.parent.state == "a=1"
    assert masked.notes == CallNotes(metadata={"a ***": "the ***"}, conversation_id="***-1")
    assert masked.error_message == "my ***"
    assert [attempt.error_message for attempt in masked.attempts] == ["", "your ***"]


def test_words_of_a_model_that_judges_are_masked() -> None:
    """What its provider says of a failure may quote a key too."""
    trace = make_answered_trace()
    assert trace.plan is not None
    trace.judging(trace.plan, TARGET, make_call()).failed("500", "our secret")
    masked = masked_trace(trace, hide)
    assert masked.judgement is not None
    assert masked.judgement.error_message == "our ***"


def test_the_notes_themselves_stay() -> None:
    """Others read them too; and what has no such words stays the same."""
    trace = make_answered_trace()
    trace.failed("internal_error", "my secret")
    masked = masked_trace(trace, hide)
    assert trace.error_message == "my secret"
    assert masked.attempts[0] is trace.attempts[0]
    assert masked.notes is trace.notes
    assert masked.parent is None
