"""What callers say of their calls in `x-tfy-*` headers, and what the configuration says of it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final

import msgspec

from gateway.config.manifests.metadata_config import MAX_CHARACTERS, MAX_KEYS
from gateway.errors import InvalidBody
from gateway.model import Headers

METADATA_HEADER: Final = "x-tfy-metadata"
LOGGING_HEADER: Final = "x-tfy-logging-config"
CONVERSATION_HEADER: Final = "x-tfy-conversation-id"

_MAX_KEPT_CHARACTERS: Final = 2048
_MAX_CONVERSATION_CHARACTERS: Final = 256


class LoggingWish(msgspec.Struct, frozen=True):
    """`x-tfy-logging-config`; other members of theirs have no meaning here."""

    enabled: bool


_metadata_decoder: Final = msgspec.json.Decoder(dict[str, str])
_wish_decoder: Final = msgspec.json.Decoder(LoggingWish)
_NO_METADATA: Final[Mapping[str, str]] = MappingProxyType({})


class CallNotes(msgspec.Struct, frozen=True):
    """What a caller noted on a call.

    Attributes:
        metadata: Keys and values of its own, and over them those that it is given (`Caller.tags`).
        conversation_id: The conversation that the call is part of, "" when it named none.
        wants_content: Whether prompt and reply should be recorded, None when it did not say.
    """

    metadata: Mapping[str, str] = _NO_METADATA
    conversation_id: str = ""
    wants_content: bool | None = None


NO_NOTES: Final = CallNotes()


def read_notes(headers: Headers, tags: Mapping[str, str] = _NO_METADATA) -> CallNotes:
    """The notes of a call.

    Args:
        headers: Of the call.
        tags: Of its caller.

    Raises:
        InvalidBody: A header is malformed; the message names it.
    """
    metadata = headers.get(METADATA_HEADER)
    wish = headers.get(LOGGING_HEADER)
    conversation = headers.get(CONVERSATION_HEADER)
    if metadata is None and wish is None and conversation is None:
        return CallNotes(tags) if tags else NO_NOTES
    written = _NO_METADATA if metadata is None else _read_metadata(metadata)
    return CallNotes(
        # The tags come first too, as spans have only so many of all.
        {**tags, **written, **tags} if tags else written,
        conversation.strip()[:_MAX_CONVERSATION_CHARACTERS] if conversation else "",
        None if wish is None else _read_wish(wish),
    )


def _read_metadata(text: str) -> Mapping[str, str]:
    # An application notes the same again and again. What is wrong is not kept, nor what is long.
    return _kept_metadata(text) if len(text) <= _MAX_KEPT_CHARACTERS else _parse_metadata(text)


@lru_cache(maxsize=256)
def _kept_metadata(text: str) -> Mapping[str, str]:
    return _parse_metadata(text)


def _parse_metadata(text: str) -> Mapping[str, str]:
    try:
        found = _metadata_decoder.decode(_bytes_of(text))
    except (ValueError, RecursionError) as error:
        msg = f'{METADATA_HEADER} must be a JSON object of texts, such as {{"team":"search"}}.'
        raise InvalidBody(msg, param=METADATA_HEADER) from error
    if len(found) > MAX_KEYS or any(len(key) > MAX_CHARACTERS for key in found):
        msg = f"{METADATA_HEADER} may have {MAX_KEYS} keys of at most {MAX_CHARACTERS} characters."
        raise InvalidBody(msg, param=METADATA_HEADER)
    if any(len(value) > MAX_CHARACTERS for value in found.values()):
        msg = f"{METADATA_HEADER} may have values of at most {MAX_CHARACTERS} characters."
        raise InvalidBody(msg, param=METADATA_HEADER)
    return MappingProxyType(found)


def _read_wish(text: str) -> bool:
    try:
        return _wish_decoder.decode(_bytes_of(text)).enabled
    except (ValueError, RecursionError) as error:
        msg = f'{LOGGING_HEADER} must be a JSON object such as {{"enabled":true}}.'
        raise InvalidBody(msg, param=LOGGING_HEADER) from error


def _bytes_of(text: str) -> bytes:
    """A header's bytes: headers are read as Latin-1, JSON is UTF-8."""
    return text.encode("latin-1")
