"""Which paths lead where.

TrueFoundry's base URLs and OpenAI's `/v1` all work, so that a client's configured base URL can stay as it is.
"""

from __future__ import annotations

from typing import Final

from gateway.endpoints.catalogue import MODEL_CALLS
from gateway.model import Endpoint

BASES: Final = ("", "/api/llm", "/api/inference/openai", "/api/llm/api/inference/openai")
_PREFIXES: Final = tuple(base + version for base in BASES for version in ("", "/v1"))

CALL_PATHS: Final[dict[str, Endpoint]] = {
    prefix + endpoint.path: endpoint for prefix in _PREFIXES for endpoint in MODEL_CALLS
}
"""Every path that calls a model (POST)."""

MODELS_PATHS: Final = frozenset(prefix + "/models" for prefix in _PREFIXES)
"""Every path that lists models (GET)."""
