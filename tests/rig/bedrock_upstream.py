"""Bedrock's runtime as far as a gateway sees it: it checks who signed, and answers by the model in the path.

A request that is not signed well gets AWS's own error. What a model answers is a row of `ANSWERS`, or, where
the recordings are there, what Bedrock really answered (`RecordedBedrock`).
"""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from gateway.wire.aws_event_stream import write_exception
from tests.rig.aws_events import write_event
from tests.rig.aws_signatures import Keys, Scope, SignatureError, verify
from tests.rig.path_upstream import Asked, PathUpstream

KEY_ID: Final = "AKIACANARY"
SECRET: Final = "canary-aws-secret-0101"
SESSION: Final = "canary-aws-session-0102"
API_KEY: Final = "canary-bedrock-key-0103"
KEYS: Final = Keys({KEY_ID: SECRET}, {KEY_ID: SESSION})
TEXT: Final = "Hallo, grün!"
USAGE: Final = {
    "inputTokens": 7,
    "outputTokens": 5,
    "totalTokens": 12,
    "cacheReadInputTokens": 4,
    "cacheWriteInputTokens": 0,
}
STREAM_TYPE: Final = "application/vnd.amazon.eventstream"
VECTOR: Final = [0.5, -0.25, 1.0]
_JSON: Final = "application/json"
_COHERES: Final = {"embedding_types", "output_dimension", "truncate", "max_tokens"}

Answer = Callable[[Asked], Awaitable[None]]


def converse_body(text: str = TEXT, **more: Any) -> dict[str, Any]:
    """A whole answer of Converse."""
    message = {"role": "assistant", "content": [{"text": text}]}
    return {
        "output": {"message": message},
        "stopReason": "end_turn",
        "usage": USAGE,
        "metrics": {"latencyMs": 5},
        **more,
    }


def event(kind: str, **members: Any) -> bytes:
    """A message of a stream."""
    return write_event(kind, json.dumps(members).encode())


def chunk(**members: Any) -> bytes:
    """A message of an `InvokeModelWithResponseStream`."""
    held = base64.b64encode(json.dumps(members).encode()).decode()
    return event("chunk", bytes=held, p="abcd")


def converse_events(text: str = TEXT) -> list[bytes]:
    """The same as `converse_body`, as a stream."""
    return [
        event("messageStart", role="assistant"),
        *(event("contentBlockDelta", contentBlockIndex=0, delta={"text": word}) for word in text.split(" ")),
        event("contentBlockStop", contentBlockIndex=0),
        event("messageStop", stopReason="end_turn"),
        event("metadata", usage=USAGE, metrics={"latencyMs": 5}),
    ]


def claude_chunks() -> list[bytes]:
    """A stream of Claude's own."""
    usage = {"input_tokens": 7, "output_tokens": 1, "cache_read_input_tokens": 4}
    metrics = {"inputTokenCount": 7, "outputTokenCount": 5, "invocationLatency": 9, "firstByteLatency": 3}
    return [
        chunk(type="message_start", message={"id": "msg_1", "model": "claude-x", "usage": usage}),
        chunk(type="content_block_start", index=0, content_block={"type": "text", "text": ""}),
        chunk(type="content_block_delta", index=0, delta={"type": "text_delta", "text": TEXT}),
        chunk(type="message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 5}),
        chunk(type="message_stop", **{"amazon-bedrock-invocationMetrics": metrics}),
    ]


async def refuse(asked: Asked, status: int, kind: str, message: str, *more: tuple[str, str]) -> None:
    """An error as AWS words it."""
    body = json.dumps({"message": message}).encode()
    suffix = ":http://internal.amazon.com/coral/com.amazon.bedrock/"
    headers = [("x-amzn-errortype", kind + suffix), ("x-amzn-requestid", "req-1"), *more]
    await asked.answer(status, body, _JSON, *headers)


async def stream(asked: Asked, events: list[bytes]) -> None:
    """A stream, ended by the connection."""
    await begin_stream(asked)
    for each in events:
        await asked.send(each)
    asked.writer.close()


async def begin_stream(asked: Asked) -> None:
    """The head of one."""
    headers = [("content-type", STREAM_TYPE), ("x-amzn-requestid", "req-1"), ("connection", "close")]
    await asked.start(200, *headers, ("x-amzn-bedrock-content-type", _JSON))


async def answer_well(asked: Asked) -> None:
    """What most models do."""
    action = asked.path.rpartition("/")[2]
    counts = [("x-amzn-bedrock-input-token-count", "7"), ("x-amzn-bedrock-output-token-count", "5")]
    if action == "converse":
        await asked.answer(200, json.dumps(converse_body()).encode(), _JSON, ("x-amzn-requestid", "req-1"))
    elif action == "converse-stream":
        await stream(asked, converse_events())
    elif action == "invoke-with-response-stream":
        await stream(asked, claude_chunks())
    elif action == "count-tokens":
        await asked.answer(200, b'{"inputTokens": 9}')
    elif action == "invoke":
        said = {"outputs": [{"text": TEXT, "stop_reason": "stop"}]}
        await asked.answer(200, json.dumps(said).encode(), _JSON, *counts)
    else:
        body = {"path": asked.target, "usage": {"topicPolicyUnits": 1}}
        await asked.answer(200, json.dumps(body).encode())


async def throttle(asked: Asked) -> None:
    """Too many requests."""
    await refuse(asked, 429, "ThrottlingException", "Too many requests, please wait.", ("retry-after", "3"))


def beginning(asked: Asked) -> list[bytes]:
    """Some words."""
    return claude_chunks()[:3] if "invoke" in asked.path else converse_events()[:2]


async def fail_at_once(asked: Asked) -> None:
    """An exception is all that the stream has."""
    said = json.dumps({"message": "Sorry."}).encode()
    await stream(asked, [write_exception("internalServerException", said)])


async def rank(asked: Asked) -> None:
    """Two documents, the second better."""
    results = [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.4}]
    await asked.answer(200, json.dumps({"results": results}).encode())


async def be_agent(asked: Asked) -> None:
    """Two calls of tools; with their results, or without tools, a text."""
    body = asked.json
    if "toolConfig" not in body or "toolResult" in str(body["messages"]):
        await answer_well(asked)
        return
    calls = [("t1", "weather", {"city": "Köln"}), ("t2", "time", {})]
    uses = [{"toolUseId": call_id, "name": name, "input": given} for call_id, name, given in calls]
    if asked.path.endswith("/converse"):
        message = {"role": "assistant", "content": [{"toolUse": use} for use in uses]}
        whole = converse_body(output={"message": message}, stopReason="tool_use")
        await asked.answer(200, json.dumps(whole).encode(), _JSON)
        return
    events = [event("messageStart", role="assistant")]
    for at, use in enumerate(uses):
        start = {"toolUseId": use["toolUseId"], "name": use["name"]}
        events += [
            event("contentBlockStart", contentBlockIndex=at, start={"toolUse": start}),
            event(
                "contentBlockDelta",
                contentBlockIndex=at,
                delta={"toolUse": {"input": json.dumps(use["input"])}},
            ),
            event("contentBlockStop", contentBlockIndex=at),
        ]
    events += [
        event("messageStop", stopReason="tool_use"),
        event("metadata", usage=USAGE, metrics={"latencyMs": 5}),
    ]
    await stream(asked, events)


async def embed(asked: Asked) -> None:
    """By the words that a maker's models take, and none beside them."""
    body, counts = asked.json, ("x-amzn-bedrock-input-token-count", "7")
    match body:
        case {"inputText": str(), **more} if more.keys() <= {"dimensions", "normalize"}:
            said: Any = {"embedding": VECTOR, "inputTextTokenCount": 5}
        case {"texts": [*texts], "input_type": str(), **more} if more.keys() <= _COHERES:
            said = {"id": "e-1", "embeddings": [VECTOR for _ in texts], "response_type": "embeddings_floats"}
        case {
            "taskType": "SINGLE_EMBEDDING",
            "singleEmbeddingParams": {"text": {"value": str()}},
            **more,
        } if not more:
            said = {"embeddings": [{"embeddingType": "TEXT", "embedding": VECTOR}]}
        case _:
            message = "Malformed input request: extraneous key is not permitted, please reformat your input."
            await refuse(asked, 400, "ValidationException", message)
            return
    await asked.answer(200, json.dumps(said).encode(), _JSON, counts)


AGENT: Final = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
ANSWERS: Final[dict[str, Answer]] = {
    AGENT: be_agent,
    "amazon.titan-embed-text-v2:0": embed,
    "cohere.embed-v4:0": embed,
    "amazon.nova-2-multimodal-embeddings-v1:0": embed,
    "throttled": throttle,
    "failing": fail_at_once,
    "amazon.rerank-v1:0": rank,
}
"""By the model's id; any other answers well."""

ENDINGS: Final = {
    "broken": write_exception("throttlingException", b'{"message":"Too many tokens."}'),
    "cut": event("contentBlockDelta", delta={"text": "x"})[:-9],
}
"""How streams end that begin well: with an exception, within a message; when the test lets them."""


class BedrockUpstream:
    """The server.

    Attributes:
        scopes: Of the good signatures so far.
        refused: Why requests were refused.
    """

    def __init__(self, recordings: Path | None = None) -> None:
        """Make it.

        Args:
            recordings: Folder of real answers, by model and path; None: there are none.
        """
        self._paths = PathUpstream(self._answer)
        self._lock = threading.Lock()
        self._may_end: asyncio.Event | None = None
        self._recorded = {} if recordings is None else read_recorded(recordings)
        self.scopes: list[Scope] = []
        self.refused: list[str] = []

    @property
    def base_url(self) -> str:
        """Of an account."""
        return f"http://127.0.0.1:{self._paths.port}"

    @property
    def asked(self) -> list[Asked]:
        """Every request since the last `forget`."""
        return self._paths.asked

    def let_end(self) -> None:
        """Let the stream end that has begun."""
        assert self._may_end is not None
        self._paths.set(self._may_end)

    def forget(self) -> None:
        """Clear the records."""
        self._may_end = self._paths.event()
        self._paths.forget()
        self.scopes = []
        self.refused = []

    @contextmanager
    def running(self) -> Iterator[BedrockUpstream]:
        """Serve."""
        with self._paths:
            yield self

    async def _answer(self, asked: Asked) -> None:
        await asked.read_body()
        if asked.header("authorization") != f"Bearer {API_KEY}":
            try:
                scope = verify(asked.method, asked.target, asked.headers, asked.body, KEYS)
            except SignatureError as error:
                with self._lock:
                    self.refused.append(str(error))
                await refuse(asked, 403, error.kind, str(error))
                return
            with self._lock:
                self.scopes.append(scope)
        recorded = self._recorded.get(asked.path)
        if recorded is not None:
            await replay(asked, recorded)
            return
        model = unquote(asked.path.split("/")[2]) if asked.path.startswith("/model/") else ""
        if model in ENDINGS and self._may_end is not None:
            await begin_stream(asked)
            await asked.send(b"".join(beginning(asked)))
            await self._may_end.wait()
            await asked.send(ENDINGS[model])
            asked.writer.close()
            return
        await ANSWERS.get(model, answer_well)(asked)


def read_recorded(folder: Path) -> dict[str, dict[str, Any]]:
    """The first recording of each path, of every file about Bedrock."""
    found: dict[str, dict[str, Any]] = {}
    for name in ("bedrock-converse", "bedrock-invoke", "bedrock-apply-guardrail"):
        for line in (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
            item = json.loads(line)
            found.setdefault("/" + item["url"].partition("://")[2].partition("/")[2], item)
    return found


def recorded_body(item: dict[str, Any]) -> bytes:
    """What it answered."""
    return base64.b64decode(item["body_base64"]) if item.get("body_base64") else item["body_text"].encode()


async def replay(asked: Asked, item: dict[str, Any]) -> None:
    """Answer as it was recorded."""
    names = ("x-amzn-requestid", "x-amzn-errortype", "date")
    more = [
        (name, value)
        for name, value in item["response_headers"].items()
        if (name.startswith("x-amzn-bedrock-") or name in names) and name != "date"
    ]
    await asked.answer(item["status"], recorded_body(item), item["content_type"], *more)
