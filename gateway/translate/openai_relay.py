"""OpenAI's dialect on both sides: bytes pass as they are, but for the model's name.

In a stream usage is asked for upstream, and the usage chunk kept from callers who did not.
"""

from __future__ import annotations

from gateway.endpoints.openai_call import write_call
from gateway.endpoints.openai_quirks import dropped_fields
from gateway.endpoints.openai_reply import ReplyFacts, read_reply
from gateway.endpoints.openai_stream import StreamReader
from gateway.model import Call, Target
from gateway.translate.pair import LeftOut
from gateway.translate.unchanged import path, read_error

__all__ = ["open_stream", "path", "read", "read_error", "write"]


def write(call: Call, target: Target) -> tuple[bytes, tuple[str, ...]]:
    """The call's own bytes under the target's model name, but for what the target has its own way with."""
    quirks = target.quirks.get(call.endpoint.name)
    if quirks is None:
        return write_call(call, target.model_id), ()
    left_out = LeftOut(target)
    for name in dropped_fields(call.fields, quirks):
        left_out.add(name)
    return write_call(call, target.model_id, quirks), tuple(left_out.names)


def read(call: Call, body: bytes, *, started_at_ns: int) -> tuple[bytes, ReplyFacts]:  # noqa: ARG001 - the interface of a pair
    """The reply as it came."""
    return body, read_reply(call.endpoint, body, asked_bytes=call.body_bytes)


def open_stream(call: Call, *, started_at_ns: int) -> StreamReader:  # noqa: ARG001 - the interface of a pair
    """Whole events as they come."""
    return StreamReader(asked_bytes=call.body_bytes, choices=call.choices, hides_usage=not call.wants_usage)
