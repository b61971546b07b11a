"""The request half of `messages_to_cohere`: a body of Messages as a body of Cohere's chat.

Shapes: https://docs.cohere.com/reference/chat , https://docs.claude.com/en/api/messages
"""

from __future__ import annotations

from typing import Any, Final

from gateway.endpoints.openai_reply import text_of
from gateway.model import Call, Target
from gateway.translate.caller_tools import forces_one_of, leave_out_notes
from gateway.translate.cohere_models import can_think, thinking_for, thinking_of_budget
from gateway.translate.cohere_parts import (
    OF_COHERE,
    Part,
    add_own,
    add_sampling,
    add_schema,
    add_stops,
    add_tools,
    make_assistant,
    make_call,
    make_tool,
    system_message,
)
from gateway.translate.conversation import blocks_of, turns_of
from gateway.translate.foreign_json import list_of, object_of, read_fields, write_json, write_text
from gateway.translate.messages_to_chat_body import FAILED
from gateway.translate.pair import LeftOut

# Read by what writes them together, or hints that change no answer.
_READ_ELSEWHERE: Final = frozenset(
    {
        *("model", "messages", "system", "max_tokens", "stream", "stop_sequences"),
        *("temperature", "top_p", "top_k", "tools", "tool_choice", "thinking", "output_config"),
        *("metadata", "service_tier", "cache_control", "diagnostics", "context_management"),
        *OF_COHERE,
    }
)
DOCUMENT: Final = "document_"
"""What the ids of documents that are to be cited begin with, and those of results of a search."""

RESULT: Final = "result_"
_MODES: Final = {"auto": "", "any": "REQUIRED", "none": "NONE"}


def write_body(call: Call, target: Target) -> tuple[bytes, tuple[str, ...]]:
    """The body, and the fields that were left out; raises as `pair.Pair.write` says."""
    fields = read_fields(call)
    left_out = LeftOut(target)
    for name in fields:
        if name not in _READ_ELSEWHERE:
            left_out.add(name)
    if fields.get("service_tier") == "standard_only":
        left_out.add("service_tier")
    thinks = can_think(target.model_id)
    conversation = _Conversation(left_out, thinks=thinks)
    body: Part = {"model": target.model_id, "messages": conversation.read(fields)}
    if call.is_stream:
        body["stream"] = True
    if "max_tokens" in fields:
        body["max_tokens"] = fields["max_tokens"]
    add_own(body, fields)
    if conversation.documents and "documents" not in body:
        body["documents"] = conversation.documents
    _add_tools(body, fields, left_out)
    _add_output(body, fields, left_out, thinks=thinks)
    add_sampling(body, fields)
    add_stops(body, list_of(fields.get("stop_sequences")), "stop_sequences", left_out)
    return write_json(body), tuple(left_out.names)


class _Conversation:
    """The messages of one call on their way to Cohere: results of tools apart from what the user says.

    Attributes:
        documents: Those that are to be cited; Cohere has them apart.
    """

    def __init__(self, left_out: LeftOut, *, thinks: bool) -> None:
        self._left_out = left_out
        self._thinks = thinks
        self._system: list[str] = []
        self._messages: list[Part] = []
        self.documents: list[Part] = []

    def read(self, fields: dict[str, Any]) -> list[Part]:
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
        return system_message(self._system) + self._messages

    def _add_system(self, content: object) -> None:
        for block in blocks_of(content):
            if block.get("type", "text") == "text":
                self._system.append(text_of(block.get("text")))
            else:
                # It may change the tools that there are, which nobody else knows.
                self._left_out.add(f"messages.content.{text_of(block.get('type')) or 'unknown'}")

    def _add_assistant(self, blocks: list[Part]) -> None:
        texts: list[str] = []
        thoughts: list[str] = []
        calls: list[Part] = []
        for block in blocks:
            match block.get("type"):
                case "text":
                    texts.append(text_of(block.get("text")))
                case "compaction":
                    texts.append(text_of(block.get("content")))
                    if block.get("tool_changes"):
                        self._left_out.add("messages.content.compaction.tool_changes")
                case "thinking" if not block.get("signature"):
                    thoughts.append(text_of(block.get("thinking")))
                case "thinking" | "redacted_thinking":
                    # Another model's, under its signature.
                    pass
                case "tool_use":
                    arguments = write_text(object_of(block.get("input")))
                    calls.append(make_call(text_of(block.get("id")), text_of(block.get("name")), arguments))
                case kind:
                    self._left_out.add(f"messages.content.{text_of(kind) or 'unknown'}")
        said = make_assistant(texts, "".join(thoughts), calls, thinks=self._thinks)
        if said is not None:
            self._messages.append(said)

    def _add_user(self, blocks: list[Part]) -> None:
        parts: list[Part] = []
        for block in blocks:
            if block.get("type") == "tool_result":
                parts += self._add_result(block)
            else:
                parts += self._parts(block)
        if not parts:
            return
        is_text = len(parts) == 1 and parts[0]["type"] == "text"
        self._messages.append({"role": "user", "content": parts[0]["text"] if is_text else parts})

    def _add_result(self, block: Part) -> list[Part]:
        """Add a tool's message, and give what only a user's can carry: pictures."""
        parts = [part for inner in blocks_of(block.get("content")) for part in self._parts(inner)]
        text = "\n".join(part["text"] for part in parts if part["type"] == "text")
        others = [part for part in parts if part["type"] != "text"]
        if others and not text:
            text = "The result follows as a picture."
        if block.get("is_error") is True:
            text = f"{FAILED}\n{text}" if text else FAILED
        message = {"role": "tool", "tool_call_id": text_of(block.get("tool_use_id")), "content": text}
        self._messages.append(message)
        return others

    def _parts(self, block: Part) -> list[Part]:
        if block.get("transformations"):
            self._left_out.add("messages.content.image.transformations")
        match block:
            case {"type": "text", "text": str(text)}:
                return [{"type": "text", "text": text}] if text else []
            case {"type": "tool_reference", "tool_name": str(name)}:
                # Found by a search among tools that were held back; here all of them are given.
                return [{"type": "text", "text": f"The tool {name} can be used."}]
            case {"type": "image", "source": {"type": "url", "url": str(url)}}:
                return [{"type": "image_url", "image_url": {"url": url}}]
            case {"type": "image", "source": {"type": "base64", "data": str(data), **more}}:
                kind = text_of(more.get("media_type")) or "image/png"
                return [{"type": "image_url", "image_url": {"url": f"data:{kind};base64,{data}"}}]
            case {"type": "document", "source": dict(source), **more}:
                return self._document(source, more)
            case {"type": "search_result", "content": content, **more}:
                return self._search_result(content, more)
        raise self._left_out.refusal(f"messages.content.{text_of(block.get('type')) or 'unknown'}")

    def _document(self, source: Part, more: Part) -> list[Part]:
        match source:
            case {"type": "text", "data": str(text)}:
                said = [{"type": "text", "text": text}]
            case {"type": "content", "content": content}:
                said = [part for block in blocks_of(content) for part in self._parts(block)]
            case _:
                kind = text_of(source.get("type")) or "unknown"
                raise self._left_out.refusal(f"messages.content.document.{kind}")
        title, context = text_of(more.get("title")), text_of(more.get("context"))
        if _wants_citations(more) and all(part["type"] == "text" for part in said):
            return self._cited(DOCUMENT, title, said, {"context": context} if context else {})
        return [{"type": "text", "text": text} for text in (title, context) if text] + said

    def _search_result(self, content: object, more: Part) -> list[Part]:
        title, source = text_of(more.get("title")), text_of(more.get("source"))
        said = [part for block in blocks_of(content) for part in self._parts(block)]
        if _wants_citations(more):
            return self._cited(RESULT, title, said, {"url": source} if source else {})
        return [{"type": "text", "text": f"{title} ({source})"}, *said]

    def _cited(self, kind: str, title: str, said: list[Part], more: Part) -> list[Part]:
        """Put apart what is to be cited, under the number that it has among its kind."""
        number = sum(document["id"].startswith(kind) for document in self.documents)
        text = "\n\n".join(text_of(part.get("text")) for part in said)
        data = {**({"title": title} if title else {}), **more, "text": text}
        self.documents.append({"id": f"{kind}{number}", "data": data})
        return []


def _wants_citations(more: Part) -> bool:
    return object_of(more.get("citations")).get("enabled") is True


def _add_tools(body: Part, fields: dict[str, Any], left_out: LeftOut) -> None:
    listed, gone = [], []
    for tool in map(object_of, list_of(fields.get("tools"))):
        if tool.get("type") not in (None, "custom"):
            # Anthropic runs it, and nobody else does.
            left_out.add(f"tools.{text_of(tool.get('type')) or 'unknown'}")
            gone.append(tool.get("name"))
        else:
            listed.append(tool)
        leave_out_notes(tool, left_out)
    choice = object_of(fields.get("tool_choice"))
    kind = text_of(choice.get("type"))
    if gone and forces_one_of(choice, gone, is_any=not listed):
        # An answer without it would look like one that was found with it.
        raise left_out.refusal("tool_choice")
    if kind == "tool":
        # Cohere cannot be told to use one, so that it gets no other.
        listed = [tool for tool in listed if tool.get("name") == choice.get("name")]
    elif kind and kind not in _MODES:
        raise left_out.refusal("tool_choice")
    if choice.get("disable_parallel_tool_use") is True and listed:
        left_out.add("tool_choice.disable_parallel_tool_use")
    tools = [
        make_tool(tool.get("name"), tool.get("description"), tool.get("input_schema")) for tool in listed
    ]
    mode = "REQUIRED" if kind == "tool" else _MODES.get(kind, "")
    are_strict = any(tool.get("strict") is True for tool in listed)
    add_tools(body, tools, mode, left_out, are_strict=are_strict and "strict_tools" not in fields)


def _add_output(body: Part, fields: dict[str, Any], left_out: LeftOut, *, thinks: bool) -> None:
    output = object_of(fields.get("output_config"))
    match output.get("format"):
        case None:
            pass
        case {"type": "json_schema", "schema": dict(schema)}:
            add_schema(body, schema, "output_config.format", left_out)
        case _:
            left_out.add("output_config.format")
    if output.get("task_budget") is not None:
        left_out.add("output_config.task_budget")
    made = _thinking(object_of(fields.get("thinking")), output.get("effort"), body.get("max_tokens"))
    if made is None:
        return
    if thinks:
        body["thinking"] = made
    elif made["type"] != "disabled":
        left_out.add("thinking")


def _thinking(thinking: Part, effort: object, max_tokens: object) -> Part | None:
    """Cohere's words for how to think, None where nothing is said of it."""
    match thinking.get("type"):
        case "disabled":
            return {"type": "disabled"}
        case "enabled" if effort is None:
            return thinking_of_budget(thinking.get("token_budget", thinking.get("budget_tokens")), max_tokens)
    if effort is not None:
        return thinking_for(effort, max_tokens)
    return {"type": "enabled"} if thinking else None
