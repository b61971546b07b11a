"""perf/http_protocol.py: how the bare servers start and end when somebody runs them alone."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from typing import IO

import pytest

from perf.process import accepts_connections

_UPSTREAM = [sys.executable, "-m", "perf.upstream", "--port"]


def _started(source: int | IO[bytes]) -> tuple[subprocess.Popen[bytes], int]:
    server = subprocess.Popen([*_UPSTREAM, "0"], stdin=source, stdout=subprocess.PIPE)
    assert server.stdout is not None
    return server, int(server.stdout.readline())


def test_it_ends_when_its_input_closes_and_not_before() -> None:
    """So it does not outlive the runner; a line that somebody types is no end."""
    server, port = _started(subprocess.PIPE)
    with server:
        assert server.stdin is not None
        server.stdin.write(b"a line\n")
        server.stdin.flush()
        assert accepts_connections(port)
        with pytest.raises(subprocess.TimeoutExpired):
            server.wait(0.2)
        server.stdin.close()
        assert server.wait(60) == 0


def test_an_input_that_cannot_close_is_none() -> None:
    """A script starts it in the background, with /dev/null, and ends it."""
    server, port = _started(subprocess.DEVNULL)
    with server:
        assert accepts_connections(port)
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == -signal.SIGTERM


@pytest.mark.parametrize("is_taken", [True, False], ids=["taken", "no port"])
def test_a_port_that_cannot_be_had_is_told(is_taken: bool) -> None:  # noqa: FBT001  a table
    """By a line, and another exit code than success."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1] if is_taken else 99_999
        command = [*_UPSTREAM, str(port)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith("perf.upstream: ")
    assert done.stderr.count("\n") == 1
