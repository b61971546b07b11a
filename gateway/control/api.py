"""The control plane as one ASGI app: its rooms behind one guard."""

from __future__ import annotations

from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from gateway.control.audit import AuditTrail, audit_routes
from gateway.control.auth import Access, Guard
from gateway.control.config import ConfigSource, config_routes
from gateway.control.config_history import History, history_routes
from gateway.control.delivery_history import DeliveryHistory, delivery_history_routes
from gateway.control.health import Health, health_routes
from gateway.control.limits import LimitsSource, limits_routes
from gateway.control.manifests import manifest_routes
from gateway.control.metrics import MetricsPage, metrics_routes
from gateway.control.metrics_query import metrics_query_routes
from gateway.control.model_test import ModelTest, model_test_routes
from gateway.control.openapi import openapi_routes
from gateway.control.operator import find_operator
from gateway.control.operators import operator_routes
from gateway.control.otel_manifest import OtelManifests
from gateway.control.otel_settings import otel_settings_routes
from gateway.control.pages import Pages
from gateway.control.pages.navigation import NAVIGATION
from gateway.control.pages.traffic import Places
from gateway.control.playground import Playground, playground_routes
from gateway.control.replica_list import ReplicaList, replica_routes
from gateway.control.replies import on_failure, on_http_error
from gateway.control.tail import Tail, tail_routes
from gateway.control.targets import TargetsSource, targets_routes
from gateway.control.telemetry import TelemetrySource, telemetry_routes
from gateway.control.tokens import token_routes
from gateway.control.traces import TraceQueries, trace_routes
from gateway.identity.issued_tokens import IssuedTokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What the rooms show; made and closed by `app`."""

    health: Health
    traces: TraceQueries
    tail: Tail
    telemetry: TelemetrySource
    config: ConfigSource
    otel: OtelManifests
    metrics: MetricsPage
    targets: TargetsSource
    audit: AuditTrail
    history: History
    tokens: IssuedTokens
    limits: LimitsSource
    playground: Playground
    replicas: ReplicaList
    model_test: ModelTest
    deliveries: DeliveryHistory = field(default_factory=DeliveryHistory)
    places: Places = field(default_factory=Places)


def build_app(services: Services, access: Access) -> ASGIApp:
    """The app for the control plane's server.

    Args:
        services: What the rooms show.
        access: What it is bound to, and who may sign in.
    """
    pages = Pages(access, services.places)

    async def on_refusal(request: Request, error: Exception) -> Response:
        is_missing = isinstance(error, HTTPException) and error.status_code == 404  # noqa: PLR2004 - not found
        return (
            pages.missing(request)
            if is_missing and _is_for_a_person(request)
            else await on_http_error(request, error)
        )

    app = Starlette(
        routes=[
            Route("/", _front),
            *health_routes(services.health),
            *tail_routes(services.tail),
            *trace_routes(services.traces),
            *metrics_query_routes(services.traces),
            *telemetry_routes(services.telemetry, services.otel, services.audit),
            *delivery_history_routes(services.deliveries),
            *targets_routes(services.targets, services.audit),
            *limits_routes(services.limits),
            *config_routes(services.config),
            *replica_routes(services.replicas),
            *otel_settings_routes(services.otel, services.audit),
            *manifest_routes(services.history.files, services.audit),
            *history_routes(services.history),
            *token_routes(services.tokens, services.audit),
            *playground_routes(services.playground),
            *model_test_routes(services.history.files, services.model_test, services.audit),
            *audit_routes(services.audit),
            *operator_routes(access, services.audit),
            *openapi_routes(),
            *pages.routes(),
            *metrics_routes(services.metrics),
        ],
        exception_handlers={HTTPException: on_refusal, Exception: on_failure},
    )
    # `/api/traces/` is another path, and a redirect would be an answer that is not JSON.
    app.router.redirect_slashes = False
    return Guard(app, access)


def _is_for_a_person(request: Request) -> bool:
    """Whether somebody who is signed in has opened an address of a page in a browser."""
    is_page = request.method == "GET" and not request.url.path.startswith(("/api/", "/static/"))
    return (
        is_page
        and find_operator(request.scope) is not None
        and "text/html" in request.headers.get("accept", "")
    )


async def _front(_request: Request) -> Response:
    first = next(entry for group in NAVIGATION for entry in group.entries)
    return RedirectResponse(first.path, 307)
