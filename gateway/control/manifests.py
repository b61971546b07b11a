"""`/api/manifests`: every manifest, read masked, checked as it is typed, and written back to its file."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.config import Problem
from gateway.config.document_text import with_body
from gateway.config.manifest_files import (
    ChangedMeanwhile,
    Content,
    Invalid,
    Judged,
    ManifestFiles,
    NoSuchManifest,
    NotWritable,
    Saved,
    Shown,
)
from gateway.config.manifests.known import IN_FORCE, NOT_IN_FORCE
from gateway.config.plain_data import UnreadableText
from gateway.config.schema import schema_of
from gateway.config.yaml_places import Places
from gateway.config.yaml_text import read_yaml
from gateway.control.audit import AuditTrail, note_asked
from gateway.control.editing import Editors
from gateway.control.in_turn import InTurn
from gateway.control.json_body import JSON, BodyRefused, check_origin, read_content, read_object, to_object
from gateway.control.operator import operator_of
from gateway.control.references import refuse_new_references
from gateway.control.replies import error_reply, invalid_reply, json_reply, refuse_other_parameters

_PATH: Final = "/api/manifests"
_YAML: Final = ("application/yaml", "application/x-yaml", "text/yaml")
# What has no manifest yet: `If-None-Match: *` asks for it.
_NOTHING: Final = "*"
_LONGEST_NAME: Final = 512


class _Room:
    """The answers of this room."""

    def __init__(self, files: ManifestFiles, audit: AuditTrail) -> None:
        self._files = files
        self._audit = audit
        self._editors = Editors()
        self._checks = InTurn()

    async def list_all(self, request: Request) -> Response:
        if (refusal := refuse_other_parameters(request, ("type", "name"))) is not None:
            return refusal
        query = request.query_params
        return json_reply(await asyncio.to_thread(listed, self._files, query.get("type"), query.get("name")))

    async def show(self, request: Request) -> Response:
        place = _place(request)
        if place is None:
            return _unknown_type()
        try:
            found = await asyncio.to_thread(one_manifest, self._files, self._audit, *place)
        except NoSuchManifest as error:
            return error_reply(404, "manifest_not_found", str(error))
        return json_reply(found, headers={"etag": _quoted(found["etag"])})

    async def save(self, request: Request) -> Response:
        place = _place(request)
        if place is None:
            return _unknown_type()
        try:
            content = await _read(request)
            saved = await asyncio.to_thread(self._files.put, *place, content, _expected(request, self._files))
        except (BodyRefused, *_REFUSALS) as error:
            return await asyncio.to_thread(refusal, error, self._audit, place)
        place = (saved.shown.type, saved.shown.name)
        await note_asked(self._audit, request, "manifest.saved", *place, version=saved.version)
        found = await asyncio.to_thread(saved_manifest, self._files, saved)
        return json_reply(found, headers={"etag": _quoted(saved.shown.tag)})

    async def remove(self, request: Request) -> Response:
        place = _place(request)
        if place is None:
            return _unknown_type()
        try:
            check_origin(request.scope)
            version = await asyncio.to_thread(self._files.remove, *place, _expected(request, self._files))
        except (BodyRefused, *_REFUSALS) as error:
            return await asyncio.to_thread(refusal, error, self._audit, place)
        await note_asked(self._audit, request, "manifest.deleted", *place, version=version)
        return json_reply({"version": version})

    async def validate(self, request: Request) -> Response:
        try:
            kind, name, text, body = _asked(await read_object(request))
            async with self._checks:
                if not operator_of(request).is_admin:
                    await asyncio.to_thread(self._refuse_new_references, text, body)
                return json_reply(await asyncio.to_thread(judged, self._files, kind, name, text, body))
        except BodyRefused as error:
            return error.reply()

    def _refuse_new_references(self, text: str | None, body: Mapping[str, Any] | None) -> None:
        known = [shown.body for shown in self._files.all()]
        refuse_new_references(text, known)
        refuse_new_references(body, known)

    async def editing(self, request: Request) -> Response:
        """Who else has it open, and what it is now: what a page asks every few seconds."""
        try:
            asked = await read_object(request)
        except BodyRefused as error:
            return error.reply()
        texts = [asked.get(key) for key in ("type", "name", "editor")]
        if not all(isinstance(text, str) and len(text) <= _LONGEST_NAME for text in texts):
            return error_reply(400, "invalid_parameter", "'type', 'name' and 'editor' are short texts")
        kind, name, editor = (str(text) for text in texts)
        others = self._editors.note(kind, name, editor, operator_of(request).name)
        return json_reply(await asyncio.to_thread(edited, self._files, self._audit, kind, name, others))


async def _show_schema(request: Request) -> Response:
    found = await asyncio.to_thread(schema_of, request.path_params["kind"])
    if found is None:
        return error_reply(404, "manifest_not_found", "there is no such type of manifests")
    return json_reply(found)


def manifest_routes(files: ManifestFiles, audit: AuditTrail) -> list[Route]:
    """The routes of this room."""
    room = _Room(files, audit)
    one = f"{_PATH}/{{place:path}}"
    return [
        Route(_PATH, room.list_all, methods=["GET"]),
        Route(f"{_PATH}/editing", room.editing, methods=["POST"]),
        Route(f"{_PATH}/validate", room.validate, methods=["POST"]),
        Route(one, room.show, methods=["GET"]),
        Route(one, room.save, methods=["PUT"]),
        Route(one, room.remove, methods=["DELETE"]),
        Route("/api/schema/{kind:path}", _show_schema, methods=["GET"]),
    ]


def listed(files: ManifestFiles, kind: str | None, name: str | None) -> dict[str, Any]:
    """The body of the answer to a question for many."""
    reason = files.why_not_writable()
    return {
        "manifests": [shown_manifest(shown) for shown in files.all(kind, name)],
        "is_writable": reason is None,
        "why_not": reason,
    }


def shown_manifest(shown: Shown) -> dict[str, Any]:
    """A manifest as it is listed."""
    return {
        "type": shown.type,
        "name": shown.name,
        "file": None if shown.file is None else str(shown.file),
        "line": shown.line,
        "etag": shown.tag,
        "manifest": dict(shown.body),
    }


def edited(
    files: ManifestFiles, audit: AuditTrail, kind: str, name: str, others: Sequence[str]
) -> dict[str, Any]:
    """What an editor is told while it is open."""
    try:
        etag = files.find(kind, name).tag if name else None
    except NoSuchManifest:
        etag = None
    return {"others": list(others), "etag": etag, "changed": audit.last(kind, name) if name else None}


def saved_manifest(files: ManifestFiles, saved: Saved) -> dict[str, Any]:
    """The answer to a change that was written."""
    return {
        **shown_manifest(saved.shown),
        "yaml": _text(files, saved.shown),
        "version": saved.version,
        "warnings": [problem.to_dict() for problem in saved.warnings],
    }


def judged(
    files: ManifestFiles, kind: str, name: str | None, text: str | None, body: Mapping[str, Any] | None
) -> dict[str, Any]:
    """What a check says of a manifest in YAML, or of one whose fields are those of *body*.

    With both, *text* is changed to say *body*: what a form and a text beside it show together.
    """
    if body is not None:
        text = with_body(text or "", body)
    assert text is not None, "one of them was sent"  # noqa: S101 - says it to the type checker
    found = files.judge(kind, name, text)
    return judged_json(found, text)


def judged_json(found: Judged, text: str) -> dict[str, Any]:
    """The body of the answer."""
    places = Places(text)
    is_right = not any(problem.severity == "error" for problem in (*found.own, *found.others))
    return {
        "is_valid": is_right,
        "manifest": _fields(text),
        "yaml": text,
        "problems": [_located(problem, places) for problem in found.own],
        "elsewhere": [problem.to_dict() for problem in found.others],
    }


def refusal(error: Exception, audit: AuditTrail, place: tuple[str, str]) -> Response:
    """The answer to a change that was not made."""
    if isinstance(error, BodyRefused):
        return error.reply()
    if isinstance(error, NoSuchManifest):
        return error_reply(404, "manifest_not_found", str(error))
    if isinstance(error, NotWritable):
        return error_reply(409, "not_writable", str(error))
    if isinstance(error, Invalid):
        return invalid_reply(str(error), error.problems)
    now = error.now if isinstance(error, ChangedMeanwhile) else None
    details: dict[str, Any] = {
        "code": "changed_meanwhile",
        "message": str(error),
        "changed": audit.last(*place),
        "now": None if now is None else shown_manifest(now),
    }
    return json_reply({"error": details}, 412)


_REFUSALS: Final = (NoSuchManifest, ChangedMeanwhile, NotWritable, Invalid)


def one_manifest(files: ManifestFiles, audit: AuditTrail, kind: str, name: str) -> dict[str, Any]:
    """The answer to a question for one.

    Raises:
        NoSuchManifest: There is none.
    """
    shown = files.find(kind, name)
    return {
        **shown_manifest(shown),
        "yaml": files.text(kind, name),
        "changed": audit.last(kind, name),
        "why_not": files.why_not_writable(),
    }


def _text(files: ManifestFiles, shown: Shown) -> str | None:
    try:
        return files.text(shown.type, shown.name)
    except NoSuchManifest:
        return None  # gone again already


def _fields(text: str) -> dict[str, Any] | None:
    """What *text* says, None where it is not one manifest."""
    try:
        plains = list(read_yaml(text))
    except UnreadableText:
        return None
    return plains[0].value if len(plains) == 1 and isinstance(plains[0].value, dict) else None


def _located(problem: Problem, places: Places) -> dict[str, Any]:
    line, column = places.of(problem)
    return {**problem.to_dict(), "line": line, "column": column}


def _place(request: Request) -> tuple[str, str] | None:
    """Type and name in the path; types have slashes, and names may."""
    path = request.path_params["place"]
    known = (kind for kind in (*IN_FORCE, *NOT_IN_FORCE) if path.startswith(f"{kind}/"))
    kind = max(known, key=len, default=None)
    name = "" if kind is None else path[len(kind) + 1 :]
    return (kind, name) if kind is not None and name else None


def _unknown_type() -> Response:
    return error_reply(404, "manifest_not_found", "the path is /api/manifests/<type>/<name> of a known type")


async def _read(request: Request) -> Content:
    """The manifest in the body.

    Raises:
        BodyRefused: It is none, or empty: a slip that would write an empty manifest.
    """
    media_type, content = await read_content(request, (JSON, *_YAML))
    if media_type == JSON:
        body = to_object(content)
        if not body:
            raise BodyRefused(400, "invalid_json", "send the manifest as a JSON object")
        return body
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BodyRefused(400, "invalid_parameter", "the body is not UTF-8 text") from None


def _asked(body: Mapping[str, Any]) -> tuple[str, str | None, str | None, dict[str, Any] | None]:
    """Type, name, text and fields of what is to be checked.

    Raises:
        BodyRefused: They are not such.
    """
    kind, name = body.get("type"), body.get("name")
    text, fields = body.get("yaml"), body.get("manifest")
    if not isinstance(kind, str) or not isinstance(name, str | None):
        raise BodyRefused(400, "invalid_parameter", "'type' is text, and 'name' is, or null for a new one")
    if (
        not isinstance(text, str | None)
        or not isinstance(fields, dict | None)
        or (text is None and fields is None)
    ):
        raise BodyRefused(400, "invalid_parameter", "send 'yaml' as text, 'manifest' as an object, or both")
    return kind, name, text, fields


def _expected(request: Request, files: ManifestFiles) -> str | None:
    """The tag in `If-Match`; None without one, or for `*`. With `If-None-Match: *` that of nothing."""
    if request.headers.get("if-none-match", "").strip() == _NOTHING:
        return files.tag(None)
    value = request.headers.get("if-match", _NOTHING).strip()
    return None if value == _NOTHING else value.removeprefix("W/").strip('"')


def _quoted(tag: str) -> str:
    return f'"{tag}"'
