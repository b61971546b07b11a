"""The output items of a response while they are told, each with the events that OpenAI tells of it.

Events: https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

from typing import Any, Final, Literal, Protocol

from gateway.translate.foreign_json import is_json
from gateway.translate.responses_tools import custom_input_in


class Telling(Protocol):
    """The response that an item belongs to."""

    def tell(self, kind: str, **members: Any) -> None:
        """Add an event."""

    def add_item(self, prefix: str, item: dict[str, Any]) -> int:
        """Give *item* an id and a place in the output; its index."""


class Item:
    """An output item that is being told."""

    def __init__(self, answer: Telling, prefix: str, item: dict[str, Any]) -> None:
        self.answer = answer
        self.item = item
        self.index = answer.add_item(prefix, item)
        # A copy without the lists that are still to grow.
        begun = {name: [] if isinstance(value, list) else value for name, value in item.items()}
        answer.tell("response.output_item.added", output_index=self.index, item=begun)

    def tell(self, kind: str, **members: Any) -> None:
        """Add an event about this item."""
        self.answer.tell(f"response.{kind}", item_id=self.item["id"], output_index=self.index, **members)

    def close(self, status: str) -> None:
        """The item is whole, or was broken off."""
        self.item["status"] = status
        self.answer.tell("response.output_item.done", output_index=self.index, item=self.item)


class Message(Item):
    """What the model says, in parts of text and of refusal."""

    def __init__(self, answer: Telling) -> None:
        item: dict[str, Any] = {
            "id": "",
            "type": "message",
            "status": "in_progress",
            "role": "assistant",
            "content": [],
        }
        super().__init__(answer, "msg", item)
        self._part: dict[str, Any] | None = None
        self._words: list[str] = []

    def add(self, kind: str, words: str, logprobs: list[dict[str, Any]] | None = None) -> None:
        """More words of a part of this kind."""
        part = self._part
        if part is None or part["type"] != kind:
            part = self._begin_part(kind)
        if not words and not logprobs:
            return
        self._words.append(words)
        if kind == "refusal":
            self._tell("refusal.delta", delta=words)
            return
        part["logprobs"].extend(logprobs or ())
        self._tell("output_text.delta", delta=words, logprobs=logprobs or [])

    def annotate(self, annotation: dict[str, Any]) -> None:
        """An annotation of the text part that is open."""
        part = self._part
        if part is None or part["type"] != "output_text":
            part = self._begin_part("output_text")
        index = len(part["annotations"])
        part["annotations"].append(annotation)
        self._tell("output_text.annotation.added", annotation_index=index, annotation=annotation)

    def end_part(self) -> None:
        """The part that is open is whole."""
        part, self._part = self._part, None
        if part is None:
            return
        words, self._words = "".join(self._words), []
        if part["type"] == "refusal":
            part["refusal"] = words
            self._tell("refusal.done", refusal=words)
        else:
            part["text"] = words
            self._tell("output_text.done", text=words, logprobs=part["logprobs"])
        self._tell("content_part.done", part=part)

    def close(self, status: str) -> None:
        """As said; its last part with it."""
        self.end_part()
        super().close(status)

    def _begin_part(self, kind: str) -> dict[str, Any]:
        self.end_part()
        part: dict[str, Any] = {"type": kind}
        part |= {"refusal": ""} if kind == "refusal" else {"text": "", "annotations": [], "logprobs": []}
        self._part = part
        self.item["content"].append(part)
        begun = {name: [] if isinstance(value, list) else value for name, value in part.items()}
        self._tell("content_part.added", part=begun)
        return part

    def _tell(self, kind: str, **members: Any) -> None:
        self.tell(kind, content_index=len(self.item["content"]) - 1, **members)


class Reasoning(Item):
    """What the model thought: as it is (`content`), or as a summary."""

    _KINDS: Final = {
        "summary": ("summary_text", "reasoning_summary_text", "summary_index"),
        "content": ("reasoning_text", "reasoning_text", "content_index"),
    }
    _PARTS: Final = {"summary": "reasoning_summary_part", "content": "content_part"}

    def __init__(self, answer: Telling) -> None:
        item: dict[str, Any] = {
            "id": "",
            "type": "reasoning",
            "status": "in_progress",
            "summary": [],
            "encrypted_content": None,
        }
        super().__init__(answer, "rs", item)
        self._kind = ""
        self._words: list[str] = []

    def add(self, kind: Literal["summary", "content"], words: str) -> None:
        """More words of the part of this kind."""
        if not words:
            return
        if self._kind != kind:
            self._end_part()
            self._kind = kind
            part = {"type": self._KINDS[kind][0], "text": ""}
            self.item.setdefault(kind, []).append(part)
            self._tell(f"{self._PARTS[kind]}.added", part=dict(part))
        self._words.append(words)
        self._tell(f"{self._KINDS[kind][1]}.delta", delta=words)

    def close(self, status: str) -> None:
        """As said; its part with it."""
        self._end_part()
        super().close(status)

    def _end_part(self) -> None:
        if not self._kind:
            return
        part = self.item[self._kind][-1]
        part["text"] = "".join(self._words)
        self._words = []
        self._tell(f"{self._KINDS[self._kind][1]}.done", text=part["text"])
        self._tell(f"{self._PARTS[self._kind]}.done", part=part)
        self._kind = ""

    def _tell(self, kind: str, **members: Any) -> None:
        index = self._KINDS[self._kind][2]
        self.tell(kind, **{index: len(self.item[self._kind]) - 1}, **members)


class Call(Item):
    """A tool call."""

    _words: list[str]

    def add(self, text: str) -> None:
        """More of its arguments."""
        raise NotImplementedError

    @property
    def is_whole(self) -> bool:
        """Its arguments are JSON from end to end, so nothing of them can follow."""
        return is_json("".join(self._words))


class FunctionCall(Call):
    """A call of a function; its arguments are JSON in pieces."""

    def __init__(self, answer: Telling, call_id: str, name: str, namespace: str = "") -> None:
        item = {"id": "", "type": "function_call", "status": "in_progress"}
        item |= {"call_id": call_id, "name": name, "arguments": ""}
        super().__init__(answer, "fc", item | ({"namespace": namespace} if namespace else {}))
        self._words: list[str] = []

    def add(self, text: str) -> None:
        """More of its arguments."""
        if text:
            self._words.append(text)
            self.tell("function_call_arguments.delta", delta=text)

    def close(self, status: str) -> None:
        """As said; a call without arguments has an empty object, which is what callers parse."""
        arguments = "".join(self._words)
        if not arguments.strip() and status == "completed":
            arguments = "{}"
            self.tell("function_call_arguments.delta", delta=arguments)
        self.item["arguments"] = arguments
        self.tell("function_call_arguments.done", name=self.item["name"], arguments=arguments)
        super().close(status)


class CustomCall(Call):
    """A call of a custom tool: its text is known when the JSON around it is whole."""

    def __init__(self, answer: Telling, call_id: str, name: str, namespace: str = "") -> None:
        item = {"id": "", "type": "custom_tool_call", "status": "in_progress"}
        item |= {"call_id": call_id, "name": name, "input": ""}
        super().__init__(answer, "ctc", item | ({"namespace": namespace} if namespace else {}))
        self._words: list[str] = []

    def add(self, text: str) -> None:
        """More of the JSON around its text."""
        self._words.append(text)

    def close(self, status: str) -> None:
        """As said, after all of its text."""
        text = custom_input_in("".join(self._words))
        self.item["input"] = text
        if text:
            self.tell("custom_tool_call_input.delta", delta=text)
        self.tell("custom_tool_call_input.done", input=text)
        super().close(status)


class Search(Item):
    """A search of the web that the target has made."""

    def __init__(self, answer: Telling, query: str, sources: list[str]) -> None:
        action: dict[str, Any] = {"type": "search", "query": query, "queries": [query]}
        action["sources"] = [{"type": "url", "url": url} for url in sources]
        super().__init__(
            answer, "ws", {"id": "", "type": "web_search_call", "status": "in_progress", "action": action}
        )
        for state in ("in_progress", "searching", "completed"):
            self.tell(f"web_search_call.{state}")
