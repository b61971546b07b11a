"""A chat call for a target that speaks Gemini's dialect, and its answer back. See docs/translation.md.

Beyond OpenAI's own fields, chat callers may send Gemini's (`safety_settings`, `cached_content`, its tools),
and find `reasoning_content`, `images` and `extra_content` in a message. The last has the signatures of
thoughts, where Google's own OpenAI endpoints have them; sent back with it they hold in the next turn.

Shapes: https://ai.google.dev/api/generate-content , https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from gateway.endpoints.gemini_error import NOTHING_SAID, GoogleError, find_google_error
from gateway.endpoints.gemini_reply import (
    MALFORMED,
    block_reason_of,
    candidates_of,
    decode_generated,
    finish_reason_of,
    index_of,
    parts_of,
    read_generated,
)
from gateway.endpoints.gemini_stream import GeneratedReading, GeneratedSplitter
from gateway.endpoints.openai_content import find_object
from gateway.endpoints.openai_reply import ReplyFacts, text_of
from gateway.endpoints.stream_reading import read_event
from gateway.errors import UpstreamBadReply
from gateway.model import Call, Target, Usage
from gateway.translate.chat_to_gemini_body import write_body
from gateway.translate.foreign_json import (
    DepthLimit,
    data_event,
    list_of,
    object_of,
    write_json,
    write_reply,
)
from gateway.translate.gemini_citations import citations_of
from gateway.translate.gemini_models import generate_path
from gateway.translate.gemini_parts import Part, call_id_of, data_url, signature_of
from gateway.translate.gemini_tool_names import NamesAtGemini
from gateway.translate.pair import Refusal
from gateway.translate.thought_signatures import Service, service_of

FINISH_REASONS: Final = {
    "": "stop",
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",
    "TOO_MANY_TOOL_CALLS": "length",
}
"""All others are a block, and those that are none an error."""

PLATFORMS: Final[dict[Service, str]] = {"gemini": "google", "vertex": "vertex"}
"""How Google's OpenAI endpoints name themselves beside a signature, which the other cannot read."""

_CODES: Final = {
    "UNAUTHENTICATED": "invalid_api_key",
    "NOT_FOUND": "model_not_found",
    "RESOURCE_EXHAUSTED": "rate_limit_exceeded",
    "UNAVAILABLE": "overloaded",
}
_REASONS: Final = {"API_KEY_INVALID": "invalid_api_key", "API_KEY_SERVICE_BLOCKED": "invalid_api_key"}
_TYPES: Final = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
_SERVER_ERROR: Final = 500
_DONE_EVENT: Final = b"data: [DONE]\n\n"
_NS_PER_S: Final = 1_000_000_000
_MAX_CITED_PIECES: Final = 100


def path(call: Call, target: Target) -> str:
    """Where the model answers, whole or streamed."""
    return generate_path(target, is_stream=call.is_stream)


def write(call: Call, target: Target) -> tuple[bytes, tuple[str, ...]]:
    """The call as generateContent has it; raises as `Pair.write` says."""
    with DepthLimit():
        return write_body(call, target)


def read(call: Call, body: bytes, *, started_at_ns: int) -> tuple[bytes, ReplyFacts]:
    """An answer as a chat completion."""
    found = decode_generated(body)
    facts = read_generated(found, asked_bytes=call.body_bytes, reply_bytes=len(body))
    reply_id = facts.response_id or _made_id(started_at_ns)
    choices: list[dict[str, Any]] = []
    platform = PLATFORMS[service_of(found)] if call.shows_thoughts is not False else ""
    names = NamesAtGemini(call)
    for position, candidate in enumerate(candidates_of(found)):
        choice = _Choice(index_of(candidate, position), reply_id, platform, names)
        said = {
            "role": "assistant",
            "content": None,
            "refusal": None,
            **choice.take(candidate),
            **choice.end(),
        }
        if choice.is_malformed:
            raise UpstreamBadReply(_malformed(choice.reason))
        logprobs = _logprobs(candidate)
        choices.append(
            {
                "index": choice.index,
                "message": said,
                "logprobs": logprobs,
                "finish_reason": choice.finish_reason,
            }
        )
    if not choices:
        message = {"role": "assistant", "content": None, "refusal": _refused_prompt(found)}
        choices = [{"index": 0, "message": message, "logprobs": None, "finish_reason": "content_filter"}]
    reply = {
        "id": reply_id,
        "object": "chat.completion",
        "created": started_at_ns // _NS_PER_S,
        "model": facts.response_model or call.model,
        "choices": sorted(choices, key=lambda choice: int(choice["index"])),
        "usage": _chat_usage(facts.usage),
    }
    return write_reply(reply), facts


def open_stream(call: Call, *, started_at_ns: int) -> ChunkStream:
    """Pieces of an answer as chunks."""
    return ChunkStream(call, started_at_ns=started_at_ns)


def read_error(status: int, body: bytes) -> Refusal | None:
    """Google's error in OpenAI's shape."""
    error = find_google_error(body)
    if error is None and find_object(body) is None:
        return None
    error = error or NOTHING_SAID
    return Refusal(status, _chat_error(error, status), error.retry_after_s)


def _made_id(started_at_ns: int) -> str:
    return f"{started_at_ns:x}"


def _chat_error(error: GoogleError, status: int) -> bytes:
    said = {
        "message": error.message or "The provider answered with an error.",
        "type": _TYPES.get(status) or ("invalid_request_error" if status < _SERVER_ERROR else "api_error"),
        "param": None,
        "code": _REASONS.get(error.reason) or _CODES.get(error.status) or error.status.lower() or None,
    }
    return write_reply({"error": said})


def _malformed(reason: str) -> str:
    return f"The model's answer cannot be used: it ended with {reason}."


def _refused_prompt(found: dict[str, Any]) -> str:
    told = text_of(object_of(found.get("promptFeedback")).get("blockReasonMessage"))
    return told or f"The provider refused the prompt: {block_reason_of(found)}."


class _Choice:
    """One answer on its way to a caller of chat, whole or in pieces.

    Attributes:
        calls: How many functions it has called so far.
        reason: Google's, for its end; "" before.
    """

    def __init__(self, index: int, reply_id: str, platform: str, names: NamesAtGemini) -> None:
        """Begin an answer.

        Args:
            index: Which of several.
            reply_id: Of the reply.
            platform: Where signatures belong to, "" where thoughts and all that comes of them are hidden.
            names: Of the caller's tools.
        """
        self.index = index
        self.reason = ""
        self._call_prefix = f"{reply_id}-{index}" if index else reply_id
        self._platform = platform
        self._names = names
        self.calls = 0
        self._images = 0
        self._finish_message = ""
        self._texts: list[str] = []
        self._cited: list[dict[str, Any]] = []

    def take(self, candidate: dict[str, Any]) -> dict[str, Any]:
        """Take a piece and give what it adds to the message."""
        said: dict[str, Any] = {}
        words: dict[str, list[str]] = {}
        for part in parts_of(candidate):
            self._add(said, words, part)
        said |= {name: "".join(texts) for name, texts in words.items()}
        self._texts += words.get("content", ())
        self.reason = finish_reason_of(candidate) or self.reason
        self._finish_message = text_of(candidate.get("finishMessage")) or self._finish_message
        is_cited = "groundingMetadata" in candidate or "citationMetadata" in candidate
        if is_cited and len(self._cited) < _MAX_CITED_PIECES:
            self._cited.append(candidate)
        return said

    def end(self) -> dict[str, Any]:
        """What its end adds to the message."""
        said: dict[str, Any] = {}
        text = "".join(self._texts)
        citations = dict.fromkeys(citation for each in self._cited for citation in citations_of(each, text))
        if citations:
            said["annotations"] = [
                {
                    "type": "url_citation",
                    "url_citation": {
                        "url": citation.url,
                        "title": citation.title,
                        "start_index": citation.start,
                        "end_index": citation.end,
                    },
                }
                for citation in citations
            ]
        if self.finish_reason == "content_filter":
            said["refusal"] = self._finish_message or f"The provider stopped the answer: {self.reason}."
        return said

    @property
    def is_malformed(self) -> bool:
        """The model wrote what is no answer."""
        return self.reason in MALFORMED

    @property
    def finish_reason(self) -> str:
        """OpenAI's."""
        found = FINISH_REASONS.get(self.reason, "content_filter")
        return "tool_calls" if found == "stop" and self.calls else found

    def _add(self, said: dict[str, Any], words: dict[str, list[str]], part: Part) -> None:
        text = text_of(part.get("text"))
        signature = signature_of(part)
        if part.get("thought") is True:
            if text and self._platform:
                words.setdefault("reasoning_content", []).append(text)
            return
        if isinstance(part.get("functionCall"), dict):
            said.setdefault("tool_calls", []).append(self._call(part["functionCall"], signature))
            return
        if text:
            words.setdefault("content", []).append(text)
        image = data_url(part.get("inlineData"))
        if image:
            made = {"index": self._images, "type": "image_url", "image_url": {"url": image}}
            said.setdefault("images", []).append(made)
            self._images += 1
        said |= self._signed(signature)

    def _call(self, call: dict[str, Any], signature: str) -> dict[str, Any]:
        at = self.calls
        self.calls += 1
        return {
            "id": call_id_of(call, reply_id=self._call_prefix, index=at),
            "type": "function",
            "function": {
                "name": self._names.of(text_of(call.get("name"))),
                "arguments": write_reply(object_of(call.get("args"))).decode(),
            },
            **self._signed(signature),
        }

    def _signed(self, signature: str) -> dict[str, Any]:
        if not signature or not self._platform:
            return {}
        return {"extra_content": {self._platform: {"thought_signature": signature}}}


def _logprobs(candidate: dict[str, Any]) -> dict[str, Any] | None:
    found = object_of(candidate.get("logprobsResult"))
    chosen = list_of(found.get("chosenCandidates"))
    if not chosen:
        return None
    tops = list_of(found.get("topCandidates"))
    content = []
    for at, token in enumerate(chosen):
        top = object_of(tops[at]) if at < len(tops) else {}
        others = [_token(other) for other in list_of(top.get("candidates"))]
        content.append({**_token(token), "top_logprobs": others})
    return {"content": content, "refusal": None}


def _token(found: object) -> dict[str, Any]:
    token = text_of(object_of(found).get("token"))
    probability = object_of(found).get("logProbability")
    is_number = isinstance(probability, int | float) and not isinstance(probability, bool)
    return {"token": token, "logprob": probability if is_number else 0.0, "bytes": list(token.encode())}


def _chat_usage(usage: Usage) -> dict[str, Any]:
    asked, said = usage.input_tokens or 0, usage.output_tokens or 0
    details_in = {"cached_tokens": usage.cached_input_tokens or 0}
    details_out = {"reasoning_tokens": usage.reasoning_output_tokens or 0}
    more = (
        (details_in, "audio_tokens", usage.audio_input_tokens),
        (details_in, "image_tokens", usage.image_input_tokens),
        (details_out, "audio_tokens", usage.audio_output_tokens),
        (details_out, "image_tokens", usage.image_output_tokens),
    )
    for details, name, count in more:
        if count:
            details[name] = count
    return {
        "prompt_tokens": asked,
        "completion_tokens": said,
        "total_tokens": asked + said,
        "prompt_tokens_details": details_in,
        "completion_tokens_details": details_out,
    }


class ChunkStream(GeneratedReading):
    """One stream of answers as the chunks of a chat completion; see `pair.ReplyStream`.

    A reason to end is told when the stream has ended: some models give one with every piece.
    """

    def __init__(self, call: Call, *, started_at_ns: int) -> None:
        super().__init__(call.body_bytes, call.choices)
        self._splitter = GeneratedSplitter()
        self._made_id = _made_id(started_at_ns)
        self._created = started_at_ns // _NS_PER_S
        self._asked_model = call.model
        self._wants_usage = call.wants_usage
        self._names = NamesAtGemini(call)
        self._shows_thoughts = call.shows_thoughts is not False
        self._head: dict[str, Any] = {}
        self._platform = ""
        self._choices: dict[int, _Choice] = {}
        self._refused_prompt = ""

    def feed(self, data: bytes) -> bytes:
        """Take the target's bytes and give the caller's events."""
        return self._chunks(self._splitter.feed(data))

    def finish(self) -> bytes:
        """Take the end of the stream, and end the answers if they are whole."""
        told = self._chunks(self._splitter.finish())
        self._is_over = not self._splitter.tail.strip()
        return told + (self._end() if self.is_complete else b"")

    def _chunks(self, events: Iterable[bytes]) -> bytes:
        return b"".join([self._chunks_of(event) for event in events])

    def _chunks_of(self, data: bytes) -> bytes:
        if self.has_ended:
            return b""
        event = read_event(data)
        if event is None:
            return b""
        self.has_data = True
        self._facts.learn(event, data)
        if self.failure:
            return self._fail()
        return self._say(event) if isinstance(event, dict) else b""

    def _fail(self) -> bytes:
        error = find_google_error(self.failure) or NOTHING_SAID
        return b"data: " + _chat_error(error, error.code or _SERVER_ERROR) + b"\n\n"

    def _say(self, event: dict[str, Any]) -> bytes:
        if not self._head:
            self._head = {
                "id": self._facts.id or self._made_id,
                "object": "chat.completion.chunk",
                "created": self._created,
                "model": self._facts.model or self._asked_model,
            }
            self._platform = PLATFORMS[service_of(event)] if self._shows_thoughts else ""
        told: list[bytes] = []
        if block_reason_of(event):
            self._refused_prompt = _refused_prompt(event)
        for position, candidate in enumerate(candidates_of(event)):
            index = index_of(candidate, position)
            if index not in self._choices:
                self._choices[index] = _Choice(index, self._head["id"], self._platform, self._names)
                told.append(self._chunk(index, {"role": "assistant", "content": None}))
            choice = self._choices[index]
            calls = choice.calls
            said = choice.take(candidate)
            for at, call in enumerate(said.get("tool_calls", ())):
                call["index"] = calls + at
            logprobs = _logprobs(candidate)
            if said or logprobs:
                told.append(self._chunk(index, said, logprobs=logprobs))
            if choice.is_malformed:
                status = {"code": 502, "status": choice.reason, "message": _malformed(choice.reason)}
                self._facts.failure = write_json({"error": status})
                return b"".join([*told, self._fail()])
        return b"".join(told)

    def _end(self) -> bytes:
        told: list[bytes] = []
        if not self._choices:
            told.append(self._chunk(0, {"role": "assistant", "content": None}))
            told.append(self._chunk(0, {"refusal": self._refused_prompt}))
            told.append(self._chunk(0, {}, "content_filter"))
        for index, choice in sorted(self._choices.items()):
            choice.reason = choice.reason or self._facts.block_reason
            said = choice.end()
            if said:
                told.append(self._chunk(index, said))
            told.append(self._chunk(index, {}, choice.finish_reason))
        if self._wants_usage:
            usage = _chat_usage(self.facts().usage)
            told.append(data_event({**self._head, "choices": [], "usage": usage}))
        return b"".join([*told, _DONE_EVENT])

    def _chunk(
        self,
        index: int,
        delta: dict[str, Any],
        finish_reason: str | None = None,
        *,
        logprobs: dict[str, Any] | None = None,
    ) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}
        return data_event({**self._head, "choices": [choice]})
