"""Reading a reply of generateContent: usage, ids, why it ended, and whether a 200 is really a failure.

Gemini counts the prompt with what the cache gave, and beside the answer what the model thought and what its
own tools put into the prompt; our `Usage` has the sums, as OpenAI counts. The same on both of Google's
platforms.

Shapes: https://ai.google.dev/api/generate-content ,
https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference
"""

from __future__ import annotations

from typing import Any, Final

from gateway.endpoints.openai_content import decode_leniently
from gateway.endpoints.openai_reply import UNREADABLE, ReplyFacts, count_of, estimate_usage, excerpt, text_of
from gateway.errors import UpstreamBadReply
from gateway.model import Usage

MALFORMED: Final = frozenset(
    {"MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "MALFORMED_RESPONSE", "MISSING_THOUGHT_SIGNATURE"}
)
"""Reasons to end that say there is no answer: the model wrote what cannot be read."""

UNBLOCKED: Final = frozenset({"STOP", "MAX_TOKENS", "CONTINUATION", "TOO_MANY_TOOL_CALLS"})
"""Reasons to end that lie in the answer. With the malformed ones these are all that are no block: of the many
that are one, and of those to come, none may look like a whole answer."""

# `$alt=json;enum-encoding=int`, as Google's older SDKs ask, gives numbers; these are the same everywhere.
_BY_NUMBER: Final = ("", "STOP", "MAX_TOKENS", "SAFETY", "RECITATION", "OTHER")
_MODALITIES: Final = ("", "TEXT", "IMAGE", "VIDEO", "AUDIO", "DOCUMENT")
_UNSPECIFIED: Final = frozenset({"FINISH_REASON_UNSPECIFIED", "BLOCKED_REASON_UNSPECIFIED"})


def decode_generated(body: bytes) -> dict[str, Any]:
    """The body of a successful whole reply.

    Raises:
        UpstreamBadReply: It is no JSON object, or has an error inside.
    """
    try:
        found = decode_leniently(body)
    except UNREADABLE as error:
        msg = "The provider answered with something that is not a JSON reply."
        raise UpstreamBadReply(msg, excerpt=excerpt(body)) from error
    if not isinstance(found, dict):
        msg = "The provider answered with something that is not a JSON reply."
        raise UpstreamBadReply(msg, excerpt=excerpt(body))
    if found.get("error") is not None:
        msg = "The provider answered with success and an error inside."
        raise UpstreamBadReply(msg, excerpt=excerpt(body))
    return found


def read_generated(found: dict[str, Any], *, asked_bytes: int, reply_bytes: int) -> ReplyFacts:
    """What a whole reply says of itself.

    Args:
        found: As `decode_generated` gives it.
        asked_bytes: Size of the call, and
        reply_bytes: of the reply, for the estimate when the provider reports no usage.

    Raises:
        UpstreamBadReply: It has no answer in it, and was not blocked either.
    """
    candidates = candidates_of(found)
    reasons = [reason for reason in map(finish_reason_of, candidates) if reason]
    if not candidates:
        blocked = block_reason_of(found)
        if not blocked:
            raise UpstreamBadReply("The provider's reply has no answer in it.")
        reasons = [blocked]
    return ReplyFacts(
        response_id=text_of(found.get("responseId")),
        response_model=text_of(found.get("modelVersion")),
        finish_reasons=tuple(reasons),
        usage=read_generated_usage(found.get("usageMetadata")) or estimate_usage(asked_bytes, reply_bytes),
    )


def candidates_of(found: dict[str, Any]) -> list[dict[str, Any]]:
    """The answers in a reply or a chunk."""
    candidates = found.get("candidates")
    if not isinstance(candidates, list):
        return []
    return [candidate for candidate in candidates if isinstance(candidate, dict)]


def parts_of(candidate: dict[str, Any]) -> list[dict[str, Any]]:
    """What one answer says, part by part."""
    content = candidate.get("content")
    parts = content.get("parts") if isinstance(content, dict) else None
    return [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []


def index_of(candidate: dict[str, Any], position: int) -> int:
    """Which answer it is; Vertex leaves out what is 0."""
    index = candidate.get("index")
    return index if isinstance(index, int) and not isinstance(index, bool) and index >= 0 else position


def finish_reason_of(candidate: dict[str, Any]) -> str:
    """Why the answer ended, "" while it has not."""
    return _named(candidate.get("finishReason"))


def block_reason_of(found: dict[str, Any]) -> str:
    """Why the prompt was refused, "" when it was not."""
    feedback = found.get("promptFeedback")
    return _named(feedback.get("blockReason")) if isinstance(feedback, dict) else ""


def read_generated_usage(usage: object) -> Usage | None:
    """The provider's own count, None when it gave none that makes sense."""
    if not isinstance(usage, dict):
        return None
    get = usage.get
    asked, said = count_of(get("promptTokenCount")), count_of(get("candidatesTokenCount"))
    thought = count_of(get("thoughtsTokenCount"))
    if asked is None and said is None and thought is None:
        return None
    if said is None and count_of(get("totalTokenCount")) is not None:
        # What is 0 is not told.
        said = 0
    by_tools = count_of(get("toolUsePromptTokenCount"))
    is_counted_in = thought and get("totalTokenCount") == (asked or 0) + (by_tools or 0) + (said or 0)
    output = (
        None if said is None and thought is None else (said or 0) + (0 if is_counted_in else thought or 0)
    )
    details_in, details_out = (
        _by_modality(get("promptTokensDetails")),
        _by_modality(get("candidatesTokensDetails")),
    )
    cached = _by_modality(get("cacheTokensDetails"))
    return Usage(
        input_tokens=None if asked is None else asked + (by_tools or 0),
        output_tokens=output,
        source="provider",
        cached_input_tokens=count_of(get("cachedContentTokenCount")),
        reasoning_output_tokens=thought,
        audio_input_tokens=details_in.get("AUDIO"),
        image_input_tokens=details_in.get("IMAGE"),
        audio_output_tokens=details_out.get("AUDIO"),
        image_output_tokens=details_out.get("IMAGE"),
        cached_audio_input_tokens=cached.get("AUDIO"),
        cached_image_input_tokens=cached.get("IMAGE"),
    )


def _by_modality(details: object) -> dict[str, int]:
    counts: dict[str, int] = {}
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict):
            name = _named(detail.get("modality"), _MODALITIES)
            counts[name] = counts.get(name, 0) + (count_of(detail.get("tokenCount")) or 0)
    return counts


def _named(value: object, by_number: tuple[str, ...] = _BY_NUMBER) -> str:
    """An enum's name; a number that has none here is `OTHER`."""
    if isinstance(value, int) and not isinstance(value, bool):
        return by_number[value] if 0 <= value < len(by_number) else "OTHER"
    name = text_of(value)
    return "" if name in _UNSPECIFIED else name
