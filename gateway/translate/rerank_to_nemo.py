"""Documents ranked by NVIDIA's NeMo Retriever, which has `passages` and answers with logits.

Shapes: https://docs.nvidia.com/nim/nemo-retriever/text-reranking/latest/using-reranking.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gateway.endpoints.openai_events import ObjectFacts
from gateway.endpoints.openai_reply import excerpt
from gateway.endpoints.rerank_reply import read_rerank_usage
from gateway.errors import UpstreamBadReply
from gateway.model import Call, Target
from gateway.translate.foreign_json import DepthLimit, object_of, read_object, write_json
from gateway.translate.object_relay import open_stream
from gateway.translate.rerank_call import Ranking, likelihood, read_error, write_ranks

__all__ = ["open_stream", "path", "read", "read_error", "write"]


def path(call: Call, target: Target) -> str:  # noqa: ARG001 - the interface of a pair
    """Where rankings are."""
    return "/ranking"


def write(call: Call, target: Target) -> tuple[bytes, tuple[str, ...]]:
    """The call as NeMo takes it; raises as `Pair.write` says.

    Long texts are cut, as Cohere and Jina cut them; left alone NeMo refuses the call.
    """
    with DepthLimit():
        ranking = Ranking(call, target)
        own = ranking.take("truncate")
        body: dict[str, Any] = {
            "model": target.model_id,
            "query": {"text": ranking.query},
            "passages": [{"text": text} for text in ranking.documents],
            "truncate": "END",
            **own,
        }
        return write_json(body), tuple(ranking.left_out.names)


def read(
    call: Call,
    body: bytes,
    *,
    started_at_ns: int,  # noqa: ARG001 - the interface of a pair
) -> tuple[bytes, ObjectFacts]:
    """The logits as scores between 0 and 1."""
    found = read_object(body)
    ranks = found.get("rankings")
    if not isinstance(ranks, list):
        raise UpstreamBadReply("The provider's reply has no answer in it.", excerpt=excerpt(body))
    return write_ranks(call, _scores(ranks), read_rerank_usage(found.get("usage")))


def _scores(ranks: list[Any]) -> Iterator[tuple[object, object]]:
    for rank in map(object_of, ranks):
        logit = rank.get("logit")
        score = likelihood(logit) if isinstance(logit, int | float) else None
        yield rank.get("index"), score
