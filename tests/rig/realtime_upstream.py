"""A provider of the realtime API: a real WebSocket server that keeps what it was asked."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from types import TracebackType
from typing import Any, Final, Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

_START_TIMEOUT_S: Final = 60.0
USAGE: Final = {
    "total_tokens": 253, "input_tokens": 132, "output_tokens": 121,
    "input_token_details": {
        "text_tokens": 119, "audio_tokens": 13, "image_tokens": 0, "cached_tokens": 74,
        "cached_tokens_details": {"text_tokens": 64, "audio_tokens": 10, "image_tokens": 0},
    },
    "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
}  # fmt: skip
TRANSCRIBED: Final = {
    "type": "tokens", "total_tokens": 22, "input_tokens": 13, "output_tokens": 9,
    "input_token_details": {"text_tokens": 0, "audio_tokens": 13},
}  # fmt: skip


@dataclass(eq=False)
class Session:
    """One connection.

    Attributes:
        received: Every message, in order.
        closed: Code and reason with which the peer closed, None while it has not; 1006 for no close.
    """

    target: str
    headers: Headers
    connection: ServerConnection = field(repr=False)
    received: list[str | bytes] = field(default_factory=list)
    closed: tuple[int, str] | None = None

    async def send(self, **event: Any) -> None:
        """Send an event."""
        await self.connection.send(json.dumps(event))


Behaviour = Callable[[Session], Awaitable[None]]
Refusal = tuple[int, str, bytes]


async def converse(session: Session) -> None:
    """Greet, answer each `response.create` with a response, give back everything else."""
    await session.send(
        type="session.created", event_id="e1", session={"id": "sess_1", "object": "realtime.session"}
    )
    async for message in session.connection:
        session.received.append(message)
        event = json.loads(message) if isinstance(message, str) and message.startswith("{") else {}
        if event.get("type") == "response.create":
            await respond(session)
        elif event.get("type") == "input_audio_buffer.commit":
            await session.send(
                type="conversation.item.input_audio_transcription.completed", item_id="i", content_index=0,
                transcript="hey", usage=TRANSCRIBED,
            )  # fmt: skip
        else:
            await session.connection.send(message)


async def respond(session: Session) -> None:
    """One response, from its beginning to its end."""
    await session.send(
        type="response.created", event_id="e2", response={"id": "resp_1", "status": "in_progress"}
    )
    await session.send(type="response.output_audio.delta", event_id="e3", delta="AAAA")
    await session.send(
        type="response.done", event_id="e4",
        response={"id": "resp_1", "object": "realtime.response", "status": "completed", "usage": USAGE},
    )  # fmt: skip


class RealtimeUpstream:
    """The server, in a thread of its own.

    Attributes:
        sessions: Every session since the last `forget`.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="realtime upstream", daemon=True)
        self._ready = threading.Event()
        self._server: Server | None = None
        self._behaviours: dict[str, Behaviour] = {}
        self._refusals: dict[str, Refusal] = {}
        self.refused = 0
        self.sessions: list[Session] = []
        self.port = 0

    @property
    def base_url(self) -> str:
        """What an account is given."""
        return f"http://127.0.0.1:{self.port}/v1"

    def behave(self, model: str, behaviour: Behaviour) -> None:
        """Do this in sessions of *model*."""
        self._behaviours[model] = behaviour

    def refuse(self, model: str, status: int, body: bytes, content_type: str = "application/json") -> None:
        """Answer handshakes of *model* so."""
        self._refusals[model] = (status, content_type, body)

    def forget(self) -> None:
        """Begin anew."""
        self._behaviours.clear()
        self._refusals.clear()
        self.sessions.clear()
        self.refused = 0

    def call(self, action: Callable[[], object]) -> None:
        """Do something in the server's loop."""
        self._loop.call_soon_threadsafe(action)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(_START_TIMEOUT_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_START_TIMEOUT_S)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._ready.set()
        self._loop.run_forever()
        assert self._server is not None
        self._server.close()
        self._loop.run_until_complete(self._server.wait_closed())
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    async def _serve(self) -> None:
        self._server = await serve(
            self._handle, "127.0.0.1", 0, process_request=self._process, max_size=None, compression=None,
            subprotocols=["realtime"], select_subprotocol=_select, ping_interval=None,  # type: ignore[list-item]
        )  # fmt: skip
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    def _process(self, _: ServerConnection, request: Request) -> Response | None:
        refusal = self._refusals.get(_model_of(request.path))
        if refusal is None:
            return None
        self.refused += 1
        status, content_type, body = refusal
        headers = Headers(
            {"content-type": content_type, "content-length": str(len(body)), "connection": "close"}
        )
        return Response(status, HTTPStatus(status).phrase, headers, body)

    async def _handle(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        session = Session(connection.request.path, connection.request.headers, connection)
        self.sessions.append(session)
        try:
            await self._behaviours.get(_model_of(session.target), converse)(session)
            await connection.wait_closed()
        except ConnectionClosed:
            pass
        finally:
            received = connection.protocol.close_rcvd
            session.closed = (1006, "") if received is None else (received.code, received.reason)


def _select(_: ServerConnection, offered: Any) -> Any:
    return "realtime" if "realtime" in offered else None


def _model_of(target: str) -> str:
    query = target.partition("?")[2].split("&")
    return next((item.partition("=")[2] for item in query if item.startswith(("model=", "deployment="))), "")
