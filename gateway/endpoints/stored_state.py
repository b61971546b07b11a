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
from collections import deque
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from gateway.endpoints.openai_reply import UNREADABLE
from gateway.model import Call
from gateway.wire.sse import DATA_LINE

MAX_NAMED: Final = 16
"""Of the parts of one field of a call the last so many are read: those before come from the same place."""

MAX_MADE: Final = 256
"""Items of one reply, or of some events of it, that are read."""

_NAMING: Final = ("previous_response_id", "conversation", "container")
_INPUT: Final = "input"
_WITH_PARTS: Final = (_INPUT, "messages", "tools")
_ASKING: Final = ("include", "context_management")
_COMPACTING: Final = "/compact"
_ITEM_DONE: Final = "response.output_item.done"
_ITEM_DONE_BYTES: Final = _ITEM_DONE.encode()
_REFERENCE: Final = b'"item_reference"'

# One pass over a conversation: from quote to quote, and from one that begins such a member on to its value.
_PARTS: Final = re.compile(
    rb"""
    "(?: encrypted_content"\s*:\s*(?P<sealed>")
      |  id"\s*:\s*"(?P<id>[^"\\]{1,128})"
      |  (?:file_id|container)"\s*:\s*"(?P<file>[^"\\]{1,128})"
      |  (?:file|vector_store)_ids"\s*:\s*\[(?P<files>[^\]]*)\] )
    """,
    re.VERBOSE,
)
_STRING: Final = re.compile(rb'"([^"\\]{1,128})"')
_ESCAPED: Final = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*', re.DOTALL)


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


def may_name_state(call: Call, body: bytes) -> bool:
    """Whether *call*, read from *body*, might go on from something; of most that do not this is known here.

    It takes a third of asking `state_named`, and copies nothing of a long prompt.
    """
    fields = call.fields
    for field in _NAMING:
        if field in fields:
            return True
    # One search: to look for what each of the parts begins with takes twice as long.
    return _PARTS.search(body) is not None


def state_named(call: Call) -> Iterator[State]:
    """What *call* goes on from: first what the whole of it does, then its parts, the newest first.

    Those that are shared come after those that are not.
    """
    fields = call.fields
    for field in _NAMING:
        if field in fields and (name := id_in(fields[field])):
            yield State(name, field)
    for field in _WITH_PARTS:
        if field in fields:
            yield from _named_in(bytes(fields[field]), field)


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
    if _ITEM_DONE_BYTES not in events:
        return []
    items: list[_Item] = []
    for data in DATA_LINE.findall(events):
        if _ITEM_DONE_BYTES not in data:
            continue
        try:
            event = _events.decode(data)
        except UNREADABLE:
            continue
        if event.type == _ITEM_DONE and event.item is not None:
            items.append(event.item)
    return _names_of(items, is_kept=is_kept)


def _named_in(raw: bytes, field: str) -> Iterator[State]:
    """What the parts in *raw* name, ids of items before all else."""
    # Of a chat that names nothing the rest takes as long as the search again.
    if _PARTS.search(raw) is None:
        return
    parts = list(reversed(deque(_PARTS.finditer(raw), MAX_NAMED)))
    if field == _INPUT:
        for part in parts:
            if part["id"]:
                yield State(_word(part["id"]), field, is_certain=_REFERENCE in raw)
    for part in parts:
        if part["sealed"]:
            if content := _sealed_at(raw, part.end()):
                yield State(_sealed_name(content), field, is_sealed=True, is_shared=True)
        elif part["file"]:
            yield State(_word(part["file"]), field, is_shared=True)
        else:
            for name in _STRING.findall(part["files"] or b""):
                yield State(_word(name), field, is_shared=True)


def _sealed_at(raw: bytes, start: int) -> bytes:
    """The text that begins at *start*, its escapes read; b"" when there is none."""
    end = raw.find(b'"', start)
    if end < 0 or raw.find(b"\\", start, end) < 0:
        return raw[start:end]
    escaped = _ESCAPED.match(raw, start)
    assert escaped is not None, "it matches nothing at least"  # noqa: S101 - says it to the type checker
    try:
        return _texts.decode(b'"' + escaped[0] + b'"').encode()
    except UNREADABLE:
        return b""


def _word(raw: bytes) -> str:
    return raw.decode(errors="replace")


def _names_of(items: list[_Item], *, is_kept: bool) -> list[str]:
    names: list[str] = []
    for item in items[:MAX_MADE]:
        if isinstance(item.encrypted_content, str) and item.encrypted_content:
            names.append(_sealed_name(item.encrypted_content.encode()))
        # A container is there for some minutes, whether the reply is kept or not.
        ids = (item.id, item.container_id) if is_kept else (item.container_id,)
        names += [each for each in ids if isinstance(each, str)]
    return names


def _sealed_name(content: bytes) -> str:
    return f"sealed_{hashlib.blake2b(content, digest_size=32).hexdigest()}"
