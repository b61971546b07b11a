"""`GET /api/config`: which configuration is in force, where, and what became of the last change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.control.config_status import ConfigStatus
from gateway.control.replies import json_reply
from gateway.tracestore.timestamps import format_rfc3339


def from_files() -> Mapping[str, object]:
    """Of a configuration that is files."""
    return {"kind": "files"}


@dataclass(frozen=True, slots=True)
class ConfigSource:
    """Where the answer comes from. Both are called in a thread.

    Attributes:
        status: Of the configuration (`ConfigWatch.status`).
        workers: Of each worker that is connected: its instance id, the version in force, and the Unix time in
            nanoseconds at which it said so.
        source: Where the configuration comes from.
    """

    status: Callable[[], ConfigStatus]
    workers: Callable[[], Sequence[tuple[str, str, int]]]
    source: Callable[[], Mapping[str, object]] = from_files

    def report(self) -> dict[str, object]:
        """The body of the answer."""
        status = self.status()
        rejected = status.last_rejected
        return {
            "version": status.version,
            "source": dict(self.source()),
            "loaded_at": format_rfc3339(status.loaded_at_ns),
            "workers": [
                {"instance_id": instance_id, "version": version, "in_force_at": format_rfc3339(at_ns)}
                for instance_id, version, at_ns in self.workers()
            ],
            "not_in_force": list(status.not_in_force),
            "last_rejected": None
            if rejected is None
            else {"at": format_rfc3339(rejected.at_ns), "errors": [dict(error) for error in rejected.errors]},
        }


def config_routes(source: ConfigSource) -> list[Route]:
    """The routes of this room."""

    async def show(_request: Request) -> Response:
        return json_reply(await asyncio.to_thread(source.report))

    return [Route("/api/config", show)]
