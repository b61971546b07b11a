"""How much text a piece of a stream adds to an answer, or a whole reply has, for the estimate of either.

Pure. Most providers send several tokens with each piece, some one; so the text tells more than the number of
pieces. What is no text that the model wrote does not count: signatures, what is encrypted, pictures and
sound in base64, what it cites, and what tells again what came before.

Of chats that are relayed a few pieces tell (`said_sample`): a search in each took half as long again as all
else that is done for one.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Final

import msgspec

_SAYING: Final = frozenset(
    {
        # OpenRouter has its reasoning once more in `reasoning_details`.
        *("text", "content", "refusal", "thinking", "reasoning", "reasoning_content", "reasoningContent"),
        # What a tool gets, and what stands around that.
        *("arguments", "partial_json", "input", "function", "tool_calls", "toolUse", "tool_plan"),
        # What Cohere wraps a piece in, and OpenAI's agents a text.
        *("message", "value"),
    }
)
"""Members of a piece that are its text, or have it in them."""

_SAYING_WHOLE: Final = _SAYING | {
    # What Responses and Converse wrap an answer in, Google, Cohere's older API and containers.
    *("output", "outputs", "candidates", "parts", "generations"),
    # What Ollama and containers call a text; thoughts, as Responses and Converse have them whole.
    *("response", "generated_text", "generation", "summary", "reasoningText"),
    # Google's call of a tool.
    *("functionCall", "args"),
}
"""The same of a whole reply, of whatever API; not what was found or run, as in `results`."""

_GIVEN: Final = frozenset({"arguments", "input", "args"})
"""What a tool gets, where it comes as an object."""

_MAX_DEPTH: Final = 8
"""No API has a text deeper in a piece, or a reply."""

_STRING: Final = rb'"\s*:\s*"([^"\\]*(?:\\.[^"\\]*)*)"'
OF_MESSAGE: Final = re.compile(rb'"(?:text|thinking|partial_json)' + _STRING)
OF_RESPONSE: Final = re.compile(rb'"delta' + _STRING)
"""Where the text is in the events of a message or a response."""

_strings: Final = msgspec.json.Decoder(str)


def text_bytes(text: re.Pattern[bytes], events: bytes) -> int:
    """How many bytes of text are in *events* that nobody takes apart: 0.4 us for each."""
    written = b"".join(text.findall(events))
    if b"\\" in written:
        # Some servers write all beyond ASCII so, in twice the bytes.
        with suppress(msgspec.DecodeError, UnicodeError):
            return len(_strings.decode(b'"%b"' % written).encode())
    return len(written)


def said_bytes(piece: object, depth: int = _MAX_DEPTH) -> int:
    """How many bytes of text are in *piece*: it is one itself, or has some in members of known names."""
    if isinstance(piece, str):
        return len(piece) if piece.isascii() else len(piece.encode(errors="replace"))
    if not depth:
        return 0
    if isinstance(piece, dict):
        return sum([said_bytes(piece[name], depth - 1) for name in piece if name in _SAYING])
    if isinstance(piece, list):
        return sum([said_bytes(one, depth - 1) for one in piece])
    return 0


def said_in_reply(reply: object, depth: int = _MAX_DEPTH) -> int:
    """How many bytes of text are in a whole *reply*, or in all that an array has of them.

    Beside its `choices` a chat may have the same in other words.
    """
    if isinstance(reply, dict):
        if not depth:
            return 0
        choices = reply.get("choices")
        if choices and isinstance(choices, list):
            return said_in_reply(choices, depth - 1)
        return sum([_said_in_member(name, reply[name], depth - 1) for name in reply if name in _SAYING_WHOLE])
    # A vector has thousands of numbers, which nobody need look at.
    if depth and isinstance(reply, list) and reply and isinstance(reply[0], dict | list | str):
        return sum([said_in_reply(one, depth - 1) for one in reply])
    return said_bytes(reply) if isinstance(reply, str) else 0


def _said_in_member(name: str, value: object, depth: int) -> int:
    if name in _GIVEN and isinstance(value, dict):
        return json_bytes(value)
    return said_in_reply(value, depth)


def json_bytes(given: object) -> int:
    """How many bytes of JSON the model wrote that was decoded as *given*, 0 where that is empty."""
    with suppress(RecursionError):
        if given:
            written = json.dumps(given, ensure_ascii=False, separators=(",", ":"))
            return len(written.encode(errors="replace"))
    return 0


def said_in_choices(choices: object) -> int:
    """The same of a chunk of a chat or text completion.

    Beside its `delta` a choice may have the whole message so far (Perplexity). Without one its text is in
    another place, as in those of completions and of some models of Bedrock.
    """
    said = 0
    for choice in choices if isinstance(choices, list) else ():
        if not isinstance(choice, dict):
            continue
        delta = choice.get("delta")
        if isinstance(delta, dict):
            content = delta.get("content")
            if content and isinstance(content, str) and content.isascii():
                # Nearly all have this and nothing else.
                said += len(content)
            else:
                said += said_bytes(delta)
        else:
            said += said_bytes(choice.get("text")) + said_bytes(choice.get("message"))
    return said
