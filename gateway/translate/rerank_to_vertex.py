"""Documents ranked by a model of Vertex AI, whose ranking has `records` with ids and answers with scores.

Long texts are cut there, and nothing is told of usage.

Shapes: https://docs.cloud.google.com/generative-ai-app-builder/docs/ranking ,
https://docs.cloud.google.com/generative-ai-app-builder/docs/reference/rest/v1/projects.locations.rankingConfigs/rank
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from gateway.endpoints.openai_events import ObjectFacts
from gateway.endpoints.openai_reply import excerpt, text_of
from gateway.errors import UpstreamBadReply
from gateway.model import Call, Target
from gateway.translate.chat_to_gemini import read_error
from gateway.translate.foreign_json import DepthLimit, object_of, read_object, write_json
from gateway.translate.object_relay import open_stream
from gateway.translate.rerank_call import Ranking, write_ranks

__all__ = ["open_stream", "path", "read", "read_error", "write"]

_MAX_DIGITS: Final = 9


def path(call: Call, target: Target) -> str:  # noqa: ARG001 - the interface of a pair
    """The verb of the ranking that is the target's base URL."""
    return ":rank"


def write(call: Call, target: Target) -> tuple[bytes, tuple[str, ...]]:
    """The call as Vertex takes it; raises as `Pair.write` says."""
    with DepthLimit():
        ranking = Ranking(call, target)
        ranking.take()
        body: dict[str, Any] = {
            "model": target.model_id,
            "query": ranking.query,
            "records": [{"id": str(at), "content": text} for at, text in enumerate(ranking.documents)],
            # They are put back here.
            "ignoreRecordDetailsInResponse": True,
        }
        if ranking.top_n is not None:
            body["topN"] = ranking.top_n
        return write_json(body), tuple(ranking.left_out.names)


def read(
    call: Call,
    body: bytes,
    *,
    started_at_ns: int,  # noqa: ARG001 - the interface of a pair
) -> tuple[bytes, ObjectFacts]:
    """The records' ids as the places of the documents."""
    records = read_object(body).get("records")
    if not isinstance(records, list):
        raise UpstreamBadReply("The provider's reply has no answer in it.", excerpt=excerpt(body))
    return write_ranks(call, _scores(records), None)


def _scores(records: list[Any]) -> Iterator[tuple[object, object]]:
    for record in map(object_of, records):
        place = text_of(record.get("id"))
        is_place = place.isdecimal() and len(place) <= _MAX_DIGITS
        # Google leaves out what is zero.
        yield int(place) if is_place else None, record.get("score", 0)
