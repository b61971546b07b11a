"""Reading a whole reply of the Responses API: ids, usage, and whether a 200 is really a failure.

Shape: https://platform.openai.com/docs/api-reference/responses/object
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

import msgspec

from gateway.endpoints.openai_reply import UNREADABLE, ReplyFacts, estimate_usage, excerpt, text_of
from gateway.errors import UpstreamBadReply
from gateway.model import Usage

_BIGGEST_COUNT: Final = 1 << 53
_BEGINNING_BYTES: Final = 2048
_CONTENT: Final = re.compile(rb'"(?:output|instructions)"')


class Response(msgspec.Struct):
    """What the gateway reads of a response object; all of it may be missing or null."""

    id: Any = None
    model: Any = None
    object: Any = None
    status: Any = None
    error: Any = None
    incomplete_details: Any = None
    output: Any = None
    usage: Any = None


_responses: Final = msgspec.json.Decoder(Response)


def decode_response(data: bytes) -> Response:
    """Decode the members the gateway reads, as leniently as Python's own parser does.

    Raises:
        ValueError: *data* is not a JSON object.
        RecursionError: It is nested too deeply.
    """
    try:
        return _responses.decode(data)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        return msgspec.convert(json.loads(data, strict=False), Response)


def read_response(body: bytes, *, asked_bytes: int) -> ReplyFacts:
    """Read the body of a successful whole reply.

    One that is still `queued` or `in_progress` (asked for with `background`) is an answer too.

    Args:
        body: The whole body.
        asked_bytes: Size of the call, for the estimate when the provider reports no usage.

    Raises:
        UpstreamBadReply: It is not JSON, has an error inside, or is no response object.
    """
    try:
        response = decode_response(body)
    except UNREADABLE as error:
        msg = "The provider answered with something that is not a JSON reply."
        raise UpstreamBadReply(msg, excerpt=_beginning(body)) from error
    if response.error is not None or response.status == "failed":
        msg = "The provider answered with success and an error inside."
        raise UpstreamBadReply(msg, excerpt=_beginning(body))
    if not isinstance(response.output, list):
        msg = "The provider's reply has no answer in it."
        raise UpstreamBadReply(msg, excerpt=_beginning(body))
    return facts_of(response, response_usage(response.usage) or estimate_usage(asked_bytes, len(body)))


def facts_of(response: Response, usage: Usage) -> ReplyFacts:
    """What the trace and the limits want to know of *response*.

    Its finish reason is why it is incomplete where it says so, else its status, in OpenAI's own words.
    """
    details = response.incomplete_details
    reason = text_of(details.get("reason")) if isinstance(details, dict) else ""
    reason = reason or text_of(response.status)
    return ReplyFacts(
        response_id=text_of(response.id),
        response_model=text_of(response.model),
        finish_reasons=(reason,) if reason else (),
        usage=usage,
    )


def response_usage(usage: object) -> Usage | None:
    """The provider's own count, None when it gave none that makes sense."""
    if not isinstance(usage, dict):
        return None
    input_tokens = _count(usage.get("input_tokens"))
    output_tokens = _count(usage.get("output_tokens"))
    if input_tokens is None and output_tokens is None:
        return None
    return Usage(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        source="provider",
        cached_input_tokens=_detail(usage, "input_tokens_details", "cached_tokens"),
        reasoning_output_tokens=_detail(usage, "output_tokens_details", "reasoning_tokens"),
        cache_write_input_tokens=_detail(usage, "input_tokens_details", "cache_write_tokens"),
    )


def _beginning(body: bytes) -> str:
    # What was asked and answered is content, and goes on spans only where content may.
    return "the beginning of a response" if _CONTENT.search(body, 0, _BEGINNING_BYTES) else excerpt(body)


def _detail(usage: dict[str, Any], group: str, name: str) -> int | None:
    details = usage.get(group)
    return _count(details.get(name)) if isinstance(details, dict) else None


def _count(value: object) -> int | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _BIGGEST_COUNT
    return value if is_count else None  # type: ignore[return-value]  # is_count says it is an int
