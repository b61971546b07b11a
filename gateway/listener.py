"""Taking a listening socket away from the server that accepts on it, so that no connection is lost.

A server is not stopped for it, as that would end connections that rest and handshakes under way. Granian has
nothing less, so its file descriptor is made to stand for a socket that nobody connects to.

Closing a listening socket resets whatever the kernel has completed and nobody has accepted yet, and a client
that had sent its request with that gets no answer. So first the kernel is told to take up no connection more,
what has begun is completed and accepted, and only then the socket is closed. Who came in between knocks again
after a second, as TCP does, and is refused then: a balancer goes to the next gateway.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import socket
import struct
import sys
import time
from typing import Final

QUEUE_S: Final = 0.5
"""How long what waits may take to be accepted; as a rule it is milliseconds."""

HANDSHAKE_S: Final = 0.1
"""How long a connection that has begun may take to be completed: a round trip. The kernel tells of none."""

_LOOK_EVERY_S: Final = 0.002
_IS_LINUX: Final = sys.platform == "linux"
_SO_ATTACH_FILTER: Final = 26
# Classic BPF, on TCP's header: what begins a connection (SYN without ACK and RST) is dropped.
# Connections that are made meanwhile inherit it, and nothing like that comes to them.
_DROP_NEW: Final = (
    (0x30, 0, 0, 13),  # load the byte of the flags
    (0x54, 0, 0, 0x16),  # and with RST | ACK | SYN
    (0x15, 0, 1, 0x02),  # SYN alone: the next instruction, else the one after it
    (0x06, 0, 0, 0),
    (0x06, 0, 0, 0xFFFFFFFF),
)
# In the kernel's `tcp_info`, of a listening socket the number of connections that wait to be accepted.
_WAITING_AT: Final = 24


def leave(fd: int) -> None:
    """Have the server that accepts on *fd* go on as if nobody came; it closes the number at its own end.

    Whoever else has a copy of the socket accepts as before; without one it is closed.
    """
    # Of Linux a name that the kernel gives, and that nobody knows.
    family, address = (socket.AF_UNIX, "") if _IS_LINUX else (socket.AF_INET, ("127.0.0.1", 0))
    with socket.socket(family, socket.SOCK_STREAM) as nobody:
        nobody.bind(address)
        # Accepting on a socket that does not listen is an error, and a server that looks once more would do
        # so again and again.
        nobody.listen(1)
        nobody.setblocking(False)
        os.dup2(nobody.fileno(), fd, inheritable=False)


async def close_gently(fd: int) -> None:
    """Take the listening socket *fd* from its server, as `leave` does, once whoever has come is accepted.

    On other systems than Linux nothing happens, and the server closes the socket itself when it stops.
    """
    if not _IS_LINUX:
        return
    with socket.socket(fileno=os.dup(fd)) as listener:
        # Sandboxes that are no whole Linux have no filters. Ending without one loses a connection at worst.
        with contextlib.suppress(OSError):
            _drop_new(listener)
        await asyncio.sleep(HANDSHAKE_S)
        ends_at_s = time.monotonic() + QUEUE_S
        # The kernel tells nobody when the last one has been accepted.
        while _waiting(listener) and time.monotonic() < ends_at_s:  # noqa: ASYNC110 - see above
            await asyncio.sleep(_LOOK_EVERY_S)
        leave(fd)


def _drop_new(listener: socket.socket) -> None:
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in _DROP_NEW))
    program = struct.pack("HP", len(_DROP_NEW), ctypes.addressof(code))
    listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


def _waiting(listener: socket.socket) -> int:
    """How many connections nobody has accepted yet."""
    told = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return int(struct.unpack_from("I", told, _WAITING_AT)[0])
