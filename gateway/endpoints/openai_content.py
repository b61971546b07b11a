"""What was said in an OpenAI-shaped call: messages, replies and tools in the shape of the conventions.

Pure. Pictures and sound that stand in a body as base64 become a blob that says what it was and how long,
without the bytes.

Shapes: https://platform.openai.com/docs/api-reference/chat/create , and those of `content_parts`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any, Final, TypeVar

import msgspec

from gateway.endpoints.content_in_parts import text_in, thoughts_in
from gateway.endpoints.content_parts import (
    MAX_PARTS,
    Shaped,
    blob,
    linked,
    response_of,
    shape_parts,
    tool_call,
    with_reason,
)
from gateway.endpoints.openai_reply import UNREADABLE, text_of
from gateway.model import Call
from gateway.wire.sse import read_events

MAX_ITEMS: Final = 4_000
"""Of a longer list the first member and the newest are looked at: nobody shows more of them."""

_BIG_BYTES: Final = 64 * 1024
"""A member longer than this is not decoded whole: it may be a hundred thousand parts, which takes 100 ms."""

T = TypeVar("T")
_raws: Final = msgspec.json.Decoder(list[msgspec.Raw])
_objects: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


class _StreamChoice(msgspec.Struct):
    """One choice of one chunk; all of it may be missing or of another type."""

    index: Any = 0
    delta: Any = None
    text: Any = None
    finish_reason: Any = None


class _Chunk(msgspec.Struct):
    """What a chunk adds to the reply."""

    choices: list[_StreamChoice] | None = None


class _WholeReply(msgspec.Struct):
    """What a reply says."""

    choices: list[Any] | None = None


_chunks: Final = msgspec.json.Decoder(_Chunk)
_replies: Final = msgspec.json.Decoder(_WholeReply)


class Items:
    """A list in a body whose members are read one by one, when they are wanted.

    Attributes:
        sizes: Bytes of each member as received.
        is_cut: There were more members than are looked at.
    """

    def __init__(self, raws: Sequence[msgspec.Raw], shape: Callable[[Any], Shaped | None]) -> None:
        self.is_cut = len(raws) > MAX_ITEMS
        self._raws = [raws[0], *raws[1 - MAX_ITEMS :]] if self.is_cut else raws
        self._shape = shape
        self.sizes = [len(memoryview(raw)) for raw in self._raws]

    def read(self, index: int) -> Shaped | None:
        """The member, None when it is no such thing."""
        try:
            return self._shape(_decode_some(self._raws[index]))
        except UNREADABLE:
            return None


def read_input(call: Call) -> Items:
    """The messages of a chat, or the prompts of a completion as what a user said."""
    if call.endpoint.name == "chat":
        return Items(members_of(call.fields.get("messages")), shape_message)
    prompt = call.fields.get("prompt")
    raws = members_of(prompt)
    return Items(raws if raws or prompt is None else [prompt], _shape_prompt)


def read_tools(call: Call) -> Items:
    """The tools that the model may call."""
    return Items(
        members_of(call.fields.get("tools")) or members_of(call.fields.get("functions")), _shape_tool
    )


def read_output(body: bytes) -> list[Shaped]:
    """What a whole reply says, one message for each choice."""
    try:
        choices = _replies.decode(body).choices
    except UNREADABLE:
        try:
            found = json.loads(body, strict=False)
        except UNREADABLE:
            return []
        choices = found.get("choices") if isinstance(found, dict) else None
    shaped = []
    for choice in choices if isinstance(choices, list) else ():
        if not isinstance(choice, dict):
            continue
        message = choice.get("message")
        if not isinstance(message, dict):
            message = {"role": "assistant", "content": choice.get("text")}
        shaped.append(with_reason(shape_message(message), choice.get("finish_reason")))
    return shaped


def decode_leniently(raw: msgspec.Raw | bytes) -> Any:
    """JSON as Python's own parser takes it, quickly where msgspec takes it too.

    Raises:
        ValueError: It is no JSON.
        RecursionError: It is nested too deeply.
    """
    try:
        return msgspec.json.decode(raw)
    except msgspec.DecodeError:
        return json.loads(bytes(raw), strict=False)


def read_as(decoder: msgspec.json.Decoder[T], data: bytes) -> T | None:
    """What *data* says as *decoder* has it, None where it is no such thing; JSON as Python's parser takes it.

    A third of the time of reading the same as an object.
    """
    try:
        return decoder.decode(data)
    except (msgspec.ValidationError, UnicodeDecodeError, RecursionError):
        return None
    except msgspec.DecodeError:
        try:
            return msgspec.convert(json.loads(data, strict=False), decoder.type)
        except UNREADABLE:
            return None


def find_object(body: bytes) -> dict[str, Any] | None:
    """What *body* says, None when it is no JSON object."""
    try:
        found = decode_leniently(body)
    except UNREADABLE:
        return None
    return found if isinstance(found, dict) else None


def decode_text(written: str) -> Any:
    """What *written* says as JSON, itself where it is none."""
    try:
        return decode_leniently(written.encode(errors="replace"))
    except UNREADABLE:
        return written


def read_arguments(asked: Any) -> Any:
    """Arguments of a tool; a text that is no object or list stays one."""
    is_json = isinstance(asked, str) and asked.startswith(("{", "["))
    return decode_text(asked) if is_json else asked


def _decode_some(raw: msgspec.Raw) -> Any:
    """JSON, but of the lists in a big object the first members only; raises as `decode_leniently`."""
    if len(memoryview(raw)) < _BIG_BYTES or not _begins(raw, "{"):
        return decode_leniently(raw)
    found: dict[str, Any] = {}
    for name, value in _objects.decode(raw).items():
        if _begins(value, "["):
            found[name] = [decode_leniently(item) for item in _raws.decode(value)[:MAX_PARTS]]
        else:
            found[name] = decode_leniently(value)
    return found


def _begins(raw: msgspec.Raw, mark: str) -> bool:
    return memoryview(raw)[0] == ord(mark)


def shape_message(message: Any) -> Shaped:
    """A message of a chat, asked or answered."""
    if not isinstance(message, dict):
        return {"role": "", "parts": _text_parts(message)}
    role = text_of(message.get("role"))
    parts: list[Shaped] = []
    reasoning = message.get("reasoning_content") or message.get("reasoning")
    if reasoning and isinstance(reasoning, str):
        parts.append({"type": "reasoning", "content": reasoning})
    content = shape_parts(message.get("content"), _shape_part)
    if role in ("tool", "function"):
        name = message.get("tool_call_id") or message.get("name")
        parts.append({"type": "tool_call_response", "id": name, "response": response_of(content)})
    else:
        parts += content
    refusal = message.get("refusal")
    if refusal and isinstance(refusal, str):
        parts.append({"type": "refusal", "content": refusal})
    if isinstance(message.get("audio"), dict):
        parts += _spoken(message["audio"])
    calls = message.get("tool_calls")
    parts += [_shape_tool_call(call) for call in (calls[:MAX_PARTS] if isinstance(calls, list) else ())]
    if isinstance(message.get("function_call"), dict):
        parts.append(_shape_tool_call({"function": message["function_call"]}))
    shaped: Shaped = {"role": role, "parts": parts}
    if isinstance(message.get("name"), str) and role != "function":
        shaped["name"] = message["name"]
    return shaped


class StreamAssembler:
    """The reply that the chunks of a stream add up to."""

    def __init__(self) -> None:
        self._choices: dict[int, _ChoiceSoFar] = {}

    def feed(self, events: bytes) -> None:
        """Take some whole server-sent events; what cannot be read adds nothing."""
        for data in read_events(events):
            chunk = read_as(_chunks, data)
            if chunk is None:
                continue
            for position, choice in enumerate(chunk.choices or ()):
                index = choice.index if isinstance(choice.index, int) else position
                so_far = self._choices.get(index)
                if so_far is None:
                    so_far = self._choices[index] = _ChoiceSoFar()
                so_far.add(choice)

    def messages(self) -> list[Shaped]:
        """What the reply says until here, one message for each choice."""
        return [choice.shaped() for _, choice in sorted(self._choices.items())]


class _ChoiceSoFar:
    """One choice of a stream."""

    def __init__(self) -> None:
        self._role = "assistant"
        self._reason: object = None
        self._texts: dict[str, list[str]] = {"reasoning": [], "text": [], "refusal": []}
        self._calls: dict[object, _CallSoFar] = {}

    def add(self, choice: _StreamChoice) -> None:
        if choice.finish_reason:
            self._reason = choice.finish_reason
        delta = choice.delta if isinstance(choice.delta, dict) else {"content": choice.text}
        if len(delta) == 1 and isinstance(text := delta.get("content"), str):
            # As most chunks are, and there are hundreds of them.
            if text:
                self._texts["text"].append(text)
            return
        self._role = text_of(delta.get("role")) or self._role
        for name, key in (
            ("reasoning", "reasoning_content"),
            ("reasoning", "reasoning"),
            ("text", "content"),
            ("refusal", "refusal"),
        ):
            text = delta.get(key)
            if text and isinstance(text, str):
                self._texts[name].append(text)
        self._add_parts(delta.get("content"))
        calls = delta.get("tool_calls")
        for position, call in enumerate(calls if isinstance(calls, list) else ()):
            self._add_call(call, position)
        if isinstance(delta.get("function_call"), dict):
            self._add_call({"function": delta["function_call"]}, 0)

    def _add_parts(self, content: object) -> None:
        if isinstance(content, list):
            for name, text in (("reasoning", thoughts_in(content)), ("text", text_in(content))):
                if text:
                    self._texts[name].append(text)

    def _add_call(self, call: object, position: int) -> None:
        if not isinstance(call, dict):
            return
        index = call.get("index")
        # Some servers count nothing and name each call; a piece without either goes on with the first.
        key: object = index if isinstance(index, int) else text_of(call.get("id")) or position
        if key not in self._calls and not isinstance(key, str) and index is None and self._calls:
            key = next(reversed(self._calls))
        self._calls.setdefault(key, _CallSoFar()).add(call)

    def shaped(self) -> Shaped:
        parts: list[Shaped] = [
            {"type": name, "content": "".join(texts)} for name, texts in self._texts.items() if texts
        ]
        parts += [call.shaped() for call in islice(self._calls.values(), MAX_PARTS)]
        return with_reason({"role": self._role, "parts": parts}, self._reason)


class _CallSoFar:
    """One tool call of a stream."""

    def __init__(self) -> None:
        self._id = ""
        self._name = ""
        self._arguments: list[str] = []

    def add(self, call: dict[str, Any]) -> None:
        function = call.get("function")
        function = function if isinstance(function, dict) else {}
        self._id = self._id or text_of(call.get("id"))
        self._name = self._name or text_of(function.get("name"))
        self._arguments.append(text_of(function.get("arguments")))

    def shaped(self) -> Shaped:
        function = {"name": self._name, "arguments": "".join(self._arguments)}
        return _shape_tool_call({"id": self._id, "function": function})


def members_of(raw: msgspec.Raw | None) -> list[msgspec.Raw]:
    """Those of a list, undecoded; none of what is no list."""
    if raw is None:
        return []
    try:
        return _raws.decode(raw)
    except UNREADABLE:
        return []


def messages_after_system(call: Call) -> list[msgspec.Raw]:
    """The messages of a body, and before them its system prompt where that stands beside them."""
    system = call.fields.get("system")
    messages = members_of(call.fields.get("messages"))
    return messages if system is None else [system, *messages]


def _text_parts(value: object) -> list[Shaped]:
    return [{"type": "text", "content": value}] if isinstance(value, str) else []


def _shape_part(part: object) -> Shaped:
    if isinstance(part, str):
        return {"type": "text", "content": part}
    if not isinstance(part, dict):
        return {"type": "unknown"}
    # Newer than this code: its kind is told, and what may be megabytes of something is not.
    return _shape_words(part) or _shape_media(part) or {"type": text_of(part.get("type")) or "unknown"}


def _shape_words(part: dict[str, Any]) -> Shaped | None:
    match part:
        case {"type": "text", "text": str(text)}:
            return {"type": "text", "content": text}
        case {"type": "refusal", "refusal": str(text)}:
            return {"type": "refusal", "content": text}
        case {"type": "thinking", "thinking": str() | list() as thoughts}:
            return {"type": "reasoning", "content": text_in(thoughts)}
    return None


def _shape_media(part: dict[str, Any]) -> Shaped | None:
    shaped: Shaped | None = None
    match part:
        case {"type": "image_url", "image_url": {"url": str(url)} | str(url)}:
            shaped = linked(url, "image")
        case {"type": "video_url", "video_url": {"url": str(url)}}:
            shaped = linked(url, "video")
        case {"type": "input_audio", "input_audio": {"data": str(data), **more}}:
            kind = text_of(more.get("format"))
            shaped = blob("audio", f"audio/{kind}" if kind else None, len(data))
        case {"type": "file", "file": {"file_id": str(file_id)}}:
            shaped = {"type": "file", "modality": "document", "file_id": file_id}
        case {"type": "file", "file": {"file_data": str(data)}}:
            shaped = linked(data, "document")
    return shaped


def _spoken(audio: dict[str, Any]) -> Iterable[Shaped]:
    if audio.get("data"):
        yield blob("audio", None, len(text_of(audio["data"])))
    if text_of(audio.get("transcript")):
        yield {"type": "text", "content": audio["transcript"]}


def _shape_tool_call(call: object) -> Shaped:
    call = call if isinstance(call, dict) else {}
    function = call.get("function") or call.get("custom")
    function = function if isinstance(function, dict) else {}
    arguments = function.get("arguments", function.get("input"))
    return tool_call(call.get("id"), function.get("name"), read_arguments(arguments))


def _shape_prompt(prompt: Any) -> Shaped | None:
    """A prompt; one that is numbers of tokens says nothing to a reader."""
    return {"role": "user", "parts": _text_parts(prompt)} if isinstance(prompt, str) else None


def _shape_tool(tool: Any) -> Shaped | None:
    if not isinstance(tool, dict):
        return None
    function = tool.get("function")
    if isinstance(function, dict):
        return {"type": "function", **function}
    return {"type": "function", **tool} if "type" not in tool else tool
