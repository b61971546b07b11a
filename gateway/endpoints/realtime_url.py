"""Where a target's realtime API is: beside its other paths, but for the dated Azure one.

OpenAI: https://platform.openai.com/docs/api-reference/realtime
Azure: https://learn.microsoft.com/azure/ai-foundry/openai/how-to/realtime-audio-websockets
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote_plus, unquote_plus

from gateway.endpoints.provider_path import with_query
from gateway.model import Target

_PATH: Final = "/realtime"
_MODELLESS: Final = (("intent", "transcription"), ("call_id", ""))
"""Parameters, and their values where these matter, with which OpenAI takes no `model`."""


def realtime_url(target: Target, query: str) -> str:
    """The URL of a session with *target*; *query* is the caller's, without what is ours."""
    items = [item for item in query.split("&") if item and _name(item) not in {"model", "deployment"}]
    if target.account_url:
        # Where models have paths of their own, this one is beside them and names the model in its query.
        items = [item for item in items if _name(item) != "api-version"]
        items.append(f"deployment={quote_plus(target.model_id)}")
    elif not names_no_model(query):
        items.append(f"model={quote_plus(target.model_id)}")
    url = (target.account_url or target.base_url) + _PATH
    return with_query(with_query(url, target.query.lstrip("?")), "&".join(items))


def query_model(query: str) -> str:
    """The model that *query* names, "" when none."""
    return next(
        (unquote_plus(item.partition("=")[2]) for item in query.split("&") if _name(item) == "model"), ""
    )


def names_no_model(query: str) -> bool:
    """Whether a session of this *query* is not of the model that the path names."""
    for item in query.split("&"):
        value = unquote_plus(item.partition("=")[2])
        if any(_name(item) == name and (not wanted or value == wanted) for name, wanted in _MODELLESS):
            return True
    return False


def _name(item: str) -> str:
    return unquote_plus(item.partition("=")[0])
