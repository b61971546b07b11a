"""Vertex's way to models whose publishers' bodies it passes on: Anthropic's, Mistral's.

The path names the model and what to do with it. Of Anthropic's body the model is left out, and the version of
the API is in it. What goes wrong before the model is reached has Google's shape.

https://docs.cloud.google.com/vertex-ai/generative-ai/docs/partner-models/claude/use-claude
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

import msgspec

from gateway.endpoints.anthropic_error import type_of
from gateway.endpoints.gemini_error import find_google_error
from gateway.endpoints.openai_content import decode_leniently
from gateway.endpoints.openai_reply import UNREADABLE, text_of
from gateway.model import Call, Target
from gateway.translate.foreign_json import list_of, object_of, write_reply
from gateway.translate.pair import LeftOut

ANTHROPIC_VERSION: Final = "vertex-2023-10-16"

_COUNTING: Final = "/models/count-tokens:rawPredict"
_VERSION: Final = msgspec.Raw(f'"{ANTHROPIC_VERSION}"'.encode())


def path_at(target: Target, call: Call, usual: str) -> str:
    """Where *call* goes: to the *usual* path, or, at Vertex, to that of the model."""
    if not target.is_predicted:
        return usual
    if call.endpoint.name == "count_tokens":
        return _COUNTING
    verb = "streamRawPredict" if call.is_stream else "rawPredict"
    return f"/models/{quote(target.model_id, safe='@')}:{verb}"


def relayed_fields(call: Call) -> dict[str, msgspec.Raw]:
    """The members of a call of Messages as Vertex takes them, values as they came."""
    fields = {name: value for name, value in call.fields.items() if name != "model"}
    fields.setdefault("anthropic_version", _VERSION)
    return fields


def at_vertex(body: dict[str, Any], target: Target, left_out: LeftOut) -> dict[str, Any]:
    """The *body* of Messages that a pair wrote, as *target* takes it.

    Vertex refuses schemas that are kept to the letter, of answers and of tools alike, unless the organisation
    has allowed that; of answers see `claude_models.can_shape_output`.
    """
    if not target.is_predicted:
        return body
    body = {name: value for name, value in body.items() if name != "model"}
    body["anthropic_version"] = ANTHROPIC_VERSION
    for tool in list_of(body.get("tools")):
        if object_of(tool).pop("strict", None) is not None:
            left_out.add("tools.strict")
    return body


def without_list(body: bytes) -> bytes:
    """An error's *body*; where a list of answers was to come, Google puts it into one."""
    if not body.lstrip().startswith(b"["):
        return body
    try:
        found = decode_leniently(body)
    except UNREADABLE:
        return body
    return write_reply(found[0]) if found and isinstance(found[0], dict) else body


def wait_in(body: bytes) -> int | None:
    """When to try again by an error's *body*, where Google says so, which has no header for it."""
    error = find_google_error(body)
    return None if error is None else error.retry_after_s


def as_anthropics(status: int, body: bytes) -> bytes:
    """An error's *body* in Anthropic's shape where it has Google's, else as it is."""
    body = without_list(body)
    try:
        found = object_of(decode_leniently(body))
    except UNREADABLE:
        return body
    error = object_of(found.get("error"))
    if found.get("type") == "error" or not isinstance(error.get("status"), str):
        return body
    words = {"type": type_of(status), "message": text_of(error.get("message")) or error["status"]}
    return write_reply({"type": "error", "error": words})
