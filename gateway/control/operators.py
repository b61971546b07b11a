"""Signing in and out, and who may: `/api/sign-in`, `/api/first`, `/api/me`, `/api/operators` and tokens.

A secret is in an answer once, when it is made: a new token, and the link by which a user sets a password.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.control.audit import OPERATOR, AuditTrail, note_asked
from gateway.control.auth import FIRST_PATH, Access, is_https, session_in, too_many_tries
from gateway.control.json_body import BodyRefused, read_object
from gateway.control.operator import Role, address_in, operator_of
from gateway.control.replies import error_reply, json_reply
from gateway.control.sign_in.accounts import AccountRefused, Token
from gateway.control.sign_in.entrance import TooManyTries, WrongSecret
from gateway.control.sign_in.sessions import LONGEST_S
from gateway.tracestore.timestamps import format_rfc3339

_DAY_S: Final = 86_400.0
_MAX_DAYS: Final = 3650
# An old browser that sees both a cookie of `/` and of a path sends both; one place is enough.
_COOKIE_PATH: Final = "/"


class OperatorRooms:
    """The handlers; each reads a JSON object and answers with one."""

    def __init__(self, access: Access, audit: AuditTrail) -> None:
        self._entrance = access.entrance
        self._accounts = access.entrance.accounts
        self._cookie = access.cookie
        self._audit = audit

    # The way in

    async def sign_in(self, request: Request) -> Response:
        """With `{"user", "password"}` or `{"token"}`."""
        body = await read_object(request)
        address = address_in(request.scope)
        if "token" in body:
            secret = await self._entrance.with_token(_text(body, "token"), address)
        else:
            user, password = _text(body, "user"), _text(body, "password")
            secret = await self._entrance.with_password(user, password, address)
        return await self._signed_in(request, secret)

    async def first(self, request: Request) -> Response:
        """With `{"link", "password"}`: sets the password of the user whose link it is."""
        body = await read_object(request)
        link, password = _text(body, "link"), _text(body, "password")
        try:
            secret = await self._entrance.with_link(link, password, address_in(request.scope))
        except WrongSecret:
            message = "this link was used or has expired; on the host: gateway admin link"
            return error_reply(403, "link_ended", message)
        return await self._signed_in(request, secret, "operator.password_set")

    async def sign_out(self, request: Request) -> Response:
        """Ends the session."""
        if (secret := session_in(request.scope, self._cookie)) is not None:
            await asyncio.to_thread(self._entrance.sign_out, secret)
        reply = json_reply({})
        reply.delete_cookie(self._cookie, path=_COOKIE_PATH, httponly=True, samesite="lax")
        return reply

    async def me(self, request: Request) -> Response:
        """Who is signed in."""
        operator = operator_of(request)
        return json_reply({"name": operator.name, "role": operator.role})

    async def change_password(self, request: Request) -> Response:
        """With `{"password", "new_password"}`; one's other sessions end."""
        body = await read_object(request)
        name, address = operator_of(request).name, address_in(request.scope)
        old, new = _text(body, "password"), _text(body, "new_password")
        secret = await self._entrance.change_password(name, old, new, address)
        return await self._signed_in(request, secret, "operator.password_set")

    # Users

    async def list_users(self, request: Request) -> Response:
        """All users of the dashboard."""
        if (refusal := _admin_only(request)) is not None:
            return refusal
        users = [
            {
                "name": user.name,
                "role": user.role,
                "has_password": user.has_password,
                "created_at": _time(user.created_at_s),
            }
            for user in self._accounts.users()
        ]
        return json_reply({"users": users})

    async def add_user(self, request: Request) -> Response:
        """With `{"name", "role"}`; the answer has the link to set a password."""
        body = await read_object(request)
        name, role = _text(body, "name").strip(), _role(body)
        await asyncio.to_thread(self._accounts.add_user, name, role)
        await self._note(request, "operator.created", name)
        return await self._link(request, name, 201)

    async def make_link(self, request: Request) -> Response:
        """A new link for a user who has forgotten the password."""
        return await self._link(request, request.path_params["name"], 200)

    async def set_role(self, request: Request) -> Response:
        """With `{"role"}`."""
        name, role = request.path_params["name"], _role(await read_object(request))
        await asyncio.to_thread(self._accounts.set_role, name, role)
        await self._note(request, "operator.changed", name)
        return json_reply({"name": name, "role": role})

    async def remove_user(self, request: Request) -> Response:
        """Removes a user; their sessions end."""
        name = request.path_params["name"]
        await asyncio.to_thread(self._accounts.remove_user, name)
        await self._note(request, "operator.removed", name)
        return json_reply({})

    # Tokens

    async def list_tokens(self, request: Request) -> Response:
        """All tokens, without their secrets."""
        if (refusal := _admin_only(request)) is not None:
            return refusal
        return json_reply({"tokens": [_shown(token) for token in self._accounts.tokens()]})

    async def make_token(self, request: Request) -> Response:
        """With `{"name", "role", "days"?}`; the answer has the secret, once."""
        body = await read_object(request)
        name, role, days = _text(body, "name").strip(), _role(body), body.get("days")
        if days is not None and (not isinstance(days, int) or not 0 < days <= _MAX_DAYS):
            raise BodyRefused(
                400, "invalid_parameter", f"'days' is a number from 1 to {_MAX_DAYS}, or absent"
            )
        valid_s = None if days is None else days * _DAY_S
        token, secret = await asyncio.to_thread(self._accounts.make_token, name, role, valid_s)
        await self._note(request, "admin_token.created", name)
        return json_reply({**_shown(token), "token": secret}, 201)

    async def revoke_token(self, request: Request) -> Response:
        """Ends a token, and the sessions that were begun with it."""
        token = await asyncio.to_thread(self._accounts.revoke_token, request.path_params["id"])
        await self._note(request, "admin_token.revoked", token.name)
        return json_reply({})

    async def _signed_in(self, request: Request, secret: str, action: str = "operator.signed_in") -> Response:
        operator = self._entrance.by_session(secret)
        if operator is None:
            raise WrongSecret
        await self._note(request, action, operator.name, by=operator.name)
        reply = json_reply({"name": operator.name, "role": operator.role})
        reply.set_cookie(
            self._cookie,
            secret,
            max_age=int(LONGEST_S),
            path=_COOKIE_PATH,
            secure=is_https(request.scope),
            httponly=True,
            samesite="lax",
        )
        return reply

    async def _link(self, request: Request, name: str, status: int) -> Response:
        secret = await asyncio.to_thread(self._accounts.make_link, name)
        await self._note(request, "operator.link_made", name)
        return json_reply({"name": name, "link": f"{FIRST_PATH}#{secret}"}, status)

    async def _note(self, request: Request, action: str, name: str, *, by: str | None = None) -> None:
        await note_asked(self._audit, request, action, OPERATOR, name, operator=by)


def operator_routes(access: Access, audit: AuditTrail) -> list[Route]:
    """The routes of this room."""
    rooms = OperatorRooms(access, audit)
    handlers = (
        ("POST", "/api/sign-in", rooms.sign_in),
        ("POST", "/api/first", rooms.first),
        ("POST", "/api/sign-out", rooms.sign_out),
        ("GET", "/api/me", rooms.me),
        ("POST", "/api/me/password", rooms.change_password),
        ("GET", "/api/operators", rooms.list_users),
        ("POST", "/api/operators", rooms.add_user),
        ("DELETE", "/api/operators/{name}", rooms.remove_user),
        ("POST", "/api/operators/{name}/role", rooms.set_role),
        ("POST", "/api/operators/{name}/link", rooms.make_link),
        ("GET", "/api/operator-tokens", rooms.list_tokens),
        ("POST", "/api/operator-tokens", rooms.make_token),
        ("DELETE", "/api/operator-tokens/{id}", rooms.revoke_token),
    )
    return [Route(path, _answered(handler), methods=[method]) for method, path, handler in handlers]


def _answered(handler: Any) -> Any:
    """*handler*, with what it refuses as answers."""

    async def answer(request: Request) -> Response:
        try:
            reply: Response = await handler(request)
        except BodyRefused as error:
            return error.reply()
        except WrongSecret:
            return error_reply(401, "wrong_secret", "the name, the password or the token is wrong")
        except AccountRefused as error:
            return error_reply(400, "refused", str(error))
        except TooManyTries as error:
            return too_many_tries(error)
        return reply

    return answer


def _admin_only(request: Request) -> Response | None:
    if operator_of(request).is_admin:
        return None
    return error_reply(403, "admin_only", "you are signed in as a viewer; only an admin may see this")


def _text(body: dict[str, Any], key: str) -> str:
    value = body.get(key)
    if not isinstance(value, str) or not value:
        raise BodyRefused(400, "invalid_parameter", f"'{key}' is missing")
    return value


def _role(body: dict[str, Any]) -> Role:
    try:
        return Role(_text(body, "role"))
    except ValueError as error:
        raise BodyRefused(400, "invalid_parameter", "'role' is viewer or admin") from error


def _shown(token: Token) -> dict[str, Any]:
    return {
        "id": token.id,
        "name": token.name,
        "role": token.role,
        "created_at": _time(token.created_at_s),
        "expires_at": None if token.expires_at_s is None else _time(token.expires_at_s),
    }


def _time(at_s: float) -> str:
    return format_rfc3339(int(at_s * 1e9))
