"""Writing a call for a server whose OpenAI dialect differs from OpenAI's.

What differs is data (`gateway.model.Quirks`); a call that holds no field of it leaves as it came. A message
is taken apart only when it may hold what must change, and its other members stay the bytes they were.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from gateway.model import Quirks

STREAM_OPTIONS: Final = "stream_options"
"""Left out without a word where a server refuses it: such a server reports usage unasked."""

_NULL: Final = b"null"
_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_items: Final = msgspec.json.Decoder(list[msgspec.Raw])
_encoder: Final = msgspec.json.Encoder()
_FOREIGN: Final = (msgspec.DecodeError, RecursionError)


def adapt(fields: dict[str, msgspec.Raw], quirks: Quirks) -> None:
    """Make the top-level members of a body what the server takes."""
    for name, theirs in quirks.renamed.items():
        if name in fields:
            value = fields.pop(name)
            # A caller that sends both knows the server, and means its own name.
            fields.setdefault(theirs, value)
    for name in quirks.refused:
        fields.pop(name, None)
    if quirks.is_nameless:
        fields.pop("model", None)
    for name, json in quirks.added.items():
        if name not in fields:
            fields[name] = msgspec.Raw(json.encode())
    messages = fields.get("messages")
    if messages is not None and _holds(bytes(messages), (*quirks.refused_in_messages, *quirks.roles)):
        fields["messages"] = _adapt_messages(messages, quirks)


def dropped_fields(fields: Mapping[str, msgspec.Raw], quirks: Quirks) -> tuple[str, ...]:
    """What a caller sent with a meaning and the server will not get, as paths such as `messages[].name`."""
    dropped = [
        name
        for name in quirks.refused
        if name in fields and name != STREAM_OPTIONS and bytes(fields[name]) != _NULL
    ]
    messages = fields.get("messages")
    if messages is not None and _holds(bytes(messages), quirks.refused_in_messages):
        sent = {
            name for message in _split(messages) for name, value in message.items() if bytes(value) != _NULL
        }
        dropped += [f"messages[].{name}" for name in quirks.refused_in_messages if name in sent]
    return tuple(dropped)


def _holds(messages: bytes, words: tuple[str, ...]) -> bool:
    """Whether one of *words* stands there in quotes: a member, a role, or text; one search in C for each."""
    return any(f'"{word}"'.encode() in messages for word in words)


def _adapt_messages(messages: msgspec.Raw, quirks: Quirks) -> msgspec.Raw:
    split = _split(messages)
    if not split:
        return messages
    for message in split:
        for name in quirks.refused_in_messages:
            message.pop(name, None)
        role = bytes(message.get("role", b""))
        for ours, theirs in quirks.roles.items():
            if role == f'"{ours}"'.encode():
                message["role"] = msgspec.Raw(_encoder.encode(theirs))
    return msgspec.Raw(_encoder.encode(split))


def _split(messages: msgspec.Raw) -> list[dict[str, msgspec.Raw]]:
    """The members of each message; none when they are no list of objects, which the server will say."""
    try:
        return [_members.decode(item) for item in _items.decode(messages)]
    except _FOREIGN:
        return []
