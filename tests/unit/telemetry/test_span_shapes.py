"""The spans of plain good calls by their shape: the very bytes that come part by part, and nobody else's."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.endpoints.catalogue import COMPLETION
from gateway.model import LimitNote, Plan, RouteFacts, Skipped, TraceContext, Usage
from gateway.telemetry.call_notes import CallNotes
from gateway.telemetry.call_trace import CallTrace
from gateway.telemetry.content import ContentCapture
from gateway.telemetry.plan import TelemetryPlan
from gateway.telemetry.redactor import Redactor
from gateway.telemetry.span_encoding import SpanEncoder
from gateway.telemetry.span_shapes import has_shape, may_be_kept, shape_key
from tests.rig.frame_reader import encode_call
from tests.unit.doubles import FakeHeaders, FakePermit
from tests.unit.makers import TARGET, make_call, make_caller, make_target
from tests.unit.telemetry.traces import MS, PRICED, add_attempt, make_answered_trace

ROUTE: Final = RouteFacts("vm/chat", "weight-based-routing")
JUDGED: Final = RouteFacts("vm/chat", "complexity-based-routing", "simple", cause="classifier")
BOTH: Final = ("acct/small", "acct/large")
PARENT: Final = TraceContext(b"P" * 16, b"Q" * 8, 1, "")
Change = Callable[[CallTrace], Any]


def setting(**values: object) -> Change:
    """Sets attributes of the call."""

    def change(trace: CallTrace) -> None:
        for name, value in values.items():
            setattr(trace, name, value)

    return change


def attempt_setting(**values: object) -> Change:
    """Sets attributes of its attempt."""

    def change(trace: CallTrace) -> None:
        for name, value in values.items():
            setattr(trace.attempts[0], name, value)

    return change


def sent(credential: str) -> Change:
    """Sends that key."""
    return setting(headers=FakeHeaders([("authorization", f"Bearer {credential}")]))


def said(text: str) -> ContentCapture:
    """The content of a call with that reply."""
    capture = ContentCapture(Redactor(), max_bytes=1000)
    reply = {"choices": [{"message": {"role": "assistant", "content": text}}]}
    capture.keep(json.dumps(reply).encode())
    return capture


# Of a plain good call, all that may differ from another's.
CHANGES: Final[tuple[Change, ...]] = (
    setting(method="PUT"),
    setting(path="/v1/chat/completions"),
    setting(scheme="https"),
    setting(server_address="gateway.example"),
    setting(server_port=None),
    setting(peer_address=""),
    setting(user_agent="agent/2"),
    setting(user_agent="one-secret-key"),
    setting(status_code=201),
    setting(config_version="v2"),
    setting(caller=make_caller(name="other")),
    setting(call=make_call(model="acct/other")),
    setting(call=make_call(stream=True)),
    setting(call=make_call(COMPLETION)),
    setting(call=make_call(n=2)),
    setting(call=make_call(temperature=0.5, seed=7)),
    setting(parent=PARENT),
    setting(flags=0),
    setting(notes=CallNotes({"team": "a", "user": "u-1"})),
    setting(notes=CallNotes({"another-secret-key": "one-secret-key"}, wants_content=False)),
    setting(notes=CallNotes(conversation_id="c-1")),
    setting(notes=CallNotes({"team": "a"}, conversation_id="one-secret-key")),
    setting(trace_id=b"U" * 16, span_id=b"V" * 8),
    setting(end_ns=200 * MS, body_ns=MS),
    sent("one-secret-key"),
    sent("another-secret-key"),
    lambda trace: setattr(trace, "content", said("hello")),
    attempt_setting(first_chunk_ns=30 * MS),
    attempt_setting(status_code=0),
    attempt_setting(span_id=b"W" * 8),
    attempt_setting(cost_usd=0.25),
    attempt_setting(usage=None),
    attempt_setting(usage=Usage(None, None, "estimated")),
    attempt_setting(usage=Usage(300, 70_000, "provider", 1, 2, 3)),
    attempt_setting(response_id="reply of one-secret-key"),
    attempt_setting(response_id=""),
    attempt_setting(response_model="another-secret-key"),
    attempt_setting(finish_reasons=()),
    attempt_setting(target=make_target("acct/large", model_id="large-1")),
    setting(plan=Plan((PRICED,), BOTH, route=ROUTE)),
    setting(plan=Plan((PRICED,), BOTH, (Skipped("acct/large", "circuit"),), route=ROUTE)),
    setting(plan=Plan((PRICED,), BOTH, (Skipped("acct/large", "metadata"),), route=ROUTE)),
    setting(plan=Plan((PRICED,), BOTH[::-1], route=ROUTE)),
    setting(plan=Plan((PRICED,), BOTH, route=RouteFacts("one-rule", "weight-based-routing", is_rule=True))),
    setting(plan=Plan((PRICED,), BOTH, route=RouteFacts("vm/chat", "complexity-based-routing", "simple"))),
    setting(plan=Plan((PRICED,), BOTH, route=JUDGED)),
    setting(permit=FakePermit(LimitNote("a", "requests", False, "allowed", "", 10, 3, 1.0))),
    setting(permit=FakePermit(LimitNote("a", "cost", True, "exceeded", "", 1, 3, 1.0))),
    setting(permit=FakePermit()),
    setting(
        plan=Plan((PRICED,), BOTH, route=ROUTE),
        skips=(Skipped("acct/large", "circuit"), Skipped("acct/large", "cool_down")),
    ),
)

# What makes a call one of the others.
OTHERS: Final[dict[str, Change]] = {
    "failed": lambda trace: trace.failed("upstream_timeout", "It took too long."),
    "cut": setting(is_cut=True),
    "refused": setting(status_code=400),
    "retried": add_attempt,
    "judged": lambda trace: trace.judging(Plan((PRICED,), BOTH, route=ROUTE), TARGET, make_call()).ended(),
    "its attempt failed": lambda trace: trace.attempts[0].failed("upstream_timeout", "It took too long."),
    "unplanned": setting(plan=None, call=make_call(model="no/such")),
    "a state of its caller's": setting(parent=TraceContext(b"P" * 16, b"Q" * 8, 1, "vendor=1")),
    "older names": setting(config_version="v2", telemetry=TelemetryPlan(has_old_names=True)),
    "captured headers": setting(config_version="v2", telemetry=TelemetryPlan(captured_headers=("x-team",))),
    "captured baggage": setting(config_version="v2", telemetry=TelemetryPlan(captured_baggage=("team",))),
}


@given(st.booleans(), st.lists(st.lists(st.sampled_from(CHANGES), max_size=4), min_size=2, max_size=6))
def test_shapes_give_the_bytes_of_the_parts(has_tfy_names: bool, calls: list[list[Change]]) -> None:  # noqa: FBT001
    """Whatever came before, a call has the spans and the row that an encoder without shapes makes."""
    telemetry = TelemetryPlan(has_tfy_names=has_tfy_names)
    encoder = SpanEncoder()
    for changes in (*calls, *calls):
        trace = make_answered_trace(PRICED)
        trace.telemetry = telemetry
        for change in changes:
            change(trace)
        assert has_shape(trace)
        assert encode_call(trace, encoder) == SpanEncoder()._encode_parts(trace)


DECISIONS: Final = (
    Plan((PRICED,), ("acct/small",)),
    Plan((PRICED,), BOTH, route=ROUTE),
    Plan((PRICED,), BOTH[::-1], route=ROUTE),
    Plan((PRICED,), BOTH, (Skipped("acct/large", "circuit"),), ROUTE),
    Plan((PRICED,), BOTH, (Skipped("acct/large", "tier"),), ROUTE),
    Plan((PRICED,), BOTH, route=RouteFacts("vm/chat", "priority-based-routing")),
    Plan((PRICED,), BOTH, route=RouteFacts("vm/chat", "weight-based-routing", "simple")),
    Plan((PRICED,), BOTH, route=RouteFacts("vm/other", "weight-based-routing")),
)


@pytest.mark.parametrize("first", DECISIONS, ids=range(len(DECISIONS)))
@pytest.mark.parametrize("has_shape", [True, False], ids=["by shape", "by parts"])
def test_every_decision_is_its_own(first: Plan, *, has_shape: bool) -> None:
    """Whatever was decided of a call like this one before, this one's is told."""
    encoder = SpanEncoder()
    for plan in (first, *DECISIONS, first):
        for skips in ((), (Skipped("acct/large", "cool_down"),)):
            trace = make_answered_trace(PRICED)
            trace.plan, trace.skips = plan, skips
            if not has_shape:
                add_attempt(trace, PRICED)
            assert encode_call(trace, encoder) == SpanEncoder()._encode_parts(trace)


@pytest.mark.parametrize("change", OTHERS.values(), ids=OTHERS.keys())
def test_other_calls_have_none(change: Change) -> None:
    """What has words or parts that no shape knows is encoded part by part, whatever was kept before."""
    encoder = SpanEncoder()
    encode_call(make_answered_trace(), encoder)
    trace = make_answered_trace()
    change(trace)
    assert not has_shape(trace)
    assert encode_call(trace, encoder) == SpanEncoder()._encode_parts(trace)


def test_a_callers_key_is_on_no_span_of_another() -> None:
    """Two callers that differ in their key alone: what one may say of itself hides the other's key only."""
    encoder = SpanEncoder()
    for _ in range(2):
        for key in ("one-secret-key", "another-secret-key"):
            trace = make_answered_trace()
            trace.headers = FakeHeaders([("authorization", f"Bearer {key}")])
            trace.user_agent = trace.attempts[0].response_model = f"agent of {key}"
            trace.attempts[0].response_id = key
            spans = encode_call(trace, encoder).spans
            assert all(key.encode() not in span.plain for span in spans)
            assert b"agent of ***" in spans[0].plain


def test_parameters_are_no_part_of_a_shape() -> None:
    """An application that writes another seed each time has one shape."""
    encoder = SpanEncoder()
    for seed in range(100):
        encode_call(make_answered_trace(seed=seed), encoder)
    assert len(encoder._shapes) == 1


@pytest.mark.parametrize(
    "change",
    [
        setting(user_agent="a" * 257),
        setting(route="/v1/files/{id}"),
        sent("k" * 3000),
        attempt_setting(response_model="m" * 65),
    ],
    ids=["user agent", "path with an id", "credentials", "model"],
)
def test_what_is_long_or_comes_once_is_not_kept(change: Change) -> None:
    """Callers and providers cannot fill the memory; the spans are the same."""
    encoder = SpanEncoder()
    trace = make_answered_trace()
    change(trace)
    assert not may_be_kept(trace)
    assert encode_call(trace, encoder) == SpanEncoder()._encode_parts(trace)
    assert not encoder._shapes


@pytest.mark.parametrize("members", [0, 1, 8, 9, 64])
def test_metadata_is_kept_with_a_shape_when_it_is_little(members: int) -> None:
    """There are thousands of shapes, and a caller may write 16 kB of it."""
    encoder = SpanEncoder()
    metadata = {f"key-{number}": "v" * 128 for number in range(members)}
    for noted in (metadata, metadata, {"other": "one"}, metadata):
        trace = make_answered_trace()
        trace.noted(CallNotes(noted))
        assert encode_call(trace, encoder) == SpanEncoder()._encode_parts(trace)
    (shape,) = encoder._shapes.values()
    assert shape.noted is not None
    assert len(shape.noted) <= 8


def test_what_was_decided_is_no_part_of_a_shape() -> None:
    """Health and chance make it another each time, and it is kept apart, within bounds."""
    encoder = SpanEncoder()
    for number in range(5000):
        trace = make_answered_trace()
        skipped = Skipped(f"acct/{number}", "circuit")
        trace.plan = Plan((TARGET,), ("acct/small", skipped.target), (skipped,), route=ROUTE)
        assert encode_call(trace, encoder) == SpanEncoder()._encode_parts(trace)
    assert len(encoder._shapes) == 1
    assert 0 < len(encoder._decisions) <= 4096


def test_long_decisions_are_not_kept() -> None:
    """A route of very many targets cannot fill the memory; the spans are the same."""
    encoder = SpanEncoder()
    trace = make_answered_trace()
    trace.plan = Plan((TARGET,), tuple(f"acct/{number}" for number in range(100)), route=ROUTE)
    assert encode_call(trace, encoder) == SpanEncoder()._encode_parts(trace)
    assert not encoder._decisions


def test_shapes_are_bounded() -> None:
    """However many agents there are."""
    encoder = SpanEncoder()
    for number in range(5000):
        trace = make_answered_trace()
        trace.user_agent = f"agent/{number}"
        encode_call(trace, encoder)
    assert 0 < len(encoder._shapes) <= 4096


def test_key_of_a_call_without_usage() -> None:
    """A reply without usage is another shape than one with: its source is not told."""
    with_usage, without = make_answered_trace(), make_answered_trace()
    without.attempts[0].usage = None
    call = make_call()
    assert shape_key(with_usage, call) != shape_key(without, call)
    assert TARGET.name in shape_key(without, call)
