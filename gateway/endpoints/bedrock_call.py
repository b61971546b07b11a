"""Reading a call of Bedrock's runtime. Pure.

Only the body's top level is looked at: its bytes go on as they came. The parameters of Converse stand one
level down, and are read for the span under the names that it knows.

Shape: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from gateway.endpoints.bedrock_catalogue import CONVERSE
from gateway.endpoints.openai_call import split_body
from gateway.errors import InvalidBody, InvalidJson
from gateway.model import Call, Endpoint

_PARAMETERS: Final = {
    "maxTokens": "max_tokens",
    "temperature": "temperature",
    "topP": "top_p",
    "stopSequences": "stop",
}
_NONE: Final[Mapping[str, msgspec.Raw]] = {}
_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_bedrock_call(endpoint: Endpoint, body: bytes, *, model: str) -> Call:
    """Read a call.

    Args:
        endpoint: Which was asked.
        body: As received.
        model: The model's name here, as the path has it.

    Raises:
        InvalidJson, InvalidBody: It is no JSON object, where every model takes one.
    """
    is_converse = endpoint.name == CONVERSE.name
    try:
        fields: Mapping[str, msgspec.Raw] = split_body(body)
    except (InvalidJson, InvalidBody):
        if is_converse:
            raise
        # What an `InvokeModel` takes is the model's business.
        fields = _NONE
    return Call(
        endpoint=endpoint,
        model=model,
        is_stream=endpoint.can_stream,
        wants_usage=True,
        choices=1,
        fields=fields,
        body_bytes=len(body),
        body=body,
        parameters=converse_parameters(fields) if is_converse else None,
    )


def converse_parameters(fields: Mapping[str, msgspec.Raw]) -> Mapping[str, msgspec.Raw]:
    """What a body says of how to answer, under OpenAI's names; nothing where Bedrock will refuse it."""
    config = fields.get("inferenceConfig")
    if config is None:
        return _NONE
    try:
        found = _members.decode(config)
    except (msgspec.DecodeError, RecursionError):
        return _NONE
    return {_PARAMETERS[name]: value for name, value in found.items() if name in _PARAMETERS}
