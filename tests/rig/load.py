"""A steady load of small calls from a few threads, each call with a trace id of its own."""

from __future__ import annotations

import json
import secrets
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

from tests.rig.behaviours import TEXT
from tests.rig.gateway_process import GatewayProcess
from tests.rig.manifests import bearer, chat_body
from tests.rig.raw_http import RawConnection, Reply, events
from tests.rig.until import until

JOIN_TIMEOUT_S: Final = 60.0
GO_ON_TIMEOUT_S: Final = 60.0


@dataclass
class Load:
    """Calls `fake/normal`, one thread streaming and one not, until stopped.

    Attributes:
        pause_s: Between two calls of a thread.
        ended_at_s: Of every call that was answered with 200 and the whole right text: monotonic time of its
            end, by trace id.
        began_at_s: Of every call, likewise of its beginning.
        failures: What went wrong otherwise: a status, another text, or an exception's.
    """

    gateway: GatewayProcess
    threads: int = 2
    pause_s: float = 0.0
    ended_at_s: dict[str, float] = field(default_factory=dict)
    began_at_s: dict[str, float] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _running: list[threading.Thread] = field(default_factory=list)

    @property
    def trace_ids(self) -> list[str]:
        """Of the good calls, in the order of their end."""
        return list(self.ended_at_s)

    def __enter__(self) -> Self:
        self._running = [
            threading.Thread(
                target=self._call_on,
                kwargs={"is_stream": number % 2 == 1},
                name=f"load {number}",
                daemon=True,
            )
            for number in range(self.threads)
        ]
        for thread in self._running:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def go_on(self, calls: int = 20) -> None:
        """Wait for so many more calls.

        Raises:
            AssertionError: They did not end.
        """
        enough = len(self.ended_at_s) + calls
        until(lambda: len(self.ended_at_s) >= enough, what="calls to go on", timeout_s=GO_ON_TIMEOUT_S)

    def stop(self) -> None:
        """Let the calls that are open come to their end, and begin no more."""
        self._stop.set()
        for thread in self._running:
            thread.join(JOIN_TIMEOUT_S)

    def _call_on(self, *, is_stream: bool) -> None:
        connection: RawConnection | None = None
        body = chat_body("fake/normal", stream=is_stream)
        while not self._stop.is_set():
            trace_id = secrets.token_hex(16)
            headers = [
                bearer(),
                ("content-type", "application/json"),
                ("traceparent", f"00-{trace_id}-{secrets.token_hex(8)}-01"),
            ]
            self.began_at_s[trace_id] = time.monotonic()
            try:
                connection = connection or self.gateway.connect()
                reply = connection.exchange("POST", "/v1/chat/completions", headers, body)
            except OSError as error:
                self.failures.append(repr(error))
                _close(connection)
                connection = None
                self._stop.wait(0.05)  # a port that refuses is not to be hammered
                continue
            if reply.status == 200 and _text_of(reply, is_stream=is_stream) == TEXT:
                self.ended_at_s[trace_id] = time.monotonic()
            else:
                self.failures.append(f"{reply.status} {reply.body[:200]!r}")
            if reply.header("connection") == "close":
                _close(connection)
                connection = None
            if self.pause_s:
                self._stop.wait(self.pause_s)
        _close(connection)


def _text_of(reply: Reply, *, is_stream: bool) -> str:
    """What the model said; "" when the answer is not whole."""
    try:
        if not is_stream:
            return str(reply.json["choices"][0]["message"]["content"])
        *parts, end = events(reply.body)
        choices = [choice for part in parts for choice in json.loads(part)["choices"]]
    except (ValueError, LookupError, TypeError):
        return ""
    text = "".join(choice["delta"].get("content") or "" for choice in choices)
    return text if end == "[DONE]" else ""


def _close(connection: RawConnection | None) -> None:
    if connection is not None:
        connection.close()


def recorded_trace_ids(gateway: GatewayProcess) -> list[str]:
    """Every trace of the local store, page by page; repeated ids repeated."""
    found: list[str] = []
    cursor = ""
    while True:
        page: dict[str, Any] = gateway.get(
            f"/api/traces?limit=100&cursor={cursor}" if cursor else "/api/traces?limit=100"
        )
        found += [row["trace_id"] for row in page["traces"]]
        cursor = page["next_cursor"]
        if not cursor:
            return found


def counted_as_left_out(gateway: GatewayProcess) -> int:
    """Spans that the gateway says the local store has not: given up, or left out on a busy machine."""
    telemetry = gateway.get("/api/telemetry")
    workers = sum(worker["dropped"]["total"] for worker in telemetry["workers"])
    local = [each for each in telemetry["destinations"] if each["name"] == "local"]
    ledgers = [each["ledger"] for each in local]
    return int(workers + sum(counts["dropped"]["total"] + counts["sampled_out"] for counts in ledgers))
