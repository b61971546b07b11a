"""What Elastic makes of the gateway's calls, against golden files, without an Elastic or a server.

`make golden` rewrites the files; the diff is the review. The calls are those of `tests/golden/calls`, encoded
and batched as for a destination, decoded by protobuf, and read by the rules of `tests/rig/elastic_view.py`.
Ids become their number in the trace, times and our version their type.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from gateway.delivery.batch import Batcher, BatchLimits
from gateway.delivery.selection import Selection
from gateway.errors import UpstreamUnreachable
from gateway.telemetry.call_trace import CallTrace
from gateway.telemetry.resource import worker_resource
from gateway.wire.frames import Frame
from tests.golden.calls.test_calls import CASES as CALLS
from tests.golden.calls.test_calls import JSON, SSE, TEXT_STREAM, Case, call, reply
from tests.golden.conftest import Compare
from tests.rig.elastic_view import Dependency, Document, Event, documents
from tests.rig.frame_reader import encode_call
from tests.unit.doubles import FakeReply

FOLDER: Final = Path(__file__).parent
TRACE_ID: Final = "0af7651916cd43dd8448eb211c80319c"
CALLER_SPAN: Final = "b7ad6b7169203331"
CALLERS_TRACE: Final = (("traceparent", f"00-{TRACE_ID}-{CALLER_SPAN}-01"), ("tracestate", "vendor=1"))
CASES: Final = {
    **{
        name: CALLS[name]
        for name in (
            "plain_chat",
            "stream",
            "tool_calls",
            "retry_then_success",
            "fallback",
            "hedge",
            "none_left",
            "client_abort",
            "upstream_500",
            "embeddings",
            "messages",
            "messages_stream",
            "chat_to_claude",
            "claude_overloaded",
            "claude_files",
            "files",
            "responses",
            "responses_to_chat",
            "responses_to_claude",
        )
    },
    "unknown_model": Case(list, {"model": "acct/none"}),
    "joined_trace": Case(lambda: [reply(content="Hello")], headers=CALLERS_TRACE),
}
REFUSED: Final = Case(lambda: [FakeReply(400, JSON, b'{"error":{"message":"no such parameter"}}')])
UNREACHABLE: Final = CALLS["every_name_failed"]
CUT: Final = Case(
    lambda: [FakeReply(200, SSE, *TEXT_STREAM[:2], UpstreamUnreachable("gone"))], {"stream": True}
)
EVERY_CASE: Final = {**CALLS, **CASES, "refused": REFUSED, "cut": CUT}
CONTENT: Final = (
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.system_instructions",
    "gen_ai.tool.definitions",
)
WHOLE_NUMBERS: Final = ("gateway.attempt", "gateway.attempts", "server.port", "http.response.status_code")
FRACTIONS: Final = (
    "gateway.cost_usd",
    "gateway.overhead_ms",
    "gen_ai.usage.cost",
    "gen_ai.request.temperature",
    "gen_ai.request.top_p",
    "gen_ai.response.time_to_first_chunk",
)


def request_of(trace: CallTrace, selection: Selection) -> ExportTraceServiceRequest:
    """The request that control would send of this call alone."""
    resource = worker_resource(
        "worker-1", host="host-1", pid=7, environ={"OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=prod"}
    )
    batcher = Batcher("test", BatchLimits(), {}, 0)
    batcher.add(1, Frame("worker-1", 1, 1, "v1", resource, [encode_call(trace)]), selection.choose)
    return ExportTraceServiceRequest.FromString(batcher.take().body)


async def view(case: Case, selection: Selection = Selection()) -> list[Document]:  # noqa: B008 - frozen
    return documents(request_of(await call(case), selection))


def shown(found: list[Document]) -> list[dict[str, Any]]:
    """The documents without what differs between runs and without the attributes, which `calls` holds."""
    numbers: dict[str, str] = {"": ""}
    items = []
    for one in found:
        item = asdict(one)
        del item["attributes"]
        for key in ("trace_id", "parent_id", "id"):
            item[key] = numbers.setdefault(item[key], str(len(numbers)))
        item["duration_us"] = type(one.duration_us).__name__
        for key in ("version", "agent_version"):
            item["service"][key] = type(item["service"][key]).__name__
        items.append(item)
    return items


@pytest.mark.parametrize("name", CASES)
async def test_view_is_golden(name: str, compare: Compare) -> None:
    """The call's documents in the order they are sent."""
    text = json.dumps(shown(await view(CASES[name])), indent=2, ensure_ascii=False) + "\n"
    compare(FOLDER / f"{name}.json", text)


def test_every_file_has_its_case() -> None:
    """A golden file that nothing compares with says nothing."""
    assert {file.stem for file in FOLDER.glob("*.json")} == set(CASES)


@pytest.mark.parametrize("name", EVERY_CASE)
async def test_every_call_is_one_request_and_its_calls_out(name: str) -> None:
    """One transaction of type request; below it each attempt, typed genai, an edge of the service map."""
    case = EVERY_CASE[name]
    first, *rest = await view(case)
    assert (first.event, first.type, first.dependency) == (Event.TRANSACTION, "request", None)
    assert first.is_root is (dict(case.headers).get("traceparent") is None)
    asked = case.targets if case.judge is None else (case.judge, *case.targets)
    targets = {name: target for target in asked for name in (target.name, target.account)}
    for one in rest:
        target = targets[one.attributes["gateway.target"]]
        assert (one.event, one.type, one.subtype) == (Event.SPAN, "genai", target.provider)
        assert one.dependency == Dependency("", target.peer, target.peer)
        assert (one.parent_id, one.trace_id) == (first.id, first.trace_id)


async def test_a_joined_trace_stays_the_callers() -> None:
    """Our SERVER span below a caller's span is a transaction, not the root, and counts once."""
    first, attempt = await view(CASES["joined_trace"])
    assert (first.event, first.type, first.is_root) == (Event.TRANSACTION, "request", False)
    assert (first.trace_id, first.parent_id) == (TRACE_ID, CALLER_SPAN)
    assert (attempt.trace_id, attempt.event) == (TRACE_ID, Event.SPAN)
    assert {first.representative_count, attempt.representative_count} == {1.0}


@pytest.mark.parametrize(
    ("case", "result", "outcome"),
    [
        pytest.param(CASES["plain_chat"], "HTTP 2xx", "success", id="200"),
        pytest.param(CASES["retry_then_success"], "HTTP 2xx", "success", id="200 in the end"),
        pytest.param(CASES["fallback"], "HTTP 2xx", "success", id="200 of the second"),
        pytest.param(CASES["hedge"], "HTTP 2xx", "success", id="200 of the quicker one"),
        pytest.param(CASES["none_left"], "HTTP 5xx", "failure", id="503 without a target"),
        pytest.param(REFUSED, "HTTP 4xx", "success", id="400 of the provider"),
        pytest.param(CASES["unknown_model"], "HTTP 4xx", "success", id="404"),
        pytest.param(CASES["upstream_500"], "HTTP 5xx", "failure", id="500"),
        pytest.param(UNREACHABLE, "HTTP 5xx", "failure", id="502"),
        pytest.param(CUT, "HTTP 2xx", "failure", id="200, but cut"),
        pytest.param(CASES["claude_overloaded"], "HTTP 5xx", "failure", id="529 of Anthropic"),
        pytest.param(CASES["claude_files"], "HTTP 2xx", "success", id="200 of what is passed through"),
    ],
)
async def test_outcome_of_the_request(case: Case, result: str, outcome: str) -> None:
    """What the caller did wrong is no failure of the service; what we or the provider did is."""
    first = (await view(case))[0]
    assert (first.result, first.outcome) == (result, outcome)


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        pytest.param(CASES["plain_chat"], [], id="no failure"),
        pytest.param(CASES["client_abort"], [], id="leaving is no failure"),
        pytest.param(CASES["unknown_model"], [], id="a mistake of the caller"),
        pytest.param(CASES["upstream_500"], ["500"], id="a bad answer"),
        pytest.param(CASES["retry_then_success"], ["upstream_unreachable"], id="made good by a retry"),
        pytest.param(CASES["fallback"], ["503"], id="made good by another target"),
        pytest.param(CASES["hedge"], [], id="losing is no failure"),
        pytest.param(CASES["none_left"], ["no_target_available"], id="nobody was asked"),
        pytest.param(REFUSED, ["400"], id="the provider's refusal"),
        pytest.param(CUT, ["upstream_unreachable"], id="cut while streaming"),
        pytest.param(CASES["claude_overloaded"], ["529"], id="Anthropic has too much to do"),
        pytest.param(UNREACHABLE, ["upstream_unreachable"] * 2, id="each attempt"),
        pytest.param(replace(CASES["plain_chat"], script=list), ["internal_error"], id="our own mistake"),
    ],
)
async def test_each_failure_is_one_error(case: Case, expected: list[str]) -> None:
    """The attempt that failed has the error; the request above it does not repeat it."""
    errors = [error for one in await view(case) for error in one.errors]
    assert [error.exception_type for error in errors] == expected
    assert all(error.grouping_name for error in errors)


@pytest.mark.parametrize("name", EVERY_CASE)
async def test_a_failed_span_has_its_error_somewhere(name: str) -> None:
    """Whoever opens a failed request finds why, on it or on an attempt below it."""
    found = await view(EVERY_CASE[name])
    if any(one.outcome == "failure" for one in found):
        assert any(one.errors for one in found)


@pytest.mark.parametrize("name", EVERY_CASE)
async def test_numbers_are_numbers(name: str) -> None:
    """Elastic keeps the type that it sees first of a key, so each key has one."""
    for one in await view(EVERY_CASE[name]):
        for key, value in one.attributes.items():
            if key in WHOLE_NUMBERS or key.endswith(("_tokens", ".count")):
                assert type(value) is int, key
            if key in FRACTIONS:
                assert type(value) is float, key


@pytest.mark.parametrize("name", [name for name in CALLS if name.startswith("content_")])
async def test_messages_are_one_text_of_json(name: str) -> None:
    """A structured value beside a text of one key would make Elastic drop documents."""
    found = await view(EVERY_CASE[name])
    said = [(key, one.attributes[key]) for one in found for key in CONTENT if key in one.attributes]
    assert {"gen_ai.input.messages", "gen_ai.output.messages"} <= {key for key, _ in said}
    for key, value in said:
        assert isinstance(value, str), key
        assert isinstance(json.loads(value), list), key
    assert not set(CONTENT) & set(found[0].attributes)


async def test_content_stays_away_when_it_is_not_wanted() -> None:
    """A destination without content gets the same documents otherwise."""
    case = CALLS["content_chat"]
    without = await view(case, Selection(has_content=False))
    assert not any(set(CONTENT) & set(one.attributes) for one in without)
    assert shown(without) == shown(await view(case))


@pytest.mark.parametrize(
    ("selection", "headers", "expected"),
    [
        pytest.param(Selection(sampling_ratio=1.0), (), 1.0, id="all"),
        pytest.param(Selection(sampling_ratio=2**-56), (), 1.0, id="kept in spite of the ratio"),
        pytest.param(
            Selection(sampling_ratio=0.25, is_parent_based=False),
            (CALLERS_TRACE[0], ("tracestate", "vendor=1,ot=th:e;rv:ffffffffffffff")),
            4.0,
            id="one of four, whatever the caller took",
        ),
        pytest.param(Selection(sampling_ratio=0.25), CALLERS_TRACE, 1.0, id="caller does not say"),
        pytest.param(
            Selection(sampling_ratio=0.25),
            (CALLERS_TRACE[0], ("tracestate", "ot=th:e;rv:ffffffffffffff")),
            8.0,
            id="the caller took one of eight",
        ),
    ],
)
async def test_sampled_calls_stand_for_those_left_out(
    selection: Selection, headers: tuple[tuple[str, str], ...], expected: float
) -> None:
    """Elastic scales its counts by the threshold that control notes."""
    found = await view(replace(CASES["plain_chat"], headers=headers), selection)
    assert [one.representative_count for one in found] == [expected] * 2
