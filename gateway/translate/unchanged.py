"""What every relay of a body shares: the endpoint's own path, the call's own bytes, any JSON error."""

from __future__ import annotations

from gateway.endpoints.openai_call import write_renamed
from gateway.endpoints.openai_reply import is_json_object
from gateway.model import Call, Target
from gateway.translate.pair import Refusal
from gateway.translate.raw_predict import path_at, wait_in, without_list


def path(call: Call, target: Target) -> str:
    """The endpoint's own path, but at Vertex."""
    return path_at(target, call, call.endpoint.path) if target.is_predicted else call.endpoint.path


def write(call: Call, target: Target) -> tuple[bytes, tuple[str, ...]]:
    """The call's own bytes under the target's model name."""
    return write_renamed(call, target.model_id), ()


def read_error(status: int, body: bytes) -> Refusal | None:
    """Any JSON object passes, out of the list that Google may have put it into."""
    body = without_list(body)
    return Refusal(status, body, wait_in(body)) if is_json_object(body) else None
