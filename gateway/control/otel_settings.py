"""`GET|PUT /api/config/otel`: a destination's manifest as JSON, read and written back."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.config.manifest_files import (
    ChangedMeanwhile,
    Invalid,
    NoSuchManifest,
    NotWritable,
    Saved,
    Shown,
)
from gateway.control.audit import AuditTrail, note_asked
from gateway.control.json_body import BodyRefused, read_object
from gateway.control.otel_manifest import TYPE, OtelManifests
from gateway.control.replies import error_reply, invalid_reply, json_reply


def otel_settings_routes(manifests: OtelManifests, audit: AuditTrail) -> list[Route]:
    """The routes of this room."""

    async def show(request: Request) -> Response:
        try:
            shown = await asyncio.to_thread(manifests.read, request.query_params.get("name"))
        except NoSuchManifest as error:
            return error_reply(404, "manifest_not_found", str(error))
        return json_reply(dict(shown.body), headers=_tag(shown))

    async def save(request: Request) -> Response:
        try:
            body = await _read_manifest(request)
        except BodyRefused as error:
            return error.reply()
        name, expected = request.query_params.get("name"), _expected(request, manifests)
        try:
            saved = await asyncio.to_thread(manifests.write, name, {"type": TYPE, **body}, expected)
        except NoSuchManifest as error:
            return error_reply(404, "manifest_not_found", str(error))
        except ChangedMeanwhile as error:
            return error_reply(412, "changed_meanwhile", str(error))
        except NotWritable as error:
            return error_reply(409, "not_writable", str(error))
        except Invalid as error:
            return invalid_reply(str(error), error.problems)
        # That of the body is left out where the destination is the only one.
        saved_name = saved.shown.name
        # With the version, so that the history of configurations knows who made it.
        await note_asked(audit, request, "manifest.saved", TYPE, saved_name, version=saved.version)
        return json_reply(saved_json(saved), headers=_tag(saved.shown))

    return [
        Route("/api/config/otel", show, methods=["GET"]),
        Route("/api/config/otel", save, methods=["PUT"]),
    ]


async def _read_manifest(request: Request) -> dict[str, Any]:
    """The body.

    Raises:
        BodyRefused: As by `read_object`, and of an empty one: a slip that would write an empty manifest.
    """
    body = await read_object(request)
    if not body:
        raise BodyRefused(400, "invalid_json", "send the manifest as a JSON object")
    return body


def saved_json(saved: Saved) -> dict[str, Any]:
    """The answer to a change that was written."""
    return {
        "manifest": dict(saved.shown.body),
        "file": str(saved.shown.file),
        "version": saved.version,
        "warnings": [problem.to_dict() for problem in saved.warnings],
    }


def _tag(shown: Shown) -> dict[str, str]:
    return {"etag": f'"{shown.tag}"'}


def _expected(request: Request, manifests: OtelManifests) -> str | None:
    """The tag in `If-Match`; None without one, or for `*`. With `If-None-Match: *` that of nothing."""
    if request.headers.get("if-none-match", "").strip() == "*":
        return manifests.tag_of_nothing
    value = request.headers.get("if-match", "*").strip()
    return None if value == "*" else value.removeprefix("W/").strip('"')
