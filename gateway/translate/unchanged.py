"""What every relay of a body shares: the endpoint's own path, the call's own bytes, any JSON error."""

from __future__ import annotations

from gateway.endpoints.openai_call import write_renamed
from gateway.endpoints.openai_reply import is_json_object
from gateway.model import Call, Target
from gateway.translate.pair import Refusal


def path(call: Call, target: Target) -> str:  # noqa: ARG001 - the interface of a pair
    """The endpoint's own path."""
    return call.endpoint.path


def write(call: Call, target: Target) -> tuple[bytes, tuple[str, ...]]:
    """The call's own bytes under the target's model name."""
    return write_renamed(call, target.model_id), ()


def read_error(status: int, body: bytes) -> Refusal | None:
    """Any JSON object passes."""
    return Refusal(status, body) if is_json_object(body) else None
