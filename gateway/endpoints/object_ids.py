"""Ids of stored objects, in what callers ask for and in what providers answer.

Pure. Which fields: https://platform.openai.com/docs/api-reference (batches, fine-tuning, uploads, files).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from gateway.endpoints.openai_reply import UNREADABLE

_MAX_LISTED: Final = 16
_PASSING: Final = ("chat.completion", "text_completion", "message")
"""Objects that nobody can ask for again; `message` is Anthropic's."""


class _Given(msgspec.Struct):
    """What of a reply may be an id, or hold one."""

    id: Any = None
    object: Any = None
    type: Any = None
    file: Any = None
    output_file_id: Any = None
    error_file_id: Any = None
    result_files: Any = None


_given: Final = msgspec.json.Decoder(_Given)
_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_texts: Final = msgspec.json.Decoder(str | list[str])


def ids_made(body: bytes) -> list[str]:
    """The object that a reply tells of, and those that came with it."""
    found = _read(body)
    if found is None or found.object in _PASSING or found.type in _PASSING:
        return []
    own = [found.id] if isinstance(found.id, str) else []
    return own + _ids_beside(found)


def ids_beside(body: bytes) -> list[str]:
    """Of a reply that tells of an object those that came to be since it was made: a batch's results."""
    found = _read(body)
    return [] if found is None else _ids_beside(found)


def ids_asked(body: bytes) -> Iterator[str]:
    """What in a call's body may name an object: texts at its top level, and in lists there."""
    try:
        members = _members.decode(body)
    except UNREADABLE:
        return
    for raw in members.values():
        try:
            texts = _texts.decode(raw)
        except UNREADABLE:
            continue
        yield from [texts] if isinstance(texts, str) else texts[:_MAX_LISTED]


def _read(body: bytes) -> _Given | None:
    try:
        return _given.decode(body)
    except UNREADABLE:
        return None


def _ids_beside(found: _Given) -> list[str]:
    file = found.file.get("id") if isinstance(found.file, dict) else None
    results = found.result_files[:_MAX_LISTED] if isinstance(found.result_files, list) else []
    candidates = [file, found.output_file_id, found.error_file_id, *results]
    return [each for each in candidates if isinstance(each, str)]
