"""A call of a model by a configuration that is not in force, in a pipeline of its own.

It goes the way of every call (dialect, address, signing in, proxy, certificates), so what it says is what a
worker would. It is not a caller's: no permission, limit or circuit stands in its way, it is tried once at
each target, and it is in no trace, metric or budget.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from random import Random
from typing import Any, Final

import orjson

from gateway.config import Config
from gateway.config.manifests.provider_account import ProviderAccount
from gateway.config.manifests.virtual_model import VirtualModelAccount
from gateway.control.model_advice import Tried
from gateway.edge.client import AsgiHeaders
from gateway.endpoints.call_limits import WHOLE_HEADER
from gateway.endpoints.catalogue import MODEL_CALLS
from gateway.endpoints.retry_wish import RETRY_HEADER
from gateway.identity.tokens import Credential, Identity
from gateway.model import Caller
from gateway.pipeline import CurrentSnapshot, Pipeline
from gateway.proxies import Proxies
from gateway.snapshot import Snapshot
from gateway.telemetry.call_trace import CallTrace
from gateway.upstream.exchange import Upstream

ANSWER_S: Final = 30.0
_SIGN_IN_S: Final = 15.0
"""What getting a token of a cloud may take beside; an answer in time says more than a limit here."""

_MAX_BYTES: Final = 1024 * 1024
_LONGEST: Final = 200
_OK: Final = 200


class ModelCalls:
    """Makes them. Used in one event loop."""

    def __init__(self, compiled: Callable[[Config], Snapshot], proxies: Proxies) -> None:
        """Prepare.

        Args:
            compiled: What workers make of a configuration; called in a thread.
            proxies: What leads to providers.
        """
        self._compiled = compiled
        self._proxies = proxies

    async def call(self, config: Config, path: str, body: Mapping[str, Any]) -> Tried:
        """Call the model that *body* names, at the endpoint *path*, as workers would with *config*."""
        token = secrets.token_urlsafe(16)
        snapshot = await asyncio.to_thread(self._prepared, config, token)
        endpoint = next(one for one in MODEL_CALLS if one.route == path)
        traces: list[CallTrace] = []
        upstream = Upstream(self._proxies)
        pipeline = Pipeline(
            CurrentSnapshot(snapshot),
            upstream,
            traces.append,
            max_body_bytes=_MAX_BYTES,
            random=Random(secrets.randbits(64)),
        )
        client = _Client(path, token, orjson.dumps(dict(body)))
        await upstream.open()
        upstream.follow(snapshot.egress)
        start_s = time.perf_counter()
        try:
            async with asyncio.timeout(ANSWER_S + _SIGN_IN_S):
                await pipeline.call_model(client, endpoint)
        except TimeoutError:
            return Tried(504, "upstream_timeout", took_ms=_since(start_s))
        finally:
            await upstream.close()
        return _tried(client, traces[-1], _since(start_s))

    def _prepared(self, config: Config, token: str) -> Snapshot:
        snapshot = self._compiled(config)
        caller = Caller("test", frozenset(_names(config)))
        credential = Credential(hashlib.sha256(token.encode()).digest(), caller, None)
        return replace(snapshot, identity=Identity([credential]), limits=None)


class _Client:
    """The caller's end of the call; see `gateway.model.Client`."""

    method = "POST"
    scheme = "http"
    server_address = "127.0.0.1"
    server_port: int | None = None
    peer_address = "127.0.0.1"
    query = ""
    has_body = True
    is_short = True

    def __init__(self, path: str, token: str, body: bytes) -> None:
        self.path = self.route = self.raw_path = path
        self.has_started = False
        self.status = 0
        self.reply = b""
        self._body = body
        self._headers = AsgiHeaders(
            [
                (b"authorization", f"Bearer {token}".encode()),
                (b"content-type", b"application/json"),
                (WHOLE_HEADER.encode(), str(int(ANSWER_S * 1000)).encode()),
                (RETRY_HEADER.encode(), b'{"attempts":0}'),
            ]
        )

    @property
    def headers(self) -> AsgiHeaders:
        return self._headers

    @property
    def declared_bytes(self) -> int | None:
        return len(self._body)

    async def read_piece(self) -> bytes:
        body, self._body = self._body, b""
        return body

    async def until_gone(self) -> None:
        await asyncio.Event().wait()

    async def read_body(self, _limit_bytes: int, _hold: Callable[[int], None]) -> bytes:
        return await self.read_piece()

    async def drop_body(self) -> None:
        """It is here."""

    def watch(self) -> AbstractContextManager[object]:
        return contextlib.nullcontext()

    async def respond(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        await self.start(status, headers)
        self.reply = body

    async def start(self, status: int, _headers: list[tuple[bytes, bytes]]) -> None:
        self.has_started = True
        self.status = status

    async def write(self, data: bytes) -> None:
        self.reply += data

    async def end(self) -> None:
        """There is nobody to tell."""


def _names(config: Config) -> list[str]:
    accounts: list[ProviderAccount | VirtualModelAccount] = [
        *config.provider_accounts,
        *config.virtual_models,
    ]
    return [f"{account.name}/{model.name}" for account in accounts for model in account.integrations]


def _tried(client: _Client, trace: CallTrace, took_ms: float) -> Tried:
    last = trace.exchanges[-1] if trace.exchanges else None
    said = _object(client.reply)
    is_good = client.status == _OK and not trace.is_error
    # A provider's own error has its status for a code; of ours the span says more than callers are told.
    own = "" if is_good or trace.error_type.isdigit() else trace.error_type
    provider_status = 0 if last is None else last.status_code or int(not own and client.status)
    return Tried(
        status=client.status,
        code=own,
        provider_status=provider_status,
        message="" if is_good else _error(said) if not own else trace.error_message,
        answer=_answer(said) if is_good else "",
        answered_by=last.target.name if is_good and last is not None else "",
        took_ms=took_ms,
    )


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _error(said: Mapping[str, Any]) -> str:
    error = said.get("error", said)
    message = error.get("message") if isinstance(error, dict) else error
    return message if isinstance(message, str) else ""


def _answer(said: Mapping[str, Any]) -> str:
    """The beginning of what a model said, in whatever form."""
    match said:
        case {"choices": [{"message": {"content": str(text)}}, *_]} | {"choices": [{"text": str(text)}, *_]}:
            return text[:_LONGEST]
        case {"output": [*_, {"content": [{"text": str(text)}, *_]}]}:
            return text[:_LONGEST]
        case {"data": [{"embedding": [*numbers]}, *_]}:
            return f"a vector of {len(numbers)} numbers"
    return ""


def _since(start_s: float) -> float:
    return (time.perf_counter() - start_s) * 1000
