"""A provider for the matrix: it gives the same answer in whichever dialect it is asked, and fails in each."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import unquote

from tests.rig import matrix_answers as ours
from tests.rig import matrix_dialects as theirs
from tests.rig.anthropic_behaviours import fails
from tests.rig.behaviours import (
    PROVIDER_HEADERS,
    end_stream,
    event,
    head,
    json_reply,
    provider_error,
    send_piece,
    start_stream,
)
from tests.rig.fake_upstream import Behaviour, Exchange
from tests.rig.google_cloud import TOKEN
from tests.rig.matrix_answers import Said, said

_ERROR: Final = {"error": {"message": "canary broke", "type": "server_error", "code": "overloaded"}}
_CLAUDES_ERROR: Final = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
_RESPONSES_ERROR: Final = {
    "type": "error", "code": "overloaded", "message": "canary broke", "param": None, "sequence_number": 9,
}  # fmt: skip
_EVENTS: Final = "text/event-stream"
_EVENTS_OF_AWS: Final = "application/vnd.amazon.eventstream"


@dataclass(frozen=True)
class Voice:
    """How a provider speaks at one kind of path.

    Attributes:
        whole: Its answer about a feature.
        refuse: Answers 429.
        failure: An answer with success that is an error.
        pieces: Its answer as a stream; None: it has none.
        failing: What ends a stream that goes wrong.
        begun: How many pieces of the text come before a stream breaks off.
        stream_type: The content type of a stream.
    """

    whole: Callable[[str], Any]
    refuse: Behaviour
    failure: Any
    pieces: Callable[[str], list[bytes]] | None = None
    failing: bytes = b""
    begun: int = 0
    stream_type: str = _EVENTS


def _refuses(body: Any, *headers: tuple[str, str]) -> Behaviour:
    return json_reply(429, body, headers)


_WAIT: Final = ("retry-after", "7")
_OPENAIS: Final = provider_error(429)
_ANTHROPICS: Final = fails(429, "rate_limit_error")
_GOOGLES: Final = _refuses(theirs.GOOGLES_LIMIT)
_COHERES: Final = _refuses({"id": "e-1", "message": theirs.LIMIT}, _WAIT)
_BEDROCKS: Final = _refuses(
    {"message": theirs.LIMIT}, _WAIT, ("x-amzn-errortype", "ThrottlingException:http://internal.amazon.com/")
)
_MESSAGE: Final = {"message": "canary broke"}
VOICES: Final[dict[str, Voice]] = {
    "chat": Voice(ours.chat_reply, _OPENAIS, _ERROR, ours.chat_events, event(_ERROR), 3),
    "completions": Voice(
        ours.text_completion, _OPENAIS, _ERROR, ours.text_completion_events, event(_ERROR), 2
    ),
    "responses": Voice(
        ours.response, _OPENAIS, _ERROR, ours.response_events,
        b"event: error\n" + event(_RESPONSES_ERROR), 6,
    ),
    "messages": Voice(
        lambda feature: ours.message(said(feature)), _ANTHROPICS, _CLAUDES_ERROR,
        lambda feature: ours.message_events(said(feature)),
        b"event: error\n" + event(_CLAUDES_ERROR), 4,
    ),
    "embeddings": Voice(ours.embeddings, _OPENAIS, _ERROR),
    "ranks": Voice(ours.ranks, _OPENAIS, _ERROR),
    "gemini": Voice(
        theirs.generated, _GOOGLES, theirs.GOOGLES_FAILURE, theirs.generated_events,
        event(theirs.GOOGLES_FAILURE), 2,
    ),
    "embeddings of gemini": Voice(theirs.embedded_by_gemini, _GOOGLES, theirs.GOOGLES_FAILURE),
    "embeddings of vertex": Voice(theirs.embedded_at_vertex, _GOOGLES, theirs.GOOGLES_FAILURE),
    "converse": Voice(
        theirs.conversed, _BEDROCKS, _MESSAGE, theirs.conversed_events, theirs.broken_stream(), 4,
        _EVENTS_OF_AWS,
    ),
    "invoke": Voice(
        theirs.invoked, _BEDROCKS, _CLAUDES_ERROR, theirs.invoked_events, theirs.broken_stream(), 4,
        _EVENTS_OF_AWS,
    ),
    "embeddings of bedrock": Voice(theirs.embedded_at_bedrock, _BEDROCKS, _MESSAGE),
    "ranks of vertex": Voice(theirs.ranked_at_vertex, _GOOGLES, theirs.GOOGLES_FAILURE),
    "ranks of bedrock": Voice(theirs.ranked_at_bedrock, _BEDROCKS, _MESSAGE),
    "cohere": Voice(
        theirs.cohere_reply, _COHERES, theirs.failed_at_cohere(), theirs.cohere_events,
        theirs.failure_event_of_cohere(), 4,
    ),
    "embeddings of cohere": Voice(theirs.embedded_by_cohere, _COHERES, _MESSAGE),
    "ranks of cohere": Voice(theirs.ranked_by_cohere, _COHERES, _MESSAGE),
    "ranks of tei": Voice(
        theirs.ranked_by_tei,
        _refuses({"error": theirs.LIMIT, "error_type": "overloaded"}, _WAIT),
        {"error": "canary broke", "error_type": "backend"},
    ),
}  # fmt: skip
"""By the kind of a path."""

_KINDS: Final = [
    (re.compile(pattern), kind)
    for pattern, kind in (
        (r".*:(g|streamG)enerateContent", "gemini"),
        (r".*/anthropic/models/.*:(r|streamR)awPredict", "messages"),
        (r".*:(embedContent|batchEmbedContents)", "embeddings of gemini"),
        (r".*:predict", "embeddings of vertex"),
        (r"/model/.*/converse(-stream)?", "converse"),
        (r"/model/.*embed.*/invoke", "embeddings of bedrock"),
        (r".*:rank", "ranks of vertex"),
        (r"/model/.*rerank.*/invoke", "ranks of bedrock"),
        (r"/model/.*/invoke(-with-response-stream)?", "invoke"),
        (r"/v2/chat", "cohere"),
        (r"/v2/embed", "embeddings of cohere"),
        (r"/v2/rerank", "ranks of cohere"),
        (r"/tei/rerank", "ranks of tei"),
        (r".*/chat/completions", "chat"),
        (r".*/rerank", "ranks"),
        (r".*/(completions|responses|messages|embeddings)", ""),
    )
]
_STREAMS: Final = re.compile(r".*(:streamGenerateContent|/converse-stream|-with-response-stream)")


def kind_of(exchange: Exchange) -> str:
    """What a provider is asked for, in whose words."""
    path = unquote(exchange.path.partition("?")[0])
    for pattern, kind in _KINDS:
        if pattern.fullmatch(path):
            return kind or path.rpartition("/")[2]
    raise AssertionError(path)


@dataclass
class Providers:
    """Every provider of the matrix; `feature` is what the next answers are about."""

    feature: str = "text"
    exchanges: list[Exchange] = field(default_factory=list)

    async def answer(self, exchange: Exchange) -> None:
        """Answer as `feature` says; who signs in gets a token, and that is no call."""
        if exchange.path == "/token":
            token = {"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"}
            await json_reply(200, token)(exchange)
            return
        if exchange.path.startswith("/v1/projects/"):
            assert exchange.header("authorization") == f"Bearer {TOKEN}"
        self.exchanges.append(exchange)
        voice = _voice_for(exchange)
        is_stream = _STREAMS.match(exchange.path) is not None or exchange.json.get("stream")
        match self.feature:
            case "error status":
                refuse = _GOOGLES if "Predict" in exchange.path else voice.refuse
                await refuse(exchange)
            case "error inside" if not is_stream:
                await json_reply(200, voice.failure)(exchange)
            case "error inside":
                await _begin(exchange, voice)
                await send_piece(exchange, voice.failing)
                await end_stream(exchange)
            case "cut" if not is_stream:
                await _half(exchange, voice.whole("text"))
            case "cut":
                await _begin(exchange, voice)
                await end_stream(exchange)
            case feature if is_stream:
                assert voice.pieces is not None
                await start_stream(exchange, voice.stream_type)
                for piece in voice.pieces(feature):
                    await send_piece(exchange, piece)
                await end_stream(exchange)
            case feature:
                await json_reply(200, voice.whole(feature))(exchange)


def _voice_for(exchange: Exchange) -> Voice:
    """That of the path; a Claude who must call a tool gives its answer there."""
    kind = kind_of(exchange)
    forced = (exchange.json.get("tool_choice") or {}) if kind == "messages" else {}
    if forced.get("type") != "tool":
        return VOICES[kind]

    def called(feature: str) -> Said:
        answer = said(feature)
        return replace(answer, text="", calls=((forced["name"], answer.text),))

    return replace(
        VOICES[kind],
        whole=lambda feature: ours.message(called(feature)),
        pieces=lambda feature: ours.message_events(called(feature)),
    )


async def _begin(exchange: Exchange, voice: Voice) -> None:
    """All of a stream but its end."""
    assert voice.pieces is not None
    await start_stream(exchange, voice.stream_type)
    for piece in voice.pieces("text")[: voice.begun]:
        await send_piece(exchange, piece)
    await exchange.connection.stand_apart()


async def _half(exchange: Exchange, reply: Any) -> None:
    body = json.dumps(reply).encode()
    framing = (("content-type", "application/json"), ("content-length", str(len(body))))
    await exchange.connection.write(head(200, (*framing, *PROVIDER_HEADERS)) + body[: len(body) // 2])
    await exchange.connection.stand_apart()
    exchange.connection.reset()
