"""An embeddings call for Nomic, and its answer back.

A text is embedded for a task, `search_document` unless the caller sends a `task_type` of Nomic's.

Shapes: https://github.com/nomic-ai/nomic/blob/main/nomic/embed.py , https://docs.nomic.ai/atlas/models/text-embedding
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from gateway.endpoints.openai_content import find_object
from gateway.endpoints.openai_reply import (
    UNREADABLE,
    ReplyFacts,
    estimate_usage,
    excerpt,
    read_usage,
    text_of,
)
from gateway.errors import UpstreamBadReply
from gateway.model import Call, Target
from gateway.translate.embedding_lists import check_count, read_texts, write_list
from gateway.translate.foreign_json import (
    DepthLimit,
    list_of,
    object_of,
    read_fields,
    write_json,
    write_reply,
)
from gateway.translate.openai_relay import open_stream
from gateway.translate.pair import LeftOut, Refusal

__all__ = ["open_stream", "path", "read", "read_error", "write"]

_PATH: Final = "/embedding/text"
_READ_ELSEWHERE: Final = frozenset({"model", "input", "dimensions", "encoding_format"})
_OF_NOMIC: Final = ("task_type", "long_text_mode")
"""Fields that a caller who knows Nomic may send as they are."""

_TYPES: Final = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
_FIRST_OF_SERVER: Final = 500


class _Answer(msgspec.Struct):
    embeddings: list[msgspec.Raw]
    usage: Any = None
    model: Any = None


_answers: Final = msgspec.json.Decoder(_Answer)


def path(call: Call, target: Target) -> str:  # noqa: ARG001 - the interface of a pair
    """Where texts are embedded."""
    return _PATH


def write(call: Call, target: Target) -> tuple[bytes, tuple[str, ...]]:
    """The call in Nomic's words; raises as `Pair.write` says."""
    fields = read_fields(call)
    left_out = LeftOut(target)
    body: dict[str, Any] = {"model": target.model_id, "texts": read_texts(fields, left_out)}
    if "dimensions" in fields:
        body["dimensionality"] = fields["dimensions"]
    for name, value in fields.items():
        if name in _OF_NOMIC:
            body[name] = value
        elif name not in _READ_ELSEWHERE:
            left_out.add(name)
    with DepthLimit():
        return write_json(body), tuple(left_out.names)


def read(
    call: Call,
    body: bytes,
    *,
    started_at_ns: int,  # noqa: ARG001 - the interface of a pair
) -> tuple[bytes, ReplyFacts]:
    """Nomic's vectors as OpenAI's list."""
    try:
        answer = _answers.decode(body)
        if not answer.embeddings:
            raise UpstreamBadReply("The provider's reply has no answer in it.", excerpt=excerpt(body))
        check_count(call, answer.embeddings, body)
        usage = read_usage(answer.usage) or estimate_usage(call.body_bytes, 0)
        model = text_of(answer.model)
        written = write_list(call, answer.embeddings, model=model, usage=usage)
    except UNREADABLE as error:
        msg = "The provider answered with something that is no list of embeddings."
        raise UpstreamBadReply(msg, excerpt=excerpt(body)) from error
    return written, ReplyFacts(response_id="", response_model=model, finish_reasons=(), usage=usage)


def read_error(status: int, body: bytes) -> Refusal | None:
    """Nomic's `detail`, a text or a list of what is wrong where, in OpenAI's shape."""
    found = find_object(body)
    if found is None:
        return None
    kind = _TYPES.get(status) or ("server_error" if status >= _FIRST_OF_SERVER else "invalid_request_error")
    error = {"message": _message(found), "type": kind, "param": None, "code": None}
    return Refusal(status, write_reply({"error": error}))


def _message(found: dict[str, Any]) -> str:
    detail = found.get("detail")
    said = [text_of(object_of(each).get("msg")) for each in list_of(detail)]
    texts = (text_of(detail), "; ".join(filter(None, said)), text_of(found.get("message")))
    return next(filter(None, texts), "The provider answered with an error.")
