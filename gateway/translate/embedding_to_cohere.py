"""Texts to be embedded by Cohere's second version, and its answer as OpenAI has it. See docs/translation.md.

Models of Cohere embed what is searched and what it is searched for differently, and OpenAI's API has no word
for it: `input_type` of the call, or else a document to be found.

Shapes: https://docs.cohere.com/reference/embed , https://platform.openai.com/docs/api-reference/embeddings
"""

from __future__ import annotations

import base64
import sys
from array import array
from typing import Any, Final

from gateway.endpoints.openai_events import EventReader
from gateway.endpoints.openai_reply import ReplyFacts, estimate_usage, excerpt, text_of
from gateway.endpoints.rerank_reply import read_cohere_meta
from gateway.errors import InvalidBody, UpstreamBadReply
from gateway.model import Call, Target, Usage
from gateway.translate.cohere_errors import read_error
from gateway.translate.foreign_json import (
    DepthLimit,
    list_of,
    object_of,
    read_fields,
    read_object,
    write_json,
    write_reply,
)
from gateway.translate.pair import LeftOut

__all__ = ["open_stream", "path", "read", "read_error", "write"]

INPUT_TYPE: Final = "search_document"
"""Of a call that does not say what its texts are: most of them fill an index."""

_OF_COHERE: Final = ("truncate", "max_tokens", "priority")
_READ_HERE: Final = frozenset({"model", "input", "dimensions", "encoding_format", "input_type", *_OF_COHERE})
_BASE64: Final = b'"base64"'


def path(call: Call, target: Target) -> str:  # noqa: ARG001 - the interface of a pair
    """Where embeddings are."""
    return "/embed"


def write(call: Call, target: Target) -> tuple[bytes, tuple[str, ...]]:
    """The call as Cohere takes it; raises as `Pair.write` says."""
    with DepthLimit():
        fields = read_fields(call)
        left_out = LeftOut(target)
        for name in fields:
            if name not in _READ_HERE:
                left_out.add(name)
        body: dict[str, Any] = {
            "model": target.model_id,
            "texts": _texts(fields.get("input"), left_out),
            "input_type": fields.get("input_type", INPUT_TYPE),
            # What OpenAI's callers call base64 is made of these here: how wide Cohere's are is not told.
            "embedding_types": ["float"],
        }
        if "dimensions" in fields:
            body["output_dimension"] = fields["dimensions"]
        for name in _OF_COHERE:
            if name in fields:
                body[name] = fields[name]
        return write_json(body), tuple(left_out.names)


def _texts(asked: object, left_out: LeftOut) -> list[str]:
    texts = [asked] if isinstance(asked, str) else list_of(asked)
    if texts and all(isinstance(text, str) for text in texts):
        return texts
    if texts and all(isinstance(token, int | list) for token in texts):
        # Tokens of OpenAI's own, which mean something else to any other model.
        raise left_out.refusal("input")
    raise InvalidBody('"input" must be a text or a list of texts.', param="input")


def read(
    call: Call,
    body: bytes,
    *,
    started_at_ns: int,  # noqa: ARG001 - the interface of a pair
) -> tuple[bytes, ReplyFacts]:
    """The embeddings as OpenAI has them."""
    found = read_object(body)
    embeddings = found.get("embeddings")
    vectors = object_of(embeddings).get("float", embeddings)
    if not isinstance(vectors, list) or not vectors:
        raise UpstreamBadReply("The provider's reply has no answer in it.", excerpt=excerpt(body))
    is_base64 = bytes(call.fields.get("encoding_format", b"")) == _BASE64
    usage = read_cohere_meta(found.get("meta")) or estimate_usage(call.body_bytes, 0)
    facts = ReplyFacts(text_of(found.get("id")), "", (), Usage(usage.input_tokens, None, usage.source))
    reply = {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _packed(vector) if is_base64 else vector}
            for index, vector in enumerate(vectors)
        ],
        "model": call.model,
        "usage": {"prompt_tokens": usage.input_tokens or 0, "total_tokens": usage.input_tokens or 0},
    }
    return write_reply(reply), facts


def _packed(vector: object) -> str:
    """Numbers of four bytes each, the lowest first, in base64."""
    try:
        numbers = array("f", list_of(vector))
    except (TypeError, OverflowError) as error:
        raise UpstreamBadReply("The provider's reply has an embedding of something else.") from error
    if sys.byteorder == "big":
        numbers.byteswap()
    return base64.b64encode(numbers.tobytes()).decode()


def open_stream(
    call: Call,
    *,
    started_at_ns: int,  # noqa: ARG001 - the interface of a pair
) -> EventReader:
    """Embeddings have none."""
    return EventReader(call.endpoint, asked_bytes=call.body_bytes)
