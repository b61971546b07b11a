"""The spans of calls through the pipeline, against golden files: every attribute, decoded by protobuf.

`make golden` rewrites the files; the diff is the review. Without a server or a tool, so that they run
everywhere: caller and provider are doubles. What differs between runs (times) is replaced by its type.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, Final, cast

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from gateway.endpoints.catalogue import CHAT, COMPLETION, EMBEDDING, MESSAGES, RESPONSE
from gateway.endpoints.openai_paths import PROXY, find_openai_path
from gateway.errors import UpstreamUnreachable
from gateway.identity.tokens import Identity
from gateway.model import Caller, Endpoint, FallbackPolicy, Outcome, RetryPolicy, SkipReason, Target
from gateway.pass_through import Asked, PassThrough
from gateway.pipeline import CurrentSnapshot, Pipeline
from gateway.routing.accounts import Accounts
from gateway.routing.complexity import Complexity, Judge
from gateway.routing.direct import Routing
from gateway.routing.priority import Priority
from gateway.routing.route import Candidate, HealthView, Route
from gateway.snapshot import Snapshot
from gateway.telemetry.call_trace import CallTrace
from gateway.telemetry.plan import PLAIN, ContentRules, Redaction, TelemetryPlan
from gateway.wire.frames import SpanSegments
from tests.golden.conftest import Compare
from tests.rig.frame_reader import encode_call
from tests.unit.doubles import FakeClient, FakeHealth, FakeReply, FakeUpstream
from tests.unit.makers import TOKEN, TokenPrice, attributes_of, make_credential, make_target

FOLDER: Final = Path(__file__).parent
TARGET: Final = make_target(
    retry=RetryPolicy(1, 0, frozenset({502})), fallback=FallbackPolicy(frozenset({503}))
)
BACKUP: Final = make_target(
    "lab/small",
    model_id="small-b",
    provider="vllm",
    peer="lab",
    base_url="http://vllm.test:8000/v1",
    address="vllm.test",
    port=8000,
    headers=(),
)
SPARE: Final = make_target("acct/large", model_id="large-1", price=TokenPrice())
VIRTUAL: Final = "vm/small"
CLAUDE_IS: Final[dict[str, Any]] = {
    "model_id": "claude-x",
    "provider": "anthropic",
    "peer": "anthropic",
    "base_url": "https://claude.test/v1",
    "address": "claude.test",
    "dialect": "anthropic",
}
CLAUDE: Final = make_target(**CLAUDE_IS)
FILES: Final = cast("Endpoint", find_openai_path("/files"))
JSON: Final = {"content-type": "application/json"}
SSE: Final = {"content-type": "text/event-stream"}
USAGE: Final = {
    "prompt_tokens": 9,
    "completion_tokens": 4,
    "prompt_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 2},
}
RECORDING: Final = TelemetryPlan(
    content=ContentRules(Redaction(), by_default=True, obeys_header=False, max_bytes=32_768)
)
EVERYTHING: Final = TelemetryPlan(
    has_old_names=True,
    has_tfy_names=True,
    captured_headers=("x-team",),
    captured_baggage=("tenant",),
    content=RECORDING.content,
)
TOOLS: Final = [
    {
        "type": "function",
        "function": {"name": "weather", "description": "Now.", "parameters": {"type": "object"}},
    }
]
TIMES: Final = frozenset(
    {
        "gateway.overhead_ms",
        "gen_ai.response.time_to_first_chunk",
        "tfy.model.metric.latency_in_ms",
        "tfy.model.metric.time_to_first_token_in_ms",
        "tfy.model.metric.inter_token_latency_in_ms",
    }
)


def reply(**message: Any) -> FakeReply:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}
    body = {"id": "chat-1", "model": "small-1-0125", "choices": [choice], "usage": USAGE}
    return FakeReply(200, JSON, json.dumps(body).encode())


def chunks(*deltas: dict[str, Any], reason: str = "stop") -> list[bytes]:
    choices: list[Any] = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": reason})
    bodies = [{"id": "chat-1", "model": "small-1-0125", "choices": [choice]} for choice in choices]
    last = {"id": "chat-1", "choices": [], "usage": USAGE}
    return [b"data: " + json.dumps(body).encode() + b"\n\n" for body in [*bodies, last]] + [
        b"data: [DONE]\n\n"
    ]


TEXT_STREAM: Final = chunks({"role": "assistant", "content": ""}, {"content": "He"}, {"content": "llo"})
TOOL_STREAM: Final = chunks(
    {
        "role": "assistant",
        "tool_calls": [{"index": 0, "id": "c1", "function": {"name": "weather", "arguments": '{"city":'}}],
    },
    {"tool_calls": [{"index": 1, "id": "c2", "function": {"name": "weather", "arguments": "{}"}}]},
    {"tool_calls": [{"index": 0, "function": {"arguments": '"Paris"}'}}]},
    reason="tool_calls",
)


MESSAGE: Final = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x-0125",
    "content": [{"type": "text", "text": "Hello"}],
    "stop_reason": "end_turn",
    "usage": {
        "input_tokens": 2,
        "cache_read_input_tokens": 5,
        "cache_creation_input_tokens": 2,
        "output_tokens": 4,
    },
}


def events() -> list[bytes]:
    first = {**MESSAGE, "content": [], "stop_reason": None}
    tool = {"type": "tool_use", "id": "t1", "name": "weather", "input": {}}
    found: list[dict[str, Any]] = [
        {"type": "message_start", "message": first},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": tool},
        {"type": "content_block_stop", "index": 1},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 4}},
        {"type": "message_stop"},
    ]
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in found]


MESSAGE_STREAM: Final = events()
OVERLOADED: Final = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
RESPONSE_ASKED: Final[dict[str, Any]] = {
    "instructions": "Be brief.",
    "input": [
        {"role": "user", "content": "Weather?"},
        {"type": "function_call", "call_id": "c0", "name": "weather", "arguments": '{"city":"Rome"}'},
        {"type": "function_call_output", "call_id": "c0", "output": "Sun."},
    ],
    "tools": [{"type": "function", "name": "weather", "parameters": {"type": "object"}}],
    "max_output_tokens": 50,
}
RESPONSE_OUTPUT: Final[list[dict[str, Any]]] = [
    {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "Greet."}]},
    {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": "Hello", "annotations": []}],
    },
    {"id": "fc_1", "type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"},
]
RESPONSE_OBJECT: Final = {
    "id": "resp_1",
    "object": "response",
    "status": "completed",
    "model": "small-1-0125",
    "output": RESPONSE_OUTPUT,
    "usage": {
        "input_tokens": 9,
        "output_tokens": 4,
        "input_tokens_details": {"cached_tokens": 5},
        "output_tokens_details": {"reasoning_tokens": 2},
    },
}


def response_events() -> list[bytes]:
    begun = {**RESPONSE_OBJECT, "status": "in_progress", "output": [], "usage": None}
    found: list[dict[str, Any]] = [{"type": "response.created", "response": begun}]
    for index, item in enumerate(RESPONSE_OUTPUT):
        empty = {**item, "content": []} if "content" in item else item
        found.append({"type": "response.output_item.added", "output_index": index, "item": empty})
        if "content" in item:
            found.append({"type": "response.output_text.delta", "output_index": index, "delta": "Hello"})
        found.append({"type": "response.output_item.done", "output_index": index, "item": item})
    found.append({"type": "response.completed", "response": RESPONSE_OBJECT})
    return [f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in found]


RESPONSE_STREAM: Final = response_events()


@dataclass(frozen=True)
class Case:
    """One call.

    Attributes:
        script: What the providers do, exchange by exchange.
        targets: Tried in this order; the first is what is asked for.
        asked: Of a call that is passed through.
        pieces_until_left: After so many pieces of the reply the caller leaves; 0: it stays.
        targets: Of several the first is asked first; it is what is asked for where it is the only one.
        sick: Targets that are not to be asked, and `held` those that are held back when their turn comes.
        hedge: Whether the second target is asked beside the first at once.
        judge: The model that says how hard the call is: for simple ones is the first target, the others for
            complex ones.
    """

    script: Callable[[], list[Any]]
    members: dict[str, Any] = field(default_factory=dict)
    endpoint: Endpoint = CHAT
    telemetry: TelemetryPlan = PLAIN
    headers: tuple[tuple[str, str], ...] = ()
    asked: Asked | None = None
    pieces_until_left: int = 0
    targets: tuple[Target, ...] = (TARGET,)
    sick: Mapping[str, SkipReason] = field(default_factory=dict)
    held: Mapping[str, SkipReason] = field(default_factory=dict)
    hedge: bool = False
    judge: Target | None = None

    @property
    def model(self) -> str:
        """What is asked for."""
        return TARGET.name if len(self.targets) == 1 else VIRTUAL

    def routing(self) -> Routing:
        """What that name means."""
        health = FakeHealth()
        health.reasons = dict(self.sick)
        candidates = [
            Candidate(target, priority=at, tier="complex" if at else "simple")
            for at, target in enumerate(self.targets)
        ]
        hedge = AtOnce() if self.hedge else None
        strategy = Priority(Random(7)) if self.judge is None else Complexity(Judge(self.judge))
        route = Route(VIRTUAL, candidates, strategy, health, hedge_after=hedge)
        return Routing(self.targets, {VIRTUAL: route})


class AtOnce:
    """Asks the second target beside the first after a moment in which nothing comes."""

    def after_s(self, _: HealthView, __: str) -> float:
        return 0.001


class Held:
    """Holds back these targets when their turn comes."""

    def __init__(self, reasons: Mapping[str, SkipReason]) -> None:
        self._reasons = reasons

    def admit(self, target: Target) -> SkipReason | None:
        return self._reasons.get(target.name)

    def wait_s(self, _: str) -> float:
        """Nobody knows."""
        return 0.0

    def went_well(self, _: Target) -> bool:
        """All of it is wanted."""
        return True

    def ended(self, target: Target, outcome: Outcome) -> None:
        pass


NOTED: Final = (
    ("x-tfy-metadata", '{"team":"search","a.b":"c"}'),
    ("x-tfy-conversation-id", "conv-1"),
    ("x-team", "search"),
    ("traceparent", f"00-{'a' * 32}-{'b' * 16}-01"),
    ("tracestate", "vendor=1"),
    ("baggage", "tenant=m%C3%BCller;ttl=1,other=x"),
)
CASES: Final = {
    "plain_chat": Case(lambda: [reply(content="Hello")], {"temperature": 1, "max_tokens": 5}),
    "stream": Case(lambda: [FakeReply(200, SSE, *TEXT_STREAM)], {"stream": True}),
    "tool_calls": Case(
        lambda: [
            reply(
                content=None,
                tool_calls=[{"id": "c1", "function": {"name": "weather", "arguments": '{"city":"Paris"}'}}],
            )
        ],
        {"tools": TOOLS},
    ),
    "retry_then_success": Case(lambda: [UpstreamUnreachable("gone"), reply(content="Hello")]),
    "fallback": Case(
        lambda: [FakeReply(503, JSON, b'{"error":{"message":"overloaded"}}'), reply(content="Hello")],
        targets=(replace(TARGET, fallback=FallbackPolicy(frozenset({503}))), BACKUP),
    ),
    "skipped": Case(
        lambda: [reply(content="Hello")], targets=(TARGET, SPARE, BACKUP), sick={TARGET.name: "circuit"}
    ),
    "held_back": Case(
        lambda: [reply(content="Hello")], targets=(TARGET, BACKUP), held={TARGET.name: "circuit"}
    ),
    "none_left": Case(
        list, targets=(TARGET, BACKUP), sick={TARGET.name: "drained", BACKUP.name: "cool_down"}
    ),
    "hedge": Case(
        lambda: [FakeReply(200, SSE, asyncio.Event()), FakeReply(200, SSE, *TEXT_STREAM)],
        {"stream": True},
        targets=(make_target(price=TokenPrice()), SPARE),
        hedge=True,
        telemetry=EVERYTHING,
    ),
    "classified": Case(
        lambda: [reply(content="complex"), reply(content="Hello")],
        {"temperature": 1},
        targets=(TARGET, BACKUP),
        judge=SPARE,
    ),
    "client_abort": Case(
        lambda: [FakeReply(200, SSE, *TEXT_STREAM[:3], lambda: None)], {"stream": True}, pieces_until_left=1
    ),
    "upstream_500": Case(lambda: [FakeReply(500, JSON, b'{"error":{"message":"down"}}')]),
    "messages": Case(
        lambda: [FakeReply(200, JSON, json.dumps(MESSAGE).encode())],
        {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 5, "top_k": 3},
        endpoint=MESSAGES,
        targets=(CLAUDE,),
        telemetry=EVERYTHING,
    ),
    "messages_stream": Case(
        lambda: [FakeReply(200, SSE, *MESSAGE_STREAM)],
        {
            "messages": [{"role": "user", "content": "Say hello."}],
            "system": "Be brief.",
            "stop_sequences": ["x"],
            "tools": [{"name": "weather", "input_schema": {"type": "object"}}],
            "max_tokens": 5,
            "stream": True,
        },
        endpoint=MESSAGES,
        targets=(CLAUDE,),
        telemetry=RECORDING,
    ),
    "chat_to_claude": Case(
        lambda: [FakeReply(200, SSE, *MESSAGE_STREAM)],
        {"stream": True},
        targets=(CLAUDE,),
        telemetry=RECORDING,
    ),
    "claude_overloaded": Case(
        lambda: [FakeReply(529, JSON, json.dumps(OVERLOADED).encode())],
        {"messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 5},
        endpoint=MESSAGES,
        targets=(CLAUDE,),
        telemetry=RECORDING,
    ),
    "claude_files": Case(
        lambda: [FakeReply(200, JSON, b'{"id":"file_1","type":"file","filename":"x"}')],
        asked=Asked(PROXY, "/v1/files", "/proxy/acct", "acct", dialect=None),
        targets=(CLAUDE,),
        telemetry=RECORDING,
    ),
    "files": Case(
        lambda: [FakeReply(200, JSON, b'{"id":"file-1","object":"file"}')],
        asked=Asked(FILES, "/files", "/v1"),
        telemetry=RECORDING,
    ),
    "responses": Case(
        lambda: [FakeReply(200, JSON, json.dumps(RESPONSE_OBJECT).encode())],
        RESPONSE_ASKED,
        RESPONSE,
        RECORDING,
    ),
    "responses_stream": Case(
        lambda: [FakeReply(200, SSE, *RESPONSE_STREAM)],
        RESPONSE_ASKED | {"stream": True},
        RESPONSE,
        RECORDING,
    ),
    "responses_to_chat": Case(
        lambda: [FakeReply(200, SSE, *TEXT_STREAM)],
        RESPONSE_ASKED | {"stream": True},
        RESPONSE,
        RECORDING,
        targets=(make_target(has_responses=False),),
    ),
    "responses_to_claude": Case(
        lambda: [FakeReply(200, SSE, *MESSAGE_STREAM)],
        RESPONSE_ASKED | {"stream": True},
        RESPONSE,
        RECORDING,
        targets=(make_target(**CLAUDE_IS, has_responses=False),),
    ),
    "embeddings": Case(
        lambda: [
            FakeReply(
                200,
                JSON,
                b'{"model":"small-1","data":[{"embedding":[0.1]}],"usage":{"prompt_tokens":3}}',
            )
        ],
        {"input": "a secret text", "dimensions": 8},
        EMBEDDING,
        RECORDING,
    ),
    "content_chat": Case(
        lambda: [reply(content="Hello", reasoning_content="Greet.")], {"tools": TOOLS}, telemetry=RECORDING
    ),
    "content_stream": Case(
        lambda: [FakeReply(200, SSE, *TEXT_STREAM)], {"stream": True}, telemetry=RECORDING
    ),
    "content_tools_stream": Case(
        lambda: [FakeReply(200, SSE, *TOOL_STREAM)], {"stream": True, "tools": TOOLS}, telemetry=RECORDING
    ),
    "content_retry": Case(lambda: [UpstreamUnreachable("gone"), reply(content="Hello")], telemetry=RECORDING),
    "content_completion": Case(
        lambda: [FakeReply(200, JSON, b'{"id":"c","choices":[{"text":" time","finish_reason":"stop"}]}')],
        {"prompt": "Once upon a"},
        COMPLETION,
        RECORDING,
    ),
    "every_name": Case(
        lambda: [FakeReply(200, SSE, *TEXT_STREAM)],
        {"stream": True},
        telemetry=EVERYTHING,
        headers=NOTED,
        targets=(make_target(price=TokenPrice()),),
    ),
    "every_name_failed": Case(
        lambda: [UpstreamUnreachable("gone"), UpstreamUnreachable("gone")],
        telemetry=EVERYTHING,
        headers=NOTED,
    ),
}


def passage(asked: Asked, *headers: tuple[str, str]) -> FakeClient:
    """A caller that sends a form to a path that is passed through."""
    form = b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n--b--\r\n'
    return FakeClient(
        ("authorization", f"Bearer {TOKEN}"),
        ("content-type", "multipart/form-data; boundary=b"),
        *headers,
        body=form,
        path=asked.prefix + asked.path,
        route=asked.endpoint.route,
    )


async def call(case: Case) -> CallTrace:
    """Make the call, and give what was noted."""
    records: list[CallTrace] = []
    caller = Caller("app", frozenset({case.model}), frozenset({TARGET.account}))
    snapshot = Snapshot(
        "v1",
        1,
        Identity([make_credential(TOKEN, caller)]),
        case.routing(),
        case.telemetry,
        Accounts(case.targets),
    )
    upstream = FakeUpstream(*case.script())
    pipeline = Pipeline(
        CurrentSnapshot(snapshot),
        upstream,
        records.append,
        max_body_bytes=100_000,
        random=Random(7),
        health=Held(case.held),
    )
    if case.asked is not None:
        passing = PassThrough(pipeline, upstream, max_body_bytes=100_000, max_upload_bytes=100_000)
        await passing.serve(passage(case.asked, *case.headers), case.asked)
        (trace,) = records
        return trace
    said = {} if case.endpoint is not CHAT else {"messages": [{"role": "user", "content": "Say hello."}]}
    body = json.dumps({"model": case.model, **said, **case.members}).encode()
    client = FakeClient(
        ("authorization", f"Bearer {TOKEN}"),
        *case.headers,
        body=body,
        path=case.endpoint.route,
        route=case.endpoint.route,
    )
    if case.pieces_until_left:
        client.on_write = lambda: client.leave() if len(client.pieces) == case.pieces_until_left else None
    await pipeline.call_model(client, case.endpoint)
    (trace,) = records
    return trace


def shown(segments: SpanSegments) -> dict[str, Any]:
    """One span, as a reader sees it; content is read, so that it can be reviewed."""
    plain = Span.FromString(segments.plain)
    content = attributes_of(Span.FromString(segments.content))
    return {
        "name": plain.name,
        "kind": Span.SpanKind.Name(plain.kind),
        "flags": hex(plain.flags),
        "is_root": not plain.parent_span_id,
        "trace_state": plain.trace_state,
        "attributes": {
            name: type(value).__name__ if name in TIMES else value
            for name, value in sorted(attributes_of(plain).items())
        },
        "content": {
            name: json.loads(value) if isinstance(value, str) else value
            for name, value in sorted(content.items())
        },
        "events": [
            [event.name, {item.key: item.value.string_value for item in event.attributes}]
            for event in plain.events
        ],
        "status": [Status.StatusCode.Name(plain.status.code), plain.status.message],
    }


@pytest.mark.parametrize("name", CASES)
async def test_call_is_golden(name: str, compare: Compare) -> None:
    """The call's spans in the order they are sent."""
    trace = await call(CASES[name])
    spans = [shown(segments) for segments in encode_call(trace).spans]
    text = json.dumps(spans, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    compare(FOLDER / f"{name}.json", text)


def test_every_file_has_its_case() -> None:
    """A golden file that nothing compares with says nothing."""
    assert {file.stem for file in FOLDER.glob("*.json")} == set(CASES)
