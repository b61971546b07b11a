"""`GET /api/targets`: how every target does; `POST /api/targets/drain`, `/undrain`: whether it may be asked.

Shown is what the workers of this host know together. A drained target is asked by no route, until it is
undrained, also after a restart; calls of its own name are answered still.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.control.audit import AuditTrail, note_asked
from gateway.control.json_body import BodyRefused, read_object
from gateway.control.operator import address_in
from gateway.control.replies import error_reply, json_reply
from gateway.routing.health import Health, TargetReport
from gateway.telemetry import instruments as names
from gateway.tracestore.timestamps import format_rfc3339
from gateway.wire.frames import MetricPoint

_UNKNOWN: Final = TargetReport()
_MS_PER_S: Final = 1000
_NS_PER_S: Final = 1_000_000_000

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TargetsSource:
    """Where the answers come from.

    Attributes:
        configured: Names of the targets of the configuration in force.
        health: Of the workers of this host; None where their file cannot be used.
    """

    configured: Callable[[], Sequence[str]]
    health: Health | None

    def report(self) -> dict[str, object]:
        """The body of the answer."""
        return {"targets": [self.entry(name) for name in self.configured()]}

    def entry(self, name: str) -> dict[str, object]:
        """What is shown of one target."""
        health = self.health
        report = None if health is None else health.report(name)
        return _entry(name, report or _UNKNOWN, 0.0 if health is None else health.rules.window_s)

    def points(self) -> Iterator[MetricPoint]:
        """The metrics of the targets that have been asked, and of what the workers share."""
        health = self.health
        if health is None:
            return
        for name in self.configured():
            report = health.report(name)
            if report is not None:
                yield from _points(name, report)
        yield names.MISSED_TURNS.point(health.missed_turns)


def targets_routes(source: TargetsSource, audit: AuditTrail) -> list[Route]:
    """The routes of this room."""

    async def show(_request: Request) -> Response:
        return json_reply(await asyncio.to_thread(source.report))

    async def drain(request: Request) -> Response:
        return await _change(request, source, audit, _drain)

    async def undrain(request: Request) -> Response:
        return await _change(request, source, audit, _undrain)

    return [
        Route("/api/targets", show, methods=["GET"]),
        Route("/api/targets/drain", drain, methods=["POST"]),
        Route("/api/targets/undrain", undrain, methods=["POST"]),
    ]


async def _change(
    request: Request,
    source: TargetsSource,
    audit: AuditTrail,
    change: Callable[[Health, str, str], str | None],
) -> Response:
    try:
        name = (await read_object(request)).get("target")
    except BodyRefused as error:
        return error.reply()
    if not isinstance(name, str):
        return error_reply(400, "invalid_parameter", "'target' is the name of a target: <account>/<model>")
    if name not in source.configured():
        return error_reply(404, "target_not_found", "no target of this name is configured")
    if source.health is None:
        message = "the file that workers share cannot be used; the log of the start says why"
        return error_reply(503, "store_unavailable", message)
    done = change(source.health, name, address_in(request.scope))
    if done is not None:
        await note_asked(audit, request, done, "target", name)
    return json_reply(source.entry(name))


def _drain(health: Health, name: str, by: str) -> str | None:
    if not health.drain(name):
        return None
    _log.warning("target %s is drained: no route asks it until it is undrained (asked by %s)", name, by)
    return "target.drained"


def _undrain(health: Health, name: str, by: str) -> str | None:
    if not health.undrain(name):
        return None
    _log.warning("target %s is drained no more (asked by %s)", name, by)
    return "target.undrained"


def _entry(name: str, report: TargetReport, window_s: float) -> dict[str, Any]:
    opened_at_s = report.opened_at_s
    return {
        "target": name,
        "circuit": report.state,
        "is_drained": report.is_drained,
        "skip_reason": report.refusal,
        "wait_ms": round(report.wait_s * _MS_PER_S),
        "opened_at": None if opened_at_s is None else format_rfc3339(round(opened_at_s * _NS_PER_S)),
        "openings": report.openings,
        "attempts": {
            "window_ms": round(window_s * _MS_PER_S),
            "good": report.counts.good,
            "sick": report.counts.sick,
            "error_ratio": report.counts.error_ratio,
        },
        "times": {
            "samples": report.times.samples,
            "first_token_ms": _rounded(report.times.first_token_ms),
            "per_output_token_ms": _rounded(report.times.per_output_token_ms),
        },
    }


def _points(name: str, report: TargetReport) -> Iterator[MetricPoint]:
    yield names.TARGET_STATE.point(1, name, state_label(report))
    yield names.TARGET_OPENINGS.point(report.openings, name)
    yield names.TARGET_ATTEMPTS.point(report.counts.good, name, "good")
    yield names.TARGET_ATTEMPTS.point(report.counts.sick, name, "sick")
    if report.counts.error_ratio is not None:
        yield names.TARGET_ERRORS.point(report.counts.error_ratio, name)
    times = report.times
    yield names.TARGET_SAMPLES.point(times.samples, name)
    if times.first_token_ms is not None:
        yield names.TARGET_FIRST_TOKEN.point(times.first_token_ms / _MS_PER_S, name)
    if times.per_output_token_ms is not None:
        yield names.TARGET_PER_TOKEN.point(times.per_output_token_ms / _MS_PER_S, name)


def state_label(report: TargetReport) -> str:
    """In one word how a target is: what keeps it from being asked, or the state of its circuit."""
    if report.refusal in ("drained", "cool_down"):
        return report.refusal
    return report.state


def _rounded(time_ms: float | None) -> float | None:
    return None if time_ms is None else round(time_ms, 3)
