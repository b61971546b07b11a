"""The notes of one call while it runs: cheap to make, read once when it has ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Final, Literal

import msgspec

from gateway.endpoints.openai_events import ObjectFacts
from gateway.endpoints.openai_reply import ReplyFacts, estimate_usage
from gateway.errors import CLIENT_CLOSED_REQUEST, ClientDisconnected, Overloaded, UpstreamTimeout
from gateway.model import (
    Call,
    Caller,
    Client,
    Endpoint,
    Headers,
    Permit,
    Plan,
    Skipped,
    SkipReason,
    Target,
    Tier,
    TraceContext,
    Usage,
)
from gateway.pricing.samplings import cost_of_all
from gateway.telemetry.call_notes import NO_NOTES, CallNotes
from gateway.telemetry.content import ContentCapture
from gateway.telemetry.plan import PLAIN, TelemetryPlan
from gateway.wire.trace_context import format_traceparent, parse_trace_context

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})
OTHER_METHOD: Final = "_OTHER"
"""`http.request.method` of a method that the conventions do not know."""

HEDGE_LOST: Final = "hedge_lost"
"""`error.type` of an attempt that was given up as another one beside it had answered first."""

NO_FAILURES: Final = frozenset({ClientDisconnected.error_type, HEDGE_LOST})
"""What ends an attempt and is no failure: neither an exception nor the status ERROR."""

MAX_SKIPS: Final = 64
"""Targets passed over while a call runs that are noted of it."""

_TIMINGS: Final = {
    (is_judged, is_attempted): b"auth;dur=%.3f, route;dur=%.3f, limit;dur=%.3f, "
    + (b"classify;dur=%.3f, " if is_judged else b"")
    + (b"upstream;dur=%.3f, " if is_attempted else b"")
    + b"overhead;dur=%.3f, total;dur=%.3f"
    + (b', attempts;desc="%d"' if is_attempted else b"")
    for is_judged in (False, True)
    for is_attempted in (False, True)
}
"""The `server-timing` of a call with a plan, by what it had of a judgement and attempts."""

_NS_PER_MS: Final = 1_000_000
_NS_PER_US: Final = 1_000
_US_PER_MS: Final = 1_000
_SERVER_ERROR: Final = 500
_CLIENT_ERROR: Final = 400


class AttemptTrace(msgspec.Struct, eq=False):
    """One try at one target: a CLIENT span. So is asking the model that judges a call.

    Attributes:
        number: From 1; 0 of what is no try at answering the call.
        start_ns: On the process's monotonic clock; `first_chunk_ns`, `first_content_ns` and
            `end_ns` likewise, 0 while unknown.
        chunks: Pieces in which the stream came.
        status_code: Of the provider's answer, 0 when none came.
        is_callers_to_refuse: What was refused for want of a right may be the caller's, as an organisation or
            a file that it named, or what it asked, and not our key.
        waited_for_caller: It was too late since its caller was slow to take what came.
        error_type: "" when the attempt was good.
        error_message: For the span only.
        excerpt: Beginning of a reply that was none: for the span, where words of calls may go.
        sent: What was asked, where that is not the caller's call as it is: the call with what its route puts
            over its parameters, the question to a model that judges.
        left_out: Fields of the call that the target cannot do, so did not get.
        tier: What such a model said, "" when it said nothing of use.
        token: What it was signed in with beside the target's headers, to be masked wherever it is quoted.
        cost_usd: What `usage` costs, None when it or the price is not known.
        appraise: What a usage is, and costs, where the target alone does not say it; None where it does.
    """

    target: Target
    number: int
    span_id: bytes
    start_ns: int
    first_chunk_ns: int = 0
    first_content_ns: int = 0
    chunks: int = 0
    end_ns: int = 0
    status_code: int = 0
    error_type: str = ""
    error_message: str = ""
    excerpt: str = ""
    sent: Call | None = None
    left_out: tuple[str, ...] = ()
    tier: Tier | Literal[""] = ""
    token: str = ""
    usage: Usage | None = None
    cost_usd: float | None = None
    response_id: str = ""
    response_model: str = ""
    finish_reasons: tuple[str, ...] = ()
    is_callers_to_refuse: bool = False
    waited_for_caller: bool = False
    appraise: Callable[[AttemptTrace, Usage], tuple[Usage, float | None]] | None = None

    def __repr__(self) -> str:
        """Without the token, and what somebody said."""
        return f"AttemptTrace({self.number}, {self.target.name!r}, {self.status_code}, {self.error_type!r})"

    def first_chunk(self) -> None:
        """Note that a piece of the stream came: the time of the first, and how many."""
        self.chunks += 1
        if not self.first_chunk_ns:
            self.first_chunk_ns = time.perf_counter_ns()

    def answered(self, facts: ReplyFacts | ObjectFacts) -> None:
        """Note what the reply said of itself."""
        self.response_id = facts.response_id
        self.response_model = facts.response_model
        self.finish_reasons = facts.finish_reasons
        if facts.usage is not None:
            self.used(facts.usage)

    def used(self, usage: Usage) -> None:
        """Note what the attempt used, and with it what it cost."""
        if self.appraise is not None:
            self.usage, self.cost_usd = self.appraise(self, usage)
            return
        self.usage = usage
        price = self.target.price
        if usage.samplings:
            self.cost_usd = cost_of_all(usage, price, self.target.price_of)
        elif price is not None:
            self.cost_usd = price.cost_usd(usage)

    def failed(self, error_type: str, message: str, excerpt: str = "") -> None:
        """Note why the attempt was not good."""
        self.error_type = error_type
        self.error_message = message
        self.excerpt = excerpt

    def lost(self) -> None:
        """Note that it was given up: another one had answered first. One that has failed stays so."""
        if not self.error_type:
            self.failed(HEDGE_LOST, "Another target had answered first.")
        self.ended()

    def ended(self) -> None:
        """Note the end; later calls change nothing."""
        if not self.end_ns:
            self.end_ns = time.perf_counter_ns()


# Structs, made with arguments by their places: a dataclass with the same fields takes 1.8 us, named arguments
# 1.3 us, this 0.35 us.
class CallTrace(msgspec.Struct, eq=False):
    """One call: a SERVER span and its attempts.

    Attributes:
        judgement: How the model was asked that says how hard the call is, None where none was.
        parent: The caller's context, None when a new trace began here.
        started_at_ns: Unix time; every other time is on the monotonic clock, so that a clock step moves a
            span but never stretches it.
        endpoint: None for a route that calls no model.
        headers: The caller's, to be read when the call has ended.
        telemetry: What the configuration says of tracing it.
        notes: What the caller noted on it.
        content: Takes what is said, None when that is not recorded.
        skips: Targets of the plan that were passed over when their turn came.
        answering: Number of the attempt whose answer or failure the caller gets, 0 for the last one.
        permit: By what limits it was admitted, None where none are configured.
        overload: Why it was turned away, None where it was not.
        held_bytes: Of its body, as part of the input that the worker holds.
        is_settled: What it used has been counted.
        limit_ns: Spent asking limits.
        is_recorded: Whether anybody is to hear of it.
        body_ns: Spent waiting for the caller's body; with `paused_ns`, between retries, no overhead of ours.
    """

    trace_id: bytes
    span_id: bytes
    parent: TraceContext | None
    flags: int
    request_id: str
    config_version: str
    started_at_ns: int
    start_ns: int
    method: str
    path: str
    route: str
    scheme: str
    server_address: str
    server_port: int | None
    peer_address: str
    user_agent: str
    endpoint: Endpoint | None
    random: Random
    headers: Headers | None = None
    telemetry: TelemetryPlan = PLAIN
    notes: CallNotes = NO_NOTES
    content: ContentCapture | None = None
    caller: Caller | None = None
    call: Call | None = None
    plan: Plan | None = None
    judgement: AttemptTrace | None = None
    attempts: list[AttemptTrace] = msgspec.field(default_factory=list)
    skips: tuple[Skipped, ...] = ()
    answering: int = 0
    permit: Permit | None = None
    is_settled: bool = False
    overload: Overloaded | None = None
    held_bytes: int = 0
    limit_ns: int = 0
    body_ns: int = 0
    paused_ns: int = 0
    identified_ns: int = 0
    planned_ns: int = 0
    status_code: int = 0
    error_type: str = ""
    error_message: str = ""
    is_cut: bool = False
    is_recorded: bool = True
    end_ns: int = 0

    def __repr__(self) -> str:
        """Without what its caller sent."""
        return f"CallTrace({self.trace_id.hex()}, {self.path!r}, {self.status_code}, {self.attempts})"

    def attempt(self, target: Target) -> AttemptTrace:
        """Begin a try at *target*."""
        attempts = self.attempts
        span_id = _new_id(self.random, 8)
        attempt = AttemptTrace(target, len(attempts) + 1, span_id, time.perf_counter_ns())
        attempts.append(attempt)
        self.answering = 0
        if self.content is not None:
            self.content.restart()
        return attempt

    def judging(self, plan: Plan, target: Target, question: Call) -> AttemptTrace:
        """Begin to ask *target* how hard a call is, for which there is a *plan* if it does not say."""
        self.plan = plan
        self.judgement = AttemptTrace(
            target=target,
            number=0,
            span_id=_new_id(self.random, 8),
            start_ns=time.perf_counter_ns(),
            sent=question,
        )
        return self.judgement

    @property
    def exchanges(self) -> Sequence[AttemptTrace]:
        """All that was asked of models for this call, in order."""
        return self.attempts if self.judgement is None else [self.judgement, *self.attempts]

    def identified(self, caller: Caller) -> None:
        """Note who calls."""
        self.caller = caller
        self.identified_ns = time.perf_counter_ns()

    def asked(self, call: Call) -> None:
        """Note what is asked for."""
        self.call = call

    def streamed(self) -> None:
        """Note that the answer comes as a stream, where what is asked for was not read."""
        if self.call is not None and not self.call.is_stream:
            self.call = msgspec.structs.replace(self.call, is_stream=True)

    def noted(self, notes: CallNotes) -> None:
        """Note what the caller says of the call."""
        self.notes = notes

    def planned(self, plan: Plan) -> None:
        """Note what was decided; from here on the content is kept, if it may be."""
        self.plan = plan
        self.planned_ns = time.perf_counter_ns()
        if (
            self.telemetry.content is not None
            and self.caller is not None
            and self.call is not None
            and plan.targets
        ):
            self.content = self.telemetry.capture(self.caller, self.call, plan, self.notes)

    def turned_away(self, refusal: Overloaded) -> None:
        """Note that there was too much to do already."""
        self.overload = refusal

    def skipped(self, target: str, reason: SkipReason) -> None:
        """Note that a target of the plan was passed over when its turn came."""
        if len(self.skips) < MAX_SKIPS:
            self.skips = (*self.skips, Skipped(target, reason))

    def answered_by(self, attempt: AttemptTrace) -> None:
        """Note whose answer the caller gets, or failure, until another attempt begins."""
        self.answering = attempt.number

    def responded(self, status_code: int) -> None:
        """Note the status that the caller gets."""
        self.status_code = status_code

    def failed(self, error_type: str, message: str) -> None:
        """Note why the call was not answered well."""
        self.error_type = error_type
        self.error_message = message

    def cut(self, error_type: str, message: str) -> None:
        """Note that the reply broke off, and an attempt that is still open with it."""
        self.is_cut = True
        self.failed(error_type, message)
        self.fail_open_attempts(error_type, message)

    def fail_open_attempts(self, error_type: str, message: str) -> None:
        """Note what broke off an attempt that nothing else has ended."""
        for attempt in self.exchanges:
            if not attempt.end_ns and not attempt.error_type:
                attempt.failed(error_type, message)

    def disconnected(self) -> None:
        """Note that the caller left, unless it had everything already."""
        if self.end_ns:
            return
        self.error_type = ClientDisconnected.error_type
        self.status_code = self.status_code or CLIENT_CLOSED_REQUEST
        self._leave_attempts()

    def shut_out(self, error_type: str, message: str) -> None:
        """Note that the reply was broken off, as its caller may have no more of it: nobody else's fault."""
        self.failed(error_type, message)
        self._leave_attempts()

    def _leave_attempts(self) -> None:
        for attempt in self.exchanges:
            is_open = not attempt.end_ns
            if is_open:
                attempt.failed(ClientDisconnected.error_type, "The caller disconnected.")
            if is_open or (self.attempts and attempt is self.attempts[-1]):
                self.given_up(attempt)

    def ended(self) -> None:
        """Note the end of the call and of an attempt that is still open; later calls change nothing."""
        for attempt in self.exchanges:
            attempt.ended()
        if self.judgement is not None or len(self.attempts) > 1:
            # Nearly every call raced against nobody.
            self.give_up_losers()
        if not self.end_ns:
            self.end_ns = time.perf_counter_ns()

    def give_up_losers(self) -> None:
        """Note what attempts used that were too late: another had answered first, or the call went on."""
        for attempt in self.exchanges:
            is_late = not attempt.number and attempt.error_type == UpstreamTimeout.code
            if is_late or attempt.error_type == HEDGE_LOST:
                self.given_up(attempt)

    def given_up(self, attempt: AttemptTrace) -> None:
        """Note what an attempt has used that nobody waited for: its provider has read the call.

        An error of the provider's uses nothing.
        """
        if attempt.status_code >= _CLIENT_ERROR:
            return
        asked = attempt.sent or self.call
        if attempt.usage is None and asked is not None and asked.endpoint.counts_tokens:
            estimated = estimate_usage(asked.body_bytes, 0)
            attempt.used(msgspec.structs.replace(estimated, source="partial"))

    @property
    def destinations(self) -> int:
        """The mask of the destinations that get a call which has ended."""
        sampling = self.telemetry.sampling
        if sampling.is_plain:
            return sampling.without_ratio(self.parent)
        return sampling.destinations(
            self.trace_id, self.parent, is_error=self.is_error, took_ns=self.end_ns - self.start_ns
        )

    @property
    def is_span_error(self) -> bool:
        """Whether the SERVER span's status is ERROR: our fault or the provider's, never the caller's."""
        return self.is_cut or self.status_code >= _SERVER_ERROR

    @property
    def is_error(self) -> bool:
        """Whether the caller did not get what was asked for, by whoever's fault; leaving is no error."""
        return self.is_span_error or (
            self.status_code >= _CLIENT_ERROR and self.status_code != CLIENT_CLOSED_REQUEST
        )

    @property
    def answer(self) -> AttemptTrace | None:
        """The attempt that answered, while none did the last one; None when there was none."""
        return self.attempts[self.answering - 1] if self.attempts else None

    @property
    def usage(self) -> Usage | None:
        """Usage of the attempt that answered, if any did."""
        answer = self.answer
        return None if answer is None else answer.usage

    @property
    def total_cost_usd(self) -> float | None:
        """What all that was asked cost, as far as that is known; None when of nothing it is."""
        if len(self.attempts) == 1 and self.judgement is None:
            # As most calls have it.
            return self.attempts[0].cost_usd
        costs = [attempt.cost_usd for attempt in self.exchanges if attempt.cost_usd is not None]
        return sum(costs) if costs else None

    @property
    def resolved_model(self) -> str:
        """The target that answered, "" while none did."""
        answer = self.answer
        return "" if answer is None or answer.status_code == 0 else answer.target.name

    @property
    def overhead_ms(self) -> float:
        """The gateway's own share of the call, in milliseconds to the microsecond."""
        # Three times quicker than rounding a fraction to three places.
        return round(self._own_ns(self.end_ns) / _NS_PER_US) / _US_PER_MS

    def _own_ns(self, until_ns: int) -> int:
        """The gateway's own share of the time *until_ns*; what attempts share counts once as theirs."""
        own_ns = until_ns - self.start_ns - self.body_ns - self.paused_ns
        if len(self.attempts) == 1 and self.judgement is None:
            # As most calls have it, in a fifth of the time.
            attempt = self.attempts[0]
            own_ns -= (attempt.end_ns or until_ns) - attempt.start_ns
            return max(0, own_ns)
        seen_ns = 0
        for attempt in self.exchanges:
            end_ns = attempt.end_ns or until_ns
            if attempt.start_ns >= seen_ns:
                own_ns -= end_ns - attempt.start_ns
                seen_ns = end_ns
            elif end_ns > seen_ns:
                # It began while another one ran, and went on longer.
                own_ns -= end_ns - seen_ns
                seen_ns = end_ns
        return max(0, own_ns)

    def server_timing(self) -> bytes:
        """The `server-timing` header: milliseconds per stage until now."""
        now_ns = time.perf_counter_ns()
        start_ns, identified_ns, planned_ns = self.start_ns, self.identified_ns, self.planned_ns
        own_ms, total_ms = self._own_ns(now_ns) / _NS_PER_MS, (now_ns - start_ns) / _NS_PER_MS
        if not identified_ns:
            return b"overhead;dur=%.3f, total;dur=%.3f" % (own_ms, total_ms)
        auth_ms = (identified_ns - start_ns) / _NS_PER_MS
        if not planned_ns:
            return b"auth;dur=%.3f, overhead;dur=%.3f, total;dur=%.3f" % (auth_ms, own_ms, total_ms)
        attempts, judged, limit_ns = self.attempts, self.judgement, self.limit_ns
        judged_ns = 0 if judged is None else judged.end_ns - judged.start_ns
        route_ns = planned_ns - identified_ns - self.body_ns - judged_ns - limit_ns
        # One form for all of them: 1.6 us, 2.1 put together from texts.
        form = _TIMINGS[judged is not None, bool(attempts)]
        # Also where no limit holds, so that who reads the header finds the same stages in every answer.
        spent_ms = [auth_ms, max(0, route_ns) / _NS_PER_MS, limit_ns / _NS_PER_MS]
        if judged is not None:
            spent_ms.append(judged_ns / _NS_PER_MS)
        if attempts:
            upstream_ms = (now_ns - attempts[0].start_ns) / _NS_PER_MS
            return form % (*spent_ms, upstream_ms, own_ms, total_ms, len(attempts))
        return form % (*spent_ms, own_ms, total_ms)

    def unix_ns(self, monotonic_ns: int) -> int:
        """A monotonic time of this call as Unix time in nanoseconds."""
        return self.started_at_ns + monotonic_ns - self.start_ns

    def traceparent(self) -> str:
        """The header for the caller: our SERVER span."""
        return format_traceparent(self.trace_id, self.span_id, self.flags)

    def propagation(self, attempt: AttemptTrace) -> Mapping[str, str]:
        """The headers for a provider that takes part in the trace: the attempt's span.

        Where no spans are made, the caller's own span, so that the provider's have a parent that exists.
        """
        if self.telemetry.makes_spans:
            span_id = attempt.span_id
        elif self.parent is not None:
            span_id = self.parent.span_id
        else:
            return {}
        headers = {"traceparent": format_traceparent(self.trace_id, span_id, self.flags)}
        if self.parent is None and self.telemetry.sampling.is_plain:
            return headers
        if state := self.telemetry.head_state(self.trace_id, self.parent):
            headers["tracestate"] = state
        return headers


def begin_trace(
    client: Client,
    endpoint: Endpoint | None,
    *,
    request_id: str,
    config_version: str,
    random: Random,
    telemetry: TelemetryPlan = PLAIN,
) -> CallTrace:
    """Begin the notes of a call, continuing the caller's trace if it sent a good one."""
    headers = client.headers
    parents = headers.get_all("traceparent")
    parent = parse_trace_context(parents, headers.get_all("tracestate")) if parents else None
    trace_id = parent.trace_id if parent else _new_id(random, 16)
    method = client.method
    return CallTrace(
        trace_id,
        _new_id(random, 8),
        parent,
        telemetry.head_flags(trace_id, parent),
        request_id,
        config_version,
        time.time_ns(),
        time.perf_counter_ns(),
        # A method is what the caller writes; span names must not be.
        method if method in _METHODS else OTHER_METHOD,
        client.path,
        client.route,
        client.scheme,
        client.server_address,
        client.server_port,
        client.peer_address,
        headers.get("user-agent") or "",
        endpoint,
        random,
        headers,
        telemetry,
    )


def _new_id(random: Random, length: int) -> bytes:
    """A random id; all zeros, which means none, is never given."""
    while True:
        number = random.getrandbits(8 * length)
        if number:
            return number.to_bytes(length, "big")
