"""The real gateway, started as an operator starts it.

`python -m gateway serve`, on free ports, in folders of its own. Nothing of the product is imported here: what
the tests know of it is what operators are promised (flags, ready line, HTTP on two ports, exit codes) and,
for the process tests, the `gateway.app worker|control` of its children.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import pty
import re
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import yaml

from tests.rig.raw_http import RawConnection
from tests.rig.until import until

REPOSITORY: Final = Path(__file__).resolve().parents[2]
START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 90.0
CONTROL_TIMEOUT_S: Final = 60.0
ADMIN_TOKEN: Final = "admin-token-of-the-rig"
_READY: Final = re.compile(
    r"gateway ready: data plane https?://[^:]+:(\d+), control plane https?://[^:]+:(\d+)"
)

Document = dict[str, Any]


class GatewayProcess:
    """One running gateway.

    Attributes:
        folder: Holds `config/`, `state/` and the log.
        port: Of the data plane; `control_port` likewise. Known after `start`.
        tls: What to speak to both planes, None: plain HTTP.
    """

    def __init__(
        self,
        folder: Path,
        documents: Sequence[Document],
        *,
        workers: int = 1,
        options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        has_terminal: bool = False,
        program: Sequence[str] = ("-m", "gateway"),
    ) -> None:
        self._has_terminal = has_terminal
        self._program = tuple(program)
        self.folder = folder
        self.config = folder / "config"
        self.state = folder / "state"
        self._workers = workers
        self._options = tuple(options)
        # A machine that is busy with other tests must not have calls refused that are to be answered.
        always = {"GATEWAY_ADMIN_TOKEN": ADMIN_TOKEN, "GATEWAY_MAX_LOOP_LAG": "0"}
        self._environment = {**always, **(environment or {})}
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._stdout: list[str] = []
        self._log_path = folder / "gateway.log"
        self.port = 0
        self.control_port = 0
        self.tls: ssl.SSLContext | None = None
        self.config.mkdir(parents=True)
        self.write_config(documents)

    # -- life

    def start(self) -> Self:
        """Run it and wait for the ready line.

        Raises:
            AssertionError: It ended or stayed silent.
        """
        self.launch()
        self.wait_until_ready()
        return self

    def wait_until_ready(self) -> None:
        """Wait for the ready line, after `launch`.

        Raises:
            AssertionError: It ended or stayed silent.
        """
        until(self._is_ready_or_dead, timeout_s=START_TIMEOUT_S, what="the gateway to say that it is ready")
        assert self.port, f"the gateway did not start (exit {self.exit_code}):\n{self.log}"

    def launch(self) -> None:
        """Run it and return at once; again, once an earlier run has ended."""
        self.port = self.control_port = 0
        command = [
            sys.executable, *self._program, "serve",
            "--config", str(self.config), "--state-dir", str(self.state),
            "--workers", str(self._workers), *self._options,
        ]  # fmt: skip
        for flag in ("--port", "--control-port"):
            if flag not in self._options:
                command += [flag, "0"]
        ours, theirs = pty.openpty() if self._has_terminal else (None, subprocess.PIPE)
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd=REPOSITORY, env=self._full_environment(), stdin=subprocess.DEVNULL,
                stdout=theirs, stderr=log, text=True, start_new_session=True,
            )  # fmt: skip
        if ours is not None:
            os.close(theirs)
            self._process.stdout = os.fdopen(ours)
        self._reader = threading.Thread(target=self._read_stdout, args=(self._process,), daemon=True)
        self._reader.start()

    def stop(self, *, expect: int = 0) -> None:
        """SIGTERM, wait, and check the exit code; whatever happens nothing is left behind.

        Raises:
            AssertionError: It ended otherwise than *expect*, or not at all.
        """
        if self._process is None:
            return
        try:
            if self.exit_code is None:
                self._process.send_signal(signal.SIGTERM)
            code = self.wait()
            assert code == expect, f"exit {code}, not {expect}:\n{self.log}"
        finally:
            self.kill()

    def wait(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """The exit code, once there is one."""
        assert self._process is not None
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"still running after {timeout_s} s:\n{self.log}") from None

    def kill(self) -> None:
        """End everything that may be left of it, now."""
        if self._process is None:
            return
        # Children that outlive it are found by the session they were started in.
        for pid in _pids_of_session(self._process.pid):
            _kill(pid)
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        if self._reader is not None:
            self._reader.join(60)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process = None

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            # One that was too late would stay.
            self.kill()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.stop()
        else:
            self.kill()

    # -- looking at it

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return None if self._process is None else self._process.poll()

    @property
    def stdout(self) -> str:
        """What it printed."""
        return "".join(self._stdout)

    @property
    def log(self) -> str:
        """Everything it said, on both streams."""
        return self.stdout + self._log_path.read_text(errors="replace")

    @property
    def pid(self) -> int:
        """Of the supervisor."""
        assert self._process is not None
        return self._process.pid

    def worker_pids(self) -> list[int]:
        """Of the data-plane workers now running."""
        return self._children("worker")

    def control_pid(self) -> int:
        """Of the control process; 0 while there is none."""
        return next(iter(self._children("control")), 0)

    def signal(self, number: signal.Signals, pid: int | None = None) -> None:
        """Send a signal to the supervisor, or to one of its children."""
        os.kill(self.pid if pid is None else pid, number)

    def kept(self) -> Iterator[tuple[Path, bytes]]:
        """Each file of its state with what is in it; while it runs some are gone before they are read."""
        for file in self.state.rglob("*"):
            with contextlib.suppress(FileNotFoundError):
                if file.is_file():
                    yield file, file.read_bytes()

    # -- talking to it

    def connect(self) -> RawConnection:
        """A socket to the data plane."""
        return RawConnection(self.port, tls=self.tls)

    @property
    def base_url(self) -> str:
        """What an OpenAI client is given."""
        return f"http://127.0.0.1:{self.port}/v1"

    def control(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """Ask the control plane; status and parsed JSON (or text)."""
        place = ("127.0.0.1", self.control_port)
        connection = (
            http.client.HTTPConnection(*place, timeout=CONTROL_TIMEOUT_S)
            if self.tls is None
            else http.client.HTTPSConnection(*place, timeout=CONTROL_TIMEOUT_S, context=self.tls)
        )
        try:
            data = None if body is None else json.dumps(body)
            token = self._environment["GATEWAY_ADMIN_TOKEN"]
            sent = {"content-type": "application/json", "authorization": f"Bearer {token}", **(headers or {})}
            connection.request(method, path, data, sent)
            reply = connection.getresponse()
            text = reply.read().decode()
        finally:
            connection.close()
        is_json = "json" in (reply.headers.get("content-type") or "")
        return reply.status, json.loads(text) if is_json else text

    def get(self, path: str) -> Any:
        """JSON of the control plane, which must answer 200."""
        status, body = self.control("GET", path)
        assert status == 200, f"GET {path}: {status} {body}"
        return body

    def traces(self, query: str = "") -> list[dict[str, Any]]:
        """The trace list, newest first."""
        found: list[dict[str, Any]] = self.get(f"/api/traces?{query}")["traces"]
        return found

    def trace(self, trace_id: str) -> dict[str, Any]:
        """One trace, waited for (it is readable a moment after the call's last byte)."""

        def find() -> dict[str, Any] | None:
            status, body = self.control("GET", f"/api/traces/{trace_id}")
            return body if status == 200 else None

        found = until(find, what=f"trace {trace_id} to be readable")
        assert found is not None
        return found

    def row(self, trace_id: str) -> dict[str, Any]:
        """The trace's line in the list, waited for."""

        def find() -> dict[str, Any] | None:
            return next((row for row in self.traces("limit=100") if row["trace_id"] == trace_id), None)

        found = until(find, what=f"trace {trace_id} to be listed")
        assert found is not None
        return found

    # -- configuration

    def write_config(self, documents: Sequence[Document], name: str = "gateway.yaml") -> None:
        """Replace one file of the configuration, as a whole (rename), the way deployments do."""
        target = self.config / name
        draft = self.folder / f".{name}.draft"
        draft.write_text(yaml.safe_dump_all(documents, sort_keys=False, allow_unicode=True))
        draft.replace(target)

    # -- inside

    def _full_environment(self) -> dict[str, str]:
        inherited = {
            key: value
            for key, value in os.environ.items()
            # Providers of the rig are on this machine; a proxy that is to be asked is given.
            if not key.startswith(("GATEWAY_", "OTEL_")) and not key.lower().endswith("_proxy")
        }
        return {**inherited, "PYTHONUNBUFFERED": "1", **self._environment}

    def _read_stdout(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        # A terminal that nobody holds any more is an error, and not an end, to who reads it.
        with contextlib.suppress(OSError):
            for line in process.stdout:
                self._stdout.append(line)
                found = _READY.search(line)
                if found:
                    self.control_port = int(found[2])
                    self.port = int(found[1])

    def _is_ready_or_dead(self) -> bool:
        return bool(self.port) or self.exit_code is not None

    def _children(self, role: str) -> list[int]:
        if self._process is None:
            return []
        session = _pids_of_session(self._process.pid)
        return sorted(pid for pid in session if _is_child(pid, role))


def _pids_of_session(leader: int) -> list[int]:
    """Every process of the session that *leader* opened, itself aside."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == leader:
            continue
        try:
            # "pid (name) state ppid pgrp session ..."; the name may hold anything but ends at the last ")".
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended while we looked
        if int(fields[3]) == leader and fields[0] != "Z":
            found.append(int(entry.name))
    return found


def _is_child(pid: int, role: str) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"gateway.app" in words and words[words.index(b"gateway.app") + 1] == role.encode()


def is_running(pid: int) -> bool:
    """Whether a process is there and not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


# What the fixture `start_gateway` gives: documents, workers, options and environment, all optional.
StartGateway = Callable[..., GatewayProcess]
