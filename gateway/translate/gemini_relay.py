"""Google's dialect on both sides: bytes pass as they are."""

from __future__ import annotations

from gateway.endpoints.gemini_array import GeneratedArrayReader
from gateway.endpoints.gemini_call import write_gemini_call
from gateway.endpoints.gemini_catalogue import ARRAY
from gateway.endpoints.gemini_counts import read_counted
from gateway.endpoints.gemini_error import find_google_error
from gateway.endpoints.gemini_paths import model_path
from gateway.endpoints.gemini_reply import decode_generated, read_generated
from gateway.endpoints.gemini_stream import GeneratedStreamReader
from gateway.endpoints.openai_reply import ReplyFacts, is_json_object
from gateway.model import Call, Target
from gateway.translate.pair import Refusal


def path(call: Call, target: Target) -> str:
    """Where the model is, and what is wanted of it."""
    return model_path(call.endpoint, target.model_id)


def write(call: Call, target: Target) -> tuple[bytes, tuple[str, ...]]:
    """The body as it came, but for the name of its model where it has another."""
    return write_gemini_call(call, target.model_id), ()


def read(
    call: Call,
    body: bytes,
    *,
    started_at_ns: int,  # noqa: ARG001 - the interface of a pair
) -> tuple[bytes, ReplyFacts]:
    """The reply as it came."""
    found = decode_generated(body)
    if call.endpoint.name == "generate_content":
        return body, read_generated(found, asked_bytes=call.body_bytes, reply_bytes=len(body))
    return body, read_counted(call.endpoint, found, asked_bytes=call.body_bytes)


def open_stream(
    call: Call,
    *,
    started_at_ns: int,  # noqa: ARG001 - the interface of a pair
) -> GeneratedStreamReader | GeneratedArrayReader:
    """Whole events, or elements of the array, as they come."""
    if call.endpoint is ARRAY:
        return GeneratedArrayReader(asked_bytes=call.body_bytes)
    return GeneratedStreamReader(asked_bytes=call.body_bytes)


def read_error(status: int, body: bytes) -> Refusal | None:
    """The provider's own error as it came, in its array too."""
    error = find_google_error(body)
    if error is None:
        return Refusal(status, body) if is_json_object(body) else None
    return Refusal(status, body, error.retry_after_s)
