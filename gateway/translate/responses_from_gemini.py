"""Reading a reply of Gemini's, whole or streamed, into a response object.

A thought is the summary of a reasoning item, what Google signs a call with its encrypted content, which the
next turn gives back unchanged (`responses_to_gemini`). The pages that an answer rests on are annotations of
its text, the search that found them follows it, as Google tells both at the end.

Shapes: https://ai.google.dev/api/generate-content ,
https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

from typing import Any, Final

from gateway.endpoints.gemini_error import google_error_of
from gateway.endpoints.gemini_reply import (
    MALFORMED,
    UNBLOCKED,
    candidates_of,
    finish_reason_of,
    index_of,
    parts_of,
)
from gateway.endpoints.gemini_stream import GeneratedReading, GeneratedSplitter
from gateway.endpoints.openai_content import find_object
from gateway.endpoints.openai_reply import ReplyFacts, excerpt, text_of
from gateway.errors import UpstreamBadReply
from gateway.model import Call
from gateway.translate.foreign_json import list_of, object_of, write_reply
from gateway.translate.gemini_citations import citations_of
from gateway.translate.gemini_parts import call_id_of, signature_of
from gateway.translate.gemini_tool_names import NamesAtGemini
from gateway.translate.responses_answer import Reason, ResponseAnswer
from gateway.translate.thought_signatures import Service, Signature, in_block, service_of
from gateway.wire.sse import DONE

_CUT: Final = ("MAX_TOKENS", "CONTINUATION", "TOO_MANY_TOOL_CALLS")
_TOO_MANY: Final = 429


def read_answer(
    call: Call, found: dict[str, Any], answer: ResponseAnswer, facts: ReplyFacts, *, created_at: int
) -> dict[str, Any]:
    """A whole reply as a response object."""
    answer.name(facts.response_id, facts.response_model, created_at=created_at)
    said = _Said(call, answer, facts.response_id or f"{created_at:x}")
    said.add(found)
    return said.end(facts)


class GeminiToResponses(GeneratedReading):
    """A stream of a reply on its way to a caller of the Responses API."""

    def __init__(self, call: Call, answer: ResponseAnswer, *, created_at: int) -> None:
        super().__init__(call.body_bytes)
        self._call = call
        self._answer = answer
        self._created_at = created_at
        self._splitter = GeneratedSplitter()
        self._said: _Said | None = None

    def feed(self, data: bytes) -> bytes:
        """Take pieces of a reply and give the events that they make.

        Raises:
            UpstreamBadReply: An event cannot be read, or is too long.
        """
        return self._tell(self._splitter.feed(data))

    def finish(self) -> bytes:
        """Take the end of the stream; there is no other sign of it."""
        told = self._tell(self._splitter.finish())
        self._is_over = not self._splitter.tail.strip()
        if self.is_complete and self._said is not None:
            self._said.end(self.facts())
            told += self._answer.take_events()
        return told

    def _tell(self, events: list[bytes]) -> bytes:
        for data in events:
            if not self.has_ended and data != DONE:
                self._take(data)
        return self._answer.take_events()

    def _take(self, data: bytes) -> None:
        self.has_data = True
        piece = find_object(data)
        if piece is None:
            msg = "The provider's stream has an event of an unknown shape."
            raise UpstreamBadReply(msg, excerpt=excerpt(data))
        self._facts.learn(piece, data)
        if self._said is None:
            facts = self.facts()
            self._answer.name(facts.response_id, facts.response_model, created_at=self._created_at)
            reply_id = facts.response_id or f"{self._created_at:x}"
            self._said = _Said(self._call, self._answer, reply_id)
        error = google_error_of(piece)
        reason = self._facts.finish_reasons.get(0, "")
        if error is not None:
            code = "rate_limit_exceeded" if error.code == _TOO_MANY else "server_error"
            self._answer.fail(code, error.message or "The provider's stream ended with an error.")
        elif reason in MALFORMED:
            message = f"The model ended with {reason}."
            self._facts.failure = write_reply({"error": {"status": reason, "message": message}})
            self._answer.fail("server_error", message)
        else:
            self._said.add(piece)


class _Said:
    """What one reply has said so far."""

    def __init__(self, call: Call, answer: ResponseAnswer, reply_id: str) -> None:
        self._answer = answer
        self._names = NamesAtGemini(call)
        self._reply_id = reply_id
        self._calls = 0
        self._texts: list[str] = []
        self._told: dict[str, Any] = {}
        self._ends_in_text = False

    def add(self, piece: dict[str, Any]) -> None:
        """Take a piece, or the whole reply."""
        service = service_of(piece)
        for position, candidate in enumerate(candidates_of(piece)):
            if index_of(candidate, position) != 0:
                continue
            for part in parts_of(candidate):
                self._part(part, service)
            self._keep(candidate)

    def end(self, facts: ReplyFacts) -> dict[str, Any]:
        """The response object, after what stands at its end."""
        text = "".join(self._texts)
        if self._ends_in_text:
            for citation in citations_of(self._told, text):
                where = {"start_index": citation.start, "end_index": citation.end or len(text)}
                known = {"url": citation.url, "title": citation.title}
                self._answer.annotate({"type": "url_citation", **known, **where})
        self._search()
        reason = next(iter(facts.finish_reasons), "")
        blocked = bool(reason) and reason not in UNBLOCKED
        if blocked:
            why = text_of(self._told.get("finishMessage"))
            self._answer.refusal(why or f"The provider stopped the answer: {reason}.")
        incomplete: Reason | None = "content_filter" if blocked else None
        if reason in _CUT:
            incomplete = "max_output_tokens"
        return self._answer.end(incomplete, facts.usage)

    def _part(self, part: dict[str, Any], service: Service) -> None:
        text = text_of(part.get("text"))
        if isinstance(part.get("functionCall"), dict):
            self._call(part["functionCall"], signature_of(part), service)
        elif part.get("thought") is True and text:
            self._ends_in_text = False
            self._answer.reasoning_summary(text)
        elif text:
            if not self._ends_in_text:
                self._texts.clear()
            self._ends_in_text = True
            self._texts.append(text)
            self._answer.text(text)

    def _call(self, call: dict[str, Any], signed: str, service: Service) -> None:
        self._ends_in_text = False
        if signed:
            self._answer.encrypted_reasoning(in_block(Signature(service, signed)))
        call_id = call_id_of(call, reply_id=self._reply_id, index=self._calls)
        self._answer.call(self._calls, call_id, self._names.of(text_of(call.get("name"))))
        arguments = object_of(call.get("args"))
        self._answer.arguments(self._calls, write_reply(arguments).decode() if arguments else "")
        self._answer.close()
        self._calls += 1

    def _keep(self, candidate: dict[str, Any]) -> None:
        """Remember what is told at the end; of what is told again the last stands."""
        for name in ("groundingMetadata", "citationMetadata"):
            found = {key: value for key, value in object_of(candidate.get(name)).items() if value}
            if found:
                self._told[name] = {**self._told.get(name, {}), **found}
        if finish_reason_of(candidate) and candidate.get("finishMessage"):
            self._told["finishMessage"] = candidate["finishMessage"]

    def _search(self) -> None:
        grounding = object_of(self._told.get("groundingMetadata"))
        queries = [query for query in map(text_of, list_of(grounding.get("webSearchQueries"))) if query]
        webs = [object_of(object_of(chunk).get("web")) for chunk in list_of(grounding.get("groundingChunks"))]
        urls = [url for web in webs if (url := text_of(web.get("uri")))]
        if queries or urls:
            self._answer.web_search("; ".join(queries), urls)
