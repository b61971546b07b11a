"""Every way from an endpoint to a target, found in the registry, and what may go along it.

A new pair is on the list by being registered; one of a new dialect fails until `SHAPES` says what its
targets answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, get_args

from gateway.endpoints.catalogue import MODEL_CALLS
from gateway.endpoints.gemini_call import read_gemini_call
from gateway.endpoints.gemini_catalogue import CALLS
from gateway.endpoints.openai_call import parse_call
from gateway.errors import UnsupportedParameter
from gateway.model import Call, Dialect, Endpoint, Target
from gateway.translate.pair import Pair, ReplyStream
from gateway.translate.registry import pair_of
from gateway.wire.aws_event_stream import EventStreamParser
from tests.golden import converse_replies, gemini_answers
from tests.golden.cohere_replies import REPLIES as COHERE_REPLIES
from tests.golden.cohere_replies import events as cohere_events
from tests.golden.responses_cases import all_cases
from tests.rig.aws_events import write_event
from tests.unit.makers import make_target
from tests.unit.recorded import GEMINI_SHAPED, OPENAI_SHAPED, Recorded, recorded_answers

GOLDEN: Final = Path(__file__).resolve().parents[2] / "golden"
STARTED_AT_NS: Final = 1_776_000_000_000_000_000
MODELS: Final[dict[Dialect, str]] = {
    "openai": "gpt-5",
    "anthropic": "claude-sonnet-4-6",
    "gemini": "gemini-3.5-flash",
    "converse": "anthropic.claude-sonnet-4-6",
}
EMBEDDERS: Final[dict[Dialect, str]] = {"converse": "cohere.embed-english-v3"}


@dataclass(frozen=True)
class Way:
    """One endpoint, and a target that it reaches."""

    endpoint: Endpoint
    target: Target

    def __str__(self) -> str:
        """Its id."""
        kind = (
            self.target.dialect if self.target.has_responses else f"{self.target.dialect}_without_responses"
        )
        return f"{self.endpoint.path.strip('/').replace('/', '_')}-{kind}"

    @property
    def pair(self) -> Pair:
        """What carries it."""
        return pair_of(self.endpoint, self.target)

    @property
    def is_relay(self) -> bool:
        """Both sides speak the same."""
        return self.shape == _asked_shape(self.endpoint)

    @property
    def shape(self) -> str:
        """The shape of what the target answers."""
        is_translated = self.endpoint.name == "responses" and not self.target.has_responses
        if self.target.dialect == "openai" and (self.endpoint.reply == "object" and not is_translated):
            return "object"
        return SHAPES[self.target.dialect]

    def call(self, members: dict[str, Any]) -> Call:
        """A call with these members.

        Raises:
            GatewayError: It can be none.
        """
        if self.endpoint.dialect == "gemini":
            # Its model stands in the path.
            return read_gemini_call(self.endpoint, json.dumps(members).encode(), model="acct/small")
        body = json.dumps({"model": "acct/small", **members}).encode()
        return parse_call(self.endpoint, body, model=None, account=None)


_OWN_REPLIES: Final[dict[str, dict[str, Any]]] = {
    "embedding": {"data": [{"index": 0, "embedding": [0.1]}], "usage": {"prompt_tokens": 1}},
    "embedding-vectors": {
        "embeddings": [[0.1, -2]],
        "usage": {"prompt_tokens": 1, "total_tokens": 1},
        "model": "m",
    },
    "embedding-gemini": {"embeddings": [{"values": [0.1]}], "usageMetadata": {"promptTokenCount": 1}},
    "completion": {"choices": [{"index": 0, "text": "hi", "finish_reason": "stop"}]},
    "count_tokens": {"input_tokens": 9},
    "rerank": {
        "results": [{"index": 0, "relevance_score": 0.5}],
        "meta": {"billed_units": {"search_units": 1}},
    },
    "count_content_tokens": {"totalTokens": 9},
    "embed_content": {"embeddings": [{"values": [0.1]}]},
    "predict": {"predictions": [{"bytesBase64Encoded": "AAAA"}]},
}
"""Of endpoints whose answers are of another shape than their dialect's others."""
_EMBEDDED: Final = {
    "id": "e",
    "embeddings": {"float": [[0.5]]},
    "meta": {"billed_units": {"input_tokens": 1}},
}
_REPLIES: Final[dict[str, Sequence[dict[str, Any]]]] = {
    "gemini": [*gemini_answers.REPLIES.values(), *gemini_answers.FAILURES.values()],
    "converse": list(converse_replies.REPLIES.values()),
}
"""Of shapes that no other pair's golden files have."""
SHAPES: Final[dict[Dialect, str]] = {
    "openai": "chat",
    "anthropic": "messages",
    "cohere": "cohere",
    "converse": "converse",
    "nomic": "vectors",
    "gemini": "gemini",
}


def _asked_shape(endpoint: Endpoint) -> str:
    return "object" if endpoint.reply != "completion" else SHAPES[endpoint.dialect]


def _find_ways() -> Iterator[Way]:
    for endpoint in (*MODEL_CALLS, *CALLS.values()):
        models = MODELS | EMBEDDERS if endpoint.name == "embedding" else MODELS
        for dialect in get_args(Dialect):
            for has_responses in (True, False):
                target = make_target(
                    dialect=dialect, has_responses=has_responses, model_id=models.get(dialect, "model")
                )
                way = Way(endpoint, target)
                try:
                    pair_of(endpoint, target)
                except UnsupportedParameter:
                    continue
                if has_responses or endpoint.name == "responses":
                    yield way


WAYS: Final = list(_find_ways())
"""All of them."""


def run(way: Way, call: Call, pieces: list[bytes]) -> tuple[bytes, ReplyStream]:
    """What a stream that comes in *pieces* becomes."""
    stream = way.pair.open_stream(call, started_at_ns=STARTED_AT_NS)
    told = b"".join([stream.feed(piece) for piece in pieces])
    return told + stream.finish(), stream


def outcome(stream: ReplyStream) -> tuple[Any, ...]:
    """Everything that the rest of the gateway reads of a stream."""
    seen = stream.is_complete, stream.has_ended, stream.has_data, stream.has_content
    return stream.facts(), *seen, stream.failure


RECORDINGS: Final[dict[str, Sequence[str]]] = {
    "chat": OPENAI_SHAPED,
    "messages": ["anthropic-messages"],
    "object": ["openai-responses"],
    "gemini": GEMINI_SHAPED,
    "converse": ["bedrock-converse"],
}
"""Of the shapes that were recorded, where."""


# -- what is known of each shape: from the golden files, whose other side it is


@cache
def requests(endpoint: Endpoint) -> list[dict[str, Any]]:
    """Calls of this endpoint."""
    if endpoint.name == "rerank":
        return [{"query": "q", "documents": ["a", {"text": "b"}], "top_n": 1, "return_documents": True}]
    if endpoint.name == "embedding":
        return [
            {"input": "a", "user": "u"},
            {"input": ["a", "b"], "encoding_format": "float", "dimensions": 256},
        ]
    if endpoint.name == "responses":
        return [case.request for case in all_cases()]
    folder = "chat_to_messages" if endpoint.dialect == "anthropic" else "messages_to_chat"
    return _golden(folder, "request")


@cache
def replies(way: Way) -> list[dict[str, Any]]:
    """Whole answers of its target."""
    if way.target.dialect == "cohere":
        return [_EMBEDDED] if way.endpoint.name == "embedding" else list(COHERE_REPLIES.values())
    for name in (f"{way.endpoint.name}-{way.shape}", way.endpoint.name):
        if name in _OWN_REPLIES:
            return [_OWN_REPLIES[name]]
    if way.shape == "object":
        return [case.whole() for case in all_cases() if case.reply]
    known = _REPLIES.get(way.shape)
    return list(known) if known is not None else _golden(_writer(way.shape), "reply")


@cache
def streams(shape: str) -> list[list[bytes]]:
    """Streamed answers, event by event."""
    if shape == "object":
        found = [case.streamed_bytes() for case in all_cases() if case.stream]
        return [[event + b"\n\n" for event in body.split(b"\n\n")[:-1]] for body in found]
    if shape == "gemini":
        # Those that are several answers are complete only for a call that asks for as many.
        return [
            gemini_answers.events(reply)
            for name, reply in gemini_answers.REPLIES.items()
            if name != "several"
        ]
    if shape == "cohere":
        return [cohere_events(reply) for reply in COHERE_REPLIES.values()]
    if shape == "converse":
        return [converse_replies.converse_events(reply) for reply in converse_replies.REPLIES.values()]
    lines: list[list[str]] = _golden(_writer(shape), "stream")
    return [list(_events(each)) for each in lines]


def event_of(shape: str, value: Any) -> bytes:
    """An event that says *value*; one of Converse by its only member, which is its kind."""
    if shape != "converse":
        return b"data: " + json.dumps(value).encode() + b"\n\n"
    kind, said = next(iter(value.items()), ("", {})) if isinstance(value, dict) else ("metadata", value)
    return write_event(kind.encode(errors="replace").decode(), json.dumps(said).encode())


def said_in(shape: str, event: bytes) -> list[Any]:
    """What *event* says, as `event_of` takes it; nothing where it says nothing."""
    if shape == "converse":
        return [{message.kind: json.loads(message.payload)} for message in EventStreamParser().feed(event)]
    text = event.rpartition(b"data: ")[2].strip()
    return [json.loads(text)] if text.startswith(b"{") else []


def recorded_streams(folder: Path, shape: str) -> list[Recorded]:
    """Streams of real providers."""
    found = recorded_answers(folder, *RECORDINGS[shape], is_stream=True)
    # One was recorded as an array, for which no translated call asks.
    return [item for item in found if not item.body.startswith(b"[")]


def _writer(shape: str) -> str:
    """The folder of the pair whose callers speak this."""
    return {"chat": "chat_to_messages", "messages": "messages_to_chat"}[shape]


def _golden(folder: str, member: str) -> list[Any]:
    files = sorted((GOLDEN / folder).glob("*.json"))
    cases = [json.loads(path.read_text(encoding="utf-8")) for path in files]
    found = [case[member] for case in cases if member in case]
    assert found, f"no {member} in {folder}"
    return found


def _events(lines: list[str]) -> Iterator[bytes]:
    event = ""
    for line in lines:
        event += line + "\n"
        if not line:
            yield event.encode()
            event = ""
