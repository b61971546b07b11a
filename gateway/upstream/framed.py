"""What SageMaker's streams have inside: the bytes of the container, out of AWS's event stream.

Each message holds the next piece of them, or an error of the container or of SageMaker.

Shape: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_runtime_InvokeEndpointWithResponseStream.html
"""

from __future__ import annotations

from typing import Final

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
