"""Control's end of the local socket: frames into the spool, acknowledgements and configuration out.

A peer that breaks the protocol loses its connection and nothing else happens. While the disk takes no frame,
none is acknowledged: each worker keeps its own, up to its bound, and counts what it must drop beyond. They
wait here too, so that what else a worker says (counts, metrics) is heard, and those of workers that end are
stored when there is room, up to a bound.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from gateway.delivery.exchange import wait_for_event
from gateway.delivery.spool import Spool
from gateway.delivery.workers import Workers, WorkerState
from gateway.process import give_way
from gateway.socket_path import SOCKET_NAME, control_address
from gateway.tasks import end, spawn
from gateway.wire.frame_index import FrameIndex, Origin, read_index
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
# Of one worker's frames that wait for the disk: more than a worker leaves unacknowledged.
_MAX_HELD_BYTES: Final = 8 * 1024 * 1024
# The same of all workers that have gone: one may die again and again while the disk is full.
_MAX_GONE_BYTES: Final = 64 * 1024 * 1024

_log = logging.getLogger(__name__)


class _Peer:
    """One connection."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.messages = MessageReader()
        self.origin: Origin | None = None
        self.state: WorkerState | None = None
        # Not in the spool yet: none, unless the disk fails.
        self.held: deque[tuple[bytes, FrameIndex]] = deque()
        self.held_bytes = 0

    def hold(self, payload: bytes, index: FrameIndex) -> None:
        self.held.append((payload, index))
        self.held_bytes += len(payload)

    def let_go(self) -> None:
        self.held_bytes -= len(self.held.popleft()[0])

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
        disk_retry_s: Between two tries of a disk that fails.

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
        disk_retry_s: float = _DISK_RETRY_S,
    ) -> None:
        self._spool = spool
        self._workers = workers
        self._on_config = on_config
        self._wait = wait
        self._on_metrics = on_metrics
        self._disk_retry_s = disk_retry_s
        self._try_disk_s = 0.0
        self._server: asyncio.Server | None = None
        self._peers: set[_Peer] = set()
        self._gone: set[_Peer] = set()  # whose frames wait for the disk
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
            try:
                await self._hear_out(peer, reader)
            finally:
                # At once: a worker that is there connects again, and is to be heard while the disk is full.
                self._peers.discard(peer)
                peer.writer.close()
            await self._store_rest(peer)
        finally:
            self._gone.discard(peer)
            if peer.state is not None:
                peer.state.connections -= 1

    async def _hear_out(self, peer: _Peer, reader: asyncio.StreamReader) -> None:
        try:
            await self._converse(peer, reader)
        # UnicodeDecodeError: msgspec's for text that is no UTF-8; it is none of its own DecodeErrors.
        except (FrameError, UnicodeDecodeError) as error:
            self.broken_connections += 1
            _log.warning("a connection to the control socket is ended: %s", error)
        except (OSError, TimeoutError):
            pass  # the worker has gone or hangs; it will connect again

    async def _converse(self, peer: _Peer, reader: asyncio.StreamReader) -> None:
        while not self._closing.is_set():
            data = await self._read(peer, reader)
            if data == b"":
                return
            if peer.state is not None and data:
                self._workers.heard(peer.state)
            sequence = None
            give_way()
            for kind, payload in peer.messages.feed(data or b""):
                self._hear(peer, kind, payload)
                sequence = self._store(peer) or sequence
                give_way()
            sequence = self._store(peer) or sequence
            if sequence is not None:  # one for all frames of this read
                peer.send(MessageKind.ACK, Ack(sequence))
            async with asyncio.timeout(_WRITE_TIMEOUT_S):
                await peer.writer.drain()

    async def _read(self, peer: _Peer, reader: asyncio.StreamReader) -> bytes | None:
        """What comes next, b"" at the end; None when it is time to try the disk again."""
        if peer.held_bytes > _MAX_HELD_BYTES:
            await self._wait(self._closing, self._disk_retry_s)
            return None
        try:
            async with asyncio.timeout(self._disk_retry_s if peer.held else _SILENCE_S):
                return await reader.read(_READ_BYTES)
        except TimeoutError:
            if not peer.held:
                raise
            return None

    def _hear(self, peer: _Peer, kind: MessageKind, payload: bytes) -> None:
        """Act on one message; a frame is held, to be stored.

        Raises:
            FrameError: The peer broke the protocol.
        """
        if peer.origin is None or peer.state is None:
            if kind is not MessageKind.HELLO:
                raise FrameError(f"{kind.name} before HELLO")
            self._greet(peer, decode_payload(payload, Hello))
            return
        match kind:
            case MessageKind.FRAME:
                index = read_index(payload)
                if index.origin != peer.origin:
                    raise FrameError("a frame of another worker")
                peer.hold(payload, index)
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

    def _greet(self, peer: _Peer, hello: Hello) -> None:
        peer.origin = Origin(hello.instance_id, hello.started_ns)
        peer.state = self._workers.meet(hello)
        last = self._spool.last_sequence(peer.origin)
        if last is not None:
            peer.send(MessageKind.ACK, Ack(last))
        if self._announced is not None:
            peer.send(MessageKind.CONFIG, self._announced)

    def _store(self, peer: _Peer) -> int | None:
        """Put what is held into the spool, as far as the disk takes it.

        Returns:
            The sequence that may be acknowledged now, None when there is none.
        """
        if not peer.held or peer.origin is None or peer.state is None:
            return None
        if self.is_disk_failing and time.monotonic() < self._try_disk_s:
            return None
        done = None
        while peer.held:
            payload, index = peer.held[0]
            # A second connection of the worker may have brought the frame meanwhile.
            last = self._spool.last_sequence(peer.origin)
            if last is not None and index.sequence <= last:
                peer.state.repeated_frames += 1
                done = last
            else:
                try:
                    self._spool.append(payload, index)
                except OSError as error:
                    self._note_failing(error)
                    return done
                self.is_disk_failing = False
                done = index.sequence
            peer.let_go()
        return done

    def _note_failing(self, error: OSError) -> None:
        if not self.is_disk_failing:  # once, not per try
            _log.error("the spool cannot be written, workers keep their spans: %s", error)
        self.is_disk_failing = True
        self._try_disk_s = time.monotonic() + self._disk_retry_s

    async def _store_rest(self, peer: _Peer) -> None:
        """Go on for a worker that has gone: nobody else has what is held, unless it has connected again."""
        self._gone.add(peer)
        if sum(gone.held_bytes for gone in self._gone) > _MAX_GONE_BYTES:
            return  # they count as lost with it
        while peer.held and not any(other.state is peer.state for other in self._peers):
            if await self._wait(self._closing, self._disk_retry_s):
                return
            self._store(peer)


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
