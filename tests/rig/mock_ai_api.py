"""mock-ai-api, a public mock of OpenAI's and Anthropic's APIs: a program in processes of its own."""

from __future__ import annotations

import http.client
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.rig.free_ports import free_port
from tests.rig.requires import find_mock_ai_api
from tests.rig.until import until

START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 90.0

# Whoever runs the tests in the background has them ignore SIGINT, and what they start with them.
_HEEDING_SIGINT: Final = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""


class MockAiApi:
    """The program.

    Attributes:
        openai_url: Of its OpenAI side, ends in `/v1`; `anthropic_url` likewise.
    """

    def __init__(self, folder: Path) -> None:
        self._ports = (free_port(), free_port())
        self._log = (folder / "mock-ai-api.log").open("wb")
        self._process: subprocess.Popen[bytes] | None = None
        self.openai_url, self.anthropic_url = (f"http://127.0.0.1:{port}/v1" for port in self._ports)

    def __enter__(self) -> Self:
        program = find_mock_ai_api()
        assert program is not None
        first, second = map(str, self._ports)
        started = [sys.executable, "-c", _HEEDING_SIGINT, program]
        command = [*started, "--openai-port", first, "--anthropic-port", second]
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log)
        until(
            lambda: all(map(_is_healthy, self._ports)), timeout_s=START_TIMEOUT_S, what="mock-ai-api to start"
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            # This, and not SIGTERM, makes it end its two servers, which lead sessions of their own.
            self._process.send_signal(signal.SIGINT)
            self._process.wait(STOP_TIMEOUT_S)
        self._log.close()


def _is_healthy(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
