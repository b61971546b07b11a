"""The spans of SDK calls, as a real collector handed them on, against golden trees.

`make golden` rewrites the files; the diff is the review. Kept as they are: names, kinds, flags, status,
attribute keys and every value that is the same on each machine and run. The rest is replaced by its type.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from openai import APIError, OpenAI
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.golden.conftest import Compare
from tests.rig import behaviours
from tests.rig.manifests import SCRIPTED
from tests.rig.otlp_sink import OtlpSink
from tests.rig.requires import requires
from tests.rig.sdk_stack import LLAMA_MODEL, LLMOCK_MODEL, SdkStack
from tests.rig.until import until

FOLDER: Final = Path(__file__).parent
REMOTE_PARENT: Final = "00f067aa0ba902b7"
MESSAGES: Final[Any] = [{"role": "user", "content": "Say grün."}]
TOOLS: Final[Any] = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string", "enum": ["Paris"]}},
                "required": ["city"],
                "additionalProperties": False,
            },
        },
    }
]
# Values that differ between runs, machines or versions of tools.
VOLATILE: Final = frozenset(
    {
        "client.port",
        "gateway.config.version",
        "gateway.overhead_ms",
        "gateway.request_id",
        "gen_ai.response.id",
        "gen_ai.response.time_to_first_chunk",
        # llama.cpp keeps prompts of earlier calls, so this depends on the order of tests.
        "gen_ai.usage.cache_read.input_tokens",
        "host.name",
        "os.type",
        "process.pid",
        "process.runtime.name",
        "process.runtime.version",
        "server.port",
        "service.instance.id",
        "service.version",
        "telemetry.distro.version",
        "telemetry.sdk.version",
        "user_agent.original",
    }
)

Call = Callable[[SdkStack, OpenAI, dict[str, str]], None]


def whole(model: str, **more: Any) -> Call:
    """A chat call."""

    def make(stack: SdkStack, client: OpenAI, headers: dict[str, str]) -> None:
        client.chat.completions.create(model=model, messages=MESSAGES, extra_headers=headers, **more)

    return make


def streamed(model: str, **more: Any) -> Call:
    """A chat call, streamed and read to its end."""

    def make(stack: SdkStack, client: OpenAI, headers: dict[str, str]) -> None:
        list(
            client.chat.completions.create(
                model=model, messages=MESSAGES, stream=True, extra_headers=headers, **more
            )
        )

    return make


def failing(call: Call) -> Call:
    """A call that the SDK ends with an error."""

    def make(stack: SdkStack, client: OpenAI, headers: dict[str, str]) -> None:
        with pytest.raises(APIError):
            call(stack, client, headers)

    return make


def embeddings(stack: SdkStack, client: OpenAI, headers: dict[str, str]) -> None:
    """Two vectors."""
    client.embeddings.create(model=LLMOCK_MODEL, input=["a", "b"], extra_headers=headers)


def completion(stack: SdkStack, client: OpenAI, headers: dict[str, str]) -> None:
    """The old endpoint."""
    client.completions.create(model=LLAMA_MODEL, prompt="x", max_tokens=60, extra_headers=headers)


def models(stack: SdkStack, client: OpenAI, headers: dict[str, str]) -> None:
    """The list of models."""
    list(client.models.list(extra_headers=headers))


def retried(stack: SdkStack, client: OpenAI, headers: dict[str, str]) -> None:
    """One failure, then an answer."""
    stack.upstream.play(SCRIPTED, behaviours.reset_before_head)
    whole("fake/scripted")(stack, client, headers)


def wrong_token(stack: SdkStack, client: OpenAI, headers: dict[str, str]) -> None:
    """An unknown caller."""
    with stack.client(token="wrong") as other, pytest.raises(APIError):
        whole("fake/normal")(stack, other, headers)


def left_mid_stream(stack: SdkStack, client: OpenAI, headers: dict[str, str]) -> None:
    """The application closes its stream."""
    stream = client.chat.completions.create(
        model="fake/hang-mid-stream", messages=MESSAGES, stream=True, extra_headers=headers
    )
    events = iter(stream)
    # Both that there are, so that the usage so far is the same each time.
    assert next(events).choices[0].delta.role == "assistant"
    assert next(events).choices[0].delta.content == "The "
    stream.close()


CASES: Final[dict[str, Call]] = {
    "llmock_chat": whole(LLMOCK_MODEL, temperature=0, max_tokens=60),
    "llmock_chat_stream": streamed(LLMOCK_MODEL),
    "llmock_tools": whole(LLMOCK_MODEL, tools=TOOLS),
    "llmock_embeddings": embeddings,
    "llama_chat": whole(LLAMA_MODEL, max_tokens=60),
    "llama_chat_stream": streamed(LLAMA_MODEL, max_tokens=60),
    "llama_tools_stream": streamed(
        LLAMA_MODEL, max_tokens=200, temperature=0, tools=TOOLS, tool_choice="required"
    ),
    "llama_completion": completion,
    "models": models,
    "retried": retried,
    "wrong_token": wrong_token,
    "unknown_model": failing(whole("no/such")),
    "provider_refused_connection": failing(whole("down/refused")),
    "provider_error": failing(whole("fake/error-429")),
    "provider_html": failing(whole("fake/html-200")),
    "stream_cut": failing(streamed("fake/cut-clean")),
    "stream_left": left_mid_stream,
}


@pytest.fixture(scope="module")
def failures(stack: SdkStack) -> dict[str, BaseException]:
    """Make every call, so that their spans travel together; gives what went wrong, by case."""
    went_wrong: dict[str, BaseException] = {}
    for name, call in CASES.items():
        headers = {"traceparent": f"00-{_trace_id(name)}-{REMOTE_PARENT}-01", "tracestate": "app=1"}
        try:
            with stack.client() as client:
                call(stack, client, headers)
        except (APIError, pytest.fail.Exception) as error:
            went_wrong[name] = error
    return went_wrong


@requires("rotel", "llmock", "xllamacpp")
@pytest.mark.parametrize("name", CASES)
def test_trace_is_golden(
    stack: SdkStack, failures: dict[str, BaseException], name: str, compare: Compare
) -> None:
    """The call's spans, in a trace that the application began."""
    if name in failures:
        raise failures[name]
    tree = _tree(stack.sink, _trace_id(name))
    text = json.dumps(tree, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    compare(FOLDER / f"{name}.json", text)


def _trace_id(name: str) -> str:
    return f"{list(CASES).index(name) + 1:032x}"


def _tree(sink: OtlpSink, trace_id: str) -> dict[str, Any]:
    """The trace, waited for: its SERVER span is recorded last and travels with the others."""

    def found() -> list[tuple[dict[str, str], Span]]:
        spans = [item for item in sink.spans_with_resource() if item[1].trace_id.hex() == trace_id]
        has_root = any(span.kind == Span.SPAN_KIND_SERVER for _, span in spans)
        return spans if has_root else []

    spans = until(found, what=f"trace {trace_id} in the sink")
    ordered = sorted((span for _, span in spans), key=lambda span: span.start_time_unix_nano)
    assert len({span.span_id for span in ordered}) == len(ordered), "a span arrived twice"
    roots = [span for span in ordered if span.parent_span_id.hex() == REMOTE_PARENT]
    tree = [_node(span, ordered) for span in roots]
    assert sum(map(_size, tree)) == len(ordered), "a span without its parent"
    resource = {key: _stable(key, value) for key, value in spans[0][0].items()}
    return {"resource": resource, "spans": tree}


def _size(node: dict[str, Any]) -> int:
    return 1 + sum(map(_size, node["children"]))


def _node(span: Span, spans: list[Span]) -> dict[str, Any]:
    return {
        "name": span.name,
        "kind": Span.SpanKind.Name(span.kind),
        "flags": hex(span.flags),
        "trace_state": span.trace_state,
        "status": Status.StatusCode.Name(span.status.code),
        "attributes": {item.key: _stable(item.key, _value(item.value)) for item in span.attributes},
        "events": [
            {
                "name": event.name,
                "attributes": {item.key: _without_numbers(_value(item.value)) for item in event.attributes},
            }
            for event in span.events
        ],
        "children": [_node(other, spans) for other in spans if other.parent_span_id == span.span_id],
    }


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    assert kind in ("string_value", "bool_value", "int_value", "double_value"), f"{kind} is not for spans"
    return getattr(value, kind)


def _without_numbers(text: str) -> str:
    """A message without what the machine put into it: ports, and the system's words for an error."""
    return re.sub(r":\d+", ":<port>", re.sub(r"\[Errno \d+\].*|Connect call failed.*", "<system>", text))


def _stable(key: str, value: Any) -> Any:
    return f"<{type(value).__name__}>" if key in VOLATILE else value


def test_no_golden_file_is_left_over() -> None:
    """Each file belongs to a case."""
    assert {file.stem for file in FOLDER.glob("*.json")} == set(CASES)
