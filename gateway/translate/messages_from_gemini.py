"""What Gemini answers as the events of a message, piece by piece; a whole reply is what they add up to.

Blocks come one after the other, so what Google tells at the end of an answer stands at its end: the pages
that it rests on as citations of the last text, the search that found them behind it.

Shapes: https://ai.google.dev/api/generate-content ,
https://docs.claude.com/en/docs/build-with-claude/streaming ,
https://docs.claude.com/en/docs/agents-and-tools/tool-use/web-search-tool
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from gateway.endpoints.gemini_reply import UNBLOCKED, candidates_of, finish_reason_of, index_of, parts_of
from gateway.endpoints.openai_content import decode_leniently
from gateway.endpoints.openai_reply import UNREADABLE, text_of
from gateway.model import Call, Usage
from gateway.translate.foreign_json import list_of, object_of, write_reply
from gateway.translate.gemini_citations import citations_of
from gateway.translate.gemini_parts import call_id_of, signature_of
from gateway.translate.gemini_tool_names import NamesAtGemini
from gateway.translate.message_blocks import message_start
from gateway.translate.messages_to_chat import message_usage
from gateway.translate.thought_signatures import Service, Signature, in_block, in_id, service_of
from gateway.translate.tool_use_ids import tool_use_id

Event = dict[str, Any]

_THINKS: Final = frozenset({"enabled", "adaptive", "between_tools"})
_STOP_REASONS: Final = {"STOP": "end_turn", "MAX_TOKENS": "max_tokens", "CONTINUATION": "max_tokens"}


def asks_for_thoughts(thinking: object) -> bool:
    """Whether a caller with this `thinking` expects blocks of it."""
    return text_of(object_of(thinking).get("type")) in _THINKS


class MessageWriter:
    """The events of one message; the pieces of the reply go in as they come, or all at once.

    Attributes:
        has_started: The start was made.
    """

    def __init__(self, call: Call, *, started_at_ns: int) -> None:
        self._shows_thoughts = asks_for_thoughts(_decoded(call, "thinking"))
        self._names = NamesAtGemini(call)
        self._id = f"{started_at_ns:x}"
        self._model = call.model
        self.has_started = False
        self._index = -1
        self._open = ""
        self._calls = 0
        self._words: list[str] = []
        self._sources: dict[str, dict[str, Any]] = {}
        self._explanation = ""

    def start(self, reply_id: str, model: str, usage: Usage) -> list[Event]:
        """The start of the message.

        Args:
            reply_id: As Google names the reply, "" when it does not.
            model: Likewise.
            usage: What was counted until here.
        """
        self.has_started = True
        self._id = reply_id or self._id
        return [message_start(f"msg_{self._id}", model or self._model, message_usage(usage))]

    def add(self, piece: dict[str, Any]) -> list[Event]:
        """What a piece of the reply, or all of it, adds."""
        events: list[Event] = []
        service = service_of(piece)
        for position, candidate in enumerate(candidates_of(piece)):
            if index_of(candidate, position) == 0:
                for part in parts_of(candidate):
                    events += self._part(part, service)
                self._keep(candidate)
        return events

    def end(self, reason: str, usage: Usage) -> list[Event]:
        """What stands at the end of a reply that is whole.

        Args:
            reason: Why it ended, or why the prompt was refused.
            usage: All that was counted.
        """
        events = self._cite() + self._close() + self._search()
        delta: dict[str, Any] = {"stop_reason": self._stop_reason(reason), "stop_sequence": None}
        if delta["stop_reason"] == "refusal":
            explanation = self._explanation or f"The provider stopped the answer: {reason}."
            delta["stop_details"] = {"type": "refusal", "category": None, "explanation": explanation}
        counts = message_usage(usage)
        if self._searches:
            counts["server_tool_use"] = {"web_search_requests": self._searches, "web_fetch_requests": 0}
        events.append({"type": "message_delta", "delta": delta, "usage": counts})
        events.append({"type": "message_stop"})
        return events

    def _keep(self, candidate: dict[str, Any]) -> None:
        """Remember what is told at the end; of what is told again the last stands."""
        for name in ("groundingMetadata", "citationMetadata"):
            found = {key: value for key, value in object_of(candidate.get(name)).items() if value}
            if found:
                self._sources[name] = {**self._sources.get(name, {}), **found}
        if finish_reason_of(candidate):
            self._explanation = text_of(candidate.get("finishMessage")) or self._explanation

    def _part(self, part: dict[str, Any], service: Service) -> list[Event]:
        text = text_of(part.get("text"))
        if isinstance(part.get("functionCall"), dict):
            return self._call(part["functionCall"], signature_of(part), service)
        if part.get("thought") is True:
            return self._say("thinking", text) if text and self._shows_thoughts else []
        # What its own tools did is in no dialect but Google's; a signature of a text comes when the text has
        # been said.
        return self._say("text", text) if text else []

    def _say(self, kind: str, text: str) -> list[Event]:
        events: list[Event] = []
        if self._open != kind:
            self._words.clear()
            events = self._begin({"type": kind, kind: ""} | ({"signature": ""} if kind == "thinking" else {}))
        self._words.append(text)
        return [*events, self._delta({"type": f"{kind}_delta", kind: text})]

    def _call(self, call: dict[str, Any], signed: str, service: Service) -> list[Event]:
        events: list[Event] = []
        call_id = tool_use_id(call_id_of(call, reply_id=self._id, index=self._calls))
        if signed and self._shows_thoughts:
            if self._open != "thinking":
                events = self._begin({"type": "thinking", "thinking": "", "signature": ""})
            signature = in_block(Signature(service, signed))
            events.append(self._delta({"type": "signature_delta", "signature": signature}))
        elif signed:
            call_id = in_id(call_id, Signature(service, signed))
        self._calls += 1
        name = self._names.of(text_of(call.get("name")))
        events += self._begin({"type": "tool_use", "id": call_id, "name": name, "input": {}})
        events += self._input(object_of(call.get("args")))
        return events + self._close()

    def _input(self, value: dict[str, Any]) -> list[Event]:
        if not value:
            return []
        return [self._delta({"type": "input_json_delta", "partial_json": write_reply(value).decode()})]

    def _begin(self, block: dict[str, Any]) -> list[Event]:
        events = self._close()
        self._index += 1
        self._open = block["type"]
        return [*events, {"type": "content_block_start", "index": self._index, "content_block": block}]

    def _delta(self, delta: dict[str, Any]) -> Event:
        return {"type": "content_block_delta", "index": self._index, "delta": delta}

    def _close(self) -> list[Event]:
        if not self._open:
            return []
        self._open = ""
        return [{"type": "content_block_stop", "index": self._index}]

    def _cite(self) -> list[Event]:
        """What the text that is still open rests on; what a page itself says is not told."""
        if self._open != "text":
            return []
        return [
            self._delta(
                {
                    "type": "citations_delta",
                    "citation": {
                        "type": "web_search_result_location",
                        "url": citation.url,
                        "title": citation.title,
                        "encrypted_index": "",
                        "cited_text": citation.text,
                    },
                }
            )
            for citation in citations_of(self._sources, "".join(self._words))
        ]

    def _search(self) -> list[Event]:
        pages = list(map(_page, list_of(self._grounding.get("groundingChunks"))))
        found = [page for page in pages if page["url"]]
        if not found and not self._searches:
            return []
        search_id = f"srvtoolu_{tool_use_id(self._id)}"
        use = {"type": "server_tool_use", "id": search_id, "name": "web_search", "input": {}}
        result = {"type": "web_search_tool_result", "tool_use_id": search_id, "content": found}
        events = self._begin(use) + self._input({"query": "; ".join(self._queries)})
        return events + self._begin(result) + self._close()

    @property
    def _grounding(self) -> dict[str, Any]:
        return self._sources.get("groundingMetadata", {})

    @property
    def _queries(self) -> list[str]:
        return [query for query in map(text_of, list_of(self._grounding.get("webSearchQueries"))) if query]

    @property
    def _searches(self) -> int:
        return len(self._queries)

    def _stop_reason(self, reason: str) -> str:
        if reason and reason not in UNBLOCKED:
            return "refusal"
        found = _STOP_REASONS.get(reason, "end_turn")
        return "tool_use" if found == "end_turn" and self._calls else found


def add_up(events: Iterable[Event]) -> dict[str, Any]:
    """The message that all of its events make."""
    message: dict[str, Any] = {}
    deltas: list[dict[str, Any]] = []
    for event in events:
        match event["type"]:
            case "message_start":
                message = event["message"]
            case "content_block_start":
                deltas = []
                message["content"].append(event["content_block"])
            case "content_block_delta":
                deltas.append(event["delta"])
            case "content_block_stop":
                _extend(message["content"][-1], deltas)
            case "message_delta":
                message |= event["delta"]
                message["usage"] = event["usage"]
    return message


def _extend(block: dict[str, Any], deltas: list[dict[str, Any]]) -> None:
    for name in ("text", "thinking", "signature"):
        if name in block:
            block[name] = "".join([delta[name] for delta in deltas if name in delta])
    citations = [delta["citation"] for delta in deltas if "citation" in delta]
    if citations:
        block["citations"] = citations
    for delta in deltas:
        if "partial_json" in delta:
            block["input"] = decode_leniently(delta["partial_json"].encode())


def _decoded(call: Call, name: str) -> object:
    try:
        return decode_leniently(call.fields.get(name, b"null"))
    except UNREADABLE:
        return None


def _page(chunk: object) -> dict[str, Any]:
    web = object_of(object_of(chunk).get("web"))
    return {
        "type": "web_search_result",
        "url": text_of(web.get("uri")),
        "title": text_of(web.get("title")),
        "encrypted_content": "",
        "page_age": None,
    }
