"""`GET /api/telemetry`: what became of every span; `POST /api/telemetry/test`: would one be taken now.

A destination can be tried as it is in force, or as a manifest says that is not saved yet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.config import Config
from gateway.config.manifest_files import Invalid, NoSuchManifest
from gateway.control.audit import AuditTrail, note_asked
from gateway.control.json_body import BodyRefused, read_object_if_any
from gateway.control.otel_manifest import TYPE, OtelManifests
from gateway.control.replies import error_reply, invalid_reply, json_reply

Entry = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class TelemetrySource:
    """Where the entries come from. The first two are called in a thread, since each may wait for its own.

    Attributes:
        delivery: `destinations` (one entry per destination and signal), `removed` (`name`, `signal`,
            `ledger` of those that are no more) and `workers` (`instance_id`, `pid`, `handed_over`,
            `dropped`), shown as they are.
        local: The local store's entry, the first of the destinations.
        test: Sends one span to the destination of this name, or to each (None), of a configuration or (None)
            of that in force; a result for each, in the names of the answer.
        metrics: The entries of the destinations of metrics, the last.
        removed_metrics: `name`, `signal` and `ledger` of those that are no more.
    """

    delivery: Callable[[], Mapping[str, Sequence[Entry]]]
    local: Callable[[], Entry]
    test: Callable[[str | None, Config | None], Awaitable[Sequence[Entry]]]
    metrics: Callable[[], Sequence[Entry]] = tuple
    removed_metrics: Callable[[], Sequence[Entry]] = tuple

    def report(self) -> dict[str, list[Entry]]:
        """The body of the answer."""
        delivery = self.delivery()
        return {
            "destinations": [self.local(), *delivery["destinations"], *self.metrics()],
            "removed": [*delivery["removed"], *self.removed_metrics()],
            "workers": list(delivery["workers"]),
        }


def telemetry_routes(source: TelemetrySource, otel: OtelManifests, audit: AuditTrail) -> list[Route]:
    """The routes of this room."""

    async def show(_request: Request) -> Response:
        return json_reply(await asyncio.to_thread(source.report))

    async def test(request: Request) -> Response:
        try:
            name, manifest = _asked(await read_object_if_any(request))
            config = None
            if manifest is not None:
                config, tried = await asyncio.to_thread(otel.draft, name, manifest)
                # What is not saved can send a secret somewhere too, and is in no history.
                await note_asked(audit, request, "destination.tested", TYPE, tried)
                name = tried
        except BodyRefused as error:
            return error.reply()
        except NoSuchManifest as error:
            return error_reply(404, "manifest_not_found", str(error))
        except Invalid as error:
            return invalid_reply(str(error), error.problems)
        results = await source.test(name, config)
        if name is not None and config is None and not results:
            local = await asyncio.to_thread(source.local)
            results = [local_result(local)] if local["name"] == name else []
        if name is not None and config is None and not results:
            return error_reply(404, "destination_not_found", f"no destination '{name}' is in force")
        return json_reply({"results": list(results)})

    return [
        Route("/api/telemetry", show, methods=["GET"]),
        Route("/api/telemetry/test", test, methods=["POST"]),
    ]


def local_result(entry: Entry) -> dict[str, object]:
    """What a test of the local store says. No span is sent, which would be a call that nobody made."""
    error = entry["last_error"]
    told = error if isinstance(error, Mapping) else {}
    is_ok = entry["state"] == "ok"
    return {
        "destination": entry["name"],
        "signal": entry["signal"],
        "ok": is_ok,
        "status": None,
        "latency_ms": None,
        "what": "the local store takes what comes" if is_ok else told.get("message", "it is not written to"),
        "advice": "" if is_ok else told.get("advice", ""),
    }


def _asked(body: Mapping[str, object]) -> tuple[str | None, dict[str, object] | None]:
    """The name of a destination, and a manifest that is not saved: a change of that one, or (None) a new one.

    Raises:
        BodyRefused: They are not such.
    """
    name, manifest = body.get("destination"), body.get("manifest")
    if not isinstance(name, str | None):
        raise BodyRefused(400, "invalid_parameter", "'destination' is the name of a destination")
    if not isinstance(manifest, dict | None):
        raise BodyRefused(400, "invalid_parameter", "'manifest' is a manifest that is not saved yet")
    return name, manifest
