"""What a path of Bedrock's runtime asks for. Pure.

A model's id may be an ARN, with slashes and colons in it. AWS's SDKs escape them; where somebody did not,
what stands between the first word and the last is the id all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from gateway.endpoints.bedrock_catalogue import MODEL_CALLS, OTHER
from gateway.model import Endpoint

BIDIRECTIONAL: Final = "invoke-with-bidirectional-stream"
"""Needs HTTP/2 in both directions at once, which the gateway does not speak."""

_MODEL: Final = "/model/"
_BY_ACTION: Final = {endpoint.path.rpartition("/")[2]: endpoint for endpoint in MODEL_CALLS}


@dataclass(frozen=True, slots=True)
class BedrockPath:
    """What is asked.

    Attributes:
        path: Below Bedrock's base URL, as it was written.
        prefix: What stood before it here.
        model: The id that a call of a model names, unescaped; "" where none is called.
    """

    endpoint: Endpoint
    path: str
    prefix: str
    model: str = ""


def read_bedrock_path(path: str, prefix: str) -> BedrockPath | None:
    """What *path* asks for, None for a path that nothing can be at.

    Args:
        path: Below *prefix*, with a leading slash.
        prefix: Of the gateway.
    """
    if path in ("", "/"):
        return None
    if path.startswith(_MODEL):
        model, _, action = path[len(_MODEL) :].rpartition("/")
        endpoint = _BY_ACTION.get(action)
        if endpoint is not None and model:
            return BedrockPath(endpoint, path, prefix, unquote(model))
    return BedrockPath(OTHER, path, prefix)
