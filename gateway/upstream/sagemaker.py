"""What SageMaker's answers have inside: what the container said.

A stream is its bytes in AWS's event stream: each message holds the next piece of them, or an error. An error
of the container is in one of SageMaker's, which has its status and its body; SageMaker's own are put into the
words of the API that its containers speak here.

Shapes: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpoint.html , and
API_runtime_InvokeEndpointWithResponseStream.html beside it
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from gateway.errors import UpstreamBadReply
from gateway.model import HeaderPairs, UpstreamReply
from gateway.wire.aws_event_stream import EventMessage, EventStreamParser

EVENT_STREAM: Final = b"application/vnd.amazon.eventstream"
SERVICE: Final = "sagemaker"

_PART: Final = "PayloadPart"
_CONTENT_TYPE: Final = b"content-type"
_INNER_TYPE: Final = b"x-amzn-sagemaker-content-type"
_DEFAULT_TYPE: Final = b"text/event-stream"
_DETAIL_CHARACTERS: Final = 300
_MAX_ERROR_BYTES: Final = 1024 * 1024
_ERRORS: Final = range(400, 600)
_JSON: Final = b"application/json"


class _Error(msgspec.Struct):
    """An error of SageMaker; all of it may be missing or of another type."""

    Message: Any = None
    message: Any = None
    OriginalStatusCode: Any = None
    OriginalMessage: Any = None


_errors: Final = msgspec.json.Decoder(_Error)


async def unwrapped(reply: UpstreamReply) -> UpstreamReply:
    """*reply* as the container gave it.

    Raises:
        UpstreamUnreachable, UpstreamTimeout, UpstreamBadReply: An error could not be read.
    """
    if reply.status in _ERRORS:
        try:
            return _ContainersError(reply, await reply.read(_MAX_ERROR_BYTES))
        finally:
            reply.close()
    return FramedReply(reply) if is_framed(reply.headers) else reply


def is_framed(headers: HeaderPairs) -> bool:
    """Whether a reply is such a stream."""
    return any(name == _CONTENT_TYPE and value.lower().startswith(EVENT_STREAM) for name, value in headers)


class FramedReply:
    """A reply without the messages around it; see `gateway.model.UpstreamReply`.

    Attributes:
        headers: With the content type of what is inside.
    """

    def __init__(self, reply: UpstreamReply) -> None:
        self._reply = reply
        self._parser = EventStreamParser()
        self.status = reply.status
        self.token = reply.token
        inner = next((value for name, value in reply.headers if name == _INNER_TYPE), _DEFAULT_TYPE)
        others = [pair for pair in reply.headers if pair[0] != _CONTENT_TYPE]
        self.headers: HeaderPairs = [*others, (_CONTENT_TYPE, inner)]

    async def read_chunk(self) -> bytes:
        """The next piece, b"" at the end.

        Raises:
            UpstreamBadReply: The messages are none, one tells of an error, or the last is cut short.
        """
        while data := await self._reply.read_chunk():
            parts = [self._content(message) for message in self._parser.feed(data)]
            if any(parts):
                return b"".join(parts)
        if self._parser.tail:
            raise UpstreamBadReply("The provider's stream ended before it was complete.")
        return b""

    async def read(self, limit_bytes: int) -> bytes:
        """All of it."""
        parts: list[bytes] = []
        size = 0
        while data := await self.read_chunk():
            size += len(data)
            if size > limit_bytes:
                raise UpstreamBadReply(f"The provider's reply is longer than {limit_bytes} bytes.")
            parts.append(data)
        return b"".join(parts)

    async def finish(self) -> None:
        """Read what little may follow the last piece that matters."""
        await self._reply.finish()

    def close(self) -> None:
        """Give the connection back."""
        self._reply.close()

    def _content(self, message: EventMessage) -> bytes:
        if message.is_failure:
            said = f"{message.kind}: {message.payload.decode(errors='replace') or message.error_message}"
            raise UpstreamBadReply(
                "The provider's stream carried an error.", excerpt=said[:_DETAIL_CHARACTERS]
            )
        return message.payload if message.kind == _PART else b""


class _ContainersError:
    """An error that has been read; see `gateway.model.UpstreamReply`."""

    def __init__(self, reply: UpstreamReply, body: bytes) -> None:
        kind = next((value for name, value in reply.headers if name == b"x-amzn-errortype"), b"")
        others = [pair for pair in reply.headers if pair[0] not in (_CONTENT_TYPE, b"content-length")]
        self.headers: HeaderPairs = [*others, (_CONTENT_TYPE, _JSON)]
        self.token = reply.token
        self.status, self._body = _read_error(reply.status, body, kind.partition(b":")[0].decode("latin-1"))

    async def read_chunk(self) -> bytes:
        """All of it, then the end."""
        body, self._body = self._body, b""
        return body

    async def read(self, limit_bytes: int) -> bytes:
        """All of it."""
        if len(self._body) > limit_bytes:
            raise UpstreamBadReply(f"The provider's reply is longer than {limit_bytes} bytes.")
        return self._body

    async def finish(self) -> None:
        """There is no more."""

    def close(self) -> None:
        """Its connection has been given back."""


def _read_error(status: int, body: bytes, kind: str) -> tuple[int, bytes]:
    """The container's status and body, or SageMaker's error in OpenAI's words; else what came."""
    try:
        error = _errors.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return status, body
    if isinstance(error.OriginalStatusCode, int) and error.OriginalStatusCode in _ERRORS:
        status = error.OriginalStatusCode
    said = error.OriginalMessage
    if isinstance(said, str):
        inner = said.encode(errors="replace")
        if inner.lstrip().startswith(b"{"):
            return status, inner
    message = next((one for one in (said, error.Message, error.message) if isinstance(one, str)), "")
    return status, msgspec.json.encode({"error": {"message": message, "type": kind, "code": kind}})
