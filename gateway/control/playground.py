"""`/api/playground/*`: models and chat completions for who is signed in, at the data plane like everybody's.

The browser never sees a credential of the data plane: for each call a token is made that is good for minutes
(`gateway.identity.dashboard_tokens`). A worker reads it as it does any other, so rights, limits and traces
are those of a caller, and what may be called is not decided here.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import orjson
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gateway.control.json_body import BodyRefused, read_object
from gateway.control.operator import Operator, operator_of
from gateway.control.replies import error_reply, json_reply
from gateway.upstream.data_plane import Answer, DataPlaneAway

CHAT_PATH: Final = "/api/playground/chat"
MOST_AT_ONCE: Final = 32
_MODELS_PATH: Final = "/api/playground/models"
_MAY_CALL_NOTHING: Final = (401, 403)
_STREAM: Final = "text/event-stream"
_HEADERS: Final = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    # A proxy in front must not gather events.
    "x-accel-buffering": "no",
}


class Line(Protocol):
    """See `gateway.upstream.data_plane`."""

    def call(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None
    ) -> AbstractAsyncContextManager[Answer]:
        """One call."""


class Minter(Protocol):
    """See `gateway.identity.dashboard_tokens`."""

    def mint(self, user: str, *, is_admin: bool, now_s: float) -> str:
        """A token of *user*."""


@dataclass
class Playground:
    """Calls for who is signed in.

    Attributes:
        line: To the data plane.
        minter: Of the tokens that it takes.
        most_at_once: Calls of all operators together.
    """

    line: Line
    minter: Minter
    most_at_once: int = MOST_AT_ONCE
    _open: int = field(default=0, init=False)

    @property
    def is_full(self) -> bool:
        """Whether one more call would be too many."""
        return self._open >= self.most_at_once

    async def models(self, operator: Operator) -> tuple[int, bytes]:
        """What the operator may call, as `GET /v1/models` says it, with its status.

        Raises:
            DataPlaneAway: It says nothing.
        """
        headers = await self._headers(operator)
        async with self.line.call("GET", "/v1/models", headers, None) as answer:
            return answer.status, b"".join([part async for part in answer.parts])

    async def chat(
        self, operator: Operator, asked: Mapping[str, Any], metadata: Mapping[str, str]
    ) -> AsyncIterator[bytes]:
        """A chat completion as events: `head`, then those of the model, or one `answer`; or `trouble`."""
        self._open += 1
        try:
            headers = await self._headers(operator)
            headers["content-type"] = "application/json"
            if metadata:
                headers["x-tfy-metadata"] = json.dumps(metadata)
            body = orjson.dumps(asked)
            async with self.line.call("POST", "/v1/chat/completions", headers, body) as answer:
                yield _event("head", _head(answer))
                if answer.headers.get("content-type", "").startswith(_STREAM):
                    async for part in answer.parts:
                        yield part
                else:
                    whole = b"".join([part async for part in answer.parts])
                    yield _event("answer", {"body": whole.decode(errors="replace")})
        except DataPlaneAway as error:
            yield _event("trouble", {"message": str(error)})
        finally:
            self._open -= 1

    async def _headers(self, operator: Operator) -> dict[str, str]:
        try:
            token = await asyncio.to_thread(
                self.minter.mint, operator.name, is_admin=operator.is_admin, now_s=time.time()
            )
        except OSError as error:
            raise DataPlaneAway("no token can be made: the state folder cannot be written") from error
        return {"authorization": f"Bearer {token}"}


class _Events(StreamingResponse):
    """A stream whose source ends with it, also when nobody reads it to its end."""

    def __init__(self, events: AsyncIterator[bytes]) -> None:
        super().__init__(events, media_type=_STREAM, headers=_HEADERS)
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._events.aclose()  # type: ignore[attr-defined]  # it is a generator


def playground_routes(playground: Playground) -> list[Route]:
    """The routes of this room."""

    async def models(request: Request) -> Response:
        try:
            status, body = await playground.models(operator_of(request))
        except DataPlaneAway as error:
            return error_reply(503, "data_plane_away", str(error))
        found = orjson.loads(body)
        if status in _MAY_CALL_NOTHING:
            return error_reply(403, "nothing_to_call", found["error"]["message"])
        if status != 200:  # noqa: PLR2004 - OK
            return error_reply(503, "data_plane_away", found["error"]["message"])
        return json_reply({"models": [one["id"] for one in found["data"]]})

    async def chat(request: Request) -> Response:
        try:
            asked, metadata = _asked(await read_object(request))
        except BodyRefused as error:
            return error.reply()
        if playground.is_full:
            message = f"{playground.most_at_once} calls of playgrounds are open already; try again later"
            return error_reply(503, "busy", message)
        return _Events(playground.chat(operator_of(request), asked, metadata))

    return [
        Route(_MODELS_PATH, models, methods=["GET"]),
        Route(CHAT_PATH, chat, methods=["POST"]),
    ]


def _asked(body: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The body of the call and its metadata.

    Raises:
        BodyRefused: There is none.
    """
    asked, metadata = body.get("request"), body.get("metadata", {})
    if not isinstance(asked, dict):
        raise BodyRefused(400, "invalid_parameter", "'request' is the body of a chat completion")
    is_flat = isinstance(metadata, dict) and all(isinstance(value, str) for value in metadata.values())
    if not is_flat:
        raise BodyRefused(400, "invalid_parameter", "'metadata' has names and texts")
    if others := sorted(body.keys() - {"request", "metadata"}):
        raise BodyRefused(400, "invalid_parameter", f"unknown field '{others[0]}'")
    return asked, metadata


def _head(answer: Answer) -> dict[str, Any]:
    trace_id = answer.headers.get("traceparent", "").partition("-")[2].partition("-")[0]
    return {
        "status": answer.status,
        "trace_id": trace_id,
        "resolved_model": answer.headers.get("x-tfy-resolved-model"),
    }


def _event(kind: str, data: Mapping[str, Any]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), orjson.dumps(data))
