"""The endpoints of Bedrock's runtime that call a model, one row each; the model is named in the path.

Paths: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_Operations_Amazon_Bedrock_Runtime.html
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from gateway.model import Endpoint

PREFIX: Final = "/bedrock/proxy"
"""What stands before Bedrock's own paths here."""

STREAM_TYPE: Final = b"application/vnd.amazon.eventstream"

CONVERSE: Final = Endpoint(
    name="converse",
    path="/model/{modelId}/converse",
    route=f"{PREFIX}/model/{{modelId}}/converse",
    operation="chat",
    can_stream=False,
    dialect="converse",
)
CONVERSE_STREAM: Final = replace(
    CONVERSE,
    path="/model/{modelId}/converse-stream",
    route=f"{PREFIX}/model/{{modelId}}/converse-stream",
    can_stream=True,
    stream_type=STREAM_TYPE,
)
INVOKE: Final = Endpoint(
    name="invoke_model",
    path="/model/{modelId}/invoke",
    route=f"{PREFIX}/model/{{modelId}}/invoke",
    operation="chat",
    can_stream=False,
    dialect="converse",
)
INVOKE_STREAM: Final = replace(
    INVOKE,
    path="/model/{modelId}/invoke-with-response-stream",
    route=f"{PREFIX}/model/{{modelId}}/invoke-with-response-stream",
    can_stream=True,
    stream_type=STREAM_TYPE,
)
INVOKE_EMBEDDING: Final = replace(INVOKE, operation="embeddings")
"""The same for models that embed, which the path does not tell."""

COUNT_TOKENS: Final = Endpoint(
    name="count_model_tokens",
    path="/model/{modelId}/count-tokens",
    route=f"{PREFIX}/model/{{modelId}}/count-tokens",
    operation="count_tokens",
    can_stream=False,
    dialect="converse",
    counts_tokens=False,
)
MODEL_CALLS: Final = (CONVERSE, CONVERSE_STREAM, INVOKE, INVOKE_STREAM, COUNT_TOKENS)

OTHER: Final = Endpoint(
    name="bedrock",
    path="/{path}",
    route=f"{PREFIX}/{{path}}",
    operation="bedrock",
    can_stream=False,
    dialect="converse",
    reply="bytes",
    counts_tokens=False,
)
"""What is passed on for an account: guardrails, asynchronous invocations, and what is yet to come."""
