"""Building a response object piece by piece, with the events that tell of each piece.

One road for whole replies and for streams: a whole reply is told in one piece each and its events are thrown
away, so what a stream adds up to is the whole reply by construction.

Nothing is told before the first piece: `response.created` goes out with it, so that a target which fails
before it said anything can still be left for another.

Events: https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from gateway.model import Usage
from gateway.translate.foreign_json import named_event
from gateway.translate.responses_items import Call, CustomCall, FunctionCall, Item, Message, Reasoning, Search

Reason = Literal["max_output_tokens", "content_filter"]

_ID_CHARACTERS: Final = 48
_NS_PER_S: Final = 1_000_000_000
_SAID: Final = -1
"""Key of the reasoning or message that is open; tool calls have keys of their own from 0."""


class ResponseAnswer:
    """One answer on its way to a caller of the Responses API.

    Attributes:
        events: Those not taken yet, oldest first.
        custom_tools: Names of tools whose calls are given back as calls of a custom tool.
    """

    def __init__(
        self,
        echo: Mapping[str, Any],
        custom_tools: frozenset[str],
        *,
        model: str,
        namespaces: Mapping[str, tuple[str, str]] | None = None,
    ) -> None:
        """Start.

        Args:
            echo: What the response repeats of its request.
            custom_tools: Names of tools whose calls are calls of a custom tool.
            model: The model asked for, in case the target names none.
            namespaces: Namespace and name of tools that the model knows by another name.
        """
        self.events: list[dict[str, Any]] = []
        self.custom_tools = custom_tools
        self._namespaces = namespaces or {}
        self._echo = echo
        self._base = ""
        self._model = model
        self._created_at = 0
        self._sequence = 0
        self._output: list[dict[str, Any]] = []
        self._open: dict[int, Item] = {}
        self._has_begun = False

    def name(self, upstream_id: str, model: str, *, created_at: int) -> None:
        """Say whose answer it is: ids are made of *upstream_id*; later ones of a stream change nothing."""
        if not self._base:
            base = upstream_id.removeprefix("chatcmpl-").removeprefix("msg_").removeprefix("resp_")
            self._base = base[:_ID_CHARACTERS] or f"{created_at:x}"
            self._model = model or self._model
            self._created_at = created_at

    def reasoning_summary(self, text: str) -> None:
        """More of a reasoning that the provider shows as a summary."""
        self._reasoning().add("summary", text)

    def reasoning_text(self, text: str) -> None:
        """More of a reasoning that the provider shows as it is."""
        self._reasoning().add("content", text)

    def encrypted_reasoning(self, secret: str) -> None:
        """What the provider wants back with this reasoning in the next turn."""
        self._reasoning().item["encrypted_content"] = secret

    def text(self, text: str, logprobs: list[dict[str, Any]] | None = None) -> None:
        """More of the answer's text."""
        self._message().add("output_text", text, logprobs or [])

    def refusal(self, text: str) -> None:
        """More of the words that refuse."""
        self._message().add("refusal", text)

    def annotate(self, annotation: dict[str, Any]) -> None:
        """An annotation of the text so far."""
        self._message().annotate(annotation)

    def end_part(self) -> None:
        """What text follows is a part of its own."""
        item = self._open.get(_SAID)
        if isinstance(item, Message):
            item.end_part()

    def call(self, key: int, call_id: str, name: str) -> None:
        """A tool call begins.

        Args:
            key: What the target calls it by; an open call of that key is whole now.
            call_id: The target's id, "" when it gives none.
            name: Of the function.
        """
        for other in [
            other for other, item in self._open.items() if other == key or not isinstance(item, Call)
        ]:
            self._open.pop(other).close("completed")
        kind = CustomCall if name in self.custom_tools else FunctionCall
        namespace, name = self._namespaces.get(name, ("", name))
        self._open[key] = kind(self, call_id or f"call_{self._base}_{len(self._output)}", name, namespace)

    def call_id(self, key: int) -> str | None:
        """Id of the open call *key*, None when there is none."""
        item = self._open.get(key)
        return item.item["call_id"] if isinstance(item, Call) else None

    def arguments(self, key: int, text: str) -> None:
        """More of the arguments of call *key*, which has begun."""
        item = self._open[key]
        if isinstance(item, Call):
            item.add(text)

    def web_search(self, query: str, sources: list[str]) -> None:
        """A search that the target has made."""
        self.close()
        Search(self, query, sources).close("completed")

    def close(self) -> None:
        """What has begun is whole."""
        self._close("completed")

    def end(self, reason: Reason | None, usage: Usage) -> dict[str, Any]:
        """Nothing more comes.

        Args:
            reason: Why the answer is not whole, None when it is.
            usage: Told when it is the provider's own count.

        Returns:
            The response object.
        """
        if not self._output:
            self.text("")
        status = "incomplete" if reason else "completed"
        self._close(status)
        response = self._response(
            status, incomplete_details={"reason": reason} if reason else None, usage=_usage_of(usage)
        )
        self.tell(f"response.{status}", response=response)
        return response

    def fail(self, code: str, message: str) -> None:
        """The target failed on the way."""
        self._begin()
        self._close("incomplete")
        self.tell("error", code=code, message=message, param=None)
        self.tell(
            "response.failed", response=self._response("failed", error={"code": code, "message": message})
        )

    def take_events(self) -> bytes:
        """The events since the last time, as they go out; raises as `write_reply`."""
        events, self.events = self.events, []
        return b"".join([named_event(event) for event in events])

    def tell(self, kind: str, **members: Any) -> None:
        """Add an event."""
        self.events.append({"type": kind, **members, "sequence_number": self._sequence})
        self._sequence += 1

    def add_item(self, prefix: str, item: dict[str, Any]) -> int:
        """Give *item* an id and a place in the output; its index."""
        self._begin()
        index = len(self._output)
        item["id"] = f"{prefix}_{self._base}_{index}"
        self._output.append(item)
        return index

    def _begin(self) -> None:
        if not self._has_begun:
            self._has_begun = True
            for kind in ("created", "in_progress"):
                self.tell(f"response.{kind}", response=self._response("in_progress", output=[]))

    def _response(self, status: str, **members: Any) -> dict[str, Any]:
        return {
            "id": f"resp_{self._base}",
            "object": "response",
            "created_at": self._created_at,
            "status": status,
            # Known of a whole reply only; null in both, so that both say the same.
            "completed_at": None,
            "error": None,
            "incomplete_details": None,
            "model": self._model,
            "output": self._output,
            "usage": None,
            **self._echo,
            **members,
        }

    def _close(self, status: str) -> None:
        """Close what is open; an answer that was broken off was so in its last item and in open calls."""
        items, self._open = list(self._open.values()), {}
        for item in items:
            is_whole = item is not items[-1] and (not isinstance(item, Call) or item.is_whole)
            item.close("completed" if is_whole else status)

    def _close_whole(self) -> None:
        """Close what is open, but for calls whose arguments go on: some servers say a word between them."""
        for key, item in list(self._open.items()):
            if not isinstance(item, Call) or item.is_whole:
                self._open.pop(key).close("completed")

    def _reasoning(self) -> Reasoning:
        item = self._open.get(_SAID)
        if not isinstance(item, Reasoning):
            self._close_whole()
            item = self._open[_SAID] = Reasoning(self)
        return item

    def _message(self) -> Message:
        item = self._open.get(_SAID)
        if not isinstance(item, Message):
            self._close_whole()
            item = self._open[_SAID] = Message(self)
        return item


def created_at_s(started_at_ns: int) -> int:
    """Unix seconds of a call's start: the time of a response whose provider gives none."""
    return started_at_ns // _NS_PER_S


def _usage_of(usage: Usage) -> dict[str, Any] | None:
    if usage.source == "estimated":
        return None
    input_tokens, output_tokens = usage.input_tokens or 0, usage.output_tokens or 0
    return {
        "input_tokens": input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_input_tokens or 0,
            "cache_write_tokens": usage.cache_write_input_tokens or 0,
        },
        "output_tokens": output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_output_tokens or 0},
        "total_tokens": input_tokens + output_tokens,
    }
