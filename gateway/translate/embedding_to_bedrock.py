"""Texts to be embedded by a model of Bedrock, as the body of an invocation, and its answer as OpenAI has it.

Converse embeds nothing, and each maker's models take a body of their own. Which one is meant is told by the
model's id, or, where that is the ARN of something that only its owner knows, by its name here. Amazon's take
one text a call. What a text is for is `input_type`, in Cohere's words, for the models that ask; the counts of
tokens are Amazon's own, in the body or beside it (`counts_beside`).

Shapes, below https://docs.aws.amazon.com/ : bedrock/latest/userguide/model-parameters-titan-embed-text.html ,
bedrock/latest/userguide/model-parameters-titan-embed-mm.html ,
bedrock/latest/userguide/model-parameters-embed-v3.html ,
bedrock/latest/userguide/model-parameters-embed-v4.html , nova/latest/userguide/embeddings-schema.html
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from gateway.endpoints.openai_reply import (
    UNREADABLE,
    ReplyFacts,
    count_of,
    estimate_usage,
    excerpt,
    text_of,
)
from gateway.errors import UnsupportedParameter, UpstreamBadReply
from gateway.model import Call, Target, Usage
from gateway.translate.chat_to_converse import read_error
from gateway.translate.embedding_lists import check_count, read_texts, write_list
from gateway.translate.embedding_to_cohere import INPUT_TYPE, ByType
from gateway.translate.foreign_json import DepthLimit, read_fields, write_json
from gateway.translate.openai_relay import open_stream
from gateway.translate.pair import LeftOut
from gateway.translate.rerank_to_bedrock import path

__all__ = ["open_stream", "path", "read", "read_error", "write"]

_SHAPES: Final = re.compile(
    r"(?P<nova>nova-[\w.-]*embed)|(?P<titan_image>titan-embed-image)|(?P<titan_2>titan-embed-text-v2)"
    r"|(?P<titan>titan-embed)|(?P<cohere_3>embed-(?:english|multilingual))|(?P<cohere>embed-v\d)"
)
# What the others take beside texts and dimensions, under the names that callers give it.
_OWN: Final = {
    "nova": ("input_type", "truncate"),
    "titan_2": ("normalize",),
    "cohere_3": ("input_type", "truncate"),
    "cohere": ("input_type", "truncate", "max_tokens"),
}
_OF_EVERY_CALL: Final = frozenset({"model", "input", "dimensions", "encoding_format"})
# Models whose vectors are all as long.
_LENGTHS: Final = {"titan": 1536, "cohere_3": 1024}
_OF_COHERE: Final = ("cohere_3", "cohere")
_PURPOSES: Final = {
    "search_document": "GENERIC_INDEX",
    "search_query": "GENERIC_RETRIEVAL",
    "classification": "CLASSIFICATION",
    "clustering": "CLUSTERING",
}


class _NovasEmbedding(msgspec.Struct):
    embedding: msgspec.Raw


class _Answer(msgspec.Struct):
    """Titan has one `embedding`, Cohere and Nova a list; of several types Cohere has one of each."""

    embedding: msgspec.Raw = msgspec.Raw()
    embeddings: list[msgspec.Raw] | ByType | None = None
    id: Any = None
    inputTextTokenCount: Any = None  # noqa: N815 - Titan's name


_answers: Final = msgspec.json.Decoder(_Answer)
_novas: Final = msgspec.json.Decoder(_NovasEmbedding)


def write(call: Call, target: Target) -> tuple[bytes, tuple[str, ...]]:
    """The call as the model takes it; raises as `Pair.write` says."""
    fields = read_fields(call)
    shape = _shape_of(target)
    left_out = LeftOut(target)
    texts = read_texts(fields, left_out)
    if shape not in _OF_COHERE and len(texts) > 1:
        message = (
            f"{target.name} embeds one text a call, and this one has {len(texts)}. "
            "Send them one by one, or ask another model."
        )
        raise UnsupportedParameter(message, param="input")
    own = _OWN.get(shape, ())
    for name in fields:
        if name not in _OF_EVERY_CALL and name not in own:
            left_out.add(name)
    said = {name: fields[name] for name in own if fields.get(name) is not None}
    dimensions = _dimensions(fields, shape, target)
    with DepthLimit():
        return write_json(_body(shape, texts, dimensions, said)), tuple(left_out.names)


def _shape_of(target: Target) -> str:
    for name in (target.model_id, target.name.partition("/")[2]):
        if (found := _SHAPES.search(name.lower())) and found.lastgroup:
            return found.lastgroup
    message = (
        f"{target.name} is not known to embed texts. Of Bedrock's models Amazon's Titan and Nova and "
        "Cohere's Embed are; a name here that says which one it is helps where the model's id does not."
    )
    raise UnsupportedParameter(message, param="model")


def _dimensions(fields: dict[str, Any], shape: str, target: Target) -> Any:
    """How long the vectors are to be, None where that need not be said.

    Raises:
        UnsupportedParameter: The model's are of another length, which whoever keeps them could not use.
    """
    asked, only = fields.get("dimensions"), _LENGTHS.get(shape)
    if only is None or asked is None:
        return asked
    if asked != only:
        message = f'{target.name} gives {only} dimensions and no others. Leave "dimensions" out.'
        raise UnsupportedParameter(message, param="dimensions")
    return None


def _body(shape: str, texts: list[str], dimensions: object, own: dict[str, Any]) -> dict[str, Any]:
    if shape in _OF_COHERE:
        length = {} if dimensions is None else {"output_dimension": dimensions}
        return {"texts": texts, "input_type": INPUT_TYPE, "embedding_types": ["float"], **length, **own}
    if shape == "nova":
        purpose = own.get("input_type", INPUT_TYPE)
        known = _PURPOSES.get(purpose) if isinstance(purpose, str) else None
        asked: dict[str, Any] = {
            "embeddingPurpose": known or purpose,
            # A text that is too long is an error with OpenAI's models and with all the others here.
            "text": {"truncationMode": own.get("truncate", "NONE"), "value": texts[0]},
        }
        if dimensions is not None:
            asked["embeddingDimension"] = dimensions
        return {"taskType": "SINGLE_EMBEDDING", "singleEmbeddingParams": asked}
    body = {"inputText": texts[0], **own}
    if dimensions is not None and shape == "titan_image":
        body["embeddingConfig"] = {"outputEmbeddingLength": dimensions}
    elif dimensions is not None:
        body["dimensions"] = dimensions
    return body


def read(
    call: Call,
    body: bytes,
    *,
    started_at_ns: int,  # noqa: ARG001 - the interface of a pair
) -> tuple[bytes, ReplyFacts]:
    """The embeddings as OpenAI has them."""
    try:
        answer = _answers.decode(body)
        vectors = _vectors_in(answer)
        usage = _usage(answer, call)
        check_count(call, vectors, body)
        # No model of Bedrock says which one it was.
        written = write_list(call, vectors, model=call.model, usage=usage)
    except UNREADABLE as error:
        msg = "The provider answered with something that has no embeddings."
        raise UpstreamBadReply(msg, excerpt=excerpt(body)) from error
    return written, ReplyFacts(text_of(answer.id), "", (), usage)


def _vectors_in(answer: _Answer) -> list[msgspec.Raw]:
    match answer.embeddings:
        case None:
            return [answer.embedding] if bytes(answer.embedding) else []
        case list(found):
            return [_novas.decode(each).embedding if bytes(each).startswith(b"{") else each for each in found]
        case by_type:
            return by_type.float


def _usage(answer: _Answer, call: Call) -> Usage:
    counted = count_of(answer.inputTextTokenCount)
    if counted is not None:
        return Usage(counted, None, "provider")
    return msgspec.structs.replace(estimate_usage(call.body_bytes, 0), output_tokens=None)
