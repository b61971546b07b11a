"""Control's end of the local socket: frames into the spool, acknowledgements and configuration out.

A peer that breaks the protocol loses its connection and nothing else happens. While the disk takes no frame,
no worker is read: each keeps what is not acknowledged, up to its own bound, and counts what it must drop
beyond.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from gateway.delivery.exchange import wait_for_event
from gateway.delivery.spool import Spool
from gateway.delivery.workers import Workers, WorkerState
from gateway.process import give_way
from gateway.socket_path import SOCKET_NAME, control_address
from gateway.tasks import end, spawn
from gateway.wire.frame_index import Origin, read_index
from gateway.wire.frames import (
    Ack,
    ConfigState,
    Counts,
    FrameError,
    Hello,
    MessageKind,
    MessageReader,
    MetricPoints,
    decode_payload,
    encode_message,
    encode_payload,
)

OnConfig = Callable[[str, ConfigState], None]
OnMetrics = Callable[[Origin, MetricPoints], None]
Wait = Callable[[asyncio.Event, float], Awaitable[bool]]

_READ_BYTES: Final = 256 * 1024
_BACKLOG: Final = 128
_MAX_CONNECTIONS: Final = 256
# A worker sends its counts each second, so one that says nothing for so long has hung; it connects again.
_SILENCE_S: Final = 60.0
_WRITE_TIMEOUT_S: Final = 30.0
_DISK_RETRY_S: Final = 1.0

_log = logging.getLogger(__name__)


class _Peer:
    """One connection."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.messages = MessageReader()
        self.origin: Origin | None = None
        self.state: WorkerState | None = None

    def send(self, kind: MessageKind, value: Ack | ConfigState) -> None:
        if not self.writer.is_closing():
            self.writer.write(encode_message(kind, encode_payload(value)))


class Intake:
    """The server. Everything here happens on delivery's event loop.

    Args:
        spool: Where the frames go.
        workers: Where what is known of the workers is kept.
        on_config: Told (instance id, state) when a worker has loaded or refused a version.
        wait: As in `sender.Pacing`.
        on_metrics: Told what a worker has measured.

    Attributes:
        broken_connections: Ended because the peer broke the protocol.
        is_disk_failing: The last frame could not be written yet.
    """

    def __init__(
        self,
        spool: Spool,
        workers: Workers,
        on_config: OnConfig,
        wait: Wait = wait_for_event,
        on_metrics: OnMetrics = lambda _origin, _points: None,
    ) -> None:
        self._spool = spool
        self._workers = workers
        self._on_config = on_config
        self._wait = wait
        self._on_metrics = on_metrics
        self._server: asyncio.Server | None = None
        self._peers: set[_Peer] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._announced: ConfigState | None = None
        self._closing = asyncio.Event()
        self.broken_connections = 0
        self.is_disk_failing = False

    async def start(self, state_dir: Path) -> None:
        """Listen on the control socket in *state_dir*, in place of one that an earlier run left.

        Raises:
            OSError: The socket cannot be made.
        """
        listener = listen(state_dir)
        self._server = await asyncio.start_unix_server(self._accept, sock=listener, limit=_READ_BYTES)

    def announce(self, state: ConfigState) -> None:
        """Tell every worker, now or when it connects, to load a version."""
        self._announced = state
        for peer in self._peers:
            if peer.origin is not None:
                peer.send(MessageKind.CONFIG, state)

    async def close(self) -> None:
        """Stop listening and end every connection."""
        self._closing.set()
        if self._server is not None:
            self._server.close()
        await end(self._tasks)
        for peer in self._peers:  # whose task never began
            peer.writer.close()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._peers) >= _MAX_CONNECTIONS:
            self.broken_connections += 1
            writer.close()
            return
        peer = _Peer(writer)
        self._peers.add(peer)
        spawn(self._serve(peer, reader), name="intake-connection", owner=self._tasks)

    async def _serve(self, peer: _Peer, reader: asyncio.StreamReader) -> None:
        try:
            await self._converse(peer, reader)
        # UnicodeDecodeError: msgspec's for text that is no UTF-8; it is none of its own DecodeErrors.
        except (FrameError, UnicodeDecodeError) as error:
            self.broken_connections += 1
            _log.warning("a connection to the control socket is ended: %s", error)
        except (OSError, TimeoutError):
            pass  # the worker has gone or hangs; it will connect again
        finally:
            self._peers.discard(peer)
            if peer.state is not None:
                peer.state.connections -= 1
            peer.writer.close()

    async def _converse(self, peer: _Peer, reader: asyncio.StreamReader) -> None:
        while True:
            async with asyncio.timeout(_SILENCE_S):
                data = await reader.read(_READ_BYTES)
            if not data:
                return
            if peer.state is not None:
                self._workers.heard(peer.state)
            sequence = None
            give_way()
            for kind, payload in peer.messages.feed(data):
                sequence = await self._hear(peer, kind, payload) or sequence
                give_way()
            if sequence is not None:  # one for all frames of this read
                peer.send(MessageKind.ACK, Ack(sequence))
            async with asyncio.timeout(_WRITE_TIMEOUT_S):
                await peer.writer.drain()

    async def _hear(self, peer: _Peer, kind: MessageKind, payload: bytes) -> int | None:
        """Act on one message.

        Returns:
            The sequence that may be acknowledged now, None when it is no frame.

        Raises:
            FrameError: The peer broke the protocol.
        """
        if peer.origin is None or peer.state is None:
            if kind is not MessageKind.HELLO:
                raise FrameError(f"{kind.name} before HELLO")
            self._greet(peer, decode_payload(payload, Hello))
            return None
        match kind:
            case MessageKind.FRAME:
                return await self._take_frame(peer.origin, peer.state, payload)
            case MessageKind.COUNTS:
                peer.state.counts = decode_payload(payload, Counts)
            case MessageKind.METRICS:
                self._on_metrics(peer.origin, decode_payload(payload, MetricPoints))
            case MessageKind.CONFIG_LOADED:
                state = decode_payload(payload, ConfigState)
                peer.state.has_config(state.version)
                self._on_config(peer.state.instance_id, state)
            case MessageKind.CONFIG_REFUSED:
                state = decode_payload(payload, ConfigState)
                peer.state.config_error = state.error
                self._on_config(peer.state.instance_id, state)
            case _:
                raise FrameError(f"{kind.name} from a worker")
        return None

    def _greet(self, peer: _Peer, hello: Hello) -> None:
        peer.origin = Origin(hello.instance_id, hello.started_ns)
        peer.state = self._workers.meet(hello)
        last = self._spool.last_sequence(peer.origin)
        if last is not None:
            peer.send(MessageKind.ACK, Ack(last))
        if self._announced is not None:
            peer.send(MessageKind.CONFIG, self._announced)

    async def _take_frame(self, origin: Origin, state: WorkerState, payload: bytes) -> int:
        index = read_index(payload)
        if index.origin != origin:
            raise FrameError("a frame of another worker")
        give_way()
        while True:
            # Asked again after each wait: a second connection of the worker may have brought the frame
            # meanwhile.
            last = self._spool.last_sequence(origin)
            if last is not None and index.sequence <= last:
                state.repeated_frames += 1
                return last
            try:
                self._spool.append(payload, index)
            except OSError as error:
                await self._wait_for_disk(error)
                continue
            self.is_disk_failing = False
            return index.sequence

    async def _wait_for_disk(self, error: OSError) -> None:
        if not self.is_disk_failing:  # once, not per try
            _log.error("the spool cannot be written, workers keep their spans: %s", error)
        self.is_disk_failing = True
        if await self._wait(self._closing, _DISK_RETRY_S):
            raise ConnectionAbortedError("the intake is closing") from error


def listen(state_dir: Path) -> socket.socket:
    """A listening control socket that only its owner may connect to.

    Raises:
        OSError: It cannot be made.
    """
    path = state_dir / SOCKET_NAME
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        with control_address(state_dir) as address:
            listener.bind(address)
        path.chmod(0o600)  # the folder is 0700, so nobody slips in before
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener
