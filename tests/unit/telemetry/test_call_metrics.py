"""What calls add to the metrics."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.endpoints.catalogue import EMBEDDING
from gateway.endpoints.openai_reply import ReplyFacts
from gateway.errors import ClientDisconnected
from gateway.model import LimitNote, Plan, RouteFacts, Usage
from gateway.telemetry.call_metrics import MAX_SETS, OTHER, CallMetrics
from gateway.telemetry.call_notes import CallNotes
from gateway.telemetry.call_trace import CallTrace
from gateway.telemetry.metadata_labels import MetadataLabels
from gateway.wire.frames import MetricPoint, MetricPoints, encode_payload
from tests.unit.doubles import FakePermit
from tests.unit.makers import TARGET, TokenPrice, make_call, make_target
from tests.unit.telemetry.traces import (
    MS,
    PRICED,
    add_attempt,
    make_answered_trace,
    make_planned_trace,
    make_trace,
)

GEN_AI = "gen_ai.client.inference"
COST = "ai_gateway_request_cost_total"


def measured(*traces: CallTrace, max_sets: int = 100) -> list[MetricPoint]:
    metrics = CallMetrics(max_sets=max_sets)
    for trace in traces:
        metrics.record(trace)
    return metrics.points(is_full=True)


def one(points: list[MetricPoint], name: str) -> MetricPoint:
    [point] = [point for point in points if point.name == name]
    return point


def names_of(points: list[MetricPoint]) -> set[str]:
    return {point.name for point in points}


def test_cost() -> None:
    """The sum of what is known; no point where nothing is, as an unknown cost is not 0."""
    cost = one(
        measured(make_answered_trace(PRICED), make_answered_trace(), make_answered_trace(PRICED)), COST
    )
    assert cost.labels == (TARGET.name, "app", "default")
    assert cost.values == pytest.approx([22e-6])
    assert COST not in names_of(measured(make_answered_trace()))


def make_stream(*, chunks: int = 5, output_tokens: int | None = 11) -> CallTrace:
    """A stream: first piece 20 ms after the attempt's start, which is 10 ms into the call; end at 60 ms."""
    trace = make_answered_trace()
    attempt = trace.attempts[0]
    attempt.first_chunk_ns, attempt.chunks = 30 * MS, chunks
    attempt.usage = Usage(3, output_tokens, "provider")
    return trace


def test_a_call_and_its_attempt() -> None:
    """TrueFoundry's names by model and caller, GenAI's by the CLIENT span's attributes."""
    points = measured(make_answered_trace(), make_answered_trace())
    requests = one(points, "ai_gateway_requests_total")
    assert (requests.labels, requests.values) == ((TARGET.name, "app", "default"), [2])
    assert one(points, "ai_gateway_input_tokens_total").values == [6]
    assert one(points, "ai_gateway_output_tokens_total").values == [8]
    processing = one(points, "ai_gateway_request_processing_ms").values
    assert (sum(processing[:-1]), processing[-1]) == (2, 200.0)
    duration = one(points, f"{GEN_AI}.duration")
    assert duration.labels == (
        *("chat", TARGET.provider, TARGET.model_id, "small-1-0125", TARGET.address, str(TARGET.port), ""),
    )
    assert sum(duration.values[:-1]) == 2
    assert duration.values[-1] == pytest.approx(0.1)
    assert one(points, f"{GEN_AI}.usage.input_tokens").values == [6]
    assert one(points, f"{GEN_AI}.usage.output_tokens").values == [8]
    assert one(points, f"{GEN_AI}.usage.cache_read.input_tokens").values == [4]
    assert one(points, f"{GEN_AI}.usage.reasoning.output_tokens").values == [2]
    assert sum(one(points, f"{GEN_AI}.operation.input_tokens").values[:-1]) == 2


def test_tokens_written_to_a_cache() -> None:
    """Where the provider reports them."""
    trace = make_answered_trace()
    trace.attempts[0].usage = Usage(3, 4, "provider", cache_write_input_tokens=2)
    assert one(measured(trace), f"{GEN_AI}.usage.cache_write.input_tokens").values == [2]


def test_streams_have_times_of_their_pieces() -> None:
    """From the head for the caller, from the attempt for the provider; the average gap counts for each."""
    points = measured(make_stream())
    assert one(points, "ai_gateway_first_token_latency_ms").values[-1] == 30
    assert one(points, "ai_gateway_inter_token_latency_ms").values[-1] == 3
    assert one(points, f"{GEN_AI}.time_to_first_chunk").values[-1] == 0.02
    gaps = one(points, f"{GEN_AI}.time_per_output_chunk").values
    assert (sum(gaps[:-1]), gaps[0]) == (4, 4)
    assert gaps[-1] == pytest.approx(0.03)


def test_a_stream_of_one_piece_has_no_gaps() -> None:
    """Nothing is divided by none."""
    points = measured(make_stream(chunks=1, output_tokens=1))
    assert f"{GEN_AI}.time_per_output_chunk" not in names_of(points)
    assert sum(one(points, "ai_gateway_inter_token_latency_ms").values) == 0


def test_what_is_not_streamed_has_no_such_times() -> None:
    """A metric that never applied is absent, not zero."""
    assert not {
        name for name in names_of(measured(make_answered_trace())) if "chunk" in name or "token_lat" in name
    }


def test_values_at_a_bound_belong_below_it() -> None:
    """Buckets are `less or equal`."""
    trace = make_answered_trace()
    trace.end_ns = 10 * MS
    assert one(measured(trace), "ai_gateway_request_processing_ms").values[:3] == [0, 1, 0]


def test_embeddings_are_no_inference() -> None:
    """Their duration has the name for other operations."""
    trace = make_answered_trace()
    trace.endpoint = EMBEDDING
    points = measured(trace)
    assert one(points, "gen_ai.client.operation.duration").labels[0] == "embeddings"
    assert f"{GEN_AI}.duration" not in names_of(points)


def test_failed_tries_are_counted_by_reason() -> None:
    """Each try that failed, also when a later one was good."""
    trace = make_planned_trace()
    add_attempt(trace).failed("upstream_unreachable", "m")
    refused = add_attempt(trace)
    refused.status_code = 429
    refused.failed("429", "m")
    add_attempt(trace).answered(ReplyFacts("", "", (), Usage(None, None, "estimated")))
    trace.end_ns = 100 * MS
    failures = [point for point in measured(trace) if "failure" in point.name]
    assert [(point.labels[3:], point.values) for point in failures] == [
        (("none", "upstream_unreachable"), [1]),
        (("429", "429"), [1]),
    ]


def test_a_caller_that_left_is_no_failure_of_the_model() -> None:
    """But a call and an attempt."""
    trace = make_planned_trace()
    add_attempt(trace).failed(ClientDisconnected.error_type, "m")
    trace.end_ns = 100 * MS
    points = measured(trace)
    assert "ai_gateway_request_model_inference_failure_total" not in names_of(points)
    assert one(points, f"{GEN_AI}.duration").labels[-1] == "client_disconnected"


def test_models_that_nobody_configured_are_one() -> None:
    """What callers make up never becomes a label."""
    traces = [make_trace(path=f"/{number}") for number in range(3)]
    for number, trace in enumerate(traces):
        trace.call = make_planned_trace(model=f"junk-{number}").call
        trace.end_ns = MS
    assert one(measured(*traces), "ai_gateway_requests_total").labels == (OTHER, "", "default")


def test_models_that_no_integration_lists() -> None:
    """Called by the account's name: what answered is told by its own, what a caller may make up is one."""
    traces = [make_answered_trace(replace(TARGET, name="acct", model_id=f"m-{number}")) for number in (1, 2)]
    junk = [make_answered_trace(replace(TARGET, name="acct", model_id=f"junk-{number}")) for number in (1, 2)]
    for trace in junk:
        trace.attempts[0].failed("404", "no such model")
    points = measured(*traces, *traces, *junk)
    durations = {
        point.labels[2]: sum(point.values[:-1]) for point in points if point.name == f"{GEN_AI}.duration"
    }
    assert durations == {"m-1": 2, "m-2": 2, OTHER: 2}


def test_servers_of_one_account() -> None:
    """By whose name both are called."""
    traces = [
        make_answered_trace(replace(TARGET, name="acct", base_url=f"http://host:{port}/v1", port=port))
        for port in (8000, 8001)
    ]
    ports = {point.labels[5] for point in measured(*traces) if point.name == f"{GEN_AI}.duration"}
    assert ports == {"8000", "8001"}


def test_a_planned_call_without_an_attempt_has_its_model() -> None:
    """As one whose secret is missing."""
    trace = make_planned_trace()
    trace.end_ns = MS
    assert one(measured(trace), "ai_gateway_requests_total").labels[0] == TARGET.name


def test_routes_without_a_model_are_not_counted() -> None:
    """The list of models and paths that do not exist are no calls of a model."""
    assert measured(make_trace(endpoint=None)) == []


def test_label_sets_are_bounded_and_the_rest_is_counted() -> None:
    """Beyond the bound everything is `other`, and a number says how often."""
    traces = []
    for number in range(5):
        target = replace(TARGET, name=f"main/m{number}", model_id=f"m{number}")
        trace = make_planned_trace(target)
        add_attempt(trace, target).failed("500", "m")
        trace.end_ns = MS
        traces.append(trace)
    points = measured(*traces, max_sets=2)
    requests = {point.labels: point.values for point in points if point.name == "ai_gateway_requests_total"}
    assert requests[OTHER, OTHER, "default"] == [3]
    assert len(requests) == 3
    others = [point for point in points if point.name == f"{GEN_AI}.duration" and point.labels[2] == OTHER]
    assert [sum(point.values[:-1]) for point in others] == [3]
    overflows = {point.labels: point.values for point in points if point.name == "gateway.metrics.overflows"}
    assert overflows == {("calls",): [3], ("attempts",): [3], ("failures",): [3]}


def test_good_calls_beyond_the_bound_are_counted_each_time() -> None:
    """What is found quickly for calls like one before is never the group that many share."""
    traces = [
        make_answered_trace(replace(TARGET, name=f"main/m{number}", model_id=f"m{number}"))
        for number in range(3)
    ]
    points = measured(*traces, *traces, max_sets=2)
    requests = {
        point.labels[0]: point.values for point in points if point.name == "ai_gateway_requests_total"
    }
    assert requests == {"main/m0": [2], "main/m1": [2], OTHER: [2]}
    overflows = {point.labels: point.values for point in points if point.name == "gateway.metrics.overflows"}
    assert overflows == {("calls",): [2], ("attempts",): [2]}


def test_a_name_may_be_another_target_under_another_configuration() -> None:
    """So is what its calls are counted as."""
    before, after = make_answered_trace(), make_answered_trace(replace(TARGET, provider="other"))
    after.config_version = "v2"
    points = measured(before, after, before)
    durations = {
        point.labels[1]: sum(point.values[:-1]) for point in points if point.name == f"{GEN_AI}.duration"
    }
    assert durations == {TARGET.provider: 2, "other": 1}


ROUTE = RouteFacts("vm/chat", "weight-based-routing")
ROUTED = "ai_gateway_load_balanced_requests_total"


def make_routed_trace(*, route: RouteFacts = ROUTE) -> CallTrace:
    trace = make_answered_trace(PRICED)
    trace.plan = Plan((PRICED,), (PRICED.name, "acct/other"), route=route)
    return trace


def test_routed_calls_are_counted_by_route() -> None:
    """Beside the others; calls of models that were named themselves are not."""
    rule = RouteFacts("rule-1", "weight-based-routing", is_rule=True)
    points = measured(
        make_answered_trace(), make_routed_trace(), make_routed_trace(), make_routed_trace(route=rule)
    )
    assert [(point.labels, point.values) for point in points if point.name == ROUTED] == [
        ((PRICED.name, "app", "default", "vm/chat"), [2]),
        ((PRICED.name, "app", "default", "rule-1"), [1]),
    ]
    assert ROUTED not in names_of(measured(make_answered_trace()))


def test_routes_are_bounded() -> None:
    """As all label sets are."""
    traces = [make_routed_trace(route=RouteFacts(f"vm/{number}", "x")) for number in range(5)]
    points = measured(*traces, max_sets=2)
    assert [point.values for point in points if point.name == ROUTED and OTHER in point.labels] == [[3]]
    assert [point.values for point in points if point.labels == ("routes",)] == [[3]]


def test_routed_calls_have_the_labels_of_metadata() -> None:
    """As the other metrics of calls."""
    metrics = CallMetrics(metadata=MetadataLabels(("team",)))
    trace = make_routed_trace()
    trace.notes = CallNotes(metadata={"team": "a"})
    metrics.record(trace)
    assert one(metrics.points(is_full=True), ROUTED).labels[4:] == ("llm_gateway_metadata_team=a",)


def test_a_route_without_a_target_left_has_its_own_name() -> None:
    """It is of the configuration, so no caller makes label sets with it."""
    trace = make_planned_trace(model="vm/chat")
    trace.plan = Plan((), ("a/b",), route=ROUTE)
    trace.end_ns = MS
    points = measured(trace)
    assert one(points, "ai_gateway_requests_total").labels[0] == "vm/chat"
    assert one(points, ROUTED).labels == ("vm/chat", "app", "default", "vm/chat")


def test_what_lost_has_spent_and_not_answered() -> None:
    """The call is the answer's; what the other one cost counts for its own model, and is no failure."""
    trace = make_routed_trace()
    answer = trace.attempts[0]
    other = make_target("acct/other", price=TokenPrice())
    loser = add_attempt(trace, other)
    loser.used(Usage(5, 0, "partial"))
    loser.lost()
    trace.answered_by(answer)
    points = measured(trace)
    by_name = {
        name: {point.labels[0]: point.values for point in points if point.name == name}
        for name in ("ai_gateway_requests_total", "ai_gateway_input_tokens_total", COST)
    }
    assert by_name == {
        "ai_gateway_requests_total": {PRICED.name: [1], other.name: [0]},
        "ai_gateway_input_tokens_total": {PRICED.name: [3], other.name: [5]},
        COST: {PRICED.name: [11e-6], other.name: [5e-6]},
    }
    assert "ai_gateway_request_model_inference_failure_total" not in names_of(points)
    errors = [point.labels[-1] for point in points if point.name == f"{GEN_AI}.duration"]
    assert sorted(errors) == ["", "hedge_lost"]


def test_model_that_judges_has_spent_and_not_answered() -> None:
    """Its tokens and its cost count for it, its time is that of a chat, and it answered no call."""
    trace = make_routed_trace()
    judge = make_target("acct/judge", model_id="judge-1", price=TokenPrice())
    assert trace.plan is not None
    asked = trace.judging(trace.plan, judge, make_call())
    asked.used(Usage(100, 1, "provider"))
    asked.failed("500", "no")
    asked.ended()
    points = measured(trace)
    assert {point.labels[0]: point.values for point in points if point.name == COST} == {
        PRICED.name: [11e-6],
        judge.name: [102e-6],
    }
    requests = {p.labels[0]: p.values for p in points if p.name == "ai_gateway_requests_total"}
    assert requests == {PRICED.name: [1], judge.name: [0]}
    failures = [p for p in points if p.name == "ai_gateway_request_model_inference_failure_total"]
    assert [point.labels[0] for point in failures] == [judge.name]
    durations = [p.labels for p in points if p.name == f"{GEN_AI}.duration" and "judge-1" in p.labels]
    assert [labels[0] for labels in durations] == ["chat"]


def test_metadata_makes_label_sets_of_calls() -> None:
    """Beside the others, on calls and failures, bounded as they are; attempts have none."""
    traces = [make_answered_trace() for _ in range(4)]
    for trace, team in zip(traces, ("a", "b", "b", "x" * 200), strict=True):
        trace.notes = CallNotes(metadata={"team": team})
        trace.attempts[0].failed("429", "m")
    metrics = CallMetrics(max_sets=3, metadata=MetadataLabels(("team",)))
    for trace in [*traces, make_answered_trace()]:
        metrics.record(trace)
    points = metrics.points(is_full=True)
    teams = ["llm_gateway_metadata_team=a", "llm_gateway_metadata_team=b"]
    long = "llm_gateway_metadata_team=" + "x" * 128
    requests = [point for point in points if point.name == "ai_gateway_requests_total"]
    assert [(point.labels[3:], point.values) for point in requests] == [
        ((teams[0],), [1]),
        ((teams[1],), [2]),
        ((long,), [1]),
        ((), [1]),
    ]
    assert requests[-1].labels == (OTHER, OTHER, "default")
    failures = [point for point in points if "failure" in point.name]
    assert [point.labels[5:] for point in failures] == [(teams[0],), (teams[1],), (long,)]
    assert {point.labels[7:] for point in points if point.name.startswith("gen_ai")} == {()}


def test_labels_can_be_written() -> None:
    """What UTF-8 cannot carry (half a surrogate pair, which JSON may escape) is replaced, as on the span."""
    trace = make_answered_trace()
    trace.attempts[0].response_model = "m\ud800"
    points = measured(trace)
    assert one(points, f"{GEN_AI}.duration").labels[3] == "m?"
    assert encode_payload(MetricPoints(True, points))


def test_long_labels_are_cut() -> None:
    """A provider may name its model as it likes."""
    trace = make_answered_trace()
    trace.attempts[0].response_model = "x" * 1000
    assert one(measured(trace), f"{GEN_AI}.duration").labels[3] == "x" * 128


def test_only_changes_are_given_again() -> None:
    """A label set that saw nothing since the last time costs nothing."""
    metrics = CallMetrics()
    metrics.record(make_answered_trace())
    assert metrics.points(is_full=False)
    assert metrics.points(is_full=False) == []
    assert metrics.points(is_full=True)


def test_points_keep_their_values() -> None:
    """What was handed over does not change under its taker."""
    metrics = CallMetrics()
    metrics.record(make_answered_trace())
    point = one(metrics.points(is_full=True), f"{GEN_AI}.duration")
    before = list(point.values)
    metrics.record(make_answered_trace())
    assert point.values == before


def test_two_configurations_of_one_name_are_two_sets() -> None:
    """After a reload the labels are those of the target that was called."""
    trace = make_planned_trace()
    other = replace(TARGET, model_id="newer")
    add_attempt(trace)
    add_attempt(trace, other)
    trace.end_ns = 100 * MS
    found = {point.labels[2] for point in measured(trace) if point.name == f"{GEN_AI}.duration"}
    assert found == {TARGET.model_id, "newer"}


def limited(*notes: LimitNote) -> CallTrace:
    trace = make_answered_trace(PRICED)
    trace.permit = FakePermit(*notes)
    return trace


def said(rule: str, outcome: Any = "allowed", *, is_budget: bool = False) -> LimitNote:
    return LimitNote(rule, "requests", is_budget, outcome, "", 10, 3, 1.0)


def test_limits_are_counted_by_rule() -> None:
    """A call counts once for each rule that holds for it; those without room are counted apart."""
    points = measured(
        make_answered_trace(),
        limited(said("a"), said("a"), said("b", is_budget=True)),
        limited(said("a", "refused"), said("a"), said("b", "exceeded", is_budget=True)),
        limited(),
    )
    found = {
        (point.name, point.labels): point.values
        for point in points
        if "_limit_" in point.name or "_budget_" in point.name
    }
    labels = (PRICED.name, "app", "default")
    assert found == {
        ("ai_gateway_rate_limit_nominated_total", (*labels, "a")): [2],
        ("ai_gateway_rate_limit_applied_total", (*labels, "a")): [1],
        ("ai_gateway_budget_nominated_total", (*labels, "b")): [2],
        ("ai_gateway_budget_applied_total", (*labels, "b")): [1],
    }


def test_a_rule_that_is_asked_again_counts_once() -> None:
    """A call whose next target takes more of the same rule is one call of that rule."""
    trace = limited(said("a"))
    assert isinstance(trace.permit, FakePermit)
    trace.permit.said = (*trace.permit.said, *FakePermit(said("a"), said("b")).said)
    found = {point.labels[-1]: point.values for point in measured(trace) if "_nominated_" in point.name}
    assert found == {"a": [1], "b": [1]}


def test_limits_are_counted_once_however_often_they_are_told() -> None:
    """Calls that came between two tellings are in the second, beside those before."""
    metrics = CallMetrics()
    name = "ai_gateway_rate_limit_nominated_total"
    found = []
    for calls in (2, 0, 1):
        for _ in range(calls):
            metrics.record(limited(said("a")))
        found.append([point.values for point in metrics.points(is_full=False) if point.name == name])
    assert found == [[[2]], [], [[3]]]


def test_what_is_to_be_told_of_limits_is_bounded() -> None:
    """Beyond the bound of label sets each call is new, and while control is away nobody asks."""
    metrics = CallMetrics(max_sets=1)
    trace = limited(said("a"), said("b"))
    for _ in range(MAX_SETS + 1):
        metrics.record(trace)
    assert len(metrics._uncounted) == 1
    found = {
        point.labels[-1]: point.values for point in metrics.points(is_full=True) if "nominated" in point.name
    }
    assert found == {"a": [MAX_SETS + 1], OTHER: [MAX_SETS + 1]}


def test_rules_on_limits_are_bounded() -> None:
    """As all label sets are; budgets and rate limits have each their own `other`."""
    points = measured(
        *[limited(said(f"r{number}"), said(f"b{number}", is_budget=True)) for number in range(5)], max_sets=2
    )
    others = {
        point.name: point.values for point in points if "nominated" in point.name and OTHER in point.labels
    }
    assert others == {
        "ai_gateway_rate_limit_nominated_total": [4],
        "ai_gateway_budget_nominated_total": [4],
    }
