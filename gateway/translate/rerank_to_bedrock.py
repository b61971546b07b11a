"""Documents ranked by a model of Bedrock: Cohere's and Amazon's take the same, as the body of an invocation.

Bedrock tells no usage of it.

Shapes: https://docs.aws.amazon.com/bedrock/latest/userguide/rerank-supported.html ,
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote

from gateway.endpoints.openai_events import ObjectFacts
from gateway.model import Call, Target
from gateway.translate.chat_to_converse import read_error
from gateway.translate.foreign_json import DepthLimit, write_json
from gateway.translate.object_relay import open_stream
from gateway.translate.rerank_call import Ranking
from gateway.translate.rerank_to_cohere import asked, read_ranks

__all__ = ["open_stream", "path", "read", "read_error", "write"]

_COHERE: Final = re.compile(r"\bcohere\.")
_VERSION: Final = 2


def path(call: Call, target: Target) -> str:  # noqa: ARG001 - the interface of a pair
    """Where the model is invoked."""
    return f"/model/{quote(target.model_id, safe='')}/invoke"


def write(call: Call, target: Target) -> tuple[bytes, tuple[str, ...]]:
    """The call as the model takes it; raises as `Pair.write` says."""
    with DepthLimit():
        ranking = Ranking(call, target)
        if _COHERE.search(target.model_id):
            # Whose models want to know which version of their API is meant.
            body = {**asked(ranking, "max_tokens_per_doc"), "api_version": _VERSION}
        else:
            body = asked(ranking)
        return write_json(body), tuple(ranking.left_out.names)


def read(
    call: Call,
    body: bytes,
    *,
    started_at_ns: int,  # noqa: ARG001 - the interface of a pair
) -> tuple[bytes, ObjectFacts]:
    """The reply as it came, with the documents where the caller wants them."""
    return read_ranks(call, body)
