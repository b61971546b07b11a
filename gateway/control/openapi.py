"""The admin API described: one table, from which `GET /api/openapi.json` and the page about the API are made.

A test holds it to the routes that there are. https://spec.openapis.org/oas/v3.1.0
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway import __version__
from gateway.control.replies import json_reply

PATH: Final = "/api/openapi.json"
_PARAMETER: Final = re.compile(r"\{(\w+)(?::\w+)?\}")
_EXAMPLES: Final = {"integer": 50, "number": 100, "string": "...", "object": {}, "array": []}


@dataclass(frozen=True, slots=True)
class Field:
    """Something that is sent, in the query or in the body."""

    name: str
    text: str
    type: str = "string"
    is_required: bool = False


@dataclass(frozen=True, slots=True)
class Operation:
    """What one method of one path does.

    Attributes:
        who: anybody, caller (of the gateway, with a token of theirs), viewer or admin: the least that may.
        answer: What the answer holds, in words.
        body: None: no body; (): any object.
        path: As the router has it.
        takes_yaml: Whether the body may be YAML as well as JSON.
        gives_events: Whether a success is server-sent events, and not JSON.
    """

    method: str
    path: str
    summary: str
    answer: str
    who: str = "viewer"
    query: Sequence[Field] = ()
    headers: Sequence[Field] = ()
    body: Sequence[Field] | None = None
    status: int = 200
    takes_yaml: bool = False
    gives_events: bool = False

    @property
    def shown_path(self) -> str:
        """The path for readers, who need not know how the router finds a parameter's end."""
        return _PARAMETER.sub(r"{\1}", self.path)


@dataclass(frozen=True, slots=True)
class Topic:
    """Operations under one heading."""

    title: str
    operations: Sequence[Operation] = field(default=())


_PAGE: Final = (
    Field("limit", "1 to 1000, default 50", "integer"),
    Field("cursor", "next_cursor of the page before"),
)
_USAGE: Final = (
    *_PAGE,
    *(Field(name, "exactly") for name in ("rule", "type", "team", "unit", "entity")),
    Field("min_percentage", "used at least so much of", "number"),
)
_ROLE: Final = Field("role", "viewer or admin", is_required=True)
_TARGET: Final = (Field("target", "its name: <account>/<integration>", is_required=True),)
_MANIFEST_NAME: Final = (Field("name", "of the manifest; the first one by default"),)

_IF_MATCH: Final = Field(
    "If-Match", "the etag of what is to be changed: refused with 412 if that is another by now"
)
_IF_NONE_MATCH: Final = Field("If-None-Match", "*: only if there is none")
_JSON: Final = "application/json"
_EVENTS: Final[Mapping[str, Any]] = {"text/event-stream": {"schema": {"type": "string"}}}

_SEARCH: Final = (
    Field("since", "started at this time (RFC 3339) or later"),
    Field("until", "started before this time"),
    Field("status", "ok, error or a status code"),
    Field("model", "exactly as asked, or as resolved"),
    Field("asked", "exactly as asked"),
    Field("target", "exactly as resolved"),
    Field("caller", "name of the virtual account, or email of the user"),
    Field("user", "email of the user"),
    Field("virtual_account", "name of the virtual account"),
    Field("team", "name of a team of the caller"),
    Field("error_type", "exactly this type of error"),
    Field("min_duration_ms", "at least this long", "number"),
    Field("max_duration_ms", "at most this long", "number"),
    Field("min_cost_usd", "at least this dear", "number"),
    Field("max_cost_usd", "at most this dear", "number"),
    Field("q", "start of a trace id, or part of a model, caller, team, error or value of metadata"),
)

TOPICS: Final = (
    Topic(
        "Traces",
        (
            Operation(
                "GET",
                "/api/traces",
                "Calls in the local store, newest first; metadata.<key> searches by metadata too",
                "traces, next_cursor and searched_back_to",
                query=(*_PAGE, *_SEARCH),
            ),
            Operation(
                "GET",
                "/api/traces/tail",
                "Calls that come from now on, as server-sent events",
                "events traces with up to 100 calls each",
                query=_SEARCH,
                headers=(Field("Last-Event-ID", "goes on where a stream that broke off was"),),
                gives_events=True,
            ),
            Operation(
                "GET", "/api/traces/{trace_id}", "Every span of a trace", "resource and spans, in start order"
            ),
        ),
    ),
    Topic(
        "Metrics",
        (
            Operation(
                "GET",
                "/api/metrics/query",
                "What calls add up to, over a range of time and split by what tells them apart",
                "total, points over time, groups, and how far back numbers and traces reach",
                query=(
                    Field("since", "RFC 3339; default: an hour before the end"),
                    Field("until", "RFC 3339; default: now"),
                    Field("step", "of a point: seconds, or as 5m, 1h, 1d"),
                    Field("split_by", "a name of the filters below, or metadata.<key>"),
                    Field("model", "only calls that asked for this model"),
                    Field("target", "only calls that this target answered"),
                    Field("virtual_account", "only calls of this virtual account"),
                    Field("user", "only calls of this user"),
                    Field("team", "only calls of this team's members"),
                    Field("status", "only calls with this status code"),
                    Field("error_type", "only calls that failed like this"),
                ),
            ),
        ),
    ),
    Topic(
        "Telemetry",
        (
            Operation(
                "GET",
                "/api/telemetry",
                "What became of every span, per destination and worker",
                "destinations with their ledgers, removed ones, workers",
            ),
            Operation(
                "GET",
                "/api/telemetry/history",
                "What each destination took in the last ten minutes",
                "every_s and destinations, the newest value last",
            ),
            Operation(
                "POST",
                "/api/telemetry/test",
                "Send one span to each destination, or to one",
                "results, each with what happened and advice",
                who="admin",
                body=(
                    Field("destination", "only to this one"),
                    Field(
                        "manifest",
                        "a destination that is not saved yet, in the place of `destination`; masks stand for "
                        "what is stored of that",
                        "object",
                    ),
                ),
            ),
        ),
    ),
    Topic(
        "Configuration",
        (
            Operation(
                "GET",
                "/api/config",
                "What is in force",
                "version, source, workers, not_in_force, last_rejected",
            ),
            Operation(
                "GET",
                "/api/replicas",
                "Which gateways there are, and what each has in force",
                "shared and replicas",
            ),
            Operation(
                "GET",
                "/api/config/otel",
                "A destination's manifest, with its secrets masked",
                "the manifest; the etag is for If-Match",
                query=_MANIFEST_NAME,
            ),
            Operation(
                "PUT",
                "/api/config/otel",
                "Write a destination's manifest; masked secrets stay",
                "manifest, file, version, warnings",
                who="admin",
                query=_MANIFEST_NAME,
                headers=(_IF_MATCH, _IF_NONE_MATCH),
                body=(),
            ),
            Operation(
                "GET",
                "/api/manifests",
                "Every manifest on disk, or some",
                "manifests, is_writable and why_not",
                query=(Field("type", "only of this type"), Field("name", "only of this name")),
            ),
            Operation(
                "GET",
                "/api/manifests/{place:path}",
                "A manifest by type and name (a type may hold a slash), with its secrets masked",
                "the manifest, its text and who changed it last; the etag is for If-Match",
            ),
            Operation(
                "PUT",
                "/api/manifests/{place:path}",
                "Write a manifest, as JSON or as YAML; masked secrets stay",
                "as of GET, and warnings",
                who="admin",
                headers=(_IF_MATCH, _IF_NONE_MATCH),
                body=(),
                takes_yaml=True,
            ),
            Operation(
                "DELETE",
                "/api/manifests/{place:path}",
                "Remove a manifest",
                "the new version",
                who="admin",
                headers=(_IF_MATCH,),
            ),
            Operation(
                "POST",
                "/api/manifests/validate",
                "Check a manifest without writing it",
                "problems, and the manifest in both forms",
                body=(
                    Field("type", "of the manifest", is_required=True),
                    Field("name", "of the one it replaces; absent for a new one"),
                    Field("yaml", "its text"),
                    Field("manifest", "its fields", "object"),
                ),
            ),
            Operation(
                "POST",
                "/api/manifests/editing",
                "Tell that a manifest is open in an editor",
                "who else has it open, its tag now, and who changed it last",
                who="admin",
                body=(
                    Field("type", "of the manifest", is_required=True),
                    Field("name", "of the manifest", is_required=True),
                    Field("editor", "a word of the editor's own", is_required=True),
                ),
            ),
            Operation(
                "GET", "/api/schema/{kind:path}", "The JSON Schema of a type of manifests", "the schema"
            ),
            Operation(
                "GET", "/api/config/history", "What was in force, newest first", "versions and why_not"
            ),
            Operation(
                "GET",
                "/api/config/history/{version}",
                "What differs between two versions",
                "the manifests that differ, before and after",
                query=(Field("against", "another version; what is in force by default"),),
            ),
            Operation(
                "POST",
                "/api/config/restore",
                "Write the manifests of a version again",
                "version, and what was written",
                who="admin",
                body=(Field("version", "one of the history", is_required=True),),
            ),
            Operation(
                "GET",
                "/api/audit",
                "Who changed what, newest first",
                "entries and next_cursor",
                query=(*_PAGE, *(Field(name, "exactly") for name in ("action", "type", "name"))),
            ),
        ),
    ),
    Topic(
        "Targets",
        (
            Operation("GET", "/api/targets", "How every target does", "targets with health and samples"),
            Operation(
                "POST",
                "/api/targets/drain",
                "Send no more calls to a target",
                "the target",
                who="admin",
                body=_TARGET,
            ),
            Operation(
                "POST", "/api/targets/undrain", "Send calls again", "the target", who="admin", body=_TARGET
            ),
        ),
    ),
    Topic(
        "Limits",
        (
            Operation(
                "GET",
                "/api/limits/usage",
                "What is used of every limit and budget",
                "usage and next_cursor",
                query=_USAGE,
            ),
            Operation(
                "GET",
                "/api/limits/my-usage",
                "What a caller of the gateway has used, asked with their own token",
                "usage and next_cursor",
                who="caller",
                query=_USAGE,
            ),
            Operation(
                "POST",
                "/api/limits/simulate",
                "What a call would be told now, charged nowhere",
                "allowed, refusal, and every rule that counts",
                body=(
                    Field("model", "what is asked for", is_required=True),
                    *(Field(one, "who calls, one of them") for one in ("user", "virtual_account", "token")),
                    Field("team", "of a user"),
                    Field("teams", "of a user", "array"),
                    Field("metadata", "as in x-tfy-metadata", "object"),
                    Field("input_tokens", "what the call may use", "integer"),
                    Field("output_tokens", "likewise", "integer"),
                    Field("manifests", "rules in the place of those in force", "array"),
                ),
            ),
        ),
    ),
    Topic(
        "Signing in",
        (
            Operation(
                "POST",
                "/api/sign-in",
                "Begin a session, with user and password or with a token",
                "name and role; sets the session cookie",
                who="anybody",
                body=(
                    Field("user", "with password"),
                    Field("password", "of the user"),
                    Field("token", "alone"),
                ),
            ),
            Operation(
                "POST",
                "/api/first",
                "Set a password by a one-time link, and begin a session",
                "name and role; sets the session cookie",
                who="anybody",
                body=(
                    Field("link", "what is after the # of the link", is_required=True),
                    Field("password", "at least 12 characters", is_required=True),
                ),
            ),
            Operation("POST", "/api/sign-out", "End the session", "nothing"),
            Operation("GET", "/api/me", "Who one is", "name and role"),
            Operation(
                "POST",
                "/api/me/password",
                "Change one's own password; other sessions end",
                "name and role; sets the session cookie",
                body=(
                    Field("password", "as it is now", is_required=True),
                    Field("new_password", "at least 12 characters", is_required=True),
                ),
            ),
        ),
    ),
    Topic(
        "Tokens of callers",
        (
            Operation("GET", "/api/tokens", "Tokens of virtual accounts and users", "tokens, no secrets"),
            Operation(
                "POST",
                "/api/tokens",
                "Make a token of one of the two",
                "the token, this once",
                who="admin",
                body=(
                    Field("virtual_account", "a virtual account's name"),
                    Field("pat", "a personal access token's name"),
                    Field("expires_at", "2027-01-31, 2027-01-31T18:00:00Z or 90d; never by default"),
                ),
                status=201,
            ),
            Operation(
                "POST",
                "/api/tokens/rotate",
                "Make another in the place of one, which works on for a while",
                "the new token, this once",
                who="admin",
                body=(
                    Field("id", "of the token", is_required=True),
                    Field("grace_days", "how long the old one works on", "integer"),
                ),
                status=201,
            ),
            Operation(
                "POST",
                "/api/tokens/revoke",
                "End a token",
                "what it was",
                who="admin",
                body=(Field("id", "of the token", is_required=True),),
            ),
        ),
    ),
    Topic(
        "Playground",
        (
            Operation("GET", "/api/playground/models", "What one may call", "names of models"),
            Operation(
                "POST",
                "/api/playground/chat",
                "A chat completion as who is signed in",
                "events: head, then those of the model, or one answer",
                body=(
                    Field("request", "the body of a chat completion", "object", is_required=True),
                    Field("metadata", "as in x-tfy-metadata", "object"),
                ),
                gives_events=True,
            ),
        ),
    ),
    Topic(
        "Models",
        (
            Operation(
                "POST",
                "/api/models/test",
                "Call a model as a manifest describes it that is not saved yet",
                "what came of it, with advice",
                who="admin",
                body=(
                    Field("type", "of the account", is_required=True),
                    Field("name", "of the stored account that it is a change of; absent: a new one"),
                    Field("yaml", "the manifest as text; or"),
                    Field("manifest", "its fields; masks stand for what is stored", "object"),
                    Field("model", "name of one of its models; absent: the first"),
                ),
            ),
        ),
    ),
    Topic(
        "Operators",
        (
            Operation("GET", "/api/operators", "Users of the dashboard", "users", who="admin"),
            Operation(
                "POST",
                "/api/operators",
                "Add a user",
                "name, and the link by which they choose a password",
                who="admin",
                body=(Field("name", "what they sign in with", is_required=True), _ROLE),
                status=201,
            ),
            Operation(
                "DELETE",
                "/api/operators/{name}",
                "Remove a user; their sessions end",
                "nothing",
                who="admin",
            ),
            Operation(
                "POST",
                "/api/operators/{name}/role",
                "Change a user's role, in force at once",
                "name and role",
                who="admin",
                body=(_ROLE,),
            ),
            Operation(
                "POST",
                "/api/operators/{name}/link",
                "A new link to set a password; those before end",
                "name and link",
                who="admin",
            ),
            Operation(
                "GET", "/api/operator-tokens", "Tokens of the admin API", "tokens, no secrets", who="admin"
            ),
            Operation(
                "POST",
                "/api/operator-tokens",
                "Make a token",
                "the token, this once",
                who="admin",
                body=(
                    Field("name", "what it is for", is_required=True),
                    _ROLE,
                    Field("days", "how long it is valid; for ever by default", "integer"),
                ),
                status=201,
            ),
            Operation(
                "DELETE", "/api/operator-tokens/{id}", "Revoke a token at once", "nothing", who="admin"
            ),
        ),
    ),
    Topic(
        "This document",
        (Operation("GET", PATH, "The API in OpenAPI's form", "this"),),
    ),
)


def document(topics: Sequence[Topic] = TOPICS) -> dict[str, Any]:
    """The OpenAPI document."""
    paths: dict[str, dict[str, Any]] = {}
    for topic in topics:
        for operation in topic.operations:
            paths.setdefault(operation.shown_path, {})[operation.method.lower()] = _described(
                operation, topic.title
            )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Admin API of the gateway",
            "version": __version__,
            "description": "What the control process answers. Times are RFC 3339 in UTC, durations "
            "milliseconds, money USD; what is unknown is null.",
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": topic.title} for topic in topics],
        "security": [{"token": []}, {"session": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "caller": {"type": "http", "scheme": "bearer", "description": "A token of the gateway."},
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": "gateway-session-<control port>",
                    "description": "With each change X-CSRF-Token too.",
                },
            },
            "schemas": {"Error": _ERROR},
        },
    }


def curl(operation: Operation) -> str:
    """How to try *operation* in a shell."""
    # Events are shown as they come, and not when there are enough for a buffer.
    command = "curl -sN" if operation.gives_events else "curl -s"
    words = [command, '-H "Authorization: Bearer $GATEWAY_ADMIN_TOKEN"']
    if operation.who == "anybody":
        words = [command]
    if operation.who == "caller":
        words[1] = '-H "Authorization: Bearer $TOKEN"'
    if operation.method != "GET":
        words.insert(1, f"-X {operation.method}")
    if operation.body is not None:
        sent = ", ".join(f'"{one.name}": {_example(one)}' for one in operation.body)
        words += ["-H 'Content-Type: application/json'", f"-d '{{{sent}}}'"]
    return " ".join([*words, "'$ORIGIN" + _PARAMETER.sub(r"<\1>", operation.path) + "'"])


def openapi_routes() -> list[Route]:
    """The route of this room; the document is made once, here."""
    made = document()

    async def show(_request: Request) -> Response:
        return json_reply(made)

    return [Route(PATH, show, methods=["GET"])]


def _described(operation: Operation, tag: str) -> dict[str, Any]:
    names = _PARAMETER.findall(operation.path)
    in_path = [{"name": one, "in": "path", "required": True, "schema": {"type": "string"}} for one in names]
    sent = [
        {"name": one.name, "in": where, "description": one.text, "schema": {"type": one.type}}
        for where, fields in (("query", operation.query), ("header", operation.headers))
        for one in fields
    ]
    words = re.findall(r"[a-z_]+", operation.path.removeprefix("/api"))
    described: dict[str, Any] = {
        "operationId": "_".join([operation.method.lower(), *words]),
        "tags": [tag],
        "summary": operation.summary,
        "description": f"For: {operation.who}.",
        "parameters": [*in_path, *sent],
        "responses": {
            str(operation.status): {
                "description": operation.answer,
                "content": _EVENTS if operation.gives_events else {_JSON: {"schema": {"type": "object"}}},
            },
            "default": {
                "description": "Refused; the message says why",
                "content": {_JSON: {"schema": {"$ref": "#/components/schemas/Error"}}},
            },
        },
    }
    if operation.who == "anybody":
        described["security"] = []
    if operation.who == "caller":
        described["security"] = [{"caller": []}]
    if operation.body is not None:
        schema = {
            "type": "object",
            "properties": {one.name: {"type": one.type, "description": one.text} for one in operation.body},
            "required": [one.name for one in operation.body if one.is_required],
        }
        content: dict[str, Any] = {_JSON: {"schema": schema}}
        if operation.takes_yaml:
            content["application/yaml"] = {"schema": {"type": "string"}}
        described["requestBody"] = {"content": content}
    return described


def _example(one: Field) -> str:
    value = _EXAMPLES[one.type]
    return f'"{value}"' if isinstance(value, str) else str(value)


_ERROR: Final[Mapping[str, Any]] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "string", "description": "for programs"},
                "message": {"type": "string", "description": "for people"},
                "problems": {"type": "array", "items": {"type": "object"}},
            },
        }
    },
}
