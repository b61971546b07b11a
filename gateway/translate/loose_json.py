"""JSON that comes from outside and goes out again changed: decoded whole, and encoded whatever is in it."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from gateway.errors import InvalidBody, UpstreamBadReply

_encoder: Final = msgspec.json.Encoder()


def decode_json(data: bytes) -> Any:
    """Decode *data*; what Python's lenient parser takes (NaN, half surrogate pairs) is taken.

    Raises:
        ValueError: It is not JSON.
        RecursionError: It is nested too deeply.
    """
    try:
        return msgspec.json.decode(data)
    except msgspec.DecodeError:
        return json.loads(data, strict=False)


def encode_json(value: Any) -> bytes:
    """Encode *value*, always as strict JSON in UTF-8: half a surrogate pair becomes `?`, NaN null."""
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError:
        return _encoder.encode(_in_utf8(value))


def encode_request(value: Any) -> bytes:
    """Encode a caller's request in other words.

    Raises:
        InvalidBody: It is nested too deeply.
    """
    try:
        return encode_json(value)
    except RecursionError as error:
        raise InvalidBody("The body is nested too deeply to be put into other words.") from error


def encode_reply(value: Any) -> bytes:
    """Encode a provider's reply in other words.

    Raises:
        UpstreamBadReply: It is nested too deeply.
    """
    try:
        return encode_json(value)
    except RecursionError as error:
        raise UpstreamBadReply("The provider's reply is nested too deeply.") from error


def _in_utf8(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, dict):
        return {_in_utf8(name): _in_utf8(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_in_utf8(inner) for inner in value]
    return value
