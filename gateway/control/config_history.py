"""`/api/config/history`: what was in force, what differs between two of them, and going back to one."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.config import Document
from gateway.config.changes import Change, changes_between
from gateway.config.manifest_files import ChangedMeanwhile, Invalid, ManifestFiles, NotWritable
from gateway.config.stored_secrets import masked_body
from gateway.config.yaml_edit import to_yaml
from gateway.control.accepted_files import AcceptedFiles
from gateway.control.audit import AuditTrail, note_asked
from gateway.control.json_body import BodyRefused, read_object
from gateway.control.manifests import refusal
from gateway.control.replies import error_reply, json_reply
from gateway.tracestore.timestamps import format_rfc3339

_PATH: Final = "/api/config/history"
_CONTEXT_LINES: Final = 3
_KIND: Final = "configuration"
_NOT_TOLD: Final[dict[str, Any]] = {"manifests": None, "by": []}


@dataclass(frozen=True, slots=True)
class History:
    """Where the answers come from.

    Attributes:
        kept: The versions that can be shown.
        files: Where one is written back to.
        audit: Who asked for a change.
    """

    kept: AcceptedFiles
    files: ManifestFiles
    audit: AuditTrail

    def versions(self) -> dict[str, Any]:
        """All that are kept, the last first."""
        in_force, told = self.kept.version(), self.audit.of_versions()
        return {
            "versions": [
                {
                    "version": version,
                    "at": format_rfc3339(at_ns),
                    "is_in_force": version == in_force,
                    **told.get(version, _NOT_TOLD),
                }
                for version, at_ns in self.kept.kept()
            ],
            "why_not": self.files.why_not_writable(),
        }

    def difference(self, version: str, against: str) -> dict[str, Any] | None:
        """What *version* has that *against* has not, and the other way; None where one is not kept."""
        documents, other = self.kept.documents(version), self.kept.documents(against)
        if documents is None or other is None:
            return None
        changes = changes_between(other, documents)
        return {
            "version": version,
            "against": against,
            "manifests": len(documents),
            "changes": [change_json(change) for change in changes],
        }


def history_routes(history: History) -> list[Route]:
    """The routes of this room."""

    async def show_all(_request: Request) -> Response:
        return json_reply(await asyncio.to_thread(history.versions))

    async def show(request: Request) -> Response:
        version = request.path_params["version"]
        against = request.query_params.get("against") or await asyncio.to_thread(history.kept.version)
        found = await asyncio.to_thread(history.difference, version, against or version)
        if found is None:
            return error_reply(404, "version_not_found", "no such version is kept")
        return json_reply(found)

    async def restore(request: Request) -> Response:
        try:
            version = (await read_object(request)).get("version")
        except BodyRefused as error:
            return error.reply()
        if not isinstance(version, str):
            return error_reply(400, "invalid_parameter", "'version' is one of GET /api/config/history")
        documents = await asyncio.to_thread(history.kept.documents, version)
        if documents is None:
            return error_reply(404, "version_not_found", "no such version is kept")
        try:
            restored, names = await asyncio.to_thread(history.files.restore, documents)
        except (ChangedMeanwhile, Invalid, NotWritable) as error:
            return await asyncio.to_thread(refusal, error, history.audit, (_KIND, version))
        await note_asked(history.audit, request, "config.restored", _KIND, version, version=restored)
        return json_reply(restored_json(restored, names))

    return [
        Route(_PATH, show_all, methods=["GET"]),
        Route(f"{_PATH}/{{version}}", show, methods=["GET"]),
        Route("/api/config/restore", restore, methods=["POST"]),
    ]


def restored_json(version: str, names: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The answer to going back."""
    return {"version": version, "manifests": [{"type": kind, "name": name} for kind, name in names]}


def change_json(change: Change) -> dict[str, Any]:
    """What became of one manifest, with its lines as `diff -u` shows them, secrets masked."""
    return {
        "action": change.action,
        "type": change.document.type,
        "name": change.document.name,
        "paths": change.paths,
        "diff": _diff(_lines(change.before), _lines(change.after)),
    }


def _lines(document: Document | None) -> list[str]:
    return [] if document is None else to_yaml(masked_body(document)).splitlines()


def _diff(before: Sequence[str], after: Sequence[str]) -> list[str]:
    # Without its two lines of file names.
    return list(difflib.unified_diff(before, after, n=_CONTEXT_LINES, lineterm=""))[2:]
