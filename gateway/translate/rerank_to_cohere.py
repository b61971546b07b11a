"""Documents ranked by Cohere's second version, which takes texts alone and gives none back.

Shapes: https://docs.cohere.com/reference/rerank
"""

from __future__ import annotations

from typing import Any

from gateway.endpoints.openai_events import ObjectFacts
from gateway.endpoints.rerank_reply import read_rerank
from gateway.model import Call, Target
from gateway.translate.cohere_errors import read_error
from gateway.translate.foreign_json import DepthLimit, list_of, read_object, write_json, write_reply
from gateway.translate.object_relay import open_stream
from gateway.translate.rerank_call import Ranking, wants_documents, with_documents
from gateway.translate.unchanged import path

__all__ = ["open_stream", "path", "read", "read_error", "write"]


def write(call: Call, target: Target) -> tuple[bytes, tuple[str, ...]]:
    """The call as Cohere takes it; raises as `Pair.write` says."""
    with DepthLimit():
        ranking = Ranking(call, target)
        body = {"model": target.model_id, **asked(ranking, "max_tokens_per_doc", "priority")}
        return write_json(body), tuple(ranking.left_out.names)


def asked(ranking: Ranking, *own: str) -> dict[str, Any]:
    """What Cohere's models are asked, wherever they are: its words, and the call's fields of the names *own*.

    Raises:
        UnsupportedParameter: There are others, and the operator wants such calls refused.
    """
    body = {"query": ranking.query, "documents": ranking.documents, **ranking.take(*own)}
    return body if ranking.top_n is None else {**body, "top_n": ranking.top_n}


def read(
    call: Call,
    body: bytes,
    *,
    started_at_ns: int,  # noqa: ARG001 - the interface of a pair
) -> tuple[bytes, ObjectFacts]:
    """The reply as it came, with the documents where the caller wants them."""
    return read_ranks(call, body)


def read_ranks(call: Call, body: bytes) -> tuple[bytes, ObjectFacts]:
    """The same for whoever answers in Cohere's shape.

    Raises:
        UpstreamBadReply: It is no reply.
    """
    facts = read_rerank(body)
    if not wants_documents(call):
        return body, facts
    reply = read_object(body)
    return write_reply({**reply, "results": with_documents(call, list_of(reply.get("results")))}), facts
