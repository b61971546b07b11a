"""Wording an error of ours as Bedrock's own are, as a body and as the end of a stream.

AWS's SDKs make their typed errors of the kind: of a whole answer it is in a header, of a stream's last
message in another.

Kinds: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html
"""

from __future__ import annotations

from typing import Final

import msgspec

from gateway.errors import GatewayError
from gateway.wire.aws_event_stream import write_exception

KIND_HEADER: Final = b"x-amzn-errortype"
ID_HEADER: Final = b"x-amzn-requestid"

KINDS: Final = {
    401: "AccessDeniedException",
    402: "ServiceQuotaExceededException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    503: "ServiceUnavailableException",
    504: "ModelTimeoutException",
}
"""By status; of others it is one of the two below."""

_CLIENTS: Final = "ValidationException"
_SERVERS: Final = "InternalServerException"
_SERVER_ERROR: Final = 500
_IN_STREAM: Final = {
    "InternalServerException": "internalServerException",
    "ServiceUnavailableException": "serviceUnavailableException",
    "ThrottlingException": "throttlingException",
    "ValidationException": "validationException",
}
_OF_THE_MODEL: Final = "modelStreamErrorException"


def kind_of(error: GatewayError) -> str:
    """AWS's word for *error*."""
    return KINDS.get(error.status) or (_CLIENTS if error.status < _SERVER_ERROR else _SERVERS)


def error_body(error: GatewayError, *, request_id: str, trace_id: str) -> bytes:
    """The JSON body of an error response; all but `message` is ours."""
    return msgspec.json.encode(
        {
            "message": error.message,
            "code": error.code,
            "param": error.param,
            "source": error.source,
            "request_id": request_id,
            "trace_id": trace_id,
        }
    )


def error_event(error: GatewayError, *, request_id: str, trace_id: str) -> bytes:
    """The message that ends a stream which cannot go on: an exception that every stream of Bedrock's has."""
    kind = _OF_THE_MODEL if error.source == "upstream" else _IN_STREAM.get(kind_of(error), _OF_THE_MODEL)
    return write_exception(kind, error_body(error, request_id=request_id, trace_id=trace_id))
