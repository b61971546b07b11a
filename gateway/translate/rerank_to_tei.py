"""Documents ranked by Text Embeddings Inference, which has `texts` and answers with a list of scores.

Shapes: https://huggingface.github.io/text-embeddings-inference/
"""

from __future__ import annotations

from typing import Any

from gateway.endpoints.openai_content import decode_leniently
from gateway.endpoints.openai_events import ObjectFacts
from gateway.endpoints.openai_reply import UNREADABLE, excerpt
from gateway.errors import UpstreamBadReply
from gateway.model import Call, Target
from gateway.translate.foreign_json import DepthLimit, object_of, write_json
from gateway.translate.object_relay import open_stream
from gateway.translate.rerank_call import Ranking, read_error, write_ranks
from gateway.translate.unchanged import path

__all__ = ["open_stream", "path", "read", "read_error", "write"]


def write(call: Call, target: Target) -> tuple[bytes, tuple[str, ...]]:
    """The call as TEI takes it; raises as `Pair.write` says.

    Long texts are cut, as Cohere and Jina cut them; left alone TEI refuses the call.
    """
    with DepthLimit():
        ranking = Ranking(call, target)
        own = ranking.take("truncate", "truncation_direction", "raw_scores")
        body: dict[str, Any] = {
            "query": ranking.query,
            "texts": ranking.documents,
            "truncate": True,
            **own,
        }
        return write_json(body), tuple(ranking.left_out.names)


def read(
    call: Call,
    body: bytes,
    *,
    started_at_ns: int,  # noqa: ARG001 - the interface of a pair
) -> tuple[bytes, ObjectFacts]:
    """The list of scores as results; TEI tells no usage."""
    try:
        scores = decode_leniently(body)
    except UNREADABLE:
        scores = None
    if not isinstance(scores, list):
        msg = "The provider answered with something that is not a list of ranks."
        raise UpstreamBadReply(msg, excerpt=excerpt(body))
    return write_ranks(
        call, ((rank.get("index"), rank.get("score")) for rank in map(object_of, scores)), None
    )
