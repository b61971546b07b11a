"""Ports: is it free, and keeping it ours while workers come and go.

Workers listen with SO_REUSEPORT, which would let them join a stranger of the same user on a taken port
without any error. So the supervisor looks first, once, without it; and then holds the port by a bound
socket that never listens, so that the number stays ours while no worker runs, and port 0 becomes a number
that all workers share.
"""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass

from gateway.supervisor.cannot_start import HostUnusable, PortTaken


@dataclass(frozen=True, slots=True)
class Reservation:
    """A port that is ours until `close`.

    Attributes:
        port: The number, also where 0 was asked for.
    """

    port: int
    _holder: socket.socket

    def close(self) -> None:
        """Give the port back."""
        self._holder.close()


def reserve(host: str, port: int, *, flag: str) -> Reservation:
    """Take a port for as long as the reservation is held.

    Args:
        host: Name or address to listen on.
        port: 0 takes any free one.
        flag: The command line option that chose the port, for the message: `--port`.

    Raises:
        PortTaken: Somebody listens there, or holds it, or the system keeps it for others.
        HostUnusable: No such host, or not on this machine.
    """
    family, address = _resolve(host, port, flag)
    try:
        if port:
            _check_free(family, address)
        holder = _hold(family, address)
    except OSError as error:
        raise _explain(error, host, port, flag) from error
    return Reservation(holder.getsockname()[1], holder)


def _resolve(host: str, port: int, flag: str) -> tuple[int, tuple[object, ...]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        option = flag.replace("port", "host")
        raise HostUnusable(
            f"cannot listen on {host}: {error.strerror}; give an address with {option}"
        ) from error
    except UnicodeError as error:
        # An empty or a long part of it, before the system is asked.
        option = flag.replace("port", "host")
        raise HostUnusable(
            f"cannot listen on {host}: this is no name of a host; give an address with {option}"
        ) from error
    family, _, _, _, address = found[0]
    return family, address


def _check_free(family: int, address: tuple[object, ...]) -> None:
    # SO_REUSEADDR lets old connections in TIME_WAIT be; a listener, or another gateway's reservation, is in
    # the way.
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)


def _hold(family: int, address: tuple[object, ...]) -> socket.socket:
    try:
        return _bound(family, address, [socket.SO_REUSEPORT])
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
    # Old connections of a program that did not share its port. With SO_REUSEADDR we get it, but then
    # another gateway that looks before our workers listen does not see that it is held; so this is the
    # second choice.
    return _bound(family, address, [socket.SO_REUSEPORT, socket.SO_REUSEADDR])


def _bound(family: int, address: tuple[object, ...], options: list[int]) -> socket.socket:
    holder = socket.socket(family, socket.SOCK_STREAM)
    try:
        for option in options:
            holder.setsockopt(socket.SOL_SOCKET, option, 1)
        holder.bind(address)
    except OSError:
        holder.close()
        raise
    return holder


def _explain(error: OSError, host: str, port: int, flag: str) -> PortTaken | HostUnusable:
    variable = "GATEWAY_" + flag.removeprefix("--").replace("-", "_").upper()
    if error.errno == errno.EADDRINUSE:
        return PortTaken(
            f"port {port} on {host} is taken by another program; stop it, or choose another port "
            f"with {flag} ({variable})"
        )
    if error.errno == errno.EACCES:
        return PortTaken(
            f"port {port} on {host} needs rights that this user lacks; choose one above 1023 "
            f"with {flag} ({variable})"
        )
    option = flag.replace("port", "host")
    return HostUnusable(f"cannot listen on {host}: {error.strerror}; give one of this machine with {option}")
