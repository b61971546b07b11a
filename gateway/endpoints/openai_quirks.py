"""Writing a call for a server whose OpenAI dialect differs from OpenAI's.

What differs is data (`gateway.model.Quirks`); a call that holds no field of it leaves as it came. A message
is taken apart only when it may hold what must change, and its other members stay the bytes they were.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Final

import msgspec

from gateway.model import Quirks

STREAM_OPTIONS: Final = "stream_options"
"""Left out without a word where a server refuses it: such a server reports usage unasked."""

NOTHING_SAID: Final = "."
"""What the assistant says where it has to say something: some servers refuse an empty text."""

_NULL: Final = b"null"
_NOTHING: Final = (_NULL, b"[]")
_NO_CALLS: Final = msgspec.Raw(b"[]")
_RESULT: Final = b'"tool"'
_AFTER_RESULTS: Final = (_RESULT, b'"assistant"')
_CALL_ID: Final = "tool_call_id"
_CALLS: Final = "tool_calls"
_LETTERS: Final = re.compile(r"[A-Za-z0-9]+")
_NOTHING_SAID: Final = {
    "role": msgspec.Raw(b'"assistant"'),
    "content": msgspec.Raw(msgspec.json.encode(NOTHING_SAID)),
}
_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_items: Final = msgspec.json.Decoder(list[msgspec.Raw])
_texts: Final = msgspec.json.Decoder(str)
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
    if messages is not None and _holds(bytes(messages), _words_of(quirks)):
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
            name
            for message in _split(messages)
            for name, value in message.items()
            if bytes(value) not in _NOTHING
            # Of a result it is the tool's, which its call names too: nothing is lost.
            and not (name == "name" and bytes(message.get("role", b"")) == _RESULT)
        }
        dropped += [f"messages[].{name}" for name in quirks.refused_in_messages if name in sent]
    return tuple(dropped)


def _holds(messages: bytes, words: tuple[str, ...]) -> bool:
    """Whether one of *words* stands there in quotes: a member, a role, or text; one search in C for each."""
    return any(f'"{word}"'.encode() in messages for word in words)


def _words_of(quirks: Quirks) -> tuple[str, ...]:
    """What a message may have in it that has to change."""
    words = (*quirks.refused_in_messages, *quirks.roles)
    return (*words, _CALL_ID, _CALLS) if quirks.call_id_length or quirks.answers_results else words


def _adapt_messages(messages: msgspec.Raw, quirks: Quirks) -> msgspec.Raw:
    adapted: list[dict[str, msgspec.Raw]] = []
    before = b""
    for message in _split(messages):
        for name in quirks.refused_in_messages:
            message.pop(name, None)
        role = bytes(message.get("role", b""))
        if quirks.answers_results and before == _RESULT and role not in _AFTER_RESULTS:
            adapted.append(_NOTHING_SAID)
        before = role
        for ours, theirs in quirks.roles.items():
            if role == f'"{ours}"'.encode():
                message["role"] = msgspec.Raw(_encoder.encode(theirs))
        if quirks.call_id_length:
            _rename_calls(message, quirks.call_id_length)
        adapted.append(message)
    return msgspec.Raw(_encoder.encode(adapted)) if adapted else messages


def _rename_calls(message: dict[str, msgspec.Raw], length: int) -> None:
    """Give the calls in a message, and what it is the result of, ids of so many letters and digits."""
    if _CALL_ID in message:
        message[_CALL_ID] = _call_id(message[_CALL_ID], length)
    calls = _split(message.get(_CALLS, _NO_CALLS))
    if calls:
        for call in calls:
            if "id" in call:
                call["id"] = _call_id(call["id"], length)
        message[_CALLS] = msgspec.Raw(_encoder.encode(calls))


def _call_id(raw: msgspec.Raw, length: int) -> msgspec.Raw:
    """The id where it has the right form, else one made of it: the same for a call and its result."""
    try:
        found = _texts.decode(raw)
    except _FOREIGN:
        return raw
    if len(found) == length and _LETTERS.fullmatch(found):
        return raw
    digest = sha256(found.encode(errors="surrogatepass")).hexdigest()
    return msgspec.Raw(_encoder.encode(digest[:length]))


def _split(objects: msgspec.Raw) -> list[dict[str, msgspec.Raw]]:
    """The members of each of a list; none when they are no list of objects, which the server will say."""
    try:
        return [_members.decode(item) for item in _items.decode(objects)]
    except _FOREIGN:
        return []
