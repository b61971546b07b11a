"""Texts to be embedded by Cohere's second version, and its answer as OpenAI has it. See docs/translation.md.

Models of Cohere embed what is searched and what it is searched for differently, and OpenAI's API has no word
for it: `input_type` of the call, or else a document to be found.

Shapes: https://docs.cohere.com/reference/embed , https://platform.openai.com/docs/api-reference/embeddings
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from gateway.endpoints.openai_reply import UNREADABLE, ReplyFacts, estimate_usage, excerpt, text_of
from gateway.endpoints.rerank_reply import read_cohere_meta
from gateway.errors import UpstreamBadReply
from gateway.model import Call, Target
from gateway.translate.cohere_errors import read_error
from gateway.translate.embedding_lists import check_count, read_texts, write_list
from gateway.translate.foreign_json import DepthLimit, read_fields, write_json
from gateway.translate.openai_relay import open_stream
from gateway.translate.pair import LeftOut

__all__ = ["open_stream", "path", "read", "read_error", "write"]

INPUT_TYPE: Final = "search_document"
"""Of a call that does not say what its texts are: most of them fill an index."""

_OF_COHERE: Final = ("truncate", "max_tokens", "priority")
_READ_HERE: Final = frozenset({"model", "input", "dimensions", "encoding_format", "input_type", *_OF_COHERE})


class ByType(msgspec.Struct):
    """Embeddings by the type of their numbers."""

    # Left undecoded: a batch of embeddings is megabytes of numbers.
    float: list[msgspec.Raw]


class _Answer(msgspec.Struct):
    embeddings: ByType
    id: Any = None
    meta: Any = None


_answers: Final = msgspec.json.Decoder(_Answer)


def path(call: Call, target: Target) -> str:  # noqa: ARG001 - the interface of a pair
    """Where embeddings are."""
    return "/embed"


def write(call: Call, target: Target) -> tuple[bytes, tuple[str, ...]]:
    """The call as Cohere takes it; raises as `Pair.write` says."""
    fields = read_fields(call)
    left_out = LeftOut(target)
    for name in fields:
        if name not in _READ_HERE:
            left_out.add(name)
    body: dict[str, Any] = {
        "model": target.model_id,
        "texts": read_texts(fields, left_out),
        "input_type": fields.get("input_type", INPUT_TYPE),
        # Base64 is made of these here: how wide the numbers in Cohere's own are is not told.
        "embedding_types": ["float"],
    }
    if "dimensions" in fields:
        body["output_dimension"] = fields["dimensions"]
    for name in _OF_COHERE:
        if name in fields:
            body[name] = fields[name]
    with DepthLimit():
        return write_json(body), tuple(left_out.names)


def read(
    call: Call,
    body: bytes,
    *,
    started_at_ns: int,  # noqa: ARG001 - the interface of a pair
) -> tuple[bytes, ReplyFacts]:
    """The embeddings as OpenAI has them."""
    try:
        answer = _answers.decode(body)
        if not answer.embeddings.float:
            raise UpstreamBadReply("The provider's reply has no answer in it.", excerpt=excerpt(body))
        check_count(call, answer.embeddings.float, body)
        usage = read_cohere_meta(answer.meta) or estimate_usage(call.body_bytes, 0)
        usage = msgspec.structs.replace(usage, output_tokens=None)
        # Cohere does not say which model it was.
        written = write_list(call, answer.embeddings.float, model=call.model, usage=usage)
    except UNREADABLE as error:
        msg = "The provider answered with something that is no list of embeddings."
        raise UpstreamBadReply(msg, excerpt=excerpt(body)) from error
    return written, ReplyFacts(text_of(answer.id), "", (), usage)
