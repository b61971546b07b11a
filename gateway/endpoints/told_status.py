"""Which status an error means that came under another: within a reply or a stream that began with 200.

SGLang, llama.cpp, LightLLM and Bedrock's models say so that a prompt is too long, OpenRouter whatever befell
it once a model was asked. Pure.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from gateway.endpoints import anthropic_error, converse_error
from gateway.endpoints.openai_reply import UNREADABLE, is_json_object

LONGEST_ERROR_BYTES: Final = 64 * 1024
"""An error is short; what is longer is an answer, or worth no look."""

# By its first name, where that has come.
_ERROR_BEGUN: Final = re.compile(
    rb'\s*\{\s*(?:"(?:[^"]{0,8}\Z|(?:error|message|type|object|code|status|detail)")|\Z)', re.IGNORECASE
)
_TOO_LONG: Final = "context_length_exceeded"
_FIRST_ERROR: Final = 400
_LAST_ERROR: Final = 599
_WORDS: Final = {
    **{kind: converse_error.plain_status(status) for kind, status in converse_error.STATUSES.items()},
    **{word: status for status, word in anthropic_error.TYPES.items()},
    "overloaded_error": 529,
    "timeout_error": 504,
    "BadRequestError": 400,
    _TOO_LONG: 400,
    "insufficient_quota": 429,
    "invalid_api_key": 401,
    "rate_limit_exceeded": 429,
}
"""By what an error is called: Bedrock's, Anthropic's, and those of OpenAI and of servers of its API."""

_decoder: Final = msgspec.json.Decoder()


def told_status(body: bytes) -> int:
    """The status that an error object, or the event with one, tells; 0 where it tells none."""
    error = _error_in(body)
    return _status_of(error) if error is not None else 0


def may_be_error(beginning: bytes) -> bool:
    """Whether what has come may become an error object and is none yet."""
    return _ERROR_BEGUN.match(beginning) is not None and not (
        beginning.rstrip().endswith(b"}") and is_json_object(beginning)
    )


def is_error(body: bytes) -> bool:
    """Whether it is a whole error object, and not an answer."""
    return _ERROR_BEGUN.match(body) is not None and is_json_object(body)


def too_long(body: bytes) -> bytes:
    """The error that OpenAI gives in place of a stream, of a *body* with which a stream has begun instead.

    Only of a prompt that does not fit the model: agents make it shorter by that, and a failure that may pass
    they send as it is again and again. Empty of anything else.
    """
    error = _error_in(body)
    if error is None or error.get("code") != _TOO_LONG:
        return b""
    told = {"message": error.get("message"), "type": "invalid_request_error", "param": error.get("param")}
    return msgspec.json.encode({"error": {**told, "code": _TOO_LONG}})


def _error_in(body: bytes) -> dict[str, Any] | None:
    if len(body) > LONGEST_ERROR_BYTES:
        return None
    try:
        error = _decoder.decode(body)
    except UNREADABLE:
        return None
    for name in ("response", "error"):
        if isinstance(error, dict) and isinstance(error.get(name), dict):
            error = error[name]
    return error if isinstance(error, dict) else None


def _status_of(error: dict[str, Any]) -> int:
    code = error.get("code")
    if isinstance(code, str):
        code = int(code) if code.isascii() and code.isdigit() and len(code) == len("400") else code
    if type(code) is int:
        return code if _FIRST_ERROR <= code <= _LAST_ERROR else 0
    for word in (code, error.get("type")):
        # Bedrock writes its kinds with a small letter in streams, and with a capital elsewhere.
        if isinstance(word, str) and (status := _WORDS.get(word) or _WORDS.get(word[:1].lower() + word[1:])):
            return status
    return 0
