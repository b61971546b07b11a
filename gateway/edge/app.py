"""The data plane's ASGI application.

Calls of models are found by one dictionary look-up and go straight to the pipeline as plain ASGI, below the
paths of Google's and Amazon's SDKs by reading the path; what is left of the APIs passes through. Starlette
serves health and metrics. There is no middleware, so none can hide a disconnect or buffer a stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gateway.bedrock import Bedrock
from gateway.edge.client import AsgiClient
from gateway.edge.gemini_client import GeminiAsgiClient
from gateway.edge.lifecycle import Lifecycle
from gateway.edge.lookout import Lookout
from gateway.edge.metrics import ControlAwayError, ControlMetrics
from gateway.edge.paths import (
    CALL_PATHS,
    LISTABLE,
    MODELS_PATHS,
    REALTIME_PATHS,
    find_bedrock,
    find_gemini,
    find_misplaced,
    find_model_name,
    find_passage,
)
from gateway.edge.socket import AsgiSocket
from gateway.endpoints.catalogue import MODEL_ROUTE, MODELS_ROUTE
from gateway.endpoints.openai_paths import OTHER
from gateway.endpoints.realtime import REALTIME
from gateway.endpoints.wording import dialect_of
from gateway.errors import MethodNotAllowed, PathNotFound
from gateway.gemini import Gemini
from gateway.identity.tokens import carries_token
from gateway.model import Dialect, Endpoint
from gateway.pass_through import PASSED_METHODS, PassThrough, names_account
from gateway.pipeline import Pipeline
from gateway.realtime import Realtime
from gateway.telemetry.prometheus import CONTENT_TYPE

_READS: Final = ("GET", "HEAD")
_SHELL_PATHS: Final = frozenset({"/", "/livez", "/readyz"})
_METRICS_PATH: Final = "/metrics"


class DataPlane:
    """The application that a worker's server calls."""

    def __init__(
        self,
        pipeline: Pipeline,
        lifecycle: Lifecycle,
        checks: Callable[[], Mapping[str, str]],
        metrics: ControlMetrics | None = None,
        *,
        pass_through: PassThrough,
        bedrock: Bedrock,
        gemini: Gemini,
        realtime: Realtime,
    ) -> None:
        """Serve *pipeline*.

        Args:
            pipeline: Answers calls.
            pass_through: Answers what is no call of a model.
            bedrock: Answers what AWS's SDKs ask, below a path of its own.
            gemini: Answers what Google's SDKs ask, likewise.
            realtime: Serves WebSockets.
            lifecycle: Decides readiness, and whether connections end.
            checks: What `/readyz` says of the parts, a word each; none of them decides.
            metrics: Answers `/metrics`; None: there is no such path.
        """
        self._pipeline = pipeline
        self._pass_through = pass_through
        self._gemini = gemini
        self._bedrock = bedrock
        self._realtime = realtime
        self._lifecycle = lifecycle
        self._lookout = Lookout(asyncio.get_running_loop())
        self._shell = _shell(lifecycle, checks, metrics)
        self._shell_paths = _SHELL_PATHS if metrics is None else _SHELL_PATHS | {_METRICS_PATH}

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
        """Serve one request.

        What is awaited of a call of a model is the pipeline's own coroutine: one around it costs every call.
        """
        endpoint = CALL_PATHS.get(scope["path"])
        # A WebSocket has none.
        if endpoint is not None and scope.get("method") == "POST":
            client = AsgiClient(
                scope,
                receive,
                send,
                lookout=self._lookout,
                route=endpoint.route,
                lifecycle=self._lifecycle,
            )
            return self._pipeline.call_model(client, endpoint)
        return self._serve_other(scope, receive, send, endpoint)

    async def _serve_other(
        self, scope: Scope, receive: Receive, send: Send, endpoint: Endpoint | None
    ) -> None:
        """Serve what is no call of a model by its path; *endpoint* is what its path is for."""
        method = scope.get("method")
        if scope["path"] in MODELS_PATHS and method in _READS:
            await self._pipeline.list_models(self._client(scope, receive, send, MODELS_ROUTE))
        elif scope["path"] in self._shell_paths and method in _READS:
            await self._shell(scope, receive, send)
        elif method is None:
            await self._open_socket(scope, receive, send)
        else:
            await self._pass_or_refuse(scope, receive, send, endpoint)

    async def _open_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a WebSocket."""
        if scope["path"] in REALTIME_PATHS:
            await self._realtime.serve(AsgiSocket(scope, receive, send, route=REALTIME.route))
            return
        message = f"There is no WebSocket at {scope['path'][:200]}. The realtime API is at /v1/realtime."
        await self._pipeline.refuse(AsgiSocket(scope, receive, send, route=""), PathNotFound(message))

    async def _pass_or_refuse(
        self, scope: Scope, receive: Receive, send: Send, endpoint: Endpoint | None
    ) -> None:
        """Serve what is no call of a model, if it is anything."""
        raw_path = scope["raw_path"].partition(b"?")[0].decode("latin-1")
        gemini = find_gemini(raw_path, scope["query_string"].decode("latin-1"))
        if gemini is not None:
            google_client = GeminiAsgiClient(
                scope,
                receive,
                send,
                lookout=self._lookout,
                route=gemini.endpoint.route,
                lifecycle=self._lifecycle,
            )
            await self._gemini.serve(google_client, gemini)
            return
        bedrock = find_bedrock(raw_path)
        if bedrock is not None:
            await self._bedrock.serve(self._client(scope, receive, send, bedrock.endpoint.route), bedrock)
            return
        misplaced = find_misplaced(raw_path) if scope["method"] == "POST" else None
        if misplaced is not None and not names_account(self._client(scope, receive, send, "")):
            await self._refuse_path(scope, receive, send, misplaced[1], misplaced[0])
            return
        is_taken = scope["path"] in MODELS_PATHS or scope["path"] in self._shell_paths
        if endpoint is None or self._is_listing(scope, receive, send, endpoint):
            model = find_model_name(raw_path) if scope["method"] in _READS else None
            if model:
                await self._pipeline.show_model(self._client(scope, receive, send, MODEL_ROUTE), model)
                return
            client = self._client(scope, receive, send, "")
            asked = None if is_taken else find_passage(raw_path, dialect_of(client.headers))
            if asked is not None and scope["method"] in PASSED_METHODS:
                client.route = asked.endpoint.route
                if asked.endpoint is not OTHER or names_account(client):
                    await self._pass_through.serve(client, asked)
                    return
            elif asked is not None and asked.endpoint is not OTHER:
                await self._refuse_method(scope, receive, send, asked.endpoint.route, PASSED_METHODS)
                return
        await self._refuse(scope, receive, send)

    def _is_listing(self, scope: Scope, receive: Receive, send: Send, endpoint: Endpoint) -> bool:
        """Whether a call's path is asked for what is stored there, by somebody who has a key."""
        if endpoint not in LISTABLE or scope["method"] != "GET":
            return False
        return carries_token(self._client(scope, receive, send, endpoint.route).headers)

    async def _refuse_method(
        self, scope: Scope, receive: Receive, send: Send, route: str, allowed: Iterable[str]
    ) -> None:
        listed = ", ".join(allowed)
        message = f"{scope['method']} is not possible on {route}; use {listed}."
        error = MethodNotAllowed(message, headers=(("allow", listed),))
        await self._pipeline.refuse(self._client(scope, receive, send, route), error)

    def _client(self, scope: Scope, receive: Receive, send: Send, route: str) -> AsgiClient:
        return AsgiClient(scope, receive, send, lookout=self._lookout, route=route, lifecycle=self._lifecycle)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a path, or a method on a path, that does not exist."""
        path, method = scope["path"], scope["method"]
        endpoint = CALL_PATHS.get(path)
        if endpoint is not None or path in MODELS_PATHS or path in self._shell_paths:
            route = endpoint.route if endpoint else MODELS_ROUTE if path in MODELS_PATHS else path
            calls = ("GET", "POST") if endpoint in LISTABLE and method != "GET" else ("POST",)
            await self._refuse_method(scope, receive, send, route, calls if endpoint else _READS)
            return
        speaks = dialect_of(self._client(scope, receive, send, "").headers)
        await self._refuse_path(scope, receive, send, _hint(path, speaks))

    async def _refuse_path(
        self, scope: Scope, receive: Receive, send: Send, hint: str, dialect: Dialect | None = None
    ) -> None:
        message = f"There is no {scope['method']} {scope['path'][:200]} here. {hint}"
        await self._pipeline.refuse(self._client(scope, receive, send, ""), PathNotFound(message), dialect)


def _hint(path: str, speaks: Dialect) -> str:
    """What is most likely wrong with a path that leads nowhere."""
    if "/v1/v1/" in path:
        return "Leave /v1 out of the base URL: who calls adds one."
    if path.rstrip("/") in CALL_PATHS or path.rstrip("/") in MODELS_PATHS:
        return "Leave out the slash at its end."
    if speaks == "anthropic":
        return "The base URL for Anthropic's SDKs ends before /v1."
    return "The base URL for SDKs ends in /v1."


def _shell(
    lifecycle: Lifecycle, checks: Callable[[], Mapping[str, str]], metrics: ControlMetrics | None
) -> Starlette:
    def headers() -> dict[str, str]:
        return {"connection": "close"} if lifecycle.is_draining else {}

    async def root(_: Request) -> Response:
        return PlainTextResponse("OK", headers=headers())

    async def livez(_: Request) -> Response:
        return JSONResponse({"status": "ok"}, headers=headers())

    async def readyz(_: Request) -> Response:
        status = 200 if lifecycle.is_ready else 503
        return JSONResponse({"status": lifecycle.status, "checks": dict(checks())}, status, headers())

    routes = [Route("/", root), Route("/livez", livez), Route("/readyz", readyz)]
    if metrics is not None:
        routes.append(_metrics_route(metrics))
    return Starlette(routes=routes)


def _metrics_route(metrics: ControlMetrics) -> Route:
    async def show(_: Request) -> Response:
        try:
            text = await metrics.text()
        except ControlAwayError as error:
            return PlainTextResponse(f"# {error}\n", 503)
        return Response(text, headers={"content-type": CONTENT_TYPE})

    return Route(_METRICS_PATH, show)
