"""The request half of `messages_to_chat`: a body of Messages as a chat call's body.

Shapes: https://platform.openai.com/docs/api-reference/chat/create , https://docs.claude.com/en/api/messages
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import sha256
from typing import Any, Final

from gateway.endpoints.openai_reply import text_of
from gateway.model import Call, Target
from gateway.translate.caller_tools import forces_one_of, leave_out_notes
from gateway.translate.chat_body import THOUGHTS, takes_thoughts, write_chat
from gateway.translate.claude_models import effort_of
from gateway.translate.conversation import blocks_of, turns_of
from gateway.translate.foreign_json import list_of, object_of, read_fields, write_text
from gateway.translate.pair import LeftOut
from gateway.translate.thought_signatures import take_from_id
from gateway.translate.tool_names import short_name

# Read by what writes them together, or hints that change no answer.
_READ_ELSEWHERE: Final = frozenset(
    {
        *("model", "messages", "system", "max_tokens", "stream", "stop_sequences", "temperature", "top_p"),
        *("tools", "tool_choice", "thinking", "output_config", "metadata", "service_tier"),
        *("cache_control", "diagnostics", "context_management"),
    }
)
_THINKING: Final = ("enabled", "adaptive", "disabled")
_CHOICES: Final = {"auto": "auto", "any": "required", "none": "none"}
_MAX_STOPS: Final = 4
_MAX_USER_CHARACTERS: Final = 64
_ASKED_AS: Final = {
    "user": "metadata.user_id",
    "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
    "reasoning_effort": "thinking",
    "response_format": "output_config.format",
    "stop": "stop_sequences",
}
"""What a caller of Messages calls the fields of chat that some servers refuse."""

_WITHOUT_REASONING: Final = re.compile(r"^(?:.*/)?(?:gpt-[34]|chatgpt-)")
"""Models of OpenAI that refuse to be told how hard to think."""

_MAX: Final = "max"
_MOST: Final = "xhigh"
_LESS: Final = "high"
# One knows the highest in Responses alone.
_TAKES_MAX: Final = re.compile(r"^(?:.*/)?gpt-(?!6\.1-sol)(?:5\.[6-9]|5\.\d\d|[6-9]|[12]\d)(?!\d)")
_TAKES_MOST: Final = re.compile(r"^(?:.*/)?gpt-(?:5\.1-codex-max|5\.[2-9]|5\.\d\d|[6-9]|[12]\d)(?!\d)")
"""Models of OpenAI that know the highest effort, and the one below; older ones, vLLM and SGLang refuse a call
with it."""

FAILED: Final = "The tool failed:"
"""Before the result of a tool that did: chat has no other way to say it."""

Part = dict[str, Any]


def write_body(call: Call, target: Target) -> tuple[bytes, tuple[str, ...]]:
    """The body, and the fields that were left out; raises as `pair.Pair.write` says."""
    fields = read_fields(call)
    left_out = LeftOut(target)
    for name in fields:
        if name not in _READ_ELSEWHERE:
            left_out.add(name)
    if fields.get("service_tier") == "standard_only":
        left_out.add("service_tier")
    body: dict[str, Any] = {
        "model": target.model_id,
        "messages": _Conversation(left_out, takes_thoughts=takes_thoughts(target)).read(fields),
    }
    if call.is_stream:
        body["stream"] = True
        body["stream_options"] = {"include_usage": True}
    for name, theirs in (("max_tokens", "max_completion_tokens"), ("temperature",) * 2, ("top_p",) * 2):
        if name in fields:
            body[theirs] = fields[name]
    stops = list_of(fields.get("stop_sequences"))
    if stops:
        body["stop"] = stops[:_MAX_STOPS]
        if len(stops) > _MAX_STOPS:
            left_out.add("stop_sequences")
    _add_tools(body, fields, left_out)
    _add_output(body, fields, target, left_out)
    user = object_of(fields.get("metadata")).get("user_id")
    if isinstance(user, str):
        body["user"] = user if len(user) <= _MAX_USER_CHARACTERS else _hash(user)
    written = write_chat(body, target, left_out, asked_as=_ASKED_AS)
    return written, tuple(left_out.names)


def _hash(user: str) -> str:
    """A name for *user* that is short enough, and the same in each of their calls."""
    return sha256(user.encode(errors="surrogatepass")).hexdigest()


def _add_tools(body: dict[str, Any], fields: dict[str, Any], left_out: LeftOut) -> None:
    tools = []
    gone = []
    for tool in map(object_of, list_of(fields.get("tools"))):
        if tool.get("type") not in (None, "custom"):
            # Anthropic runs it, and nobody else does.
            left_out.add(f"tools.{text_of(tool.get('type')) or 'unknown'}")
            gone.append(tool.get("name"))
            continue
        function: dict[str, Any] = {"name": short_name(text_of(tool.get("name")))}
        if tool.get("description"):
            function["description"] = tool["description"]
        function["parameters"] = _parameters(tool.get("input_schema"))
        if tool.get("strict") is True and _is_strict(function["parameters"]):
            function["strict"] = True
        elif tool.get("strict") is True:
            # Anthropic takes arguments that may be missing, OpenAI would refuse the call.
            left_out.add("tools.strict")
        leave_out_notes(tool, left_out)
        tools.append({"type": "function", "function": function})
    choice = object_of(fields.get("tool_choice"))
    if gone and forces_one_of(choice, gone, is_any=not tools):
        # An answer without it would look like one that was found with it.
        raise left_out.refusal("tool_choice")
    if tools:
        body["tools"] = tools
        _add_choice(body, choice, left_out)


def _add_choice(body: dict[str, Any], choice: dict[str, Any], left_out: LeftOut) -> None:
    kind = text_of(choice.get("type"))
    if kind in _CHOICES:
        body["tool_choice"] = _CHOICES[kind]
    elif kind == "tool":
        body["tool_choice"] = {
            "type": "function",
            "function": {"name": short_name(text_of(choice.get("name")))},
        }
    elif kind:
        raise left_out.refusal("tool_choice")
    if choice.get("disable_parallel_tool_use") is True:
        body["parallel_tool_calls"] = False


def _add_output(body: dict[str, Any], fields: dict[str, Any], target: Target, left_out: LeftOut) -> None:
    output = object_of(fields.get("output_config"))
    match output.get("format"):
        case None:
            pass
        case {"type": "json_schema", "schema": dict(schema)}:
            wanted = {"name": "reply", "schema": schema, "strict": _is_strict(schema)}
            body["response_format"] = {"type": "json_schema", "json_schema": wanted}
        case _:
            left_out.add("output_config.format")
    if output.get("task_budget") is not None:
        left_out.add("output_config.task_budget")
    thinking = object_of(fields.get("thinking"))
    effort = effort_of(thinking, output.get("effort"))
    is_unknown = bool(thinking) and thinking.get("type") not in _THINKING
    if is_unknown or (effort is not None and _WITHOUT_REASONING.match(target.model_id)):
        left_out.add("thinking")
    elif effort is not None:
        body["reasoning_effort"] = _effort_at(target.model_id, effort)


def _effort_at(model_id: str, effort: str) -> str:
    """The *effort*, or the next below that *model_id* knows."""
    if effort == _MAX and not _TAKES_MAX.match(model_id):
        effort = _MOST
    return _LESS if effort == _MOST and not _TAKES_MOST.match(model_id) else effort


def _parameters(schema: object) -> object:
    """The *schema* of a tool; OpenAI refuses an object that names no members."""
    if not schema:
        return {"type": "object", "properties": {}}
    if isinstance(schema, dict) and schema.get("type") == "object" and schema.get("properties") is None:
        return {**schema, "properties": {}}
    return schema


def _is_strict(schema: object) -> bool:
    """Whether OpenAI takes it as strict: each object closed, and each of its members required.

    Raises:
        RecursionError: It is nested too deeply.
    """
    if isinstance(schema, list):
        return all(map(_is_strict, schema))
    if not isinstance(schema, dict):
        return True
    members = schema.get("properties")
    if isinstance(members, dict):
        required = list_of(schema.get("required"))
        if schema.get("additionalProperties") is not False or any(name not in required for name in members):
            return False
    return all(map(_is_strict, schema.values()))


class _Conversation:
    """The messages of one call on their way to OpenAI: results of tools apart from what the user says."""

    def __init__(self, left_out: LeftOut, *, takes_thoughts: bool) -> None:
        self._left_out = left_out
        self._takes_thoughts = takes_thoughts
        self._messages: list[dict[str, Any]] = []

    def read(self, fields: dict[str, Any]) -> list[dict[str, Any]]:
        """All messages, the system prompt first.

        Raises:
            InvalidBody: There are none, or one is none.
        """
        turns = turns_of(fields, self._left_out)
        self._add_system(fields.get("system"))
        for message in turns:
            blocks = blocks_of(message.get("content"))
            match message.get("role"):
                case "assistant":
                    self._add_assistant(blocks)
                case "system" | "developer":
                    self._add_system(message.get("content"))
                case _:
                    self._add_user(blocks)
        return self._messages

    def _add_system(self, content: object) -> None:
        texts = [text_of(block.get("text")) for block in self._texts(content)]
        if not any(texts):
            return
        if self._messages and self._messages[-1]["role"] == "system":
            # Templates of many models refuse a second one, or take no notice of it.
            texts.insert(0, self._messages.pop()["content"])
        self._messages.append({"role": "system", "content": "\n\n".join(filter(None, texts))})

    def _texts(self, content: object) -> Iterator[Part]:
        """What a message of the system says; it may also change the tools that there are."""
        for block in blocks_of(content):
            if block.get("type", "text") == "text":
                yield block
            else:
                self._left_out.add(f"messages.content.{text_of(block.get('type')) or 'unknown'}")

    def _add_assistant(self, blocks: list[Part]) -> None:
        texts: list[str] = []
        calls: list[Part] = []
        for block in blocks:
            match block.get("type"):
                case "text":
                    texts.append(text_of(block.get("text")))
                case "tool_use":
                    arguments = write_text(object_of(block.get("input")))
                    function = {"name": short_name(text_of(block.get("name"))), "arguments": arguments}
                    calls.append({"id": _call_id(block.get("id")), "type": "function", "function": function})
                case "compaction":
                    texts.append(text_of(block.get("content")))
                    if block.get("tool_changes"):
                        self._left_out.add("messages.content.compaction.tool_changes")
                case "thinking" | "redacted_thinking":
                    # Read below; or another model's, under its signature.
                    pass
                case kind:
                    self._left_out.add(f"messages.content.{text_of(kind) or 'unknown'}")
        if not texts and not calls:
            return
        message: dict[str, Any] = {"role": "assistant", "content": "".join(texts) if texts else None}
        thoughts = _unsigned_thoughts(blocks) if self._takes_thoughts else ""
        if thoughts:
            message[THOUGHTS] = thoughts
        if calls:
            message["tool_calls"] = calls
        self._messages.append(message)

    def _add_user(self, blocks: list[Part]) -> None:
        parts: list[Part] = []
        for block in blocks:
            if block.get("type") == "tool_result":
                parts += self._add_result(block)
            else:
                parts += self._parts(block)
        if not parts:
            return
        # What all servers take; lists only where there is more than text.
        is_text = len(parts) == 1 and parts[0]["type"] == "text"
        self._messages.append({"role": "user", "content": parts[0]["text"] if is_text else parts})

    def _add_result(self, block: Part) -> list[Part]:
        """Add a tool's message, and give what only a user's can carry: pictures and files."""
        parts = [part for inner in blocks_of(block.get("content")) for part in self._parts(inner)]
        text = "\n".join(part["text"] for part in parts if part["type"] == "text")
        others = [part for part in parts if part["type"] != "text"]
        if others and not text:
            text = "The result follows as a file."
        if block.get("is_error") is True:
            text = f"{FAILED}\n{text}" if text else FAILED
        message = {"role": "tool", "tool_call_id": _call_id(block.get("tool_use_id")), "content": text}
        self._messages.append(message)
        return others

    def _parts(self, block: Part) -> list[Part]:
        if object_of(block.get("citations")).get("enabled") is True:
            # Asked for from the answer, which will have none.
            self._left_out.add(f"messages.content.{text_of(block.get('type'))}.citations")
        if block.get("transformations"):
            self._left_out.add("messages.content.image.transformations")
        match block:
            case {"type": "text", "text": str(text)}:
                return [{"type": "text", "text": text}] if text else []
            case {"type": "tool_reference", "tool_name": str(name)}:
                # Found by a search among tools that were held back; here all of them are given.
                return [{"type": "text", "text": f"The tool {short_name(name)} can be used."}]
            case {"type": "image", "source": {"type": "url", "url": str(url)}}:
                return [{"type": "image_url", "image_url": {"url": url}}]
            case {"type": "image", "source": {"type": "base64", "data": str(data), **more}}:
                kind = text_of(more.get("media_type")) or "image/png"
                return [{"type": "image_url", "image_url": {"url": f"data:{kind};base64,{data}"}}]
            case {"type": "document", "source": dict(source), **more}:
                context = text_of(more.get("context"))
                told = [{"type": "text", "text": context}] if context else []
                return told + self._document(source, text_of(more.get("title")))
            case {"type": "search_result", "content": content, **more}:
                head = f"{text_of(more.get('title'))} ({text_of(more.get('source'))})"
                return [{"type": "text", "text": head}, *self._all(content)]
        raise self._left_out.refusal(f"messages.content.{text_of(block.get('type')) or 'unknown'}")

    def _all(self, content: object) -> list[Part]:
        return [part for block in blocks_of(content) for part in self._parts(block)]

    def _document(self, source: dict[str, Any], title: str) -> list[Part]:
        match source:
            case {"type": "text", "data": str(text)}:
                return [{"type": "text", "text": f"{title}\n\n{text}" if title else text}]
            case {"type": "base64", "data": str(data), **more}:
                kind = text_of(more.get("media_type")) or "application/pdf"
                file = {"filename": title or "document.pdf", "file_data": f"data:{kind};base64,{data}"}
                return [{"type": "file", "file": file}]
            case {"type": "content", "content": content}:
                return self._all(content)
        raise self._left_out.refusal(f"messages.content.document.{text_of(source.get('type')) or 'unknown'}")


def _unsigned_thoughts(blocks: list[Part]) -> str:
    """What a model of chat thought, whose thoughts nobody signs."""
    return "".join(
        text_of(block.get("thinking"))
        for block in blocks
        if block.get("type") == "thinking" and not block.get("signature")
    )


def _call_id(value: object) -> str:
    """The id of a call, without what Google signed it with: OpenAI takes 40 characters."""
    return take_from_id(text_of(value))[0]
