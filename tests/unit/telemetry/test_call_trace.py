"""The notes of a call while it runs."""

from __future__ import annotations

import time
from random import Random

import msgspec
import pytest

from gateway.endpoints.catalogue import CHAT
from gateway.model import Plan, Skipped, TraceContext, Usage
from gateway.telemetry.call_trace import AttemptTrace, CallTrace, begin_trace
from gateway.telemetry.plan import TelemetryPlan
from tests.unit.doubles import FakeClient, FakeHeaders
from tests.unit.makers import TARGET, TokenPrice, make_call, make_caller, make_target
from tests.unit.telemetry.traces import (
    FACTS,
    MS,
    PRICED,
    START_NS,
    add_attempt,
    make_answered_trace,
    make_planned_trace,
    make_trace,
)

TRACEPARENT = f"00-{'a' * 32}-{'b' * 16}-00"


class ZerosFirst(Random):
    """Draws zeros before anything else."""

    def __init__(self) -> None:
        super().__init__(7)
        self.drawn: list[int] = []

    def getrandbits(self, k: int, /) -> int:
        self.drawn.append(k)
        return 0 if len(self.drawn) % 2 else super().getrandbits(k)


async def begin(*headers: tuple[str, str], random: Random | None = None) -> CallTrace:
    return begin_trace(
        FakeClient(*headers), CHAT, request_id="r-1", config_version="v1", random=random or Random(7)
    )


async def test_new_trace() -> None:
    """Without a caller's context a trace begins here, sampled, its id random."""
    trace = await begin(("user-agent", "agent/1"))
    assert (len(trace.trace_id), len(trace.span_id), trace.parent, trace.flags) == (16, 8, None, 3)
    assert (trace.user_agent, trace.peer_address, trace.route) == (
        "agent/1",
        "192.0.2.7",
        "/v1/chat/completions",
    )


async def test_continued_trace() -> None:
    """A caller's context is continued: its trace, its decision, a span id of ours."""
    trace = await begin(("traceparent", TRACEPARENT), ("tracestate", "v=1"), ("tracestate", "w=2"))
    assert trace.parent == TraceContext(b"\xaa" * 16, b"\xbb" * 8, 0, "v=1,w=2")
    assert (trace.trace_id, trace.flags) == (b"\xaa" * 16, 0)
    assert trace.span_id != b"\xbb" * 8
    assert trace.traceparent() == f"00-{'a' * 32}-{trace.span_id.hex()}-00"


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([("traceparent", "nonsense"), ("tracestate", "v=1")], id="malformed"),
        pytest.param([("traceparent", TRACEPARENT), ("traceparent", TRACEPARENT)], id="two"),
        pytest.param([("tracestate", "v=1")], id="state alone"),
    ],
)
async def test_bad_context_begins_a_new_trace(headers: list[tuple[str, str]]) -> None:
    """A context that breaks the rules is as none."""
    trace = await begin(*headers)
    assert (trace.parent, trace.flags) == (None, 3)


async def test_ids_are_never_zero() -> None:
    """All zeros mean no id, so they are drawn again."""
    trace = await begin(random=ZerosFirst())
    assert any(trace.trace_id)
    assert any(trace.span_id)
    assert any(trace.attempt(TARGET).span_id)


async def test_ids_differ() -> None:
    """Each span has an id of its own."""
    trace = await begin()
    assert len({trace.span_id, *(trace.attempt(TARGET).span_id for _ in range(100))}) == 101


def test_propagation() -> None:
    """A provider that takes part continues the attempt's span, with the caller's state if any."""
    trace = make_trace(parent=TraceContext(b"P" * 16, b"Q" * 8, 1, "v=1"))
    attempt = trace.attempt(TARGET)
    assert trace.propagation(attempt) == {
        "traceparent": f"00-{(b'P' * 16).hex()}-{attempt.span_id.hex()}-01",
        "tracestate": "v=1",
    }
    rootless = make_trace()
    assert rootless.propagation(rootless.attempt(TARGET)).keys() == {"traceparent"}


def test_a_provider_never_gets_a_parent_that_nobody_records() -> None:
    """Where no spans are made, the caller's own span goes on, and nothing without one."""
    plan = TelemetryPlan(makes_spans=False)
    trace = make_trace(parent=TraceContext(b"P" * 16, b"Q" * 8, 1, "v=1"), telemetry=plan)
    assert trace.propagation(trace.attempt(TARGET)) == {
        "traceparent": f"00-{(b'P' * 16).hex()}-{(b'Q' * 8).hex()}-01",
        "tracestate": "v=1",
    }
    rootless = make_trace(telemetry=plan)
    assert rootless.propagation(rootless.attempt(TARGET)) == {}


def test_attempts_are_numbered() -> None:
    """Attempts count from 1, in order."""
    trace = make_trace()
    assert [trace.attempt(TARGET).number for _ in range(3)] == [1, 2, 3]


def test_first_chunk_is_the_first() -> None:
    """Later pieces do not move the time of the first."""
    attempt = make_trace().attempt(TARGET)
    attempt.first_chunk()
    first_ns = attempt.first_chunk_ns
    attempt.first_chunk()
    assert attempt.first_chunk_ns == first_ns > 0


def test_end_is_noted_once() -> None:
    """An attempt that has ended stays so; the call's end ends one that is open."""
    trace = make_planned_trace()
    done, still_open = add_attempt(trace), trace.attempt(TARGET)
    trace.ended()
    assert done.end_ns == 60 * MS
    assert still_open.end_ns >= still_open.start_ns > 0
    assert trace.end_ns >= still_open.end_ns


def test_usage_and_model_are_those_of_the_last_attempt() -> None:
    """What a call cost and who answered is the last attempt's, where nobody says otherwise."""
    trace = make_planned_trace()
    assert (trace.usage, trace.resolved_model) == (None, "")
    add_attempt(trace)
    assert trace.resolved_model == ""
    last = add_attempt(trace)
    last.status_code = 200
    last.answered(FACTS)
    assert (trace.usage, trace.resolved_model) == (FACTS.usage, "acct/small")


# -- two beside each other


def make_hedged_trace() -> CallTrace:
    """A call of two targets: the second was asked beside the first, which then answered."""
    trace = make_planned_trace(PRICED)
    first = add_attempt(trace, PRICED)
    second = trace.attempt(make_target("acct/other", price=TokenPrice()))
    first.status_code = 200
    first.answered(FACTS)
    trace.answered_by(first)
    second.lost()
    trace.responded(200)
    trace.ended()
    return trace


def test_answer_is_the_one_that_was_given() -> None:
    """Usage and model of a call are those of the attempt whose answer the caller got."""
    trace = make_hedged_trace()
    first, second = trace.attempts
    assert trace.answer is first
    assert (trace.usage, trace.resolved_model) == (FACTS.usage, "acct/small")
    assert (second.error_type, trace.is_error) == ("hedge_lost", False)


def test_what_lost_has_cost_its_input() -> None:
    """Its provider has read the call, so it is paid for; the call's cost is that of both."""
    trace = make_hedged_trace()
    loser = trace.attempts[1]
    assert trace.call is not None
    read = trace.call.body_bytes // 4
    assert (loser.usage, loser.cost_usd) == (Usage(read, 0, "partial"), read / 1_000_000)
    assert trace.total_cost_usd == 11e-6 + read / 1_000_000
    trace.ended()
    assert loser.usage == Usage(read, 0, "partial")


def test_what_lost_keeps_what_its_provider_counted() -> None:
    """An estimate is for those that said nothing."""
    trace = make_planned_trace()
    loser = trace.attempt(TARGET)
    loser.used(Usage(3, 1, "provider"))
    loser.lost()
    trace.ended()
    assert loser.usage == Usage(3, 1, "provider")


def test_what_had_failed_is_not_lost() -> None:
    """An attempt that ended by itself keeps its own error."""
    attempt = make_trace().attempt(TARGET)
    attempt.failed("503", "down")
    attempt.ended()
    ended_ns = attempt.end_ns
    attempt.lost()
    assert (attempt.error_type, attempt.end_ns) == ("503", ended_ns)


def test_caller_that_leaves_two_has_cost_the_input_of_both() -> None:
    """Each provider has read the call."""
    trace = make_planned_trace()
    attempts = [trace.attempt(TARGET), trace.attempt(TARGET)]
    trace.disconnected()
    assert [attempt.error_type for attempt in attempts] == ["client_disconnected"] * 2
    assert [attempt.usage and attempt.usage.source for attempt in attempts] == ["partial"] * 2


def test_no_cost_is_not_zero() -> None:
    """Of attempts whose price nobody knows there is no sum; of some, it is that of the others."""
    trace = make_planned_trace()
    assert trace.total_cost_usd is None
    add_attempt(trace).answered(FACTS)
    assert trace.total_cost_usd is None
    add_attempt(trace, PRICED).answered(FACTS)
    assert trace.total_cost_usd == 11e-6


def test_skips_are_bounded() -> None:
    """Targets that were passed over when their turn came, in order, and not without end."""
    trace = make_trace()
    for number in range(100):
        trace.skipped(f"a/{number}", "circuit")
    assert trace.skips == tuple(Skipped(f"a/{number}", "circuit") for number in range(64))


@pytest.mark.parametrize(
    ("status", "is_error", "is_span_error"),
    [(200, False, False), (399, False, False), (400, True, False), (429, True, False), (499, False, False),
     (500, True, True), (504, True, True)],
)  # fmt: skip
def test_what_is_an_error(status: int, *, is_error: bool, is_span_error: bool) -> None:
    """From 400 on the caller got no answer; from 500 on the span says so; leaving is no error."""
    trace = make_trace()
    trace.responded(status)
    assert (trace.is_error, trace.is_span_error) == (is_error, is_span_error)


def test_cut_reply_is_an_error_with_any_status() -> None:
    """A reply that broke off is an error although its status was good."""
    trace = make_trace()
    trace.responded(200)
    trace.cut("upstream_timeout", "silent")
    assert (trace.is_error, trace.is_span_error, trace.error_type) == (True, True, "upstream_timeout")


# -- the caller leaves


def test_caller_that_leaves_before_a_status() -> None:
    """Who leaves before an answer has the status that nobody receives."""
    trace = make_trace()
    trace.disconnected()
    assert (trace.status_code, trace.error_type, trace.is_error) == (499, "client_disconnected", False)


def test_caller_that_leaves_in_a_stream() -> None:
    """Who leaves in a stream had its status; what was counted stays."""
    trace = make_planned_trace()
    attempt = trace.attempt(TARGET)
    attempt.usage = Usage(3, 1, "partial")
    trace.responded(200)
    trace.disconnected()
    assert (trace.status_code, attempt.error_type) == (200, "client_disconnected")
    assert attempt.usage == Usage(3, 1, "partial")


def test_caller_that_leaves_has_cost_its_input() -> None:
    """The last attempt of a caller that left has a partial estimate; earlier ones failed and cost nothing."""
    trace = make_planned_trace()
    first, last = add_attempt(trace), trace.attempt(TARGET)
    first.failed("upstream_timeout", "silent")
    trace.disconnected()
    assert trace.call is not None
    assert (first.error_type, first.usage) == ("upstream_timeout", None)
    assert last.usage == Usage(trace.call.body_bytes // 4, 0, "partial")


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (Usage(3, 4, "provider"), 11e-6),
        (Usage(30, 40, "estimated"), 110e-6),
        (Usage(3, 0, "partial"), 3e-6),
        (Usage(None, 4, "provider"), None),
    ],
    ids=["provider", "estimated", "partial", "unknown"],
)
def test_cost_is_that_of_the_usage(usage: Usage, expected: float | None) -> None:
    """Whoever counted; what cannot be known is None."""
    trace = make_planned_trace(PRICED)
    assert trace.total_cost_usd is None
    add_attempt(trace, PRICED).answered(msgspec.structs.replace(FACTS, usage=usage))
    assert trace.total_cost_usd == trace.attempts[0].cost_usd == expected


def test_no_price_no_cost() -> None:
    """A target whose price is not known costs an unknown amount, not nothing."""
    assert make_answered_trace().total_cost_usd is None


def test_caller_that_leaves_pays_for_its_input() -> None:
    """The partial estimate has a cost as any usage has."""
    trace = make_planned_trace(PRICED)
    trace.attempt(PRICED)
    trace.disconnected()
    assert trace.call is not None
    assert trace.total_cost_usd == (trace.call.body_bytes // 4) / 1_000_000


def test_caller_that_leaves_an_error_has_used_nothing() -> None:
    """Whether it had come or was still coming."""
    for is_whole in (True, False):
        trace = make_planned_trace()
        attempt = trace.attempt(TARGET)
        attempt.status_code = 529
        if is_whole:
            attempt.ended()
        trace.disconnected()
        assert attempt.usage is None


def test_caller_that_leaves_when_all_is_done() -> None:
    """Who leaves after the end changes nothing."""
    trace = make_answered_trace()
    trace.disconnected()
    assert (trace.error_type, trace.status_code) == ("", 200)


# -- times


def test_times_are_monotonic_on_one_start() -> None:
    """A span's times are the start plus what the monotonic clock ran."""
    trace = make_trace(start_ns=500)
    assert trace.unix_ns(500 + 7) == START_NS + 7


def test_overhead_is_our_share() -> None:
    """Waiting for the caller, for the provider and between attempts is no overhead."""
    trace = make_answered_trace()
    trace.body_ns, trace.paused_ns = 15 * MS, 5 * MS
    assert trace.overhead_ms == 100 - 50 - 20
    trace.body_ns = 500 * MS
    assert trace.overhead_ms == 0


def test_attempts_beside_each_other_are_no_overhead() -> None:
    """What two share counts once, one within another not at all, and a gap between two is ours."""
    trace = make_planned_trace()
    add_attempt(trace, at_ms=10, took_ms=40)
    add_attempt(trace, at_ms=20, took_ms=10)
    add_attempt(trace, at_ms=30, took_ms=30)
    add_attempt(trace, at_ms=70, took_ms=10)
    trace.end_ns = 100 * MS
    assert trace.overhead_ms == 100 - 50 - 10


def test_overhead_while_an_attempt_runs() -> None:
    """The header goes out before the reply has ended: the wait so far is the provider's."""
    trace = make_trace(start_ns=time.perf_counter_ns() - 500 * MS)
    trace.attempts.append(AttemptTrace(TARGET, 1, b"1" * 8, trace.start_ns + 2 * MS))
    timing = dict(part.split(";dur=") for part in trace.server_timing().decode().split(", "))
    assert timing["overhead"] == "2.000"
    assert float(timing["total"]) >= 500


def test_server_timing_names_the_stages_that_ran() -> None:
    """A stage that was not reached is not in the header; limits are, even if none holds for the call."""
    trace = make_trace()
    assert [part.partition(";")[0] for part in trace.server_timing().decode().split(", ")] == [
        "overhead",
        "total",
    ]
    trace.identified(make_caller())
    trace.planned(Plan((TARGET,), (TARGET.name,)))
    trace.attempt(TARGET)
    trace.attempt(TARGET)
    parts = trace.server_timing().decode().split(", ")
    stages = ["auth", "route", "limit", "upstream", "overhead", "total", "attempts"]
    assert [part.partition(";")[0] for part in parts] == stages
    assert parts[-1] == 'attempts;desc="2"'
    assert all(float(part.partition("dur=")[2]) >= 0 for part in parts[:-1])
    assert "limit;dur=0.000" in parts


def test_time_of_asking_limits_is_told() -> None:
    """It is no part of routing."""
    trace = make_planned_trace(PRICED)
    trace.identified_ns, trace.planned_ns, trace.limit_ns = 1 * MS, 9 * MS, 2 * MS
    assert trace.server_timing().startswith(b"auth;dur=1.000, route;dur=6.000, limit;dur=2.000, overhead")


# -- a model that is asked how hard the call is


def make_judged_trace() -> tuple[CallTrace, AttemptTrace]:
    """A call about which a model is being asked."""
    trace = make_planned_trace(PRICED)
    assert trace.plan is not None
    judge = make_target("acct/judge", price=TokenPrice())
    return trace, trace.judging(trace.plan, judge, make_call(seed=1))


def test_question_is_no_attempt() -> None:
    """It comes before them, costs what it costs, and has no part in what the call used."""
    trace, asked = make_judged_trace()
    asked.used(Usage(100, 1, "provider"))
    asked.ended()
    answer = add_attempt(trace, PRICED)
    answer.answered(FACTS)
    assert (asked.number, answer.number) == (0, 1)
    assert list(trace.exchanges) == [asked, answer]
    assert trace.answer is answer
    assert (trace.usage, answer.cost_usd) == (FACTS.usage, 11e-6)
    assert trace.total_cost_usd == 102e-6 + 11e-6


def test_time_of_the_question_is_told() -> None:
    """It is neither routing nor overhead."""
    trace, asked = make_judged_trace()
    trace.identified_ns, trace.planned_ns = 1 * MS, 9 * MS
    asked.start_ns, asked.end_ns = 2 * MS, 8 * MS
    assert trace.server_timing().startswith(
        b"auth;dur=1.000, route;dur=2.000, limit;dur=0.000, classify;dur=6.000, "
    )
    trace.end_ns = 10 * MS
    assert trace.overhead_ms == 4


def test_question_that_took_too_long_has_cost_its_input() -> None:
    """Its provider has read it; one that was refused has cost nothing."""
    trace, asked = make_judged_trace()
    asked.failed("upstream_timeout", "too slow")
    trace.ended()
    assert asked.sent is not None
    assert asked.usage == Usage(asked.sent.body_bytes // 4, 0, "partial")
    trace, asked = make_judged_trace()
    asked.failed("500", "no")
    trace.ended()
    assert asked.usage is None


def test_question_that_is_cut_off() -> None:
    """By the end of the gateway, or by a caller that leaves."""
    trace, asked = make_judged_trace()
    trace.cut("gateway_shutdown", "the end")
    assert asked.error_type == "gateway_shutdown"
    trace, asked = make_judged_trace()
    trace.disconnected()
    trace.ended()
    assert (asked.error_type, asked.end_ns > 0) == ("client_disconnected", True)


def test_no_secret_in_a_repr() -> None:
    """Neither the caller's key nor what an attempt was signed in with, nor what was said."""
    trace = make_planned_trace()
    trace.headers = FakeHeaders([("authorization", "Bearer canary-of-caller")])
    attempt = add_attempt(trace)
    attempt.token, attempt.sent = "canary-of-provider", make_call(user="canary-of-prompt")
    assert "canary" not in repr(trace)
    assert TARGET.name in repr(attempt)
