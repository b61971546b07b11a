"""A Responses request for a chat-completions target, and its replies back.

Roles: `developer` becomes `system`, which every server knows. Tool results hold text only in this API;
pictures and files among them follow in a user message. A reasoning goes back as `reasoning_content` where it
was read from one: servers that show their reasoning want it in tool calls.

Shapes: https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

from typing import Any, Final

from gateway.endpoints.openai_reply import ReplyFacts, text_of
from gateway.errors import UnsupportedParameter
from gateway.model import Call, Target
from gateway.translate.chat_body import THOUGHTS, takes_thoughts, write_chat
from gateway.translate.foreign_json import DepthLimit, list_of, write_reply, write_text
from gateway.translate.pair import LeftOut
from gateway.translate.raw_predict import path_at
from gateway.translate.responses_answer import created_at_s
from gateway.translate.responses_echo import open_answer
from gateway.translate.responses_from_chat import ChatToResponses, read_completion
from gateway.translate.responses_request import (
    LOGPROBS,
    Turn,
    read_fields,
    read_text,
    read_turns,
    unknown_fields,
    wrong_type,
)
from gateway.translate.responses_tools import CUSTOM_INPUT, Tool, read_tools
from gateway.translate.unchanged import read_error

__all__ = ["open_stream", "path", "read", "read_error", "write"]

_PATH: Final = "/chat/completions"
_SAME: Final = ("parallel_tool_calls", "prompt_cache_key", "prompt_cache_retention", "safety_identifier")
_ALSO_SAME: Final = ("service_tier", "temperature", "top_p", "user")
_WITHOUT_EQUAL: Final = ("max_tool_calls",)
_DETAILS: Final = ("auto", "low", "high")
_SEE_BELOW: Final = "The result is in the next message."
_TEXTS: Final = ("input_text", "output_text", "text")

_ASKED_AS: Final = {"reasoning_effort": "reasoning.effort"}
"""What a caller of Responses calls the fields of chat that some models refuse."""


def path(call: Call, target: Target) -> str:
    """Chat completions, whole and streamed."""
    return path_at(target, call, _PATH)


def write(call: Call, target: Target) -> tuple[bytes, tuple[str, ...]]:
    """The call as a chat completion.

    Raises:
        InvalidBody: A field has a wrong shape.
        UnsupportedParameter: It wants stored state, or a tool that runs at OpenAI.
    """
    left_out = LeftOut(target)
    fields = read_fields(call)
    messages = _messages(read_turns(fields), takes_thoughts=takes_thoughts(target))
    body: dict[str, Any] = {"model": target.model_id, "messages": messages}
    for name in (*_SAME, *_ALSO_SAME):
        if name in fields:
            body[name] = fields[name]
    if "max_output_tokens" in fields:
        body["max_completion_tokens"] = fields["max_output_tokens"]
    if call.is_stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    _add_tools(body, fields, left_out)
    _add_text(body, fields.get("text", {}))
    _add_reasoning(body, fields.get("reasoning", {}), left_out)
    _add_logprobs(body, fields)
    if fields.get("truncation", "disabled") != "disabled":
        left_out.add("truncation")
    for name in (*_WITHOUT_EQUAL, *unknown_fields(fields)):
        if name in fields:
            left_out.add(name)
    with DepthLimit():
        written = write_chat(body, target, left_out, asked_as=_ASKED_AS)
    return written, tuple(left_out.names)


def read(call: Call, body: bytes, *, started_at_ns: int) -> tuple[bytes, ReplyFacts]:
    """A chat completion as a response object."""
    created_at = created_at_s(started_at_ns)
    response, facts = read_completion(call, body, open_answer(call), created_at=created_at)
    return write_reply(response), facts


def open_stream(call: Call, *, started_at_ns: int) -> ChatToResponses:
    """Chunks as events of a response."""
    created_at = created_at_s(started_at_ns)
    return ChatToResponses(open_answer(call), asked_bytes=call.body_bytes, created_at=created_at)


def _messages(turns: list[Turn], *, takes_thoughts: bool) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    for turn in turns:
        if turn.role == "tool":
            messages += _tool_messages(turn)
        elif turn.role == "assistant":
            messages += _assistant_messages(turn, takes_thoughts=takes_thoughts)
        elif turn.role == "system" and messages and messages[-1]["role"] == "system":
            # Templates of many models refuse a second one, or take no notice of it.
            messages[-1]["content"] = _joined(messages[-1]["content"], _content(turn.pieces, turn.at))
        else:
            messages.append({"role": turn.role, "content": _content(turn.pieces, turn.at)})
    return messages


def _joined(content: str | list[dict[str, Any]], more: str | list[dict[str, Any]]) -> Any:
    """Both as the content of one message: as plain text where both are."""
    if isinstance(content, str) and isinstance(more, str):
        return "\n\n".join(filter(None, (content, more)))
    first, second = (
        [{"type": "text", "text": part}] if isinstance(part, str) else part for part in (content, more)
    )
    return [*first, *second]


def _assistant_messages(turn: Turn, *, takes_thoughts: bool) -> list[dict[str, Any]]:
    """All that was answered at a time is one message: tool results must follow their calls.

    None where all that is left is reasoning that only its own provider can read.
    """
    texts: list[str] = []
    refusals: list[str] = []
    thoughts: list[str] = []
    calls: list[dict[str, Any]] = []
    for piece in turn.pieces:
        kind = piece["type"]
        if kind == "call":
            calls.append(_tool_call(piece))
        elif kind == "reasoning":
            thoughts += _shown_reasoning(piece) if takes_thoughts else ()
        elif kind == "refusal":
            refusals.append(read_text(piece, "refusal", turn.at))
        elif kind in _TEXTS:
            texts.append(read_text(piece, "text", turn.at))
        else:
            why = "What a model said before can be text, a refusal, reasoning and tool calls."
            raise UnsupportedParameter(
                f'"{kind}" cannot be sent to this model. {why}', param=f"{turn.at}.content"
            )
    message: dict[str, Any] = {"role": "assistant", "content": "".join(texts) if texts or not calls else None}
    if refusals:
        message["refusal"] = "".join(refusals)
    if thoughts:
        message[THOUGHTS] = "".join(thoughts)
    if calls:
        message["tool_calls"] = calls
    return [message] if texts or refusals or thoughts or calls else []


def _shown_reasoning(item: dict[str, Any]) -> list[str]:
    parts = [part for part in list_of(item.get("content")) if isinstance(part, dict)]
    return [text_of(part.get("text")) for part in parts]


def _tool_call(piece: dict[str, Any]) -> dict[str, Any]:
    arguments = piece["arguments"]
    if piece["is_custom"]:
        arguments = write_text({CUSTOM_INPUT: arguments})
    function = {"name": piece["name"], "arguments": arguments}
    return {"id": piece["id"], "type": "function", "function": function}


def _tool_messages(turn: Turn) -> list[dict[str, Any]]:
    """The results, then what of them is no text."""
    messages: list[dict[str, Any]] = []
    rest: list[dict[str, Any]] = []
    for result in turn.pieces:
        output = result["output"]
        texts = [read_text(part, "text", turn.at) for part in output if part["type"] in _TEXTS]
        others = [part for part in output if part["type"] not in _TEXTS]
        if others:
            rest.append({"type": "text", "text": f"Part of the result of {result['id']}:"})
            rest += [_part(part, turn.at) for part in others]
        content = "\n".join(texts) or (_SEE_BELOW if others else "")
        messages.append({"role": "tool", "tool_call_id": result["id"], "content": content})
    if rest:
        messages.append({"role": "user", "content": rest})
    return messages


def _content(parts: list[dict[str, Any]], at: str) -> str | list[dict[str, Any]]:
    """Content as plain text where it is: not every server knows parts."""
    if len(parts) == 1 and parts[0]["type"] in _TEXTS:
        return read_text(parts[0], "text", at)
    return [_part(part, at) for part in parts]


def _part(part: dict[str, Any], at: str) -> dict[str, Any]:
    kind = part["type"]
    if kind in _TEXTS:
        return {"type": "text", "text": read_text(part, "text", at)}
    if kind == "input_image":
        return {"type": "image_url", "image_url": _image(part, at)}
    if kind == "input_file":
        return {"type": "file", "file": _file(part, at)}
    if kind == "input_audio":
        audio = part.get("input_audio")
        if not isinstance(audio, dict):
            raise wrong_type(f"{at}.input_audio")
        return {"type": "input_audio", "input_audio": audio}
    raise UnsupportedParameter(
        f'Content of type "{kind}" cannot be sent to this model.', param=f"{at}.content"
    )


def _image(part: dict[str, Any], at: str) -> dict[str, Any]:
    if not isinstance(part.get("image_url"), str):
        why = "Send its address or its data in `image_url`: this model cannot look into a file store."
        raise UnsupportedParameter(f'"{at}" has an image without "image_url". {why}', param=f"{at}.image_url")
    image = {"url": part["image_url"]}
    detail = part.get("detail")
    if detail:
        image["detail"] = detail if detail in _DETAILS else "high"
    return image


def _file(part: dict[str, Any], at: str) -> dict[str, Any]:
    names = ("file_id", "file_data", "filename")
    file = {name: part[name] for name in names if isinstance(part.get(name), str)}
    if "file_id" not in file and "file_data" not in file:
        why = "Send its data in `file_data`: this model is reached through an API that fetches no files."
        raise UnsupportedParameter(f'"{at}" has a file without data. {why}', param=f"{at}.file_data")
    return file


def _add_tools(body: dict[str, Any], fields: dict[str, Any], left_out: LeftOut) -> None:
    tools = read_tools(fields, left_out, serves=frozenset())
    if not tools.functions:
        # Servers refuse what is said of tools where there are none.
        body.pop("parallel_tool_calls", None)
        return
    body["tools"] = [{"type": "function", "function": _function(tool)} for tool in tools.functions]
    if tools.name:
        body["tool_choice"] = {"type": "function", "function": {"name": tools.name}}
    elif tools.choice is not None:
        body["tool_choice"] = tools.choice


def _function(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.parameters is not None:
        function["parameters"] = tool.parameters
    if tool.is_strict is not None:
        function["strict"] = tool.is_strict
    return function


def _add_text(body: dict[str, Any], text: dict[str, Any]) -> None:
    verbosity = text.get("verbosity")
    if verbosity is not None:
        body["verbosity"] = verbosity
    shape = text.get("format")
    if shape is None:
        return
    if not isinstance(shape, dict):
        raise wrong_type("text.format")
    kind = read_text(shape, "type", "text.format")
    if kind == "json_schema":
        names = ("name", "description", "schema", "strict")
        schema = {name: shape[name] for name in names if shape.get(name) is not None}
        body["response_format"] = {"type": kind, "json_schema": schema}
    elif kind == "json_object":
        body["response_format"] = {"type": kind}
    elif kind != "text":
        raise UnsupportedParameter(
            f'The format "{kind}" cannot be asked of this model.', param="text.format.type"
        )


def _add_reasoning(body: dict[str, Any], reasoning: dict[str, Any], left_out: LeftOut) -> None:
    for name, value in reasoning.items():
        if value is None:
            continue
        if name == "effort":
            body["reasoning_effort"] = value
        else:
            left_out.add(f"reasoning.{name}")


def _add_logprobs(body: dict[str, Any], fields: dict[str, Any]) -> None:
    if fields.get("top_logprobs") or LOGPROBS in fields.get("include", []):
        body |= {"logprobs": True, "top_logprobs": fields.get("top_logprobs", 0)}
