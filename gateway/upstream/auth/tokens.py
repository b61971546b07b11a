"""Bearer tokens of short life, held by a worker and renewed beside its calls.

Only a call that finds no token waits for one, and several that do wait for the same. The protocol is OAuth's
client credentials grant, also with an assertion: RFC 6749 4.4, RFC 7523 2.2. Google's is left to `google.py`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import msgspec

from gateway.errors import GatewayError, UpstreamBadReply, UpstreamUnreachable
from gateway.model import (
    AnyTokenRequest,
    ClientCertificate,
    GoogleTokenRequest,
    TokenRequest,
    UpstreamReply,
    UpstreamRequest,
)
from gateway.redaction import may_hold_secret, without_secrets
from gateway.tasks import end, spawn
from gateway.upstream.auth.client_assertion import make_assertion
from gateway.upstream.auth.google import GoogleTokens, Pass
from gateway.wire.http1 import header_lines

ANSWER_WITHIN_S: Final = 10.0
"""How long a token endpoint may take."""

RENEWED_AFTER: Final = 0.8
"""Part of its life that a token is used for before another is asked for."""

PAUSE_S: Final = 10.0
"""Between two tries to renew a token that still works."""

MAX_HELD: Final = 1024
"""Tokens kept; those of configurations that are no more are among them."""

_MAX_ANSWER_BYTES: Final = 256 * 1024
_LIFE_S: Final = 300.0
_LONGEST_LIFE_S: Final = 86_400.0
_DETAIL_CHARACTERS: Final = 200
_OK: Final = 200
_ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ASSERTION: Final = "client_assertion"
_LINES: Final = header_lines(
    [
        ("content-type", "application/x-www-form-urlencoded"),
        ("accept", "application/json"),
        ("accept-encoding", "identity"),
    ]
)
_NOT_SIGNED_IN: Final = "The provider could not be signed in to."

_log: Final = logging.getLogger(__name__)

Send = Callable[[UpstreamRequest], Awaitable[UpstreamReply]]
"""One exchange."""


class _Answer(msgspec.Struct):
    """What is read of a token endpoint's answer."""

    access_token: str
    # Some write the number as text.
    expires_in: float | str = _LIFE_S


_answers: Final = msgspec.json.Decoder(_Answer)


@dataclass(slots=True)
class _Held:
    """A token, and when it is to be renewed and when it ends, in seconds of the clock."""

    value: str = field(repr=False)
    renew_at_s: float
    ends_at_s: float


class Tokens:
    """The tokens of one worker, by what they are asked for with."""

    def __init__(
        self,
        send: Send,
        pass_on: Pass,
        now_s: Callable[[], float],
        *,
        pass_as_machine: Pass | None = None,
        unix_s: Callable[[], float] = time.time,
        answer_within_s: float = ANSWER_WITHIN_S,
    ) -> None:
        """Prepare.

        Args:
            send: Reaches the token endpoint.
            pass_on: The same for requests that are no POST of a form.
            now_s: A clock that only goes forward.
            pass_as_machine: As *pass_on*, for what asks the metadata of the machine; None: the same.
            unix_s: The time of day.
            answer_within_s: How long a token endpoint may take.
        """
        self._answer_within_s = answer_within_s
        self._send = send
        self._google = GoogleTokens(pass_on, pass_as_machine or pass_on)
        self._now_s = now_s
        self._unix_s = unix_s
        self._held: dict[AnyTokenRequest, _Held] = {}
        self._renewing: dict[AnyTokenRequest, asyncio.Task[str | GatewayError]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    async def find(self, request: AnyTokenRequest) -> str:
        """The token to send now.

        Raises:
            UpstreamUnreachable: There is none, and none could be got.
        """
        held = self._held.get(request)
        now_s = self._now_s()
        if held is not None and now_s < held.ends_at_s:
            if now_s >= held.renew_at_s:
                held.renew_at_s = now_s + PAUSE_S
                self._renew(request)
            return held.value
        # Shielded: a caller that leaves must not end the wait of the others.
        outcome = await asyncio.shield(self._renew(request))
        if isinstance(outcome, GatewayError):
            raise UpstreamUnreachable(_NOT_SIGNED_IN, detail=_why(outcome), excerpt=outcome.excerpt)
        return outcome

    def forget(self, request: AnyTokenRequest, token: str) -> None:
        """Drop a token that the provider has refused, unless another has taken its place."""
        held = self._held.get(request)
        if held is not None and held.value == token:
            del self._held[request]

    async def close(self) -> None:
        """End what is being asked for."""
        await end(self._tasks)
        self._google.close()

    def _renew(self, request: AnyTokenRequest) -> asyncio.Task[str | GatewayError]:
        task = self._renewing.get(request)
        if task is None:
            task = spawn(self._ask(request), name="token", owner=self._tasks)
            self._renewing[request] = task
            task.add_done_callback(lambda _: self._renewing.pop(request, None))
        return task

    async def _ask(self, request: AnyTokenRequest) -> str | GatewayError:
        try:
            async with asyncio.timeout(self._answer_within_s):
                answer = await self._answer(request)
            header_lines([("authorization", f"Bearer {answer.access_token}")])
        except TimeoutError:
            error: GatewayError = UpstreamUnreachable(
                _NOT_SIGNED_IN, detail=f"{_name(request)} did not answer within {self._answer_within_s:g} s"
            )
        except ValueError:
            # Without `from`: the foreign error may carry the token.
            error = UpstreamBadReply(_NOT_SIGNED_IN, detail=_no_token(request))
        except GatewayError as failure:
            error = failure
        else:
            self._hold(request, answer)
            return answer.access_token
        _log.warning("no token of %s: %s", _name(request), _why(error))
        return error

    async def _answer(self, request: AnyTokenRequest) -> _Answer:
        if isinstance(request, TokenRequest):
            return await self._exchange(request)
        return _Answer(*await self._google.ask(request))

    async def _exchange(self, request: TokenRequest) -> _Answer:
        form = list(request.form)
        if request.assertion_file:
            form += _proof(await asyncio.to_thread(_read, request.assertion_file))
        elif request.certificate is not None:
            form += _proof(await asyncio.to_thread(_sign, request, request.certificate, self._unix_s()))
        reply = await self._send(
            UpstreamRequest(request.url, list(request.headers), urlencode(form).encode(), lines=_LINES)
        )
        try:
            body = await reply.read(_MAX_ANSWER_BYTES)
        finally:
            reply.close()
        secrets = [
            value for name, value in (*form, *request.headers) if name == _ASSERTION or may_hold_secret(name)
        ]
        if reply.status != _OK:
            said = without_secrets(body.decode(errors="replace"), secrets)[:_DETAIL_CHARACTERS]
            raise UpstreamBadReply(_NOT_SIGNED_IN, detail=f"{request.url} answered {reply.status}: {said}")
        try:
            return _answers.decode(body)
        except ValueError as error:
            raise UpstreamBadReply(_NOT_SIGNED_IN, detail=_no_token(request)) from error

    def _hold(self, request: AnyTokenRequest, answer: _Answer) -> None:
        now_s = self._now_s()
        try:
            life_s = float(answer.expires_in)
        except ValueError:
            life_s = _LIFE_S
        # Not a number (NaN) is in no order with the clock, and what lasts for ever is renewed as well.
        life_s = min(life_s, _LONGEST_LIFE_S) if life_s >= 0 else _LIFE_S
        if len(self._held) >= MAX_HELD:
            # Those in use are asked for again.
            self._held.clear()
        self._held[request] = _Held(answer.access_token, now_s + life_s * RENEWED_AFTER, now_s + life_s)


def _proof(assertion: str) -> tuple[tuple[str, str], ...]:
    return (("client_assertion_type", _ASSERTION_TYPE), (_ASSERTION, assertion))


def _sign(request: TokenRequest, certificate: ClientCertificate, now_s: float) -> str:
    try:
        return make_assertion(
            certificate.pem,
            client_id=certificate.client_id,
            audience=request.url,
            thumbprint=certificate.thumbprint,
            now_s=now_s,
        )
    except ValueError as error:
        raise UpstreamUnreachable(_NOT_SIGNED_IN, detail=str(error)) from error


def _why(error: GatewayError) -> str:
    """What went wrong, without the sentence that callers read when it says no more than that it did."""
    return error.detail if error.message == _NOT_SIGNED_IN and error.detail else error.for_operator


def _name(request: AnyTokenRequest) -> str:
    """Who was asked, and for whom where that is no secret: the log has several accounts."""
    if not isinstance(request, GoogleTokenRequest):
        return request.url
    return f"Google Cloud ({' '.join(part for part in (request.kind, request.identity) if part)})"


def _no_token(request: AnyTokenRequest) -> str:
    return f"the answer of {_name(request)} has no token that could be sent"


def _read(file: str) -> str:
    try:
        return Path(file).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UpstreamUnreachable(_NOT_SIGNED_IN, detail=f"{file}: {error}") from error
