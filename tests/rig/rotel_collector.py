"""rotel, a real OpenTelemetry collector (Rust), as a hop between the gateway and a sink of ours.

What reaches the sink was accepted, decoded, batched and encoded again by code that we did not write.
"""

from __future__ import annotations

import socket
import subprocess
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.rig.free_ports import free_port
from tests.rig.requires import ROTEL_ENVIRONMENT
from tests.rig.until import until

ATTEMPTS: Final = 3


class RotelCollector:
    """The agent as a child process: OTLP/HTTP in, OTLP/HTTP (protobuf) out to *sink_url*.

    Args:
        options: Of its command line, beside what leads there.

    Attributes:
        traces_url: Where to send traces; known after `start()`.
        grpc_url: Likewise over gRPC.
    """

    def __init__(self, folder: Path, sink_url: str, *options: str) -> None:
        self._folder = folder
        self._options = options
        self._sink_url = sink_url
        self._process: subprocess.Popen[bytes] | None = None
        self.traces_url = ""
        self.grpc_url = ""

    def start(self) -> Self:
        """Run it.

        Raises:
            AssertionError: It did not come up.
        """
        for _ in range(ATTEMPTS):
            http_port, grpc_port = free_port(), free_port()
            self._run(http_port, grpc_port)
            until(partial(self._listens_or_is_dead, http_port), what="rotel to listen or end")
            if not self._is_dead():
                self.traces_url = f"http://127.0.0.1:{http_port}/v1/traces"
                self.grpc_url = f"http://127.0.0.1:{grpc_port}"
                return self
        # Its ports cannot be 0, so another process may have taken one between our look and its start.
        raise AssertionError(f"rotel did not start:\n{self._log.read_text(errors='replace')}")

    def stop(self) -> None:
        """End it; what it still held is lost, so wait at the sink first."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def _log(self) -> Path:
        return self._folder / "rotel.log"

    def _is_dead(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def _listens_or_is_dead(self, port: int) -> bool:
        return self._is_dead() or _accepts(port)

    def _run(self, http_port: int, grpc_port: int) -> None:
        import rotel

        program = Path(rotel.__file__).parent / "rotel-agent"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    program, "start",
                    "--otlp-http-endpoint", f"127.0.0.1:{http_port}",
                    "--otlp-grpc-endpoint", f"127.0.0.1:{grpc_port}",
                    "--exporter", "otlp",
                    "--otlp-exporter-protocol", "http",
                    "--otlp-exporter-endpoint", self._sink_url,
                    "--batch-timeout", "100ms",
                    "--pid-file", str(self._folder / "rotel.pid"),
                    "--log-file", str(self._folder / "rotel-agent.log"),
                    *self._options,
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=ROTEL_ENVIRONMENT,
            )  # fmt: skip


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
