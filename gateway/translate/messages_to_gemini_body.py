"""The request half of `messages_to_gemini`: a body of Messages as a body of generateContent.

Shapes: https://ai.google.dev/api/generate-content , https://docs.claude.com/en/api/messages
"""

from __future__ import annotations

from typing import Any, Final

from gateway.endpoints.openai_reply import text_of
from gateway.model import Call, Target
from gateway.translate.caller_tools import forces_one_of, is_for_code, leave_out_notes
from gateway.translate.conversation import blocks_of, turns_of
from gateway.translate.foreign_json import list_of, object_of, read_fields, write_json
from gateway.translate.gemini_contents import Contents
from gateway.translate.gemini_models import takes_tools_and_shape, thinking_for, thinking_within
from gateway.translate.gemini_parts import Part, file_part, inline_part, text_part
from gateway.translate.gemini_schema import shape_of_answer, shape_of_arguments
from gateway.translate.gemini_tool_names import gemini_name
from gateway.translate.messages_from_gemini import asks_for_thoughts
from gateway.translate.pair import LeftOut
from gateway.translate.thought_signatures import find_in_block, signature_for, take_from_id

# Read by what writes them together, or hints that change no answer.
_READ_ELSEWHERE: Final = frozenset(
    {
        *("model", "messages", "system", "max_tokens", "stream", "stop_sequences"),
        *("temperature", "top_p", "top_k", "tools", "tool_choice", "thinking", "output_config"),
        *("metadata", "service_tier", "cache_control", "diagnostics", "context_management"),
    }
)
_SETTINGS: Final = {
    "max_tokens": "maxOutputTokens",
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
}
_MAX_STOPS: Final = 5
_AS_IT_LIKES: Final = -1
_WEB_SEARCH: Final = "web_search"
_DOMAINS: Final = ("allowed_domains", "blocked_domains")
_NOT_SEARCHED_BY: Final = ("max_uses", "user_location")
_MODES: Final = {"any": "ANY", "tool": "ANY", "none": "NONE"}

Block = dict[str, Any]


def write_body(call: Call, target: Target) -> tuple[bytes, tuple[str, ...]]:
    """The body, and the fields that were left out; raises as `pair.Pair.write` says."""
    fields = read_fields(call)
    left_out = LeftOut(target)
    for name in fields:
        if name not in _READ_ELSEWHERE:
            left_out.add(name)
    body: dict[str, Any] = {"contents": _Conversation(target, left_out).read(fields)}
    system = _texts(fields.get("system"))
    if system:
        body["systemInstruction"] = {"parts": [text_part(text) for text in system]}
    config = {theirs: fields[name] for name, theirs in _SETTINGS.items() if name in fields}
    stops = list_of(fields.get("stop_sequences"))
    if stops:
        config["stopSequences"] = stops[:_MAX_STOPS]
        if len(stops) > _MAX_STOPS:
            left_out.add("stop_sequences")
    _add_tools(body, fields, target, left_out)
    _add_format(body, config, fields, target, left_out)
    _add_thinking(config, fields, target, left_out)
    if config:
        body["generationConfig"] = config
    return write_json(body), tuple(left_out.names)


def _add_tools(body: dict[str, Any], fields: dict[str, Any], target: Target, left_out: LeftOut) -> None:
    functions: list[dict[str, Any]] = []
    searches: list[dict[str, Any]] = []
    gone: list[Any] = []
    for tool in map(object_of, list_of(fields.get("tools"))):
        kind = tool.get("type")
        if kind in (None, "custom"):
            functions.append(_function(tool, target, left_out))
        elif text_of(kind).startswith(f"{_WEB_SEARCH}_"):
            searches.append(tool)
        else:
            # Anthropic runs it, and nobody else does.
            left_out.add(f"tools.{text_of(kind) or 'unknown'}")
            gone.append(tool.get("name"))
    if functions and searches:
        # Not both: what Google found would have to come back with the results of functions.
        left_out.add(f"tools.{searches[0]['type']}")
        gone += [search.get("name") for search in searches]
        searches = []
    choice = object_of(fields.get("tool_choice"))
    if gone and forces_one_of(choice, gone, is_any=not functions and not searches):
        # An answer without it would look like one that was found with it.
        raise left_out.refusal("tool_choice")
    if searches:
        _add_search(body, searches[0], choice, left_out)
    elif functions:
        body["tools"] = [{"functionDeclarations": functions}]
        _add_choice(body, choice, left_out)


def _function(tool: dict[str, Any], target: Target, left_out: LeftOut) -> dict[str, Any]:
    if tool.get("strict") is True:
        left_out.add("tools.strict")
    leave_out_notes(tool, left_out)
    function: dict[str, Any] = {"name": gemini_name(text_of(tool.get("name")))}
    if text_of(tool.get("description")):
        function["description"] = tool["description"]
    shape, lost = shape_of_arguments(tool.get("input_schema"), target.model_id)
    for word in lost:
        left_out.add(f"tools.input_schema.{word}")
    return {**function, **shape}


def _add_search(
    body: dict[str, Any], search: dict[str, Any], choice: dict[str, Any], left_out: LeftOut
) -> None:
    kind = search["type"]
    for name in _DOMAINS:
        if search.get(name):
            # Pages from elsewhere would be another answer.
            raise left_out.refusal(f"tools.{kind}.{name}")
    for name in _NOT_SEARCHED_BY:
        if search.get(name) is not None:
            left_out.add(f"tools.{kind}.{name}")
    if search.get("strict") is True:
        left_out.add(f"tools.{kind}.strict")
    if is_for_code(search):
        left_out.add(f"tools.{kind}.allowed_callers")
    if choice.get("type") == "none":
        return
    if choice.get("type") in ("any", "tool"):
        # Gemini decides by itself whether it searches.
        left_out.add("tool_choice")
    body["tools"] = [{"googleSearch": {}}]


def _add_choice(body: dict[str, Any], choice: dict[str, Any], left_out: LeftOut) -> None:
    kind = text_of(choice.get("type"))
    if kind in _MODES:
        calling: dict[str, Any] = {"mode": _MODES[kind]}
        if kind == "tool":
            calling["allowedFunctionNames"] = [gemini_name(text_of(choice.get("name")))]
        body["toolConfig"] = {"functionCallingConfig": calling}
    elif kind not in ("", "auto"):
        raise left_out.refusal("tool_choice")
    if choice.get("disable_parallel_tool_use") is True:
        left_out.add("tool_choice.disable_parallel_tool_use")


def _add_format(
    body: dict[str, Any], config: dict[str, Any], fields: dict[str, Any], target: Target, left_out: LeftOut
) -> None:
    match object_of(fields.get("output_config")).get("format"):
        case None:
            pass
        case {"type": "json_schema", "schema": dict(schema)} if "tools" not in body or takes_tools_and_shape(
            target.model_id
        ):
            shape, lost = shape_of_answer(schema, target.model_id)
            config |= {"responseMimeType": "application/json", **shape}
            for word in lost:
                left_out.add(f"output_config.format.schema.{word}")
        case _:
            left_out.add("output_config.format")
    if object_of(fields.get("output_config")).get("task_budget") is not None:
        left_out.add("output_config.task_budget")


def _add_thinking(config: dict[str, Any], fields: dict[str, Any], target: Target, left_out: LeftOut) -> None:
    asked = object_of(fields.get("thinking"))
    effort, budget = object_of(fields.get("output_config")).get("effort"), asked.get("budget_tokens")
    thinking: dict[str, Any] | None = {}
    if asked.get("type") == "disabled":
        thinking = thinking_for(target.model_id, "none")
    elif isinstance(effort, str):
        thinking = thinking_for(target.model_id, effort)
    elif asks_for_thoughts(asked):
        thinking = thinking_within(target.model_id, budget if isinstance(budget, int) else _AS_IT_LIKES)
    if thinking is None:
        left_out.add("thinking")
        return
    if asks_for_thoughts(asked) and asked.get("display") != "omitted":
        thinking = {**thinking, "includeThoughts": True}
    if thinking:
        config["thinkingConfig"] = thinking


class _Conversation:
    """The messages of one call on their way to Gemini."""

    def __init__(self, target: Target, left_out: LeftOut) -> None:
        self._target = target
        self._left_out = left_out
        self._contents = Contents(target.model_id)

    def read(self, fields: dict[str, Any]) -> list[dict[str, Any]]:
        """All turns.

        Raises:
            InvalidBody: There are no messages, or one is none.
        """
        for message in turns_of(fields, self._left_out):
            if message.get("role") == "assistant":
                self._add_assistant(blocks_of(message.get("content")))
            else:
                # What the system says between the others keeps its place: at the front it would be another
                # prompt each time, which no cache has.
                self._add_user(blocks_of(message.get("content")))
        return self._contents.whole()

    def _add_assistant(self, blocks: list[Block]) -> None:
        signature = ""
        for block in blocks:
            match block.get("type"):
                case "thinking":
                    found = find_in_block(text_of(block.get("signature")))
                    signature = signature_for(self._target, found) or signature
                case "tool_use":
                    self._add_call(block, signature)
                    signature = ""
                case "text":
                    self._say(text_of(block.get("text")))
                case "compaction":
                    self._say(text_of(block.get("content")))
                    if block.get("tool_changes"):
                        self._left_out.add("messages.content.compaction.tool_changes")
                case "redacted_thinking":
                    # Another model's thoughts.
                    pass
                case "web_search_tool_result":
                    # What was found is in the answer that rests on it.
                    pass
                case "server_tool_use" if block.get("name") == _WEB_SEARCH:
                    pass
                case kind:
                    self._left_out.add(f"messages.content.{text_of(kind) or 'unknown'}")

    def _add_call(self, block: Block, signature: str) -> None:
        call_id, found = take_from_id(text_of(block.get("id")))
        self._contents.call(
            call_id,
            gemini_name(text_of(block.get("name"))),
            object_of(block.get("input")),
            signature_for(self._target, found) or signature,
        )

    def _say(self, text: str) -> None:
        if text:
            self._contents.say("model", [text_part(text)])

    def _add_user(self, blocks: list[Block]) -> None:
        for block in blocks:
            if block.get("type") == "tool_result":
                self._add_result(block)
            else:
                self._contents.say("user", self._parts(block))

    def _add_result(self, block: Block) -> None:
        parts = [part for inner in blocks_of(block.get("content")) for part in self._parts(inner)]
        text = "\n".join(part["text"] for part in parts if "text" in part)
        files = [part for part in parts if "text" not in part]
        call_id, _ = take_from_id(text_of(block.get("tool_use_id")))
        self._contents.result(
            call_id,
            self._contents.name_of(call_id) or call_id,
            {"error" if block.get("is_error") is True else "output": text},
            files,
        )

    def _parts(self, block: Block) -> list[Part]:
        if object_of(block.get("citations")).get("enabled") is True:
            # It quotes the web alone.
            self._left_out.add("messages.content.citations")
        if block.get("transformations"):
            self._left_out.add("messages.content.image.transformations")
        match block:
            case {"type": "text", "text": str(text)}:
                return [text_part(text)] if text else []
            case {"type": "tool_reference", "tool_name": str(name)}:
                # Found by a search among tools that were held back; here all of them are given.
                return [text_part(f"The tool {gemini_name(name)} can be used.")]
            case {"type": "image", "source": dict(source)}:
                return [self._file(source, "image")]
            case {"type": "document", "source": dict(source)}:
                told = [text_of(block.get("title")), text_of(block.get("context"))]
                return [*map(text_part, filter(None, told)), *self._document(source)]
            case {"type": "search_result", "content": content}:
                head = f"{text_of(block.get('title'))} ({text_of(block.get('source'))})"
                return [text_part(head), *self._all(content)]
        raise self._left_out.refusal(f"messages.content.{text_of(block.get('type')) or 'unknown'}")

    def _all(self, content: object) -> list[Part]:
        return [part for block in blocks_of(content) for part in self._parts(block)]

    def _document(self, source: dict[str, Any]) -> list[Part]:
        match source:
            case {"type": "text", "data": str(text)}:
                return [text_part(text)] if text else []
            case {"type": "content", "content": content}:
                return self._all(content)
        return [self._file(source, "document")]

    def _file(self, source: dict[str, Any], kind: str) -> Part:
        match source:
            case {"type": "base64", "data": str(data)}:
                given = text_of(source.get("media_type"))
                return inline_part(given or ("image/png" if kind == "image" else "application/pdf"), data)
            case {"type": "url", "url": str(url)}:
                part = file_part(url, kind=kind)
                if part is not None:
                    return part
        raise self._left_out.refusal(f"messages.content.{kind}.{text_of(source.get('type')) or 'unknown'}")


def _texts(content: object) -> list[str]:
    return [text for block in blocks_of(content) if (text := text_of(block.get("text")))]
