"""What a gateway's processes hold, from outside: memory and descriptors from /proc, the rest from metrics."""

from __future__ import annotations

import http.client
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from perf.procfs import read_command, read_tree
from perf.soak.slopes import Point

_PROC: Final = Path("/proc")
_MIB: Final = 1 << 20
_LAG: Final = "gateway_event_loop_lag_seconds_bucket"
_NUMBER: Final = re.compile(r"^(?P<name>\w+)(?:\{(?P<labels>[^}]*)\})? (?P<value>\S+)$", re.MULTILINE)
_LE: Final = re.compile(r'le="([^"]+)"')


@dataclass(frozen=True, slots=True)
class Held:
    """One process at one moment."""

    rss_mb: float
    sockets: int
    files: int


@dataclass(slots=True)
class Life:
    """One process, from the first sample of it to the last.

    Attributes:
        role: `supervisor`, `worker`, `control`.
        began_s: When it was first seen, since the beginning of the run.
        cpu_s: All that it used.
    """

    pid: int
    role: str
    began_s: float
    cpu_s: float = 0.0
    at_s: list[float] = field(default_factory=list)
    held: list[Held] = field(default_factory=list)

    def line(self, what: str) -> list[Point]:
        """The course of one attribute of `Held`."""
        return [(at_s, float(getattr(one, what))) for at_s, one in zip(self.at_s, self.held, strict=True)]

    def as_data(self) -> dict[str, Any]:
        """For programs."""
        return {
            "pid": self.pid,
            "role": self.role,
            "began_s": self.began_s,
            "cpu_s": self.cpu_s,
            "at_s": self.at_s,
            **{name: [asdict(one)[name] for one in self.held] for name in ("rss_mb", "sockets", "files")},
        }


@dataclass(frozen=True, slots=True)
class Told:
    """What the gateway's own metrics say at one moment.

    Attributes:
        lag: How often the loops were at most so late (s), since the start of the workers that are there.
    """

    at_s: float
    tasks: int
    open_calls: int
    lag: Mapping[float, int]


class Samples:
    """All that was seen of one gateway."""

    def __init__(self) -> None:
        self.lives: list[Life] = []
        self.told: list[Told] = []
        self._by_pid: dict[tuple[int, int], Life] = {}

    def look(self, root_pid: int, at_s: float) -> None:
        """Look at the process *root_pid* and those below it."""
        for stat in read_tree(root_pid):
            role = role_of(read_command(stat.pid))
            held = None if role is None else _held(stat.pid, stat.rss_bytes)
            if role is None or held is None:
                continue
            key = (stat.pid, stat.started_ticks)
            life = self._by_pid.get(key)
            if life is None:
                life = self._by_pid[key] = Life(stat.pid, role, at_s)
                self.lives.append(life)
            life.at_s.append(at_s)
            life.held.append(held)
            life.cpu_s = stat.cpu_s

    def ask(self, control_port: int, at_s: float) -> bool:
        """Ask its metrics; whether there was an answer (control may just have been killed)."""
        connection = http.client.HTTPConnection("127.0.0.1", control_port, timeout=5)
        try:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        found = read_told(text, at_s)
        if found is not None:
            self.told.append(found)
        return found is not None


def role_of(command: list[str]) -> str | None:
    """What a process of the gateway is by its command line; None for what is none of them."""
    if "gateway.app" in command:
        return command[command.index("gateway.app") + 1]
    return "supervisor" if command[1:4] == ["-m", "gateway", "serve"] else None


def _held(pid: int, rss_bytes: int) -> Held | None:
    kinds: Counter[str] = Counter()
    try:
        for entry in (_PROC / str(pid) / "fd").iterdir():
            try:
                kinds["sockets" if str(entry.readlink()).startswith("socket:") else "files"] += 1
            except FileNotFoundError:
                continue  # it was closed while we looked
    except (FileNotFoundError, ProcessLookupError):
        return None
    return Held(round(rss_bytes / _MIB, 3), kinds["sockets"], kinds["files"])


def read_told(text: str, at_s: float) -> Told | None:
    """What a page of Prometheus says; None as long as no worker has told control anything."""
    values: dict[str, float] = {}
    lag: dict[float, int] = {}
    for found in _NUMBER.finditer(text):
        if found["name"] == _LAG:
            bound = _LE.search(found["labels"] or "")
            if bound is not None:
                lag[float(bound[1])] = int(float(found["value"]))
        else:
            values[found["name"]] = float(found["value"])
    if "gateway_event_loop_tasks" not in values:
        return None
    return Told(at_s, int(values["gateway_event_loop_tasks"]), int(values["gateway_calls_open"]), lag)


def late_share(first: Told, last: Told, share: float) -> float:
    """The smallest bound (s) that at most *share* of the looks between two moments were over."""
    counts = {bound: last.lag[bound] - first.lag.get(bound, 0) for bound in sorted(last.lag)}
    total = max(counts.values(), default=0)
    return next((bound for bound, count in counts.items() if count >= total * (1 - share)), float("inf"))
