"""What the providers of the matrix say in the dialects of Google, Bedrock, Cohere and servers that rank."""

from __future__ import annotations

import base64
import json
from typing import Any, Final

from tests.golden import cohere_replies, converse_replies, gemini_answers
from tests.rig.aws_events import write_event
from tests.rig.matrix_answers import CACHED, RANKS, VECTOR, message, message_events, said

LIMIT: Final = "the provider says 429"


# -- Gemini's


def generated(feature: str) -> dict[str, Any]:
    """Of `generateContent`; what was thought counts apart."""
    answer = said(feature)
    asked, answered = answer.usage
    parts: list[dict[str, Any]] = []
    if answer.thoughts:
        parts.append({"text": answer.thoughts, "thought": True})
    if answer.text:
        parts.append({"text": answer.text})
    for name, arguments in answer.calls:
        parts.append({"functionCall": {"name": name, "args": json.loads(arguments)}})
    usage = {
        "promptTokenCount": asked,
        "cachedContentTokenCount": CACHED,
        "candidatesTokenCount": answered - 2,
        "thoughtsTokenCount": 2,
        "totalTokenCount": asked + answered,
    }
    return gemini_answers.answer(gemini_answers.candidate(*parts, index=0), usageMetadata=usage)


def generated_events(feature: str) -> list[bytes]:
    """The same as a stream."""
    return gemini_answers.events(generated(feature))


def embedded_by_gemini(feature: str) -> dict[str, Any]:
    """One vector of `embedContent`."""
    return {
        "embedding": {"values": VECTOR},
        "usageMetadata": {"promptTokenCount": said(feature).usage[0]},
    }


def embedded_at_vertex(feature: str) -> dict[str, Any]:
    """One vector of `predict`."""
    statistics = {"token_count": float(said(feature).usage[0]), "truncated": False}
    return {"predictions": [{"embeddings": {"values": VECTOR, "statistics": statistics}}]}


GOOGLES_LIMIT: Final = {
    "error": {
        "code": 429,
        "message": LIMIT,
        "status": "RESOURCE_EXHAUSTED",
        "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7s"}],
    }
}
GOOGLES_FAILURE: Final = {"error": {"code": 503, "message": "canary broke", "status": "UNAVAILABLE"}}


# -- Bedrock's


def conversed(feature: str) -> dict[str, Any]:
    """Of `Converse`."""
    answer = said(feature)
    asked, answered = answer.usage
    content: list[dict[str, Any]] = []
    if answer.thoughts:
        content.append({"reasoningContent": {"reasoningText": {"text": answer.thoughts, "signature": "sig"}}})
    if answer.text:
        content.append({"text": answer.text})
    for number, (name, arguments) in enumerate(answer.calls, start=1):
        call = {"toolUseId": f"call_{number}", "name": name, "input": json.loads(arguments)}
        content.append({"toolUse": call})
    usage = {
        "inputTokens": asked - CACHED - 1,
        "outputTokens": answered,
        "totalTokens": asked + answered,
        "cacheReadInputTokens": CACHED,
        "cacheWriteInputTokens": 1,
    }
    stop = "tool_use" if answer.calls else "end_turn"
    return {**converse_replies.converse_reply(*content, stop=stop), "usage": usage}


def conversed_events(feature: str) -> list[bytes]:
    """The same as a stream."""
    return converse_replies.converse_events(conversed(feature))


def invoked(feature: str) -> dict[str, Any]:
    """Of `InvokeModel`: Claude's own words."""
    return message(said(feature))


def invoked_events(feature: str) -> list[bytes]:
    """The same as a stream, each event within one of Bedrock's."""
    found = [json.loads(event.partition(b"data: ")[2]) for event in message_events(said(feature))]
    asked, answered = said(feature).usage
    found[-1]["amazon-bedrock-invocationMetrics"] = {
        "inputTokenCount": asked - CACHED - 1,
        "outputTokenCount": answered,
        "invocationLatency": 9,
        "firstByteLatency": 3,
    }
    return [_chunk(event) for event in found]


def _chunk(event: dict[str, Any]) -> bytes:
    held = base64.b64encode(json.dumps(event).encode()).decode()
    return write_event("chunk", json.dumps({"bytes": held, "p": "abcd"}).encode())


def embedded_at_bedrock(feature: str) -> dict[str, Any]:
    """One vector of Titan's, by `InvokeModel`."""
    return {"embedding": VECTOR, "inputTextTokenCount": said(feature).usage[0]}


def broken_stream() -> bytes:
    """What ends a stream of Bedrock's that fails."""
    return converse_replies.exception("modelStreamErrorException", "canary broke")


# -- Cohere's


def cohere_reply(feature: str) -> dict[str, Any]:
    """Of `/v2/chat`."""
    answer = said(feature)
    asked, answered = answer.usage
    content: list[dict[str, Any]] = []
    if answer.thoughts:
        content.append({"type": "thinking", "thinking": answer.thoughts})
    if answer.text:
        content.append({"type": "text", "text": answer.text})
    more: dict[str, Any] = {}
    if answer.calls:
        more["reason"] = "TOOL_CALL"
        more["tool_calls"] = [
            {"id": f"call_{at}", "type": "function", "function": {"name": name, "arguments": arguments}}
            for at, (name, arguments) in enumerate(answer.calls, start=1)
        ]
    tokens = {"input_tokens": float(asked), "output_tokens": float(answered)}
    usage = {"billed_units": tokens, "tokens": tokens, "cached_tokens": CACHED}
    return cohere_replies.reply(*content, usage=usage, **more)


def cohere_events(feature: str) -> list[bytes]:
    """The same as a stream."""
    return cohere_replies.events(cohere_reply(feature))


def failed_at_cohere() -> dict[str, Any]:
    """An answer that began, and went wrong."""
    return {**cohere_reply("text"), "finish_reason": "ERROR"}


def failure_event_of_cohere() -> bytes:
    """The same at the end of a stream."""
    return cohere_replies.event("message-end", delta={"finish_reason": "ERROR", "error": "canary broke"})


def embedded_by_cohere(feature: str) -> dict[str, Any]:
    """One vector of `/v2/embed`."""
    units = {"input_tokens": float(said(feature).usage[0])}
    return {"id": "e-1", "embeddings": {"float": [VECTOR]}, "meta": {"billed_units": units}}


def ranked_by_cohere(_: str) -> dict[str, Any]:
    """Of `/v2/rerank`."""
    return {**ranked_at_bedrock(""), "id": "r-1", "meta": {"billed_units": {"search_units": 1.0}}}


# -- ranks of others


def ranked_at_bedrock(_: str) -> dict[str, Any]:
    """Of a model that ranks, by `InvokeModel`."""
    return {"results": [{"index": index, "relevance_score": score} for index, score in RANKS]}


def ranked_by_tei(_: str) -> list[dict[str, Any]]:
    """Of Text Embeddings Inference."""
    return [{"index": index, "score": score} for index, score in RANKS]


def ranked_at_vertex(_: str) -> dict[str, Any]:
    """Of a model of Vertex that ranks."""
    return {"records": [{"id": str(index), "score": score} for index, score in RANKS]}
