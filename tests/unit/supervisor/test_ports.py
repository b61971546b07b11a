"""Ports: a taken one is noticed, a reserved one can be shared by our workers and by nobody else."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from gateway.supervisor.cannot_start import HostUnusable, PortTaken
from gateway.supervisor.ports import Reservation, reserve


@pytest.fixture
def reservation() -> Iterator[Reservation]:
    reservation = reserve("127.0.0.1", 0, flag="--port")
    yield reservation
    reservation.close()


def _listener(port: int, *, shares: bool) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shares:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen()
    return listener


def test_zero_becomes_a_number(reservation: Reservation) -> None:
    """Port 0 is resolved once, so that all workers can listen on the same one."""
    assert reservation.port > 0


@pytest.mark.parametrize("shares", [False, True], ids=["ordinary listener", "listener with SO_REUSEPORT"])
def test_a_listener_is_noticed(*, shares: bool) -> None:
    """A taken port is an error that names the way out, also where SO_REUSEPORT would let us in."""
    refusal = pytest.raises(PortTaken, match=r"taken by another program.*--port \(GATEWAY_PORT\)")
    with _listener(0, shares=shares) as stranger, refusal as caught:
        reserve("127.0.0.1", stranger.getsockname()[1], flag="--port")
    assert caught.value.exit_code == 3


def test_another_reservation_is_noticed(reservation: Reservation) -> None:
    """Two gateways that start at once do not both get the port."""
    with pytest.raises(PortTaken, match=r"--control-port \(GATEWAY_CONTROL_PORT\)"):
        reserve("127.0.0.1", reservation.port, flag="--control-port")


def test_workers_listen_on_a_reserved_port(reservation: Reservation) -> None:
    """Connections to a reserved port reach the worker, never the reservation."""
    with _listener(reservation.port, shares=True) as worker:
        for _ in range(20):
            client = socket.create_connection(("127.0.0.1", reservation.port), timeout=60)
            accepted, _ = worker.accept()
            accepted.close()
            client.close()


def test_a_reservation_does_not_listen(reservation: Reservation) -> None:
    """While no worker runs, callers are refused at once instead of hanging."""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", reservation.port), timeout=60)


def test_a_port_is_free_again_after_its_connections_closed() -> None:
    """A restart right after a stop works, although old connections linger in TIME_WAIT."""
    with _listener(0, shares=True) as worker:
        port = worker.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port), timeout=60)
        accepted, _ = worker.accept()
        accepted.close()  # the server closes first, so TIME_WAIT is on its side
        client.close()
    reserve("127.0.0.1", port, flag="--port").close()


def test_old_connections_of_a_program_that_does_not_share_are_no_hindrance() -> None:
    """Taking over the port of another server works at once."""
    with _listener(0, shares=False) as other:
        port = other.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port), timeout=60)
        accepted, _ = other.accept()
        accepted.close()
        client.close()
    reservation = reserve("127.0.0.1", port, flag="--port")
    _listener(port, shares=True).close()
    reservation.close()


@pytest.mark.parametrize(
    "host",
    ["192.0.2.1", "no-such-host.invalid", "a..b", "x" * 300, "\udcff"],
    ids=["not ours", "unknown", "empty part", "long", "no text"],
)
def test_a_host_that_is_not_ours_is_a_usage_error(host: str) -> None:
    """The message names the host option."""
    with pytest.raises(HostUnusable, match="--control-host") as caught:
        reserve(host, 0, flag="--control-port")
    assert caught.value.exit_code == 2
