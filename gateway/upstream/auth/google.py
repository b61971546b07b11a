"""Tokens of Google Cloud, got by its library google-auth, which is imported when the first is asked for.

The library waits in threads of its own here, and what it sends goes through the worker's connections. So
nothing that it does holds the loop up, every wait ends, and proxies are those of all calls. Needs the extra
`google`.

What it can do: https://google-auth.readthedocs.io/
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess  # its errors, when a program gives the identity
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as WaitedTooLong
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from gateway.errors import GatewayError, UpstreamBadReply, UpstreamUnreachable
from gateway.model import GoogleTokenRequest, Passage, UpstreamReply
from gateway.redaction import without_secrets

SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
MAX_THREADS: Final = 4
"""Tokens that are asked for at the same time; more wait for their turn, no longer than any caller does."""

MARGIN_S: Final = 30.0
"""So long before its end a token is not sent any more: it has a way to go, and clocks differ."""

_ANSWER_WITHIN_S: Final = 10.0
_MAX_ANSWER_BYTES: Final = 256 * 1024
_DETAIL_CHARACTERS: Final = 300
_NOT_SIGNED_IN: Final = "The provider could not be signed in to."
_AWS_IDENTITY: Final = "urn:ietf:params:aws:token-type:aws4_request"
# A JSON Web Token: an identity, which an endpoint may quote.
_JWT: Final = re.compile(r"eyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?")
_MASK: Final = "***"

Pass = Callable[[Passage], Awaitable[UpstreamReply]]
"""One exchange of any kind."""


class GoogleTokens:
    """Asks for tokens; whoever has one keeps it."""

    def __init__(self, send: Pass, send_as_machine: Pass) -> None:
        """Prepare.

        Args:
            send: Reaches Google and where identities come from: what a key or a configuration says.
            send_as_machine: Reaches the metadata server too, at the library's own addresses.
        """
        self._send = send
        self._send_as_machine = send_as_machine
        self._threads: ThreadPoolExecutor | None = None

    async def ask(self, request: GoogleTokenRequest) -> tuple[str, float]:
        """A token, and for how many seconds it may be sent. Whoever waits sets the limit.

        Raises:
            UpstreamUnreachable, UpstreamBadReply: None could be got.
        """
        if self._threads is None:
            self._threads = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="google-token")
        send = self._send_as_machine if request.kind == "default" else self._send
        line = _Line(send, asyncio.get_running_loop())
        try:
            return await line.loop.run_in_executor(self._threads, _ask, request, line)
        finally:
            line.hang_up()

    def close(self) -> None:
        """Start no more; what still runs ends by itself, having nobody to send by."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None


@dataclass(frozen=True, slots=True)
class _Answer:
    """An answer as the library reads it; names of headers in lower case."""

    status: int
    headers: Mapping[str, str]
    data: bytes


class _Line:
    """What the library sends by, from its thread, while somebody waits for the token."""

    def __init__(self, send: Pass, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._send = send
        self._pending: Future[_Answer] | None = None
        self._is_over = False

    def hang_up(self) -> None:
        """Send nothing more; runs on the loop."""
        self._is_over = True
        if self._pending is not None:
            self._pending.cancel()

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **options: Any,
    ) -> _Answer:
        """The library's interface of a transport; see `google.auth.transport.Request`."""
        if options.get("cert"):
            raise _cannot_send("a certificate as the identity is not taken here")
        if self._is_over or self.loop.is_closed():
            raise _cannot_send("nobody waits for the token any more")
        within_s = min(timeout or _ANSWER_WITHIN_S, _ANSWER_WITHIN_S)
        sent = body.encode() if isinstance(body, str) else body or b""
        pairs = [(name.lower(), str(value)) for name, value in (headers or {}).items()]
        passage = Passage(method, url, [*pairs, ("accept-encoding", "identity")], sent)
        self._pending = asyncio.run_coroutine_threadsafe(self._exchange(passage, within_s), self.loop)
        try:
            # The loop's own limit comes first; this one is for a loop that has ended.
            return self._pending.result(within_s + 1)
        except (TimeoutError, WaitedTooLong, CancelledError, GatewayError) as error:
            why = (
                error.for_operator if isinstance(error, GatewayError) else f"no answer within {within_s:g} s"
            )
            raise _cannot_send(f"{url.partition('?')[0]}: {why}") from error

    async def _exchange(self, passage: Passage, within_s: float) -> _Answer:
        async with asyncio.timeout(within_s):
            reply = await self._send(passage)
            try:
                body = await reply.read(_MAX_ANSWER_BYTES)
            finally:
                reply.close()
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in reply.headers}
        return _Answer(reply.status, headers, body)


def _cannot_send(why: str) -> Exception:
    """The library's own error, which it may try again after."""
    from google.auth import exceptions  # noqa: PLC0415 - an extra, which only few need

    error: Exception = exceptions.TransportError(why)  # type: ignore[no-untyped-call] # as the library has it
    return error


def _ask(request: GoogleTokenRequest, line: _Line) -> tuple[str, float]:
    """In a thread: what the library does for one token."""
    try:
        from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415 - as above

        make = _MAKERS[request.kind]
    except ImportError as error:
        raise UpstreamUnreachable(_NOT_SIGNED_IN, detail=f"google-auth is missing: {error}") from error
    try:
        credentials = make(request.content, line)
        credentials.refresh(line)
        token, expiry = credentials.token, credentials.expiry
    except (
        *(GoogleAuthError, ValueError, TypeError, KeyError, AttributeError, OSError, ImportError),
        subprocess.SubprocessError,
    ) as error:
        # Without `from`: what the library says may quote what it was given.
        raise UpstreamBadReply(_NOT_SIGNED_IN, detail=_told(error, request)) from None
    if not isinstance(token, str) or not token:
        raise UpstreamBadReply(_NOT_SIGNED_IN, detail="Google Cloud gave no token")
    return token, _life_s(expiry)


def _life_s(expiry: datetime | None) -> float:
    """How long a token may be sent; the library gives the end without its zone, which is UTC."""
    if expiry is None:
        return 0.0
    left_s = expiry.replace(tzinfo=UTC).timestamp() - time.time()
    return max(0.0, left_s - MARGIN_S)


def _told(error: Exception, request: GoogleTokenRequest) -> str:
    """What went wrong, without what is secret."""
    if isinstance(error, KeyError | TypeError | AttributeError):
        return f"there was an answer that could not be read ({type(error).__name__})"
    # Some carry the answer's body or object beside the words.
    words = " ".join(str(part) for part in error.args[:2] if isinstance(part, str | dict)) or str(error)
    secrets = [line for secret in request.secrets for line in (secret, *secret.split())]
    text = _JWT.sub(_MASK, without_secrets(words, secrets))
    return f"{type(error).__name__}: {' '.join(text.split())[:_DETAIL_CHARACTERS]}"


def _service_account(content: str, _line: _Line) -> Any:
    from google.oauth2 import service_account  # noqa: PLC0415 - as above

    make: Any = service_account.Credentials.from_service_account_info
    return make(json.loads(content), scopes=[SCOPE])


def _external_account(content: str, _line: _Line) -> Any:
    from google.auth import aws, identity_pool, pluggable  # noqa: PLC0415 - as above

    info = json.loads(content)
    source = info.get("credential_source")
    if info.get("subject_token_type") == _AWS_IDENTITY:
        kind: Any = aws
    elif isinstance(source, dict) and source.get("executable") is not None:
        kind = pluggable
    else:
        kind = identity_pool
    return kind.Credentials.from_info(info, scopes=[SCOPE])


def _default(_content: str, line: _Line) -> Any:
    from google import auth  # noqa: PLC0415 - as above

    find: Any = auth.default
    credentials, _ = find(scopes=[SCOPE], request=line)
    return credentials


_MAKERS: Final[Mapping[str, Callable[[str, _Line], Any]]] = {
    "service_account": _service_account,
    "external_account": _external_account,
    "default": _default,
}
