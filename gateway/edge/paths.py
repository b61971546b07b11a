"""Which paths lead where.

TrueFoundry's base URLs and OpenAI's `/v1` all work, so that a client's configured base URL can stay as it is.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote

from gateway.endpoints.anthropic_paths import find_anthropic_path
from gateway.endpoints.bedrock_catalogue import PREFIX
from gateway.endpoints.bedrock_paths import BedrockPath, read_bedrock_path
from gateway.endpoints.catalogue import CHAT, MODEL_CALLS, RERANK
from gateway.endpoints.gemini_paths import GeminiPath, read_gemini_path
from gateway.endpoints.openai_paths import OTHER, PROXY, find_openai_path
from gateway.endpoints.realtime import REALTIME
from gateway.model import Dialect, Endpoint
from gateway.pass_through import Asked

BASES: Final = ("", "/api/llm", "/api/inference/openai", "/api/llm/api/inference/openai")
_PREFIXES: Final = tuple(base + version for base in BASES for version in ("", "/v1"))

CALL_PATHS: Final[dict[str, Endpoint]] = {
    prefix + endpoint.path: endpoint for prefix in _PREFIXES for endpoint in MODEL_CALLS
} | {f"{base}/v2{RERANK.path}": RERANK for base in BASES}
"""Every path that calls a model (POST); Cohere's SDK asks its second version for ranks."""

MODELS_PATHS: Final = frozenset(prefix + "/models" for prefix in _PREFIXES)
"""Every path that lists models (GET)."""

REALTIME_PATHS: Final = frozenset(prefix + REALTIME.path for prefix in _PREFIXES)
"""Every path with sessions of the realtime API (WebSocket)."""

LISTABLE: Final = (CHAT,)
"""Calls whose path answers other methods as well: stored completions are listed there."""

_LONGEST_FIRST: Final = sorted(BASES, key=len, reverse=True)
_VERSION: Final = "/v1"
_PROXY: Final = "/proxy/"
_GEMINI: Final = "/gemini/"
# How calls of other APIs end; names of OpenAI's models may have colons too.
_GOOGLE_CALLS: Final = frozenset(
    {"generateContent", "streamGenerateContent", "embedContent", "batchEmbedContents", "countTokens"}
)
_BEDROCK_CALLS: Final = frozenset(
    {"converse", "converse-stream", "invoke", "invoke-with-response-stream", "count-tokens"}
)


def find_passage(raw_path: str, dialect: Dialect) -> Asked | None:
    """What a path that is no call of a model asks for, None when nothing is there.

    A path that neither API has counts only below `/v1`, and the account must be named beside it.

    Args:
        raw_path: As it was written.
        dialect: What the caller speaks by its headers; decides where both APIs have the path.
    """
    base = next(base for base in _LONGEST_FIRST if raw_path.startswith(base + "/") or not base)
    below = raw_path[len(base) :]
    if below.startswith(_PROXY):
        account, slash, rest = below[len(_PROXY) :].partition("/")
        if not slash:
            return None
        prefix = f"{base}{_PROXY}{account}"
        return Asked(PROXY, "/" + rest, prefix, account=unquote(account), dialect=None)
    is_versioned = below.startswith(_VERSION + "/")
    if is_versioned:
        base, below = base + _VERSION, below[len(_VERSION) :]
    if not below.startswith("/"):
        return None
    endpoint = _find_endpoint(below, dialect)
    if endpoint is None:
        return Asked(OTHER, below, base, dialect=None) if is_versioned else None
    # With a slash behind, a path would be another than the one that is looked at, and the same to a provider.
    return None if below.endswith("/") else Asked(endpoint, below, base, dialect=endpoint.dialect)


def find_gemini(raw_path: str, query: str) -> GeminiPath | None:
    """What a path below `/gemini/{account}/proxy` asks for, None for any other.

    Args:
        raw_path: As it was written; *query* too.
    """
    if _GEMINI not in raw_path:
        return None
    base = next(base for base in _LONGEST_FIRST if raw_path.startswith(base + "/") or not base)
    below = raw_path[len(base) :]
    if not below.startswith(_GEMINI):
        return None
    account, _, rest = below[len(_GEMINI) :].partition("/")
    proxy, slash, path = rest.partition("/")
    if not account or proxy != "proxy":
        return None
    return read_gemini_path(unquote(account), f"{base}{_GEMINI}{account}/{proxy}", slash + path, query)


def find_bedrock(raw_path: str) -> BedrockPath | None:
    """What a path below `/bedrock/proxy` asks for, None for any other; *raw_path* as it was written."""
    if PREFIX not in raw_path:
        return None
    base, _, below = raw_path.partition(PREFIX)
    return read_bedrock_path(below, base + PREFIX) if base in _PREFIXES and below.startswith("/") else None


def find_misplaced(raw_path: str) -> tuple[Dialect, str] | None:
    """Whose call a path that is not here looks like, and where its SDKs have to ask; None for any other."""
    if _PROXY in raw_path:
        return None
    if "/models/" in raw_path and raw_path.rpartition(":")[2] in _GOOGLE_CALLS:
        return "gemini", "The base URL for Google's SDKs ends in /gemini/<account>/proxy."
    if "/model/" in raw_path and raw_path.rpartition("/")[2] in _BEDROCK_CALLS:
        return "converse", "The endpoint for Bedrock's SDKs ends in /bedrock/proxy."
    return None


def _find_endpoint(path: str, dialect: Dialect) -> Endpoint | None:
    if dialect == "anthropic":
        return find_anthropic_path(path) or find_openai_path(path)
    return find_openai_path(path) or find_anthropic_path(path)


def find_model_name(raw_path: str) -> str | None:
    """The model that `GET /v1/models/{name}` asks for, None for another path. Names have a slash in them."""
    for prefix in MODELS_PATHS:
        if raw_path.startswith(prefix + "/"):
            return unquote(raw_path[len(prefix) + 1 :])
    return None
