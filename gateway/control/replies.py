"""JSON answers, and errors as `{"error": {"code", "message"}}` wherever they come from."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from typing import Final

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from gateway.config import Problem

_log: Final = logging.getLogger(__name__)

_MEDIA_TYPE: Final = "application/json"
# What is shown is the state of this moment, and its type is not to be guessed.
_HEADERS: Final = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
_CODES: Final = {404: "not_found", 405: "method_not_allowed"}
_MESSAGES: Final = {
    404: "there is nothing at this path",
    405: "this path does not take this method",
}


def json_reply(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """*value* as JSON."""
    return encoded_reply(orjson.dumps(value), status, headers)


def encoded_reply(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """JSON that was encoded before, in a thread where it could take its time."""
    return Response(body, status, {**_HEADERS, **(headers or {})}, _MEDIA_TYPE)


def error_reply(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Response:
    """An error, with *code* for programs and *message* for people."""
    return json_reply({"error": {"code": code, "message": message}}, status, headers)


def invalid_reply(message: str, problems: Iterable[Problem]) -> Response:
    """A change of manifests that have errors, and which."""
    listed = [problem.to_dict() for problem in problems]
    return json_reply({"error": {"code": "invalid_manifest", "message": message, "problems": listed}}, 400)


def refuse_other_parameters(request: Request, known: Collection[str]) -> Response | None:
    """The answer to a query that says more than *known*, or something twice; None: it does not.

    A filter that is misspelt would filter nothing, and nobody would see it.
    """
    given = [name for name, _ in request.query_params.multi_items()]
    unknown = next((name for name in given if name not in known), None)
    if unknown is None and len(given) == len(set(given)):
        return None
    what = "a parameter is given twice" if unknown is None else f"'{unknown[:40]}' is no parameter"
    return error_reply(400, "invalid_parameter", f"{what}; there are {', '.join(known)}, each once")


async def on_http_error(_request: Request, error: Exception) -> Response:
    """What the router refuses: no such path, not this method."""
    if not isinstance(error, HTTPException):
        raise error
    message = _MESSAGES.get(error.status_code, error.detail)
    headers = dict(error.headers or {})
    return error_reply(error.status_code, _CODES.get(error.status_code, "refused"), message, headers)


async def on_failure(request: Request, error: Exception) -> Response:
    """A mistake of ours, or a file that cannot be read; the client learns no more than that."""
    return failure_reply(request.scope, error)


def failure_reply(scope: Scope, error: Exception) -> Response:
    """The same of a request that did not come as far as the app; the server itself logs nothing."""
    # Without the query, in which there may be what somebody searches for; a line break stays in the line.
    _log.error("%s %r failed", scope.get("method", ""), scope["path"], exc_info=error)
    return error_reply(500, "internal", "the control plane failed on this request; its log says how")
