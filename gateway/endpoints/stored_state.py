"""What a call goes on from, and what a reply lets later calls go on from.

That is what a provider keeps, by its id (a response, a conversation, an item, a file, a container), and what
it gives its callers sealed, to be sent back as it is: a model's reasoning, a compacted conversation
(`encrypted_content`). Neither is of use to another account than the one that made it.

Pure. Read from the bytes, so that no conversation is decoded for it: only members whose names are spelled
without escapes are found, as every client writes them.

Shapes: https://platform.openai.com/docs/api-reference/responses ,
https://docs.claude.com/en/docs/build-with-claude/files
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from gateway.endpoints.openai_reply import UNREADABLE
from gateway.model import Call
from gateway.wire.sse import read_events

MAX_NAMED: Final = 64
"""Of each kind of part of a call the last so many are read: what is before them is of the same place."""

MAX_MADE: Final = 256
"""Items of one reply, or of some events of it, that are read."""

_NAMING: Final = ("previous_response_id", "conversation", "container")
_INPUT: Final = "input"
_WITH_FILES: Final = ("input", "messages", "tools")
_ASKING: Final = ("include", "context_management")
_COMPACTING: Final = "/compact"
_ITEM_DONE: Final = "response.output_item.done"

_SEALED: Final = b'"encrypted_content"'
_REFERENCE: Final = b'"item_reference"'
_ID: Final = b'"id"'
_STRING: Final = rb'"([^"\\]{1,128})"'
_SEALED_VALUE: Final = re.compile(_SEALED + rb'\s*:\s*("[^"\\]+(?:\\.[^"\\]*)*")', re.DOTALL)
_ID_VALUE: Final = re.compile(_ID + rb"\s*:\s*" + _STRING)
_VALUES: Final = {
    b'"file_id"': re.compile(rb'"file_id"\s*:\s*' + _STRING),
    b'_ids"': re.compile(rb'"(?:file|vector_store)_ids"\s*:\s*\[([^\]]*)\]'),
    b'"container"': re.compile(rb'"container"\s*:\s*' + _STRING),
}
"""By what is looked for first: parts of a call that name a file or the like."""

_IN_LIST: Final = re.compile(_STRING)


class State(msgspec.Struct, frozen=True):
    """One thing that a call goes on from.

    Attributes:
        name: Its id, or what stands for what is sealed.
        field: Of the call, where it is named.
        is_sealed: The call has it; else the provider keeps it.
        is_certain: It is that and nothing else: the `id` of a part may be the caller's own word.
        is_shared: Others than its maker may name it, as they do files.
    """

    name: str
    field: str
    is_sealed: bool = False
    is_certain: bool = True
    is_shared: bool = False


class _Named(msgspec.Struct):
    """An object that is named by its id."""

    id: str = ""


class _Item(msgspec.Struct):
    """What is read of an item of a reply; all of it may be missing or of another type."""

    id: Any = None
    encrypted_content: Any = None
    container_id: Any = None


class _Reply(msgspec.Struct):
    """What is read of a reply."""

    output: list[_Item] | None = None


class _Event(msgspec.Struct):
    """What is read of an event that ends an item."""

    type: Any = None
    item: _Item | None = None


_named: Final = msgspec.json.Decoder(str | _Named | None)
_texts: Final = msgspec.json.Decoder(str)
_replies: Final = msgspec.json.Decoder(_Reply)
_events: Final = msgspec.json.Decoder(_Event)


def state_named(call: Call) -> Iterator[State]:
    """What *call* goes on from: first what the whole of it does, then its parts, the newest first."""
    fields = call.fields
    for field in _NAMING:
        if field in fields and (name := id_in(fields[field])):
            yield State(name, field)
    if _INPUT in fields:
        yield from _named_by_items(bytes(fields[_INPUT]))
    for field in _WITH_FILES:
        if field in fields:
            yield from _files_in(bytes(fields[field]), field)


def id_in(raw: msgspec.Raw) -> str:
    """The id of an object that a field names, alone or as an object with an `id`; "" when it does neither."""
    try:
        named = _named.decode(raw)
    except UNREADABLE:
        # What it is instead is the provider's to judge.
        return ""
    return named.id if isinstance(named, _Named) else named or ""


def wants_sealed(call: Call) -> bool:
    """Whether *call* may want something sealed in the reply."""
    return any(field in call.fields for field in _ASKING) or call.endpoint.path.endswith(_COMPACTING)


def state_made(reply: bytes, *, is_kept: bool) -> list[str]:
    """Names of what calls can go on from after a whole *reply*.

    Args:
        reply: Its body.
        is_kept: The provider keeps its items, so that they can be named.
    """
    try:
        output = _replies.decode(reply).output
    except UNREADABLE:
        return []
    return _names_of(output or [], is_kept=is_kept)


def state_made_by(events: bytes, *, is_kept: bool) -> list[str]:
    """The same for whole events of a stream: of the items that end with them."""
    if _ITEM_DONE.encode() not in events:
        return []
    items: list[_Item] = []
    for data in read_events(events):
        try:
            event = _events.decode(data)
        except UNREADABLE:
            continue
        if event.type == _ITEM_DONE and event.item is not None:
            items.append(event.item)
    return _names_of(items, is_kept=is_kept)


def _named_by_items(items: bytes) -> Iterator[State]:
    """Sealed parts and ids among the items of an input."""
    if _SEALED in items:
        for raw in _newest(_SEALED_VALUE, items):
            if content := _text_in(raw):
                yield State(_sealed_name(content), _INPUT, is_sealed=True, is_shared=True)
    if _ID in items:
        is_certain = _REFERENCE in items
        for raw in _newest(_ID_VALUE, items):
            yield State(_word(raw), _INPUT, is_certain=is_certain)


def _files_in(raw: bytes, field: str) -> Iterator[State]:
    for sign, value in _VALUES.items():
        if sign not in raw:
            continue
        for found in _newest(value, raw):
            for name in _IN_LIST.findall(found) if b'"' in found else (found,):
                yield State(_word(name), field, is_shared=True)


def _newest(value: re.Pattern[bytes], raw: bytes) -> list[bytes]:
    found: list[bytes] = value.findall(raw)
    return found[: -MAX_NAMED - 1 : -1]


def _word(raw: bytes) -> str:
    return raw.decode(errors="replace")


def _text_in(raw: bytes) -> str:
    try:
        return _texts.decode(raw)
    except UNREADABLE:
        return ""


def _names_of(items: list[_Item], *, is_kept: bool) -> list[str]:
    names: list[str] = []
    for item in items[:MAX_MADE]:
        if isinstance(item.encrypted_content, str) and item.encrypted_content:
            names.append(_sealed_name(item.encrypted_content))
        # A container is there for some minutes, whether the reply is kept or not.
        ids = (item.id, item.container_id) if is_kept else (item.container_id,)
        names += [each for each in ids if isinstance(each, str)]
    return names


def _sealed_name(content: str) -> str:
    digest = hashlib.blake2b(content.encode(errors="replace"), digest_size=32).hexdigest()
    return f"sealed_{digest}"
