"""A call of embeddings for a model of Google's, and its answer back. See docs/translation.md.

The Gemini API takes a list of contents. Vertex has that too for the Gemini models, and a path of its own for
one alone; older models are asked for a prediction there. Beyond OpenAI's fields, callers may send Google's
`task_type`, `title` and `auto_truncate`.

Shapes: https://ai.google.dev/api/embeddings ,
https://docs.cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

import msgspec

from gateway.endpoints.openai_reply import (
    BYTES_PER_TOKEN,
    UNREADABLE,
    ReplyFacts,
    count_of,
    excerpt,
)
from gateway.errors import InvalidBody, UnsupportedParameter, UpstreamBadReply
from gateway.model import Call, Target, Usage
from gateway.translate.chat_to_gemini import read_error
from gateway.translate.embedding_lists import check_count, refuse_too_many, text_count, write_numbers
from gateway.translate.foreign_json import DepthLimit, object_of, read_fields, write_json
from gateway.translate.pair import LeftOut, ReplyStream

__all__ = ["open_stream", "path", "read", "read_error", "write"]

_READ: Final = frozenset({"model", "input", "dimensions", "encoding_format", "task_type", "title"})
_AT_VERTEX: Final = "auto_truncate"


class _Embedding(msgspec.Struct):
    values: list[float]
    statistics: Any = None


class _Prediction(msgspec.Struct):
    embeddings: _Embedding


class _Reply(msgspec.Struct, rename="camel"):
    """What is read of any of the answers."""

    embeddings: list[_Embedding] | None = None
    embedding: _Embedding | None = None
    predictions: list[_Prediction] | None = None
    usage_metadata: Any = None


_replies: Final = msgspec.json.Decoder(_Reply)


def path(call: Call, target: Target) -> str:
    """By how many texts there are, where that matters."""
    match target.embeds_by:
        case "predict":
            verb = "predict"
        case "content" if text_count(call) == 1:
            verb = "embedContent"
        case _:
            verb = "batchEmbedContents"
    return f"/models/{quote(target.model_id, safe='@')}:{verb}"


def write(call: Call, target: Target) -> tuple[bytes, tuple[str, ...]]:
    """The call as Google takes it.

    Raises:
        InvalidBody: There is no text to embed, or another field has a wrong shape.
        UnsupportedParameter: It has tokens in place of texts.
    """
    fields = read_fields(call)
    left_out = LeftOut(target)
    texts = _read_texts(fields.get("input"))
    dimensions = fields.get("dimensions")
    if dimensions is not None and (count_of(dimensions) or 0) < 1:
        raise InvalidBody('"dimensions" must be a whole number above 0.', param="dimensions")
    if fields.get("encoding_format", "float") not in ("float", "base64"):
        raise InvalidBody('"encoding_format" must be "float" or "base64".', param="encoding_format")
    for name in fields:
        if name not in _READ and not (name == _AT_VERTEX and target.embeds_by):
            left_out.add(name)
    with DepthLimit():
        return write_json(_body(target, texts, fields)), tuple(left_out.names)


def _read_texts(given: object) -> list[str]:
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts:
        raise InvalidBody('"input" must be a text, or a list of texts.', param="input")
    refuse_too_many(texts)
    if not all(isinstance(text, str) for text in texts):
        message = "This model takes texts and no tokens. Send them as they are."
        raise UnsupportedParameter(message, param="input")
    return texts


def _body(target: Target, texts: list[str], fields: dict[str, Any]) -> dict[str, Any]:
    asked = {"taskType": fields.get("task_type"), "title": fields.get("title")}
    shaped = {
        "outputDimensionality": fields.get("dimensions"),
        "autoTruncate": fields.get(_AT_VERTEX) if target.embeds_by else None,
    }
    if target.embeds_by == "predict":
        about = _given({"task_type": asked["taskType"], "title": asked["title"]})
        body: dict[str, Any] = {"instances": [{"content": text, **about} for text in texts]}
        return {**body, "parameters": parameters} if (parameters := _given(shaped)) else body
    config = _given(asked | shaped)
    contents = [{"role": "user", "parts": [{"text": text}]} for text in texts]
    if target.embeds_by != "content":
        name = f"models/{target.model_id}"
        return {"requests": [{"model": name, "content": content, **config} for content in contents]}
    requests = [
        {"content": content, "embedContentConfig": config} if config else {"content": content}
        for content in contents
    ]
    return requests[0] if len(requests) == 1 else {"requests": requests}


def _given(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def read(
    call: Call,
    body: bytes,
    *,
    started_at_ns: int,  # noqa: ARG001 - the interface of a pair
) -> tuple[bytes, ReplyFacts]:
    """The vectors, in the order of their texts."""
    try:
        reply = _replies.decode(body)
    except UNREADABLE as error:
        msg = "The provider answered with something that is not a reply with embeddings."
        raise UpstreamBadReply(msg, excerpt=excerpt(body)) from error
    found = _embeddings(reply)
    check_count(call, found, body)
    usage = _usage(reply, found, asked_bytes=call.body_bytes)
    written = write_numbers(call, [one.values for one in found], model=call.model, usage=usage)
    return written, ReplyFacts("", "", (), usage)


def _embeddings(reply: _Reply) -> list[_Embedding]:
    if reply.predictions is not None:
        return [prediction.embeddings for prediction in reply.predictions]
    if reply.embedding is not None:
        return [reply.embedding]
    return reply.embeddings or []


def _usage(reply: _Reply, found: list[_Embedding], *, asked_bytes: int) -> Usage:
    """As counted for all, or for each; else a guess."""
    total = count_of(object_of(reply.usage_metadata).get("promptTokenCount"))
    if total is None:
        counts = [_token_count(object_of(one.statistics)) for one in found]
        if any(count is None for count in counts):
            return Usage(asked_bytes // BYTES_PER_TOKEN, 0, "estimated")
        total = sum(count or 0 for count in counts)
    return Usage(total, 0, "provider")


def _token_count(statistics: dict[str, Any]) -> int | None:
    count = statistics.get("token_count", statistics.get("tokenCount"))
    # Some are written as 4.0.
    return count_of(int(count)) if isinstance(count, float) and count.is_integer() else count_of(count)


def open_stream(call: Call, *, started_at_ns: int) -> ReplyStream:
    """Embeddings have no stream."""
    raise NotImplementedError
