"""A fake of Elastic's managed OTLP endpoint: it answers as the components that it is made of do.

Texts and statuses are those of the OpenTelemetry collector's confighttp and otlpreceiver and of Elastic's
apikeyauth extension and ratelimit processor, read in their sources: an error is a `google.rpc.Status` in the
request's content type, every refusal by the authenticator is a 401, and a body over the limit is a 400 at the
collector itself and a 413 at a proxy in front of it.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # it has no stubs

from tests.rig.gateway_process import Document
from tests.rig.manifests import otel_config
from tests.rig.otlp_sink import Answer, OtlpSink, parse_request

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
KEY = base64.b64encode(b"id:secret-key").decode()
AUTHORIZATION = f"ApiKey {KEY}"

_INVALID_ARGUMENT = 3
_RESOURCE_EXHAUSTED = 8
_UNAVAILABLE = 14
_UNAUTHENTICATED = 16
NO_PREFIX = "rpc error: code = Unauthenticated desc = ApiKey prefix not found, expected ApiKey <value>"
NO_HEADER = (
    'rpc error: code = Unauthenticated desc = missing header "Authorization", expected "ApiKey <value>"'
)
NO_COLON = "rpc error: code = Unauthenticated desc = invalid API Key"
UNAUTHORIZED = "rpc error: code = PermissionDenied desc = unauthorized"
BUSY = "request exceeded available capacity"
TOO_LARGE = "http: request body too large"

GARBAGE = Answer(200, body=b"\xff\xfe<html>", content_type=PROTOBUF)
"""A success that says nothing readable."""


@dataclass(frozen=True)
class Limits:
    """What the endpoint takes.

    Attributes:
        max_body_bytes: Uncompressed.
        too_large_status: 413, or 400 as the collector itself says it.
    """

    max_body_bytes: int = 20 * 1024 * 1024
    too_large_status: int = 413


class ManagedOtlp(OtlpSink):
    """The endpoint. What it would take is answered as scripted (`answer`, `rate_limit`, ...), then with 200.

    Attributes:
        key: The API key that it knows, encoded; may be changed while it runs.
        limits: What it takes; likewise.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        super().__init__()
        self.key = KEY
        self.limits = limits or Limits()

    def destination(self, name: str, **more: Any) -> Document:
        """A manifest that sends traces here, with the right key."""
        return otel_config(
            self.traces_url, name=name, **{"headers": {"Authorization": AUTHORIZATION}, **more}
        )

    def rate_limit(self, count: int, retry_after: str = "1") -> None:
        """Refuse the next *count* requests as too many."""
        self.answer(*[self._status(429, _RESOURCE_EXHAUSTED, BUSY, PROTOBUF, retry_after)] * count)

    def be_unavailable(self, count: int) -> None:
        """Refuse the next *count* requests as out of service."""
        self.answer(*[self._status(503, _UNAVAILABLE, "service unavailable", PROTOBUF)] * count)

    def decide(self, request: web.Request, body: bytes) -> Answer:
        """As the components do, in their order: authenticate, method, size, type, then the rest."""
        kind = request.content_type
        refusal = self._key_refusal(request.headers.get("Authorization"))
        if refusal:
            return self._status(401, _UNAUTHENTICATED, refusal, kind)
        if request.method != "POST":
            return Answer(405, body=b"405 method not allowed, supported: [POST]", content_type="text/plain")
        if kind not in (PROTOBUF, JSON):
            text = b"415 unsupported media type, supported: [application/json, application/x-protobuf]"
            return Answer(415, body=text, content_type="text/plain")
        if len(body) > self.limits.max_body_bytes:
            return self._status(self.limits.too_large_status, _INVALID_ARGUMENT, TOO_LARGE, kind)
        try:
            parse_request(kind, body)
        except (ValueError, AssertionError) as error:
            return self._status(400, _INVALID_ARGUMENT, str(error), kind)
        return super().decide(request, body)

    def _key_refusal(self, header: str | None) -> str:
        if header is None:
            return NO_HEADER
        scheme, _, key = header.partition(" ")
        if scheme.lower() != "apikey" or not key:
            return NO_PREFIX
        try:
            plain = base64.b64decode(key, validate=True)
        except binascii.Error:
            return "rpc error: code = Unauthenticated desc = illegal base64 data at input byte 2"
        if b":" not in plain:
            return NO_COLON
        return "" if key == self.key else UNAUTHORIZED

    @staticmethod
    def _status(status: int, code: int, message: str, kind: str, retry_after: str = "") -> Answer:
        if kind == JSON:
            body = json.dumps({"code": code, "message": message}).encode()
        else:
            kind, body = PROTOBUF, Status(code=code, message=message).SerializeToString()
        return Answer(status, {"Retry-After": retry_after} if retry_after else {}, body, kind)
