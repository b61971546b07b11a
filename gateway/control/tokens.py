"""`/api/tokens`: what callers sign in with, listed, made, rotated and revoked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.config.manifest_files import ChangedMeanwhile, Invalid, NoSuchManifest, NotWritable
from gateway.control.audit import AuditTrail, note_asked
from gateway.control.json_body import BodyRefused, read_object
from gateway.control.replies import invalid_reply, json_reply
from gateway.identity.issued_tokens import IssuedTokens, Kind, NoSuchToken, Refused

_T = TypeVar("_T")
_Ask = Callable[[Request], Awaitable[Response]]

_KINDS: Final[dict[str, Kind]] = {"virtual_account": "virtual-account", "pat": "pat"}
_MOST_DAYS: Final = 99_999


def token_routes(tokens: IssuedTokens, audit: AuditTrail) -> list[Route]:
    """The routes of this room. Every answer is `no-store`: a new token is in it once."""

    async def show(_request: Request) -> Response:
        listed = await asyncio.to_thread(tokens.all)
        return json_reply({"tokens": [token.to_dict() for token in listed]})

    async def create(request: Request) -> Response:
        body = await read_object(request)
        (field, kind), name = _whose(body)
        expires = _text(body, "expires_at", is_required=False)
        _refuse_others(body, {field, "expires_at"})
        made = await _do(lambda: tokens.create(kind, name, expires))
        place = kind, f"{name}/{made.listed.id}"
        await note_asked(audit, request, "token.created", *place, version=made.version)
        return json_reply(made.to_dict(), 201)

    async def rotate(request: Request) -> Response:
        body = await read_object(request)
        token_id = _text(body, "id") or ""
        grace_days = _days(body)
        _refuse_others(body, {"id", "grace_days"})
        made = await _do(lambda: tokens.rotate(token_id, grace_days=grace_days))
        place = made.listed.kind, f"{made.listed.name}/{token_id}"
        await note_asked(audit, request, "token.rotated", *place, version=made.version)
        return json_reply(made.to_dict(), 201)

    async def revoke(request: Request) -> Response:
        body = await read_object(request)
        token_id = _text(body, "id") or ""
        _refuse_others(body, {"id"})
        revoked, version = await _do(lambda: tokens.revoke(token_id))
        place = revoked.kind, f"{revoked.name}/{token_id}"
        await note_asked(audit, request, "token.revoked", *place, version=version)
        return json_reply({"id": token_id, "subject": revoked.subject, "state": "revoked"})

    return [
        Route("/api/tokens", show, methods=["GET"]),
        Route("/api/tokens", _answered(create), methods=["POST"]),
        Route("/api/tokens/rotate", _answered(rotate), methods=["POST"]),
        Route("/api/tokens/revoke", _answered(revoke), methods=["POST"]),
    ]


def _answered(change: _Ask) -> _Ask:
    """*change*, which answers with what is wrong where it is refused."""

    async def answer(request: Request) -> Response:
        try:
            return await change(request)
        except BodyRefused as error:
            return error.reply()
        except Invalid as error:
            return invalid_reply("the configuration has errors; nothing was written", error.problems)

    return answer


async def _do(change: Callable[[], _T]) -> _T:
    """Make a change in a thread.

    Raises:
        BodyRefused: It cannot be made.
        Invalid: The configuration has errors.
    """
    try:
        return await asyncio.to_thread(change)
    except NoSuchManifest as error:
        raise BodyRefused(404, "manifest_not_found", str(error)) from error
    except NoSuchToken as error:
        raise BodyRefused(404, "token_not_found", str(error)) from error
    except Refused as error:
        raise BodyRefused(400, "invalid_parameter", str(error)) from error
    except ChangedMeanwhile as error:
        raise BodyRefused(412, "changed_meanwhile", str(error)) from error
    except NotWritable as error:
        raise BodyRefused(409, "not_writable", str(error)) from error


def _whose(body: dict[str, Any]) -> tuple[tuple[str, Kind], str]:
    given = [(field, kind) for field, kind in _KINDS.items() if field in body]
    if len(given) != 1:
        raise BodyRefused(400, "invalid_parameter", "send one of 'virtual_account' and 'pat', a name")
    return given[0], _text(body, given[0][0]) or ""


def _text(body: dict[str, Any], name: str, *, is_required: bool = True) -> str | None:
    value = body.get(name)
    if value is None and not is_required:
        return None
    if not isinstance(value, str) or not value:
        raise BodyRefused(400, "invalid_parameter", f"'{name}' is a text that is not empty")
    return value


def _days(body: dict[str, Any]) -> int | None:
    value = body.get("grace_days")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MOST_DAYS:
        raise BodyRefused(400, "invalid_parameter", f"'grace_days' is a number from 0 to {_MOST_DAYS}")
    return value


def _refuse_others(body: dict[str, Any], known: set[str]) -> None:
    others = sorted(body.keys() - known)
    if others:
        raise BodyRefused(400, "invalid_parameter", f"unknown field '{others[0]}'")
