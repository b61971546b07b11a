"""Documents ranked by a server in the caller's own words: bytes pass as they are, but for the model's name.

Jina's API, which vLLM, infinity, SGLang, llama.cpp, LocalAI and Together AI have as well.

Shapes: https://docs.vllm.ai/en/latest/serving/openai_compatible_server , https://api.jina.ai/redoc
"""

from __future__ import annotations

from gateway.endpoints.openai_events import ObjectFacts
from gateway.endpoints.rerank_reply import read_rerank
from gateway.model import Call
from gateway.translate.object_relay import open_stream
from gateway.translate.unchanged import path, read_error, write

__all__ = ["open_stream", "path", "read", "read_error", "write"]


def read(
    call: Call,  # noqa: ARG001 - the interface of a pair
    body: bytes,
    *,
    started_at_ns: int,  # noqa: ARG001 - the interface of a pair
) -> tuple[bytes, ObjectFacts]:
    """The reply as it came."""
    return body, read_rerank(body)
