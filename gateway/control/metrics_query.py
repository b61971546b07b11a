"""`GET /api/metrics/query`: what calls add up to, over any time and split by what tells them apart."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.control.replies import encoded_reply, error_reply
from gateway.control.traces import UNANSWERED, TraceQueries, unanswered
from gateway.tracestore.metrics_query import parse_metrics_query
from gateway.tracestore.query import BadQueryError


def metrics_query_routes(queries: TraceQueries) -> list[Route]:
    """The route of this room."""

    async def query_metrics(request: Request) -> Response:
        try:
            query = parse_metrics_query(request.query_params.multi_items())
            return encoded_reply(await queries.query_metrics(query))
        except BadQueryError as error:
            return error_reply(400, "invalid_parameter", str(error))
        except UNANSWERED as error:
            return unanswered(error)

    return [Route("/api/metrics/query", query_metrics)]
